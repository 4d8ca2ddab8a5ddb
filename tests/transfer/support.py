"""What the tests of the folder share: a folder over a real ledger, its settler, and short words for what clients do."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session

from intake.accept import Intake
from models.connection import Rule
from models.states import ImportStatus
from models.tables import Upload
from storage.ledger.applying import CredentialPlan, Plan, apply_plan
from storage.ledger.connections import ConnectionRef
from tests.imports.support import Pool, importer
from tests.storage.support import Clock, Store
from transfer.folder import LedgerFolders
from transfer.memory import MemoryFolders
from transfer.settler import Settler
from transfer.view import Begin, Stored, Visit

UP = "/upload/conversions"
NAME = f"{UP}/Conversions_2026_05.csv"


@dataclass
class House:
    """A folder with all that stands behind it; time moves when told to."""

    store: Store
    node: str = ""
    alive: Callable[[Session], set[str]] | None = None
    folders: LedgerFolders = field(init=False)
    settler: Settler = field(init=False)

    def __post_init__(self) -> None:
        numbers = itertools.count(1)
        store = self.store
        intake = Intake(
            store.ledger, store.blobs, store.queue, store.settings, clock=store.clock,
            randomness=lambda size: next(numbers).to_bytes(size, "big"),
        )  # fmt: skip
        start = next(store.numbers) * 1_000_000
        ids = itertools.count(start)
        self.folders = LedgerFolders(
            store.ledger, store.blobs, intake, store.settings, clock=store.clock,
            randomness=lambda size: next(ids).to_bytes(size, "big"), monotonic=lambda: next(ids),
            node=self.node, alive=self.alive,
        )  # fmt: skip
        self.settler = Settler(store.ledger, intake, self.folders, store.settings, clock=store.clock)

    def connect(self, name: str = "acme-conversions", **rule: Any) -> ConnectionRef:
        return self.store.connect(name, **{"method": "sftp", "folder": UP, "pattern": "Conversions_*.csv", **rule})

    def share(self, credential: str, rules: list[dict[str, Any]], account: str = "acme") -> None:
        """Create connections that share one credential."""
        made = tuple(
            Rule(
                **{
                    "account": account,
                    "data_type": "conversions",
                    "method": "sftp",
                    "credential": credential,
                    "duplicates": "accept",
                    **rule,
                }
            )
            for rule in rules
        )
        plan = Plan(
            accounts=(account,),
            credentials=(
                CredentialPlan(
                    name=credential, account=account, username=credential, return_address="", password_hash=None
                ),
            ),
            rules=made, proposed={rule.name: rule.name for rule in made},
        )  # fmt: skip
        self.store.ledger.write_now(apply_plan, plan, self.store.clock())

    async def enter(self, name: str = "acme-conversions", door: str = "sftp") -> Visit:
        return await self.folders.enter(f"{name}-cred", door=door, peer="192.0.2.1")

    async def settle(self, seconds: float = 5) -> int:
        """Let time pass and judge what has settled."""
        self.store.clock.forward(seconds=seconds)
        return await self.settler.work_once()

    async def import_all(self, pool: Any = None) -> list[str]:
        """Run the imports that were queued."""
        jobs, self.store.queue.jobs = self.store.queue.jobs, []
        return [await importer(self.store, pool or Pool()).run(*job) for job in jobs]

    def status(self, trace_id: str) -> str:
        return self.store.get(Upload, trace_id).status

    def finish(self, trace_id: str) -> None:
        self.store.finish(trace_id, ImportStatus.COMPLETED)


async def put(visit: Visit, path: str, data: bytes, begin: Begin = Begin.TRUNCATE, *, at: int = 0) -> Stored:
    """Upload as put does, in blocks."""
    writer = await visit.write(path, begin)
    for offset in range(0, len(data), 1000):
        await writer.write(at + offset, data[offset : offset + 1000])
    return await writer.close()


async def get(visit: Visit, path: str) -> bytes:
    reader = await visit.read(path)
    try:
        pieces = []
        offset = 0
        while piece := await reader.read(offset, 700):
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)
    finally:
        await reader.close()


async def names(visit: Visit, path: str) -> list[str]:
    return [entry.name for entry in await visit.list(path)]


#: The connections of the contract suite: credential → rules. Three ways of completion, a dry run each.
HOMES: dict[str, list[dict[str, Any]]] = {
    "acme": [
        {"name": "settles", "folder": UP, "pattern": "Conversions_*.csv"},
        {"name": "renames", "folder": "/upload/renamed", "pattern": "*.csv", "completion": "rename"},
        {"name": "marks", "folder": "/marked", "pattern": "*.csv", "completion": "marker"},
    ],
    "other": [{"name": "others", "folder": UP, "pattern": "Conversions_*.csv"}],
}


class Both:
    """The real folder or its double, as the contract suite drives them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.visits: list[Visit] = []

    async def open(self) -> None:
        """Set up HOMES."""

    def begin(self, credential: str) -> Any:
        raise NotImplementedError

    async def judge(self) -> int:
        raise NotImplementedError

    async def fate(self, trace_id: str) -> str:
        """Give the status of an upload, seen or not."""
        raise NotImplementedError

    async def enter(self, credential: str = "acme") -> Visit:
        visit: Visit = await self.begin(credential)
        self.visits.append(visit)
        return visit

    async def settle(self, seconds: float = 5) -> int:
        self.clock.forward(seconds=seconds)
        return await self.judge()


class LedgerBoth(Both):
    def __init__(self, store: Store) -> None:
        super().__init__(store.clock)
        self.house = House(store)

    async def open(self) -> None:
        for credential, rules in HOMES.items():
            self.house.share(credential, rules)
        await self.house.folders.open()

    def begin(self, credential: str) -> Any:
        return self.house.folders.enter(credential, door="sftp", peer="192.0.2.1")

    async def judge(self) -> int:
        return await self.house.settler.work_once()

    async def fate(self, trace_id: str) -> str:
        return self.house.status(trace_id)


class MemoryBoth(Both):
    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        homes = {
            credential: [Rule(account="acme", data_type="conversions", method="sftp", **rule) for rule in rules]
            for credential, rules in HOMES.items()
        }
        self.folders = MemoryFolders(homes, clock=clock, most=50_000)
        self.folders.samples = {"conversions_sample.csv": b"x", "conversions_sample.jsonl": b"y"}

    def begin(self, credential: str) -> Any:
        return self.folders.enter(credential, door="sftp", peer="192.0.2.1")

    async def judge(self) -> int:
        return self.folders.judge()

    async def fate(self, trace_id: str) -> str:
        return self.folders.fates[trace_id]
