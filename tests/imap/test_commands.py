"""The commands of a mailbox, in this process: what they say, and the exit code that says which step failed."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import Cli
from tests.house import CONNECTION, conversions, mail
from tests.imap.dovecot import Dovecot
from tests.imap.hostile import scripted
from tests.imap.support import HEAD, connection

NAME = "Conversions_1.csv"
MOVES = 'processed_folder = "Done"\nignored_folder = "Other"'


class House:
    """The command line of a house that may connect to loopback."""

    def __init__(self, cli: Cli) -> None:
        self._cli = cli
        self.folder = cli.folder
        cli.config.write_text(cli.config.read_text() + "[pull]\nallow_private = true\n")

    def apply(self, text: str) -> None:
        assert self._cli.apply(text).code == 0

    def mailgate(self, *words: str, code: int = 0) -> Any:
        ran = self._cli("--json", *words)
        assert ran.code == code, ran.err
        lines = ran.out.splitlines()  # in a test log lines stand on stdout as well
        begins = [place for place, line in enumerate(lines) if line in ("{", "[", "[]")]
        return json.loads("\n".join(lines[begins[0] :])) if begins else None

    def uploads(self) -> Any:
        return self.mailgate("upload", "list")


@pytest.fixture
def service(cli: Cli) -> House:
    return House(cli)


def test_pull_takes_by_itself_where_no_service_polls(dovecot: Dovecot, service: House, user: str) -> None:
    dovecot.put(user, [mail([(NAME, conversions())])])
    service.apply(HEAD + connection(user, dovecot.port, dovecot.password_file, remote=MOVES))
    pulled = service.mailgate("connection", "pull", "acme-mailbox")
    assert not pulled["by_service"]
    assert pulled["taken"] == [service.uploads()[0]["trace_id"]]
    assert service.mailgate("connection", "pull", "ACME-mailbox")["taken"] == []
    service.mailgate("connection", "pull", "nobody", code=3)


def test_the_test_tells_what_would_be_taken_and_why_not(dovecot: Dovecot, service: House, user: str) -> None:
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


def test_the_exit_code_says_which_step_failed(dovecot: Dovecot, service: House, user: str) -> None:
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


def test_what_is_pushed_has_nothing_to_pull(service: House) -> None:
    service.apply(CONNECTION)
    service.mailgate("connection", "test", "acme-conversions", code=2)
    service.mailgate("connection", "pull", "acme-conversions", code=2)


def test_people_read_the_same(dovecot: Dovecot, service: House, cli: Cli, user: str) -> None:
    dovecot.put(user, [mail([(NAME, conversions())]), mail([("report.csv", b"x")])])
    service.apply(HEAD + connection(f"{user}@acme.example", dovecot.port, dovecot.password_file, remote=MOVES))
    shown = cli("connection", "test", "acme-mailbox")
    assert shown.code == 0
    assert "ok      login" in shown.out
    listed = cli("connection", "list")
    assert f"{user}+acme-mailbox@acme.example" in listed.out
    assert "never: does a service with the role poller run?" in cli("connection", "show", "acme-mailbox").out
    assert cli("connection", "pull", "acme-mailbox").code == 0
    assert "polled_at" in cli("connection", "show", "acme-mailbox").out


def test_the_doctor_warns_of_a_mailbox_that_anybody_may_write_to(service: House, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x")
    service.apply(HEAD + connection("me", 143, tmp_path / "password", host="mail.acme.example"))
    findings = {one["finding"] for one in service.mailgate("doctor", code=1)}
    assert "anybody who can write to its mailbox can send it files" in findings
    assert "the mailbox's password and the files travel in clear" in findings
