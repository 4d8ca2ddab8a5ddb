"""A full disk inside one statement makes SQLite end the whole transaction by itself: nobody may be told "done" then."""

import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from storage.engine import database_url, make_engine
from storage.writer import LedgerBusy, Writer


def _put(value: str) -> Any:
    def work(session: Session) -> str:
        session.execute(sa.text("INSERT INTO t VALUES (:value)"), {"value": value})
        return "done"

    return work


@pytest.mark.parametrize("together", [False, True], ids=["single jobs", "items of one function"])
def test_all_of_the_group_are_told_and_nothing_is_kept(tmp_path: Path, together: bool) -> None:
    engine = make_engine(database_url(tmp_path / "db.sqlite3"), pool_size=1)
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.exec_driver_sql("CREATE TABLE t (x)")

    @sa.event.listens_for(engine, "begin")
    def _small(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=100")  # a disk that is soon full

    writer, gate = Writer(engine), threading.Event()
    writer.submit(lambda _session: gate.wait(20))  # holds the writer until the group is complete
    values = ["a", "x" * 4_000_000, "b"]
    if together:

        def put_all(session: Session, items: list[str]) -> list[str]:
            return [_put(item)(session) for item in items]

        futures = [writer.submit_together(put_all, value) for value in values]
    else:
        futures = [writer.submit(_put(value)) for value in values]
    gate.set()
    for future in futures:
        with pytest.raises(LedgerBusy):
            future.result(20)
    assert writer.submit(_put("later")).result(20) == "done"
    writer.close()
    with engine.connect() as connection:
        assert [row[0] for row in connection.exec_driver_sql("SELECT x FROM t")] == ["later"]
    engine.dispose()
