"""The watch door: /metrics, /healthz and /readyz over HTTP, for machines that look at this process.

What lives here: a listener with a thread and an event loop of its own, so that it answers while the service's loop is
busy, and tells when that loop hangs. One short request a connection, each bounded in bytes and time; nothing is changed
by asking.
"""

import asyncio
import json
import threading
from concurrent.futures import Future
from contextlib import suppress
from http import HTTPStatus

import sqlalchemy as sa
from prometheus_client.exposition import choose_encoder

from mailgate.observe import get_logger
from mailgate.observe.metrics import REGISTRY
from mailgate.settings import Settings
from mailgate.watch.checks import Health, Readiness, checks_of, liveness
from mailgate.watch.figures import FigureCollector
from mailgate.watch.pulse import Pulse
from storage.blobs import Blobs
from storage.ledger import Ledger

log = get_logger("watch")
_REQUEST = 8 * 1024  # bytes of a request with its headers
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
Answer = tuple[HTTPStatus, str, bytes]


class WatchDoor:
    """Open the watch door."""

    def __init__(self, settings: Settings, pulse: Pulse, ledger: Ledger, engine: sa.Engine, blobs: Blobs) -> None:
        self._settings = settings
        self._pulse = pulse
        limits = settings.limits
        self._figures = FigureCollector(ledger, settings)
        self._readiness = Readiness(
            pulse, checks_of(settings, engine, blobs), patience=limits.check_time.total_seconds(),
            kept=limits.check_kept.total_seconds(),
        )  # fmt: skip
        self._inside = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._opened: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    async def open(self) -> list[tuple[str, str, int]]:
        """Begin to listen; gives name, host and port.

        A port that another process of this machine has keeps no client out: the log says so.
        """
        where = self._settings.metrics
        self._thread.start()
        try:
            port = await asyncio.wrap_future(self._opened)
        except OSError as error:
            log.error("no page of metrics and health", host=where.host, port=where.port, reason=str(error))
            return []
        REGISTRY.register(self._figures)
        return [("metrics", where.host, port)]

    async def close(self) -> None:
        """Stop listening and end the thread."""
        if self._loop is None or self._ending is None:
            return
        with suppress(KeyError):
            REGISTRY.unregister(self._figures)
        with suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._ending.set)
        await asyncio.to_thread(self._thread.join, 5)
        self._readiness.close()
        self._figures.close()

    # --- the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._listen())
        except OSError as error:
            if not self._opened.done():
                self._opened.set_exception(error)

    async def _listen(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        where = self._settings.metrics
        server = await asyncio.start_server(self._serve, where.host, where.port, limit=_REQUEST, backlog=64)
        self._opened.set_result(int(server.sockets[0].getsockname()[1]))
        async with server:
            await self._ending.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limits = self._settings.limits
        if self._inside >= limits.metrics_connections:
            writer.transport.abort()
            return
        self._inside += 1
        writer.transport.set_write_buffer_limits(0)  # drain returns when all of it is on its way
        try:
            async with asyncio.timeout(limits.metrics_request.total_seconds()):
                writer.write(await self._reply(reader))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.transport.abort()
        except Exception:
            log.exception("a request for metrics or health failed")
            writer.transport.abort()
        finally:
            self._inside -= 1

    async def _reply(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _message((HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _TEXT, b"too much\n"), body=True)
        line, _, rest = head.decode("latin-1").partition("\r\n")
        method, _, target = line.partition(" ")
        path, _, version = target.partition(" ")
        if not version.startswith("HTTP/1."):
            return _message((HTTPStatus.BAD_REQUEST, _TEXT, b"this is no HTTP\n"), body=True)
        if method not in {"GET", "HEAD"}:
            return _message((HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"only GET and HEAD\n"), body=True)
        answer = await self._answer(path.partition("?")[0], rest)
        return _message(answer, body=method == "GET")

    async def _answer(self, path: str, headers: str) -> Answer:
        if path == "/healthz":
            return _health(liveness(self._pulse, self._settings.limits.loop_silence.total_seconds()))
        if path == "/readyz":
            return _health(await self._readiness.look())
        if path == "/metrics":
            await self._figures.refresh(await self._readiness.look())
            encode, kind = choose_encoder(_header(headers, "accept"))
            return HTTPStatus.OK, kind, encode(REGISTRY)
        return HTTPStatus.NOT_FOUND, _TEXT, b"there are /metrics, /healthz and /readyz\n"


def _health(health: Health) -> Answer:
    status = HTTPStatus.OK if health.well else HTTPStatus.SERVICE_UNAVAILABLE
    said = {"ok": health.well, "checks": dict(health.checks)}
    return status, _JSON, json.dumps(said).encode() + b"\n"


def _header(headers: str, name: str) -> str:
    for line in headers.split("\r\n"):
        key, _, value = line.partition(":")
        if key.strip().lower() == name:
            return value.strip()
    return ""


def _message(answer: Answer, *, body: bool) -> bytes:
    status, kind, content = answer
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (content if body else b"")
