"""Domains: their one spelling, the organisation behind them, and alignment (RFC 7489 sections 3.1 and 3.2).

What lives here: pure functions of names. The list of public suffixes is that of the library ``publicsuffixlist``.
"""

import functools
import re
from typing import Any, cast

_is_host = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
).fullmatch

_LONGEST = 1000  # characters; what IDNA makes of fewer is still too long or is none


def normal_domain(text: str) -> str:
    """Give a domain in lower case and A-labels (IDNA 2008), empty where it is none of the Internet's.

    An address literal, a name without a dot, or one that IDNA forbids is none.
    """
    text = text.strip().lower().removesuffix(".")
    if len(text) > _LONGEST:
        return ""
    if not text.isascii():
        import idna

        try:
            text = idna.encode(text, uts46=True).decode()
        except (idna.IDNAError, UnicodeError):
            return ""
    return text if _is_host(text) and not text.rpartition(".")[2].isdigit() else ""


def domain_of(address: str) -> str:
    """Give the domain of a mail address in its one spelling, empty where it has none."""
    _, at, domain = address.rpartition("@")
    return normal_domain(domain) if at else ""


@functools.cache
def _suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def organisation(domain: str) -> str:
    """Give the organisational domain: one label below the public suffix; a public suffix is its own."""
    return cast(str | None, _suffixes().privatesuffix(domain)) or domain


def aligned(one: str, other: str, *, strict: bool) -> bool:
    """Say whether two domains are aligned: equal, or relaxed of one organisation."""
    if not one or not other:
        return False
    return one == other or (not strict and organisation(one) == organisation(other))
