"""From the first byte to the result: a real worker, the answers in the folder, and the settler's own loop."""

import asyncio
import contextlib
import json

from imports.workers import ParsePool
from intake.accept import Intake
from models.states import UploadStatus
from models.tables import Upload
from tests.imports.support import conversions
from tests.storage.support import Store
from tests.transfer.support import NAME, UP, House, get, names, put
from transfer.folder import LedgerFolders
from transfer.settler import Settler
from transfer.view import Stored

SHORT = "Conversions_2026_05.csv"


async def test_from_the_first_byte_to_the_result(house: House) -> None:
    visit = await house.enter()
    data = conversions(3, bad=1)
    word = await put(visit, NAME, data)
    assert await house.settle() == 1
    receipt = (await get(visit, f"{UP}/results/receipt_{SHORT}.txt")).decode()
    assert [line.partition(":")[0] for line in receipt.splitlines()] == [
        "trace_id", "upload", "connection", "data_type", "door", "file_name", "received_at", "bytes", "sha256",
        "status", "code", "message", "message_id", "duplicate_of", "support_contact",
    ]  # fmt: skip
    assert f"trace_id: {word.trace_id}\n" in receipt
    assert f"bytes: {len(data)}\n" in receipt
    pool = ParsePool(workers=1, memory_bytes=1_000_000_000, seconds=60)
    try:
        assert await house.import_all(pool) == ["completed_with_errors"]
    finally:
        pool.close()
    assert await names(visit, f"{UP}/results") == [
        f"receipt_{SHORT}.txt", f"result_{SHORT}.errors.csv", f"result_{SHORT}.json",
    ]  # fmt: skip
    result = json.loads(await get(visit, f"{UP}/results/result_{SHORT}.json"))
    assert (result["upload"], result["total_rows"], result["error_rows"]) == (word.trace_id, 4, 1)
    assert result["errors_file"] == f"result_{SHORT}.errors.csv"
    errors = (await get(visit, f"{UP}/results/result_{SHORT}.errors.csv")).decode()
    assert errors.startswith("trace_id,row,line,column,value,severity,code,status,message,hint,")
    assert word.trace_id in errors.splitlines()[1]
    await visit.leave()
    house.store.clock.forward(seconds=60)
    assert await names(await house.enter(), UP) == ["dryrun", "results"]


async def test_two_clients_and_one_name(house: House) -> None:
    """T14 in short: what was acknowledged is imported byte by byte, or was replaced by what came later."""
    acknowledged: dict[str, bytes] = {}

    async def client(letter: str) -> None:
        visit = await house.enter()
        for number in range(40):
            content = f"{letter}{number}".encode() * 50
            word: Stored = await put(visit, NAME, content)
            acknowledged[word.trace_id] = content
            if number % 3 == 0:
                await house.settle()
        await visit.leave()

    await asyncio.gather(client("a"), client("b"))
    await house.settle()
    uploads = {upload.id: upload for upload in house.store.all(Upload)}
    assert uploads.keys() == acknowledged.keys()
    taken = [one for one in uploads.values() if one.status == UploadStatus.IMPORT_JOB_CREATED]
    assert all(house.store.blobs.open(one.blob or "").read() == acknowledged[one.id] for one in taken)
    assert sorted(job for job, _ in house.store.queue.jobs) == sorted(one.id for one in taken)
    assert {one.status for one in uploads.values() if one not in taken} <= {UploadStatus.WITHDRAWN}
    assert taken


async def test_the_settler_runs_by_itself(store: Store) -> None:
    """By the real clock, half a second of settling: nothing is judged before, and nobody has to ask."""
    House(store).connect(settle_seconds=0.5)
    settlers: list[Settler] = []
    intake = Intake(store.ledger, store.blobs, store.queue, store.settings)
    folders = LedgerFolders(
        store.ledger, store.blobs, intake, store.settings, on_settling=lambda: [one.ring() for one in settlers] and None
    )
    settlers.append(Settler(store.ledger, intake, folders, store.settings))
    await folders.open()
    running = asyncio.create_task(settlers[0].run())
    visit = await folders.enter("acme-conversions-cred", door="sftp", peer="192.0.2.1")
    await put(visit, f"{UP}/.part", b"renamed")
    await visit.rename(f"{UP}/.part", f"{UP}/Conversions_2.csv", replace=False)
    word = await put(visit, NAME, b"abc")
    while not store.queue.jobs:
        await asyncio.sleep(0.01)
    renamed = next(one for one in store.all(Upload) if one.file_name == "Conversions_2.csv")
    assert store.queue.jobs[0] == (renamed.id, 1)
    while len(store.queue.jobs) < 2:
        await asyncio.sleep(0.01)
    assert store.queue.jobs[1] == (word.trace_id, 1)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
