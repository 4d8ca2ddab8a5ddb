"""Which addresses of the network we may connect to on somebody's word.

What lives here: the decision about one resolved address. Resolving and connecting stand in ``intake.outward``.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

#: IPv6 forms that carry an IPv4 address: what they carry decides (RFC 6052, 3056, 4380; 4291 section 2.5.5.1).
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = IPv6Network("::/96")


def is_public(address: str) -> bool:
    """Tell whether a resolved address is of the public network: not loopback, private, link-local or reserved."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(one.is_global and not one.is_multicast and not one.is_reserved for one in _carried(found))


def _carried(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inner: list[IPv4Address | IPv6Address] = []
    if address.sixtofour is not None:
        inner.append(address.sixtofour)
    if address.teredo is not None:
        inner.extend(address.teredo)
    if any(address in network for network in _NAT64) or address in _COMPATIBLE:
        return [IPv4Address(int(address) & 0xFFFFFFFF), *inner]
    return [address, *inner]
