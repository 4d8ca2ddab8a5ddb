"""``init``, ``serve``, ``migrate``, ``doctor``, and what holds for every command."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from models.tables import Alarm
from tests.authenticity.support import pem, rsa_key
from tests.cli.support import APPLY, Cli, rooms
from tests.postgres import free_port

# The configuration.

SETTINGS: list[tuple[str, str]] = [
    ("colour = 1", "colour: there is no such setting"),
    ("[smtp]\nprot = 25", "smtp.prot: there is no such setting"),
    ("[smtp]\nport = 99999", "smtp.port: "),
    ("[limits]\nresult_within = 30", "limits.result_within: "),
    ('[limits]\nresult_within = "30 m"', "a duration is a whole number with its unit"),
    ("[limits]\nmax_rows = 0", "limits.max_rows: "),
    ('domain = "no domain"', "domain must be a host name"),
    ('[smtp]\ncertificate = "x.pem"', "belong together"),
    ('[relay]\nhost = "x"\ntls = "maybe"', "relay.tls: "),
    ('[relay]\nhost = "x"\npassword_file = "gone"', "relay.password_file cannot be read"),
    ("[web]\nport = 8080", "web: this part of mailgate is not built yet"),
    (
        'database_url = "mysql://x:sesame@y"',
        "database_url: Value error, database_url is empty, for SQLite, or postgresql://user@host/name",
    ),
    ("[[[", "mailgate.toml"),
]


@pytest.mark.parametrize(("text", "sentence"), SETTINGS)
@pytest.mark.parametrize("command", [("upload", "list"), ("doctor",), ("serve",), ("migrate",)])
def test_a_configuration_that_is_wrong(cli: Cli, text: str, sentence: str, command: tuple[str, ...]) -> None:
    cli.config.write_text(text + "\n")
    ran = cli(*command)
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err
    assert "Traceback" not in ran.err


def test_no_configuration(cli: Cli, tmp_path: Path) -> None:
    ran = cli.plain("upload", "list")
    assert ran.code == 2
    assert "no configuration at mailgate.toml: run `mailgate init`" in ran.err
    assert cli.plain("--config", tmp_path, "upload", "list").code == 2


def test_the_environment_wins(cli: Cli) -> None:
    cli.apply()
    cli.monkeypatch.setenv("MAILGATE_DOMAIN", "in.example.com")
    assert cli.json("connection", "list")[0]["address"].endswith("@in.example.com")
    cli.monkeypatch.setenv("MAILGATE_SMTP__PORT", "2600")
    assert ":2600 " in cli("connection", "show", "acme-conversions").out
    cli.monkeypatch.setenv("MAILGATE_SMTP__PORT", "often")
    ran = cli("connection", "list")
    assert ran.code == 2
    assert "smtp.port" in ran.err


def test_the_configuration_can_be_named_by_the_environment(cli: Cli) -> None:
    cli.monkeypatch.setenv("MAILGATE_CONFIG", str(cli.config))
    assert cli.plain("--json", "connection", "list").json == []


def test_a_house_that_was_never_set_up(cli: Cli, tmp_path: Path) -> None:
    cli.config.write_text('data_dir = "elsewhere"\n')
    ran = cli("upload", "list")
    assert ran.code == 2
    assert "run `mailgate init`" in ran.err
    assert not (cli.folder / "elsewhere").exists()


@pytest.mark.parametrize("command", [("upload", "list"), ("serve",), ("migrate",)])
def test_a_postgres_that_cannot_be_reached(cli: Cli, command: tuple[str, ...]) -> None:
    cli.monkeypatch.setenv("MAILGATE_DATABASE_URL", f"postgresql://mailgate:sesame@127.0.0.1:{free_port()}/x")
    ran = cli(*command)
    assert ran.code == 5
    assert "the database postgresql://127.0.0.1:" in ran.err
    assert "sesame" not in ran.err
    (finding,) = [one for one in cli("--json", "doctor").json if one["subject"] == "database"]
    assert finding["fix"] == "start it, and mend database_url"
    assert "sesame" not in str(finding)


def test_a_database_of_another_version(cli: Cli) -> None:
    with rooms(cli) as store:
        store.ledger.write_now(
            lambda session: session.connection().execute(sa.text("UPDATE alembic_version SET version_num = 'x'"))
        )
    ran = cli("upload", "list")
    assert ran.code == 2
    assert "run `mailgate migrate`" in ran.err


# What holds for every command.


@pytest.mark.parametrize("words", [("--nonsense",), ("nonsense",), ("upload", "nonsense"), ("serve", "--roles", "web")])
def test_words_that_are_no_command(cli: Cli, words: tuple[str, ...]) -> None:
    ran = cli(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err


def test_the_version(cli: Cli) -> None:
    ran = cli.plain("--version")
    assert (ran.code, ran.out.split()[0]) == (0, "mailgate")


@pytest.mark.parametrize("words", [(), ("upload",), ("connection",), ("data-type",), ("upload", "list")])
def test_help(cli: Cli, words: tuple[str, ...]) -> None:
    ran = cli.plain(*words, "--help")
    assert ran.code == 0
    assert "Usage" in ran.out


def test_an_interrupt(cli: Cli) -> None:
    def interrupt(*_words: object) -> None:
        raise KeyboardInterrupt

    cli.monkeypatch.setattr("storage.ledger.history.list_uploads", interrupt)
    assert cli("upload", "list").code == 130


def test_a_database_that_cannot_answer(cli: Cli) -> None:
    def busy(*_words: object) -> None:
        raise sa.exc.OperationalError("SELECT", {}, OSError("database is locked"))

    cli.monkeypatch.setattr("storage.ledger.history.list_uploads", busy)
    ran = cli("upload", "list")
    assert ran.code == 5
    assert "database is locked" in ran.err


# init and migrate


def test_init_makes_a_house_that_is_well(cli: Cli, tmp_path: Path) -> None:
    made = cli.plain("--json", "init", "--dir", tmp_path / "new")
    assert made.code == 0
    printed = made.json
    keys = printed.pop("host_keys")
    assert printed == {
        "config": str(tmp_path / "new" / "mailgate.toml"), "data_dir": str(tmp_path / "new" / "mailgate-data"),
    }  # fmt: skip
    assert list(keys) == ["ssh-ed25519", "ssh-rsa"]
    assert all(fingerprint.startswith("SHA256:") for fingerprint in keys.values())
    data = tmp_path / "new" / "mailgate-data"
    assert (data / "keys" / "ssh_host_ed25519_key").stat().st_mode & 0o077 == 0
    assert data.stat().st_mode & 0o077 == 0
    assert (data / "keys" / "tls.key").stat().st_mode & 0o077 == 0
    assert cli.plain("--config", tmp_path / "new" / "mailgate.toml", "--json", "upload", "list").json == []
    again = cli.plain("init", "--dir", tmp_path / "new")
    assert again.code == 1
    assert "nothing was changed" in again.err


def test_migrate_may_be_run_again(acme: Cli) -> None:
    assert acme("migrate").code == 0
    assert acme("migrate").code == 0
    assert len(acme.json("connection", "list")) == 1


# doctor


def findings(cli: Cli) -> list[tuple[str, str]]:
    ran = cli("--json", "doctor")
    found = ran.json
    assert ran.code == (1 if found else 0)
    assert all(set(one) == {"subject", "finding", "fix"} and one["fix"] for one in found)
    return [(one["subject"], one["finding"]) for one in found]


def test_a_house_that_is_well(cli: Cli) -> None:
    assert findings(cli) == []
    assert cli("doctor").out == "Everything looks well.\n"


def raise_alarm(cli: Cli) -> None:
    with rooms(cli) as store:
        now = datetime.now(UTC)
        store.ledger.write_now(
            lambda session: session.add(Alarm(kind="IMPORT_PARKED", subject="x", message="x is parked", raised_at=now))
        )


def listen(cli: Cli) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    cli.open_sockets.append(taken)
    cli.monkeypatch.setenv("MAILGATE_SMTP__PORT", str(taken.getsockname()[1]))


def damage(cli: Cli) -> None:
    path = cli.folder / "mailgate-data" / "mailgate.sqlite3"
    path.write_bytes(b"no database at all" * 1000)


def environment(key: str, value: str) -> Callable[[Cli], object]:
    return lambda cli: cli.monkeypatch.setenv(f"MAILGATE_{key}", value)


def _open_to_all(cli: Cli) -> None:
    cli.monkeypatch.setenv("MAILGATE_SMTP__HOST", "0.0.0.0")
    cli.monkeypatch.setenv("MAILGATE_SUPPORT_CONTACT", "")


FOUND: dict[str, tuple[Callable[[Cli], object], str, str]] = {
    "readable by others": (lambda cli: (cli.folder / "mailgate-data").chmod(0o755), "disk", "can be read by others"),
    "a full disk": (environment("LIMITS__MINIMUM_FREE_BYTES", str(1 << 60)), "disk", "every delivery is refused"),
    "no data folder": (environment("DATA_DIR", "elsewhere"), "database", "is missing"),
    "an alarm": (raise_alarm, "alarm IMPORT_PARKED", "x is parked"),
    "an address that can be guessed": (lambda cli: cli.apply(), "connection acme-conversions", "who guesses"),
    "a longer one that can be guessed": (
        lambda cli: cli.apply(APPLY.replace("acme-conversions-x7", "acme-conversions-production")),
        "connection acme-conversions", "who guesses",
    ),
    "proof that nobody can look for": (
        lambda cli: _demand_dmarc(cli, DNS__LOOKUPS="false"), "connection acme-conversions", "neither DNS nor another",
    ),
    "proof without its extra": (
        lambda cli: _demand_dmarc(cli, installed=False), "connection acme-conversions", "checks that is not installed",
    ),
    "trust in nobody": (
        environment("SMTP__TRUSTED_AUTHSERV", '["mx.example"]'), "settings", "only for mail from smtp.trusted_proxies",
    ),
    "trust in everybody": (environment("SMTP__TRUSTED_PROXIES", '["0.0.0.0/0"]'), "settings", "every address there is"),
    "LMTP for everybody": (
        lambda cli: (_open_to_all(cli), environment("SMTP__LMTP_PORT", "2424")(cli)),
        "settings", "LMTP is open to others",
    ),
    "balancers everywhere": (
        environment("SMTP__PROXY_PROTOCOL_FROM", '["192.0.2.80", "0.0.0.0/0"]'), "settings",
        "smtp.proxy_protocol_from has 0.0.0.0/0",
    ),
    "balancers in a wide network": (
        environment("SFTP__PROXY_PROTOCOL_FROM", '["fd00::/8"]'), "settings", "sftp.proxy_protocol_from has fd00::/8",
    ),
    "a key that is not there": (lambda cli: _sign(cli, "none.pem"), "settings", "dkim_key: "),
    "a key that everybody can read": (lambda cli: _sign(cli, mode=0o644), "settings", "can be read by everybody"),
    "a short key": (lambda cli: _sign(cli, bits=1024), "settings", "fewer than 2048 bits"),
    "a signature of another domain": (lambda cli: _sign(cli, domain="acme.example"), "settings", "DMARC fails"),
    "a port that is taken": (listen, "port", "cannot be opened"),
    "nobody to ask": (_open_to_all, "settings", "nobody whom a client can ask"),
    "open with the local certificate": (_open_to_all, "settings", "the certificate made for local use"),
    "open under the name of nobody": (_open_to_all, "settings", "domain is still intake.localhost"),
    "a certificate that is none": (
        lambda cli: (cli.folder / "mailgate-data" / "keys" / "tls.crt").write_text("x"),
        "certificate", "cannot be read",
    ),
    "a clock that went back": (
        lambda cli: os.utime(cli.folder / "mailgate-data" / "outbox", (4e9, 4e9)), "clock", "seconds behind",
    ),
    "another schema": (
        lambda cli: _another_schema(cli), "database", "another schema",
    ),
    "metrics for everybody": (environment("METRICS__HOST", "0.0.0.0"), "settings", "shown to everyone"),
    "traces without their extra": (lambda cli: _traces_without_extra(cli), "settings", "not installed"),
    "a damaged database": (damage, "database", ""),
}  # fmt: skip


def _traces_without_extra(cli: Cli) -> None:
    cli.monkeypatch.setenv("MAILGATE_TRACES__ENDPOINT", "http://127.0.0.1:1/v1/traces")
    cli.monkeypatch.setattr("mailgate.doctor.find_spec", lambda _name: None)


def _demand_dmarc(cli: Cli, *, installed: bool = True, **variables: str) -> None:
    assert cli.apply(APPLY + 'authenticity = "dmarc"\n').code == 0
    cli.monkeypatch.setattr("mailgate.doctor.is_installed", lambda: installed)
    for key, value in variables.items():
        cli.monkeypatch.setenv(f"MAILGATE_{key}", value)


def _sign(
    cli: Cli, name: str = "dkim.pem", *, mode: int = 0o600, bits: int = 2048, domain: str = "intake.localhost"
) -> None:
    path = cli.folder / "dkim.pem"
    path.write_bytes(pem(rsa_key(bits)))
    path.chmod(mode)
    for key, value in (("DOMAIN", domain), ("SELECTOR", "s"), ("KEY", name)):
        cli.monkeypatch.setenv(f"MAILGATE_RELAY__DKIM_{key}", value)


def test_a_good_key_is_no_finding_and_a_bad_one_stops_the_service(cli: Cli) -> None:
    _sign(cli)
    assert findings(cli) == []
    _sign(cli, mode=0o644)
    ran = cli("serve")
    assert ran.code == 2
    assert "relay.dkim_key: " in ran.err
    assert "chmod 600" in ran.err


def _another_schema(cli: Cli) -> None:
    with rooms(cli) as store:
        store.ledger.write_now(
            lambda session: session.connection().execute(sa.text("UPDATE alembic_version SET version_num = 'x'"))
        )


@pytest.mark.parametrize("name", FOUND)
def test_the_doctor_finds(cli: Cli, name: str) -> None:
    harm, subject, sentence = FOUND[name]
    harm(cli)
    assert any(subject == about and sentence in finding for about, finding in findings(cli))
    people = cli("doctor")
    assert people.code == 1
    assert "fix: " in people.out


def test_the_doctor_changes_nothing(cli: Cli) -> None:
    def everything() -> list[str]:
        return sorted(str(path.relative_to(cli.folder)) for path in cli.folder.rglob("*") if path.is_file())

    before = everything()
    cli("doctor")
    assert [path for path in everything() if not path.endswith(("-wal", "-shm"))] == before
    cli.monkeypatch.setenv("MAILGATE_DATA_DIR", "elsewhere")
    cli("doctor")
    assert not (cli.folder / "elsewhere").exists()


# serve


def test_serving_twice_is_refused(cli: Cli) -> None:
    words = [sys.executable, "-m", "mailgate", "--config", str(cli.config), "serve", "--roles", "smtp"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline().startswith("door smtp 127.0.0.1:")
        assert first.stdout.readline().startswith("door metrics 127.0.0.1:")
        assert first.stdout.readline() == "ready\n"
        second = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 5
        assert "another mailgate serves this data directory already" in second.stderr
        assert second.stdout == ""
        assert findings(cli) == []
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0


def test_serving_with_traces_and_without_their_extra(cli: Cli) -> None:
    cli.monkeypatch.setenv("MAILGATE_TRACES__ENDPOINT", "http://127.0.0.1:1/v1/traces")
    cli.monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    ran = cli("serve")
    assert ran.code == 2
    assert "traces.endpoint: " in ran.err


def test_serving_where_the_port_is_taken(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        cli.monkeypatch.setenv("MAILGATE_SMTP__PORT", str(taken.getsockname()[1]))
        words = [sys.executable, "-m", "mailgate", "--config", str(cli.config), "serve", "--roles", "smtp"]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 5
    assert "ready" not in ran.stdout
    assert "Traceback" not in ran.stderr
