"""Run mailgate with every statement and transaction of its databases counted: ``python -m benchmarks.counted FILE …``.

The counts are written to FILE ten times a second; the rest of the line is mailgate's own.
"""

import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import sqlalchemy as sa

counts: Counter[str] = Counter()


def _statement(_connection: Any, _cursor: Any, statement: str, _values: Any, _context: Any, many: bool) -> None:
    verb = statement.lstrip().split(None, 1)[0].upper()
    counts[verb if verb in {"SELECT", "INSERT", "UPDATE", "DELETE"} else "OTHER"] += 1
    counts["executemany"] += many


def _commit(connection: sa.Connection) -> None:
    counts["COMMIT"] += 1


def _keep_writing(path: Path) -> None:
    while True:
        new = path.with_suffix(".new")
        new.write_text(json.dumps(counts))
        os.replace(new, path)
        time.sleep(0.1)


if __name__ == "__main__":
    out = Path(sys.argv.pop(1))
    sa.event.listen(sa.Engine, "before_cursor_execute", _statement)
    sa.event.listen(sa.Engine, "commit", _commit)
    threading.Thread(target=_keep_writing, args=(out,), daemon=True).start()
    from mailgate.cli import main

    main()
