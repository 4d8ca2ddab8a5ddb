"""The watch door: what it says of a service that is well and of one that is not, and that nobody can keep it busy."""

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailgate.settings import Metrics
from mailgate.watch import Pulse, WatchDoor
from mailgate.watch.checks import BlobTrial
from mailgate.watch.pulse import Stage
from tests.house import wait_until
from tests.s3 import Bucket
from tests.storage.support import Store
from tests.watch.support import Ticks, ask, get, samples, watched

DATABASES = ["sqlite"]


def checks(port: int, path: str = "/readyz") -> dict[str, str]:
    """Give what is not well, and see that status and word agree with it."""
    status, body = get(port, path)
    said: dict[str, Any] = json.loads(body)
    ill = {name: reason for name, reason in said["checks"].items() if reason != "ok"}
    assert (status, said["ok"]) == ((503, False) if ill else (200, True))
    return ill


def test_all_is_well(store: Store) -> None:
    with watched(store) as door:
        assert checks(door.port, "/healthz") == {}
        assert checks(door.port) == {}
        page = samples(get(door.port, "/metrics")[1])
    assert page["mailgate_ready",] == 1
    assert {page["mailgate_check_ok", f"check={name}"] for name in ("stage", "database", "blobs", "space")} == {1}
    assert list(store.settings.blob_dir.rglob("*-*")) == []  # the trial blob is gone


@pytest.mark.parametrize("stage", [Stage.STARTING, Stage.STOPPING])
def test_a_service_that_is_not_open_lives_and_takes_nothing(store: Store, stage: Stage) -> None:
    with watched(store) as door:
        door.pulse.stage = stage
        assert checks(door.port) == {"stage": f"the service is {stage}"}
        assert checks(door.port, "/healthz") == {}


def test_a_loop_that_hangs_is_told_by_a_door_with_its_own(store: Store) -> None:
    with watched(store, loop_silence="15s") as door:
        door.ticks.now += 15
        assert checks(door.port, "/healthz") == {}
        door.ticks.now += 1
        assert checks(door.port, "/healthz") == {"loop": "the event loop has not been heard of for 16 s"}


def test_a_task_that_failed(store: Store) -> None:
    with watched(store) as door:
        door.pulse.failure = "ValueError('x')"
        assert "ValueError" in checks(door.port, "/healthz")["tasks"]


def test_too_little_room(store: Store) -> None:
    with watched(store, minimum_free_bytes=1 << 60) as door:
        assert "fewer than the reserve" in checks(door.port)["space"]


def test_another_schema(store: Store) -> None:
    store.ledger.write_now(lambda session: session.connection().execute(sa.text("DROP TABLE alembic_version")))
    with watched(store) as door:
        assert "another schema" in checks(door.port)["database"]


def test_a_blob_store_that_takes_nothing(store: Store) -> None:
    store.settings.blob_dir.rmdir()
    store.settings.blob_dir.write_text("this is no folder")
    with watched(store) as door:
        assert "exists" in checks(door.port)["blobs"].lower() or "not a directory" in checks(door.port)["blobs"].lower()
        store.settings.blob_dir.unlink()
        store.settings.blob_dir.mkdir()
        assert checks(door.port) == {}


def test_an_object_store_that_is_away_and_comes_back(store: Store, bucket: Bucket, tmp_path: Path) -> None:
    store.blobs = bucket.blobs(tmp_path / "spool", request=1)  # type: ignore[assignment]
    with watched(store, check_time="2s") as door:
        assert checks(door.port) == {}
        bucket.road.refuse()
    with watched(store, check_time="2s") as door:
        assert "blobs" in checks(door.port)
        bucket.road.through()
        wait_until(lambda: get(door.port, "/readyz")[0] == 200)
    assert bucket.store().list().collect() == []  # the trial objects are gone


def test_a_database_that_fails_is_named_and_the_page_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(_engine: sa.Engine) -> bool:
        raise sa.exc.OperationalError("SELECT", {}, OSError("database is locked"))

    with watched(store) as door:
        before = samples(get(door.port, "/metrics")[1])
        monkeypatch.setattr("mailgate.watch.checks.is_current", locked)
        monkeypatch.setattr("mailgate.watch.figures.figures", lambda _session, _now: locked(store.ledger.engine))
        assert checks(door.port) == {"database": "database is locked"}
        after = samples(get(door.port, "/metrics")[1])
    assert after["mailgate_check_ok", "check=database"] == 0
    assert after["mailgate_imports_unended", "status=queued"] == 0  # the last that was read
    assert after["mailgate_figures_age_seconds",] > before["mailgate_figures_age_seconds",]


def test_a_check_that_hangs_is_given_up_and_not_asked_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, asked = threading.Event(), []

    def hangs(_engine: sa.Engine) -> bool:
        asked.append(1)
        return go_on.wait(30)

    monkeypatch.setattr("mailgate.watch.checks.is_current", hangs)
    with watched(store, check_time="1s") as door:
        assert checks(door.port) == {"database": "no answer within 1 s"}
        assert checks(door.port) == {"database": "no answer within 1 s"}
        assert len(asked) == 1
        go_on.set()
        assert checks(door.port) == {}


def test_many_who_ask_are_one_look(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("mailgate.watch.checks.is_current", lambda _engine: asked.append(1) or True)
    with watched(store, check_kept="1h") as door:
        for _ in range(20):
            assert checks(door.port) == {}
    assert len(asked) == 1


def test_the_blob_store_is_tried_now_and_then() -> None:
    class Blobs:
        tried = 0

        def create(self, _now: object) -> Any:
            self.tried += 1
            raise OSError("no")

    ticks, blobs = Ticks(), Blobs()
    trial = BlobTrial(blobs, ticks)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            trial()
    assert blobs.tried == 2  # at once again after a failure


def test_a_good_trial_is_kept(store: Store) -> None:
    ticks = Ticks()
    trial = BlobTrial(store.blobs, ticks)
    assert trial() == ""
    store.settings.blob_dir.rename(store.settings.blob_dir.with_name("away"))
    assert trial() == ""
    ticks.now += 16
    with pytest.raises(OSError, match="No such file"):
        trial()


# requests

REQUESTS = [
    (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
    (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 405),
    (b"hello\r\n\r\n", 400),
    (b"GET /healthz HTTP/2.0\r\n\r\n", 400),
    (b"GET /healthz?x=1 HTTP/1.0\r\n\r\n", 200),
    (b"\xff\xfe\x00\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * 3000 + b"\r\n", 431),
]


@pytest.mark.parametrize(("request_", "status"), REQUESTS)
def test_a_request_has_its_status(store: Store, request_: bytes, status: int) -> None:
    with watched(store) as door, socket.create_connection(("127.0.0.1", door.port), 20) as client:
        client.sendall(request_)
        assert client.recv(12) == f"HTTP/1.1 {status}".encode()


def test_a_head_has_no_body(store: Store) -> None:
    with watched(store) as door:
        assert ask(door.port, b"HEAD /healthz HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")


def test_openmetrics_for_who_asks(store: Store) -> None:
    with watched(store) as door:
        accept = b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n"
        answer = ask(door.port, accept)
    assert b"Content-Type: application/openmetrics-text" in answer
    assert answer.endswith(b"# EOF\n")


def test_a_client_that_dawdles_is_cut_off(store: Store) -> None:
    with watched(store, metrics_request="1s") as door:
        with socket.create_connection(("127.0.0.1", door.port), 20) as client:
            client.sendall(b"GET /hea")
            try:
                said = client.recv(100)
            except ConnectionResetError:
                said = b""
        assert said == b""


def test_clients_beyond_the_limit_are_cut_off_and_the_next_is_served(store: Store) -> None:
    with watched(store, metrics_connections=2) as door:
        idle = [socket.create_connection(("127.0.0.1", door.port), 20) for _ in range(3)]
        third = idle[2]
        try:
            said = third.recv(100)
        except ConnectionResetError:
            said = b""
        assert said == b""
        for client in idle:
            client.close()
        for _ in range(50):  # the door hears of it a moment later
            try:
                assert checks(door.port, "/healthz") == {}
                return
            except (AssertionError, IndexError, ConnectionError):
                continue
        raise AssertionError("the door stayed full")


async def test_a_port_that_is_taken_keeps_no_client_out(store: Store) -> None:
    with watched(store) as first:
        settings = store.settings.model_copy(update={"metrics": Metrics(port=first.port)})
        second = WatchDoor(settings, Pulse(), store.ledger, store.ledger.engine, store.blobs)
        assert await second.open() == []
        await second.close()
        assert checks(first.port, "/healthz") == {}
