"""The PROXY header, versions 1 and 2: what a balancer says of the connection it passes on.

What lives here: a pure parser, bytes in, a value out (HAProxy's "The PROXY protocol", sections 2.1 and 2.2). Who may
say such a thing, and how it is read from a socket, stands in ``mailgate.listening.listener``.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1 = b"PROXY "
_V1_MOST = 107  # bytes of a line of version 1 with its CRLF
_V1_LEAST = len(b"PROXY UNKNOWN\r\n")
_V2_FIXED = 16  # bytes before the addresses of version 2
_NUMBER = rb"(0|[1-9]\d{0,4})"  # "heading zeroes are not permitted"
_V1_LINE = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]{2,45}) ([0-9A-Fa-f:.]{2,45}) " + _NUMBER + b" " + _NUMBER)
_INET, _INET6, _UNIX = 1, 2, 3
_ADDRESS_BYTES = {_INET: 12, _INET6: 36, _UNIX: 216}
_STREAM = 1
_CRC32C = 3


class BadHeader(ValueError):
    """Say why bytes are no PROXY header."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What a proxy says: which client it passes on; ``client`` is empty where it speaks for itself or does not say."""

    version: int
    client: str = ""  #: an IPv4 address inside IPv6 stands as IPv4
    port: int = 0
    length: int  #: bytes of the header; what stands behind is the client's


def wanted(data: bytes) -> int:
    """Give how many bytes are missing at least: so many may be read without taking any of the client's."""
    if data.startswith(SIGNATURE[:1]):
        if len(data) < _V2_FIXED:
            return _V2_FIXED - len(data)
        return max(0, _V2_FIXED + int.from_bytes(data[14:16], "big") - len(data))
    if len(data) < _V1_LEAST:
        return _V1_LEAST - len(data)
    return 1 if data.endswith(b"\r") else 2


def parse_header(data: bytes, *, most: int) -> Header | None:
    """Read the header at the beginning of a stream; None: more bytes are needed. Raises BadHeader, as early as it can.

    ``most``: bytes that a header of version 2 may have.
    """
    if data.startswith(SIGNATURE[:1]):
        return _parse_v2(data, most)
    head = data[: len(_V1)]
    if head != _V1[: len(head)]:
        raise BadHeader("the connection does not begin with a PROXY header")
    end = data.find(b"\r\n", 0, _V1_MOST)
    if end < 0:
        if len(data) >= _V1_MOST:
            raise BadHeader(f"a line of version 1 is longer than {_V1_MOST} bytes")
        return None
    return _parse_v1(data[:end])


def _parse_v1(line: bytes) -> Header:
    length = len(line) + 2
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return Header(version=1, length=length)  # section 2.1: what follows is ignored
    match = _V1_LINE.fullmatch(line)
    if match is None:
        raise BadHeader("a line of version 1 is malformed")
    kind: type[IPv4Address | IPv6Address] = IPv4Address if match[1] == b"TCP4" else IPv6Address
    try:
        client, _ = (kind(match[place].decode("ascii")) for place in (2, 3))
    except ValueError:
        raise BadHeader("an address of version 1 is malformed") from None
    ports = [int(match[place]) for place in (4, 5)]
    if max(ports) > 65535:
        raise BadHeader("a port of version 1 is beyond 65535")
    return Header(version=1, client=_plain(client), port=ports[0], length=length)


def _parse_v2(data: bytes, most: int) -> Header | None:
    head = data[: len(SIGNATURE)]
    if head != SIGNATURE[: len(head)]:
        raise BadHeader("the connection does not begin with a PROXY header")
    if len(data) > 12 and data[12] not in (0x20, 0x21):
        raise BadHeader(f"version and command {data[12]:#04x} are not known")
    if len(data) < _V2_FIXED:
        return None
    length = _V2_FIXED + int.from_bytes(data[14:16], "big")
    if length > most:
        raise BadHeader(f"a header of {length} bytes is longer than {most}")
    if len(data) < length:
        return None
    if data[12] == 0x20:  # LOCAL: the proxy speaks for itself; what follows is skipped (section 2.2)
        return Header(version=2, length=length)
    return _parse_addresses(data[:length])


def _parse_addresses(header: bytes) -> Header:
    family, transport = header[13] >> 4, header[13] & 0x0F
    if family > _UNIX or transport > 2:
        raise BadHeader(f"family and transport {header[13]:#04x} are not known")
    body = header[_V2_FIXED:]
    if len(body) < _ADDRESS_BYTES.get(family, 0):
        raise BadHeader("a header of version 2 is shorter than its addresses")
    if family:  # without a family nobody can tell where the further fields begin
        _check_sum(header, _V2_FIXED + _ADDRESS_BYTES[family])
    if transport != _STREAM or family not in (_INET, _INET6):
        return Header(version=2, length=len(header))  # a family that we do not serve is as good as none (section 2.2)
    size = 4 if family == _INET else 16
    client = IPv4Address(body[:4]) if family == _INET else IPv6Address(body[:16])
    (port,) = struct.unpack_from("!H", body, 2 * size)
    return Header(version=2, client=_plain(client), port=port, length=len(header))


def _plain(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


# --- further fields


def _check_sum(header: bytes, begin: int) -> None:
    """Skip the further fields; where one is a checksum of the header, it must be right (section 2.2.4)."""
    for kind, at, size in _fields(header, begin):
        if kind != _CRC32C:
            continue
        if size != 4:
            raise BadHeader("a checksum has not four bytes")
        without = header[:at] + bytes(4) + header[at + 4 :]
        if crc32c(without) != int.from_bytes(header[at : at + 4], "big"):
            raise BadHeader("the checksum is wrong")


def _fields(header: bytes, begin: int) -> Iterator[tuple[int, int, int]]:
    """Give kind, place and size of each further field."""
    while begin < len(header):
        if len(header) - begin < 3:
            raise BadHeader("a further field is cut off")
        kind, size = struct.unpack_from("!BH", header, begin)
        begin += 3
        if begin + size > len(header):
            raise BadHeader("a further field is longer than the header")
        yield kind, begin, size
        begin += size


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC_TABLE = tuple(_crc_of(byte) for byte in range(256))


def crc32c(data: bytes) -> int:
    """Give the CRC-32C (Castagnoli) of bytes (RFC 3720 appendix B.4)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
