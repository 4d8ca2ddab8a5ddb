"""Allowed senders: who may send to a connection, by the envelope sender and the one From address together.

What lives here: the list's rule. Whether a sender is who they say is another question (``Rule.authenticity``).
"""

from collections.abc import Sequence

from matching.names import printable
from matching.wildcard import compile_pattern
from models.codes import Code
from models.faults import Fault
from models.message import Headers


def is_allowed(address: str, allowed: Sequence[str]) -> bool:
    """Say whether an address matches one of the wildcards, without regard to case on both sides of the @."""
    # Lowered here instead of matched without case: that would take a dotless i for an i, and so let in another domain.
    lowered = address.lower()
    return any(compile_pattern(pattern.lower(), case_sensitive=True).matches(lowered) for pattern in allowed)


def check_sender(sender: str, headers: Headers, allowed: Sequence[str]) -> Fault | None:
    """Give the fault SENDER_NOT_ALLOWED unless both senders match the list; an empty list lets everybody in."""
    if not allowed:
        return None
    reason = _why_not(sender, headers, allowed)
    return None if reason is None else Fault(code=Code.SENDER_NOT_ALLOWED, message=reason)


def _why_not(sender: str, headers: Headers, allowed: Sequence[str]) -> str | None:
    if not is_allowed(sender, allowed):
        return f"The envelope sender {printable(sender)} is not an allowed sender."
    # Two From fields or addresses: which one a reader is shown differs from program to program.
    if headers.from_fields > 1 or len(headers.from_addresses) > 1:
        return "The mail has more than one From address."
    if not headers.from_addresses:
        return "The mail has no From address."
    if not is_allowed(headers.from_addresses[0], allowed):
        return f"The From address {printable(headers.from_addresses[0])} is not an allowed sender."
    return None
