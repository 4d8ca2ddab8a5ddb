"""The file names of a part: every readable one with its source, best first.

What lives here: RFC 2231 (RFC 2231 sections 3 and 4), the base name, NFC. Which of several names holds is not decided
here, nor whether a name is allowed.
"""

import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from mailgate.message.parameters import Doubt, Parameter
from mailgate.message.words import Text, decode_charset, decode_words
from models.message import NameSource, PartName

_SECTION = re.compile(r"\*(?:(0|[1-9][0-9]{0,3})(\*)?)?").fullmatch

_LONGEST = 1000  # characters


def part_names(disposition: Sequence[Parameter], content_type: Sequence[Parameter]) -> tuple[PartName, ...]:
    """Return the distinct readable names of a part; raises ``Doubt`` where one parameter says two things.

    Where no name is readable, the best one is returned with U+FFFD: a part with a name must never pass for one without.
    """
    found: list[tuple[NameSource, Text]] = []
    for parameters, base, extended, plain in (
        (disposition, "filename", NameSource.FILENAME_EXTENDED, NameSource.FILENAME),
        (content_type, "name", NameSource.NAME_EXTENDED, NameSource.NAME),
    ):
        found.extend((extended, text) for text in _extended(parameters, base))
        found.extend((plain, text) for text in _plain(parameters, base))
    present = [(source, text) for source, text in found if text.text.strip()]
    readable = [(source, text) for source, text in present if text.sound] or present[:1]
    names: dict[str, PartName] = {}
    for source, text in readable:
        name = base_name(text.text)
        names.setdefault(name, PartName(source=source, text=name))
    return tuple(names.values())


def base_name(text: str) -> str:
    """Return what stands behind the last slash or backslash, in NFC."""
    # Blanks alone: a control character at the end must stay, to be refused.
    text = text.strip(" ")
    text = text[max(text.rfind("/"), text.rfind("\\")) + 1 :].strip(" ")
    # Normalising takes quadratic time for hostile text, and no name of this length is valid.
    return text if text.isascii() or len(text) > _LONGEST else unicodedata.normalize("NFC", text)


def parameter_text(parameters: Sequence[Parameter], base: str) -> str:
    """Return one parameter's text, RFC 2231 or plain, empty where absent."""
    for text in (*_extended(parameters, base), *_plain(parameters, base)):
        return text.text
    return ""


def _plain(parameters: Sequence[Parameter], base: str) -> list[Text]:
    texts: list[Text] = []
    for parameter in parameters:
        if parameter.name != base:
            continue
        _require_quotes(parameter, " \t(")
        texts.append(decode_words(parameter.value))
    return _once(texts, base)


def _require_quotes(parameter: Parameter, around: str) -> None:
    if not parameter.quoted and "=?" not in parameter.value and any(c in parameter.value for c in around):
        raise Doubt(f"the parameter {parameter.name[:40]} holds a space or a comment and no quotes")


def _extended(parameters: Sequence[Parameter], base: str) -> list[Text]:
    texts: list[Text] = []
    sections: dict[int, tuple[bool, str]] = {}
    for parameter in parameters:
        name = parameter.name
        if not (name.startswith(base) and name[len(base) : len(base) + 1] == "*"):
            continue
        _require_quotes(parameter, " \t")
        match = _SECTION(name, len(base))
        if match is None:
            raise Doubt(f"the parameter {name[:40]} is no RFC 2231 section")
        if match.group(1) is None:
            texts.append(_percent([(True, parameter.value)]))
            continue
        section = (match.group(2) is not None, parameter.value)
        if sections.setdefault(int(match.group(1)), section) != section:
            raise Doubt(f"the parameter {name[:40]} is given twice")
    if sections:
        if set(sections) != set(range(len(sections))):
            raise Doubt(f"a section of the parameter {base} is missing")
        texts.append(_percent([sections[n] for n in range(len(sections))]))
    return _once(texts, base)


def _percent(sections: list[tuple[bool, str]]) -> Text:
    if not any(encoded for encoded, _ in sections):
        return decode_words("".join(value for _, value in sections))
    charset = "utf-8"
    encoded, first = sections[0]
    if encoded and first.count("'") == 1:
        raise Doubt("an extended parameter has one of its two apostrophes (RFC 2231 section 4)")
    if encoded and "'" in first:
        charset, _, first = first.split("'", 2)
    data = b"".join(
        unquote_to_bytes(raw) if escaped else raw
        for escaped, raw in (
            (escaped, value.encode("utf-8", "surrogateescape")) for escaped, value in ((encoded, first), *sections[1:])
        )
    )
    return decode_charset(data, charset or "utf-8")


def _once(texts: list[Text], base: str) -> list[Text]:
    if len({text.text for text in texts}) > 1:
        raise Doubt(f"the parameter {base} is given twice, with different values")
    return texts[:1]
