"""A fault: a code of the catalogue with the sentence that says what happened here.

What lives here: the value, and the two ways a thing can fail. Nothing here decides.
"""

from dataclasses import dataclass

from models.codes import Code


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Say what is wrong, in a sentence a sender can act on."""

    code: Code
    message: str


class MailgateError(Exception):
    """Root of every error that mailgate raises on purpose."""


class TemporaryError(MailgateError):
    """Say that the same request may succeed later; nothing was kept."""


class PermanentError(MailgateError):
    """Say that the same request will fail again; ``fault`` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.code}: {fault.message}")
        self.fault = fault
