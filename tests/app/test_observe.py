"""A log line that cannot be written is lost, and nothing else; what libraries say is a line like ours."""

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest
import structlog

from mailgate.observe import configure_logging, get_logger


class _FullDisk:
    tried = 0

    def write(self, _text: str = "") -> NoReturn:
        _FullDisk.tried += 1
        raise OSError(28, "No space left on device")

    flush = write


def test_a_full_disk_under_the_log_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = structlog.get_config()
    monkeypatch.setattr(sys, "stderr", _FullDisk())
    try:
        configure_logging()
        get_logger("test").info("a delivery was recorded")
    finally:
        monkeypatch.undo()
        structlog.configure(**before)
        configure_logging()
        structlog.reset_defaults()
    assert _FullDisk.tried


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Configure logging as the service does; gives a function that reads what stands on stderr."""
    before, stderr = structlog.get_config(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    configure_logging(on_line=lambda level, room: heard.append((level, room)))
    yield lambda: [json.loads(line) for line in stderr.getvalue().splitlines()]
    monkeypatch.undo()
    logging.captureWarnings(False)
    logging.raiseExceptions = True
    threading.excepthook = threading.__excepthook__
    structlog.configure(**before)
    logging.basicConfig(level=logging.WARNING, force=True)
    structlog.reset_defaults()
    heard.clear()


heard: list[tuple[str, str]] = []


def test_what_a_library_says_is_one_line_of_json(lines: Callable[[], list[dict[str, Any]]]) -> None:
    library = logging.getLogger("library.of.others")
    library.warning("two\nlines\x1b[31m of %s", "an\u2028other")
    library.info("not wanted")
    library.error("%d", "no number")  # its own fault, and no traceback between our lines
    try:
        raise ValueError("one\r\ntwo")
    except ValueError:
        library.exception("failed")
    first, second, failed = [line for line in lines() if line["room"] == "library.of.others"]
    assert (first["event"], first["level"]) == ("two\nlines\x1b[31m of an\u2028other", "warning")
    assert second["event"] == "%d ('no number',)"
    assert "ValueError: one" in failed["exception"]
    assert {room for _, room in heard} == {"library"}


def test_the_engine_brings_no_handler_of_its_own(lines: Callable[[], list[dict[str, Any]]]) -> None:
    from dbos._logger import dbos_logger, init_logger

    init_logger()
    dbos_logger.warning("a job was\ncancelled")
    assert [line["event"] for line in lines()] == ["a job was\ncancelled"]


def test_a_thread_that_dies_is_one_line(lines: Callable[[], list[dict[str, Any]]]) -> None:
    def die() -> None:
        raise RuntimeError("torn\napart")

    thread = threading.Thread(target=die, name="ledger-writer")
    thread.start()
    thread.join()
    (line,) = lines()
    assert (line["event"], line["thread"], line["level"]) == ("a thread died", "ledger-writer", "error")
    assert "torn" in line["exception"]
    assert heard == [("error", "app")]
