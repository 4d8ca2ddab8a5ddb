"""compose.yaml: two gateways, two workers, and what they stand on, each as locked down as it can be."""

import re
from typing import Any

import pytest

from tests.deploy.support import ROOT, check_command, check_variables, compose, ours

FILE = compose()
SERVICES: dict[str, Any] = FILE["services"]
OURS = ours(SERVICES)
DURATION = re.compile(r"\d+(s|m)")
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "entrypoint", "environment", "healthcheck", "image", "init",
    "logging", "networks", "pids_limit", "ports", "read_only", "restart", "secrets", "security_opt", "shm_size",
    "stop_grace_period", "tmpfs", "user", "volumes",
}  # fmt: skip


def test_the_site_is_whole() -> None:
    roles = [one["command"][-1] for one in OURS.values() if "--roles" in one["command"]]
    assert sorted(roles) == ["smtp,sftp", "smtp,sftp", "worker,poller", "worker,poller"]
    assert set(SERVICES) - set(OURS) == {"postgres", "objects", "bucket", "relay"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_well_formed(name: str) -> None:
    service = SERVICES[name]
    assert set(service) <= SERVICE_KEYS, set(service) - SERVICE_KEYS
    assert re.fullmatch(r"[\w./-]+:[\w.-]+", service["image"])  # a tag, and not the moving one
    assert not service["image"].endswith(":latest")
    assert "." not in service["image"].partition("/")[0].partition(":")[0]  # no address of a registry
    assert all(isinstance(value, str) for value in service.get("environment", {}).values())
    assert all(isinstance(word, str) for key in ("command", "entrypoint") for word in service.get(key, []))
    assert service["restart"] in {"unless-stopped", "no"}
    for network in service["networks"]:
        assert network in FILE["networks"]
    for volume in service.get("volumes", []):
        assert volume.partition(":")[0] in FILE["volumes"]
    for secret in service.get("secrets", []):
        assert secret in FILE["secrets"]
    for port in service.get("ports", []):
        assert re.fullmatch(r"\d+:\d+", port)
    for key in ("interval", "timeout", "start_period"):
        if key in service.get("healthcheck", {}):
            assert DURATION.fullmatch(service["healthcheck"][key])
    for other, when in service.get("depends_on", {}).items():
        if when["condition"] == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]
        else:
            assert SERVICES[other]["restart"] == "no"  # one that ends


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_is_locked_down(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "10001:10001"
    assert not service.get("privileged")
    assert any(one.startswith("/tmp:") for one in service["tmpfs"])
    assert int(service["stop_grace_period"].removesuffix("s")) >= 20  # docs/operations.md


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_says_what_is_built(name: str) -> None:
    check_command(OURS[name]["command"])
    check_variables(list(OURS[name]["environment"]))
    mounted = {f"/run/secrets/{secret}" for secret in OURS[name].get("secrets", [])}
    if mounted:
        told = " ".join(OURS[name]["environment"].values())
        assert set(re.findall(r"/run/secrets/\w+", told)) == mounted


def test_doors_do_not_meet_on_the_host_and_no_other_port_is_open() -> None:
    ports = [port.partition(":")[0] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == len(set(ports))
    assert {name for name, service in SERVICES.items() if service.get("ports")} == {"gateway-1", "gateway-2"}
    assert FILE["networks"]["inside"]["internal"] is True
    assert all(SERVICES[name]["networks"] == ["inside"] for name in ("postgres", "objects", "migrate", "bucket"))


def test_all_see_the_same_site() -> None:
    first, *others = (one["environment"] for one in OURS.values())
    assert all(other == first for other in others)


def test_secrets_stand_outside_and_are_asked_for() -> None:
    text = (ROOT / "compose.yaml").read_text()
    for line in text.splitlines():
        if re.search(r"PASSWORD|SECRET|ACCESS_KEY", line) and ":" in line and not line.lstrip().startswith("#"):
            assert "${" in line or "$$" in line, line
    for secret in FILE["secrets"].values():
        assert secret["file"].startswith("./deploy/compose/keys/")
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/.env", "/deploy/compose/"} <= set(ignored)


def test_a_variable_that_is_not_set_is_said() -> None:
    with pytest.raises(AssertionError, match=r"POSTGRES_PASSWORD: set it in \.env"):
        compose({"INTAKE_DOMAIN": "x", "SUPPORT_CONTACT": "y"})
