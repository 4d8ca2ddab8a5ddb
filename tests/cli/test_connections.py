"""``connection``: what is applied, listed, paused and deleted."""

from pathlib import Path

import pytest

from tests.cli.support import APPLY, Cli

ADDRESS = "acme-conversions-x7@intake.localhost"


def test_apply_prints_what_was_provisioned(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(APPLY.replace('username = "acme"', 'username = "acme"\npassword = "generate"'))
    (entry,) = cli.json("connection", "apply", path)
    password = entry.pop("password")
    assert entry == {"connection": "acme-conversions", "address": ADDRESS, "username": "acme"}
    assert len(password) >= 20
    again = cli.json("connection", "apply", path)
    assert again == [entry]


def test_apply_shows_a_password_once_to_people_too(cli: Cli) -> None:
    text = APPLY.replace('username = "acme"', 'username = "acme"\npassword = "generate"')
    assert "shown this once" in cli.apply(text).out
    again = cli.apply(text)
    assert again.code == 0
    assert "password" not in again.out.lower()


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("[[account]", 2, "this is no TOML"),
        (APPLY + "patern = 1\n", 2, "there is no key 'patern'"),
        (APPLY + 'expect = "0 6 * * *"\n', 2, "not built yet"),
        (APPLY + 'folder = "/upload"\n', 2, 'does not go with method = "email"'),
        (APPLY.replace('account = "acme"', 'account = "nobody"'), 1, "there is no account 'nobody'"),
    ],
)
def test_apply_refuses(cli: Cli, text: str, code: int, sentence: str) -> None:
    ran = cli.apply(text)
    assert (ran.code, ran.out) == (code, "")
    assert sentence in ran.err
    assert "nothing was applied" in ran.err
    assert cli.json("connection", "list") == []


def test_an_address_of_a_deleted_connection_is_refused_in_a_sentence(acme: Cli) -> None:
    assert acme("connection", "delete", "acme-conversions").code == 0
    ran = acme.apply()
    assert ran.code == 1
    assert "is or was another connection's" in ran.err


@pytest.mark.parametrize("data", [None, b"\xff\xfe"])
def test_apply_a_file_that_cannot_be_read(cli: Cli, tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "x.toml"
    if data is not None:
        path.write_bytes(data)
    ran = cli("connection", "apply", path)
    assert ran.code == 2
    assert "cannot be read" in ran.err


def test_list_and_show(acme: Cli) -> None:
    (listed,) = acme.json("connection", "list")
    shown = acme.json("connection", "show", "ACME-Conversions")
    assert shown == listed
    expected = {
        "connection": "acme-conversions", "account": "acme", "state": "active", "health": "none", "address": ADDRESS,
        "pattern": "Conversions_*.csv", "return_address": "batch@acme.example", "username": "acme", "version": 1,
        "allowed_senders": [], "duplicates": "reject",
    }  # fmt: skip
    assert {key: shown[key] for key in expected} == expected
    people = acme("connection", "list").out
    assert ADDRESS in people
    command = acme("connection", "show", "acme-conversions").out
    assert f"--to {ADDRESS}" in command
    assert "no connections yet" not in people


def test_an_empty_list(cli: Cli) -> None:
    assert cli.json("connection", "list") == []
    assert "no connections yet" in cli("connection", "list").out


def test_pause_resume_delete(acme: Cli) -> None:
    def state() -> str:
        return str(acme.json("connection", "show", "acme-conversions")["state"])

    assert acme("connection", "pause", "acme-conversions").code == 0
    assert state() == "paused"
    assert acme.json("connection", "resume", "ACME-conversions", "--import-held") == {
        "connection": "ACME-conversions", "released": [],
    }  # fmt: skip
    assert state() == "active"
    assert acme("connection", "delete", "acme-conversions").code == 0
    assert acme.json("connection", "list") == []
    assert acme("connection", "show", "acme-conversions").code == 3


@pytest.mark.parametrize("command", ["show", "pause", "resume", "delete", "files"])
def test_a_connection_there_is_not(acme: Cli, command: str) -> None:
    ran = acme("connection", command, "nobody")
    assert (ran.code, ran.out, ran.err) == (3, "", "there is no connection 'nobody'\n")


@pytest.mark.parametrize("command", ["test", "pull"])
def test_what_is_not_built_is_absent(acme: Cli, command: str) -> None:
    assert acme("connection", command, "acme-conversions").code == 2
