"""The heartbeat of a service process: says every few seconds that the node lives, whatever its event loop does.

What lives here: the node's name, and a thread with a connection of its own.
"""

import os
import secrets
import socket
import threading
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import Session

from mailgate.observe import get_logger
from storage.ledger import nodes
from storage.locks import touched

log = get_logger("node")


def new_node_id() -> str:
    """Give a name that no other process has, nor this one after its next start: host, number, chance."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(8)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Self:
    """This node as the others see it."""

    id: str
    roles: tuple[str, ...]
    version: str
    alone: bool  #: no other can be: SQLite's one service process


class Heartbeat:
    """Beat from a thread, the first time before anything else is done in the node's name."""

    def __init__(self, engine: sa.Engine, node: Self, *, seconds: float = nodes.BEAT.total_seconds()) -> None:
        self._engine = engine
        self._node = node
        self._seconds = seconds
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Beat once, and go on in the thread; raises what the database says."""
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """End in good order: what this node leaves may be taken up at once."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(self._seconds)
        try:
            self._write(nodes.leave, self._node.id)
        except sa.exc.SQLAlchemyError as error:
            log.warning("the node could not say that it ends", reason=type(error).__name__)

    def _run(self) -> None:
        while not self._ending.wait(self._seconds):
            try:
                self._beat()
            except sa.exc.SQLAlchemyError as error:
                log.warning("the node could not say that it lives", reason=_first_line(error))

    def _beat(self) -> None:
        node = self._node
        self._write(nodes.beat, node.id, node.roles, node.version, alone=node.alone)

    def _write(self, function: object, *args: object, **kwargs: object) -> None:
        assert callable(function)
        things = touched(function, *args, **kwargs)
        with (
            self._engine.connect().execution_options(writes=things) as connection,
            connection.begin(),
            Session(connection, join_transaction_mode="create_savepoint") as session,
        ):
            function(session, *args, **kwargs)
            session.commit()


def _first_line(error: sa.exc.SQLAlchemyError) -> str:
    return (str(getattr(error, "orig", error)).splitlines() or [""])[0]
