"""The image: it holds what the wheel holds, locked, and nothing of this repository besides."""

import re
import tomllib
from fnmatch import fnmatch

from mailgate.settings import load_settings
from tests.deploy.support import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions(name: str) -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.partition(" ")[2].strip() for line in joined.splitlines() if line.startswith(name + " ")]


def requirements(text: str) -> dict[str, set[str]]:
    """Give each pinned requirement of a lock file with its hashes."""
    found: dict[str, set[str]] = {}
    for block in re.split(r"\n(?=\S)", text.strip()):
        if not block.startswith("#"):
            name, _, rest = block.partition(" ")
            found[name] = set(re.findall(r"--hash=(sha256:[0-9a-f]{64})", rest))
    return found


def reaches_the_build(path: str) -> bool:
    """Say what .dockerignore says of a path: the last line that fits decides."""
    kept = True
    for line in IGNORED:
        pattern = line.removeprefix("!")
        if pattern == "*" or path == pattern or path.startswith(pattern + "/") or fnmatch(path, pattern):
            kept = line.startswith("!")
    return kept


def test_every_room_of_the_wheel_is_copied_and_reaches_the_build() -> None:
    copied = [line.split() for line in instructions("COPY") if not line.startswith("--from")]
    sources = {source for words in copied for source in words[:-1]}
    assert set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert reaches_the_build(source), source


def test_data_secrets_and_history_stay_out_of_the_build() -> None:
    for path in (
        ".git/config", ".env", "mailgate.toml", "mailgate-data/mailgate.sqlite3", "tests/house.py", ".venv/bin/python",
        "deploy/compose/keys/tls.key", "mailgate/__pycache__/x.pyc",
    ):  # fmt: skip
        assert not reaches_the_build(path), path


def test_everything_installed_is_locked_with_hashes() -> None:
    installs = [line for line in DOCKERFILE.replace("\\\n", " ").split("&&") if re.search(r"pip install\b", line)]
    for part in installs:
        for command in re.findall(r"pip install[^&\n]*", part):
            assert "--require-hashes" in command or "--no-deps /dist/" in command, command
    assert "http" not in "".join(instructions("RUN")).replace("http://127.0.0.1", "")
    assert not re.search(r"^FROM \S+[./]\S+/", DOCKERFILE, re.MULTILINE)  # no address of a registry
    assert "apt-get" not in DOCKERFILE


def test_the_image_has_no_root_and_a_health_check() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    assert 'ENTRYPOINT ["mailgate"]' in last
    assert "requirements.lock" not in last  # tools stay in the first stage


def test_the_configuration_of_the_image_is_one() -> None:
    settings = load_settings(ROOT / "deploy" / "mailgate.toml")
    assert {settings.smtp.host, settings.sftp.host, settings.ftp.host, settings.metrics.host} == {"0.0.0.0"}
    ports = {int(port) for port in instructions("EXPOSE")[0].split()}
    assert ports == {settings.smtp.port, settings.sftp.port, settings.ftp.port, settings.metrics.port}


def test_the_images_lock_is_a_part_of_the_repositorys() -> None:
    """Made by the same ``make lock``: what is tested is what runs."""
    whole = requirements((ROOT / "requirements.lock").read_text())
    part = requirements((ROOT / "deploy" / "requirements.lock").read_text())
    assert all(part.values())
    assert part.items() <= whole.items()
    names = {name.partition("==")[0] for name in part}
    wanted = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["otel"]
    for one in wanted:
        match = re.match(r"[A-Za-z0-9._-]+", one)
        assert match is not None
        assert match[0].lower().replace("_", "-") in names, one
    assert not names & {"pytest", "ruff", "mypy", "moto", "hypothesis"}
    assert "http" not in (ROOT / "deploy" / "requirements.lock").read_text().replace("-http", "").replace("http-", "")
