"""Contents seen before (product rule 8): which delivery brought the same bytes first.

What lives here: the one query that decides it, for recording and for what was held.
"""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

import models.tables  # noqa: F401 - fills the metadata
from models.states import COUNTS_AS_FIRST, UploadStatus

_T = SQLModel.metadata.tables


def firsts_of_contents(
    session: Session, connection_ids: Collection[int], hashes: Collection[str], since: datetime
) -> dict[tuple[int, str, str], str]:
    """Map (connection, segment, sha256) to the delivery that brought it first, where its import counts.

    Only an upload whose last attempt is queued, in progress or completed counts. Dry runs, header-only files and
    replays do not: replays are left out of account, and what the last other attempt came to decides.
    """
    rows = session.connection().execute(
        _FIRSTS, {"connections": list(connection_ids), "hashes": list(hashes), "since": since}
    )
    firsts: dict[tuple[int, str, str], str] = {}
    for row in rows:
        firsts.setdefault((row.connection_id, row.segment, row.sha256), row.trace_id)
    return firsts


def _statement() -> sa.Select[tuple[int, str, str, str]]:
    upload, delivery, attempt = _T["upload"], _T["delivery"], _T["attempt"]
    later = attempt.alias("later")
    newer = sa.select(later.c.number).where(
        later.c.upload_id == attempt.c.upload_id, later.c.replay.is_(False), later.c.number > attempt.c.number
    )
    return (
        sa.select(upload.c.connection_id, upload.c.segment, upload.c.sha256, upload.c.trace_id)
        .select_from(
            upload.join(delivery, delivery.c.trace_id == upload.c.trace_id).join(
                attempt, attempt.c.upload_id == upload.c.id
            )
        )
        .where(upload.c.connection_id.in_(sa.bindparam("connections", expanding=True)))
        .where(upload.c.sha256.in_(sa.bindparam("hashes", expanding=True)))
        .where(upload.c.received_at >= sa.bindparam("since"))
        .where(upload.c.status == UploadStatus.IMPORT_JOB_CREATED.value, delivery.c.dry_run.is_(False))
        .where(attempt.c.replay.is_(False), attempt.c.no_rows.is_(False), ~newer.exists())
        .where(attempt.c.status.in_([status.value for status in COUNTS_AS_FIRST]))
        .order_by(upload.c.received_at, upload.c.id)
    )


_FIRSTS = _statement()
