"""Logs: one JSON line per event on stderr, names escaped, trace id where there is one.

What lives here: how a line is rendered. Every room takes its logger from here.
"""

import contextlib
import json
import logging
import sys
import threading
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO, cast

import structlog


class _Unfailing:
    """A stream whose full disk or closed reader changes nothing: a lost line must not become a word to a client."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


class _JsonLines(logging.Formatter):
    """Write what a library says as a line of ours: one line, whatever line ends stand in it."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "room": record.name, "event": _said(record), "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        }  # fmt: skip
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


def _said(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # a library's own format string does not fit its values
        return f"{record.msg} {record.args!r}"


def get_logger(room: str) -> Any:
    """Give the logger of one room; its lines carry the room's name."""
    return structlog.get_logger(room=room)


def configure_logging(
    *, verbose: bool = False, on_line: Callable[[str, str], None] = lambda _level, _room: None
) -> None:
    """Send our own lines as JSON to stderr, and of libraries only warnings, in the same form.

    ``on_line`` hears level and room of each line of ours, and of those of libraries with the room ``library``.
    """

    def told(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        on_line(line["level"], line.get("room", ""))
        return line

    def heard(record: logging.LogRecord) -> bool:
        on_line(record.levelname.lower(), "library")
        return True

    level = logging.DEBUG if verbose else logging.INFO
    stream = cast(TextIO, _Unfailing(sys.stderr))
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonLines())
    handler.addFilter(heard)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.raiseExceptions = False  # a library's bad format string is no traceback in the middle of our lines
    logging.captureWarnings(True)
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd logs every command at INFO and our faults twice
    engine = logging.getLogger("dbos")  # it would bring a handler of its own, and lines of another form
    engine.handlers[:], engine.propagate = [logging.NullHandler()], True
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            told,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    threading.excepthook = _thread_died


def _thread_died(what: threading.ExceptHookArgs) -> None:
    """Log what ended a thread, in one line as everything else."""
    name = what.thread.name if what.thread is not None else ""
    if what.exc_value is not None:
        get_logger("app").error("a thread died", thread=name, exc_info=what.exc_value)
