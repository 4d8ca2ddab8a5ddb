"""What every upload at a file door asks and writes, as statements that are made once.

What lives here: the common case, in which nobody else stands under the name. Building a statement costs as much as
running it, and an object for each new row as much again; what becomes of rows that are there stands in ``arriving``.
"""

from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from models.states import UploadStatus
from models.tables import Delivery, Event, FolderFile, Upload
from storage.ledger.folders import HERE, Place, here


def _table(model: type[SQLModel]) -> sa.Table:
    table: sa.Table = SQLModel.metadata.tables[str(model.__tablename__)]
    return table


_F, _U = _table(FolderFile), _table(Upload)
_UNDER_WAY = (
    sa.select(sa.func.count())
    .select_from(_F.join(_U, _U.c.id == _F.c.upload_id))
    .where(_F.c.credential_id == sa.bindparam("credential"), _F.c.gone_at.is_(None))
    .where(_U.c.status == str(UploadStatus.RECEIVING))
    .scalar_subquery()
)
_NAMES = sa.select(sa.func.count()).select_from(_F).where(HERE).scalar_subquery()
_COUNTS = sa.select(_UNDER_WAY, _NAMES)
_INSERTS = tuple(sa.insert(_table(model)) for model in (Delivery, Upload, Event))
_INSERT_FILE = sa.insert(_F)


def counts(session: Session, place: Place) -> tuple[int, int]:
    """Count the uploads of a credential that are under way, and the names in one of its folders."""
    under_way, names = session.connection().execute(_COUNTS, here(place)).one()
    return int(under_way), int(names)


def insert_upload(
    session: Session, *, delivery: dict[str, Any], upload: dict[str, Any], event: dict[str, Any], file: dict[str, Any]
) -> int:
    """Write a delivery, its upload, its event and its file; gives the id of the last."""
    connection = session.connection()
    for statement, row in zip(_INSERTS, (delivery, upload, event), strict=True):
        connection.execute(statement, row)
    key = connection.execute(_INSERT_FILE, file).inserted_primary_key
    assert key is not None
    return int(key[0])
