"""The service as operators run it: roles, host keys, a first file, revocation, bans, the stop."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from tests.house import RunningService, conversions, running_service, wait_until
from tests.proofs.needs import need
from tests.sftp.support import INBOX, keys_once

CONNECTIONS = """
[[account]]
name = "acme"
[[credential]]
name = "acme-batch"
account = "acme"
username = "acme"
password = "correct horse"
ssh_keys = ["{key}"]
[[credential]]
name = "acme-rotated"
account = "acme"
username = "rotated"
password = "old password"
[[connection]]
name = "acme-conversions"
account = "acme"
data_type = "conversions"
method = "sftp"
pattern = "*.csv"
credential = "acme-batch"
folder = "/upload/conversions"
[[connection]]
name = "acme-rotated"
account = "acme"
data_type = "conversions"
method = "sftp"
pattern = "*.csv"
credential = "acme-rotated"
folder = "/upload/conversions"
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    need("ssh-keygen", "sftp")
    key = (keys_once() / "ed25519.pub").read_text().strip()
    with running_service(
        tmp_path_factory.mktemp("service"), CONNECTIONS.format(key=key), SETTLE_SECONDS="0.5", LIMITS__LOGIN_DELAY="0s"
    ) as running:
        yield running


def sftp(service: RunningService, *lines: str, ok: bool = True) -> Any:
    done = subprocess.run(
        ["sftp", "-F", "none", "-P", str(service.ports["sftp"]), "-i", str(keys_once() / "ed25519"), "-b", "-",
         "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "acme@127.0.0.1"],
        input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert not ok or done.returncode == 0, done.stderr
    return done


def log_in(service: RunningService, username: str, password: str) -> paramiko.Transport:
    transport = paramiko.Transport(("127.0.0.1", service.ports["sftp"]))
    try:
        transport.connect(username=username, password=password)
    except BaseException:
        transport.close()
        raise
    return transport


def refused(service: RunningService, username: str, password: str) -> bool:
    try:
        log_in(service, username, password).close()
    except paramiko.AuthenticationException:
        return True
    return False


def lets_in(service: RunningService, username: str, password: str) -> bool:
    """Try to log in; a connection that is shut before the login, since a banned address gets few, is no login."""
    try:
        log_in(service, username, password).close()
    except (paramiko.SSHException, EOFError, OSError):
        return False
    return True


def test_a_file_comes_in_is_imported_and_answered(service: RunningService, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(conversions())
    sftp(service, f"put {tmp_path / 'a.csv'} {INBOX}/a.csv")
    wait_until(lambda: "result_a.csv.json" in sftp(service, f"ls -1 {INBOX}/results").stdout)
    (upload,) = service.uploads("--connection", "acme-conversions")
    assert (upload["door"], upload["file_name"], upload["import"]["status"]) == ("sftp", "a.csv", "completed")


def test_the_fingerprint_is_told_everywhere_and_stays(service: RunningService) -> None:
    shown = service.mailgate("connection", "show", "acme-conversions")["host_key_fingerprint"]
    key = service.data / "keys" / "ssh_host_ed25519_key"
    assert key.stat().st_mode & 0o777 == 0o600
    printed = subprocess.run(["ssh-keygen", "-lf", str(key)], capture_output=True, text=True, check=True).stdout
    assert shown in printed
    assert any(line.get("fingerprint") == shown for line in service.log())
    transport = log_in(service, "acme", "correct horse")
    assert transport.get_remote_server_key().fingerprint == shown
    transport.close()


def test_a_password_is_rotated_with_an_overlap_and_revoked_at_once(service: RunningService) -> None:
    new = service.mailgate("credential", "rotate", "acme-rotated", "--overlap", "24h")
    both = [log_in(service, "rotated", password) for password in ("old password", new["password"])]
    newest = service.mailgate("credential", "rotate", "acme-rotated")
    assert newest["old_until"] is None
    for transport in both:
        wait_until(lambda one=transport: not one.is_active(), 5)
    assert refused(service, "rotated", "old password")
    live = log_in(service, "rotated", newest["password"])
    service.mailgate("credential", "revoke", "ACME-rotated")
    wait_until(lambda: not live.is_active(), 5)
    assert refused(service, "rotated", newest["password"])
    service.apply(CONNECTIONS.format(key=(keys_once() / "ed25519.pub").read_text().strip()))
    assert refused(service, "rotated", "old password"), "an apply brings nothing back"
    service.mailgate("credential", "revoke", "nobody", code=3)
    service.mailgate("credential", "rotate", "nobody", code=3)
    service.mailgate("credential", "rotate", "acme-rotated", "--overlap", "long", code=2)


def test_a_ban_covers_every_door_is_shown_survives_and_is_lifted(service: RunningService) -> None:
    import smtplib
    import ssl

    def smtp_refuses() -> bool:
        with smtplib.SMTP("127.0.0.1", service.port, timeout=30) as client:
            client.starttls(context=ssl._create_unverified_context())
            try:
                client.login("acme", "correct horse")
            except smtplib.SMTPAuthenticationError:
                return True
            return False

    assert not smtp_refuses()
    for number in range(7):
        assert refused(service, "acme", f"guess {number}")
    assert refused(service, "acme", "correct horse")
    assert smtp_refuses()
    wait_until(lambda: service.mailgate("ban", "list"))
    service.stop()
    service.start(SETTLE_SECONDS="0.5", LIMITS__LOGIN_DELAY="0s")
    assert refused(service, "acme", "correct horse")
    assert "results" in sftp(service, f"ls -1 {INBOX}").stdout, "a key is let in all the same"
    (ban,) = service.mailgate("ban", "list")
    assert (ban["address"], ban["bans"]) == ("127.0.0.1", 1)
    findings = service.mailgate("doctor", code=1)
    assert {"bans", "alarm ADDRESS_BANNED"} <= {one["subject"] for one in findings}
    service.mailgate("ban", "lift", "127.0.0.1")
    wait_until(lambda: lets_in(service, "acme", "correct horse"), 20)
    assert not smtp_refuses()
    assert service.mailgate("ban", "list") == []
    service.mailgate("ban", "lift", "127.0.0.1", code=3)


def test_the_door_alone_and_its_stop(service: RunningService) -> None:
    service.stop()
    service.start(roles="sftp", SETTLE_SECONDS="0.5")
    assert {"smtp", "sftp", "ftp"} <= set(service.ports)  # the first from the life before
    live = log_in(service, "acme", "correct horse")
    assert service.stop() == 0
    wait_until(lambda: not live.is_active())
    service.start(SETTLE_SECONDS="0.5", LIMITS__LOGIN_DELAY="0s")


def test_a_host_key_that_is_missing_is_made_at_the_start_and_an_open_one_is_found(tmp_path: Path) -> None:
    service = RunningService(tmp_path)
    service.set_up("")
    key = service.data / "keys" / "ssh_host_ed25519_key"
    key.unlink()
    service.start(roles="sftp")
    service.stop()
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o644)
    assert any("chmod 600" in one["fix"] for one in service.mailgate("doctor", code=1))
