"""The seam to DNS: one question, its answers, and one way to fail.

What lives here: the seam, and the bounds on what one mail may ask. The implementation over a network stands in
``lookup``; a dict does in tests.
"""

import time
from collections.abc import Callable
from typing import Literal, Protocol

Kind = Literal["TXT", "A", "AAAA", "MX", "PTR"]
_LONGEST = 4096  # bytes of one TXT record: a key of 4096 bits has 740, and RFC 7208 section 3.4 wants 450 for SPF
_MOST = 50  # records of one answer that are looked at


class DnsTrouble(Exception):
    """Say that DNS cannot answer now; the same question may be answered later."""


class TooManyQuestions(Exception):
    """Say that one mail asked more of DNS than it may."""


class Resolver(Protocol):
    """Answer questions to DNS."""

    def ask(self, name: str, kind: Kind, seconds: float) -> tuple[str, ...]:
        """Give the records of a name, none where the name or the kind does not exist; DnsTrouble for now.

        TXT: the strings of a record joined, as Latin-1. MX: preference, blank, host. Names without the last dot.
        ``seconds``: the most this may take.
        """


class Questions:
    """Ask for one mail: so many questions, so much time, each question once."""

    def __init__(
        self, resolver: Resolver, *, most: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._resolver = resolver
        self._left = most
        self._clock = clock
        self._end = clock() + seconds
        self._known: dict[tuple[str, Kind], tuple[str, ...] | DnsTrouble] = {}

    def ask(self, name: str, kind: Kind) -> tuple[str, ...]:
        """Give the records of a name; DnsTrouble for now or when the time is over, TooManyQuestions at the bound."""
        key = (name.rstrip(".").lower(), kind)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._ask(*key)
        if isinstance(known, DnsTrouble):
            raise known
        return known

    def _ask(self, name: str, kind: Kind) -> tuple[str, ...] | DnsTrouble:
        if not _is_name(name):
            return ()
        if self._left <= 0:
            raise TooManyQuestions("the mail asks too much of DNS")
        self._left -= 1
        seconds = self._end - self._clock()
        if seconds <= 0:
            return DnsTrouble("the time for DNS is over")
        try:
            answers = self._resolver.ask(name, kind, seconds)
        except DnsTrouble as trouble:
            return trouble
        return tuple(one for one in answers[:_MOST] if len(one) <= _LONGEST)


def _is_name(name: str) -> bool:
    """Tell whether DNS can have this name (RFC 1035 section 2.3.4)."""
    labels = name.split(".")
    return name.isascii() and len(name) <= 253 and all(0 < len(label) <= 63 for label in labels)
