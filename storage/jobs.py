"""Durable jobs, seen from the side that hands them over: enqueue only, inside the caller's transaction.

What lives here: the names of queues and workflows, and how an id is made. ``imports.engine`` runs them.
"""

from typing import Protocol

import sqlalchemy as sa
from dbos import DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions
from sqlmodel import Session

APPLICATION = "mailgate"
IMPORT_QUEUE = "imports"
IMPORT_WORKFLOW = "import"
_MAX_PRIORITY = 2**31 - 1


def import_workflow_id(upload: str, attempt: int, again: int = 0) -> str:
    """Name the workflow of one attempt; the engine takes a second enqueue of the same id for the first.

    ``again`` counts the times that the job of the same attempt was lost and handed over anew.
    """
    return f"import:{upload}:{attempt}" + (f":again{again}" if again else "")


class Enqueue(Protocol):
    """Hand over one import in the transaction of ``session``."""

    def __call__(
        self, session: Session, *, upload: str, attempt: int, connection_id: int, sequence: int, again: int = 0
    ) -> None:
        """Enqueue ``import:<upload>:<attempt>`` behind the earlier imports of its connection."""


class JobQueue:
    """Enqueue imports in the ledger's own transactions, one partition per connection, in order of ``sequence``."""

    def __init__(self, engine: sa.Engine) -> None:
        self._client = DBOSClient(
            system_database_engine=engine,
            application_name=APPLICATION,
            serializer=DBOSPortableJSONSerializer(),
            lazy=True,
        )

    def __call__(
        self, session: Session, *, upload: str, attempt: int, connection_id: int, sequence: int, again: int = 0
    ) -> None:
        """Enqueue one attempt; its place in the queue is the connection's running number."""
        options = EnqueueOptions(
            workflow_name=IMPORT_WORKFLOW,
            queue_name=IMPORT_QUEUE,
            workflow_id=import_workflow_id(upload, attempt, again),
            queue_partition_key=str(connection_id),
            priority=sequence % _MAX_PRIORITY + 1,
        )
        self._client.enqueue_in_transaction(session, options, upload, attempt)

    def close(self) -> None:
        """Let go of the engine's threads."""
        self._client.destroy()
