"""The Kubernetes example: whole, restricted, with probes, and without a secret in it."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.deploy.support import ROOT, check_command, check_variables

TEXT = (ROOT / "deploy" / "kubernetes" / "mailgate.yaml").read_text()
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all(TEXT))
BY_NAME = {(one["kind"], one["metadata"]["name"]): one for one in DOCUMENTS}
KINDS = {
    "Namespace": "v1", "ServiceAccount": "v1", "ConfigMap": "v1", "Service": "v1", "Job": "batch/v1",
    "StatefulSet": "apps/v1", "Deployment": "apps/v1", "PodDisruptionBudget": "policy/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
}  # fmt: skip
WORKLOADS = [one for one in DOCUMENTS if one["kind"] in {"Job", "StatefulSet", "Deployment"}]
RUNNING = [one for one in WORKLOADS if one["kind"] != "Job"]


def name_of(document: dict[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def pod(document: dict[str, Any]) -> dict[str, Any]:
    return document["spec"]["template"]["spec"]


def container(document: dict[str, Any]) -> dict[str, Any]:
    (one,) = pod(document)["containers"]
    return one


def labels(document: dict[str, Any]) -> dict[str, str]:
    return document["spec"]["template"]["metadata"]["labels"]


def selectors() -> Iterator[tuple[str, dict[str, str]]]:
    for one in DOCUMENTS:
        if one["kind"] == "Service":
            yield name_of(one), one["spec"]["selector"]
        if one["kind"] in {"PodDisruptionBudget", "StatefulSet", "Deployment"}:
            yield name_of(one), one["spec"]["selector"]["matchLabels"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_document_has_its_version_and_its_place(document: dict[str, Any]) -> None:
    assert document["apiVersion"] == KINDS[document["kind"]]
    if document["kind"] != "Namespace":
        assert document["metadata"]["namespace"] == "mailgate"
    assert ("Secret", document["metadata"]["name"]) not in BY_NAME


@pytest.mark.parametrize("document", WORKLOADS, ids=name_of)
def test_a_pod_is_restricted(document: dict[str, Any]) -> None:
    """What the namespace's label demands: Pod Security Standards, restricted."""
    security = pod(document)["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 10001)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    inner = container(document)["securityContext"]
    assert inner["allowPrivilegeEscalation"] is False
    assert inner["readOnlyRootFilesystem"] is True
    assert inner["capabilities"] == {"drop": ["ALL"]}
    assert pod(document)["automountServiceAccountToken"] is False
    assert {"memory"} <= set(container(document)["resources"]["limits"])
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        assert key not in pod(document)


@pytest.mark.parametrize("document", WORKLOADS, ids=name_of)
def test_a_pod_says_what_is_built_and_finds_what_it_mounts(document: dict[str, Any]) -> None:
    one = container(document)
    check_command(one["args"])
    check_variables([variable["name"] for variable in one["env"]])
    check_variables(list(BY_NAME["ConfigMap", "mailgate"]["data"]))
    for variable in one["env"]:
        assert "value" not in variable  # each comes from a secret
        assert variable["valueFrom"]["secretKeyRef"]["name"] == "mailgate"
    volumes = {volume["name"] for volume in pod(document)["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])}
    mounts = {mount["name"]: mount["mountPath"] for mount in one["volumeMounts"]}
    assert set(mounts) == volumes
    assert {"/var/lib/mailgate", "/tmp"} <= set(mounts.values())  # all that it writes to
    if document["kind"] != "Job":
        for value in BY_NAME["ConfigMap", "mailgate"]["data"].values():
            if "/etc/mailgate/" in value:
                assert any(path in value for path in mounts.values())


@pytest.mark.parametrize("document", RUNNING, ids=name_of)
def test_a_pod_is_probed_and_ends_in_time(document: dict[str, Any]) -> None:
    one = container(document)
    ports = {port["name"]: port["containerPort"] for port in one["ports"]}
    paths = {kind: one[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {get["path"] for get in (paths["startupProbe"], paths["livenessProbe"])} == {"/healthz"}
    assert paths["readinessProbe"]["path"] == "/readyz"
    assert all(ports[get["port"]] == 9464 for get in paths.values())
    assert one["readinessProbe"]["timeoutSeconds"] > 4  # limits.check_time
    pause = int(one.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["", "0"])[1])
    assert pod(document)["terminationGracePeriodSeconds"] >= 20 + pause  # docs/operations.md
    assert document["spec"]["replicas"] == 2
    assert ("PodDisruptionBudget", document["metadata"]["name"]) in BY_NAME


def test_a_selector_finds_a_pod() -> None:
    for what, wanted in selectors():
        assert any(wanted.items() <= labels(one).items() for one in RUNNING), what


def test_services_name_ports_that_the_gateway_has() -> None:
    gateway = BY_NAME["StatefulSet", "mailgate-gateway"]
    ports = {port["name"] for port in container(gateway)["ports"]}
    for one in DOCUMENTS:
        if one["kind"] == "Service":
            assert {port["targetPort"] for port in one["spec"]["ports"]} <= ports
    assert gateway["spec"]["serviceName"] == "mailgate-gateway"
    assert BY_NAME["Service", "mailgate"]["spec"]["externalTrafficPolicy"] == "Local"  # bans go by addresses


def test_secrets_and_mounts_are_named_in_the_page() -> None:
    page = (ROOT / "docs" / "deploying.md").read_text()
    wanted = {variable["valueFrom"]["secretKeyRef"]["key"] for one in WORKLOADS for variable in container(one)["env"]}
    for one in RUNNING:
        wanted |= {volume["secret"]["secretName"] for volume in pod(one)["volumes"] if "secret" in volume}
    for name in wanted:
        assert name in page, name
