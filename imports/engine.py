"""The durable engine: runs what the doors handed over, in order per connection, across restarts.

What lives here: DBOS, configured and launched; one workflow, one queue. The work itself is ``imports.perform``'s.
"""

from datetime import datetime

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

from imports.perform import Importer
from storage.jobs import APPLICATION, IMPORT_QUEUE, IMPORT_WORKFLOW

_POLL = 0.1  # seconds between two looks at the queue
_STOPPED = ("ERROR", "CANCELLED", "SUCCESS", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_importer: Importer | None = None


@DBOS.workflow(name=IMPORT_WORKFLOW, max_recovery_attempts=1000)  # our own count parks a poison job much earlier
async def _import(upload: str, attempt: int) -> str:
    # No step inside: each transaction of the importer may be repeated, so a checkpoint would only cost a commit
    # that the doors wait beside.
    assert _importer is not None
    return await _importer.run(upload, attempt)


class JobEngine:
    """Run durable jobs in this process."""

    def __init__(self, engine: sa.Engine, url: str, importer: Importer, *, at_once: int) -> None:
        self._engine = engine
        self._url = url
        self._importer = importer
        self._at_once = at_once

    async def launch(self) -> None:
        """Take up what a former process left, then what is queued."""
        global _importer
        _importer = self._importer
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
        await DBOS.register_queue_async(
            IMPORT_QUEUE, partition_concurrency=1, worker_concurrency=self._at_once, polling_interval_sec=_POLL
        )

    def stop(self, seconds: int) -> None:
        """Take nothing new and wait a while for what runs; the rest is taken up at the next launch."""
        DBOS.destroy(workflow_completion_timeout_sec=seconds)

    async def revive(self, workflow_ids: list[str]) -> list[str]:
        """Resume jobs that ended without their work being done; gives those resumed."""
        if not workflow_ids:
            return []
        stopped = await DBOS.list_workflows_async(
            workflow_ids=workflow_ids, status=list(_STOPPED), load_input=False, load_output=False
        )
        for workflow in stopped:
            await DBOS.resume_workflow_async(workflow.workflow_id)
        return [workflow.workflow_id for workflow in stopped]

    async def forget_ended(self, before: datetime) -> int:
        """Delete the engine's rows of jobs that ended before a moment; the ledger keeps their record."""
        ended = await DBOS.list_workflows_async(
            completed_before=before.isoformat(), limit=1000, load_input=False, load_output=False
        )
        await DBOS.delete_workflows_async([workflow.workflow_id for workflow in ended])
        return len(ended)
