"""P4 in short: two deliveries traced, and the judge itself judged on a recorded trace."""

import pytest

from tests.proofs.needs import need
from tests.proofs.order import complaints, trace_deliveries, trace_uploads

_DATA = "/srv/mailgate-data"
_BLOB = f"{_DATA}/blobs/20261122/20261122-20731837a5318edb4c31f157afd107e7"
_WAL = f"{_DATA}/mailgate.sqlite3-wal"
_CREATED = f'54  openat(AT_FDCWD</srv>, "{_BLOB}", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0666) = 32<{_BLOB}>'
_WRITTEN = f'54  write(32<{_BLOB}>, "CampaignId,ActionTrackerId,EventDate"..., 309) = 309'
_FILE_SYNC = f"69  fsync(32<{_BLOB}>) = 0"
_FOLDER_SYNC = f"69  fsync(32<{_DATA}/blobs/20261122>) = 0"
_ROWS = f'3  pwrite64(14<{_WAL}>, "\\r\\17\\31\\0\\4\\3X\\0\\v.\\7"..., 4096, 972376) = 4096'
_LOG_SYNC = f"3  fdatasync(14<{_WAL}>) = 0"
_WORD = '74  write(31<socket:[77059]>, "250 2.0.0 accepted 01M80ADATX90Z331WKWR0K48J3\\r\\n", 47) = 47'
_TRACE = (
    '74  write(31<socket:[77059]>, "354 End data with <CR><LF>.<CR><LF>\\r\\n", 37) = 37',
    _CREATED,
    _WRITTEN,
    _FILE_SYNC,
    f'69  openat(AT_FDCWD</srv>, "{_DATA}/blobs/20261122", O_RDONLY|O_CLOEXEC|O_DIRECTORY) = 32<{_DATA}/blobs>',
    _FOLDER_SYNC,
    _ROWS,
    _LOG_SYNC,
    '74  write(2</srv/service.log>, "{\\"event\\": \\"delivery\\"}", 22) = 22',
    _WORD,
    f'54  write(31<{_DATA}/outbox/.receipt.eml.tmp>, "From: mailgate"..., 3229) = 3229',
)


def _unfinished(line: str) -> tuple[str, str]:
    """Split a line as strace does when another thread's call comes between."""
    call, _, result = line.rpartition(") = ")
    thread, _, rest = call.partition("  ")
    name = rest.partition("(")[0]
    return f"{call} <unfinished ...>", f"{thread}  <... {name} resumed>) = {result}"


def test_the_right_order_is_no_complaint() -> None:
    assert complaints(_TRACE) == []


@pytest.mark.parametrize("line", [_FILE_SYNC, _FOLDER_SYNC, _LOG_SYNC, _WORD, _CREATED, _ROWS])
def test_taking_any_one_line_away_is_a_complaint(line: str) -> None:
    assert complaints(one for one in _TRACE if one != line)


@pytest.mark.parametrize("line", [_FILE_SYNC, _FOLDER_SYNC, _LOG_SYNC])
def test_a_sync_that_fails_or_comes_behind_the_word_is_a_complaint(line: str) -> None:
    failed = line.removesuffix("= 0") + "= -1 EIO (Input/output error) (INJECTED)"
    assert complaints(failed if one == line else one for one in _TRACE)
    assert complaints([*(one for one in _TRACE if one != line), line])


@pytest.mark.parametrize("line", [_FILE_SYNC, _FOLDER_SYNC, _LOG_SYNC])
def test_a_sync_counts_when_it_ends_not_when_it_begins(line: str) -> None:
    begun, resumed = _unfinished(line)
    place = _TRACE.index(line)
    assert complaints([*_TRACE[:place], begun, resumed, *_TRACE[place + 1 :]]) == []
    assert complaints([*_TRACE[:place], begun, *_TRACE[place + 1 :], resumed])


@pytest.mark.parametrize("pair", [(_FILE_SYNC, _FOLDER_SYNC), (_FOLDER_SYNC, _LOG_SYNC), (_WRITTEN, _FILE_SYNC)])
def test_two_calls_in_the_wrong_order_are_a_complaint(pair: tuple[str, str]) -> None:
    swapped = {pair[0]: pair[1], pair[1]: pair[0]}
    assert complaints(swapped.get(one, one) for one in _TRACE)


def test_a_write_behind_its_sync_is_a_complaint() -> None:
    place = _TRACE.index(_LOG_SYNC) + 1
    assert complaints([*_TRACE[:place], _ROWS, *_TRACE[place:]])


def test_real_deliveries_are_in_order() -> None:
    need("strace")
    run = trace_deliveries(2)
    assert run.good, str(run)


def test_uploads_over_ftp_are_in_order() -> None:
    need("strace", "curl")
    run = trace_uploads(2)
    assert run.good, str(run)
    print(run)
