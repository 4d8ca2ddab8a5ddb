"""The durable engine: runs what the doors handed over, in order per connection, across restarts and nodes.

What lives here: DBOS, configured and launched; one workflow, one queue; how the work of a dead node is handed on. The
work itself is ``imports.perform``'s.
The engine keeps to its own threads and its own loop: launched on ours it would replace the loop's executor.
"""

import asyncio
from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, WorkflowStatus

from imports.perform import Importer
from storage.jobs import APPLICATION, IMPORT_QUEUE, IMPORT_WORKFLOW, import_workflow_id

_POLL = 0.2  # seconds between two looks at the queue: a result comes so much later, an idle service looks so often
_WAITING = {"ENQUEUED", "DELAYED"}
VERSION = "1"  #: of what a job is: nodes take only jobs of their own, so it changes only with the job's arguments
_engine: "JobEngine | None" = None


@DBOS.workflow(name=IMPORT_WORKFLOW, max_recovery_attempts=1000)  # our own count parks a poison job much earlier
async def _import(upload: str, attempt: int) -> str:
    # No step inside: each transaction of the importer may be repeated, so a checkpoint would only cost a commit
    # that the doors wait beside.
    assert _engine is not None
    return await _engine.run_on_our_loop(upload, attempt)


class JobEngine:
    """Run durable jobs in this process."""

    def __init__(self, engine: sa.Engine, url: str, importer: Importer, *, node_id: str, at_once: int) -> None:
        self._engine = engine
        self._url = url
        self._node_id = node_id
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

    async def lost(self, attempts: list[tuple[str, int]]) -> list[tuple[str, int, int]]:
        """Of attempts that have not ended, list those no job works for, with how many jobs each had.

        A job that claims to run here although nothing here runs it holds up its whole connection: it is cancelled.
        """
        if not attempts:
            return []
        return await asyncio.to_thread(_lost, attempts, self._importer.running, self._executor_id)

    async def hand_on(self, alive: Collection[str]) -> list[str]:
        """Queue again what executors that are not alive were running; gives the jobs."""
        return await asyncio.to_thread(_hand_on, {*alive, self._executor_id})

    async def forget_ended(self, before: datetime) -> int:
        """Delete the engine's rows of jobs that ended before a moment; the ledger keeps their record."""
        return await asyncio.to_thread(_forget_ended, before)

    @property
    def _executor_id(self) -> str:
        # One service process on SQLite: its lock file makes the constant id safe, and its own work is taken up at once.
        return "embedded" if self._engine.dialect.name == "sqlite" else self._node_id

    def _launch(self) -> None:
        config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_url": self._url,
            "system_database_engine": self._engine,
            "executor_id": self._executor_id,
            "application_version": VERSION,
            "log_level": "WARNING",
            "serializer": DBOSPortableJSONSerializer(),
            "run_migrations": False,
            "use_listen_notify": False,  # a pooler that pools by transaction knows no LISTEN
        }
        DBOS(config=config)
        DBOS.launch()
        DBOS.register_queue(
            IMPORT_QUEUE, partition_concurrency=1, worker_concurrency=self._at_once, polling_interval_sec=_POLL
        )


def _lost(
    attempts: list[tuple[str, int]], running: Collection[tuple[str, int]], executor_id: str
) -> list[tuple[str, int, int]]:
    lost: list[tuple[str, int, int]] = []
    for upload, attempt in attempts:
        if (upload, attempt) in running:
            continue
        name = import_workflow_id(upload, attempt)
        found = DBOS.list_workflows(workflow_id_prefix=name, load_input=False, load_output=False)
        jobs = [job for job in found if job.workflow_id == name or job.workflow_id.startswith(name + ":")]
        if any(job.status in _WAITING or _runs_elsewhere(job, executor_id) for job in jobs):
            continue
        for job in jobs:
            if job.status == "PENDING":
                DBOS.cancel_workflow(job.workflow_id)
        lost.append((upload, attempt, len(jobs)))
    return lost


def _runs_elsewhere(job: WorkflowStatus, executor_id: str) -> bool:
    """Tell whether a job is another node's: alive it works, and dead its work is handed on."""
    return job.status == "PENDING" and job.executor_id != executor_id


def _hand_on(alive: Collection[str]) -> list[str]:
    pending = DBOS.list_workflows(status="PENDING", queue_name=IMPORT_QUEUE, load_input=False, load_output=False)
    # Should a job have found another node between the two statements, it runs twice, and the later one alone ends it.
    left = [job.workflow_id for job in pending if job.executor_id not in alive]
    for workflow_id in left:
        DBOS.resume_workflow(workflow_id, queue_name=IMPORT_QUEUE)
    return left


def _forget_ended(before: datetime) -> int:
    ended = DBOS.list_workflows(completed_before=before.isoformat(), limit=1000, load_input=False, load_output=False)
    DBOS.delete_workflows([workflow.workflow_id for workflow in ended])
    return len(ended)
