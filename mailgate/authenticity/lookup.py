"""DNS over the network, with time-outs, a cache and a short memory for what failed.

What lives here: dnspython behind the seam of ``resolver``. No rule of mail.
"""

import ipaddress
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver

from mailgate.authenticity.resolver import DnsTrouble, Kind

_REMEMBERED = 10_000  # answers in the cache, by their own time to live
_FAILED_FOR = 5.0  # seconds that a failure is remembered (RFC 2308 section 7 allows five minutes)
_FAILED_MOST = 10_000


class NetworkResolver:
    """Ask the servers that the machine or the settings name. For several threads at once."""

    def __init__(
        self, servers: Sequence[str] = (), *, seconds: float = 3.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``servers``: addresses, each perhaps with ``:port`` (IPv6 in brackets); none: those of the machine."""
        self._seconds = seconds
        self._clock = clock
        self._failed: dict[tuple[str, Kind], float] = {}
        self._lock = threading.Lock()
        try:
            self._resolver: dns.resolver.Resolver | None = dns.resolver.Resolver(configure=not servers)
        except dns.exception.DNSException:  # a machine without any
            self._resolver = None
            return
        if servers:
            self._resolver.nameservers = [_server(one) for one in servers]
        self._resolver.cache = cast(Any, dns.resolver.LRUCache(_REMEMBERED))
        self._resolver.use_edns(0, 0, 1232)

    def ask(self, name: str, kind: Kind, seconds: float) -> tuple[str, ...]:
        """Give the records of a name; see ``Resolver``."""
        if self._resolver is None:
            raise DnsTrouble("this machine names no DNS server")
        try:
            wanted = dns.name.from_text(name)
        except dns.exception.DNSException:  # an escape or a label that no name has
            return ()
        key = (name, kind)
        now = self._clock()
        if self._failed.get(key, 0.0) > now:
            raise DnsTrouble(f"DNS did not answer for {name} a moment ago")
        try:
            answer = self._resolver.resolve(
                wanted, kind, raise_on_no_answer=False, lifetime=min(seconds, self._seconds)
            )
        except dns.resolver.NXDOMAIN:
            return ()
        except (dns.exception.DNSException, OSError) as error:
            self._note_failure(key, now)
            raise DnsTrouble(f"DNS did not answer for {name}: {type(error).__name__}") from None
        return tuple(_text(record) for record in answer.rrset) if answer.rrset is not None else ()

    def _note_failure(self, key: tuple[str, Kind], now: float) -> None:
        with self._lock:
            if len(self._failed) >= _FAILED_MOST:
                self._failed.clear()
            self._failed[key] = now + _FAILED_FOR


def _server(text: str) -> Any:
    """Read ``address``, ``address:port`` or ``[address]:port``; ValueError for anything else."""
    host, port = text, 53
    if text.startswith("[") or text.count(":") == 1:
        host, _, number = text.rpartition(":")
        port = int(number)
    host = str(ipaddress.ip_address(host.strip("[]")))
    return dns.nameserver.Do53Nameserver(host, port)


def _text(record: Any) -> str:
    match record.rdtype:
        case dns.rdatatype.TXT:
            return b"".join(record.strings).decode("latin-1")
        case dns.rdatatype.MX:
            return f"{record.preference} {record.exchange.to_text(omit_final_dot=True)}"
        case dns.rdatatype.PTR:
            return str(record.target.to_text(omit_final_dot=True))
        case _:
            return str(record.address)
