"""The worker processes: warm, watched, replaced."""

import os
import select
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from imports import workers
from imports.parse_job import ParseOutcome
from imports.workers import ParsePool, WorkerDied
from models.codes import Code
from models.faults import PermanentError
from models.states import ImportStatus
from tests.imports.support import conversions, job

GB = 1_000_000_000


def write(folder: Path, data: bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def endless(folder: Path) -> Path:
    """Give a file that whoever opens it waits for."""
    path = folder / "endless.csv"
    os.mkfifo(path)
    return path


def gone(pid: int) -> bool:
    """Wait until a process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 20)[0])
    finally:
        os.close(descriptor)


def pids(pool: ParsePool) -> list[int]:
    return [worker.process.pid for worker in pool._all]


def test_a_worker_takes_one_file_after_the_other(pool: ParsePool, tmp_path: Path) -> None:
    before = pids(pool)
    for number in range(3):
        outcome = pool.run(job(write(tmp_path, conversions(number + 1, bad=1)), trace_id="T1"))
        assert outcome.summary is not None
        assert (outcome.summary.successful_rows, outcome.summary.error_rows) == (number + 1, 1)
    assert Path(f"{tmp_path}/a.csv.errors").read_text().splitlines()[1].startswith("T1,")
    assert pids(pool) == before


def test_what_was_accepted_is_written_where_it_is_wanted(pool: ParsePool, tmp_path: Path) -> None:
    out = tmp_path / "accepted.csv"
    pool.run(job(write(tmp_path, conversions(2, bad=1)), accepted_path=str(out)))
    assert len(out.read_text().splitlines()) == 3


def test_a_fault_of_ours_ends_no_worker(pool: ParsePool, tmp_path: Path) -> None:
    before = pids(pool)
    with pytest.raises(WorkerDied, match="parsing failed: KeyError"):
        pool.run(job(write(tmp_path, conversions()), data_type="no such type"))
    with pytest.raises(WorkerDied, match="parsing failed: FileNotFoundError"):
        pool.run(job(tmp_path / "gone.csv"))
    assert pool.run(job(write(tmp_path, conversions()))).summary is not None
    assert pids(pool) == before


@pytest.mark.parametrize(
    ("limits", "what"),
    [({"memory_bytes": 1, "seconds": 60}, "bytes of memory"), ({"memory_bytes": GB, "seconds": 0}, "than 0 seconds")],
)
def test_a_file_that_takes_too_much_is_stopped_alone(tmp_path: Path, limits: dict[str, Any], what: str) -> None:
    pool = ParsePool(workers=1, **limits)
    try:
        (before,) = pids(pool)
        with pytest.raises(PermanentError, match=what) as caught:
            pool.run(job(endless(tmp_path)))
        assert caught.value.fault.code is Code.RESOURCE_LIMIT
        assert gone(before)
        pool._memory_bytes, pool._seconds = GB, 60
        assert pool.run(job(write(tmp_path, conversions()))).summary is not None
        assert before not in pids(pool)
    finally:
        pool.close()


def test_a_file_that_eats_memory_leaves_the_other_alone(tmp_path: Path) -> None:
    pool = ParsePool(workers=2, memory_bytes=115_000_000, seconds=60)
    header = "accountId,id," + ",".join(f"customFields.c{n}" for n in range(40))
    rows = b"".join(b"a,%d,%s\n" % (n, b",".join(b"%d-%d" % (n, c) for c in range(40))) for n in range(3_000))
    glutton = write(tmp_path, (header + "\n").encode() + rows * 150, "glutton.csv")
    modest = write(tmp_path, conversions(3), "modest.csv")
    try:
        with ThreadPoolExecutor(2) as threads:
            large = threads.submit(pool.run, job(glutton, data_type="participants"))
            for _ in range(5):
                outcome = pool.run(job(modest))
                assert outcome.summary is not None
                assert outcome.summary.status is ImportStatus.COMPLETED
            error = large.exception(60)
        assert isinstance(error, PermanentError)
        assert error.fault.code is Code.RESOURCE_LIMIT
        assert "115,000,000 bytes of memory" in error.fault.message
    finally:
        pool.close()


def test_a_worker_killed_in_the_middle_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ParsePool(workers=1, memory_bytes=GB, seconds=60)
    try:
        before = pids(pool)
        with monkeypatch.context() as killing:
            killing.setattr(workers._Worker, "resident_bytes", _kill)
            with pytest.raises(WorkerDied, match="ended with"):
                pool.run(job(endless(tmp_path)))
        assert pool.run(job(write(tmp_path, conversions()))).summary is not None
        assert pids(pool) != before
    finally:
        pool.close()


def _kill(worker: Any) -> int:
    """Look at a busy worker as the pool does, and kill it."""
    worker.process.send_signal(signal.SIGKILL)
    return 0


def test_a_worker_killed_while_idle_is_replaced(tmp_path: Path) -> None:
    pool = ParsePool(workers=1, memory_bytes=GB, seconds=60)
    path = write(tmp_path, conversions())
    try:
        pool.run(job(path))
        os.kill(pids(pool)[0], signal.SIGKILL)
        with pytest.raises(WorkerDied):
            pool.run(job(path))
        assert pool.run(job(path)).summary is not None
    finally:
        pool.close()


def test_a_worker_that_cannot_start_now_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ParsePool(workers=1, memory_bytes=1, seconds=60)
    try:
        with pytest.raises(PermanentError):
            pool.run(job(endless(tmp_path)))
        pool._memory_bytes = GB

        def refuse() -> None:
            raise OSError(11, "Resource temporarily unavailable")

        with monkeypatch.context() as broken:
            broken.setattr(workers, "_Worker", refuse)
            for _ in range(3):
                with pytest.raises(OSError, match="temporarily"):
                    pool.run(job(tmp_path))
        outcome: Future[ParseOutcome] = Future()

        def run() -> None:
            outcome.set_result(pool.run(job(write(tmp_path, conversions()))))

        threading.Thread(target=run, daemon=True).start()  # would wait for ever
        assert outcome.result(30).summary is not None
    finally:
        pool.close()


def test_a_closed_pool_lends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ParsePool(workers=1, memory_bytes=GB, seconds=60)
    (pid,) = pids(pool)
    busy = threading.Event()
    monkeypatch.setattr(workers._Worker, "resident_bytes", lambda _worker: busy.set() or 0)
    fifo = endless(tmp_path)
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(pool.run, job(fifo)) for _ in range(2)]
        assert busy.wait(30)
        pool.close()
        assert [type(one.exception(60)) for one in running] == [WorkerDied, WorkerDied]
    assert gone(pid)
    with pytest.raises(WorkerDied):
        pool.run(job(fifo))


def test_a_worker_ended_twice_closes_nobody_elses_file() -> None:
    pool = ParsePool(workers=1, memory_bytes=GB, seconds=60)
    (worker,) = pool._all
    worker.end()
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
    worker.end()
    for descriptor in files:
        os.close(descriptor)  # an error were it closed already


def test_a_worker_dies_with_its_parent() -> None:
    program = (
        "from imports.workers import ParsePool\n"
        "import sys\n"
        "pool = ParsePool(workers=1, memory_bytes=1, seconds=1)\n"
        "(worker,) = pool._all\n"
        "worker.wait_until_ready()\n"
        "print(worker.process.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert gone(pid)
