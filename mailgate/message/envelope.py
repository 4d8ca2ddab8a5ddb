"""What a mail in a mailbox still says of its envelope: the trace that the delivering server left, and To and Cc.

What lives here: the reading of those fields. Nothing here proves anything: whoever writes a mail may write them too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailgate.message.fields import one_line, read_fields
from mailgate.message.headers import addresses
from mailgate.message.limits import DEFAULT_LIMITS, Limits

_DELIVERED = ("delivered-to", "x-original-to", "envelope-to")


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvelopeTrace:
    """The envelope as far as header fields tell of it."""

    return_path: str | None = None  #: reverse-path of the topmost Return-Path, empty for ``<>``; None where absent
    sender: str = ""  #: the first From address, empty where absent
    delivered_to: tuple[str, ...] = ()  #: Delivered-To, X-Original-To, Envelope-To
    named: tuple[str, ...] = ()  #: To and Cc


def read_envelope(block: bytes, limits: Limits = DEFAULT_LIMITS) -> EnvelopeTrace:
    """Read the trace of the envelope from a header block; what cannot be read is left out."""
    fields = read_fields(block, limits)
    path = fields.every("return-path")
    sender = [one for value in fields.every("from") for one in addresses(value)]
    return EnvelopeTrace(
        return_path=_reverse_path(path[0]) if path else None,
        sender=sender[0] if sender else "",
        delivered_to=_every(fields.every(name) for name in _DELIVERED),
        named=_every([fields.every("to"), fields.every("cc")]),
    )


def _every(fields: Iterable[Sequence[str]]) -> tuple[str, ...]:
    found = [address for values in fields for value in values for address in addresses(value)]
    return tuple(dict.fromkeys(found))


def _reverse_path(value: str) -> str:
    found = addresses(value)
    return found[0] if found else one_line(value).strip("<> ")
