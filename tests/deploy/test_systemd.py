"""The units: systemd understands them, they are locked down, and the service works within what can be tried here."""

import ctypes
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.support import ROOT, check_variables
from tests.house import ADDRESS, SENDER, RunningService, conversions, mail, wait_until
from tests.proofs.needs import need
from tests.smtp.wire import wire

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
#: Make writable memory that runs impossible, for this process and what it becomes: what MemoryDenyWriteExecute= does.
DENY = "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execvp(sys.argv[1], sys.argv[1:])"


def directives(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def installed(unit: Path, folder: Path) -> Path:
    """Copy a unit as it would be installed here: with a command that is there."""
    program = Path(sys.executable).with_name("mailgate")
    name = unit.name.replace("@.", "@gateway.")
    copy = folder / name
    copy.write_text(unit.read_text().replace("/opt/mailgate/.venv/bin/mailgate", str(program)))
    return copy


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_a_unit(unit: Path, tmp_path: Path) -> None:
    need("systemd-analyze")
    copy = installed(unit, tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    told = [line for line in done.stderr.splitlines() if copy.name in line]
    assert (done.returncode, told) == (0, []), done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_a_unit_locked_down(unit: Path, tmp_path: Path) -> None:
    need("systemd-analyze")
    copy = installed(unit, tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=15", str(copy)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_says_what_the_pages_say(unit: Path) -> None:
    found = directives(unit)
    assert re.search(
        r"mailgate --config /etc/mailgate/mailgate.toml serve( --roles \$\{ROLES\})?$", found["ExecStart"][0]
    )
    assert int(found["TimeoutStopSec"][0]) >= 20  # docs/operations.md
    assert found["User"] == ["mailgate"]
    check_variables([one.partition("=")[0] for one in found["Environment"] if one.startswith("MAILGATE_")])
    for path in found["EnvironmentFile"]:
        assert path.removeprefix("-") in (ROOT / "docs" / "deploying.md").read_text().replace("NAME", "%i")


def test_the_service_works_without_writable_memory_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """polars looks at the processor with code it writes: every import was parked until a variable told it not to."""
    if ctypes.CDLL(None).prctl(66, 0, 0, 0, 0) < 0:
        pytest.skip("this kernel has no memory-deny-write-execute")
    (unit,) = [one for one in UNITS if one.name == "mailgate.service"]
    for one in directives(unit)["Environment"]:
        monkeypatch.setenv(*one.split("=", 1))
    wrapper = tmp_path / "denied"
    wrapper.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{DENY}' {sys.executable} \"$@\"\n")
    wrapper.chmod(0o755)
    monkeypatch.setattr("tests.house._COMMAND", (str(wrapper), "-m", "mailgate"))
    service = RunningService(tmp_path / "house")
    service.set_up()
    try:
        service.start(roles="smtp,worker", LIMITS__PARSE_WORKERS="1")
        with wire(service.port) as client:
            client.deliver(mail([("Conversions_2026_mdwe.csv", conversions(3))]), (ADDRESS,), SENDER)
        ended = wait_until(lambda: [line for line in service.log() if line["event"] in {"import", "import failed"}])
        assert ended[0].get("status") == "completed", ended
        assert "rwx" not in Path(f"/proc/{service.process.pid}/maps").read_text()
    finally:
        service.stop()


def test_the_wrapper_denies(tmp_path: Path) -> None:
    if ctypes.CDLL(None).prctl(66, 0, 0, 0, 0) < 0:
        pytest.skip("this kernel has no memory-deny-write-execute")
    wish = "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)"
    done = subprocess.run(
        [sys.executable, "-c", DENY, sys.executable, "-c", wish], capture_output=True, text=True, check=False
    )
    assert "Permission denied" in done.stderr
