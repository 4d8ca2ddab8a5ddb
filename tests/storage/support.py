"""What the tests of storage, intake and imports share: an open ledger with blobs, and short words to fill it."""

import asyncio
import contextlib
import itertools
import shutil
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from sqlmodel import Session, SQLModel, select

from mailgate.settings import Limits, Settings
from models.codes import Code
from models.connection import Rule
from models.states import ConnectionState, ImportStatus, Verdict
from models.tables import Alarm, Answer, Attempt, Delivery, Event, Upload
from models.trace import make_trace_id
from storage.blobs import DiskBlobs
from storage.engine import database_url, make_engine
from storage.ledger import Ledger
from storage.ledger.applying import CredentialPlan, Plan, apply_plan
from storage.ledger.connections import ConnectionRef, by_name, set_state
from storage.ledger.imports import Order, Patience, begin, finish
from storage.ledger.recording import Arrival, Means, NewDelivery, NewFile, Recorded, record
from storage.migrate import migrate
from tests.postgres import server

T = TypeVar("T")
START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DOMAIN = "intake.test"
BACK = "batch@acme.example"
POSTGRES = Path("postgres")  #: in the place of a template: a database of the session's server
_NUMBERS = itertools.count()
_LOOPS = ThreadPoolExecutor(4, thread_name_prefix="test-loop")


def in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a loop of its own, from a plain or an async test."""
    return _LOOPS.submit(asyncio.run, work).result(60)


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **amount: float) -> datetime:
        self.now += timedelta(**amount)
        return self.now


@dataclass
class Queue:
    """The job queue at its seam: it only remembers what it was handed."""

    jobs: list[tuple[str, int]] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)

    def __call__(
        self, session: Session, *, upload: str, attempt: int, connection_id: int, sequence: int, again: int = 0
    ) -> None:
        self.jobs.append((upload, attempt))
        self.sequences.append(sequence)


@dataclass
class Store:
    """An open ledger with its blobs, its clock and what was enqueued."""

    settings: Settings
    ledger: Ledger
    blobs: DiskBlobs
    clock: Clock
    queue: Queue
    numbers: Iterator[int] = field(default_factory=lambda: _NUMBERS)

    def connect(self, name: str = "acme-conversions", *, back: str = BACK, **rule: Any) -> ConnectionRef:
        """Create or change a connection; one credential each."""
        wanted = Rule(
            **{"name": name, "account": "acme", "data_type": "conversions", "credential": f"{name}-cred", **rule}
        )
        credential = CredentialPlan(
            name=f"{name}-cred", account="acme", username=None, return_address=back, password_hash=None
        )
        plan = Plan(
            accounts=("acme",),
            credentials=(credential,),
            rules=(wanted,),
            proposed={name: f"{name}-{next(self.numbers)}x"},
        )
        self.ledger.write_now(apply_plan, plan, self.clock())
        return self.ref(name)

    def ref(self, name: str = "acme-conversions") -> ConnectionRef:
        ref = self.ledger.read_now(by_name, name)
        assert ref is not None
        return ref

    def set_state(self, ref: ConnectionRef, state: ConnectionState) -> ConnectionRef | None:
        assert self.ledger.write_now(set_state, ref.rule.name, state, self.clock())
        return self.ledger.read_now(by_name, ref.rule.name)

    def keep(self, data: bytes) -> str:
        """Store bytes; gives the blob's id."""
        writer = self.blobs.create(self.clock())
        writer.write(data)
        self.blobs.commit([writer])
        return writer.id

    def file(self, data: bytes, name: str = "a.csv", **more: Any) -> NewFile:
        return NewFile(**{
            "name": name, "size": len(data), "sha256": sha256(data).hexdigest(), "blob": self.keep(data), **more,
        })  # fmt: skip

    @staticmethod
    def paper(data: bytes, name: str = "a.csv", **more: Any) -> NewFile:
        """Give a file whose bytes are nowhere, where only the rows matter."""
        digest = sha256(data).hexdigest()
        values = {"name": name, "size": len(data), "sha256": digest, "blob": f"20261121-{digest[:32]}"}
        return NewFile(**{**values, **more})

    def judged(self, ref: ConnectionRef, *files: NewFile | bytes, message_id: str = "", **more: Any) -> NewDelivery:
        """Give a delivery as intake judges it; without a Message-ID every one is another."""
        kept = tuple(self.file(one) if isinstance(one, bytes) else one for one in files)
        who = message_id or f"mail {next(self.numbers)}"
        dry_run = more.get("dry_run", False)
        identity = repr((who, sorted(one.sha256 for one in kept), dry_run))
        values: dict[str, Any] = {
            "connection_id": ref.id, "version": ref.version, "paused": ref.state is ConnectionState.PAUSED,
            "rule": ref.rule, "door": "smtp", "peer": "192.0.2.1", "sender": "bob@acme.example",
            "recipient": f"{ref.rule.address}@{DOMAIN}", "tag": "", "authenticated_as": "",
            "message_id": message_id or f"<{who.replace(' ', '')}@acme.example>", "subject": "files", "references": (),
            "size": 1000, "sha256": "0" * 64, "dry_run": False, "verdict": Verdict.ACCEPTED, "code": None,
            "message": "", "files": kept, "identity": identity,
        }  # fmt: skip
        return NewDelivery(**{**values, **more})

    def record(self, *deliveries: NewDelivery) -> list[Recorded]:
        """Record the deliveries of one mail, as a door has it done."""
        means = Means(
            now=self.clock(),
            new_trace_id=lambda: make_trace_id(
                int(self.clock().timestamp() * 1000), next(self.numbers).to_bytes(10, "big")
            ),
            enqueue=self.queue, duplicate_days=self.settings.limits.duplicate_days, domain=DOMAIN,
        )  # fmt: skip
        return in_loop(self.ledger.write_together(record, Arrival(deliveries=deliveries, means=means)))

    def deliver(self, ref: ConnectionRef, *files: NewFile | bytes, **more: Any) -> Recorded:
        return self.record(self.judged(ref, *files, **more))[0]

    def ignored(self, ref: ConnectionRef, code: Code, *files: NewFile | bytes, **more: Any) -> Recorded:
        return self.deliver(ref, *files, verdict=Verdict.IGNORED, code=code, message="not taken", **more)

    def finish(self, upload: str, status: ImportStatus = ImportStatus.COMPLETED, number: int = 1, **more: Any) -> bool:
        """Bring an attempt to an end without parsing anything."""
        self.ledger.write_now(begin, upload, number, self.clock(), Patience(failures=99, starts=99), DOMAIN)
        return self.ledger.write_now(
            finish, upload, number, status=status, now=self.clock(), domain=DOMAIN,
            **{"result": result(status), "errors_blob": None, "no_rows": False, **more},
        )  # fmt: skip

    def finish_as(self, order: Order) -> bool:
        """Bring an attempt to an end as the process that has this order of it."""
        return self.ledger.write_now(
            finish, order.upload, order.attempt, status=ImportStatus.COMPLETED, now=self.clock(), domain=DOMAIN,
            result=result(), errors_blob=None, no_rows=False, begun=order.begun, credential_id=order.credential_id,
        )  # fmt: skip

    def all(self, model: type[T]) -> list[T]:
        """Give every row of a table, in the order they were written where that is known."""

        def read(session: Session) -> list[T]:
            statement = select(model)
            if model in (Event, Alarm, Answer):
                statement = statement.order_by(model.id)  # type: ignore[attr-defined]
            return list(session.exec(statement))

        assert issubclass(model, SQLModel)
        return self.ledger.read_now(read)

    def get(self, model: type[T], key: Any) -> T:
        return self.ledger.read_now(lambda session: session.get_one(model, key))

    def statuses(self, trace_id: str) -> list[str]:
        """Give the status of each upload of a delivery, in its order."""
        found = sorted((u for u in self.all(Upload) if u.trace_id == trace_id), key=lambda u: u.part)
        return [upload.status for upload in found]

    def owed(self, trace_id: str) -> list[tuple[str, int]]:
        """Give the answers owed or sent for a delivery: kind and sequence."""
        return [(answer.kind, answer.sequence) for answer in self.all(Answer) if answer.trace_id == trace_id]

    def alarms(self) -> list[str]:
        """Give the kinds of the open alarms."""
        return [alarm.kind for alarm in self.all(Alarm) if alarm.cleared_at is None]


def result(status: ImportStatus = ImportStatus.COMPLETED) -> dict[str, Any]:
    return {
        "status": str(status), "code": None, "message": "", "total_rows": 1, "successful_rows": 1, "unchanged_rows": 0,
        "error_rows": 0, "not_applied_rows": 0, "top_errors": [], "warnings": [], "errors_file": None,
        "parent_trace_id": None, "delimiter": ",", "header": ["a"],
    }  # fmt: skip


def make_template(folder: Path) -> Path:
    """Make a database with the current schema, to be copied for each test."""
    path = folder / "template.sqlite3"
    url = database_url(path)
    engine = make_engine(url)
    migrate(engine, url)
    engine.dispose()
    return path


@contextmanager
def open_store(folder: Path, template: Path, **settings: Any) -> Iterator[Store]:
    """Open a fresh ledger and blobs in a folder."""
    limits = Limits(**settings.pop("limits", {}))
    chosen = Settings(**{"data_dir": folder, "domain": DOMAIN, "limits": limits, **settings})
    for one in (chosen.blob_dir, chosen.spool_dir, chosen.uploads_dir, chosen.outbox_dir):
        one.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if template is POSTGRES:
            chosen = chosen.model_copy(update={"database_url": stack.enter_context(server().lend())})
        else:
            shutil.copyfile(template, chosen.database_path)
        ledger = Ledger(make_engine(chosen.ledger_url))
        stack.callback(ledger.close)
        yield Store(chosen, ledger, DiskBlobs(chosen.blob_dir), Clock(), Queue())


__all__ = ["BACK", "DOMAIN", "START", "Attempt", "Clock", "Delivery", "Queue", "Store", "in_loop", "open_store"]
