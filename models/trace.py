"""Trace ids: one ULID per delivery, one suffix per file.

What lives here: the form of the ids. Time and randomness are passed in.
"""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}


def make_trace_id(milliseconds: int, randomness: bytes) -> str:
    """Make a 26-character ULID of 48 bits of time and 80 random bits; not monotonic, and no secret."""
    if len(randomness) != 10:
        raise ValueError("a ULID takes ten random bytes")
    number = (milliseconds & ((1 << 48) - 1)) << 80 | int.from_bytes(randomness)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def is_trace_id(text: str) -> bool:
    """Tell whether a text has the form of a trace id, in any case."""
    return len(text) == 26 and all(letter in _VALUES for letter in text.upper()) and text[0] in "01234567"


def upload_id(trace_id: str, part: int, parts: int) -> str:
    """Name an upload: the trace id alone when it is the only file of its delivery, else with its number."""
    return trace_id if parts == 1 else f"{trace_id}.{part}"


def split_upload_id(text: str) -> tuple[str, int | None]:
    """Split ``TRACE_ID`` or ``TRACE_ID.N`` into trace id and N; ValueError for anything else."""
    trace, dot, number = text.partition(".")
    if not is_trace_id(trace) or (dot and not (number.isascii() and number.isdigit() and int(number) >= 1)):
        raise ValueError(f"{text!r} is neither a trace id nor a trace id with a file number")
    return trace.upper(), int(number) if dot else None


def trace_number(trace_id: str) -> int:
    """Give the 128 bits of a trace id: what OpenTelemetry and W3C Trace Context call a trace id as well."""
    number = 0
    for letter in trace_id.upper():
        number = number << 5 | _VALUES[letter]
    return number


def began_at(trace_id: str) -> float:
    """Give the Unix time, in seconds, at which a trace id was made."""
    return (trace_number(trace_id) >> 80) / 1000
