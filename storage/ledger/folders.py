"""Clients' folders in the ledger: whose they are, and what stands in them.

What lives here: reading functions. Every one is asked for one credential: accounts are walls.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col, select

from models.connection import Rule
from models.states import ENDED, ConnectionState, UploadStatus
from models.tables import Attempt, Connection, ConnectionVersion, Credential, FolderFile, Upload
from storage.ledger.connections import ConnectionRef

#: Closed or cut, and not judged yet: what the client may still take back.
OPEN_STATES = frozenset({UploadStatus.HELD, UploadStatus.SETTLING, UploadStatus.INCOMPLETE})
VANISHING = frozenset({UploadStatus.IMPORT_JOB_CREATED, UploadStatus.DUPLICATE, UploadStatus.IGNORED})


_F: sa.Table = SQLModel.metadata.tables[str(FolderFile.__tablename__)]
#: What stands in a folder, for statements that are made once: building one costs as much as running it.
HERE = (
    (_F.c.credential_id == sa.bindparam("credential"))
    & (_F.c.folder == sa.bindparam("folder"))
    & (_F.c.dry_run == sa.bindparam("dry_run"))
    & _F.c.gone_at.is_(None)
)
_OTHERS = sa.select(_F.c.id).where(HERE, _F.c.name == sa.bindparam("name"), _F.c.id != sa.bindparam("but")).limit(1)
_HELD = sa.select(sa.func.sum(_F.c.size)).where(
    _F.c.credential_id == sa.bindparam("credential"), _F.c.spool.is_not(None) | _F.c.blob.is_not(None)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One folder of one credential that takes uploads."""

    credential_id: int
    folder: str
    dry_run: bool = False

    @property
    def path(self) -> str:
        """Give the path a client sees."""
        return f"{self.folder.rstrip('/')}/dryrun" if self.dry_run else self.folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What stands under a name."""

    file_id: int
    generation: int
    name: str
    size: int  #: as of the last close or cut
    touched_at: datetime
    status: UploadStatus | None  #: None: a marker file that waits for its file
    trace_id: str = ""
    code: str | None = None
    message: str = ""
    spool: str | None = None
    stored: str | None = None  #: the blob with its bytes before it is judged, where all nodes find it
    node: str = ""  #: that wrote to it last
    blob: str | None = None
    due_at: datetime | None = None  #: settled then, and judged as soon as somebody looks
    judged: bool = False
    import_ended: bool = True


def connections_of(session: Session, credential: str) -> tuple[int, tuple[ConnectionRef, ...]] | None:
    """Give a credential's id and its connections that have a folder, oldest first; None when there is none such."""
    found = session.exec(select(Credential.id).where(Credential.name_key == credential.casefold())).first()
    return None if found is None else (found, connections_with_folder(session, found))


def connections_with_folder(session: Session, credential_id: int, folder: str = "") -> tuple[ConnectionRef, ...]:
    """Give the connections of a credential that have a folder (this one), oldest first."""
    rows = session.exec(
        select(Connection, ConnectionVersion)
        .join(
            ConnectionVersion,
            (col(ConnectionVersion.connection_id) == col(Connection.id))
            & (col(ConnectionVersion.number) == col(Connection.version)),
        )
        .where(Connection.credential_id == credential_id, Connection.state != ConnectionState.DELETED)
        .order_by(col(Connection.id))
    )
    refs = [
        ConnectionRef(
            id=connection.id or 0, version=connection.version, state=ConnectionState(connection.state),
            rule=Rule.from_json(version.rule),
        )
        for connection, version in rows
    ]  # fmt: skip
    return tuple(ref for ref in refs if ref.rule.takes_files and folder in ("", ref.rule.folder))


def names_in(session: Session, place: Place, now: datetime, visible: timedelta, name: str | None = None) -> list[Seen]:
    """List what stands in a folder, by name, the newest of each; only one name where it is given.

    ``visible``: how long at least an accepted file is seen.
    """
    if name is not None and is_free(session, place, name):
        return []
    waits = (
        sa.select(sa.literal(1))
        .where(col(Attempt.upload_id) == col(Upload.id), col(Attempt.status).notin_(list(ENDED)))
        .exists()
    )
    statement = (
        select(FolderFile, Upload, waits)
        .join(Upload, col(Upload.id) == FolderFile.upload_id, isouter=True)
        .where(FolderFile.credential_id == place.credential_id, FolderFile.folder == place.folder)
        .where(FolderFile.dry_run == place.dry_run, col(FolderFile.gone_at).is_(None))
        .order_by(col(FolderFile.id))
    )
    if name is not None:
        statement = statement.where(FolderFile.name == name)
    newest: dict[str, Seen] = {}
    for file, upload, waiting in session.exec(statement):
        seen = _seen(file, upload, import_ended=not waiting)
        if not _vanished(file, seen, now, visible):
            newest[file.name] = seen
    return [newest[key] for key in sorted(newest)]


def bytes_held(session: Session, credential_id: int) -> int:
    """Give the bytes of a credential's files that wait to be judged or resumed."""
    return int(session.connection().execute(_HELD, {"credential": credential_id}).scalar_one() or 0)


def is_free(session: Session, place: Place, name: str, but: int | None = None) -> bool:
    """Tell whether nothing stands under a name, or nothing else than one file."""
    return session.connection().execute(_OTHERS, {**here(place), "name": name, "but": but or 0}).first() is None


def here(place: Place) -> dict[str, object]:
    """Give the values of ``HERE``."""
    return {"credential": place.credential_id, "folder": place.folder, "dry_run": place.dry_run}


def places_of(session: Session, connection_id: int) -> list[Place]:
    """Give the folders of a connection, the one for dry runs last; none for a connection without a folder."""
    connection = session.get_one(Connection, connection_id)
    version = session.get_one(ConnectionVersion, (connection_id, connection.version))
    rule = Rule.from_json(version.rule)
    if not rule.takes_files or connection.credential_id is None:
        return []
    where = connection.credential_id, rule.folder
    return [Place(credential_id=where[0], folder=where[1], dry_run=dry_run) for dry_run in (False, True)]


def place_of(file: FolderFile) -> Place:
    """Give the folder a file stands in."""
    return Place(credential_id=file.credential_id, folder=file.folder, dry_run=file.dry_run)


def _seen(file: FolderFile, upload: Upload | None, *, import_ended: bool) -> Seen:
    assert file.id is not None
    return Seen(
        file_id=file.id, generation=file.generation, name=file.name, size=file.size, touched_at=file.touched_at,
        status=UploadStatus(upload.status) if upload else None, trace_id=upload.trace_id if upload else "",
        code=upload.code if upload else None, message=upload.message if upload else "", spool=file.spool,
        stored=file.blob, node=file.node or "",
        blob=upload.blob if upload else None, due_at=file.due_at, judged=file.judged_at is not None,
        import_ended=import_ended,
    )  # fmt: skip


def _vanished(file: FolderFile, seen: Seen, now: datetime, visible: timedelta) -> bool:
    """Say whether a file is seen no more: processed, its session over, and seen for long enough."""
    if seen.status not in VANISHING or file.judged_at is None:
        return False
    return seen.import_ended and file.visit is None and now - file.judged_at >= visible
