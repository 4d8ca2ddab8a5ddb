"""Connections in the ledger: found by address or name, listed, paused, resumed, deleted.

What lives here: their transactions. How a file of connections is applied stands in ``storage.ledger.applying``.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from models.connection import Rule
from models.states import ConnectionState
from models.tables import Attempt, Connection, ConnectionVersion, Credential, Delivery, IntakeAddress, Upload


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionRef:
    """A connection as acceptance needs it: its current rule, and which version that is."""

    id: int
    version: int
    state: ConnectionState
    rule: Rule


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionRow:
    """A connection as the command line lists it."""

    ref: ConnectionRef
    health: str  #: of its latest accepted or rejected delivery: none, in_progress, completed, failed
    return_address: str
    username: str | None
    created_at: datetime


def by_address(session: Session, local_part: str) -> ConnectionRef | None:
    """Find the connection of an intake address (local part without tag, any case), unless it is deleted."""
    statement = (
        select(Connection, ConnectionVersion)
        .join(IntakeAddress, col(IntakeAddress.connection_id) == col(Connection.id))
        .join(ConnectionVersion, _current())
        .where(IntakeAddress.local_part == local_part.lower(), col(IntakeAddress.retired_at).is_(None))
        .where(Connection.state != ConnectionState.DELETED)
    )
    row = session.exec(statement).first()
    return None if row is None else make_ref(*row)


def by_name(session: Session, name: str) -> ConnectionRef | None:
    """Find a connection by its name, in any case."""
    statement = (
        select(Connection, ConnectionVersion)
        .join(ConnectionVersion, _current())
        .where(Connection.name_key == name.casefold())
    )
    row = session.exec(statement).first()
    return None if row is None else make_ref(*row)


def name_is_known(session: Session, name: str) -> bool:
    """Tell whether a connection has, or had before it was deleted, this name in any case."""
    names = session.exec(select(Connection.name))
    return name.casefold() in {one.casefold() for one in names}


def list_all(session: Session) -> list[ConnectionRow]:
    """List every connection that is not deleted, by name."""
    statement = (
        select(Connection, ConnectionVersion, Credential)
        .join(ConnectionVersion, _current())
        .join(Credential, col(Credential.id) == Connection.credential_id, isouter=True)
        .where(Connection.state != ConnectionState.DELETED)
        .order_by(col(Connection.name_key))
    )
    return [
        ConnectionRow(
            ref=make_ref(connection, version),
            health=_health(session, connection),
            return_address=credential.return_address if credential else "",
            username=credential.username if credential else None,
            created_at=connection.created_at,
        )
        for connection, version, credential in session.exec(statement)
    ]


def set_state(session: Session, name: str, state: ConnectionState, now: datetime) -> bool:
    """Pause, resume or delete a connection; False when there is none of that name.

    A deleted connection keeps its history and its addresses, which are never given out again; its name is free.
    """
    connection = session.exec(select(Connection).where(Connection.name_key == name.casefold())).first()
    if connection is None:
        return False
    connection.state = state
    if state is ConnectionState.DELETED:
        connection.name_key = None
        connection.deleted_at = now
        addresses = session.exec(select(IntakeAddress).where(IntakeAddress.connection_id == connection.id))
        for address in addresses:
            address.retired_at = address.retired_at or now
            session.add(address)
    session.add(connection)
    return True


def former_connection(session: Session, trace_id: str) -> tuple[int, int, Rule]:
    """Give id, version and rule of the connection that a delivery names, also a deleted one."""
    delivery = session.get_one(Delivery, trace_id)
    rule = rule_of_version(session, delivery.connection_id, delivery.version)
    return delivery.connection_id, delivery.version, rule


def rule_of_version(session: Session, connection_id: int, number: int) -> Rule:
    """Give the rule a connection had in one of its versions."""
    version = session.get_one(ConnectionVersion, (connection_id, number))
    return Rule.from_json(version.rule)


def _current() -> sa.ColumnElement[bool]:
    return (col(ConnectionVersion.connection_id) == col(Connection.id)) & (
        col(ConnectionVersion.number) == col(Connection.version)
    )


def make_ref(connection: Connection, version: ConnectionVersion) -> ConnectionRef:
    """Give a connection with one of its versions as acceptance needs it."""
    assert connection.id is not None
    return ConnectionRef(
        id=connection.id,
        version=connection.version,
        state=ConnectionState(connection.state),
        rule=Rule.from_json(version.rule),
    )


_HEALTH = {
    "queued": "in_progress",
    "in_progress": "in_progress",
    "completed": "completed",
    "completed_with_errors": "completed",
    "rejected": "failed",
    "aborted": "failed",
}


def _health(session: Session, connection: Connection) -> str:
    statement = (
        select(Delivery)
        .where(Delivery.connection_id == connection.id, col(Delivery.verdict).in_(["accepted", "rejected"]))
        .order_by(col(Delivery.received_at).desc())
        .limit(1)
    )
    latest = session.exec(statement).first()
    if latest is None:
        return "none"
    if latest.verdict == "rejected":
        return "failed"
    attempts = (
        select(Attempt)
        .join(Upload, col(Upload.id) == Attempt.upload_id)
        .where(Upload.trace_id == latest.trace_id)
        .order_by(col(Attempt.number))
    )
    last = {attempt.upload_id: attempt.status for attempt in session.exec(attempts)}
    words = {_HEALTH[status] for status in last.values()}
    return next((word for word in ("failed", "in_progress", "completed") if word in words), "in_progress")
