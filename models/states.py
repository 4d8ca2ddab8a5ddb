"""The states a delivery, an upload and an import can be in, and the one table of moves between them.

What lives here: the words of the history and the transitions allowed. Whoever changes a state asks ``check_move``.
"""

from enum import StrEnum


class Verdict(StrEnum):
    """What acceptance said of a delivery."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    INCOMPLETE = "incomplete"
    WITHDRAWN = "withdrawn"


class UploadStatus(StrEnum):
    """What the upload history shows of one file."""

    RECEIVING = "receiving"
    HELD = "held"
    SETTLING = "settling"
    IMPORT_JOB_CREATED = "import_job_created"
    UPLOAD_FAILED = "upload_failed"
    IGNORED = "ignored"
    DUPLICATE = "duplicate"
    INCOMPLETE = "incomplete"
    WITHDRAWN = "withdrawn"


class ImportStatus(StrEnum):
    """How far one attempt to import an upload has come."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    REJECTED = "rejected"
    ABORTED = "aborted"


class ConnectionState(StrEnum):
    """Whether a connection takes files."""

    ACTIVE = "active"
    PAUSED = "paused"
    DELETED = "deleted"


#: An upload of these verdicts shows this status in the history.
STATUS_OF_VERDICT: dict[Verdict, UploadStatus] = {
    Verdict.ACCEPTED: UploadStatus.IMPORT_JOB_CREATED,
    Verdict.IGNORED: UploadStatus.IGNORED,
    Verdict.REJECTED: UploadStatus.UPLOAD_FAILED,
    Verdict.DUPLICATE: UploadStatus.DUPLICATE,
    Verdict.INCOMPLETE: UploadStatus.INCOMPLETE,
    Verdict.WITHDRAWN: UploadStatus.WITHDRAWN,
}

#: An import that has ended will not move again; a replay is a new attempt.
ENDED: frozenset[ImportStatus] = frozenset(
    {ImportStatus.COMPLETED, ImportStatus.COMPLETED_WITH_ERRORS, ImportStatus.REJECTED, ImportStatus.ABORTED}
)

#: An upload whose last attempt is in one of these counts as the first of its content (product rule 8).
COUNTS_AS_FIRST: frozenset[ImportStatus] = frozenset(
    {ImportStatus.QUEUED, ImportStatus.IN_PROGRESS, ImportStatus.COMPLETED, ImportStatus.COMPLETED_WITH_ERRORS}
)

_U = UploadStatus
UPLOAD_MOVES: dict[UploadStatus | None, frozenset[UploadStatus]] = {
    None: frozenset(_U),
    _U.RECEIVING: frozenset(
        {_U.HELD, _U.SETTLING, _U.IMPORT_JOB_CREATED, _U.UPLOAD_FAILED, _U.INCOMPLETE, _U.WITHDRAWN}
    ),
    _U.HELD: frozenset(
        {
            _U.RECEIVING,
            _U.SETTLING,
            _U.IMPORT_JOB_CREATED,
            _U.UPLOAD_FAILED,
            _U.DUPLICATE,
            _U.WITHDRAWN,
            _U.IGNORED,
            _U.INCOMPLETE,  # never renamed from its temporary name, never marked
        }
    ),
    _U.SETTLING: frozenset(
        {_U.RECEIVING, _U.HELD, _U.IMPORT_JOB_CREATED, _U.UPLOAD_FAILED, _U.DUPLICATE, _U.WITHDRAWN}
    ),
    _U.INCOMPLETE: frozenset({_U.RECEIVING, _U.WITHDRAWN}),
    _U.IMPORT_JOB_CREATED: frozenset(),
    _U.UPLOAD_FAILED: frozenset(),
    _U.IGNORED: frozenset(),
    _U.DUPLICATE: frozenset({_U.IMPORT_JOB_CREATED}),  # replayed on an operator's word
    _U.WITHDRAWN: frozenset(),
}

_I = ImportStatus
IMPORT_MOVES: dict[ImportStatus | None, frozenset[ImportStatus]] = {
    None: frozenset({_I.QUEUED}),
    _I.QUEUED: frozenset({_I.IN_PROGRESS, _I.ABORTED}),
    _I.IN_PROGRESS: ENDED,
    _I.COMPLETED: frozenset(),
    _I.COMPLETED_WITH_ERRORS: frozenset(),
    _I.REJECTED: frozenset(),
    _I.ABORTED: frozenset(),
}


class MoveNotAllowed(Exception):
    """Say that a change of state stands in no table; raised by ``check_move``."""


def check_move(before: UploadStatus | ImportStatus | None, after: UploadStatus | ImportStatus) -> None:
    """Raise MoveNotAllowed unless the table allows the move; ``before`` is None at creation."""
    allowed = UPLOAD_MOVES.get(before) if isinstance(after, UploadStatus) else IMPORT_MOVES.get(before)  # type: ignore[arg-type]
    if allowed is None or after not in allowed:
        raise MoveNotAllowed(f"{type(after).__name__}: {before} -> {after}")
