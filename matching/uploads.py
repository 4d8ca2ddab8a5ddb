"""The acceptance of single files at file doors: which connection of a folder takes a name, and when a file is whole.

What lives here: pure decisions about one name in one folder. No bytes, no clock, no state is kept; the states
themselves and their moves stand in ``models.states``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matching.names import check_name, is_reserved, is_temporary, printable
from matching.wildcard import compile_pattern, literal_beginning
from models.codes import Code
from models.completion import Next
from models.connection import Rule
from models.faults import Fault
from models.states import UploadStatus

MARKERS = (".done", ".ok", ".DONE", ".OK")  #: a file ``<name>.done`` or ``<name>.ok`` says that ``<name>`` is whole
Prefixes = Mapping[str, Sequence[str]]  #: data type → the beginnings of its file names

_RESERVED = (
    "The name {} is reserved for our answers: names that begin with receipt_ or result_ are never taken. "
    "Save the file under a name of your connection."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """Which connection of a folder a name belongs to, and on which terms its file is whole."""

    rule: Rule  #: where ``fault`` is set, the connection under which the refusal is recorded
    completion: str  #: settle | rename | marker
    settle_seconds: float | None  #: None: the global setting
    fault: Fault | None = None


def refuse_name(name: str) -> Fault | None:
    """Give why no upload may have this name (in its normal form): it is invalid, or reserved for our answers."""
    fault = check_name(name)
    if fault is None and is_reserved(name):
        fault = Fault(code=Code.RESERVED_PREFIX, message=_RESERVED.format(printable(name)))
    return fault


def assign(name: str, rules: Sequence[Rule], prefixes: Prefixes) -> Assignment:
    """Give the connection that takes a name: of those that fit, the one with the longest literal beginning.

    ``rules``: the connections of one folder, at least one. A connection without a pattern takes the names of its
    data type; a list of addresses, and a data type without prefixes, take any name that nobody else takes.
    """
    fitting = [(length, rule) for rule in rules if (length := _fits(name, rule, prefixes)) is not None]
    if fitting:
        rule = max(fitting, key=lambda one: one[0])[1]
        return Assignment(rule=rule, completion=rule.completion, settle_seconds=rule.settle_seconds)
    modes = {rule.completion for rule in rules}
    waits = [rule.settle_seconds for rule in rules]
    return Assignment(
        rule=rules[0],
        # What belongs to nobody is told so when it is whole by the terms of the folder, the plain ones first.
        completion="settle" if "settle" in modes else rules[0].completion,
        settle_seconds=None if None in waits else max(wait for wait in waits if wait is not None),
        fault=_no_taker(name, rules, prefixes),
    )


def after_close(name: str, completion: str, *, renamed: bool, marked: bool) -> Next:
    """Say what a file is after a clean close or a rename: settling, complete at once, or held and why.

    ``renamed``: it was renamed since it was closed, from a temporary name or where only renamed files are taken.
    ``marked``: its marker file has come.
    """
    shown = printable(name)
    if is_temporary(name):
        return Next(
            status=UploadStatus.HELD, reason=f"{shown} is a temporary name: the file is held until it is renamed."
        )
    if completion == "rename" and not renamed:
        reason = f"This connection takes only renamed files: {shown} is held until it is renamed."
        return Next(status=UploadStatus.HELD, reason=reason)
    if completion == "marker" and not marked:
        reason = f"{shown} is held until its marker comes: a file of that name with .done or .ok behind it."
        return Next(status=UploadStatus.HELD, reason=reason)
    return Next(status=UploadStatus.SETTLING, at_once=renamed or marked)


def marked_name(name: str, rules: Sequence[Rule], prefixes: Prefixes) -> str | None:
    """Give the name that a marker file speaks of; None where the name is no marker in this folder."""
    for ending in MARKERS:
        marked = name.removesuffix(ending)
        if marked != name and marked and assign(marked, rules, prefixes).completion == "marker":
            return marked
    return None


def markers_of(name: str) -> tuple[str, ...]:
    """List the names of the files that mark a file."""
    return tuple(name + ending for ending in MARKERS)


def same_beginnings(one: Rule, other: Rule, prefixes: Prefixes) -> str | None:
    """Give a beginning by which two connections of one folder cannot be told apart, None where they can."""
    fold = not (one.case_sensitive and other.case_sensitive and one.pattern and other.pattern)
    ours, theirs = ({_folded(text, fold=fold) for text in _beginnings(rule, prefixes)} for rule in (one, other))
    return min(ours & theirs, default=None)


def _fits(name: str, rule: Rule, prefixes: Prefixes) -> int | None:
    """Give the length of the beginning by which a connection takes a name, None where it does not."""
    if rule.pattern:
        taken = compile_pattern(rule.pattern, rule.case_sensitive).matches(name)
        return len(literal_beginning(rule.pattern)) if taken else None
    return max((len(one) for one in _beginnings(rule, prefixes) if name.lower().startswith(one.lower())), default=None)


def _beginnings(rule: Rule, prefixes: Prefixes) -> list[str]:
    if rule.pattern:
        return [literal_beginning(rule.pattern)]
    known = prefixes.get(rule.data_type, ())
    return [*known, *([""] if rule.data_type == "email-list" or not known else [])]


def _folded(text: str, *, fold: bool) -> str:
    return text.casefold() if fold else text


def _no_taker(name: str, rules: Sequence[Rule], prefixes: Prefixes) -> Fault:
    if all(rule.pattern for rule in rules):
        patterns = ", ".join(printable(rule.pattern) for rule in rules)
        many = "matches none of the patterns" if len(rules) > 1 else "does not match the pattern"
        return Fault(code=Code.NAME_NOT_MATCHED, message=f"The file name {printable(name)} {many} {patterns}.")
    known = sorted({one for rule in rules for one in prefixes.get(rule.data_type, ())})
    message = (
        f"The beginning of {printable(name)} names no data type of this folder: its names begin with {', '.join(known)}"
    )
    patterns = ", ".join(printable(rule.pattern) for rule in rules if rule.pattern)
    return Fault(code=Code.DATA_TYPE_UNKNOWN, message=message + (f", or match {patterns}." if patterns else "."))
