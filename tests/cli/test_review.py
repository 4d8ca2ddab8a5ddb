"""What a look from outside found: each with the words of the contract that it broke."""

from pathlib import Path

from tests.cli.support import Cli

CREDENTIAL = """
[[account]]
name = "lone"
[[credential]]
name = "lone-batch"
account = "lone"
username = "lone"
password = "generate"
"""


def test_a_generated_password_is_shown_once_even_without_a_connection(acme: Cli, tmp_path: Path) -> None:
    file = tmp_path / "lone.toml"
    file.write_text(CREDENTIAL)
    (shown,) = acme.json("connection", "apply", file)
    assert shown["credential"] == "lone-batch"
    assert len(shown["password"]) > 16
    assert acme.json("connection", "apply", file) == []


def test_match_knows_that_a_connection_is_paused(acme: Cli) -> None:
    name = acme.json("connection", "list")[0]["connection"]
    acme("connection", "pause", name)
    ran = acme("--json", "match", "Conversions_2026_1.csv", "--connection", name)
    assert ran.code == 1
    assert "CONNECTION_PAUSED" in ran.out


def test_deleting_says_so_in_json(acme: Cli) -> None:
    name = acme.json("connection", "list")[0]["connection"]
    assert acme.json("connection", "delete", name) == {"connection": name, "state": "deleted"}
