"""lftp, as scripts use it: mirrors, several at once, resumed, under TLS and without."""

import os
from typing import Any

import pytest

from tests.ftp.served import INBOX, PASSWORD, USER, Served
from tests.house import conversions, digest, wait_until
from tests.proofs.needs import need

DATA = os.urandom(1_000_000)
FORCED = ("set ftp:ssl-force true", "set ftp:ssl-protect-data true")
WAYS = {"plain": ("set ftp:ssl-allow false",), "explicit": FORCED, "implicit": FORCED}


@pytest.fixture(autouse=True)
def _program() -> None:
    need("lftp")


def lftp(door: Served, *lines: str, way: str = "explicit", ok: bool = True) -> Any:
    """Run lines in lftp; the first that fails ends it."""
    url = f"ftps://127.0.0.1:{door.implicit_port}" if way == "implicit" else f"ftp://127.0.0.1:{door.port}"
    settings = [
        "set cmd:fail-exit true", "set net:max-retries 2", "set net:reconnect-interval-base 1", "set net:timeout 20",
        f"set ssl:ca-file {door.certificate}", "set ssl:check-hostname false", *WAYS[way],
    ]  # fmt: skip
    words = "; ".join([*settings, f"open --user {USER} --password '{PASSWORD}' {url}", *lines])
    return door.run("lftp", "--norc", "-c", words, ok=ok)


@pytest.mark.parametrize("way", WAYS)
def test_put_list_get_rename_remove(still: Served, way: str) -> None:
    local, renamed = still.local(DATA), still.name()
    said = lftp(
        still, f"cd {INBOX}", f"put {local.name}", "cls -l", f"get {local.name} -o back-{way}",
        f"mv {local.name} {renamed}", "cls -1", f"rm {renamed}", "pwd", way=way,
    ).stdout  # fmt: skip
    assert (still.folder / f"back-{way}").read_bytes() == DATA
    assert f" {len(DATA)} " in said
    assert renamed in said
    assert renamed not in still.names()


@pytest.mark.parametrize("way", WAYS)
def test_a_mirror_up_and_down_with_several_at_once(still: Served, way: str) -> None:
    there = still.folder / f"mirror-{way}"
    back = still.folder / f"mirror-back-{way}"
    there.mkdir()
    files = {still.name(): os.urandom(20_000) for _ in range(30)}
    for name, data in files.items():
        (there / name).write_bytes(data)
    lftp(still, f"mirror -R --parallel=5 {there.name} {INBOX}", way=way)
    assert set(files) <= set(still.names())
    again = lftp(still, f"mirror -R --parallel=5 --verbose {there.name} {INBOX}", way=way)
    assert "New:" not in again.stdout, "the second mirror found everything there: size and time agree"
    first, *others = files
    lftp(still, f"mirror --parallel=5 --no-recursion --include-glob {first} {INBOX} {back.name}", way=way)
    lftp(still, f"cd {INBOX}", f"mget -O {back.name} {' '.join(others)}", way=way)
    assert {path.name: path.read_bytes() for path in back.iterdir() if path.is_file()} == files


def test_a_large_file_in_pieces(still: Served) -> None:
    local = still.local(DATA)
    lftp(still, f"put {local.name} -o {INBOX}/{local.name}", f"pget -n 4 {INBOX}/{local.name} -o pieces")
    assert (still.folder / "pieces").read_bytes() == DATA


@pytest.mark.parametrize("way", WAYS)
def test_put_goes_on_where_a_cut_upload_ended(still: Served, way: str) -> None:
    local = still.local(DATA)
    with still.raw() as raw:
        data = raw.begin(f"STOR {INBOX}/{local.name}")
        data.sendall(DATA[:400_000])
        raw.vanish(data)
    wait_until(lambda: still.states(local.name) == ["incomplete"])
    lftp(still, f"put -c {local.name} -o {INBOX}/{local.name}", way=way)
    assert digest(still.read(local.name)) == digest(DATA)
    (still.folder / "half").write_bytes(DATA[:321])
    lftp(still, f"get -c {INBOX}/{local.name} -o half", way=way)
    assert (still.folder / "half").read_bytes() == DATA


def test_a_temporary_name_first(still: Served) -> None:
    local = still.local(DATA)
    lftp(still, "set xfer:use-temp-file true", "set xfer:temp-file-name .in.*", f"cd {INBOX}", f"put {local.name}")
    assert local.name in still.names()
    assert f".in.{local.name}" not in still.names()


def test_what_is_refused_is_said(still: Served) -> None:
    local = still.local(DATA)
    assert lftp(still, f"put {local.name} -o /samples/x.csv", ok=False).returncode == 1
    assert lftp(still, "mkdir /new", ok=False).returncode == 1
    assert lftp(still, f"get {INBOX}/none.csv", ok=False).returncode == 1


def test_files_are_imported_and_their_results_are_mirrored(quick: Served) -> None:
    there = quick.folder / "e2e"
    there.mkdir()
    files = {quick.name(): conversions() for _ in range(5)}
    for name, data in files.items():
        (there / name).write_bytes(data)
    lftp(quick, f"mirror -R --parallel=3 e2e {INBOX}")
    for name in files:
        quick.await_result(name)
    lftp(quick, f"mirror {INBOX}/results answers")
    for name, data in files.items():
        assert (quick.folder / "answers" / f"result_{name}.json").exists()
        assert quick.imports(name) == [digest(data)]
