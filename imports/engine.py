"""The durable engine: runs what the doors handed over, in order per connection, across restarts.

What lives here: DBOS, configured and launched; one workflow, one queue. The work itself is ``imports.perform``'s.
The engine keeps to its own threads and its own loop: launched on ours it would replace the loop's executor.
"""

import asyncio
from datetime import datetime

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

from imports.perform import Importer
from storage.jobs import APPLICATION, IMPORT_QUEUE, IMPORT_WORKFLOW

_POLL = 0.2  # seconds between two looks at the queue: a result comes so much later, an idle service looks so often
_STOPPED = ("ERROR", "CANCELLED", "SUCCESS", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_engine: "JobEngine | None" = None


@DBOS.workflow(name=IMPORT_WORKFLOW, max_recovery_attempts=1000)  # our own count parks a poison job much earlier
async def _import(upload: str, attempt: int) -> str:
    # No step inside: each transaction of the importer may be repeated, so a checkpoint would only cost a commit
    # that the doors wait beside.
    assert _engine is not None
    return await _engine.run_on_our_loop(upload, attempt)


class JobEngine:
    """Run durable jobs in this process."""

    def __init__(self, engine: sa.Engine, url: str, importer: Importer, *, at_once: int) -> None:
        self._engine = engine
        self._url = url
        self._importer = importer
        self._at_once = at_once
        self._loop = asyncio.get_running_loop()

    async def launch(self) -> None:
        """Take up what a former process left, then what is queued."""
        global _engine
        _engine = self
        await asyncio.to_thread(self._launch)

    async def stop(self) -> None:
        """Take nothing new; what still runs is taken up at the next launch."""
        await asyncio.to_thread(DBOS.destroy)

    async def run_on_our_loop(self, upload: str, attempt: int) -> str:
        """Run one attempt on the service's loop; called on the engine's."""
        work = asyncio.run_coroutine_threadsafe(self._importer.run(upload, attempt), self._loop)
        return await asyncio.wrap_future(work)

    async def revive(self, workflow_ids: list[str]) -> list[str]:
        """Resume jobs that ended without their work being done; gives those resumed."""
        return await asyncio.to_thread(_revive, workflow_ids) if workflow_ids else []

    async def forget_ended(self, before: datetime) -> int:
        """Delete the engine's rows of jobs that ended before a moment; the ledger keeps their record."""
        return await asyncio.to_thread(_forget_ended, before)

    def _launch(self) -> None:
        config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_url": self._url,
            "system_database_engine": self._engine,
            # One service process on SQLite: its lock file makes the constant id safe, and its own work is taken up.
            "executor_id": "embedded",
            "application_version": "1",
            "log_level": "WARNING",
            "serializer": DBOSPortableJSONSerializer(),
        }
        DBOS(config=config)
        DBOS.launch()
        DBOS.register_queue(
            IMPORT_QUEUE, partition_concurrency=1, worker_concurrency=self._at_once, polling_interval_sec=_POLL
        )


def _revive(workflow_ids: list[str]) -> list[str]:
    stopped = DBOS.list_workflows(workflow_ids=workflow_ids, status=list(_STOPPED), load_input=False, load_output=False)
    for workflow in stopped:
        DBOS.resume_workflow(workflow.workflow_id)
    return [workflow.workflow_id for workflow in stopped]


def _forget_ended(before: datetime) -> int:
    ended = DBOS.list_workflows(completed_before=before.isoformat(), limit=1000, load_input=False, load_output=False)
    DBOS.delete_workflows([workflow.workflow_id for workflow in ended])
    return len(ended)
