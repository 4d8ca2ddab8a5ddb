"""A log line that cannot be written is lost, and nothing else."""

import sys
from typing import NoReturn

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
