"""An object store: what disk and memory cannot show. The contract itself is that of ``test_blobs``."""

import re
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from storage.blobs import BlobsAway, DiskBlobs
from storage.local import local
from storage.object_faults import Outage, summary
from storage.objects import PART, ObjectBlobs
from storage.presign import Keys, disposition, presigned
from tests.s3 import KEY, SECRET, Bucket
from tests.storage.support import START

_KEYS = Keys(KEY, SECRET, "eu-west-1")
_PATIENCE = 10.0  # seconds within which a door answers


def keep(blobs: ObjectBlobs, data: bytes) -> str:
    writer = blobs.create(START)
    writer.write(data)
    blobs.commit([writer])
    return writer.id


@pytest.fixture
def blobs(bucket: Bucket, tmp_path: Path) -> ObjectBlobs:
    return bucket.blobs(tmp_path / "spool", request=1)


@pytest.mark.parametrize("size", [5, PART + 1])
def test_an_id_is_never_overwritten(blobs: ObjectBlobs, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    kept = keep(blobs, b"first")
    monkeypatch.setattr("storage.objects.new_blob_id", lambda now: kept)
    with pytest.raises(FileExistsError):
        keep(blobs, b"x" * size)
    with blobs.open(kept) as stored:
        assert stored.read() == b"first"


def test_objects_lie_under_their_day_and_strange_ones_are_nobodys(bucket: Bucket, blobs: ObjectBlobs) -> None:
    kept = keep(blobs, b"a")
    whole = bucket.store()
    assert bytes(whole.get(f"gate/{kept[:8]}/{kept}").bytes()) == b"a"
    for key in (f"gate/{kept}", f"gate/20200101/{kept}", "gate/notes.txt", f"other/{kept[:8]}/{kept}"):
        whole.put(key, b"not ours")
    assert list(blobs.older_than(datetime.now(UTC) + timedelta(hours=1))) == [kept]


@pytest.mark.parametrize("state", ["refuse", "hang"])
def test_a_store_that_does_not_answer_says_so_in_time_and_nothing_else(
    bucket: Bucket, blobs: ObjectBlobs, state: str
) -> None:
    kept = keep(blobs, b"kept")
    getattr(bucket.road, state)()
    began = time.monotonic()
    for away in (lambda: blobs.open(kept), lambda: keep(blobs, b"lost"), lambda: blobs.delete(kept)):
        with pytest.raises(BlobsAway):
            away()
    with pytest.raises(BlobsAway):
        list(blobs.older_than(START))
    assert time.monotonic() - began < _PATIENCE
    bucket.road.through()
    assert _until_it_answers(blobs, kept) == b"kept"
    assert keep(blobs, b"again") != kept


def _until_it_answers(blobs: ObjectBlobs, blob_id: str) -> bytes:
    deadline = time.monotonic() + 20
    while True:
        try:
            with blobs.open(blob_id) as stored:
                return stored.read()
        except BlobsAway:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_many_that_wait_for_a_silent_store_hear_it_together(bucket: Bucket, blobs: ObjectBlobs) -> None:
    """A hundred objects on sixteen threads, and large ones among them: no one waits for another's time to pass."""
    bucket.road.hang()
    writers = [blobs.create(START) for _ in range(100)]
    for number, writer in enumerate(writers):
        writer.write(b"x" * (PART + 1 if number % 20 == 0 else 10))
    began = time.monotonic()
    with pytest.raises(BlobsAway):
        blobs.commit(writers)
    assert time.monotonic() - began < _PATIENCE / 2


def test_a_large_object_that_gets_no_further_is_given_up(
    bucket: Bucket, blobs: ObjectBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = blobs.reserve

    def reserve_and_hang(key: str) -> None:
        real(key)
        bucket.road.hang()

    monkeypatch.setattr(blobs, "reserve", reserve_and_hang)
    writer = blobs.create(START)
    for _ in range(4):
        writer.write(b"x" * PART)
    began = time.monotonic()
    with pytest.raises(BlobsAway):
        blobs.commit([writer])
    assert time.monotonic() - began < _PATIENCE / 2
    bucket.road.through()
    deadline = time.monotonic() + 20
    while True:
        try:
            blobs.delete(writer.id)
            break
        except BlobsAway:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    with pytest.raises(FileNotFoundError):
        blobs.open(writer.id)


def test_after_a_failure_one_in_a_second_tries() -> None:
    now = [0.0]
    outage = Outage(lambda: now[0])
    outage.check()
    outage.failed("refused")
    with pytest.raises(BlobsAway, match="refused"):
        outage.check()
    now[0] = 1.0
    outage.check()  # the one that tries
    with pytest.raises(BlobsAway):
        outage.check()
    outage.worked()
    outage.check()


def test_a_missing_bucket_and_a_strange_page_are_no_missing_objects(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep(bucket.blobs(tmp_path / "spool"), b"a")
    elsewhere = Bucket(name="not-there", endpoint=bucket.endpoint, road=bucket.road).blobs(tmp_path / "spool")
    with pytest.raises(BlobsAway, match="NoSuchBucket"):
        elsewhere.open(kept)
    with pytest.raises(BlobsAway, match="NoSuchBucket"):
        keep(elsewhere, b"x")

    def page(*args: object, **more: object) -> object:
        raise FileNotFoundError("Object not found: Server returned non-2xx status code: 404: <html>balancer</html>")

    monkeypatch.setattr("storage.objects.obstore.get", page)
    with pytest.raises(BlobsAway):
        bucket.blobs(tmp_path / "spool").open(kept)


def test_nothing_shows_the_secret(bucket: Bucket, blobs: ObjectBlobs) -> None:
    bucket.road.refuse()
    with pytest.raises(BlobsAway) as caught:
        keep(blobs, b"x")
    told = [str(caught.value), repr(caught.value), repr(caught.value.__cause__), repr(bucket.settings), repr(blobs)]
    told += [repr(vars(blobs)), repr(Keys(KEY, SECRET, "us-east-1"))]
    assert not [text for text in told if SECRET in text]
    assert "\n" not in str(caught.value)
    assert summary(ValueError("first\nsecond")) == "first"


def test_a_disk_lends_its_file_and_an_object_is_fetched_and_deleted(blobs: ObjectBlobs, tmp_path: Path) -> None:
    disk = DiskBlobs(tmp_path / "blobs")
    writer = disk.create(START)
    writer.write(b"on disk")
    disk.commit([writer])
    with local(disk, writer.id, tmp_path) as path:
        assert path == disk.path(writer.id)
    assert disk.path(writer.id).exists()
    folder = tmp_path / "spool"
    kept = keep(blobs, b"fetched" * 1000)
    with local(blobs, kept, folder) as path:
        assert (path.parent, path.read_bytes()) == (folder, b"fetched" * 1000)
    with pytest.raises(RuntimeError), local(blobs, kept, folder):
        raise RuntimeError
    assert list(folder.iterdir()) == []


def test_what_waits_to_go_up_leaves_nothing_on_the_disk(blobs: ObjectBlobs, tmp_path: Path) -> None:
    writer = blobs.create(START)
    for _ in range(4):
        writer.write(b"x" * 200_000)
    assert list((tmp_path / "spool").iterdir()) == []  # a file without a name: a crash takes it along
    blobs.delete(writer.id)
    with pytest.raises(FileNotFoundError):
        blobs.open(writer.id)


def test_the_doctor_tries_the_store_out(bucket: Bucket, blobs: ObjectBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead, safe = blobs.try_out()
    assert abs(ahead) < 60
    assert safe
    assert list(blobs.older_than(datetime.now(UTC) + timedelta(hours=1))) == []
    import obstore

    real = obstore.put
    monkeypatch.setattr("storage.objects.obstore.put", lambda *a, mode=None, **more: real(*a, **more))
    assert blobs.try_out()[1] is False


@pytest.mark.parametrize("name", ["errors.csv", "Ümläut (1).csv", 'a"b\r\nc;d.csv', "日本語 + 100%.csv", "~x&y=z.csv"])
def test_a_link_downloads_a_file_under_its_name(bucket: Bucket, blobs: ObjectBlobs, name: str) -> None:
    kept = keep(blobs, b"rows" * 1000)
    link = blobs.presign(kept, 60, name)
    assert SECRET not in link
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == b"rows" * 1000
        assert answer.headers["Content-Disposition"] == disposition(name)
        assert not re.search(r"[\r\n]", disposition(name))


@pytest.mark.parametrize("name", ["errors.csv", "日本語 + 100%.csv", "a=b&c~d.csv"])
def test_a_link_is_signed_as_amazons_own_library_does(name: str) -> None:
    """Moto looks at no signature, so another implementation judges ours."""
    url = "https://objects.example:9000/bucket/a%20prefix/20261121/%C3%A9%281%29"
    request = AWSRequest(method="GET", url=url, params={"response-content-disposition": disposition(name)})
    S3SigV4QueryAuth(Credentials(KEY, SECRET), "s3", "eu-west-1", expires=900).add_auth(request)
    theirs = str(request.url)
    moment = re.search(r"X-Amz-Date=(\w+)Z", theirs)  # botocore takes the time itself
    assert moment is not None
    now = datetime.strptime(moment[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    ours = presigned("https://objects.example:9000/bucket/a prefix/20261121/é(1)", _KEYS, 900, name, now)
    assert _signature(ours) == _signature(theirs)


def test_no_link_lasts_longer_than_a_week() -> None:
    for seconds in (0, -1, 7 * 24 * 3600 + 1):
        with pytest.raises(ValueError, match="week"):
            presigned("https://objects.example/bucket/a", _KEYS, seconds, "a", START)


def _signature(link: str) -> str:
    found = re.search(r"X-Amz-Signature=([0-9a-f]{64})", link)
    assert found is not None
    return found[1]


def test_without_keys_of_our_own_the_library_signs(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    bare = bucket.settings.model_copy(update={"access_key_id": "", "secret_access_key": ""})
    from mailgate.settings import Limits

    blobs = ObjectBlobs(bucket.name, "gate", bare, Limits(), tmp_path)
    kept = keep(blobs, b"by the environment")
    with urllib.request.urlopen(blobs.presign(kept, 60, "a.csv"), timeout=10) as answer:
        assert answer.read() == b"by the environment"


_PUT = """
import re, sys
from pathlib import Path
from datetime import UTC, datetime
from mailgate.settings import S3, Limits
from storage.objects import ObjectBlobs
name, endpoint, key, secret, folder, megabytes = sys.argv[1:]
blobs = ObjectBlobs(
    name, "gate", S3(endpoint=endpoint, access_key_id=key, secret_access_key=secret), Limits(), Path(folder)
)
writer = blobs.create(datetime.now(UTC))
for _ in range(int(megabytes)):
    writer.write(b"m" * 1_000_000)
blobs.commit([writer])
with blobs.open(writer.id) as stored:
    while stored.read(1 << 20):
        pass
print(re.search(r"VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1], writer.hexdigest())
"""


def test_memory_does_not_grow_with_the_object(bucket: Bucket, tmp_path: Path) -> None:
    peaks = []
    for megabytes in (8, 40):
        words = [bucket.name, bucket.settings.endpoint, KEY, SECRET, str(tmp_path), str(megabytes)]
        done = subprocess.run(
            [sys.executable, "-c", _PUT, *words], capture_output=True, text=True, timeout=120, check=True
        )
        peak, digest = done.stdout.split()
        assert digest == sha256(b"m" * megabytes * 1_000_000).hexdigest()
        peaks.append(int(peak))
    assert peaks[1] - peaks[0] < 12_000, peaks  # KiB
