"""Logs: one JSON line per event on stderr, names escaped, trace id where there is one.

What lives here: how a line is rendered. Every room takes its logger from here.
"""

import contextlib
import logging
import sys
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


def get_logger(room: str) -> Any:
    """Give the logger of one room; its lines carry the room's name."""
    return structlog.get_logger(room=room)


def configure_logging(*, verbose: bool = False) -> None:
    """Send our own lines as JSON to stderr, and of libraries only warnings."""
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s", force=True)
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd logs every command at INFO and our faults twice
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )
