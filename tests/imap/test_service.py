"""The mailbox door as operators meet it: a service process, and the command line beside it."""

from pathlib import Path

import pytest

from tests.house import RunningService, conversions, mail, wait_until
from tests.imap.dovecot import Dovecot
from tests.imap.hostile import scripted
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


def test_pull_takes_by_itself_where_no_service_polls(dovecot: Dovecot, service: RunningService, user: str) -> None:
    dovecot.put(user, [mail([(NAME, conversions())])])
    service.apply(HEAD + connection(user, dovecot.port, dovecot.password_file, remote=MOVES))
    pulled = service.mailgate("connection", "pull", "acme-mailbox")
    assert not pulled["by_service"]
    assert pulled["taken"] == [service.uploads()[0]["trace_id"]]
    assert service.mailgate("connection", "pull", "ACME-mailbox")["taken"] == []
    service.mailgate("connection", "pull", "nobody", code=3)


def test_the_test_tells_what_would_be_taken_and_why_not(dovecot: Dovecot, service: RunningService, user: str) -> None:
    dovecot.put(
        user,
        [
            mail([(NAME, conversions())], To="one@x.example"),
            mail([("report.csv", b"x")], To="one@x.example"),
            mail([(NAME, conversions())], To="two@x.example"),
            mail([(NAME, conversions())], To="nobody@x.example"),
        ],
    )
    service.apply(
        HEAD
        + connection(user, dovecot.port, dovecot.password_file, name="one", remote=MOVES)
        + connection(user, dovecot.port, dovecot.password_file, name="two")
    )
    for _ in range(2):  # it changes nothing
        found = service.mailgate("connection", "test", "one")
        assert [(step["step"], step["ok"]) for step in found["steps"]] == [
            ("DNS", True), ("TCP", True), ("TLS", True), ("login", True), ("folder", True),
        ]  # fmt: skip
        assert "Done and Other will be made" in found["steps"][-1]["reason"]
        assert [(one["uid"], one["files"]) for one in found["would_take"]] == [(1, [NAME])]
        assert [(one["uid"], one["code"]) for one in found["would_not_take"]] == [
            (2, "NAME_NOT_MATCHED"), (3, None), (4, "ADDRESS_NOT_MATCHED"),
        ]  # fmt: skip
        assert found["would_not_take"][1]["reason"] == "It is addressed to two."
    assert service.uploads() == []
    service.mailgate("connection", "pull", "two")
    found = service.mailgate("connection", "test", "two")
    assert [one["code"] for one in found["would_not_take"]] == ["ALREADY_SEEN"]


def test_the_exit_code_says_which_step_failed(dovecot: Dovecot, service: RunningService, user: str) -> None:
    wrong = service.folder / "wrong"
    wrong.write_text("wrong")

    def tested(text: str, code: int) -> tuple[str, str]:
        service.apply(HEAD + text)
        last = service.mailgate("connection", "test", "acme-mailbox", code=code)["steps"][-1]
        assert not last["ok"]
        service.mailgate("connection", "pull", "acme-mailbox", code=code)
        return last["step"], last["reason"]

    assert tested(connection(user, dovecot.port, wrong), 4)[0] == "login"
    assert tested(connection(user, dovecot.port, dovecot.password_file, remote='folder = "No"'), 3)[0] == "folder"
    assert tested(connection(user, 1, dovecot.password_file), 5)[0] == "TCP"
    assert tested(connection(user, 1, dovecot.password_file, host="no.invalid"), 5)[0] == "DNS"
    assert tested(connection(user, dovecot.tls_port, dovecot.password_file, tls="implicit"), 5)[0] == "TLS"
    with scripted({}, greeting=b"* BYE\r\n") as server:
        assert tested(connection(user, server.port, wrong), 5)[0] == "TCP"
    config = service.folder / "mailgate.toml"
    config.write_text(config.read_text().replace("allow_private = true", "allow_private = false"))
    step, reason = tested(connection(user, dovecot.port, dovecot.password_file), 4)
    assert step == "DNS"
    assert "not of the public network" in reason


def test_what_is_pushed_has_nothing_to_pull(service: RunningService) -> None:
    from tests.house import CONNECTION

    service.apply(CONNECTION)
    service.mailgate("connection", "test", "acme-conversions", code=2)
    service.mailgate("connection", "pull", "acme-conversions", code=2)


def test_a_service_without_the_poller_polls_nothing(dovecot: Dovecot, service: RunningService, user: str) -> None:
    service.apply(HEAD + connection(user, dovecot.port, dovecot.password_file))
    service.start(roles="smtp,worker")
    assert service.mailgate("connection", "show", "acme-mailbox")["polling"] is None
    service.stop()
    service.start(roles="poller")
    wait_until(lambda: service.mailgate("connection", "show", "acme-mailbox")["polling"])
    service.stop()
