"""What can go wrong with a mailbox, as one exception: at which step, why, and what it means for the connection.

What lives here: the exception and the names of the steps. What follows from it is decided in ``poller`` and ``check``.
"""

from enum import StrEnum

from models.faults import TemporaryError


class Step(StrEnum):
    """A step on the way to the mails, in order."""

    DNS = "DNS"
    TCP = "TCP"
    TLS = "TLS"
    TOKEN = "token"  # noqa: S105 - a step's name
    LOGIN = "login"
    FOLDER = "folder"
    FETCH = "fetch"
    MOVE = "move"
    IDLE = "idle"
    QUOTA = "quota"
    OURS = "our side"


class Kind(StrEnum):
    """What a failure asks for."""

    NOT_ALLOWED = "not allowed"  #: a login or a target that is refused: somebody must act
    NO_FOLDER = "no folder"  #: missing, read-only, or one whose messages cannot be told apart; the others go on
    REFUSED = "refused"  #: the server said no to one command; the connection lives
    UNREACHABLE = "unreachable"  #: the connection is dead, or never came to be
    MISBEHAVES = "misbehaves"  #: the server breaks the protocol or our limits; the connection is given up
    GONE = "gone"  #: the message is not there any more


class MailboxError(TemporaryError):
    """Say why a mailbox cannot be worked with now."""

    def __init__(self, step: Step, reason: str, kind: Kind = Kind.UNREACHABLE) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason
        self.kind = kind

    @property
    def alive(self) -> bool:
        """Tell whether the connection can go on."""
        return self.kind in (Kind.REFUSED, Kind.GONE)
