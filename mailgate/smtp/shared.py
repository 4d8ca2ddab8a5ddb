"""What the sessions of the SMTP door share: the house behind it, and how many may come in.

What lives here: values and counters. No command, no socket.
"""

import asyncio
import ssl
import weakref
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from intake.accept import Intake
from intake.logins import Logins
from mailgate.listening import within
from mailgate.settings import Limits, Settings, Smtp


def is_trusted(peer: str, smtp: Smtp) -> bool:
    """Tell whether a client is one of the mail servers of ours that pass mail on to us."""
    return within(peer, smtp.trusted_proxies)


class Gate:
    """Count sessions in total and per address."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_address: Counter[str] = Counter()
        self._inside: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self, visitor: object, address: str) -> bool:
        """Let a visitor in, or say that there are too many."""
        if len(self._inside) >= self._limits.smtp_connections:
            return False
        if self._by_address[address] >= self._limits.smtp_connections_per_address:
            return False
        self._inside[id(visitor)] = address
        self._by_address[address] += 1
        return True

    def leave(self, visitor: object) -> None:
        """Note that a visitor is gone; one who never came in does not count."""
        address = self._inside.pop(id(visitor), None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """Everything a session needs beside its socket."""

    settings: Settings
    logins: Logins
    intake: Intake
    gate: Gate
    tls: ssl.SSLContext
    sessions: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)  #: those alive, for a graceful stop
    completing: set[asyncio.Task[str]] = field(default_factory=set)  #: mails that are whole and being taken in
