"""P3 in short: the first two calls of each kind fail."""

from tests.proofs.fault import ALL, fail_every_call
from tests.proofs.needs import need


def test_a_write_or_sync_that_fails_costs_a_try_and_no_more() -> None:
    need("strace")
    run = fail_every_call([series for series in ALL if series.call not in ("rename", "unlink")], most=2)
    assert run.good, str(run)


def test_a_spool_file_that_cannot_be_deleted_changes_no_answer() -> None:
    need("strace")
    run = fail_every_call([series for series in ALL if series.call == "unlink"], most=2)
    assert run.good, str(run)
