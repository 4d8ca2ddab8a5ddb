"""Text in headers: character sets and encoded words (RFC 2047).

What lives here: bytes and words to text, and whether the text is sound. Nothing is guessed: an unknown character set
or broken base64 leaves the word as it stands, and says so.
"""

import binascii
import re
from dataclasses import dataclass
from encodings.aliases import aliases

from mailgate.message.fields import clean

_WORD = re.compile(r"=\?([A-Za-z0-9_.:\-]{1,40})(?:\*[A-Za-z0-9\-]{0,40})?\?([bBqQ])\?([^?]*)\?=")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}").fullmatch

# Python caches each unknown name for ever and has codecs that are no character sets: only known names are looked up.
_KNOWN = (frozenset(aliases) | frozenset(aliases.values()) | {"cp874", "koi8_t", "koi8_u"}) - {
    *("base64_codec", "base64", "base_64", "bz2_codec", "bz2", "hex_codec", "hex", "quopri_codec", "quopri"),
    *("quoted_printable", "quotedprintable", "rot_13", "rot13", "uu_codec", "uu", "zlib_codec", "zip", "zlib"),
    *("mbcs", "ansi", "dbcs", "tactis", "tis260"),
}
_NICKNAMES = {"iso_8859_8_i": "iso8859_8", "iso_8859_6_i": "iso8859_6", "windows_874": "cp874", "dos_874": "cp874"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """Text with the word whether all of it could be read."""

    text: str
    sound: bool = True


def decode_charset(data: bytes, charset: str) -> Text:
    """Decode bytes by the name of their character set; unsound where name or bytes are wrong."""
    name = charset.lower().replace("-", "_")
    name = _NICKNAMES.get(name, name)
    if name not in _KNOWN:
        return Text(text=data.decode("ascii", "replace"), sound=False)
    try:
        return Text(text=data.decode(name))
    except (UnicodeError, LookupError):
        return Text(text=data.decode("ascii", "replace"), sound=False)


def decode_words(text: str) -> Text:
    """Decode every encoded word of a header value, also inside quotes and beside other text (RFC 2047 section 5).

    Neighbouring words of one character set are joined as bytes first: mailers cut characters in two.
    """
    if "=?" not in text:
        return _raw(text)
    pieces: list[tuple[str, bytes | str]] = []  # (charset, bytes) of a word, ("", text) of what stands between
    at = 0
    for match in _WORD.finditer(text):
        between = text[at : match.start()]
        # Blanks between two words are part of neither (RFC 2047 section 6.2).
        if between.strip() or (between and not (pieces and pieces[-1][0])):
            pieces.append(("", between))
        at = match.end()
        data = _word_bytes(match.group(2), match.group(3))
        charset = match.group(1).lower()
        if data is None:
            pieces.append(("?", match.group()))
        elif pieces and pieces[-1][0] == charset and isinstance(pieces[-1][1], bytes):
            pieces[-1] = (charset, pieces[-1][1] + data)
        else:
            pieces.append((charset, data))
    pieces.append(("", text[at:]))
    return _join(pieces)


def _join(pieces: list[tuple[str, bytes | str]]) -> Text:
    texts = [
        decode_charset(piece, charset)
        if isinstance(piece, bytes)
        else Text(text=piece, sound=False)
        if charset
        else _raw(piece)
        for charset, piece in pieces
    ]
    return Text(text="".join(t.text for t in texts), sound=all(t.sound for t in texts))


def _raw(text: str) -> Text:
    """Take raw UTF-8 as it stands (RFC 6532); other bytes arrive as surrogates and make the text unsound."""
    if text.isascii():
        return Text(text=text)
    cleaned = clean(text)
    return Text(text=cleaned, sound=cleaned == text)


def _word_bytes(encoding: str, payload: str) -> bytes | None:
    raw = payload.encode("utf-8", "surrogateescape")
    if encoding in "qQ":
        return binascii.a2b_qp(raw, header=True)
    packed = "".join(payload.split())
    if not _BASE64(packed):
        return None
    stripped = packed.rstrip("=")
    if len(stripped) % 4 == 1:
        return None
    # Missing padding is common and leaves nothing open.
    return binascii.a2b_base64(stripped + "=" * (-len(stripped) % 4))
