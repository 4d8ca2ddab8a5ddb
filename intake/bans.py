"""What failed logins lead to: points within a window, bans that grow, user names that are guarded.

What lives here: pure decisions over frozen values; the time is passed in. Nothing here knows a password, a door or
the ledger. The figures follow SFTPGo's defender (15 points in 30 minutes ban for 30 minutes, each time half as long
again), with one difference: a wrong password costs the same whether or not the user exists.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_MOST_FAILURES = 64  #: remembered of one subject: more than any sensible threshold needs


class Ruling(Enum):
    """What may be done with a password."""

    LOOK = "look"  #: compare it with the stored hash
    BANNED = "banned"  #: do not: its address is banned
    GUARDED = "guarded"  #: do not: the user name is under attack, and this address has failed before


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """The figures, as ``[limits]`` gives them."""

    points: int  #: of one wrong password
    ban_points: int  #: an address with so many within the window is banned
    guard_points: int  #: a user name with so many within the window is guarded
    window: timedelta
    ban: timedelta  #: how long the first ban lasts
    growth: int  #: per cent that each further ban is longer
    longest: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One wrong password."""

    at: datetime
    points: int
    other: str  #: of an address: the user it was tried for; of a user: the address it came from


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is remembered of one address or one user name."""

    failures: tuple[Failure, ...] = ()
    banned_until: datetime | None = None
    bans: int = 0  #: in a row; forgotten when the longest ban's time has passed in peace


INNOCENT = Subject()


def address_key(address: str) -> str:
    """Give what counts as one address: an IPv4 address, the /64 of an IPv6 address, anything else as it is."""
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)


def points(subject: Subject, now: datetime, policy: Policy) -> int:
    """Add up the points within the window."""
    since = now - policy.window
    return sum(failure.points for failure in subject.failures if failure.at > since)


def is_banned(subject: Subject, now: datetime) -> bool:
    """Tell whether an address is banned at this moment."""
    return subject.banned_until is not None and now < subject.banned_until


def rule(
    address: Subject, user: Subject, *, user_key: str, known: bool, now: datetime, policy: Policy
) -> Ruling:  # fmt: skip
    """Decide whether a password may be looked at.

    ``known``: this user has logged in from this address before. Such a pair is not shut out by what others did: neither
    by an attack on the user name from elsewhere, nor by a ban that others behind the same address have earned. A wrong
    password for this user from this address ends the privilege for the length of the window.
    """
    since = now - policy.window
    own = any(failure.other == user_key and failure.at > since for failure in address.failures)
    if is_banned(address, now):
        return Ruling.LOOK if known and not own else Ruling.BANNED
    if points(user, now, policy) >= policy.guard_points and points(address, now, policy) > 0 and (own or not known):
        return Ruling.GUARDED
    return Ruling.LOOK


def room(address: Subject, under_way: int, *, now: datetime, policy: Policy) -> bool:
    """Tell whether one more password may be looked at beside those under way, so that none passes the threshold."""
    left = policy.ban_points - points(address, now, policy)
    return under_way == 0 or (under_way + 1) * policy.points <= left


def failed(subject: Subject, other: str, *, now: datetime, policy: Policy, bannable: bool) -> Subject:
    """Note one wrong password; an address that has reached the threshold is banned from now on."""
    since = now - policy.window
    kept = tuple(failure for failure in subject.failures if failure.at > since)[-(_MOST_FAILURES - 1) :]
    noted = replace(subject, failures=(*kept, Failure(at=now, points=policy.points, other=other)))
    if not bannable or is_banned(noted, now) or points(noted, now, policy) < policy.ban_points:
        return noted
    before = 0 if _at_peace(noted, now, policy) else noted.bans
    return replace(noted, banned_until=now + ban_length(before, policy), bans=before + 1)


def ban_length(bans_before: int, policy: Policy) -> timedelta:
    """Give how long a ban lasts after so many in a row."""
    length = policy.ban
    for _ in range(min(bans_before, 1000)):
        if length >= policy.longest or not policy.growth:
            break
        length += length * policy.growth / 100
    return min(length, max(policy.longest, policy.ban))


def forgettable(subject: Subject, now: datetime, policy: Policy) -> bool:
    """Tell whether nothing about a subject matters any more."""
    return not is_banned(subject, now) and not points(subject, now, policy) and _at_peace(subject, now, policy)


def _at_peace(subject: Subject, now: datetime, policy: Policy) -> bool:
    return subject.banned_until is None or now >= subject.banned_until + policy.longest
