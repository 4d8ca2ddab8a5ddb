"""The mailbox door as operators meet it: a service process, and the command line beside it."""

from pathlib import Path

import pytest

from tests.house import RunningService, conversions, mail, wait_until
from tests.imap.dovecot import Dovecot
from tests.imap.support import HEAD, connection

NAME = "Conversions_1.csv"
MOVES = 'processed_folder = "Done"\nignored_folder = "Other"'


@pytest.fixture
def service(tmp_path: Path) -> RunningService:
    found = RunningService(tmp_path / "house")
    found.set_up("")
    config = found.folder / "mailgate.toml"
    config.write_text(config.read_text() + "\n[pull]\nallow_private = true\n[limits]\nminimum_free_bytes = 1000\n")
    return found


def test_a_running_service_obeys_an_apply_and_answers(dovecot: Dovecot, service: RunningService, user: str) -> None:
    dovecot.put(user, [mail([(NAME, conversions())]), mail([("report.csv", b"x")])])
    service.start()
    try:
        (told,) = service.apply(HEAD + connection(user, dovecot.port, dovecot.password_file, remote=MOVES))
        assert told == {
            "connection": "acme-mailbox", "host": "127.0.0.1", "port": dovecot.port, "username": user,
            "folder": "INBOX",
        }  # fmt: skip
        wait_until(lambda: len(service.outbox()) == 3)  # two receipts and a result
        assert {one["door"] for one in service.uploads()} == {"imap"}
        wait_until(lambda: (len(dovecot.uids(user, "Done")), len(dovecot.uids(user, "Other"))) == (1, 1))
        dovecot.put(user, [mail([(NAME, conversions())])])
        pulled = service.mailgate("connection", "pull", "acme-mailbox")
        assert (pulled["by_service"], pulled["reason"]) == (True, None)
        assert len(service.uploads()) == 3
        shown = service.mailgate("connection", "show", "acme-mailbox")
        assert shown["remote"]["processed_folder"] == "Done"
        assert shown["polling"]["polled_by"]
        assert shown["polling"]["failures"] == 0
        service.mailgate("connection", "pause", "acme-mailbox")
        service.mailgate("connection", "pull", "acme-mailbox", code=1)
        wait_until(lambda: not service.mailgate("connection", "show", "acme-mailbox")["polling"]["polled_by"])
    finally:
        assert service.stop() == 0


def test_a_service_without_the_poller_polls_nothing(dovecot: Dovecot, service: RunningService, user: str) -> None:
    service.apply(HEAD + connection(user, dovecot.port, dovecot.password_file))
    service.start(roles="smtp,worker")
    assert service.mailgate("connection", "show", "acme-mailbox")["polling"] is None
    service.stop()
    service.start(roles="poller")
    wait_until(lambda: service.mailgate("connection", "show", "acme-mailbox")["polling"])
    service.stop()
