"""The defenders of two nodes: what one has seen, the other knows a second later."""

from datetime import timedelta

import pytest

from intake.bans import Ruling
from intake.defender import Defender
from mailgate.settings import Limits
from models.tables import Defence
from storage.ledger.defence import lift_ban
from tests.storage.support import Store

LIMITS = Limits(login_delay=timedelta(0))
ADDRESS = "192.0.2.7"


@pytest.fixture
async def nodes(store: Store) -> tuple[Defender, Defender]:
    made = tuple(Defender(store.ledger, LIMITS, clock=store.clock) for _ in range(2))
    for one in made:
        await one.load()
    return made[0], made[1]


async def guess(defender: Defender, times: int, *, right: bool = False) -> Ruling:
    for _ in range(times):
        async with defender.password(ADDRESS, "acme") as one:
            if one.ruling is Ruling.LOOK:
                one.right = right
    return one.ruling


async def rounds(*defenders: Defender) -> None:
    """Let each write, and then each learn."""
    for _ in range(2):
        for one in defenders:
            await one.keep()


async def test_a_ban_of_one_node_holds_at_the_other_until_it_is_lifted(
    store: Store, nodes: tuple[Defender, Defender]
) -> None:
    one, other = nodes
    await guess(one, 7)
    assert one.banned(ADDRESS)
    assert not other.banned(ADDRESS)
    await rounds(one, other)
    assert other.banned(ADDRESS)
    assert await guess(other, 1, right=True) is Ruling.BANNED
    assert await store.ledger.write(lift_ban, f"address:{ADDRESS}", store.clock())
    await rounds(one, other)
    assert not one.banned(ADDRESS)
    assert not other.banned(ADDRESS)


async def test_guesses_at_two_nodes_add_up(store: Store, nodes: tuple[Defender, Defender]) -> None:
    one, other = nodes
    for _ in range(3):
        store.clock.forward(seconds=1)
        await guess(one, 1)
        store.clock.forward(seconds=1)
        await guess(other, 1)
        await rounds(one, other)
    assert len(store.get(Defence, f"address:{ADDRESS}").failures) == 6
    await guess(other, 1)
    await rounds(other, one)
    assert one.banned(ADDRESS)


async def test_guesses_at_the_same_moment_are_both_kept(store: Store, nodes: tuple[Defender, Defender]) -> None:
    one, other = nodes
    await guess(one, 2)
    store.clock.forward(seconds=1)
    await guess(other, 3)
    await rounds(one, other)
    assert len(store.get(Defence, f"address:{ADDRESS}").failures) == 5


async def test_who_has_logged_in_at_one_node_is_known_at_the_other(nodes: tuple[Defender, Defender]) -> None:
    one, other = nodes
    await guess(one, 1, right=True)
    await rounds(one, other)
    async with other.password(ADDRESS, "somebody else") as guessing:
        guessing.right = False
    for _ in range(6):
        async with other.password(ADDRESS, "somebody else") as guessing:
            guessing.right = False
    assert other.banned(ADDRESS)
    assert await guess(other, 1, right=True) is Ruling.LOOK  # its own address: others' failures do not shut it out
