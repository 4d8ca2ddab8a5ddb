"""File names as every door sees them: their normal form, and which are invalid, reserved or temporary.

What lives here: rules about one name alone. Whether it matches a connection is asked of ``matching.wildcard``, what
that means for a mail is decided in ``matching.roles``.
"""

from unicodedata import category, normalize

from models.codes import Code
from models.faults import Fault

MAX_NAME_BYTES = 255  #: of the UTF-8 form

RESERVED_PREFIXES = ("receipt_", "result_")
TEMPORARY_SUFFIXES = (".filepart", ".part", ".tmp", ".partial")

#: Embeddings, overrides and isolates, with their ends: they make `gpj.csv` look like `vsc.jpg`. The plain marks
#: (U+200E, U+200F, U+061C) change no order of Latin text and occur in honest Hebrew and Arabic names.
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_SHOWN = 120  #: characters of a name in a sentence


def normal_name(raw: str) -> str:
    """Give the name in NFC and without a path: what stands after the last slash or backslash."""
    return normalize("NFC", raw).replace("\\", "/").rpartition("/")[2]


def check_name(name: str) -> Fault | None:
    """Give the fault NAME_INVALID if no file may have this name (in its normal form), else None."""
    reason = _why_invalid(name)
    if reason is None:
        return None
    return Fault(code=Code.NAME_INVALID, message=f"The file name {printable(name)} cannot be used: {reason}.")


def is_reserved(name: str) -> bool:
    """Say whether the name begins like one of our own answers, in any case."""
    return normalize("NFC", name).lower().startswith(RESERVED_PREFIXES)


def is_temporary(name: str) -> bool:
    """Say whether upload programs use such a name until the file is whole; asked at file doors and pulls only."""
    return name.startswith(".") or name.lower().endswith(TEMPORARY_SUFFIXES)


def printable(name: str) -> str:
    """Give the name in double quotes for a sentence: cut, and with invisible characters written as escapes."""
    shown = name if len(name) <= _SHOWN else name[:_SHOWN] + "…"
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown) + '"'


def _why_invalid(name: str) -> str | None:
    if not name:
        return "it is empty"
    if name in (".", ".."):
        return "it names a folder"
    if any(category(c) == "Cc" for c in name):
        return "it holds a control character"
    if not _BIDIRECTIONAL.isdisjoint(name):
        return "it holds a mark that changes the reading direction"
    try:
        length = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return "it holds something that is not a character"
    if length > MAX_NAME_BYTES:
        return f"it has {length} bytes, and {MAX_NAME_BYTES} is the most"
    return None
