"""The worker process: parses one file at a time for its parent, and dies with it.

What lives here: the loop of the child. It is started as ``python -m imports.worker_main FD LIFELINE`` and never forked:
polars and the event loop hold threads.
"""

import errno
import json
import os
import resource
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from imports.parse_job import ParseJob, ParseOutcome

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}
_ADDRESS_SPACE = 4 * 1024**3  # the outer wall; the parent watches resident memory


def perform(job: ParseJob) -> ParseOutcome:
    """Parse one file and write what was asked for."""
    from parsing import Options, parse
    from storage.descriptors import load_data_types

    report = parse(
        Path(job.path),
        load_data_types(Path(job.data_types_dir) if job.data_types_dir else None, job.enums)[job.data_type],
        Options(
            policy=job.policy, max_rows=job.max_rows, warn_rows=job.warn_rows, max_entries=job.max_entries,
            now=job.now, format=job.format, encoding=job.encoding, columns=job.columns,
            previous_header=job.previous_header, usual_rows=job.usual_rows,
        ),
    )  # fmt: skip
    if report.summary.entries:
        with Path(job.errors_path).open("wb") as out:
            report.write_errors(out, job.trace_id)
    if job.accepted_path:
        report.write_accepted(Path(job.accepted_path))
    return ParseOutcome(summary=report.summary, parent_trace_id=report.parent_trace_id)


def _die_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)  # returns only when the parent's end is closed
    os._exit(1)


def main(descriptor: int, lifeline: int) -> None:
    """Serve jobs until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True).start()
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    import parsing.accepted
    import parsing.json_form
    import parsing.json_reader
    import parsing.reading  # noqa: F401
    import storage.descriptors

    storage.descriptors.load_data_types()
    connection = Connection(descriptor)
    connection.send("ready")
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            outcome = perform(job)
        except Exception as error:  # noqa: BLE001 - the worker: the parent counts failures and parks the import
            no_room = isinstance(error, OSError) and error.errno in _DISK
            outcome = ParseOutcome(failure=f"{type(error).__name__}: {error}"[:500], no_room=no_room)
        connection.send(outcome)


def _say_why(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell what ended the worker in one line, as everything else in the log."""
    said = "".join(traceback.format_exception(kind, error, trace))
    line = {"room": "worker", "event": "a worker died", "level": "error", "exception": said}
    sys.stderr.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    sys.excepthook = _say_why
    main(int(sys.argv[1]), int(sys.argv[2]))
