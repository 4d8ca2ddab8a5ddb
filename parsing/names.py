"""Names of columns: what is trimmed from them, how they are compared and how they are shown.

What lives here: pure functions on one name. What a name means in a file stands in ``parsing.header``.
"""

import sys
import unicodedata
from collections.abc import Mapping

from models.data_type import DataType

Names = Mapping[str, str]  #: their column's name → ours
MAX_NAME = 100  #: characters of a column's name that are compared and shown

#: blanks and characters without width, which nobody sees around a name
_HIDDEN = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_BLANKS = "".join(chr(i) for i in range(min(sys.maxunicode, 0x3001)) if chr(i).isspace()) + _HIDDEN
_QUOTES = "\"'`´‘’“”„«»"


def trimmed(cell: str) -> str:
    """Give a name without the blanks and hidden characters around it."""
    return cell.strip(_BLANKS)


def bare(name: str) -> str:
    """Give a name without quotes and what cannot be seen around it, for comparisons only."""
    return name.strip(_BLANKS + _QUOTES)


def shown(name: str) -> str:
    """Give a name for a message, cut, with what cannot be seen written out."""
    return "".join(f"<U+{ord(letter):04X}>" if _is_hidden(letter) else letter for letter in name[:MAX_NAME])


def _is_hidden(letter: str) -> bool:
    return unicodedata.category(letter) in {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}


def folded(name: str, data_type: DataType) -> str:
    """Give a name as the data type compares it."""
    return name.casefold() if data_type.header_case == "ignore" else name


def known_names(data_type: DataType, theirs: Names) -> set[str]:
    """Give the names that a header may hold beside families, folded."""
    names = [name for field in data_type.fields for name in (field.name, *field.aliases)]
    return {folded(name, data_type) for name in (*names, *theirs)}


def near(name: str, candidates: list[str]) -> str | None:
    """Give the candidate that is the name in other case or in quotes, or nearly the name; None where none is."""
    by_name = {bare(candidate).casefold(): candidate for candidate in candidates if len(candidate) <= MAX_NAME}
    if len(name) > MAX_NAME:
        return None
    wanted = bare(name).casefold()
    if wanted in by_name:
        return by_name[wanted]
    from difflib import get_close_matches

    close = get_close_matches(wanted, list(by_name), n=1, cutoff=0.8)
    return by_name[close[0]] if close else None
