"""What the tests of the kit share: its files, read."""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from mailgate.app import ROLES
from mailgate.settings import Settings

ROOT = Path(__file__).parents[2]
VARIABLES = {
    "POSTGRES_PASSWORD": "pg-secret", "S3_ACCESS_KEY": "AKIATEST", "S3_SECRET_KEY": "s3cret",
    "INTAKE_DOMAIN": "intake.example.com", "SUPPORT_CONTACT": "files@example.com",
}  # fmt: skip


def compose(variables: dict[str, str] = VARIABLES) -> dict[str, Any]:
    """Read compose.yaml with its variables filled in, as the compose specification says."""

    def fill(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, _, told = match[1].partition(":?")
        assert name in variables, f"{name}: {told}"
        return variables[name]

    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return {key: _each(value, lambda text: re.sub(r"\$\$|\$\{([^}]+)\}", fill, text)) for key, value in found.items()}


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {key: _each(one, change) for key, one in value.items()}
    if isinstance(value, list):
        return [_each(one, change) for one in value]
    return change(value) if isinstance(value, str) else value


def ours(services: dict[str, Any]) -> dict[str, Any]:
    """Give the services that run mailgate."""
    return {name: one for name, one in services.items() if str(one.get("image", "")).startswith("mailgate:")}


def check_command(words: list[str]) -> None:
    """See that a command line of mailgate is one that is built."""
    assert words[0] in {"serve", "migrate"}
    if "--roles" in words:
        roles = words[words.index("--roles") + 1]
        assert set(roles.split(",")) <= set(ROLES), roles


def check_variables(names: list[str]) -> None:
    """See that each variable of ours names a setting."""
    for name in names:
        table, _, key = name.removeprefix("MAILGATE_").lower().partition("__")
        assert table in Settings.model_fields, name
        if key:
            kind = Settings.model_fields[table].annotation
            assert isinstance(kind, type)
            assert issubclass(kind, BaseModel)
            assert key in {field.alias or inner for inner, field in kind.model_fields.items()}, name
