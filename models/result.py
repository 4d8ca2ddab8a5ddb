"""The result of an import, as ``result_<name>.json`` and ``mailgate check --json`` print it.

What lives here: the parse summary and the result object with its keys in their order. No I/O.
"""

from dataclasses import asdict, dataclass
from typing import Any

from models.codes import Code
from models.states import ImportStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Warning_:  # noqa: N801 - Warning is a built-in
    """One warning about the file as a whole."""

    code: Code
    message: str
    column: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What parsing found, without ids and times. Counts are None where structure could not be read.

    Always total_rows = successful_rows + unchanged_rows + error_rows + not_applied_rows.
    """

    status: ImportStatus  #: completed, completed_with_errors or rejected
    code: Code | None = None  #: why it was rejected, or the loud warning (UNEXPECTED_END)
    message: str = ""
    total_rows: int | None = None
    successful_rows: int | None = None
    unchanged_rows: int | None = None
    error_rows: int | None = None
    not_applied_rows: int | None = None
    blank_rows: int | None = None
    warnings: tuple[Warning_, ...] = ()  #: about the file; warnings about rows are entries of the errors file
    encoding: str | None = None  #: e.g. "utf-8"
    byte_order_mark: bool = False
    delimiter: str | None = None
    header: tuple[str, ...] | None = None
    entries: int = 0  #: lines the errors file will have (errors and row warnings, after the cut)
    entries_cut: bool = False  #: more than the limit were found; the errors file stops there
    top_errors: tuple[tuple[Code, int], ...] = ()  #: error codes with their counts, most frequent first, at most 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """The ids and times that a result carries beside what parsing found."""

    trace_id: str | None = None
    upload: str | None = None
    parent_trace_id: str | None = None
    connection: str | None = None
    data_type: str = ""
    file_name: str = ""
    sha256: str = ""
    attempt: int = 1
    started_at: str = ""
    finished_at: str = ""
    errors_file: str | None = None
    support_contact: str = ""


def result_object(identity: Identity, summary: Summary) -> dict[str, Any]:
    """Give the result object of ``formats.md`` with its keys in their order."""
    i, s = identity, summary
    return {
        "trace_id": i.trace_id,
        "upload": i.upload,
        "parent_trace_id": i.parent_trace_id,
        "connection": i.connection,
        "data_type": i.data_type,
        "file_name": i.file_name,
        "sha256": i.sha256,
        "status": str(s.status),
        "attempt": i.attempt,
        "total_rows": s.total_rows,
        "successful_rows": s.successful_rows,
        "unchanged_rows": s.unchanged_rows,
        "error_rows": s.error_rows,
        "not_applied_rows": s.not_applied_rows,
        "blank_rows": s.blank_rows,
        "warnings": [{k: str(v) for k, v in asdict(w).items() if v} for w in s.warnings],
        "encoding": s.encoding,
        "byte_order_mark": s.byte_order_mark,
        "delimiter": s.delimiter,
        "header": None if s.header is None else list(s.header),
        "started_at": i.started_at or None,
        "finished_at": i.finished_at or None,
        "errors_file": i.errors_file,
        "top_errors": [{"code": str(code), "count": count} for code, count in s.top_errors],
        "code": None if s.code is None else str(s.code),
        "message": s.message,
        "support_contact": i.support_contact,
    }
