"""What the sessions of the SMTP door share: the house behind it, and how many may come in.

What lives here: values and counters. No command, no socket.
"""

import asyncio
import ssl
import weakref
from dataclasses import dataclass, field
from typing import Any

from intake.accept import Intake
from intake.gate import Gate, Room
from intake.logins import Logins
from mailgate.listening import within
from mailgate.settings import Limits, Settings, Smtp

_KNOCKS = 1000  # of one address in a second: many servers connect anew for each mail


def is_trusted(peer: str, smtp: Smtp) -> bool:
    """Tell whether a client is one of the mail servers of ours that pass mail on to us."""
    return within(peer, smtp.trusted_proxies)


class Seat:
    """The place of one session inside the gate: taken before the session is made, which costs far more."""

    def __init__(self) -> None:
        self.session: Any = None

    @property
    def busy(self) -> bool:
        """Tell whether a mail is under way."""
        return self.session is not None and bool(self.session.busy)


def make_gate(limits: Limits) -> Gate[Seat]:
    """Make the gate of a mail door: all are alike until they log in, and who brings a mail is never sent away."""
    room = Room(
        total=limits.smtp_connections, per_address=limits.smtp_connections_per_address,
        unproved=limits.smtp_connections, unproved_per_address=limits.smtp_connections_per_address,
        knocks_per_second=_KNOCKS,
    )  # fmt: skip
    return Gate(room, spare=lambda seat: seat.busy)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """Everything a session needs beside its socket."""

    settings: Settings
    logins: Logins
    intake: Intake
    gate: Gate[Seat]
    tls: ssl.SSLContext
    sessions: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)  #: those alive, for a graceful stop
    completing: set[asyncio.Task[str]] = field(default_factory=set)  #: mails that are whole and being taken in
