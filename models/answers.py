"""The three answers: how their files are called.

What lives here: names, and a sentence that more than one of them says. The rest is rendered by ``imports`` and
``parsing``.
"""

from collections import Counter
from collections.abc import Sequence

_MOST = 200  # bytes of the original name in an answer's name


def cut_name(name: str) -> str:
    """Cut a file name to 200 bytes at a character."""
    return name.encode()[:_MOST].decode(errors="ignore")


def answer_names(names: Sequence[str]) -> list[str]:
    """Give each file of a delivery the name its answers carry; equal names are told apart by ``.1``, ``.2``."""
    times = Counter(names)
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(cut_name(name) + (f".{seen[name]}" if times[name] > 1 else ""))
    return result


def receipt_name(name: str) -> str:
    """Name the receipt of a file, from the name ``answer_names`` gave."""
    return f"receipt_{name}.txt"


def result_name(name: str) -> str:
    """Name the result of a file."""
    return f"result_{name}.json"


def errors_name(name: str) -> str:
    """Name the errors file of a file."""
    return f"result_{name}.errors.csv"


def superseding(upload: str) -> str:
    """Say that a file begins with the whole of one that was accepted before."""
    return f"This file begins with the whole of {upload}, accepted before under the same name, and supersedes it."
