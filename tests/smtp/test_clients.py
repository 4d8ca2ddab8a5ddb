"""Real clients against the running service: each brings a file, and the history has its bytes."""

import smtplib
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from tests.house import (
    ADDRESS,
    CONNECTION,
    SENDER,
    RunningService,
    conversions,
    digest,
    mail,
    running_service,
    wait_until,
)
from tests.proofs.needs import find, need
from tests.proofs.postfix import open_postfix
from tests.smtp.wire import anyone

NAME = "Conversions_2026_client.csv"
WITH_LOGIN = CONNECTION.replace(
    'return_address = "batch@acme.example"', 'username = "acme"\npassword = "correct horse"\nreturn_address = ""'
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that takes logins, with an implicit TLS port; its imports are another test's matter."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("service")
    with running_service(folder, WITH_LOGIN, roles="smtp", SMTP__TLS_PORT=str(port)) as running:
        yield running


def run(*words: str, given: bytes | None = None) -> str:
    done = subprocess.run(words, input=given, capture_output=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, said
    return said


SENT: list[bytes] = []  # what has arrived; the history is asked for all of it once, since asking takes a second


def arrived(service: RunningService, content: bytes) -> str:
    """Wait for the one delivery with this content; gives its trace id."""
    select = "select trace_id, status from upload where sha256 = ?"
    ((trace_id, status),) = wait_until(lambda: service.rows(select, digest(content)))
    assert status == "import_job_created"
    SENT.append(content)
    return str(trace_id)


def path_of(folder: Path, content: bytes, name: str = NAME) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "how",
    ["", "--pipeline", "--tls", "--tls --auth PLAIN", "--tls --auth LOGIN", "--tls-on-connect"],
)
def test_swaks(service: RunningService, tmp_path: Path, how: str) -> None:
    need("swaks")
    if "--tls" in how and "TLS supported" not in run("swaks", "--support"):
        pytest.skip("swaks speaks no TLS here: it wants the Perl module Net::SSLeay")
    content = conversions()
    login = ("--auth-user", "acme", "--auth-password", "correct horse") if "--auth" in how else ()
    port = service.ports["smtps" if "--tls-on-connect" in how else "smtp"]
    said = run(
        "swaks", "--server", f"127.0.0.1:{port}", "--from", SENDER, "--to", ADDRESS, *how.split(), *login,
        "--attach-type", "text/csv", "--attach", f"@{path_of(tmp_path, content)}",
    )  # fmt: skip
    assert f"250 2.0.0 accepted {arrived(service, content)}" in said


@pytest.mark.parametrize("how", ["plain", "tls", "login", "implicit"])
def test_curl(service: RunningService, tmp_path: Path, how: str) -> None:
    need("curl")
    content = conversions()
    eml = path_of(tmp_path, mail([(NAME, content)]), "mail.eml")
    secure = ("--cacert", str(service.certificate), "--ssl-reqd")
    options = {
        "plain": (), "tls": secure, "login": (*secure, "--user", "acme:correct horse"), "implicit": secure,
    }[how]  # fmt: skip
    door = f"smtps://localhost:{service.ports['smtps']}" if how == "implicit" else f"smtp://localhost:{service.port}"
    said = run(
        "curl", "--silent", "--show-error", "--verbose", "--ipv4", door, *options,
        "--mail-from", SENDER, "--mail-rcpt", ADDRESS, "--upload-file", str(eml),
    )  # fmt: skip
    assert f"250 2.0.0 accepted {arrived(service, content)}" in said


@pytest.mark.parametrize("how", ["plain", "starttls", "login", "implicit"])
def test_smtplib(service: RunningService, how: str) -> None:
    content = conversions()
    message = message_from_bytes(mail([(NAME, content)]), policy=policy.SMTP)
    trusted = ssl.create_default_context(cafile=str(service.certificate))
    client = (
        smtplib.SMTP_SSL("localhost", service.ports["smtps"], context=trusted, timeout=30)
        if how == "implicit" else smtplib.SMTP("localhost", service.port, timeout=30)
    )  # fmt: skip
    with client:
        if how in ("starttls", "login"):
            client.starttls(context=trusted)
        if how in ("login", "implicit"):
            client.login("acme", "correct horse")
        assert client.send_message(message, SENDER, [ADDRESS]) == {}
    arrived(service, content)


def test_smtplib_is_told_of_a_wrong_password(service: RunningService) -> None:
    with smtplib.SMTP("127.0.0.1", service.port, timeout=30) as client:
        client.starttls(context=anyone())
        with pytest.raises(smtplib.SMTPAuthenticationError) as told:
            client.login("acme", "wrong")
    assert told.value.smtp_code == 535


def test_smtplib_is_told_of_a_refused_recipient(service: RunningService) -> None:
    with smtplib.SMTP("127.0.0.1", service.port, timeout=30) as client, pytest.raises(smtplib.SMTPRecipientsRefused):
        client.sendmail(SENDER, ["nobody@intake.localhost"], mail())


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users get through to: postfix changes users."""
    with tempfile.TemporaryDirectory(prefix="mailgate-postfix-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_postfix_as_the_senders_own_server(service: RunningService, open_folder: Path) -> None:
    need("postfix", "postqueue")
    contents = [conversions() for _ in range(3)]
    with open_postfix(open_folder, service.port) as postfix:
        with smtplib.SMTP("127.0.0.1", postfix.port, timeout=30) as client:
            for content in contents:
                client.sendmail(SENDER, [ADDRESS], mail([(NAME, content)]))
        for content in contents:
            arrived(service, content)
        wait_until(lambda: postfix.waiting() == 0)


def test_the_load_generator_of_postfix_gets_a_2xx_for_every_mail(service: RunningService) -> None:
    need("smtp-source")
    for protocol in ((), ("-d",)):  # -d: many mails in one session
        run(
            find("smtp-source") or "", *protocol, "-s", "5", "-m", "50", "-l", "20000", "-f", SENDER, "-t", ADDRESS,
            f"127.0.0.1:{service.port}",
        )  # fmt: skip
    # A reply that is not 2xx makes it give up. Mails of one second have one Message-ID and no file: they are the same.
    first = service.rows("select count(*) from delivery where code = 'NO_ATTACHMENT'")[0][0]
    again = service.rows("select count(*) from event where why like 'ALREADY_SEEN%'")[0][0]
    assert first + again == 100


def test_the_history_shows_what_they_all_brought(service: RunningService) -> None:
    shown = {one["sha256"]: one for one in service.uploads() if one["file_name"]}
    for content in SENT:
        upload = shown.pop(digest(content))
        assert (upload["status"], upload["bytes"]) == ("import_job_created", len(content))
    assert shown == {}
