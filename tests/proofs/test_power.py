"""P2 in short: the power goes at two 250s and twice in between, and the forgetful disk itself on a recorded trace."""

import random
from pathlib import Path

import pytest

from tests.proofs.needs import need
from tests.proofs.power import Disk, cut_power, replay

_ROOT = "/srv/data"
_FILE = f"{_ROOT}/day/file"
_TRACE = (
    f'1  mkdir("{_ROOT}/day", 0777) = 0',
    f"1  fsync(3<{_ROOT}>) = 0",
    f'1  openat(AT_FDCWD</srv>, "{_FILE}", O_WRONLY|O_CREAT|O_EXCL, 0666) = 4<{_FILE}>',
    f'1  write(4<{_FILE}>, "a\\0\\r\\n\\"\\351\\1772", 8) = 8',
    f"1  fsync(4<{_FILE}>) = 0",
    f"1  fsync(5<{_ROOT}/day>) = 0",
    f'2  pwrite64(6<{_ROOT}/log>, "XY", 2, 1) = 2',
    f"2  fdatasync(6<{_ROOT}/log>) = 0",
    '9  write(7<socket:[1]>, "250 2.0.0 accepted 01M\\r\\n", 24) = 24',
)
_CONTENT = b'a\0\r\n"\xe9\x7f2'


def _left(folder: Path, lines: list[str]) -> dict[str, bytes]:
    """Cut the power at the one 250 of a trace, on a disk that had one file; gives what is left."""
    before, after = folder / "before", folder / "after"
    before.mkdir(parents=True)
    after.mkdir()
    (before / "log").write_bytes(b"0123")
    ((_, cut),) = replay(Disk.of(before), [line.replace(_ROOT, str(before)) for line in lines])
    cut.lay_out(after)
    return {str(path.relative_to(after)): path.read_bytes() for path in after.rglob("*") if path.is_file()}


def test_what_was_synced_is_left(tmp_path: Path) -> None:
    assert _left(tmp_path, list(_TRACE)) == {"log": b"0XY3", "day/file": _CONTENT}


@pytest.mark.parametrize(
    ("missing", "left"),
    [
        (1, {"log": b"0XY3"}),  # nobody synced the name of the day's folder
        (4, {"log": b"0XY3", "day/file": b""}),
        (5, {"log": b"0XY3"}),
        (7, {"log": b"0123", "day/file": _CONTENT}),
    ],
)
def test_what_was_not_synced_is_gone(tmp_path: Path, missing: int, left: dict[str, bytes]) -> None:
    assert _left(tmp_path / "never", [line for place, line in enumerate(_TRACE) if place != missing]) == left
    late = [line for place, line in enumerate(_TRACE) if place != missing]
    assert _left(tmp_path / "late", [*late, _TRACE[missing]]) == left


def test_a_sync_does_not_cover_a_write_that_ends_behind_its_beginning(tmp_path: Path) -> None:
    begun = f"2  fdatasync(6<{_ROOT}/log> <unfinished ...>"
    lines = [*_TRACE[:6], begun, _TRACE[6].replace("2  ", "8  "), "2  <... fdatasync resumed>) = 0", _TRACE[8]]
    assert _left(tmp_path, lines)["log"] == b"0123"


def test_a_rename_and_a_deletion_count_when_their_folder_is_synced(tmp_path: Path) -> None:
    rename = f'1  rename("{_FILE}", "{_ROOT}/day/other") = 0'
    delete = f'1  unlink("{_ROOT}/log") = 0'
    assert _left(tmp_path / "not", [*_TRACE[:8], rename, delete, _TRACE[8]]).keys() == {"log", "day/file"}
    synced = [f"1  fsync(5<{_ROOT}/day>) = 0", f"1  fsync(3<{_ROOT}>) = 0"]
    assert _left(tmp_path / "yes", [*_TRACE[:8], rename, delete, *synced, _TRACE[8]]) == {"day/other": _CONTENT}


def test_nothing_acknowledged_is_lost_when_the_power_goes() -> None:
    need("strace")
    run = cut_power(mails=2, seed=random.randrange(1_000_000))
    assert run.good, str(run)
