"""The catalogue: one entry for each code, the source of hints, of ``mailgate explain`` and of ``docs/errors.md``.

What lives here: the gathering and its check. The texts stand in ``models.catalogue_file``, ``catalogue_arrival``,
``catalogue_row`` and ``catalogue_delivery``; nobody else imports those.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from models import catalogue_arrival, catalogue_delivery, catalogue_file, catalogue_row
from models.catalogue_entry import Entry, Scope, Severity
from models.codes import Code

__all__ = ["CATALOGUE", "Entry", "Scope", "Severity", "gather"]


def gather(entries: Iterable[Entry]) -> Mapping[Code, Entry]:
    """Give the entries by code, in the order of ``Code``; raise ValueError unless each code has exactly one."""
    found: dict[Code, Entry] = {}
    for entry in entries:
        if entry.code in found:
            raise ValueError(f"{entry.code} stands in the catalogue twice")
        found[entry.code] = entry
    missing = [code for code in Code if code not in found]
    if missing:
        raise ValueError(f"the catalogue lacks {', '.join(missing)}")
    return MappingProxyType({code: found[code] for code in Code})


CATALOGUE: Mapping[Code, Entry] = gather(
    (
        *catalogue_file.REJECTED,
        *catalogue_file.WARNINGS,
        *catalogue_arrival.REJECTED,
        *catalogue_row.ERRORS,
        *catalogue_row.WARNINGS,
        *catalogue_delivery.IGNORED,
        *catalogue_delivery.OURS,
    )
)
