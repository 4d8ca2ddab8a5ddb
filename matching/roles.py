"""What counts as an attachment: each leaf of a mail with its role, its name and what is wrong with it.

What lives here: ``formats.md``, "What counts as an attachment", in its order, and which of several names a part goes
by. What follows for the mail as a whole is decided in ``matching.judge``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from matching import leaves
from matching.names import check_name, is_reserved, normal_name, printable
from matching.wildcard import Matcher, compile_pattern, is_bare_star
from models.codes import Code
from models.connection import Rule
from models.judgement import JudgedPart, Role
from models.message import Message, Part

UNNAMED = "(unnamed)"  #: how a nameless attachment is shown; it matches nothing
MAX_FORWARDED_DEPTH = 3  #: forwarded mails inside each other that are opened


class _Fate(Enum):
    """What one name makes of a part."""

    NEVER = auto()
    OPENED = auto()
    SKIPPED = auto()
    EMBEDDED = auto()
    TAKEN = auto()
    MISMATCH = auto()
    INVALID = auto()
    AMBIGUOUS = auto()
    TNEF = auto()
    ENCRYPTED = auto()


_ROLE_AND_CODE: dict[_Fate, tuple[Role, Code | None]] = {
    _Fate.NEVER: (Role.NEVER, None),
    _Fate.OPENED: (Role.NEVER, None),
    _Fate.SKIPPED: (Role.SKIPPED, Code.RESERVED_PREFIX),
    _Fate.EMBEDDED: (Role.EMBEDDED, None),
    _Fate.TAKEN: (Role.COUNTED, None),
    _Fate.MISMATCH: (Role.COUNTED, Code.NAME_NOT_MATCHED),
    _Fate.INVALID: (Role.COUNTED, Code.NAME_INVALID),
    _Fate.AMBIGUOUS: (Role.COUNTED, Code.NAME_AMBIGUOUS),
    _Fate.TNEF: (Role.COUNTED, Code.TNEF_UNREADABLE),
    _Fate.ENCRYPTED: (Role.COUNTED, Code.ENCRYPTED),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Criteria:
    """What of a rule decides about parts, with the pattern compiled."""

    matcher: Matcher
    telling: bool  #: the pattern is more than a bare *, so a match shows that the file was meant
    strict: bool
    open_forwarded: bool


def assign_roles(message: Message, rule: Rule) -> tuple[JudgedPart, ...]:
    """Give each leaf its role, in the mail's order; the leaves of an opened forwarded mail follow it."""
    criteria = _Criteria(
        matcher=compile_pattern(rule.pattern, rule.case_sensitive),
        telling=not is_bare_star(rule.pattern),
        strict=rule.strict_attachments,
        open_forwarded=rule.open_forwarded,
    )
    return tuple(_walk(message, criteria, 0))


def _walk(message: Message, criteria: _Criteria, depth: int) -> Iterator[JudgedPart]:
    for part in message.parts:
        inner = part.inner if criteria.open_forwarded and depth < MAX_FORWARDED_DEPTH else None
        fate = _fate_of_part(part, criteria, openable=inner is not None)
        yield _judged(part, fate, criteria)
        if fate is _Fate.OPENED and inner is not None:
            yield from _walk(inner, criteria, depth + 1)


def _fate_of_part(part: Part, criteria: _Criteria, *, openable: bool) -> _Fate:
    if leaves.is_encrypted(part):
        return _Fate.ENCRYPTED
    if leaves.never_counts(part):
        return _Fate.NEVER
    if not part.names:
        return _fate_of_nameless(part, criteria, openable=openable)
    fates = {_fate_by_name(part, normal_name(name.text), criteria, openable=openable) for name in part.names}
    return fates.pop() if len(fates) == 1 else _Fate.AMBIGUOUS


def _fate_of_nameless(part: Part, criteria: _Criteria, *, openable: bool) -> _Fate:
    if leaves.is_embedded(part, "") and not criteria.strict:
        return _Fate.EMBEDDED
    if openable:
        return _Fate.OPENED
    return _Fate.TNEF if leaves.is_tnef(part, "") else _Fate.MISMATCH


def _fate_by_name(part: Part, name: str, criteria: _Criteria, *, openable: bool) -> _Fate:
    valid = check_name(name) is None
    if valid and is_reserved(name):
        return _Fate.SKIPPED
    matched = valid and criteria.matcher.matches(name)
    meant = matched and criteria.telling
    if leaves.is_embedded(part, name) and not (meant or criteria.strict):
        return _Fate.EMBEDDED
    if openable and not meant:
        return _Fate.OPENED
    if leaves.is_tnef(part, name):
        return _Fate.TNEF
    if not valid:
        return _Fate.INVALID
    return _Fate.TAKEN if matched else _Fate.MISMATCH


def _judged(part: Part, fate: _Fate, criteria: _Criteria) -> JudgedPart:
    role, code = _ROLE_AND_CODE[fate]
    texts = [normal_name(name.text) for name in part.names]
    name = texts[0] if texts else ("" if role is Role.NEVER else UNNAMED)
    message = _sentence(part, name, fate, criteria)
    fault = part.fault if fate is _Fate.TAKEN else None
    if fate is _Fate.OPENED and part.inner is not None:
        fault = part.inner.fault
    if fault is not None:
        code, message = fault.code, fault.message
    return JudgedPart(
        part=part,
        role=role,
        name=name,
        other_names=tuple(dict.fromkeys(text for text in texts if text != name)),
        matched=fate is _Fate.TAKEN,
        code=code,
        message=message,
    )


def _sentence(part: Part, name: str, fate: _Fate, criteria: _Criteria) -> str:
    shown = printable(name)
    match fate:
        case _Fate.MISMATCH:
            return f"The attachment {shown} does not match the pattern {printable(criteria.matcher.pattern)}."
        case _Fate.SKIPPED:
            return f"The attachment {shown} was skipped: names that begin so are our own answers."
        case _Fate.INVALID:
            fault = check_name(name)
            return fault.message if fault else ""
        case _Fate.AMBIGUOUS:
            names = " and ".join(f"{printable(n.text)} ({n.source})" for n in part.names)
            return f"One attachment is named {names}, and these names would be decided differently."
        case _Fate.TNEF:
            return f"Outlook packed the attachments into {shown}, which is not opened: send them as plain attachments."
        case _Fate.ENCRYPTED:
            return "The mail or a part of it is encrypted: send it unencrypted."
        case _Fate.OPENED:
            return "This forwarded mail was opened: its attachments take its place."
        case _:
            return ""
