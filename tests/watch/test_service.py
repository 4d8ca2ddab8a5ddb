"""The running service, as an operator sees it: its log by trace id, its metrics, its health."""

import json
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import ADDRESS, CONNECTION, SENDER, RunningService, conversions, mail, running_service, wait_until
from tests.proofs.needs import need
from tests.sftp.support import keys_once
from tests.smtp.wire import wire
from tests.watch.support import get, samples

CONNECTIONS = (
    CONNECTION
    + """
[[credential]]
name = "acme-files"
account = "acme"
username = "acme"
return_address = "batch@acme.example"
ssh_keys = ["{key}"]
[[connection]]
name = "acme-uploads"
account = "acme"
data_type = "conversions"
method = "sftp"
pattern = "*.csv"
credential = "acme-files"
folder = "/upload/conversions"
"""
)
WAY = ["delivery", "import begun", "import", "answer sent", "answer sent"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    need("ssh-keygen", "sftp")
    connections = CONNECTIONS.replace("{key}", (keys_once() / "ed25519.pub").read_text().strip())
    folder = tmp_path_factory.mktemp("service")
    with running_service(
        folder,
        connections,
        SETTLE_SECONDS="0",
        LIMITS__METRICS_KEPT="0s",
        LIMITS__LOGIN_DELAY="0s",
        LIMITS__PARSE_WORKERS="1",
    ) as running:
        yield running


def deliver(service: RunningService, raw: bytes) -> str:
    with wire(service.port) as client:
        return client.deliver(raw, (ADDRESS,), SENDER)


def way(service: RunningService, trace_id: str) -> list[str]:
    """Give the events of one delivery, in the order in which they were logged."""
    return [line["event"] for line in service.log() if line.get("trace_id") == trace_id]


def series(service: RunningService) -> dict[tuple[str, ...], float]:
    status, page = get(service.ports["metrics"], "/metrics")
    assert status == 200
    return samples(page)


def upload(service: RunningService, name: str, content: bytes) -> None:
    path = service.folder / "upload.csv"
    path.write_bytes(content)
    subprocess.run(
        ["sftp", "-F", "none", "-P", str(service.ports["sftp"]), "-i", str(keys_once() / "ed25519"), "-b", "-",
         "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes",
         "acme@127.0.0.1"],
        input=f"put {path} /upload/conversions/{name}\n", text=True, check=True, capture_output=True, timeout=60,
    )  # fmt: skip


def test_a_mail_can_be_followed_by_its_trace_id(service: RunningService) -> None:
    answer = deliver(service, mail([("Conversions_2026_way.csv", conversions(3))]))
    trace_id = answer.rpartition(" ")[2]
    found = wait_until(lambda: events if len(events := way(service, trace_id)) >= 5 else [])
    assert sorted(found) == sorted(WAY)
    assert [event for event in found if event != "answer sent"] == WAY[:3]
    lines = {line["event"]: line for line in service.log() if line.get("trace_id") == trace_id}
    assert (lines["delivery"]["verdict"], lines["import"]["rows"]) == ("accepted", 3)


def test_an_upload_can_be_followed_by_its_trace_id(service: RunningService) -> None:
    upload(service, "way.csv", conversions(2))
    stored = wait_until(lambda: [line for line in service.log() if line["event"] == "stored"])
    trace_id = stored[-1]["trace_id"]
    found = wait_until(lambda: events if len(events := way(service, trace_id)) >= 6 else [])
    assert sorted(found) == sorted(["stored", *WAY])
    page = series(service)
    assert page["mailgate_logins_total", "method=key", "outcome=right"] >= 1


def test_the_page_counts_what_happened(service: RunningService) -> None:
    before = series(service)
    content = conversions(4) + b"not,enough\r\n"
    trace_id = deliver(service, mail([("Conversions_2026_count.csv", content)])).rpartition(" ")[2]
    deliver(service, mail([("Sales_2026.csv", content)]))
    wait_until(lambda: len(way(service, trace_id)) >= 5)
    after = series(service)

    def grown(*key: str) -> float:
        return after[key] - before.get(key, 0.0)

    ignored = ("mailgate_deliveries_total", "code=NAME_NOT_MATCHED", "door=smtp", "verdict=ignored")
    assert grown("mailgate_deliveries_total", "code=", "door=smtp", "verdict=accepted") == 1
    assert grown(*ignored) == 1
    assert grown("mailgate_imports_total", "status=completed_with_errors") == 1
    assert grown("mailgate_rows_total", "outcome=successful") == 4
    assert grown("mailgate_rows_total", "outcome=error") == 1
    assert grown("mailgate_answers_total", "kind=result", "outcome=sent") >= 1
    assert grown("mailgate_delivery_bytes_total", "door=smtp") > 2 * len(content)
    for step in ("receive", "record", "blobs", "queue", "parse", "import", "result", "answer"):
        assert grown("mailgate_step_seconds_count", f"step={step}") >= 1
    assert after["mailgate_imports_unended", "status=queued"] == 0
    assert grown("mailgate_database_group_size_count") >= 4


def test_what_clients_and_operators_named_never_stands_on_the_page(service: RunningService) -> None:
    name = "Conversions_2026_secret-name.csv"
    deliver(service, mail([(name, conversions(1))]))
    page = get(service.ports["metrics"], "/metrics")[1]
    for word in ("acme", "secret-name", "conversions", "batch@", "/upload", str(service.folder)):
        assert word.lower() not in page.lower()


def test_the_page_stays_small_whatever_comes(service: RunningService) -> None:
    deliver(service, mail([("Conversions_2026_first.csv", conversions(1))]))
    before = len(series(service))
    with smtplib.SMTP("127.0.0.1", service.port) as client:
        client.ehlo("x")
        for number in range(20):
            assert client.mail(f"x{number}@acme.example")[0] == 250
            assert client.rcpt(f"nobody-{number}@intake.localhost")[0] == 550
            client.rset()
    deliver(service, mail([("Conversions_2026_another.csv", conversions(1))]))
    assert len(series(service)) <= before + 2


def test_nothing_that_a_client_says_makes_a_line_of_its_own(service: RunningService) -> None:
    """T25: names with line ends, escapes and JSON in them stay inside their line."""
    evil = 'x\r\n{"event": "forged", "room": "intake"}\x1b[31m\u2028\u202e\x85.csv'
    before = len([line for line in service.log() if line.get("event") == "delivery"])
    with wire(service.port) as client:
        client.deliver(mail([(evil, conversions(1))], Subject="a\x1b[2J"), (ADDRESS,), SENDER)
    with smtplib.SMTP("127.0.0.1", service.port) as client:
        client.ehlo('evil{"event":"forged"}\x1b[31m')
        client.starttls()
        client.ehlo("x")
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login('u\r\n{"event": "forged"}\x1b', "wrong")
    text = (service.folder / "service.log").read_bytes()
    lines = text.decode("ascii").splitlines()  # all of it is ASCII, so no other kind of line end can stand in it
    events = [json.loads(line)["event"] for line in lines]
    assert "forged" not in events
    assert "login refused" in events
    assert events.count("delivery") == before + 1
    assert b"\x1b" not in text


def test_health_and_the_stop(tmp_path: Path) -> None:
    service = RunningService(tmp_path)
    service.set_up()
    service.start(roles="smtp")
    port = service.ports["metrics"]
    assert (get(port, "/healthz")[0], get(port, "/readyz")[0]) == (200, 200)
    assert series(service)["mailgate_role_info", "role=smtp"] == 1
    with wire(service.port) as client:
        client.say("EHLO x")
        client.say(f"MAIL FROM:<{SENDER}>")
        client.say(f"RCPT TO:<{ADDRESS}>")
        client.say("DATA")  # a mail under way: the stop waits for it a while
        service.process.terminate()
        _, body = wait_until(lambda: found if (found := get(port, "/readyz"))[0] == 503 else None)
        assert json.loads(body)["checks"]["stage"] == "the service is stopping"
    assert service.stop() == 0


def test_a_service_that_is_not_to_be_watched_opens_no_port(tmp_path: Path) -> None:
    service = RunningService(tmp_path)
    service.set_up()
    service.start(roles="smtp", METRICS__ENABLED="false")
    try:
        assert list(service.ports) == ["smtp"]
    finally:
        service.stop()
