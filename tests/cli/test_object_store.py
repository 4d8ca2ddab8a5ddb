"""The doctor and an object store."""

import pytest

from storage.objects import ObjectBlobs
from tests.cli.support import Cli
from tests.s3 import Bucket
from tests.s3_fixtures import bucket, s3_server

__all__ = ["bucket", "s3_server"]


@pytest.fixture
def stored(cli: Cli, bucket: Bucket) -> Cli:
    """Give a house whose files go to a bucket."""
    for key, value in bucket.variables.items():
        cli.monkeypatch.setenv(f"MAILGATE_{key}", value)
    return cli


def findings(cli: Cli) -> list[tuple[str, str]]:
    return [(one["subject"], one["finding"]) for one in cli("--json", "doctor").json]


def test_a_store_that_is_well(stored: Cli, bucket: Bucket) -> None:
    assert findings(stored) == []
    assert list(bucket.store().list()) == []


def test_a_store_that_is_away(stored: Cli, bucket: Bucket) -> None:
    bucket.road.refuse()
    ((subject, finding),) = findings(stored)
    assert subject == "blob store"
    assert "takes no files" in finding


def test_a_bucket_that_is_not_there(stored: Cli) -> None:
    stored.monkeypatch.setenv("MAILGATE_BLOB_URL", "s3://not-there/gate")
    ((subject, finding),) = findings(stored)
    assert (subject, "NoSuchBucket" in finding) == ("blob store", True)


def test_a_certificate_authority_that_is_not_there(stored: Cli) -> None:
    stored.monkeypatch.setenv("MAILGATE_S3__CA_FILE", "none.pem")
    assert "cannot be used" in str(findings(stored))


@pytest.mark.parametrize(
    ("outcome", "subject", "sentence"),
    [((0.0, False), "blob store", "a second time"), ((-200.0, True), "clock", "-200 seconds off the object store's")],
)
def test_a_store_that_cannot_be_trusted(stored: Cli, outcome: tuple[float, bool], subject: str, sentence: str) -> None:
    stored.monkeypatch.setattr(ObjectBlobs, "try_out", lambda self: outcome)
    ((about, finding),) = findings(stored)
    assert (about, sentence in finding) == (subject, True)


def test_files_that_travel_in_clear(stored: Cli) -> None:
    stored.monkeypatch.setattr(ObjectBlobs, "try_out", lambda self: (0.0, True))
    stored.monkeypatch.setenv("MAILGATE_S3__ENDPOINT", "http://objects.example")
    assert findings(stored) == [("settings", "files travel to the object store in clear")]
