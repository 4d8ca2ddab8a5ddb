"""Nodes and leases: who lives, by the database's clock, and who has a duty."""

from datetime import timedelta

import sqlalchemy as sa

from models.tables import Lease, Node
from storage.duty import Leased
from storage.heartbeat import Heartbeat, Self, new_node_id
from storage.ledger import leases, mailboxes, nodes
from storage.ledger.clock import database_now
from tests.house import wait_until
from tests.storage.support import Store

LASTS = timedelta(seconds=15)


def _beat(store: Store, name: str, **more: bool) -> None:
    clock = store.clock
    store.ledger.write_now(nodes.beat, name, ["worker"], "1.0", clock=lambda _session: clock(), **more)


def _alive(store: Store) -> set[str]:
    return store.ledger.read_now(nodes.alive, lambda _session: store.clock())


def _take(store: Store, name: str, holder: str) -> bool:
    return store.ledger.write_now(leases.take_lease, name, holder, LASTS, lambda _session: store.clock())


def test_a_node_that_is_silent_for_twenty_seconds_is_dead_until_it_speaks_again(store: Store) -> None:
    _beat(store, "a")
    _beat(store, "b")
    store.clock.forward(seconds=19)
    _beat(store, "b")
    assert _alive(store) == {"a", "b"}
    store.clock.forward(seconds=1)
    assert _alive(store) == {"b"}
    assert store.ledger.read_now(nodes.dead, ["a", "b", "never"], lambda _s: store.clock()) == {"a", "never"}
    seen = store.ledger.read_now(nodes.list_nodes, lambda _session: store.clock())
    assert [(node.id, node.alive, node.roles) for node in seen] == [("a", False, ("worker",)), ("b", True, ("worker",))]
    _beat(store, "a")
    assert _alive(store) == {"a", "b"}


def test_nodes_are_forgotten_after_a_day_and_former_ones_at_once_where_only_one_can_be(store: Store) -> None:
    _beat(store, "a")
    store.clock.forward(days=1, seconds=1)
    _beat(store, "b")
    assert [node.id for node in store.all(Node)] == ["b"]
    _beat(store, "c", alone=True)
    assert [node.id for node in store.all(Node)] == ["c"]
    store.ledger.write_now(nodes.leave, "c")
    assert store.all(Node) == []


def test_a_lease_has_one_holder_until_it_ends(store: Store) -> None:
    _beat(store, "a")
    _beat(store, "b")
    assert _take(store, "post", "a")
    assert not _take(store, "post", "b")
    assert _take(store, "other", "b")
    store.clock.forward(seconds=14)
    assert _take(store, "post", "a")
    store.clock.forward(seconds=14)
    _beat(store, "a")
    assert not _take(store, "post", "b")
    store.clock.forward(seconds=1)
    _beat(store, "b")
    assert _take(store, "post", "b")
    assert not _take(store, "post", "a")


def test_the_lease_of_a_node_that_has_ended_is_free_at_once(store: Store) -> None:
    _beat(store, "a")
    assert _take(store, "post", "a")
    assert not _take(store, "post", "b")
    store.ledger.write_now(nodes.leave, "a")
    assert _take(store, "post", "b")


def test_a_lease_from_a_clock_that_was_set_back_has_lapsed(store: Store) -> None:
    _beat(store, "a")
    assert _take(store, "post", "a")
    store.clock.forward(hours=-1)
    assert _take(store, "post", "b")
    assert store.get(Lease, "post").holder == "b"


async def test_a_duty_is_trusted_for_two_thirds_of_its_time_and_renewed_after_one(store: Store) -> None:
    seconds = [0.0]
    asked: list[str] = []

    def duty(name: str) -> Leased:
        _beat(store, name)
        return Leased(store.ledger, "post", name, monotonic=lambda: seconds[0])

    sa.event.listen(store.ledger.engine, "commit", lambda _connection: asked.append("commit"))
    ours, theirs = duty("a"), duty("b")
    asked.clear()
    assert not ours.still()
    assert await ours.mine()
    assert ours.still()
    assert not await theirs.mine()
    before = len(asked)
    seconds[0] = 4.9
    assert await ours.mine()
    assert len(asked) == before  # nobody was asked
    seconds[0] = 9.9
    assert ours.still()
    seconds[0] = 10.0
    assert not ours.still()  # as after a pause: what is done now may be done twice
    assert await ours.mine()
    assert ours.still()
    store.ledger.write_now(nodes.leave, "a")
    assert await theirs.mine()
    _beat(store, "a")
    seconds[0] = 16.0
    assert not await ours.mine()
    assert not ours.still()


def test_a_heartbeat_beats_before_it_returns_and_ends_in_good_order(store: Store) -> None:
    node = Self(id=new_node_id(), roles=("smtp", "worker"), version="1", alone=False)
    heart = Heartbeat(store.ledger.engine, node, seconds=0.01)
    heart.start()
    (seen,) = store.ledger.read_now(nodes.list_nodes)
    assert (seen.id, seen.roles, seen.alive) == (node.id, ("smtp", "worker"), True)
    wait_until(lambda: store.ledger.read_now(nodes.list_nodes)[0].seen_at > seen.seen_at)
    heart.stop()
    assert store.all(Node) == []


def test_a_heart_goes_on_when_the_database_comes_back(store: Store) -> None:
    node = Self(id=new_node_id(), roles=("worker",), version="1", alone=False)
    heart = Heartbeat(store.ledger.engine, node, seconds=0.01)
    heart.start()
    store.ledger.write_now(lambda session: session.connection().exec_driver_sql("ALTER TABLE node RENAME TO gone"))
    heart._thread.join(0.1)
    assert heart._thread.is_alive()
    store.ledger.write_now(lambda session: session.connection().exec_driver_sql("ALTER TABLE gone RENAME TO node"))
    before = store.get(Node, node.id).seen_at
    wait_until(lambda: store.get(Node, node.id).seen_at > before)
    heart.stop()


def test_the_clock_of_the_database_goes_on_within_a_transaction(store: Store) -> None:
    first, second = store.ledger.read_now(lambda session: (database_now(session), database_now(session)))
    assert first <= second
    assert first.tzinfo is not None


def test_the_mailbox_of_a_dead_node_is_free(store: Store) -> None:
    mailbox = store.ledger.write_now(mailboxes.open_mailbox, "mail.example.com", 993, "acme")
    lasts = timedelta(minutes=2)

    def take(holder: str) -> bool:
        return store.ledger.write_now(mailboxes.take_lease, mailbox, holder, lasts, lambda _session: store.clock())

    _beat(store, "a")
    assert take("a")
    store.clock.forward(seconds=19)
    assert not take("b")
    store.clock.forward(seconds=1)
    assert take("b")
    assert not take("a")  # when it wakes up: b is no node, and not known to be gone
