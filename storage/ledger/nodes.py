"""Nodes in the ledger: which service processes there are, and which of them are dead.

What lives here: their transactions. A node says every few seconds that it lives; one that has said nothing for
``DEAD_AFTER`` is taken for dead and its work is handed on. A paused process may wake up again: what it then does is
fenced where it is done.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, delete, select

from models.tables import Node
from storage.ledger.clock import Clock, database_now
from storage.locks import touches

BEAT = timedelta(seconds=5)
DEAD_AFTER = timedelta(seconds=20)
_FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSeen:
    """A node as it was seen last."""

    id: str
    roles: tuple[str, ...]
    version: str
    started_at: datetime
    seen_at: datetime
    alive: bool


@touches(lambda node_id, *_, **__: {f"node:{node_id}"})
def beat(
    session: Session, node_id: str, roles: Collection[str], version: str, *, alone: bool = False,
    clock: Clock = database_now,
) -> None:  # fmt: skip
    """Say that a node lives; ``alone``: no other can (SQLite's one service process), so former ones are forgotten."""
    now = clock(session)
    row = session.get(Node, node_id) or Node(id=node_id, started_at=now, seen_at=now)
    row.roles, row.version, row.seen_at = list(roles), version, now
    session.add(row)
    forgotten = col(Node.id) != node_id if alone else col(Node.seen_at) < now - _FORGOTTEN_AFTER
    session.exec(delete(Node).where(forgotten))


@touches(lambda node_id: {f"node:{node_id}"})
def leave(session: Session, node_id: str) -> None:
    """Say that a node has ended in good order: what it left may be taken up at once."""
    session.exec(delete(Node).where(col(Node.id) == node_id))


def list_nodes(session: Session, clock: Clock = database_now) -> list[NodeSeen]:
    """List the nodes of the last day, the latest started last."""
    since = clock(session) - DEAD_AFTER
    return [
        NodeSeen(
            id=row.id, roles=tuple(row.roles), version=row.version, started_at=row.started_at, seen_at=row.seen_at,
            alive=row.seen_at > since,
        )
        for row in session.exec(select(Node).order_by(col(Node.started_at), col(Node.id)))
    ]  # fmt: skip


def alive(session: Session, clock: Clock = database_now) -> set[str]:
    """Give the nodes that live, as far as anybody knows."""
    return set(session.exec(select(Node.id).where(Node.seen_at > clock(session) - DEAD_AFTER)))


def dead(session: Session, node_ids: Collection[str], clock: Clock = database_now) -> set[str]:
    """Of some nodes, give those that are dead: silent for so long, or known to nobody."""
    return set(node_ids) - alive(session, clock)
