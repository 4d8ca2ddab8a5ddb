"""The imports before one: which columns they had and how many rows are usual.

What lives here: the one query over stored results. What is warned of is decided in ``parsing.changes``.
"""

from dataclasses import dataclass
from statistics import median_low

import sqlalchemy as sa
from sqlmodel import Session, col, select

from models.states import ImportStatus
from models.tables import Attempt, Delivery, Upload

LOOKED_AT = 10  #: completed imports that tell what is usual
FEWEST = 3  #: with fewer nothing is usual yet


@dataclass(frozen=True, slots=True)
class Before:
    """What is known of the files of a connection before one."""

    header: tuple[str, ...] | None = None  #: of the last accepted file that has a header line
    usual_rows: int | None = None


def files_before(session: Session, upload_id: str, data_type: str) -> Before:
    """Tell what the accepted files of one data type that came before an upload on its connection were like.

    Dry runs, replays and header-only files do not count, so that a replay is compared with what was before its own
    first import. The rows of a mended file, which are a part of a file's, are not what is usual.
    """
    upload = session.get_one(Upload, upload_id)
    before = sa.or_(
        col(Upload.received_at) < upload.received_at,
        sa.and_(col(Upload.trace_id) == upload.trace_id, col(Upload.part) < upload.part),
    )
    results = session.exec(
        select(Attempt.result)
        .select_from(Upload).join(Delivery).join(Attempt, col(Attempt.upload_id) == col(Upload.id))
        .where(
            Upload.connection_id == upload.connection_id, col(Upload.received_at) <= upload.received_at, before,
            Delivery.data_type == data_type, col(Delivery.dry_run).is_(False),
            col(Attempt.replay).is_(False), col(Attempt.no_rows).is_(False),
            col(Attempt.status).in_([ImportStatus.COMPLETED, ImportStatus.COMPLETED_WITH_ERRORS]),
        )
        .order_by(col(Upload.received_at).desc(), col(Upload.trace_id).desc(), col(Upload.part).desc())
        .limit(LOOKED_AT)
    ).all()  # fmt: skip
    found = [result for result in results if result]
    header = next((tuple(result["header"]) for result in found if result["delimiter"]), None)
    rows = [result["total_rows"] for result in found if result["parent_trace_id"] is None]
    return Before(header, median_low(rows) if len(rows) >= FEWEST else None)
