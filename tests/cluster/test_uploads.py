"""Uploads on several nodes that share Postgres and an object store and nothing else."""

import io
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import paramiko
import psycopg
import pytest

from tests.house import RunningService, conversions, rows_of, wait_until
from tests.postgres import server
from tests.s3 import Bucket, open_bucket, open_server

INBOX = "/upload/conversions"
CONNECTIONS = """
[[account]]
name = "acme"
[[credential]]
name = "acme-batch"
account = "acme"
username = "acme"
password = "correct horse"
[[connection]]
name = "acme-conversions"
account = "acme"
data_type = "conversions"
method = "sftp"
pattern = "*.csv"
credential = "acme-batch"
folder = "/upload/conversions"
"""


class Site:
    """Two file doors and a worker, each with a data directory of its own."""

    def __init__(self, folder: Path, url: str, bucket: Bucket) -> None:
        self.url, self.bucket = url, bucket
        self.nodes: dict[str, RunningService] = {}
        for name in ("a", "b", "worker"):
            node = self.nodes[name] = RunningService(folder / name)
            node.set_up("")
            config = node.folder / "mailgate.toml"
            config.write_text(f'database_url = "{url}"\n' + config.read_text())
        self.nodes["worker"].apply(CONNECTIONS)

    def start(self, name: str) -> RunningService:
        roles = "worker" if name == "worker" else "sftp"
        return self.nodes[name].start(
            roles=roles, SETTLE_SECONDS="0.5", LIMITS__LOGIN_DELAY="0s", **self.bucket.variables
        )

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return rows_of(self.url, statement, *values)

    @contextmanager
    def client(self, name: str) -> Iterator[paramiko.SFTPClient]:
        transport = paramiko.Transport(("127.0.0.1", self.nodes[name].ports["sftp"]))
        try:
            transport.connect(username="acme", password="correct horse")
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            yield client
        finally:
            transport.close()

    def imported(self, content: bytes) -> None:
        """Wait until a content was imported, and see that it was once."""
        digest = sha256(content).hexdigest()
        statement = (
            "SELECT u.file_name, a.status FROM upload u JOIN attempt a ON a.upload_id = u.id"
            " WHERE u.sha256 = ? AND a.finished_at IS NOT NULL"
        )
        found = wait_until(lambda: self.rows(statement, digest), 60)
        assert [status for _, status in found] == ["completed"]
        ((blob,),) = self.rows("SELECT blob FROM upload WHERE sha256 = ?", digest)
        kept = bytes(self.bucket.store().get(f"gate/{blob[:8]}/{blob}").bytes())
        assert kept == content


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        url = stack.enter_context(server().lend())
        bucket = stack.enter_context(open_bucket(stack.enter_context(open_server()), "cluster"))
        made = Site(tmp_path_factory.mktemp("site"), url, bucket)
        for name, node in made.nodes.items():
            stack.callback(node.stop, signal.SIGKILL)
            made.start(name)
        yield made


def listed(client: paramiko.SFTPClient) -> dict[str, int]:
    return {one.filename: one.st_size or 0 for one in client.listdir_attr(INBOX) if not one.longname.startswith("d")}


def go_on(client: paramiko.SFTPClient, path: str, whole: bytes) -> int:
    """Resume as clients do, from the size that is said; gives that size."""
    size = client.stat(path).st_size or 0
    with client.open(path, "r+") as file:
        file.seek(size)
        file.write(whole[size:])
    return size


def test_cut_on_one_node_and_resumed_on_the_other(site: Site) -> None:
    whole, path = conversions(20_000), f"{INBOX}/cut.csv"
    with site.client("a") as client:
        file = client.open(path, "w")
        file.write(whole[:700_000])
        file.flush()
    with site.client("b") as client:
        wait_until(lambda: listed(client).get("cut.csv", 0) > 0)
        size = go_on(client, path, whole)
        assert 0 < size <= 700_000
        assert sha256(client.open(path).read()).digest() == sha256(whole).digest()
    site.imported(whole)


def test_held_on_one_node_and_renamed_on_the_other(site: Site) -> None:
    whole = conversions(50)
    with site.client("a") as client:
        client.putfo(io.BytesIO(whole), f"{INBOX}/renamed.csv.part")
    with site.client("b") as client:
        assert listed(client)["renamed.csv.part"] == len(whole)
        client.rename(f"{INBOX}/renamed.csv.part", f"{INBOX}/renamed.csv")
    with site.client("a") as client:
        assert "renamed.csv.part" not in listed(client)
    site.imported(whole)


def test_a_node_is_killed_amid_an_upload(site: Site) -> None:
    """The client goes on at the other node, with nobody having noticed yet; the killed node starts again meanwhile."""
    whole, path = conversions(20_000), f"{INBOX}/killed.csv"
    with site.client("a") as client:
        file = client.open(path, "w")
        file.write(whole[:700_000])
        site.nodes["a"].stop(signal.SIGKILL)
    with site.client("b") as client:
        assert go_on(client, path, whole) == 0  # its bytes had not left the node that is gone
        site.start("a")
        site.imported(whole)
    assert site.rows("SELECT count(*) FROM upload WHERE file_name = 'killed.csv'") == [(1,)]
    uploads = site.nodes["a"].data / "uploads"
    assert len(list(uploads.iterdir())) <= 1  # what the sweep deletes


def test_a_node_that_starts_again_brings_what_it_had(site: Site) -> None:
    whole, path = conversions(20_000), f"{INBOX}/brought.csv"
    with site.client("b") as client:
        file = client.open(path, "w")
        file.write(whole[:700_000])
        file.stat()  # all of it has come
        number = site.nodes["b"].process.pid
        site.nodes["b"].stop(signal.SIGKILL)
    with psycopg.connect(site.url) as connection:  # twenty seconds later
        connection.execute("UPDATE node SET seen_at = seen_at - interval '1 hour' WHERE id LIKE %s", [f"%/{number}/%"])
    site.start("b")
    with site.client("a") as client:
        assert listed(client)["brought.csv"] > 0
        assert go_on(client, path, whole) > 0
    site.imported(whole)
