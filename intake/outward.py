"""Connections that we open on somebody's word: to mailboxes, servers and token endpoints that others name.

What lives here: resolving, the check of the resolved address, and connecting to that very address, so that a second
look-up cannot lead elsewhere. No redirects are followed by anything that uses it.
"""

import socket
from dataclasses import dataclass

from matching.targets import is_public
from models.faults import MailgateError


class TargetRefused(MailgateError):
    """Say that a target has an address we must not connect to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A host with the addresses it was resolved to; all of them may be connected to."""

    host: str
    port: int
    addresses: tuple[tuple[int, str], ...]  #: family and address, in the resolver's order


def resolve(host: str, port: int, *, allow_private: bool) -> Target:
    """Resolve a host. Raises OSError where it has no address, TargetRefused where we must not connect to any."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except UnicodeError as error:
        raise OSError(f"{host!r} is no host name") from error
    every = dict.fromkeys((int(family), str(where[0])) for family, _, _, _, where in found)
    allowed = tuple(one for one in every if allow_private or is_public(one[1]))
    if not allowed:
        shown = ", ".join(address for _, address in every)
        raise TargetRefused(
            f"{host} has the address {shown}, which is not of the public network; [pull] allow_private permits it"
        )
    return Target(host=host, port=port, addresses=allowed)


def connect(target: Target, timeout: float) -> socket.socket:
    """Connect to the first address that answers; OSError where none does."""
    failure: OSError | None = None
    for family, address in target.addresses:
        plug = socket.socket(family, socket.SOCK_STREAM)
        plug.settimeout(timeout)
        try:
            plug.connect((address, target.port))
        except OSError as error:
            plug.close()
            failure = error
            continue
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plug
    raise failure or OSError(f"{target.host} has no address")
