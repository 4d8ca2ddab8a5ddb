"""The completion of files as a state machine: random sessions, cuts, renames, waits and restarts.

The double in memory is the model: after each step the real folder must show the same. At the end every content whose
close was acknowledged has come to exactly one of an import, a receipt that says why not, or a withdrawal.
"""

import asyncio
import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.states import UploadStatus
from models.tables import Attempt, FolderAnswer, Upload
from tests.storage.support import Store, open_store
from tests.transfer.support import UP, LedgerBoth, MemoryBoth
from transfer.view import Begin, Refused, Stored, Writer

DATABASES = ["sqlite"]  # hundreds of sessions; test_contract runs the same paths on both

_S = UploadStatus
NAMES = (
    f"{UP}/Conversions_a.csv",
    f"{UP}/Conversions_b.csv",
    f"{UP}/.t",
    f"{UP}/wrong.txt",
    f"{UP}/dryrun/Conversions_a.csv",
    "/upload/renamed/a.csv",
    "/upload/renamed/b.csv",
    "/marked/a.csv",
    "/marked/a.csv.done",
    "/marked/b.csv.tmp",
)
FOLDERS = (UP, f"{UP}/dryrun", "/upload/renamed", "/marked")
BEGINS = (Begin.TRUNCATE, Begin.TRUNCATE, Begin.RESUME, Begin.APPEND, Begin.EXCLUSIVE)

_visit = st.integers(0, 1)
_name = st.sampled_from(NAMES)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), _visit, _name, st.sampled_from(BEGINS)),
        st.tuples(st.just("write"), st.integers(0, 3), st.integers(1, 40), st.sampled_from(["end", "start", "hole"])),
        st.tuples(st.just("close"), st.integers(0, 3)),
        st.tuples(st.just("cut"), st.integers(0, 3)),
        st.tuples(st.just("put"), _visit, _name, st.integers(0, 40)),
        st.tuples(st.just("rename"), _visit, _name, _name, st.booleans()),
        st.tuples(st.just("remove"), _visit, _name),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 4, 5, 60])),
        st.tuples(st.just("leave"), _visit),
        st.tuples(st.just("restart")),
    ),
    max_size=25,
)


@dataclass
class Handle:
    path: str
    visit: int
    real: Writer
    double: Writer


@dataclass
class Pair:
    """The real folder and the model, driven alike."""

    store: Store
    real: LedgerBoth = field(init=False)
    double: MemoryBoth = field(init=False)
    visits: list[tuple[Any, Any]] = field(default_factory=list)
    handles: list[Handle] = field(default_factory=list)
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    letters: Iterator[int] = field(default_factory=lambda: itertools.cycle(range(97, 123)))

    async def open(self) -> None:
        self.real, self.double = LedgerBoth(self.store), MemoryBoth(self.store.clock)
        await self.real.open()
        self.visits = [(await self.real.enter(), await self.double.enter()) for _ in range(2)]

    async def both(self, real: Any, double: Any) -> tuple[Any, Any]:
        """Do the same in both; what comes of it must be the same."""
        outcomes = []
        for work in (real, double):
            try:
                outcomes.append(await work)
            except Refused as error:
                outcomes.append(error)
        told = [self.word(one) for one in outcomes]
        assert told[0] == told[1], outcomes
        return outcomes[0], outcomes[1]

    @staticmethod
    def word(outcome: Any) -> Any:
        if isinstance(outcome, Refused):
            return type(outcome), outcome.code
        return (outcome.state, bool(outcome.trace_id)) if isinstance(outcome, Stored) else None

    async def step(self, what: str, *args: Any) -> None:
        await getattr(self, f"do_{what}")(*args)
        await self.judge(0)
        await self.compare()

    async def do_open(self, visit: int, path: str, begin: Begin) -> None:
        if len(self.handles) > 3 or any(handle.path == path for handle in self.handles):
            return
        real, double = self.visits[visit]
        writers = await self.both(real.write(path, begin), double.write(path, begin))
        if not isinstance(writers[0], Refused):
            self.handles.append(Handle(path, visit, *writers))

    async def do_write(self, slot: int, size: int, where: str) -> None:
        if slot < len(self.handles):
            handle = self.handles[slot]
            offset = {"end": handle.double.size, "start": 0, "hole": handle.double.size + 3}[where]
            data = bytes(next(self.letters) for _ in range(size))
            await self.both(handle.real.write(offset, data), handle.double.write(offset, data))

    async def do_close(self, slot: int) -> None:
        if slot < len(self.handles):
            handle = self.handles.pop(slot)
            word, _ = await self.both(handle.real.close(), handle.double.close())
            await self.note(word)

    async def do_cut(self, slot: int) -> None:
        if slot < len(self.handles):
            handle = self.handles.pop(slot)
            await self.both(handle.real.break_off(), handle.double.break_off())

    async def do_put(self, visit: int, path: str, size: int) -> None:
        await self.do_open(visit, path, Begin.TRUNCATE)
        if self.handles and self.handles[-1].path == path:
            if size:
                await self.do_write(len(self.handles) - 1, size, "end")
            await self.do_close(len(self.handles) - 1)

    async def do_rename(self, visit: int, old: str, new: str, replace: bool) -> None:
        real, double = self.visits[visit]
        if any(handle.path in (old, new) for handle in self.handles):
            return
        await self.both(real.rename(old, new, replace=replace), double.rename(old, new, replace=replace))

    async def do_remove(self, visit: int, path: str) -> None:
        real, double = self.visits[visit]
        await self.both(real.remove(path), double.remove(path))

    async def do_wait(self, seconds: float) -> None:
        await self.judge(seconds)

    async def do_leave(self, visit: int) -> None:
        self.handles = [handle for handle in self.handles if handle.visit != visit]
        for one in self.visits[visit]:
            await one.leave()
        self.visits[visit] = (await self.real.enter(), await self.double.enter())

    async def do_restart(self) -> None:
        """Kill the process: nobody takes leave, and another one begins on what is on the disk."""
        for handle in self.handles:
            with contextlib.suppress(Refused):
                await handle.real.read(0, 1)  # the model knows no bytes that were gathered and not written yet
        self.handles.clear()
        for _, double in self.visits:
            await double.leave()
        self.real = LedgerBoth(self.store)
        await self.real.house.folders.open()
        self.visits = [(await self.real.enter(), await self.double.enter()) for _ in range(2)]

    async def note(self, word: Any) -> None:
        if isinstance(word, Stored) and word.trace_id and word.state in ("settling", "held"):
            spool = next(f for f in self.store.all(_folder_file()) if f.upload_id == word.trace_id).spool
            self.acknowledged[word.trace_id] = (self.store.settings.uploads_dir / spool).read_bytes()

    async def judge(self, seconds: float) -> None:
        self.store.clock.forward(seconds=seconds)
        assert await self.real.judge() == await self.double.judge()
        for upload, _ in self.store.queue.jobs:
            if self.store.get(Attempt, (upload, 1)).status == "queued":
                self.store.finish(upload)

    async def compare(self) -> None:
        real, double = self.visits[0]
        for folder in FOLDERS:
            shown = [
                [(one.name, one.size, one.state, one.code) for one in await visit.list(folder)]
                for visit in (real, double)
            ]
            assert shown[0] == shown[1], folder

    async def end(self) -> None:
        """Let everything come to its end."""
        for visit in (0, 1):
            await self.do_leave(visit)
        await self.judge(5)
        self.store.clock.forward(hours=25)
        await self.real.house.settler.tidy()
        uploads = {upload.id: upload for upload in self.store.all(Upload)}
        jobs = [upload for upload, _ in self.store.queue.jobs]
        receipts = {answer.upload_id for answer in self.store.all(FolderAnswer) if answer.kind == "receipt"}
        assert sorted(jobs) == sorted(one.id for one in uploads.values() if one.status == _S.IMPORT_JOB_CREATED)
        assert set(jobs) <= self.acknowledged.keys()
        for trace_id, content in self.acknowledged.items():
            upload = uploads[trace_id]
            if upload.status == _S.IMPORT_JOB_CREATED:
                assert upload.blob is not None
                assert self.store.blobs.open(upload.blob).read() == content
                assert trace_id in receipts
            elif upload.status in {_S.UPLOAD_FAILED, _S.DUPLICATE, _S.INCOMPLETE}:
                assert trace_id in receipts
            else:
                assert upload.status == _S.WITHDRAWN
        assert len(set(jobs)) == len(jobs)


def _folder_file() -> Any:
    from models.tables import FolderFile

    return FolderFile


@settings(
    max_examples=int(os.environ.get("MAILGATE_TEST_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_random_sessions_come_to_what_the_model_says(
    steps: list[tuple[Any, ...]], template: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def run(store: Store) -> None:
        pair = Pair(store)
        await pair.open()
        for step in steps:
            await pair.step(*step)
        await pair.end()

    with open_store(tmp_path_factory.mktemp("data"), template) as store:
        asyncio.run(run(store))
