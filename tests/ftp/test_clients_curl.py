"""curl, as scripts use it: each way of TLS, up and down, cut and resumed, and what it says of a refusal."""

import os
import time
from typing import Any

import pytest

from tests.ftp.served import INBOX, PASSWORD, USER, Served
from tests.house import conversions, digest, wait_until
from tests.proofs.needs import need

DATA = os.urandom(1_000_000)
WAYS = ["plain", "explicit", "implicit"]


@pytest.fixture(autouse=True)
def _program() -> None:
    need("curl")


def curl(door: Served, path: str, *words: str, way: str = "explicit", ok: bool = True) -> Any:
    """Run curl against a path, the certificate pinned."""
    scheme, port = ("ftps", door.implicit_port) if way == "implicit" else ("ftp", door.port)
    tls = {"plain": [], "explicit": ["--ssl-reqd"], "implicit": []}[way]
    return door.run(
        "curl", "-sS", "--disable", "--cacert", str(door.certificate), *tls, "--user", f"{USER}:{PASSWORD}",
        "--resolve", f"intake.localhost:{port}:127.0.0.1", *words, f"{scheme}://intake.localhost:{port}{path}", ok=ok,
    )  # fmt: skip


@pytest.mark.parametrize("passive", ["--ftp-pasv", "--disable-epsv"])
@pytest.mark.parametrize("way", WAYS)
def test_up_list_and_down(still: Served, way: str, passive: str) -> None:
    local = still.local(DATA)
    curl(still, f"{INBOX}/", "-T", str(local), passive, way=way)
    assert local.name in curl(still, f"{INBOX}/", "--list-only", passive, way=way).stdout.splitlines()
    (line,) = [one for one in curl(still, f"{INBOX}/", passive, way=way).stdout.splitlines() if local.name in one]
    assert line.startswith("-rw")
    assert f" {len(DATA)} " in line
    curl(still, f"{INBOX}/{local.name}", "-o", "back", passive, way=way)
    assert (still.folder / "back").read_bytes() == DATA


@pytest.mark.parametrize("method", ["multicwd", "nocwd", "singlecwd"])
def test_each_way_to_a_folder(still: Served, method: str) -> None:
    local = still.local(DATA)
    curl(still, f"{INBOX}/", "-T", str(local), "--ftp-method", method, "--ftp-create-dirs")
    curl(still, f"{INBOX}/{local.name}", "-o", "back", "--ftp-method", method)
    assert (still.folder / "back").read_bytes() == DATA


@pytest.mark.parametrize("way", WAYS)
def test_resume_of_a_cut_upload_and_download(still: Served, way: str) -> None:
    local = still.local(DATA)
    with still.raw(tls=True) as raw:  # half of it, then the line goes dead
        data = raw.begin(f"STOR {INBOX}/{local.name}")
        data.sendall(DATA[:400_000])
        raw.vanish(data)
    wait_until(lambda: still.states(local.name) == ["incomplete"])
    curl(still, f"{INBOX}/", "-T", str(local), "-C", "-", way=way)
    assert digest(still.read(local.name)) == digest(DATA)
    (still.folder / "back").write_bytes(DATA[:123_456])
    curl(still, f"{INBOX}/{local.name}", "-o", "back", "-C", "-", way=way)
    assert (still.folder / "back").read_bytes() == DATA
    head = curl(still, f"{INBOX}/{local.name}", "-r", "100-199", "-o", "range", way=way, ok=False)
    assert head.returncode in (0, 18), "curl ends a range by leaving"  # 18: it left before the end
    assert (still.folder / "range").read_bytes() == DATA[100:200]


def test_append(still: Served) -> None:
    local = still.local(b"a,b\n")
    curl(still, f"{INBOX}/", "-T", str(local))
    curl(still, f"{INBOX}/", "-T", str(local), "--append")
    assert still.read(local.name) == b"a,b\na,b\n"


def test_from_standard_input(still: Served) -> None:
    name = still.name()
    curl(still, f"{INBOX}/{name}", "-T", str(still.local(DATA)))
    assert still.read(name) == DATA


def test_quote_before_and_after(still: Served) -> None:
    """A rename from a temporary name says that the file is whole: it is judged at once."""
    local, renamed = still.local(DATA), still.name()
    curl(
        still, f"{INBOX}/{local.name}.part", "-T", str(local), "--quote", "NOOP", "--quote", "*SITE UMASK 022",
        "--quote", f"-RNFR {local.name}.part", "--quote", f"-RNTO {renamed}",
    )  # fmt: skip
    assert renamed in still.names()
    assert f"{local.name}.part" not in still.names()
    wait_until(lambda: still.states(renamed) == ["import_job_created"])
    curl(still, f"{INBOX}/", "-T", str(local))
    curl(still, f"{INBOX}/", "--list-only", "--quote", f"-DELE {local.name}")
    assert local.name not in still.names()


def test_head_shows_size_and_time(still: Served) -> None:
    local = still.local(DATA)
    curl(still, f"{INBOX}/", "-T", str(local))
    head = curl(still, f"{INBOX}/{local.name}", "--head").stdout
    assert f"Content-Length: {len(DATA)}" in head
    assert "Last-Modified: " in head


def test_a_wrong_password_a_missing_file_and_a_folder_of_others(still: Served) -> None:
    local = still.local(DATA)
    assert curl(still, "/", "--user", f"{USER}:wrong", ok=False).returncode == 67
    assert curl(still, f"{INBOX}/none.csv", ok=False).returncode == 78
    assert curl(still, "/etc/", "-T", str(local), ok=False).returncode in (9, 25)
    assert curl(still, "/samples/", "-T", str(local), ok=False).returncode == 25
    assert curl(still, "/new/", "-T", str(local), "--ftp-create-dirs", ok=False).returncode in (9, 25)


def test_active_mode_is_off(still: Served) -> None:
    done = curl(still, f"{INBOX}/", "--list-only", "--ftp-port", "127.0.0.1", ok=False)
    assert done.returncode == 30, "PORT was refused"


def test_small_files_do_not_stall(still: Served) -> None:
    """A trial of the stock server lost about a second per file with curl; with one it would be 20 s here."""
    names = [still.local(os.urandom(10_000)).name for _ in range(20)]
    began = time.process_time(), time.monotonic()
    curl(still, f"{INBOX}/", "-T", "{" + ",".join(names) + "}")
    assert set(names) <= set(still.names())
    assert time.monotonic() - began[1] < 15


def test_a_file_is_imported_and_its_answers_are_fetched(quick: Served) -> None:
    local = quick.local(conversions())
    curl(quick, f"{INBOX}/", "-T", str(local))
    quick.await_result(local.name)
    curl(quick, f"{INBOX}/results/result_{local.name}.json", "-o", "result.json")
    assert quick.result(local.name)["status"] == "completed"
    assert quick.imports(local.name) == [digest(local.read_bytes())]
