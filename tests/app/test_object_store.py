"""A whole service whose files lie in an object store, also while that store is away."""

import json
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.house import ADDRESS, SENDER, RunningService, conversions, digest, mail, running_service, unique, wait_until
from tests.s3 import Bucket, open_bucket

_PATIENCE = 10.0  # seconds within which a door answers


@pytest.fixture(scope="module")
def bucket(s3_server: str) -> Iterator[Bucket]:
    with open_bucket(s3_server, "service") as made:
        yield made


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, bucket: Bucket) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("service")
    with running_service(folder, **bucket.variables, LIMITS__S3_REQUEST="2s") as running:
        yield running


def send(service: RunningService, data: bytes, *, name: str = "") -> tuple[int, str, float]:
    """Send a mail with one file; gives code, line and the seconds it took from the dot."""
    name = name or f"Conversions_2026_{unique()}.csv"
    with smtplib.SMTP("127.0.0.1", service.port, timeout=30) as client:
        client.helo()
        client.mail(SENDER)
        client.rcpt(ADDRESS)
        began = time.monotonic()
        code, line = client.data(mail([(name, data)]))
        return code, line.decode(), time.monotonic() - began


def ended(service: RunningService, trace_id: str) -> str:
    """Wait for the end of the import of a delivery's only file; gives its status."""
    statement = "select status from attempt where upload_id = ? and finished_at is not null"
    return str(wait_until(lambda: service.rows(statement, trace_id))[0][0])


def _json(sent: dict[str, bytes]) -> str:
    return json.dumps(list(sent))


def download(service: RunningService, trace_id: str, kind: str) -> bytes:
    """Give a file of an upload as the command line hands it out, with the service's settings."""
    words = ["--config", str(service.folder / "mailgate.toml"), "upload", "download", trace_id, kind]
    return subprocess.run([sys.executable, "-m", "mailgate", *words], capture_output=True, check=True).stdout


def test_files_go_to_the_bucket_and_come_from_there(
    service: RunningService, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = conversions(3)
    bad = conversions(2) + b"x,y\r\n"
    words = [send(service, data)[1] for data in (good, bad)]
    traces = [word.split()[-1] for word in words]
    assert [ended(service, trace_id) for trace_id in traces] == ["completed", "completed_with_errors"]
    for key, value in bucket.variables.items():
        monkeypatch.setenv(f"MAILGATE_{key}", value)
    assert download(service, traces[0], "original") == good
    assert download(service, traces[0], "accepted").count(b"\n") == 4
    assert b"ROW" in download(service, traces[1], "errors").upper()
    objects = [found["path"] for page in bucket.store().list() for found in page]
    assert len(objects) == 3  # two originals and an errors file
    assert [path for path in (service.data / "blobs").rglob("*") if path.is_file()] == []
    assert list((service.data / "spool").iterdir()) == []
    assert "s3cret" not in (service.folder / "service.log").read_text()


def test_doors_say_not_now_in_time_while_the_store_is_away_and_nothing_is_lost_or_doubled(
    service: RunningService, bucket: Bucket
) -> None:
    sent = {digest(data): data for data in (conversions(2) for _ in range(6))}
    waiting = dict(sent)

    def try_all(good: Callable[[int], bool]) -> None:
        for sha, data in list(waiting.items()):
            code, line, seconds = send(service, data)
            assert good(code), line
            assert seconds < _PATIENCE
            if code == 250:
                del waiting[sha]

    first, *_ = waiting.items()
    assert send(service, first[1])[0] == 250
    del waiting[first[0]]
    bucket.road.hang()
    try_all(lambda code: code == 451)
    bucket.road.refuse()
    try_all(lambda code: code == 451)
    bucket.road.through()
    wait_until(lambda: try_all(lambda code: code in (250, 451)) or not waiting)
    assert not waiting
    taken = service.rows("select id, sha256 from upload where sha256 in (select value from json_each(?))", _json(sent))
    assert sorted(sha for _, sha in taken) == sorted(sent)
    assert {ended(service, upload) for upload, _ in taken} == {"completed"}


def test_an_import_waits_for_the_store_and_is_not_parked(tmp_path: Path, bucket: Bucket) -> None:
    service = RunningService(tmp_path)
    service.set_up()
    variables = {**bucket.variables, "LIMITS__S3_REQUEST": "1s", "LIMITS__IMPORT_TRIES": "1"}
    try:
        service.start(roles="smtp", **variables)
        _, line, _ = send(service, conversions(2))
        service.stop()
        bucket.road.refuse()
        service.start(roles="worker", **variables)
        wait_until(lambda: [one for one in service.log() if one.get("event") == "import waits"])
        assert service.rows("select status, failures from attempt") == [("in_progress", 0)]
        bucket.road.through()
        assert ended(service, line.split()[-1]) == "completed"
    finally:
        service.stop()
