"""The explanation of a match: which connections would take these names, and why the others would not.

What lives here: the same decision as for a mail, told name by name. It asks ``matching.judge`` and decides nothing
of its own, except that temporary names wait at the doors where programs use them.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from matching.judge import judge_attachments
from matching.names import is_temporary, normal_name, printable
from matching.roles import assign_roles
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


def explain(names: Sequence[str], rules: Iterable[Rule], paused: Collection[str] = ()) -> tuple[Explanation, ...]:
    """Judge the names as the attachments of one mail, for each connection in the order given.

    ``paused``: names of the connections that hold what they would take.
    """
    message = Message(parts=tuple(_attachment(number, name) for number, name in enumerate(names, 1)))
    explained = (_explain_one(message, rule) for rule in rules)
    return tuple(_held(one) if one.would_take and one.connection in paused else one for one in explained)


def _held(one: Explanation) -> Explanation:
    message = "The connection is paused: the files would be held."
    return replace(one, would_take=False, code=Code.CONNECTION_PAUSED, message=message)


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
    held = next((name for name in names if not name.taken and name.code is None), None)
    if held is not None:
        return Explanation(connection=rule.name, would_take=False, message=held.message, names=names)
    return Explanation(
        connection=rule.name, would_take=True, message=f"Taken as {rule.data_type} by {rule.name}.", names=names
    )


def _explain_name(part: JudgedPart, rule: Rule) -> NameExplained:
    if part.code is not None:
        return NameExplained(name=part.name, taken=False, code=part.code, message=part.message)
    # By mail nothing will rename the file, so there it is an ordinary name.
    if rule.method != "email" and is_temporary(part.name):
        held = f"{printable(part.name)} is a temporary name: the file is held until it is renamed."
        return NameExplained(name=part.name, taken=False, message=held)
    matches = f"{printable(part.name)} matches the pattern {printable(rule.pattern)}."
    return NameExplained(name=part.name, taken=part.role is Role.COUNTED, message=matches)
