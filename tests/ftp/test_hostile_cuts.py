"""Cuts of every kind and what is left: nothing half is imported, what was cut can be gone on with (T13, T14)."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.ftp.raw import Gone, Raw, cut, finish, reset
from tests.ftp.served import INBOX, PASSWORD, USER, Served
from tests.house import conversions, digest, wait_until

PERCENT = (0, 1, 50, 99, 100)
STORED = re.compile(r"(?:226|250) stored ([0-9A-HJKMNP-TV-Z]{26})")
_SCRIPT = """
import os, signal, ssl, sys
sys.path.insert(0, sys.argv[1])
from tests.ftp.raw import Raw
port, tls, path, local, part = int(sys.argv[2]), sys.argv[3] == "True", *sys.argv[4:6], int(sys.argv[6])
context = ssl.create_default_context(cafile=sys.argv[7])
context.check_hostname = False
raw = Raw(port, context)
if tls:
    raw.secure()
raw.log_in({user!r}, {password!r})
data = raw.begin("STOR " + path)
data.sendall(open(local, "rb").read()[:part])
os.kill(os.getpid(), signal.SIGKILL)
"""


def by_reset(door: Served, raw: Raw, path: str, data: bytes, part: int) -> None:
    """The data connection alone is reset: the client is told."""
    sock = raw.begin(f"STOR {path}")
    sock.sendall(data[:part])
    await_bytes(door, path, part)
    reset(sock)
    said = raw.reply()
    assert said[:3] in ("426", "451"), said
    raw.must("NOOP")


def by_vanishing(door: Served, raw: Raw, path: str, data: bytes, part: int) -> None:
    """Both connections are reset, as when a line goes dead."""
    sock = raw.begin(f"STOR {path}")
    sock.sendall(data[:part])
    await_bytes(door, path, part)
    raw.vanish(sock)


def by_leaving(door: Served, raw: Raw, path: str, data: bytes, part: int) -> None:
    """Both connections end by FIN, the control connection first: the program ended."""
    sock = raw.begin(f"STOR {path}")
    sock.sendall(data[:part])
    cut(raw.sock)
    cut(sock)


def by_losing_control(door: Served, raw: Raw, path: str, data: bytes, part: int) -> None:
    """The control connection is reset, and the data connection comes to its clean end."""
    sock = raw.begin(f"STOR {path}")
    sock.sendall(data[:part])
    await_bytes(door, path, part)
    reset(raw.sock)
    try:
        sock.sendall(data[part:])
        finish(sock)
    except OSError:
        sock.close()


def by_kill(door: Served, raw: Raw, path: str, data: bytes, part: int) -> None:
    """The client is killed: the system ends both connections at once."""
    local = door.local(data)
    client = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(user=USER, password=PASSWORD), str(Path(__file__).parents[2]),
         str(door.port), str(raw.secured), path, str(local), str(part), str(door.certificate)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert client.returncode == -signal.SIGKILL, client.stderr


def by_too_little(door: Served, raw: Raw, path: str, data: bytes, part: int) -> None:
    """The data connection ends as it should, but ALLO announced more."""
    raw.must(f"ALLO {len(data)}")
    sock = raw.begin(f"STOR {path}")
    sock.sendall(data[:part])
    finish(sock)
    said = raw.reply()
    assert (STORED.match(said) is not None) == (part == len(data)), said
    assert part == len(data) or said[:3] in ("426", "450", "451", "550", "551", "552"), said


def by_fin_without_a_word(door: Served, raw: Raw, path: str, data: bytes, part: int) -> None:
    """The data connection ends by FIN, under TLS without close_notify."""
    sock = raw.begin(f"STOR {path}")
    sock.sendall(data[:part])
    cut(sock)
    said = raw.reply()
    assert said[:3] in ("426", "451"), said


def await_bytes(door: Served, path: str, part: int) -> None:
    """Wait until the door has so many bytes of a file: what is on its way is lost in a reset."""
    with door.raw() as beside:
        wait_until(lambda: beside.ask(f"SIZE {path}") == f"213 {part}")


HOWS: dict[bool, list[Callable[[Served, Raw, str, bytes, int], None]]] = {
    False: [by_reset, by_vanishing, by_leaving, by_losing_control, by_kill, by_too_little],
    True: [by_reset, by_vanishing, by_leaving, by_losing_control, by_kill, by_too_little, by_fin_without_a_word],
}


@pytest.mark.parametrize("tls", [False, True])
def test_nothing_half_is_imported_and_each_cut_upload_is_gone_on_with(quick: Served, tls: bool) -> None:
    files = {(how, percent): (quick.name(), conversions(2000)) for how in HOWS[tls] for percent in PERCENT}

    def be_cut(how: Callable[[Served, Raw, str, bytes, int], None]) -> None:
        for percent in PERCENT:
            name, data = files[how, percent]
            with quick.raw(tls=tls) as raw:
                how(quick, raw, f"{INBOX}/{name}", data, len(data) * percent // 100)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(be_cut, HOWS[tls]))
    await_a_later_file(quick)
    for (how, percent), (name, data) in files.items():
        told = f"{how.__name__} at {percent} %"
        assert set(quick.imports(name)) <= {digest(data)}, told
        assert percent == 100 or quick.states(name) == ["incomplete"], told
    for name, data in files.values():
        if not quick.imports(name):
            go_on(quick, name, data, tls=tls)
    wait_until(lambda: all(quick.imports(name) for name, _ in files.values()))
    for (how, percent), (name, data) in files.items():
        assert quick.imports(name) == [digest(data)], f"{how.__name__} at {percent} %"


def await_a_later_file(door: Served) -> None:
    """Upload one more and wait until it is imported: what came before had its time."""
    name = door.name()
    with door.raw() as raw:
        sock = raw.begin(f"STOR {INBOX}/{name}")
        sock.sendall(conversions())
        finish(sock)
        raw.must_hear("226 stored")
    wait_until(lambda: door.imports(name))


def go_on(door: Served, name: str, data: bytes, *, tls: bool) -> None:
    """Resume as clients do: ask for the size, REST, and send what is missing."""
    with door.raw(tls=tls) as raw:
        there = int(raw.must(f"SIZE {INBOX}/{name}", "213")[4:])
        assert there <= len(data)
        raw.must(f"REST {there}", "350")
        sock = raw.begin(f"STOR {INBOX}/{name}")
        sock.sendall(data[there:])
        finish(sock)
        raw.must_hear("226 stored")


def test_a_killed_client_never_leaves_a_whole_file(quick: Served) -> None:
    """The end of both connections comes at one moment: whichever the door sees first, it must not say yes."""
    names = [quick.name() for _ in range(15)]
    data = conversions(300)
    for name in names:
        with quick.raw() as raw:
            sock = raw.begin(f"STOR {INBOX}/{name}")
            sock.sendall(data[: len(data) // 2])
            if name == names[-1]:
                sock.close()
                raw.sock.close()
            else:
                raw.sock.close()
                sock.close()
    await_a_later_file(quick)
    assert {name: quick.states(name) for name in names} == {name: ["incomplete"] for name in names}


@pytest.mark.parametrize("announced", [-1, 1])
@pytest.mark.parametrize("tls", [False, True])
def test_a_size_that_disagrees_is_no_whole_file(still: Served, announced: int, tls: bool) -> None:
    name, data = still.name(), conversions()
    with still.raw(tls=tls) as raw:
        raw.must(f"ALLO {len(data) + announced}")
        sock = raw.begin(f"STOR {INBOX}/{name}")
        sock.sendall(data)
        finish(sock)
        said = raw.reply()
        assert said[:1] in "45", said
        assert still.states(name) == ["incomplete"]
        sock = raw.begin(f"STOR {INBOX}/{name}")  # an ALLO is for one upload
        sock.sendall(data)
        finish(sock)
        raw.must_hear("226 stored")
    assert still.read(name) == data


def test_a_missing_close_notify_is_forgiven_where_the_size_agrees(still: Served) -> None:
    name, data = still.name(), conversions(2000)
    with still.raw(tls=True) as raw:
        raw.must(f"ALLO {len(data)}")
        sock = raw.begin(f"STOR {INBOX}/{name}")
        sock.sendall(data)
        cut(sock)
        raw.must_hear("226 stored")
    assert still.read(name) == data


def test_a_clean_end_in_the_clear_is_the_end_of_the_file(still: Served) -> None:
    """Plain FTP has no other sign: said in the docs, and the reason for ALLO, temporary names and the settle time."""
    name, data = still.name(), conversions(2000)
    with still.raw() as raw:
        sock = raw.begin(f"STOR {INBOX}/{name}")
        sock.sendall(data[:1000])
        finish(sock)
        raw.must_hear("226 stored")
        assert still.states(name) == ["settling"]
        raw.must("REST 1000", "350")  # and within the settle time it can still be gone on with
        sock = raw.begin(f"STOR {INBOX}/{name}")
        sock.sendall(data[1000:])
        finish(sock)
        raw.must_hear("226 stored")
    assert digest(still.read(name)) == digest(data)


def test_a_cut_download_is_said_and_gone_on_with(still: Served) -> None:
    name, data = still.name(), os.urandom(20_000_000)
    with still.ftp() as client, still.local(data).open("rb") as file:
        client.storbinary(f"STOR {INBOX}/{name}", file)
    for tls in (False, True):
        with still.raw(tls=tls) as raw:
            sock = raw.begin(f"RETR {INBOX}/{name}")
            got = b""
            while len(got) < 1_000_000:
                got += sock.recv(65536)
            reset(sock)
            assert raw.reply()[:3] in ("426", "451")
            raw.must(f"REST {len(got)}", "350")
            sock = raw.begin(f"RETR {INBOX}/{name}")
            while more := sock.recv(1 << 20):
                got += more
            finish(sock)
            raw.must_hear("226")
            assert digest(got) == digest(data)


def test_the_end_of_a_download_under_tls_is_told(still: Served) -> None:
    """The client hears close_notify: it can tell the end from a cut."""
    name, data = still.name(), os.urandom(300_000)
    with still.tls() as client, still.local(data).open("rb") as file:
        client.storbinary(f"STOR {INBOX}/{name}", file)
    with still.raw(tls=True) as raw:
        sock = raw.begin(f"RETR {INBOX}/{name}")
        vars(sock)["suppress_ragged_eofs"] = False  # Python then raises where the notice is missing
        got = b""
        while more := sock.recv(65536):
            got += more
        assert got == data


@pytest.mark.parametrize("kind", ["STOR", "APPE", "REST"])
def test_two_clients_and_one_name(still: Served, kind: str) -> None:
    """Both upload at once: what stands there is one of them whole, and who was refused was told."""
    for _ in range(5):
        name, both = still.name(), [conversions(500), conversions(700)]
        said: list[str] = []
        barrier = threading.Barrier(2)

        def upload(data: bytes, name: str = name, said: list[str] = said, barrier: threading.Barrier = barrier) -> None:
            with still.raw() as raw:
                barrier.wait()
                port = raw.passive()
                sock = raw.connect(port)
                if kind == "REST":
                    raw.must("REST 0", "350")
                reply = raw.ask(f"{'APPE' if kind == 'APPE' else 'STOR'} {INBOX}/{name}")
                if not reply.startswith("1"):
                    said.append(reply)
                    return
                try:
                    for start in range(0, len(data), 4096):
                        sock.sendall(data[start : start + 4096])
                    finish(sock)
                    said.append(raw.reply())
                except (OSError, Gone) as error:
                    said.append(f"000 {error}")

        threads = [threading.Thread(target=upload, args=(data,)) for data in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        there = still.read(name)
        whole = [*both, both[0] + both[1], both[1] + both[0]] if kind == "APPE" else both
        assert there in whole, said
        assert any(STORED.match(one) for one in said), said
        assert all(STORED.match(one) or one[:1] in "45" for one in said), said


def test_every_acknowledged_version_of_one_name_has_one_fate(quick: Served) -> None:
    """T14: what was answered 226 is imported, or withdrawn because the same client replaced it before it settled."""
    name = quick.name()
    traces: dict[str, str] = {}
    lock = threading.Lock()

    def upload_some() -> None:
        for _ in range(15):
            data = conversions()
            with quick.raw() as raw:
                sock = raw.begin_or_none(f"STOR {INBOX}/{name}")
                if sock is None:
                    continue
                sock.sendall(data)
                finish(sock)
                found = STORED.match(raw.reply())
            if found:
                with lock:
                    traces[found[1]] = digest(data)

    threads = [threading.Thread(target=upload_some) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    await_a_later_file(quick)
    rows = quick.service.rows(
        "select u.id, u.sha256, u.status, count(a.upload_id) from upload u left join attempt a on a.upload_id = u.id"
        " and a.status = 'completed' where u.file_name = ? group by u.id", name
    )  # fmt: skip
    fates = {str(trace): (sha, status, imports) for trace, sha, status, imports in rows}
    assert traces
    for trace, sha in traces.items():
        stored, status, imports = fates[trace]
        assert imports == (status != "withdrawn"), fates[trace]
        assert status == "withdrawn" or stored == sha
    assert all(imports == 0 or sha in traces.values() for sha, _, imports in fates.values())
    assert sum(imports for _, _, imports in fates.values()) >= 1
