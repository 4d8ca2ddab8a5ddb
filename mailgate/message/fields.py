"""The fields of one header block, unfolded, in order: names lower case, values as text.

What lives here: where a field begins and ends (RFC 5322 section 2.2). What a field means lives in ``headers`` and
``entity``. Bytes that are not UTF-8 stay as surrogates, ``clean`` shows them as U+FFFD.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailgate.message.limits import DEFAULT_LIMITS, Limits
from models.codes import Code
from models.faults import Fault

_field_name = re.compile(r"[!-9;-~]+").fullmatch
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_ENVELOPE_LINE = "From "  # what an mbox file leaves above the first field


@dataclass(frozen=True, kw_only=True, slots=True)
class Fields:
    """Hold what one header block says, and what is wrong with it."""

    values: Mapping[str, Sequence[str]] = field(default_factory=dict)  #: lower-case name -> values in order
    fault: Fault | None = None

    def first(self, name: str) -> str:
        """Return the first value of a field, empty where there is none."""
        values = self.values.get(name)
        return values[0] if values else ""

    def every(self, name: str) -> Sequence[str]:
        """Return all values of a field, in order."""
        return self.values.get(name, ())


def clean(text: str) -> str:
    """Return the text with bytes that are no UTF-8 shown as U+FFFD."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def one_line(text: str) -> str:
    """Return the text clean, without control characters, on one line."""
    return _CONTROLS.sub(" ", clean(text)).strip()


def read_fields(block: bytes, limits: Limits = DEFAULT_LIMITS) -> Fields:
    """Split a header block into its fields; what cannot be read is left out and named by ``fault``."""
    text = block.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    fault = _raw_fault(text)
    collected: list[tuple[str, list[str]]] = []
    for number, line in enumerate(text.split("\n")):
        if not line:
            continue
        if line[0] in " \t":
            if line.isspace():
                # A folded value to RFC 5322 section 4.2, the end of the header to many readers.
                fault = fault or Fault(code=Code.MESSAGE_AMBIGUOUS, message="a header holds a line of blanks")
            if collected:
                # A tab that only folds would otherwise become part of a file name.
                collected[-1][1].append(" " + line[1:])
            else:
                fault = fault or _malformed("the header begins with a continuation line")
            continue
        name, colon, value = line.partition(":")
        if colon and _field_name(name):
            collected.append((name.lower(), [value]))
        elif not (number == 0 and line.startswith(_ENVELOPE_LINE)):
            fault = fault or _malformed(f"a header line is no field: {one_line(line)[:60]!r}")
            # What follows it folded belongs to it, not to the field above.
            collected.append(("", []))
    return _gather(collected, limits, fault)


def _gather(collected: list[tuple[str, list[str]]], limits: Limits, fault: Fault | None) -> Fields:
    values: dict[str, list[str]] = {}
    if len(collected) > limits.header_fields:
        return Fields(fault=_limit(f"a header has more than {limits.header_fields} fields"))
    for name, lines in collected:
        value = "".join(lines)
        if len(value) > limits.header_field:
            fault = _limit(f"the header field {name[:60]} is longer than {limits.header_field} bytes")
        elif name:
            values.setdefault(name, []).append(value.strip(" \t"))
    return Fields(values=values, fault=fault)


def _raw_fault(text: str) -> Fault | None:
    if "\r" in text:
        return _malformed("a header holds a carriage return without a line feed")
    return _malformed("a header holds a NUL") if "\0" in text else None


def _malformed(message: str) -> Fault:
    return Fault(code=Code.MESSAGE_MALFORMED, message=message)


def _limit(message: str) -> Fault:
    return Fault(code=Code.MESSAGE_LIMIT, message=message)
