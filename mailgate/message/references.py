"""Which parts the HTML of a mail shows (``cid:``, RFC 2392).

What lives here: a bounded search of the HTML bodies. It only tells a logo from an attachment: broken HTML finds
nothing and is no fault.
"""

import contextlib
import re
from collections.abc import Sequence
from urllib.parse import unquote

from mailgate.message.decode import decode
from mailgate.message.source import Source
from models.faults import PermanentError
from models.message import Part

_CID = re.compile(rb"cid:([^\s\"'<>)]{1,1000})", re.IGNORECASE)


class _Enough(Exception):
    pass


def referenced_ids(source: Source, parts: Sequence[Part], limit: int) -> frozenset[str]:
    """Return the content ids that the HTML bodies show; ``limit`` bounds the bytes decoded for it."""
    found: set[str] = set()
    for part in parts:
        if limit <= 0:
            break
        if part.content_type == "text/html" and part.disposition != "attachment" and part.fault is None:
            html = _beginning(source, part, limit)
            limit -= len(html)
            for match in _CID.finditer(html):
                text = match.group(1).decode("utf-8", "replace")
                found.update((text, unquote(text), text.replace("&amp;", "&")))
    return frozenset(found)


def _beginning(source: Source, part: Part, limit: int) -> bytes:
    html = bytearray()

    def keep(data: bytes) -> None:
        html.extend(data[: limit - len(html)])
        if len(html) >= limit:
            raise _Enough

    with contextlib.suppress(_Enough, PermanentError):
        decode(source, part, keep, run=min(limit, 64 * 1024))
    return bytes(html)
