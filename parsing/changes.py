"""What is unlike the files before: other columns, far fewer rows.

What lives here: warnings only; such a file is taken all the same.
"""

from models.codes import Code
from models.result import Warning_

SHORT = 2  #: a file with fewer rows than the usual number divided by this is far shorter
FEW = 10  #: where fewer rows than this are usual, their number says nothing
_NAMED = 10  #: columns that are named one by one


def changed_header(before: tuple[str, ...] | None, now: tuple[str, ...] | None) -> tuple[Warning_, ...]:
    """Warn where columns came or went since the last accepted file; their order may change."""
    if before is None or now is None or set(before) == set(now):
        return ()
    came = [name for name in now if name not in set(before)]
    went = [name for name in before if name not in set(now)]
    parts = [f"{_listed(names)} {verb}" for names, verb in ((came, "came"), (went, "went")) if names]
    message = f"The columns differ from the last accepted file: {', '.join(parts)}."
    return (Warning_(code=Code.HEADER_CHANGED, message=message),)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(name[:100] or "(no name)" for name in names[:_NAMED]) + more


def short_file(usual: int | None, total: int) -> tuple[Warning_, ...]:
    """Warn where a file has far fewer rows than those before it."""
    if usual is None or usual < FEW or total * SHORT >= usual:
        return ()
    message = f"The file has {total} rows where about {usual} are usual; check that it is whole."
    return (Warning_(code=Code.FILE_SHORT, message=message),)
