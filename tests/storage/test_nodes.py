"""Nodes and leases: who lives, by the database's clock, and who has a duty."""

from datetime import timedelta

from models.tables import Lease, Node
from storage.ledger import leases, nodes
from storage.ledger.clock import database_now
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


def test_the_lease_of_a_dead_node_or_one_given_back_is_free_at_once(store: Store) -> None:
    _beat(store, "a")
    assert _take(store, "post", "a")
    store.ledger.write_now(nodes.leave, "a")
    assert _take(store, "post", "b")
    _beat(store, "b")
    store.ledger.write_now(leases.leave_lease, "post", "a")  # not its own: nothing happens
    assert not _take(store, "post", "c")
    store.ledger.write_now(leases.leave_lease, "post", "b")
    assert _take(store, "post", "c")


def test_a_lease_from_a_clock_that_was_set_back_has_lapsed(store: Store) -> None:
    _beat(store, "a")
    assert _take(store, "post", "a")
    store.clock.forward(hours=-1)
    assert _take(store, "post", "b")
    assert store.get(Lease, "post").holder == "b"


def test_the_clock_of_the_database_goes_on_within_a_transaction(store: Store) -> None:
    first, second = store.ledger.read_now(lambda session: (database_now(session), database_now(session)))
    assert first <= second
    assert first.tzinfo is not None
