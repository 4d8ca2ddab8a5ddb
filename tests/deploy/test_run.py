"""compose.yaml without an engine: its own commands and environment as plain processes, on loopback.

What an engine would do is done by hand: names of other containers become loopback, secrets and volumes become folders,
the image's configuration is read from the repository. Postgres is real, the object store is moto's.
"""

import json
import os
import signal
import smtplib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from tests.deploy.support import ROOT, compose, ours
from tests.house import ADDRESS, CONNECTION, SENDER, conversions, database_once, mail, wait_until
from tests.postgres import free_port, server
from tests.proofs.needs import need
from tests.s3 import KEY, SECRET, open_server
from tests.sftp.support import keys_once

FILE = compose({
    "POSTGRES_PASSWORD": "pg-secret", "S3_ACCESS_KEY": KEY, "S3_SECRET_KEY": SECRET,
    "INTAKE_DOMAIN": "intake.localhost", "SUPPORT_CONTACT": "files@example.com",
})  # fmt: skip
OURS = ours(FILE["services"])
FILES = """
[[credential]]
name = "acme-files"
account = "acme"
username = "acme"
return_address = "batch@acme.example"
ssh_keys = ["{key}"]
[[connection]]
name = "acme-uploads"
account = "acme"
data_type = "conversions"
method = "sftp"
pattern = "*.csv"
credential = "acme-files"
folder = "/upload/conversions"
"""


class Relay:
    """The relay: it keeps the subjects of what it is handed."""

    def __init__(self) -> None:
        self.subjects: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        for line in envelope.content.decode().splitlines():
            if line.startswith("Subject: "):
                self.subjects.append(line.removeprefix("Subject: "))
        return "250 OK"


class Site:
    """The services of the file, run by hand."""

    def __init__(self, folder: Path, database: str, objects: str, relay: int) -> None:
        self.folder = folder
        self.ports: dict[str, dict[str, int]] = {}
        self._places = {
            FILE["services"]["migrate"]["environment"]["MAILGATE_DATABASE_URL"]: database,
            "http://objects:9000": objects, "/run/secrets": str(folder / "secrets"),
        }  # fmt: skip
        self._relay = relay
        self._running: list[subprocess.Popen[str]] = []
        secrets = folder / "secrets"
        secrets.mkdir()
        keys = keys_once()
        found = {"tls_certificate": "tls.crt", "tls_key": "tls.key"}
        for secret in FILE["secrets"]:
            source = (database_once() / "keys" if secret in found else keys) / found.get(secret, secret)
            (secrets / secret).write_bytes(source.read_bytes())
            (secrets / secret).chmod(0o600)
        (folder / "tmp").mkdir()

    def environment(self, name: str) -> dict[str, str]:
        """Give all that a container of this service would have, and nothing of this process."""
        found = {"PATH": os.environ["PATH"], "TMPDIR": str(self.folder / "tmp"), "PYTHONUNBUFFERED": "1"}
        for key, value in OURS[name]["environment"].items():
            for there, here in self._places.items():
                value = value.replace(there, here)
            found[key] = value
        found |= {"MAILGATE_RELAY__HOST": "127.0.0.1", "MAILGATE_RELAY__PORT": str(self._relay)}
        for door in ("SMTP", "SFTP", "METRICS"):
            found |= {f"MAILGATE_{door}__HOST": "127.0.0.1", f"MAILGATE_{door}__PORT": "0"}
        found |= {"MAILGATE_LIMITS__PARSE_WORKERS": "1"}  # enough here, and the others' start takes its time
        return found | {
            "MAILGATE_CONFIG": str(self.config(name)),
            "MAILGATE_DNS__LOOKUPS": "false",
            "MAILGATE_SETTLE_SECONDS": "0",
        }

    def config(self, name: str) -> Path:
        """Give the image's configuration with the volume in its place."""
        path = self.folder / f"{name}.toml"
        text = (ROOT / "deploy" / "mailgate.toml").read_text()
        path.write_text(text.replace("/var/lib/mailgate", str(self.folder / "volumes" / name)))
        (self.folder / "volumes" / name).mkdir(parents=True, exist_ok=True)
        return path

    def run(self, name: str, *words: str) -> str:
        """Run a command to its end, as ``docker compose run`` or ``exec`` would."""
        done = subprocess.run(
            [sys.executable, "-m", "mailgate", *words], env=self.environment(name), cwd=ROOT,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str) -> None:
        """Start a service, and return when it is ready."""
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "mailgate", *OURS[name]["command"]], env=self.environment(name), cwd=ROOT,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self._running.append(process)
        assert process.stdout is not None
        ports: dict[str, int] = {}
        for line in process.stdout:
            if line.startswith("door "):
                ports[line.split()[1]] = int(line.rpartition(":")[2])
            if line.strip() == "ready":
                break
        self.ports[name] = ports
        assert ports, self.log(name)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def metric(self, name: str, line: str) -> float:
        """Give one line of a service's metrics; 0 where it is not there."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]['metrics']}/metrics", timeout=10) as page:
            for one in page.read().decode().splitlines():
                if one.startswith(line + " "):
                    return float(one.rpartition(" ")[2])
        return 0.0

    def stop(self) -> list[int]:
        """End every service as an engine does; gives their exit codes."""
        running, self._running = self._running, []
        for process in running:
            process.send_signal(signal.SIGTERM)
        codes = []
        for process in running:
            codes.append(process.wait(25))
            if process.stdout is not None:
                process.stdout.close()
        return codes


@pytest.fixture(scope="module")
def relay() -> Iterator[tuple[Relay, int]]:
    kept = Relay()
    port = free_port()
    controller = Controller(kept, hostname="127.0.0.1", port=port)
    controller.start()
    yield kept, port
    controller.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, relay: tuple[Relay, int]) -> Iterator[Site]:
    need("ssh-keygen", "sftp")
    with ExitStack() as stack:
        database = stack.enter_context(server().clone())
        objects = stack.enter_context(open_server())
        made = Site(tmp_path_factory.mktemp("site"), database, objects, relay[1])
        stack.callback(made.stop)
        with urllib.request.urlopen(urllib.request.Request(f"{objects}/mailgate", method="PUT"), timeout=10):
            pass  # what the service bucket does
        made.run("migrate", *OURS["migrate"]["command"])
        for name, service in OURS.items():
            if service["restart"] != "no":
                made.start(name)
        key = (keys_once() / "ed25519.pub").read_text().strip()
        connections = made.folder / "connections.toml"
        connections.write_text(CONNECTION + FILES.replace("{key}", key))
        made.run("gateway-1", "connection", "apply", str(connections))
        yield made


def test_each_service_opens_its_doors(site: Site) -> None:
    assert sorted(site.ports["gateway-1"]) == sorted(site.ports["gateway-2"]) == ["metrics", "sftp", "smtp"]
    assert list(site.ports["worker-1"]) == list(site.ports["worker-2"]) == ["metrics"]


@pytest.mark.parametrize("name", ["gateway-1", "gateway-2", "worker-1", "worker-2"])
def test_the_health_checks_are_well(site: Site, name: str) -> None:
    kind, *words = OURS[name]["healthcheck"]["test"]
    image = json.loads((ROOT / "Dockerfile").read_text().partition("CMD [")[2].partition("]")[0].join("[]"))
    for command in (words, image):
        assert (kind, command[0]) == ("CMD", "python")
        here = [word.replace("9464", str(site.ports[name]["metrics"])) for word in command]
        subprocess.run([sys.executable, *here[1:]], check=True, timeout=20)


def test_a_file_at_each_door_comes_back_as_a_result(site: Site, relay: tuple[Relay, int]) -> None:
    names = []
    for gateway in ("gateway-1", "gateway-2"):
        names.append(f"Conversions_2026_{gateway}.csv")
        with smtplib.SMTP("127.0.0.1", site.ports[gateway]["smtp"]) as client:
            client.sendmail(SENDER, [ADDRESS], mail([(names[-1], conversions(3))]))
        names.append(f"{gateway}.csv")
        path = site.folder / names[-1]
        path.write_bytes(conversions(2))
        subprocess.run(
            [
                "sftp", "-F", "none", "-P", str(site.ports[gateway]["sftp"]), "-b", "-",
                "-i", str(keys_once() / "ed25519"), "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "acme@127.0.0.1",
            ],
            input=f"put {path} /upload/conversions/\n", text=True, check=True, capture_output=True, timeout=60,
        )  # fmt: skip
    wanted = {f"[Result: completed] {name}" for name in names} | {f"[Receipt] {name}" for name in names}
    wait_until(lambda: wanted <= set(relay[0].subjects), 60)
    assert len(relay[0].subjects) == len(wanted)
    done = sum(site.metric(name, 'mailgate_imports_total{status="completed"}') for name in ("worker-1", "worker-2"))
    assert done == 4
    for gateway in ("gateway-1", "gateway-2"):
        accepted = 'mailgate_deliveries_total{{code="",door="{}",verdict="accepted"}}'
        assert site.metric(gateway, accepted.format("smtp")) == 1
    assert not list((site.folder / "volumes" / "gateway-1").glob("data/blobs/*/*"))  # they are in the bucket


def test_all_end_well(site: Site) -> None:
    assert set(site.stop()) == {0}
    for name in site.ports:
        lines = [json.loads(line) for line in site.log(name).splitlines()]
        assert [line for line in lines if line["level"] in {"error", "critical"}] == []
