"""The command line and connections with a folder: applied, shown, matched, and what stands in them."""

import asyncio
from pathlib import Path

from storage.ledger.folders import names_in, places_of
from tests.cli.support import APPLY, Cli, rooms
from tests.house import RunningService, conversions, wait_until
from tests.storage.support import Store
from tests.transfer.support import House, get, put
from transfer.view import Begin

FOLDER = (
    APPLY.replace('username = "acme"', 'username = "acme"\npassword = "generate"').replace(
        'address = "acme-conversions-x7"\n', ""
    )
    + 'method = "sftp"\nfolder = "/upload/conversions"\n'
)
NAME = "/upload/conversions/Conversions_2026_05.csv"


def test_apply_prints_folder_and_password(cli: Cli) -> None:
    path = cli.folder / "folder.toml"
    path.write_text(FOLDER)
    (entry,) = cli.json("connection", "apply", path)
    assert len(entry.pop("password")) >= 20
    assert entry["folder"] == "/upload/conversions"
    assert (entry["connection"], entry["username"], "address" in entry) == ("acme-conversions", "acme", False)
    (again,) = cli.json("connection", "apply", path)
    assert again == entry
    (row,) = cli.json("connection", "list")
    assert (row["folder"], row["method"], row["address"]) == ("/upload/conversions", "sftp", "")
    assert "/upload/conversions" in cli("connection", "list").out
    shown = cli.json("connection", "show", "acme-conversions")
    assert (shown["folder"], shown["completion"], shown["username"]) == ("/upload/conversions", "settle", "acme")
    assert "swaks" not in cli("connection", "show", "acme-conversions").out


def test_a_connection_may_move_from_mail_to_a_folder_and_back(cli: Cli) -> None:
    assert cli.apply().code == cli.apply(FOLDER).code == 0
    assert cli.json("connection", "list")[0]["address"] == ""
    assert cli.apply().code == 0
    assert cli.json("connection", "list")[0]["address"].startswith("acme-conversions-x7@")


def test_files_in_a_folder(cli: Cli) -> None:
    assert cli.apply(FOLDER).code == 0
    assert cli.json("connection", "files", "acme-conversions") == []
    assert "nothing in /upload/conversions" in cli("connection", "files", "acme-conversions").out

    async def upload(store: Store) -> None:
        visit = await House(store).folders.enter("acme-batch", door="sftp", peer="192.0.2.1")
        await put(visit, NAME, b"abc")
        await put(visit, f"{NAME}.part", b"defg")
        await put(visit, "/upload/conversions/dryrun/x.csv", b"h")
        writer = await visit.write("/upload/conversions/z.csv", Begin.TRUNCATE)
        await writer.write(0, b"x" * 300_000)
        await writer.read(0, 1)

    with rooms(cli) as store:
        asyncio.run(upload(store))
    files = cli.json("connection", "files", "ACME-conversions")
    assert [(f["folder"], f["name"], f["bytes"], f["state"], f["code"]) for f in files] == [
        ("/upload/conversions", "Conversions_2026_05.csv", 3, "settling", None),
        ("/upload/conversions", "Conversions_2026_05.csv.part", 4, "held", None),
        ("/upload/conversions", "z.csv", 300_000, "receiving", None),
        ("/upload/conversions/dryrun", "x.csv", 1, "settling", None),
    ]
    assert "temporary name" in files[1]["reason"]
    assert files[0]["modified_at"].endswith("Z")
    assert "temporary name" in cli("connection", "files", "acme-conversions").out
    listed = cli.json("upload", "list")
    assert {row["status"] for row in listed} == {"settling", "held", "receiving"}
    assert {row["delivery_verdict"] for row in listed} == {None}


def test_files_by_mail(acme: Cli) -> None:
    ran = acme("connection", "files", "acme-conversions")
    assert (ran.code, ran.err) == (1, "acme-conversions has no folder: its files come by email\n")


def test_match_in_a_folder(cli: Cli) -> None:
    second = FOLDER.partition("[[connection]]")[2].replace('name = "acme-conversions"', 'name = "acme-2026"')
    text = FOLDER + "[[connection]]" + second.replace("Conversions_*.csv", "Conversions_2026*")
    assert cli.apply(text).code == 0
    told = {
        name: {one["connection"]: (one["would_take"], one["code"]) for one in cli("--json", "match", name).json}
        for name in ("Conversions_1.csv", "Conversions_2026.csv", "x.txt", "receipt_x.csv", "Conversions_1.csv.tmp")
    }
    assert told == {
        "Conversions_1.csv": {"acme-conversions": (True, None), "acme-2026": (False, "NAME_NOT_MATCHED")},
        "Conversions_2026.csv": {"acme-conversions": (False, "NAME_NOT_MATCHED"), "acme-2026": (True, None)},
        "x.txt": {"acme-conversions": (False, "NAME_NOT_MATCHED"), "acme-2026": (False, "NAME_NOT_MATCHED")},
        "receipt_x.csv": {"acme-conversions": (False, "RESERVED_PREFIX"), "acme-2026": (False, "RESERVED_PREFIX")},
        "Conversions_1.csv.tmp": {"acme-conversions": (False, None), "acme-2026": (False, None)},
    }  # fmt: skip
    assert cli("match", "Conversions_2026.csv", "--connection", "acme-2026").code == 0
    assert cli("match", "Conversions_2026.csv", "--connection", "acme-conversions").code == 1


def test_a_service_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    """A file that was settling is imported, with its answers; one that was being written to is incomplete."""
    service = RunningService(tmp_path)
    service.set_up(FOLDER)
    with rooms_of(service) as store:
        asyncio.run(leave_two(store))
    service.start(roles="worker", SETTLE_SECONDS="0")
    try:
        wait_until(lambda: [row for row in service.uploads() if row["import"] and row["import"]["finished_at"]])
        rows = {row["file_name"]: row for row in service.uploads()}
        assert rows["Conversions_2026_05.csv"]["import"]["status"] == "completed"
        assert rows["Conversions_cut.csv"]["status"] == "incomplete"
        with rooms_of(service) as store:
            assert asyncio.run(read_answers(store)) == {
                "receipt_Conversions_2026_05.csv.txt": b"status: import_job_created",
                "receipt_Conversions_cut.csv.txt": b"status: incomplete",
                "result_Conversions_2026_05.csv.json": b'"status": "completed"',
            }
            places = store.ledger.read_now(places_of, 1)
            assert len(places) == 2
            now, visible = store.clock(), store.settings.limits.accepted_visible
            assert store.ledger.read_now(names_in, places[1], now, visible) == []
    finally:
        service.stop()


def rooms_of(service: RunningService):  # type: ignore[no-untyped-def]
    class Configured:
        config = service.folder / "mailgate.toml"

    return rooms(Configured())  # type: ignore[arg-type]


async def leave_two(store: Store) -> None:
    visit = await House(store).folders.enter("acme-batch", door="sftp", peer="192.0.2.1")
    await put(visit, NAME, conversions(3))
    writer = await visit.write("/upload/conversions/Conversions_cut.csv", Begin.TRUNCATE)
    await writer.write(0, b"x" * 200_000)
    await writer.read(0, 1)


async def read_answers(store: Store) -> dict[str, bytes]:
    visit = await House(store).folders.enter("acme-batch", door="sftp", peer="192.0.2.1")
    folder = "/upload/conversions/results"
    found = {}
    for entry in await visit.list(folder):
        content = await get(visit, f"{folder}/{entry.name}")
        found[entry.name] = next(line.strip().rstrip(b",") for line in content.splitlines() if b"status" in line)
    return found
