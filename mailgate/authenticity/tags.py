"""Lists of tag=value, as DKIM signatures, DKIM keys and DMARC records are written (RFC 6376 section 3.2).

What lives here: one linear reading. What a tag means stands where it is used.
"""

import re

_is_tag = re.compile(r"[A-Za-z][A-Za-z0-9_]*").fullmatch
_FOLDING = re.compile(r"[ \t\r\n]+")
_MOST = 100


class BadTags(ValueError):
    """Say that a text is no list of tags."""


def read_tags(text: str) -> dict[str, str]:
    """Give the tags by name, values without blanks around them; BadTags where one is malformed or stands twice."""
    pieces = text.split(";")
    if not pieces[-1].strip():
        pieces.pop()
    if len(pieces) > _MOST:
        raise BadTags(f"more than {_MOST} tags")
    tags: dict[str, str] = {}
    for piece in pieces:
        name, equals, value = piece.partition("=")
        name = name.strip()
        if not equals or not _is_tag(name):
            raise BadTags("a tag is malformed")
        if name in tags:
            raise BadTags(f"the tag {name[:20]} stands twice")
        tags[name] = value.strip()
    return tags


def without_blanks(text: str) -> str:
    """Give a value without the blanks and folds that may stand inside it."""
    return _FOLDING.sub("", text)
