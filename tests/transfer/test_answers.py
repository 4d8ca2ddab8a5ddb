from imports.workers import ParsePool
from tests.imports.support import conversions
from tests.storage.support import Store
from tests.transfer.support import NAME, UP, House, get, names, put


async def test_upload(store: Store) -> None:
    house = House(store)
    house.connect()
    await house.folders.open()
    visit = await house.enter()
    assert await names(visit, "/") == ["samples", "upload"]
    assert await names(visit, UP) == ["dryrun", "results"]
    word = await put(visit, NAME, conversions(3))
    assert word.state == "settling"
    assert await names(visit, UP) == ["Conversions_2026_05.csv", "dryrun", "results"]
    assert await get(visit, NAME) == conversions(3)
    assert await house.settle(4) == 0
    assert await house.settle(1) == 1
    assert house.status(word.trace_id) == "import_job_created"
    print((await get(visit, f"{UP}/results/receipt_Conversions_2026_05.csv.txt")).decode())
    pool = ParsePool(workers=1, memory_bytes=1_000_000_000, seconds=60)
    assert await house.import_all(pool) == ["completed"]
    pool.close()
    print((await get(visit, f"{UP}/results/result_Conversions_2026_05.csv.json")).decode())
    assert await names(visit, f"{UP}/results") == [
        "receipt_Conversions_2026_05.csv.txt",
        "result_Conversions_2026_05.csv.json",
    ]
    assert (await visit.stat(NAME)).size == len(conversions(3))
    await visit.leave()
    visit = await house.enter()
    assert (await visit.stat(NAME)).size == len(conversions(3))
    store.clock.forward(seconds=60)
    assert await names(visit, UP) == ["dryrun", "results"]
