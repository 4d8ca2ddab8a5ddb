"""An S3 for tests: moto's server in a thread of this process, and a road to it that can be cut.

``open_s3`` gives a bucket with a road: ``through``, ``refuse`` (nobody listens) and ``hang`` (the road takes what is
sent and says nothing, until it is opened again).
"""

import contextlib
import logging
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from obstore.store import S3Store

from mailgate.settings import S3, Limits
from storage.objects import ObjectBlobs

KEY, SECRET = "AKIATEST", "s3cret+/key"


class Road:
    """A TCP proxy on a port that stays its own."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._open = threading.Event()
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self.port = 0
        self.asked = 0  #: connections taken
        self.through()

    def through(self) -> None:
        """Let everything through, what was kept back first."""
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=200)
            self.port = self._listener.getsockname()[1]
            threading.Thread(target=self._take, args=(self._listener,), daemon=True).start()
        self._open.set()

    def hang(self) -> None:
        """Take connections and bytes, and hand nothing on."""
        self.through()
        self._open.clear()

    def refuse(self) -> None:
        """Let nobody in, and cut off who is."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            ends, self._ends = self._ends, set()
        for end in ends:
            _cut(end)
        self._open.set()

    def _take(self, listener: socket.socket) -> None:
        while True:
            try:
                ours, _ = listener.accept()
                theirs = socket.create_connection(self._target)
            except OSError:
                return
            self.asked += 1
            with self._lock:
                self._ends |= {ours, theirs}
            for one, other in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                self._open.wait()
                other.sendall(data)
        _cut(one)
        _cut(other)


def _cut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket and the road to it."""

    name: str
    endpoint: str  #: of the server itself
    road: Road

    @property
    def settings(self) -> S3:
        """Give the settings that reach it over the road."""
        return S3(endpoint=f"http://127.0.0.1:{self.road.port}", access_key_id=KEY, secret_access_key=SECRET)

    @property
    def variables(self) -> dict[str, str]:
        """Give those settings as a service takes them."""
        return {
            "BLOB_URL": f"s3://{self.name}/gate", "S3__ENDPOINT": self.settings.endpoint,
            "S3__ACCESS_KEY_ID": KEY, "S3__SECRET_ACCESS_KEY": SECRET,
        }  # fmt: skip

    def blobs(self, spool_dir: Path, *, prefix: str = "gate", request: float = 5, **more: Any) -> ObjectBlobs:
        """Open it as a place for blobs; ``request``: seconds for one."""
        limits = Limits(s3_request=timedelta(seconds=request))
        spool_dir.mkdir(parents=True, exist_ok=True)
        return ObjectBlobs(self.name, prefix, self.settings, limits, spool_dir, **more)

    def store(self) -> S3Store:
        """Open the whole bucket, beside the road."""
        return S3Store(
            self.name, endpoint=self.endpoint, access_key_id=KEY, secret_access_key=SECRET, region="us-east-1",
            client_options={"allow_http": True},
        )  # fmt: skip


@contextlib.contextmanager
def open_server() -> Iterator[str]:
    """Run moto's server; gives its address."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextlib.contextmanager
def open_bucket(endpoint: str, name: str) -> Iterator[Bucket]:
    """Make a bucket on a server, with a road of its own."""
    host, _, port = endpoint.removeprefix("http://").partition(":")
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{name}", method="PUT"), timeout=10):
        road = Road((host, int(port)))
    try:
        yield Bucket(name=name, endpoint=endpoint, road=road)
    finally:
        road.refuse()
