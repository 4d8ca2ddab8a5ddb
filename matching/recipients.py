"""Whose a mail in a shared mailbox is: the connections whose address its header fields name.

What lives here: the rule by which an address means a connection. What the fields are is read by ``mailgate.message``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DRY_RUN_TAG = "dryrun"


@dataclass(frozen=True, kw_only=True, slots=True)
class Addressed:
    """A connection that a mail names, by the local part of its address."""

    local_part: str
    address: str  #: as the mail names it
    tag: str  #: of the address, lower case


def addressed(fields: Sequence[Sequence[str]], local_parts: Mapping[str, object], mailbox: str) -> list[Addressed]:
    """Give the connections that the first field which names any of them names, each once and each dry run once.

    ``fields``: addresses by field, the most telling first. ``local_parts``: the connections' local parts, lower case.
    ``mailbox``: the mailbox's user name; its plus-addresses (``files+LOCAL_PART@…``) mean connections as well.
    """
    for addresses in fields:
        found = [one for address in addresses if (one := _meant(address, local_parts, mailbox)) is not None]
        if found:
            kept: dict[tuple[str, bool], Addressed] = {}
            for one in found:
                kept.setdefault((one.local_part, one.tag == DRY_RUN_TAG), one)
            return list(kept.values())
    return []


def tag_for_all(fields: Sequence[Sequence[str]], mailbox: str) -> tuple[str, str]:
    """Give the address of the mailbox that a mail names, with its tag, where one connection takes every mail."""
    own, _, domain = mailbox.lower().partition("@")
    for addresses in fields:
        for address in addresses:
            local, _, host = address.lower().rpartition("@")
            name, _, tag = local.partition("+")
            if name == own and (not domain or host == domain):
                return address, tag.rpartition("+")[2]
    return mailbox, ""


def _meant(address: str, local_parts: Mapping[str, object], mailbox: str) -> Addressed | None:
    local = address.lower().rpartition("@")[0].strip('"')
    name, _, tag = local.partition("+")
    if name in local_parts:
        return Addressed(local_part=name, address=address, tag=tag)
    inner, _, further = tag.partition("+")
    if name == mailbox.lower().partition("@")[0] and inner in local_parts:
        return Addressed(local_part=inner, address=address, tag=further)
    return None
