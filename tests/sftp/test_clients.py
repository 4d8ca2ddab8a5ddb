"""Real clients: each does what its users do, and its exit code and text say what happened."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import paramiko
import pytest

from tests.house import wait_until
from tests.proofs.needs import need
from tests.sftp.support import INBOX, PASSWORD, USER, Door, door_in_thread, keys_once

DATA = os.urandom(1_000_000)


@pytest.fixture(autouse=True)
def _programs() -> None:
    need("sftp", "scp", "lftp", "curl")


# --- OpenSSH


@pytest.mark.parametrize("key", ["ed25519", "rsa"])
def test_openssh_put_get_and_what_stands_there(door: Door, key: str) -> None:
    local = door.local("a.csv", DATA)
    back = door.folder / f"back-{key}"
    done = door.batch(
        "pwd", f"cd {INBOX}", f"put {local}", f"put -f {local} forced.csv", f"put -p {local} times.csv", "ls -l",
        f"get a.csv {back}", "rename forced.csv renamed.csv", "rm renamed.csv", "df", "chmod 600 a.csv",
        "mkdir results", key=key,
    )  # fmt: skip
    assert "Remote working directory: /\n" in done.stdout
    assert "-rw-r--r--    1 mailgate mailgate    1000000 Nov 26 " in done.stdout
    assert "drwxr-xr-x    2 mailgate mailgate          0 Nov 26 " in done.stdout
    assert back.read_bytes() == DATA
    assert sorted(door.files) == ["/samples/conversions.csv", f"{INBOX}/a.csv", f"{INBOX}/times.csv"]
    assert door.folders.of("broken off") == []


def test_openssh_resumes_after_a_cut(door: Door) -> None:
    door.files[f"{INBOX}/a.csv"] = bytearray(DATA[:300_000])
    door.batch(f"put -a {door.local('a.csv', DATA)} {INBOX}/a.csv")
    assert door.files[f"{INBOX}/a.csv"] == DATA
    (door.folder / "back").write_bytes(DATA[:1234])
    door.batch(f"get -a {INBOX}/a.csv {door.folder / 'back'}")
    assert (door.folder / "back").read_bytes() == DATA


REFUSED = {
    "put {local} /etc/passwd": "No such file or directory",
    "put {local} /samples/x.csv": "Permission denied",
    "put {local} ../../../etc/passwd": "No such file or directory",
    "mkdir /new": "Permission denied",
    "rmdir /samples": "Permission denied",
    "rm /nothing": "No such file or directory",
    "rm /samples/conversions.csv": "Permission denied",
    "ln -s /samples/conversions.csv link": "Operation unsupported",
    "ln /samples/conversions.csv link": "Server does not support hardlink@openssh.com extension",
    "copy /samples/conversions.csv copy": "Server does not support copy-data extension",
    "chown 0 /samples/conversions.csv": "Permission denied",
    "rename /samples/conversions.csv /samples/b.csv": "Permission denied",
    "ls /nothing": "not found",
    "get /nothing": "not found",
}


@pytest.mark.parametrize("line", REFUSED)
def test_openssh_hears_a_refusal(door: Door, line: str) -> None:
    done = door.batch(line.format(local=door.local("a.csv", b"a,b\n")), ok=False)
    assert done.returncode == 1
    assert REFUSED[line] in done.stderr
    assert sorted(door.files) == ["/samples/conversions.csv"]


def test_openssh_shows_why_where_the_code_alone_would_not_say(door: Door) -> None:
    door.folders.most = 500_000
    done = door.batch(f"put {door.local('a.csv', DATA)} {INBOX}/a.csv", ok=False)
    assert "mailgate: FILE_TOO_LARGE: over 500,000 bytes" in done.stderr
    assert done.returncode == 1
    assert f"{INBOX}/a.csv" not in door.files
    assert door.folders.of("closed") == []


def test_openssh_interrupted_in_mid_put_leaves_what_can_be_resumed(door: Door, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    local = door.local("slow.csv", os.urandom(30_000_000))
    with pipe.open("w") as err:
        client = subprocess.Popen(
            ["sftp", "-l", "4000", *door.options(), "-b", "-", f"{USER}@127.0.0.1"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=err, text=True, start_new_session=True,
        )  # fmt: skip
        assert client.stdin is not None
        client.stdin.write(f"put {local} {INBOX}/slow.csv\n")
        client.stdin.flush()
        wait_until(lambda: len(door.files.get(f"{INBOX}/slow.csv", b"")) > 0)
        os.killpg(client.pid, signal.SIGINT)
        client.stdin.close()
        client.wait(30)
    wait_until(lambda: door.folders.events)
    assert len(door.files[f"{INBOX}/slow.csv"]) < local.stat().st_size
    door.folders.events.clear()
    door.batch(f"put -a {local} {INBOX}/slow.csv")
    assert door.files[f"{INBOX}/slow.csv"] == local.read_bytes()
    assert door.folders.of("closed") == [f"{INBOX}/slow.csv"]


def test_scp_both_ways_exits_0(door: Door) -> None:
    local, back = door.local("a.csv", DATA), door.folder / "scp-back"
    door.openssh("scp", str(local), f"{USER}@127.0.0.1:{INBOX}/a.csv")
    door.openssh("scp", "-p", str(local), f"{USER}@127.0.0.1:{INBOX}/")
    door.openssh("scp", f"{USER}@127.0.0.1:{INBOX}/a.csv", str(back))
    assert back.read_bytes() == DATA
    done = door.openssh("scp", str(local), f"{USER}@127.0.0.1:/etc/x", ok=False)
    assert done.returncode == 1
    legacy = door.openssh("scp", "-O", str(local), f"{USER}@127.0.0.1:{INBOX}/b.csv", ok=False)
    assert legacy.returncode == 1
    assert f"{INBOX}/b.csv" not in door.files


@pytest.mark.parametrize("words", [["{who}", "ls"], ["-tt", "{who}"], ["-o", "ExitOnForwardFailure=yes", "-NR",
    "0:127.0.0.1:1", "{who}"]], ids=["a command", "a shell", "forwarding"])  # fmt: skip
def test_ssh_gets_no_shell_no_command_and_no_forwarding(door: Door, words: list[str]) -> None:
    options = [word if word != "-P" else "-p" for word in door.options()]
    done = subprocess.run(
        ["ssh", *options, *(word.format(who=f"{USER}@127.0.0.1") for word in words)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode in (1, 255)
    assert done.stdout == ""


# --- lftp, curl


def lftp(door: Door, script: str, *, ok: bool = True) -> Any:
    connect = (
        f"ssh -a -x -F none -i {keys_once() / 'ed25519'} -o IdentitiesOnly=yes -o BatchMode=yes"
        f" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    )
    head = f'set sftp:connect-program "{connect}"; set net:max-retries 1; set net:timeout 20; set cmd:fail-exit yes'
    done = subprocess.run(
        ["lftp", "-c", f"{head}; open -u {USER}, sftp://127.0.0.1:{door.port}; {script}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "HOME": str(door.folder)},
    )  # fmt: skip
    assert not ok or done.returncode == 0, done.stderr
    return done


def test_lftp_mirrors_a_folder_and_again(door: Door) -> None:
    source = door.folder / "mirror"
    source.mkdir()
    for number in range(5):
        (source / f"m{number}.csv").write_bytes(DATA[: 1000 * number + 1])
    lftp(door, f"mirror -R {source} {INBOX}")
    lftp(door, f"mirror -R --parallel=3 {source} {INBOX}")
    for number in range(5):
        assert door.files[f"{INBOX}/m{number}.csv"] == DATA[: 1000 * number + 1]
    shutil.rmtree(source)


def test_lftp_puts_gets_and_hears_a_refusal(door: Door) -> None:
    local, back = door.local("a.csv", DATA), door.folder / "lftp-back"
    lftp(door, f"cd {INBOX}; put {local}; get a.csv -o {back}; mv a.csv b.csv; rm b.csv; ls")
    assert back.read_bytes() == DATA
    done = lftp(door, f"put {local} -o /samples/x.csv", ok=False)
    assert done.returncode == 1
    assert "takes no uploads" in done.stderr


def curl(door: Door, *words: str, ok: bool = True) -> Any:
    done = subprocess.run(
        ["curl", "-sS", "--insecure", "--key", str(keys_once() / "rsa"), "--pubkey", str(keys_once() / "rsa.pub"),
         "-u", f"{USER}:", *words],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert not ok or done.returncode == 0, done.stderr
    return done


def test_curl_uploads_resumes_and_lists(door: Door) -> None:
    need("curl")
    if "sftp" not in subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("this curl was built without SFTP")
    local = door.local("a.csv", DATA)
    url = f"sftp://127.0.0.1:{door.port}{INBOX}"
    curl(door, "-T", str(local), f"{url}/a.csv")
    assert door.files[f"{INBOX}/a.csv"] == DATA
    curl(door, "-T", str(local), f"{url}/.tmp-b.csv", "-Q", f"-rename {INBOX}/.tmp-b.csv {INBOX}/b.csv")
    assert door.files[f"{INBOX}/b.csv"] == DATA
    del door.files[f"{INBOX}/b.csv"][5000:]
    curl(door, "-C", "-", "-T", str(local), f"{url}/b.csv")
    assert door.files[f"{INBOX}/b.csv"] == DATA
    assert "b.csv" in curl(door, f"{url}/").stdout
    assert curl(door, "-T", str(local), f"sftp://127.0.0.1:{door.port}/etc/x", ok=False).returncode == 78
    password = ["-u", f"{USER}:{PASSWORD}", "--key", ""]
    curl(door, *password, "-T", str(local), f"{url}/c.csv")
    assert door.files[f"{INBOX}/c.csv"] == DATA


# --- paramiko, and the order of calls of others


def test_paramiko_puts_and_compares_the_size(door: Door) -> None:
    local = door.local("a.csv", DATA)
    with door.paramiko() as client:
        attrs = client.put(str(local), f"{INBOX}/a.csv", confirm=True)
        assert attrs.st_size == len(DATA)
        assert client.normalize(".") == "/"
        assert client.listdir("/") == ["samples", "upload"]
        assert stat.S_ISDIR(client.stat(INBOX).st_mode or 0)
        client.utime(f"{INBOX}/a.csv", (1, 1))
        client.chmod(f"{INBOX}/a.csv", 0o600)
        client.rename(f"{INBOX}/a.csv", f"{INBOX}/b.csv")
        with client.open(f"{INBOX}/b.csv", "rb") as file:
            file.prefetch()
            assert file.read() == DATA
        with pytest.raises(OSError, match="takes no uploads"):
            client.put(str(local), "/samples/a.csv")
        with pytest.raises(FileNotFoundError):
            client.stat(f"{INBOX}/a.csv")


def test_winscp_uploads_under_a_temporary_name_renames_and_sets_the_time(door: Door) -> None:
    """The calls of WinSCP 6: lstat of the target, write to ``.filepart``, close, rename, setstat of the time."""
    with door.paramiko() as client:
        with pytest.raises(FileNotFoundError):
            client.lstat(f"{INBOX}/a.csv")
        with client.open(f"{INBOX}/a.csv.filepart", "w") as file:
            file.set_pipelined(True)
            for place in range(0, len(DATA), 32_768):
                file.write(DATA[place : place + 32_768])
        client.rename(f"{INBOX}/a.csv.filepart", f"{INBOX}/a.csv")
        client.utime(f"{INBOX}/a.csv", (1_700_000_000, 1_700_000_000))
        assert client.lstat(f"{INBOX}/a.csv").st_size == len(DATA)
    assert door.folders.events == [("closed", f"{INBOX}/a.csv.filepart"), ("renamed", f"{INBOX}/a.csv")]


def test_a_session_that_ends_with_open_files_has_not_closed_them(door: Door) -> None:
    with door.paramiko() as client:
        file = client.open(f"{INBOX}/a.csv", "w")
        file.write(b"half of it")
        file.flush()
        wait_until(lambda: door.files.get(f"{INBOX}/a.csv"))
    wait_until(lambda: door.folders.events)
    assert door.folders.events == [("broken off", f"{INBOX}/a.csv")]
    wait_until(lambda: door.folders.visits == 0)


def test_passwords_and_strangers(door: Door) -> None:
    with door.paramiko(username="ACME", password=PASSWORD) as client:
        assert client.normalize("x/..") == "/"
    for username, password in ((USER, "wrong"), ("nobody", PASSWORD), ("other", PASSWORD), (USER, "")):
        with pytest.raises(paramiko.AuthenticationException), door.paramiko(username=username, password=password):
            pass
    assert door.batch("pwd", key="stranger", ok=False).returncode == 255
    stranger = paramiko.Ed25519Key.from_private_key_file(str(keys_once() / "ed25519"))
    with pytest.raises(paramiko.AuthenticationException), door.paramiko(username="other", pkey=stranger):
        pass


def test_each_credential_sees_its_own(door: Door) -> None:
    door.files[f"{INBOX}/secret.csv"] = bytearray(b"x")
    with door.paramiko(username="other", password="battery staple") as client:
        assert "secret.csv" not in client.listdir(INBOX)
        with pytest.raises(FileNotFoundError):
            client.stat(f"{INBOX}/secret.csv")


@pytest.mark.parametrize(
    ("fails", "words"), [("!open", "try again"), ("open", "the disk is full"), ("close", "the disk is full")]
)
def test_a_fault_of_ours_is_told_without_what_it_says(door: Door, fails: str, words: str) -> None:
    door.folders.fails = fails
    with door.paramiko() as client, pytest.raises(OSError, match=words) as caught:
        close(client, client.open(f"{INBOX}/a.csv", "w"))
    assert "secret" not in str(caught.value)


def test_a_write_that_failed_makes_no_whole_file(door: Door) -> None:
    with door.paramiko() as client:
        file = client.open(f"{INBOX}/a.csv", "w", bufsize=0)
        file.write(b"one")
        door.folders.fails = "write"
        with pytest.raises(OSError, match="disk is full"):
            file.write(b"two")
        door.folders.fails = ""
        with pytest.raises(OSError, match="disk is full"):
            close(client, file)
    wait_until(lambda: door.folders.events)
    assert door.folders.events == [("broken off", f"{INBOX}/a.csv")]


def close(client: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
    """Close a file and hear the answer: paramiko's own close ignores it."""
    client._request(4, file.handle)


def test_a_client_that_does_not_wait_for_answers_guesses_no_more_often(tmp_path: Path) -> None:
    with door_in_thread(tmp_path) as door:
        transport = paramiko.Transport(("127.0.0.1", door.port))
        transport.start_client(timeout=30)
        service = paramiko.Message()
        service.add_byte(bytes([5]))  # SERVICE_REQUEST
        service.add_string("ssh-userauth")
        transport._send_message(service)
        for number in range(200):
            request = paramiko.Message()
            request.add_byte(bytes([50]))  # USERAUTH_REQUEST
            for word in (USER, "ssh-connection", "password"):
                request.add_string(word)
            request.add_boolean(False)
            request.add_string(f"guess {number}")
            with contextlib.suppress(OSError, EOFError):
                transport._send_message(request)
        wait_until(lambda: not transport.is_active())
        transport.close()
        noted = door.defender._subjects.get("address:127.0.0.1")
        assert noted is None or len(noted.failures) <= 12
