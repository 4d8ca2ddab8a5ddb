"""The figures of the ledger: what waits, for how long, and what is wrong."""

from datetime import timedelta

import sqlalchemy as sa
from sqlmodel import Session

from models.tables import Defence, Mailbox
from storage.ledger.clock import database_now
from storage.ledger.figures import Figures, figures
from storage.ledger.imports import Patience, begin
from storage.ledger.nodes import beat
from tests.storage.support import DOMAIN, Store


def read(store: Store) -> Figures:
    return store.ledger.read_now(figures, store.clock())


def test_an_empty_ledger_has_nothing_that_waits(store: Store) -> None:
    found = read(store)
    assert found.imports == {"queued": 0, "in_progress": 0}
    assert found.answers == {"waiting": 0}
    assert found.uploads == {"receiving": 0, "held": 0, "settling": 0}
    assert (found.alarms, found.mailboxes) == ({}, {"polled": 0, "failing": 0, "unpolled": 0})
    ages = (found.oldest_queued, found.oldest_running, found.oldest_answer, found.judging_late, found.oldest_poll)
    assert ages == (0, 0, 0, 0, 0)


def test_imports_and_answers_that_wait_grow_older(store: Store) -> None:
    ref = store.connect()
    first = store.deliver(ref, b"a")
    store.clock.forward(seconds=30)
    store.deliver(ref, b"b")
    store.clock.forward(seconds=30)
    found = read(store)
    assert found.imports == {"queued": 2, "in_progress": 0}
    assert (found.oldest_queued, found.oldest_running) == (60, 0)
    assert (found.answers, found.oldest_answer) == ({"waiting": 2}, 60)
    store.ledger.write_now(begin, first.trace_id, 1, store.clock(), Patience(failures=9, starts=9), DOMAIN)
    store.clock.forward(seconds=5)
    found = read(store)
    assert found.imports == {"queued": 1, "in_progress": 1}
    assert (found.oldest_queued, found.oldest_running) == (35, 5)


def test_bans_and_mailboxes(store: Store) -> None:
    now = store.clock()

    def fill(session: Session) -> None:
        for place, minutes in (("a", 5), ("b", -5)):
            until = now + timedelta(minutes=minutes)
            session.add(Defence(subject=f"address:{place}", banned_until=until, updated_at=now))
        later, earlier = now + timedelta(minutes=1), now - timedelta(minutes=10)
        session.add(Mailbox(host="a", port=1, username="polled", lease_until=later, polled_at=earlier))
        session.add(Mailbox(host="a", port=1, username="failing", failing_since=earlier - timedelta(minutes=20)))
        session.add(Mailbox(host="a", port=1, username="left", polled_at=earlier - timedelta(days=9)))

    store.ledger.write_now(fill)
    found = read(store)
    assert found.bans == 1
    assert found.mailboxes == {"polled": 1, "failing": 1, "unpolled": 1}
    assert found.oldest_poll == 1800  # of the failing one; nobody polls the third any more


def test_nodes_that_live_and_one_that_is_silent(store: Store) -> None:
    now = store.ledger.read_now(database_now)
    for name, roles, ago in (("a", ["smtp", "sftp"], 1), ("b", ["worker"], 2), ("c", ["worker"], 60)):
        then = now - timedelta(seconds=ago)
        store.ledger.write_now(beat, name, roles, "0.1.0", clock=lambda _session, then=then: then)
    found = read(store)
    assert found.nodes == {"smtp": 1, "sftp": 1, "worker": 1}
    assert found.silent_nodes == 1


def test_every_figure_is_answered_from_an_index(store: Store) -> None:
    """The page is asked for every few seconds, and the history grows for years."""
    if store.ledger.engine.dialect.name != "sqlite":
        return  # the planner of Postgres scans what is small, and these tables are empty
    plans: list[str] = []

    def explain(connection: sa.Connection, _c: object, statement: str, values: object, *_more: object) -> None:
        few = ("FROM mailbox", "FROM node")  # one row a mailbox, one a process
        if statement.startswith("SELECT") and not any(words in statement for words in few):
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()  # type: ignore[arg-type]
            plans.extend(str(row[3]) for row in rows)

    sa.event.listen(store.ledger.engine, "before_cursor_execute", explain)
    try:
        read(store)
    finally:
        sa.event.remove(store.ledger.engine, "before_cursor_execute", explain)
    looks = [plan for plan in plans if plan.startswith(("SCAN", "SEARCH")) and plan != "SCAN CONSTANT ROW"]
    assert len(looks) >= 6
    assert all("INDEX" in plan for plan in looks), looks
