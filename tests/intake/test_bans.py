"""What failed logins lead to: a table of moments, and what must hold whatever is guessed from wherever."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.bans import (
    INNOCENT,
    Policy,
    Ruling,
    Subject,
    address_key,
    ban_length,
    failed,
    forgettable,
    is_banned,
    points,
    room,
    rule,
)

T0 = datetime(2026, 11, 26, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = Policy(
    points=2, ban_points=14, guard_points=28, window=30 * MINUTE, ban=30 * MINUTE, growth=50, longest=24 * 60 * MINUTE
)


def fail(subject: Subject, times: int, at: datetime = T0, other: str = "user:a") -> Subject:
    for _ in range(times):
        subject = failed(subject, other, now=at, policy=POLICY, bannable=True)
    return subject


def guarded(at: datetime = T0) -> Subject:
    user = INNOCENT
    for number in range(14):
        user = failed(user, f"address:{number}", now=at, policy=POLICY, bannable=False)
    return user


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_what_counts_as_one_address(address: str, key: str) -> None:
    assert address_key(address) == key


def test_seven_wrong_passwords_ban_an_address() -> None:
    assert not is_banned(fail(INNOCENT, 6), T0)
    seven = fail(INNOCENT, 7)
    assert is_banned(seven, T0)
    assert is_banned(seven, T0 + 30 * MINUTE - timedelta(seconds=1))
    assert not is_banned(seven, T0 + 30 * MINUTE)


def test_failures_out_of_the_window_do_not_count() -> None:
    subject = fail(INNOCENT, 6)
    later = T0 + 30 * MINUTE
    assert points(subject, later, POLICY) == 0
    assert not is_banned(fail(subject, 6, later), later)


def test_each_further_ban_is_half_as_long_again_up_to_the_longest() -> None:
    minutes = [ban_length(before, POLICY) / MINUTE for before in range(12)]
    assert minutes[:4] == [30, 45, 67.5, 101.25]
    assert minutes[-2:] == [1440, 1440]
    first = fail(INNOCENT, 7)
    again = T0 + 40 * MINUTE
    second = fail(first, 7, again)
    assert second.bans == 2
    assert second.banned_until == again + 45 * MINUTE
    in_peace = again + 45 * MINUTE + POLICY.longest
    assert fail(second, 7, in_peace).bans == 1


def test_a_user_name_is_never_banned() -> None:
    assert guarded().banned_until is None


@pytest.mark.parametrize(
    ("address", "user", "known", "ruling"),
    [
        (INNOCENT, INNOCENT, False, Ruling.LOOK),
        (fail(INNOCENT, 6), INNOCENT, False, Ruling.LOOK),
        (fail(INNOCENT, 7), INNOCENT, False, Ruling.BANNED),
        (fail(INNOCENT, 7), INNOCENT, True, Ruling.BANNED),  # the user itself failed from there
        (fail(INNOCENT, 7, other="user:b"), INNOCENT, True, Ruling.LOOK),  # others behind the same address did
        (fail(INNOCENT, 7, other="user:b"), INNOCENT, False, Ruling.BANNED),
        (INNOCENT, guarded(), False, Ruling.LOOK),  # an address without failures of its own passes
        (fail(INNOCENT, 1), guarded(), False, Ruling.GUARDED),
        (fail(INNOCENT, 1, other="user:b"), guarded(), False, Ruling.GUARDED),
        (fail(INNOCENT, 1, other="user:b"), guarded(), True, Ruling.LOOK),
        (fail(INNOCENT, 1), guarded(), True, Ruling.GUARDED),
    ],
)
def test_what_may_be_done_with_a_password(address: Subject, user: Subject, known: bool, ruling: Ruling) -> None:
    assert rule(address, user, user_key="user:a", known=known, now=T0, policy=POLICY) is ruling


def test_passwords_at_once_are_no_more_guesses_than_one_after_the_other() -> None:
    assert [room(INNOCENT, under_way, now=T0, policy=POLICY) for under_way in (0, 6, 7)] == [True, True, False]
    assert [room(fail(INNOCENT, 5), under_way, now=T0, policy=POLICY) for under_way in (0, 1, 2)] == [True, True, False]


def test_what_is_over_is_forgotten() -> None:
    banned = fail(INNOCENT, 7)
    over = T0 + 30 * MINUTE
    assert not forgettable(banned, over, POLICY)
    assert forgettable(banned, over + POLICY.longest, POLICY)
    assert forgettable(fail(INNOCENT, 6), over, POLICY)
    assert not forgettable(fail(INNOCENT, 6), over - MINUTE, POLICY)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 600)), max_size=300))
def test_whatever_is_guessed_an_address_gets_seven_looks_in_a_window_and_a_clean_one_is_never_shut_out(
    guesses: list[tuple[int, int, int]],
) -> None:
    addresses: dict[int, Subject] = {}
    users: dict[str, Subject] = {}
    looks: dict[int, list[datetime]] = {}
    now = T0
    for place, who, seconds in guesses:
        now += timedelta(seconds=seconds)
        user = f"user:{who}"
        address = addresses.get(place, INNOCENT)
        ruling = rule(address, users.get(user, INNOCENT), user_key=user, known=False, now=now, policy=POLICY)
        if ruling is Ruling.LOOK:
            looks.setdefault(place, []).append(now)
            addresses[place] = failed(address, user, now=now, policy=POLICY, bannable=True)
            users[user] = failed(users.get(user, INNOCENT), str(place), now=now, policy=POLICY, bannable=False)
        for victim in ("user:0", "user:1", "user:2"):
            clean = rule(INNOCENT, users.get(victim, INNOCENT), user_key=victim, known=False, now=now, policy=POLICY)
            assert clean is Ruling.LOOK
    for times in looks.values():
        for first in times:
            assert sum(first <= one < first + POLICY.window for one in times) <= 7
