"""What the command line asks of the mailbox door: test a connection, take now, say how polling goes.

What lives here: the protocol and its values. ``mailgate.imap`` implements it, ``mailgate.app`` hands it over.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from storage.ledger.connections import ConnectionRef


class Failure(StrEnum):
    """Why a mailbox cannot be worked with, as exit codes tell it apart."""

    NOT_ALLOWED = "not allowed"
    NO_FOLDER = "no folder"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class TestedStep:
    """One step on the way to the mails."""

    step: str
    ok: bool
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A mail in the mailbox, and what would become of it."""

    uid: int
    sender: str = ""
    subject: str = ""
    octets: int = 0
    files: tuple[str, ...] = ()
    code: str | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """What a test of a mailbox found."""

    steps: tuple[TestedStep, ...]
    would_take: tuple[Candidate, ...] = ()
    would_not_take: tuple[Candidate, ...] = ()
    not_looked_at: int = 0  #: mails beyond the most that one test reads
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulled:
    """What a look at once brought."""

    taken: tuple[str, ...] = field(default=())  #: trace ids, where we looked ourselves
    by_service: bool = False  #: the running service looked
    failure: Failure | None = None
    reason: str = ""


class MailboxDoor(Protocol):
    """Work with the mailbox of a connection, from a thread that may block."""

    def test(self, ref: ConnectionRef) -> Tested:
        """Try every step, and tell what would be taken; changes nothing."""

    def pull(self, ref: ConnectionRef) -> Pulled:
        """Take what is there now, or have the running service do it."""
