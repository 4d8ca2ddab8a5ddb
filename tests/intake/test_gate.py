"""The gate: who comes in, who makes room, how fast one may knock."""

from hypothesis import given
from hypothesis import strategies as st

from intake.gate import Gate, Room

ROOM = Room(total=20, per_address=10, unproved=8, unproved_per_address=4, knocks_per_second=2)
A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def test_one_address_has_its_share_and_no_more() -> None:
    gate: Gate[str] = Gate(ROOM)
    assert [gate.enter(f"a{n}", A, 0).reason == "" for n in range(6)] == [True] * 4 + [False] * 2
    gate.proved("a0")
    assert gate.enter("a9", A, 1).reason == ""


def test_a_full_door_has_room_for_who_is_not_greedy() -> None:
    gate: Gate[str] = Gate(ROOM)
    for number in range(4):
        assert not gate.enter(f"a{number}", A, 0).reason
        assert not gate.enter(f"b{number}", B, 0).reason
    entrance = gate.enter("c", C, 0)
    assert (entrance.reason, entrance.evicted) == ("", "a0")
    assert len(gate) == 8


def test_who_has_logged_in_is_never_sent_away() -> None:
    gate: Gate[str] = Gate(ROOM)
    for number in range(20):
        assert not gate.enter(f"v{number}", f"192.0.2.{number}", 0).reason
        gate.proved(f"v{number}")
    assert gate.enter("late", "192.0.2.99", 0).reason == "too many connections"


def test_the_addresses_of_one_64_are_one() -> None:
    gate: Gate[int] = Gate(ROOM)
    assert [gate.enter(n, f"2001:db8::{n}", 0).reason == "" for n in range(5)] == [True] * 4 + [False]


def test_knocking_has_a_pace_that_logins_do_not_count_for() -> None:
    gate: Gate[int] = Gate(ROOM)
    let_in = 0
    for number in range(100):
        let_in += not gate.enter(number, A, number / 100).reason
        gate.leave(number)
    assert let_in == 4 + 1  # four at once, and two a second
    for number in range(100):
        assert not gate.enter(number, B, 0).reason
        gate.proved(number)
        gate.leave(number)
    assert [gate.enter(n, C, 0, brief=True).reason == "" for n in range(6)] == [True] * 4 + [False] * 2


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["enter", "prove", "leave"]), st.integers(0, 30))))
def test_the_counts_are_those_of_who_is_inside(steps: list[tuple[int, str, int]]) -> None:
    gate: Gate[int] = Gate(ROOM)
    inside: dict[int, tuple[str, bool]] = {}
    for now, (place, what, visitor) in enumerate(steps):
        if what == "enter" and visitor not in inside:
            entrance = gate.enter(visitor, f"192.0.2.{place}", float(now))
            if entrance.evicted is not None:
                assert not inside.pop(entrance.evicted)[1]
            if not entrance.reason:
                inside[visitor] = (f"192.0.2.{place}", False)
        elif what == "prove" and visitor in inside:
            gate.proved(visitor)
            inside[visitor] = (inside[visitor][0], True)
        elif what == "leave":
            gate.leave(visitor)
            inside.pop(visitor, None)
        assert len(gate) == len(inside)
        unproved = [address for address, proved in inside.values() if not proved]
        assert len(unproved) <= ROOM.unproved
        assert all(unproved.count(address) <= ROOM.unproved_per_address for address in unproved)
    for visitor in list(inside):
        gate.leave(visitor)
    assert not gate._of
    assert not gate._unproved
