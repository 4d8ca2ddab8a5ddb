"""Builds messages by hand: the leaves as a splitter would give them, numbered in the order of the mail."""

from dataclasses import replace
from typing import Any

from models.connection import Rule
from models.faults import Fault
from models.judgement import Envelope
from models.message import Headers, Message, NameSource, Part, PartName

MIXED = ("multipart/mixed",)
ALTERNATIVE = ("multipart/mixed", "multipart/alternative")
RELATED = ("multipart/mixed", "multipart/related")

PATTERN = "Conversions_202?_*.csv"
GOOD = "Conversions_2026_05.csv"

RULE = Rule(name="acme-conversions", account="acme", data_type="conversions", pattern=PATTERN, credential="acme-batch")
ENVELOPE = Envelope(sender="batch@acme.example", recipient="acme-x7@intake.localhost")
HEADERS = Headers(from_addresses=("batch@acme.example",), from_fields=1)


def leaf(
    content_type: str,
    filename: str | None = None,
    *,
    extended: str | None = None,
    name: str | None = None,
    disposition: str = "",
    ancestors: tuple[str, ...] = MIXED,
    **more: Any,
) -> Part:
    """One leaf; ``filename``, ``extended`` and ``name`` are its readable names by source."""
    texts = {NameSource.FILENAME_EXTENDED: extended, NameSource.FILENAME: filename, NameSource.NAME: name}
    names = tuple(PartName(source=source, text=text) for source, text in texts.items() if text is not None)
    return Part(
        number=1,
        path="1",
        content_type=content_type,
        disposition=disposition,
        names=names,
        ancestors=ancestors,
        **more,
    )


def attachment(filename: str | None, content_type: str = "text/csv", **more: Any) -> Part:
    return leaf(content_type, filename, disposition="attachment", **more)


def body(content_type: str = "text/plain", **more: Any) -> Part:
    return leaf(content_type, **more)


def mail(*parts: Part, headers: Headers = HEADERS, fault: Fault | None = None) -> Message:
    numbered = tuple(
        replace(part, number=number, path=str(number), position=number - 1, last=number == len(parts))
        for number, part in enumerate(parts, 1)
    )
    return Message(headers=headers, parts=numbered, fault=fault)


def forwarded(*parts: Part, filename: str | None = "Fwd.eml", fault: Fault | None = None, **more: Any) -> Part:
    return leaf("message/rfc822", filename, inner=mail(*parts, fault=fault), **more)
