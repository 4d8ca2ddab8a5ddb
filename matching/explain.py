"""The explanation of a match: which connections would take these names, and why the others would not.

What lives here: the same decision as for a mail, or as for files in a folder, told name by name. It asks
``matching.judge`` and ``matching.uploads`` and decides nothing of its own.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from matching.judge import judge_attachments
from matching.names import is_temporary, normal_name, printable
from matching.roles import assign_roles
from matching.uploads import Prefixes, assign, refuse_name
from models.codes import Code
from models.connection import Rule
from models.judgement import JudgedPart, Role
from models.message import Message, NameSource, Part, PartName


@dataclass(frozen=True, kw_only=True, slots=True)
class NameExplained:
    """What one connection makes of one name."""

    name: str  #: in its normal form
    taken: bool  #: this name alone would be taken
    code: Code | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What one connection makes of all the names together."""

    connection: str
    would_take: bool
    code: Code | None = None
    message: str = ""
    names: tuple[NameExplained, ...] = ()


def explain(
    names: Sequence[str], rules: Iterable[Rule], paused: Collection[str] = (), prefixes: Prefixes | None = None
) -> tuple[Explanation, ...]:
    """Judge the names as the attachments of one mail, or as files in a folder, for each connection in the order given.

    ``paused``: names of the connections that hold what they would take. ``rules``: those that share a folder together.
    """
    rules = tuple(rules)
    message = Message(parts=tuple(_attachment(number, name) for number, name in enumerate(names, 1)))
    explained = (
        _explain_folder(names, rule, _beside(rule, rules), prefixes or {})
        if rule.takes_files
        else _explain_one(message, rule)
        for rule in rules
    )
    return tuple(_held(one) if one.would_take and one.connection in paused else one for one in explained)


def _held(one: Explanation) -> Explanation:
    message = "The connection is paused: the files would be held."
    return replace(one, would_take=False, code=Code.CONNECTION_PAUSED, message=message)


def _beside(rule: Rule, rules: Sequence[Rule]) -> list[Rule]:
    """Give the connections that share a connection's folder, itself among them."""
    where = (rule.credential.casefold(), rule.folder)
    return [one for one in rules if one.takes_files and (one.credential.casefold(), one.folder) == where]


def _explain_folder(names: Sequence[str], rule: Rule, beside: Sequence[Rule], prefixes: Prefixes) -> Explanation:
    told = tuple(_explain_upload(normal_name(name), rule, beside, prefixes) for name in names)
    refused = next((one for one in told if not one.taken), None)
    if refused is not None:
        return Explanation(
            connection=rule.name, would_take=False, code=refused.code, message=refused.message, names=told
        )
    message = f"Taken as {rule.data_type} by {rule.name} from {rule.folder}."
    return Explanation(connection=rule.name, would_take=True, message=message, names=told)


def _explain_upload(name: str, rule: Rule, beside: Sequence[Rule], prefixes: Prefixes) -> NameExplained:
    fault = refuse_name(name)
    if fault is None and is_temporary(name):
        held = f"{printable(name)} is a temporary name: the file is held until it is renamed."
        return NameExplained(name=name, taken=False, message=held)
    assigned = assign(name, beside, prefixes)
    fault = fault or assigned.fault
    if fault is not None:
        return NameExplained(name=name, taken=False, code=fault.code, message=fault.message)
    if assigned.rule is not rule:
        message = f"{printable(name)} is taken by {assigned.rule.name}, which shares the folder {rule.folder}."
        return NameExplained(name=name, taken=False, code=Code.NAME_NOT_MATCHED, message=message)
    return NameExplained(name=name, taken=True, message=f"{printable(name)} is taken from {rule.folder}.")


def _attachment(number: int, name: str) -> Part:
    return Part(
        number=number,
        path=str(number),
        content_type="application/octet-stream",
        disposition="attachment",
        names=(PartName(source=NameSource.FILENAME, text=normal_name(name)),),
    )


def _explain_one(message: Message, rule: Rule) -> Explanation:
    if rule.direction != "inbound":
        return Explanation(
            connection=rule.name, would_take=False, message="This connection is outbound: it takes no file."
        )
    parts = assign_roles(message, rule)
    names = tuple(_explain_name(part, rule) for part in parts)
    ground = judge_attachments(parts)
    if ground is not None:
        return Explanation(
            connection=rule.name, would_take=False, code=ground.fault.code, message=ground.fault.message, names=names
        )
    return Explanation(
        connection=rule.name, would_take=True, message=f"Taken as {rule.data_type} by {rule.name}.", names=names
    )


def _explain_name(part: JudgedPart, rule: Rule) -> NameExplained:
    if part.code is not None:
        return NameExplained(name=part.name, taken=False, code=part.code, message=part.message)
    matches = f"{printable(part.name)} matches the pattern {printable(rule.pattern)}."
    return NameExplained(name=part.name, taken=part.role is Role.COUNTED, message=matches)
