"""What the tests of watching share: a door in this process, requests as bytes, and a page of metrics as values."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from mailgate.settings import Limits, Metrics
from mailgate.watch import Pulse, WatchDoor
from mailgate.watch.pulse import Stage
from tests.house import InThread
from tests.storage.support import Store


class Ticks:
    """A monotonic clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(kw_only=True)
class Watched:
    """A watch door over a store, and the pulse that it feels."""

    port: int
    pulse: Pulse
    ticks: Ticks
    door: WatchDoor


@contextlib.contextmanager
def watched(store: Store, *, port: int = 0, **limits: Any) -> Iterator[Watched]:
    """Open a watch door; what it kept of earlier looks is never used unless limits say so."""
    wanted = Limits(**{"minimum_free_bytes": 1, "check_kept": "0s", "metrics_kept": "0s", **limits})
    settings = store.settings.model_copy(update={"limits": wanted, "metrics": Metrics(port=port)})
    ticks = Ticks()
    pulse = Pulse(ticks)
    pulse.stage = Stage.OPEN
    door = WatchDoor(settings, pulse, store.ledger, store.ledger.engine, store.blobs)

    @contextlib.asynccontextmanager
    async def life():  # type: ignore[no-untyped-def]
        ((_, _, port),) = await door.open()
        yield port
        await door.close()

    opened = InThread(life)
    try:
        yield Watched(port=opened.open(), pulse=pulse, ticks=ticks, door=door)
    finally:
        opened.close()


def ask(port: int, request: bytes) -> bytes:
    """Send bytes and give all that comes back."""
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


def get(port: int, path: str) -> tuple[int, str]:
    """Give status and body of a page."""
    answer = ask(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    return int(head.split()[1]), body.decode()


def samples(page: str) -> dict[tuple[str, ...], float]:
    """Read a page of metrics: the value of each series, by its name and its labels' values."""
    return {
        (one.name, *(f"{key}={value}" for key, value in sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
    }  # fmt: skip
