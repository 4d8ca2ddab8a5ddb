"""Makes ``docs/errors.md`` from the catalogue: ``python -m tests.docs.render_errors`` writes it."""

from pathlib import Path

from models.catalogue import CATALOGUE, Entry, Scope, Severity

PATH = Path(__file__).parents[2] / "docs" / "errors.md"

HEAD = """\
# Codes

Every receipt, result and errors file names its reason by one of these codes. `mailgate explain CODE` prints the same.

This page is made from the catalogue in `models/`; change it there, then run `python -m tests.docs.render_errors`.
"""

SECTIONS: tuple[tuple[Scope, Severity, str, str], ...] = (
    (Scope.FILE, Severity.ERROR, "The file is rejected", "Nothing of the file is imported."),
    (Scope.FILE, Severity.WARNING, "The file is imported, with a warning", "The result names the warning."),
    (
        Scope.ROW,
        Severity.ERROR,
        "One row is refused",
        "The errors file names the row; the others are imported, unless your connection says otherwise.",
    ),
    (Scope.ROW, Severity.WARNING, "One row is imported, with a warning", "The errors file names the row."),
    (
        Scope.DELIVERY,
        Severity.IGNORED,
        "The delivery is ignored",
        "Nothing is imported, and the history shows the delivery with its reason.",
    ),
    (Scope.OURS, Severity.ERROR, "Cut off, or our own fault", "The file itself may be in order."),
)


def _entry(entry: Entry) -> str:
    return (
        f"### {entry.code}\n\n**{entry.title}.** {entry.meaning}\n\n- Mend: {entry.mend}\n- Example: {entry.example}\n"
    )


def render() -> str:
    """Give the whole page."""
    blocks = [HEAD]
    for scope, severity, title, lead in SECTIONS:
        blocks.append(f"## {title}\n\n{lead}\n")
        blocks += [_entry(e) for e in CATALOGUE.values() if (e.scope, e.severity) == (scope, severity)]
    return "\n".join(blocks)


if __name__ == "__main__":
    PATH.write_text(render(), encoding="utf-8")
