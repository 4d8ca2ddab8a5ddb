"""The moves between states: one table, asked by everybody who changes one."""

import itertools

import pytest

from models.states import (
    COUNTS_AS_FIRST,
    ENDED,
    IMPORT_MOVES,
    STATUS_OF_VERDICT,
    UPLOAD_MOVES,
    ImportStatus,
    MoveNotAllowed,
    UploadStatus,
    Verdict,
    check_move,
)

_U, _I = UploadStatus, ImportStatus
UPLOADS = list(itertools.product([None, *_U], _U))
IMPORTS = list(itertools.product([None, *_I], _I))


@pytest.mark.parametrize(("before", "after"), UPLOADS + IMPORTS)
def test_a_move_is_allowed_exactly_where_the_table_says(
    before: UploadStatus | ImportStatus | None, after: UploadStatus | ImportStatus
) -> None:
    table = UPLOAD_MOVES if isinstance(after, UploadStatus) else IMPORT_MOVES
    if after in table[before]:  # type: ignore[index]
        check_move(before, after)
    else:
        with pytest.raises(MoveNotAllowed):
            check_move(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [*itertools.product([*_I], _U), *((upload, status) for upload, status in itertools.product([*_U], _I))],
)
def test_no_state_of_one_thing_becomes_a_state_of_another(
    before: UploadStatus | ImportStatus, after: UploadStatus | ImportStatus
) -> None:
    with pytest.raises(MoveNotAllowed):
        check_move(before, after)


def test_every_state_has_a_line_and_every_verdict_a_status() -> None:
    assert set(UPLOAD_MOVES) == {None, *_U}
    assert set(IMPORT_MOVES) == {None, *_I}
    assert set(STATUS_OF_VERDICT) == set(Verdict)


def test_what_has_ended_never_moves_again() -> None:
    assert {status for status in _I if not IMPORT_MOVES[status]} == ENDED
    assert COUNTS_AS_FIRST.isdisjoint({_I.REJECTED, _I.ABORTED})


def test_no_state_moves_to_itself() -> None:
    assert not any(state in after for table in (UPLOAD_MOVES, IMPORT_MOVES) for state, after in table.items())  # type: ignore[attr-defined]


def test_every_state_can_be_reached() -> None:
    for table in (UPLOAD_MOVES, IMPORT_MOVES):
        reached = set(table[None])  # type: ignore[attr-defined]
        for _ in table:
            reached |= {after for state in reached for after in table[state]}  # type: ignore[attr-defined]
        assert reached == set(table) - {None}
