"""The PROXY header: every form of it whole, cut anywhere and one byte at a time; everything else refused, and early.

aiosmtpd's own reader, which we do not use, is asked beside ours where it understands a header.
"""

import asyncio
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from aiosmtpd.proxy_protocol import get_proxy
from hypothesis import given, settings
from hypothesis import strategies as st

from mailgate.listening import BadHeader, Header, parse_header, wanted
from mailgate.listening.header import SIGNATURE, crc32c

MOST = 4096
PORTS = st.integers(0, 65535)
V4, V6 = st.ip_addresses(v=4), st.ip_addresses(v=6)


def parse(data: bytes) -> Header | None:
    return parse_header(data, most=MOST)


def v1(kind: str, client: object, server: object, port: int, to: int) -> bytes:
    return f"PROXY {kind} {client} {server} {port} {to}\r\n".encode()


def v2(body: bytes = b"", *, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def addresses(client: IPv4Address | IPv6Address, server: IPv4Address | IPv6Address, port: int, to: int) -> bytes:
    return client.packed + server.packed + struct.pack("!HH", port, to)


def field(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def summed(client: str = "192.0.2.1", more: bytes = b"", *, wrong: int = 0) -> bytes:
    """Give a header with a checksum in it."""
    body = addresses(ip_address(client), ip_address("192.0.2.9"), 4, 25) + more
    empty = v2(body + field(3, bytes(4)))
    return v2(body + field(3, struct.pack("!I", crc32c(empty) ^ wrong)))


def plain(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


FIELDS = st.lists(
    st.builds(field, st.integers(0, 255).filter(lambda kind: kind != 3), st.binary(max_size=40)), max_size=5
).map(b"".join)


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, str, int]:
    """Give a header and what it says: the client's address and port, or nothing."""
    pair = draw(st.one_of(st.tuples(V4, V4), st.tuples(V6, V6)))
    port, to, more = draw(PORTS), draw(PORTS), draw(FIELDS)
    four = isinstance(pair[0], IPv4Address)
    match draw(st.integers(0, 4)):
        case 0:
            return v1("TCP4" if four else "TCP6", *pair, port, to), plain(pair[0]), port
        case 1:
            return v2(addresses(*pair, port, to) + more, family=0x11 if four else 0x21), plain(pair[0]), port
        case 2:
            rest = draw(st.binary(max_size=90).filter(lambda one: b"\r\n" not in one and not one.endswith(b"\r")))
            return b"PROXY UNKNOWN" + (b" " + rest if rest else b"") + b"\r\n", "", 0
        case 3:  # LOCAL, whatever follows
            return v2(draw(st.binary(max_size=300)), command=0x20, family=draw(st.integers(0, 255))), "", 0
        case _:
            family, body = draw(
                st.sampled_from([(0x31, bytes(216) + more), (0x32, bytes(216)), (0x00, more), (0x12, bytes(12) + more),
                                 (0x22, bytes(36)), (0x10, bytes(12)), (0x01, b"anything")])
            )  # fmt: skip
            return v2(body, family=family), "", 0


@settings(deadline=None)
@given(headers(), st.binary(max_size=50))
def test_a_header_is_read_wherever_it_is_cut(one: tuple[bytes, str, int], behind: bytes) -> None:
    header, client, port = one
    said = parse(header + behind)
    assert said == Header(version=1 if header[:1] == b"P" else 2, client=client, port=port, length=len(header))
    for cut in range(len(header)):
        assert parse(header[:cut]) is None
        assert 0 < wanted(header[:cut]) <= len(header) - cut  # never a byte of the client's


@settings(deadline=None)
@given(headers(), st.data())
def test_a_header_is_read_in_any_pieces(one: tuple[bytes, str, int], data: st.DataObject) -> None:
    """Read as the listener does: what is wanted at most, and often less."""
    header, client, _ = one
    taken = b""
    while (said := parse(taken)) is None:
        taken += header[len(taken) :][: data.draw(st.integers(1, wanted(taken)))]
    assert (said.client, len(taken)) == (client, len(header))


@settings(deadline=None)
@given(headers())
def test_another_reader_says_the_same(one: tuple[bytes, str, int]) -> None:
    header, client, port = one

    async def other() -> Any:
        reader = asyncio.StreamReader()
        reader.feed_data(header)
        reader.feed_eof()
        return await get_proxy(reader)

    theirs = asyncio.run(other())
    if client:
        assert theirs.valid
        assert plain(ip_address(str(theirs.src_addr))) == client
        assert theirs.src_port == port


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda one: b"PROXY TCP4 " + one),
                 st.binary(max_size=80).map(lambda one: SIGNATURE + one)))  # fmt: skip
def test_no_bytes_bring_anything_but_a_value_or_a_refusal(data: bytes) -> None:
    try:
        said = parse(data)
    except BadHeader:
        return
    if said is None:
        assert wanted(data) > 0
        assert len(data) < MOST
    else:
        assert said.length <= len(data)


BAD = {
    "a mail client": b"EHLO client.acme.example\r\n",
    "another case": b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "two blanks": b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
    "a tab": b"PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n",
    "a blank at the end": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
    "an unknown kind": b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
    "UNKNOWN and more of the word": b"PROXY UNKNOWNED\r\n",
    "UDP": b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "zeroes before a number": b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
    "zeroes before a port": b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
    "a port too high": b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
    "a negative port": b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
    "a port missing": b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
    "an address too high": b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
    "an address too short": b"PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
    "IPv6 as TCP4": b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
    "IPv4 as TCP6": b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
    "a zone": b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
    "two gaps": b"PROXY TCP6 1::2::3 ::1 1 2\r\n",
    "LF alone": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n" + bytes(80),
    "a bare CR": b"PROXY TCP4 192.0.2.1\r192.0.2.2 1 2\r\n",
    "no end": b"PROXY UNKNOWN " + b"x" * 93,
    "an end one too late": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    "a digit of another script": "PROXY TCP4 192.0.2.１ 192.0.2.2 1 2\r\n".encode(),
    "another signature": SIGNATURE[:-1] + b"\r" + v2(bytes(12))[12:],
    "version 3": v2(bytes(12), command=0x31),
    "an unknown command": v2(bytes(12), command=0x22),
    "an unknown family": v2(bytes(12), family=0x41),
    "an unknown transport": v2(bytes(12), family=0x13),
    "shorter than its addresses": v2(bytes(11)),
    "shorter than IPv6": v2(bytes(35), family=0x21),
    "shorter than UNIX": v2(bytes(215), family=0x31),
    "a field cut off": v2(bytes(12) + b"\x04\x00"),
    "a field beyond the end": v2(bytes(12) + b"\x04\x00\x05abcd"),
    "a wrong checksum": summed(wrong=1),
    "a checksum of three bytes": v2(bytes(12) + field(3, bytes(3))),
    "too long": v2(bytes(MOST)),
    "far too long, and not there": v2(bytes(65535))[:16],
    "TLS": bytes.fromhex("16030100a5010000a10303"),
    "SSH": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "HTTP": b"GET / HTTP/1.1\r\n",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_header_is_refused(name: str) -> None:
    data = BAD[name]
    with pytest.raises(BadHeader):
        parse(data)
    assert any(refused(data[:cut]) for cut in range(len(data) + 1))  # byte by byte: no later than whole
    assert not any(parse(data[:cut]) for cut in range(len(data)) if not refused(data[:cut]))


def refused(data: bytes) -> bool:
    try:
        parse(data)
    except BadHeader:
        return True
    return False


def test_a_client_of_another_protocol_is_refused_at_its_first_byte() -> None:
    for first in (b"E", b"S", b"\x16", b"G", b"\n"):
        with pytest.raises(BadHeader):
            parse(first)


def test_a_checksum_is_looked_at() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    assert crc32c(b"") == 0
    for header in (summed(), summed(more=field(4, bytes(10))), summed("198.51.100.7", field(0xEA, b"aws"))):
        said = parse(header)
        assert said is not None
        assert said.client in ("192.0.2.1", "198.51.100.7")


def test_an_address_of_version_4_inside_6_is_the_same_client() -> None:
    mapped = v1("TCP6", "::ffff:192.0.2.1", "::1", 1, 2)
    packed = v2(addresses(ip_address("::ffff:192.0.2.1"), ip_address("::1"), 1, 2), family=0x21)
    for header in (mapped, packed):
        said = parse(header)
        assert said is not None
        assert said.client == "192.0.2.1"
