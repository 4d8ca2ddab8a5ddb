"""What goes between the service and its worker processes.

What lives here: values that are pickled; a module of its own, since the child's main module has another name there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from models.result import Summary


@dataclass(frozen=True, kw_only=True, slots=True)
class ParseJob:
    """What a worker is asked to do with one file."""

    path: str
    data_type: str
    policy: str
    max_rows: int
    warn_rows: int
    max_entries: int
    now: datetime
    trace_id: str
    errors_path: str  #: written only when there are entries
    accepted_path: str = ""  #: written only when set: .csv or .parquet
    data_types_dir: str = ""  #: of an operator's own data types; empty: none
    enums: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)  #: data type → field → values
    format: str = ""  #: csv | jsonl; empty: what the first bytes say
    encoding: str = ""  #: of files without a byte-order mark; empty: UTF-8
    columns: Mapping[str, str] = field(default_factory=dict)  #: their column's name → ours
    previous_header: tuple[str, ...] | None = None  #: of the last accepted file
    usual_rows: int | None = None  #: of the files before it


@dataclass(frozen=True, kw_only=True, slots=True)
class ParseOutcome:
    """What a worker found; an unexpected fault of ours stands in ``failure``."""

    summary: Summary | None = None
    parent_trace_id: str | None = None
    failure: str = ""
    no_room: bool = False  #: the failure is that the disk took no more
