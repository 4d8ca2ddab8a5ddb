"""ncftp, tnftp, and basic-ftp under node: clients with habits of their own."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ftp.served import INBOX, PASSWORD, USER, Served
from tests.house import conversions, digest, wait_until
from tests.proofs.needs import need

DATA = os.urandom(1_000_000)
LIBRARY = Path(sys.prefix) / "programs" / "basic-ftp"
SCRIPT = Path(__file__).parent / "basic_ftp.js"


# --- ncftp: no TLS in Debian's build


def ncftp(door: Served, program: str, *words: str, ok: bool = True) -> Any:
    need("ncftpput")
    login = ["-u", USER, "-p", PASSWORD, "-P", str(door.port)]
    return door.run(program, *login, "-t", "20", "-r", "1", *words, ok=ok)


@pytest.mark.parametrize("passive", ["-F", "-E"])
def test_ncftp(still: Served, passive: str) -> None:
    local, second = still.local(DATA), still.local(DATA[:1000])
    if passive == "-E":  # active mode is off: it says so and fails, and nothing is there
        assert ncftp(still, "ncftpput", "-E", "127.0.0.1", INBOX, local.name, ok=False).returncode != 0
        assert local.name not in still.names()
        return
    ncftp(still, "ncftpput", passive, "127.0.0.1", INBOX, local.name, second.name)
    listed = ncftp(still, "ncftpls", passive, "-1", f"ftp://127.0.0.1{INBOX}/").stdout.split()
    assert {local.name, second.name} <= set(listed)
    assert local.name in ncftp(still, "ncftpls", passive, "-l", f"ftp://127.0.0.1{INBOX}/").stdout
    (still.folder / "ncftp").mkdir()
    ncftp(still, "ncftpget", passive, "127.0.0.1", "ncftp", f"{INBOX}/{local.name}")
    assert (still.folder / "ncftp" / local.name).read_bytes() == DATA


def test_ncftp_with_a_temporary_name_and_again_after_a_cut(still: Served) -> None:
    """Not ``-z``: ncftpput 3.2.6 says REST and then sends the whole file with sendfile, to every server."""
    local = still.local(DATA)
    ncftp(still, "ncftpput", "-S", ".tmp", "127.0.0.1", INBOX, local.name)
    assert f"{local.name}.tmp" not in still.names()
    wait_until(lambda: still.states(local.name) == ["import_job_created"])
    second = still.local(DATA)
    with still.raw() as raw:
        data = raw.begin(f"STOR {INBOX}/{second.name}")
        data.sendall(DATA[:400_000])
        raw.vanish(data)
    wait_until(lambda: still.states(second.name) == ["incomplete"])
    ncftp(still, "ncftpput", "127.0.0.1", INBOX, second.name)
    assert digest(still.read(second.name)) == digest(DATA)


def test_ncftp_ends_in_a_result(quick: Served) -> None:
    local = quick.local(conversions())
    ncftp(quick, "ncftpput", "127.0.0.1", INBOX, local.name)
    quick.await_result(local.name)
    ncftp(quick, "ncftpget", "127.0.0.1", ".", f"{INBOX}/results/result_{local.name}.json")
    assert json.loads((quick.folder / f"result_{local.name}.json").read_text())["status"] == "completed"


# --- tnftp: the ftp of the BSDs, and of old habits


def tnftp(door: Served, *lines: str) -> str:
    need("tnftp")
    script = [f"user {USER} {json.dumps(PASSWORD)}", "binary", *lines, "bye"]
    done = door.run("tnftp", "-n", "-v", "-i", "127.0.0.1", str(door.port), text="\n".join(script) + "\n")
    return str(done.stdout + done.stderr)


def test_tnftp(still: Served) -> None:
    local, renamed = still.local(DATA), still.name()
    said = tnftp(
        still, "passive", f"cd {INBOX}", "passive", f"put {local.name}", f"size {local.name}", f"modtime {local.name}",
        "ls", f"get {local.name} tnftp-back", f"rename {local.name} {renamed}", "nlist", "mlsd", f"mlst {renamed}",
        "remopts utf8 on", "features", "system", "rhelp", "rstatus", f"append {local.name} {renamed}", "cdup", "pwd",
    )  # fmt: skip
    assert (still.folder / "tnftp-back").read_bytes() == DATA
    assert "226 stored " in said
    assert "250 stored " in said
    assert "Remote directory: /upload\n" in said
    assert "?Invalid" not in said
    assert still.read(renamed) == DATA + DATA


def test_tnftp_by_address_and_in_ascii(still: Served) -> None:
    local = still.local(b"a,b\r\n1,2\r\n")
    need("tnftp")
    url = f"ftp://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{still.port}{INBOX}/{local.name}"
    still.run("tnftp", "-V", "-u", url, local.name)
    assert still.read(local.name) == b"a,b\r\n1,2\r\n"
    still.run("tnftp", "-V", "-o", "by-address", url)
    assert (still.folder / "by-address").read_bytes() == b"a,b\r\n1,2\r\n"
    tnftp(still, "ascii", f"put {local.name} {INBOX}/{still.name()}", "mput nothing*")


def test_tnftp_ends_in_a_result(quick: Served) -> None:
    local = quick.local(conversions())
    tnftp(quick, f"put {local.name} {INBOX}/{local.name}")
    quick.await_result(local.name)
    tnftp(quick, f"get {INBOX}/results/result_{local.name}.json tnftp-result")
    assert json.loads((quick.folder / "tnftp-result").read_text())["status"] == "completed"


# --- basic-ftp


def basic_ftp(
    door: Served, *calls: list[Any], secure: bool | str = True, ok: bool = True,
    login: tuple[str, str] = (USER, PASSWORD),
) -> Any:  # fmt: skip
    need("node")
    if not LIBRARY.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("missing: basic-ftp")
        pytest.skip("missing: basic-ftp")
    job = {
        "port": door.implicit_port if secure == "implicit" else door.port, "user": login[0], "password": login[1],
        "secure": secure, "certificate": str(door.certificate), "calls": calls,
    }  # fmt: skip
    done = door.run("node", str(SCRIPT), str(LIBRARY), json.dumps(job), ok=ok)
    return json.loads(done.stdout) if ok else done


@pytest.mark.parametrize("secure", [False, True, "implicit"])
def test_basic_ftp(still: Served, secure: bool | str) -> None:
    local, renamed = still.local(DATA), still.name()
    said = basic_ftp(
        still, ["cd", INBOX], ["uploadFrom", local.name, local.name], ["list", ""], ["size", local.name],
        ["lastMod", local.name], ["downloadTo", "node-back", local.name], ["rename", local.name, renamed],
        ["appendFrom", local.name, renamed], ["pwd", ""], ["features", ""], ["ensureDir", INBOX], secure=secure,
    )  # fmt: skip
    assert (still.folder / "node-back").read_bytes() == DATA
    assert said[f"size {local.name}"] == len(DATA)
    assert said["pwd "] == INBOX
    (entry,) = [one for one in said["list "] if one["name"] == local.name]
    assert (entry["size"], entry["type"]) == (len(DATA), 1)
    assert still.read(renamed) == DATA + DATA
    basic_ftp(still, ["remove", f"{INBOX}/{renamed}"], secure=secure)
    assert basic_ftp(still, ["remove", f"{INBOX}/{renamed}"], secure=secure, ok=False).stderr.startswith("550 ")


def test_basic_ftp_takes_a_folder_up_and_down(still: Served) -> None:
    there = still.folder / "node-up"
    there.mkdir()
    files = {still.name(): os.urandom(5_000) for _ in range(20)}
    for name, data in files.items():
        (there / name).write_bytes(data)
    login = ("other", "battery staple")  # whose folder has nothing else in it
    basic_ftp(still, ["uploadFromDir", "node-up", INBOX], ["downloadToDir", "node-down", "/"], login=login)
    there = still.folder / "node-down"
    assert {
        path.name: path.read_bytes() for path in (there / "upload/conversions").iterdir() if path.is_file()
    } == files
    assert list((there / "samples").iterdir())


def test_basic_ftp_ends_in_a_result(quick: Served) -> None:
    local = quick.local(conversions())
    basic_ftp(quick, ["uploadFrom", local.name, f"{INBOX}/{local.name}"])
    quick.await_result(local.name)
    basic_ftp(quick, ["downloadTo", "node-result", f"{INBOX}/results/result_{local.name}.json"])
    assert json.loads((quick.folder / "node-result").read_text())["status"] == "completed"
