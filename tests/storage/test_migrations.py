"""The schema: made by migrations alone, and the same as the tables say."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from models.tables import Account, Delivery
from storage.engine import database_url, make_engine
from storage.migrate import alembic_config, is_compatible, is_current, migrate, newest_revision
from tests.storage.support import Store

_SCHEMA = {
    "sqlite": "SELECT name, sql FROM sqlite_master ORDER BY 1",
    "postgresql": (
        "SELECT table_schema, table_name, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema IN ('public', 'dbos') ORDER BY 1, 2, 3"
    ),
}


def test_the_migrations_make_what_the_tables_say(store: Store) -> None:
    with store.ledger.engine.connect() as connection:
        command.check(alembic_config(connection))  # raises where autogenerate finds a difference


def test_the_history_of_migrations_has_one_end(store: Store) -> None:
    with store.ledger.engine.connect() as connection:
        script = ScriptDirectory.from_config(alembic_config(connection))
        assert len(script.get_heads()) == 1
        assert MigrationContext.configure(connection).get_current_heads() == tuple(script.get_heads())
        assert newest_revision() == script.get_current_head()


def test_migrating_again_changes_nothing(store: Store) -> None:
    store.connect()
    url = store.settings.ledger_url
    engine = make_engine(url)

    def schema() -> list[tuple[str, ...]]:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(_SCHEMA[engine.dialect.name])]

    before = schema()
    migrate(engine, url)
    migrate(engine, url)
    assert schema() == before
    engine.dispose()
    assert [account.name for account in store.all(Account)] == ["acme"]


def test_the_jobs_tables_stand_in_the_same_database(store: Store) -> None:
    seen = sa.inspect(store.ledger.engine)
    of_jobs = "dbos" if store.ledger.engine.dialect.name == "postgresql" else None
    assert {"delivery", "upload", "attempt", "event"} <= set(seen.get_table_names())
    assert "workflow_status" in seen.get_table_names(schema=of_jobs)


def test_a_ledger_of_the_first_schema_is_brought_up_with_its_deliveries(store: Store) -> None:
    trace_id = store.deliver(store.connect(), b"one", authenticity={"dmarc": "pass"}).trace_id
    with store.ledger.engine.connect().execution_options(writes=True) as connection, connection.begin():
        command.downgrade(alembic_config(connection), "0001")
        columns = [column["name"] for column in sa.inspect(connection).get_columns("delivery")]
    assert "authenticity" not in columns
    url = store.settings.ledger_url
    engine = make_engine(url)
    assert not is_current(engine)
    migrate(engine, url)
    assert is_current(engine)
    engine.dispose()
    assert store.get(Delivery, trace_id).authenticity is None


def test_is_current(tmp_path: Path, store: Store) -> None:
    assert is_current(store.ledger.engine)
    empty = make_engine(database_url(tmp_path / "empty.sqlite3"))
    assert not is_current(empty)
    empty.dispose()
    store.ledger.write_now(
        lambda session: session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = 'other'")
    )
    assert not is_current(store.ledger.engine)


NEWEST = newest_revision()


@pytest.mark.parametrize(
    ("present", "compatible"),
    [([NEWEST], True), (["0999"], True), (["0001"], False), (["1000"], False), ([], False), ([NEWEST, "0999"], False),
     (["abcd"], False), (["09999"], False)],
)  # fmt: skip
def test_a_later_schema_of_the_same_series_will_do(present: list[str], compatible: bool) -> None:
    assert is_compatible(present) == compatible


def test_a_schema_that_a_later_version_made_is_left_as_it_is(store: Store) -> None:
    store.ledger.write_now(
        lambda session: session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")
    )
    migrate(store.ledger.engine, store.settings.ledger_url)
    assert is_current(store.ledger.engine)
