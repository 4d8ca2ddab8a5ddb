"""How much of a mail is looked at before it is refused.

What lives here: the numbers. They are checked before the work they bound, so that every later step is linear.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bound the work that one mail can ask for; over them the fault is MESSAGE_LIMIT."""

    header_block: int = 256 * 1024  #: bytes of one header block
    header_field: int = 32 * 1024  #: characters of one header field
    header_fields: int = 2000  #: fields of one header block
    header_total: int = 1024 * 1024  #: bytes of all header blocks of a mail
    parts: int = 200  #: entities, leaves and multiparts and those of forwarded mails together
    depth: int = 20  #: multiparts and forwarded mails around a leaf
    boundary: int = 1000  #: bytes of one boundary
    lookalikes: int = 1000  #: places that look like a boundary and are none
    html: int = 1024 * 1024  #: decoded bytes of HTML searched for cid: (beyond it nothing is refused)
    run: int = 1024 * 1024  #: bytes read at once (no refusal either)


DEFAULT_LIMITS = Limits()
