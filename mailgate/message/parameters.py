"""A structured header value: ``value; name=value; name="value"`` (RFC 2045 section 5.1, RFC 2183 section 2).

What lives here: the syntax alone, and the places where two readers of it would disagree (``Doubt``). RFC 2231 and
RFC 2047 live in ``names`` and ``words``.
"""

import re
from dataclasses import dataclass

# Possessive, so that an unterminated quote costs one pass and not an exponential search.
_SEGMENT = re.compile(r'(?:[^;"]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')
_SECOND = re.compile(r"\s[^\s=]+\s*=")
_COMMENT = re.compile(r"[ \t]*(?:\([^()]*\)[ \t]*)?")


class Doubt(ValueError):
    """Say that readers would disagree, in a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One ``name=value``, unquoted."""

    name: str  #: lower case
    value: str
    quoted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Structured:
    """A structured value: what stands first, and its parameters in order."""

    value: str = ""  #: lower case
    parameters: tuple[Parameter, ...] = ()

    def named(self, name: str) -> list[Parameter]:
        """Return the parameters of exactly this name."""
        return [p for p in self.parameters if p.name == name]


def parse_structured(text: str) -> Structured:
    """Read a structured value; raises ``Doubt`` where quotes or comments leave it open what was meant."""
    segments = _segments(text)
    parameters = tuple(_parameter(segment) for segment in segments[1:] if "=" in segment)
    value = segments[0].strip().lower()
    if "(" in value or '"' in value:
        raise Doubt("a comment or a quote stands where a type was expected")
    if "=" in value:  # "Content-Disposition: filename=x", seen from scripts
        first = _parameter(segments[0])
        if "/" in first.name:
            raise Doubt("a type and a parameter stand together without a semicolon")
        return Structured(parameters=(first, *parameters))
    return Structured(value=value, parameters=parameters)


def _segments(text: str) -> list[str]:
    segments: list[str] = []
    at = 0
    while True:
        match = _SEGMENT.match(text, at)
        assert match is not None
        at = match.end()
        segments.append(match.group())
        if at == len(text):
            return segments
        if text[at] == '"':
            raise Doubt("a quote is opened and never closed")
        at += 1


def _parameter(segment: str) -> Parameter:
    name, _, value = segment.partition("=")
    name = name.strip().lower()
    value = value.strip()
    if "(" in name or '"' in name:
        raise Doubt("a comment or a quote stands where the name of a parameter was expected")
    if any(c.isspace() for c in name):
        raise Doubt(f"a blank stands in the name of the parameter {name[:40]}")
    if not value.startswith('"'):
        if '"' in value:
            raise Doubt(f"the parameter {name[:40]} is quoted in part")
        if "=?" not in value and _SECOND.search(value) is not None:
            raise Doubt(f"a semicolon is missing behind the parameter {name[:40]}")
        if value.count("(") != value.count(")"):
            raise Doubt(f"a comment is opened in the parameter {name[:40]} and not closed there")
        return Parameter(name=name, value=value, quoted=False)
    quoted = _QUOTED.match(value)
    assert quoted is not None
    if _COMMENT.fullmatch(value, quoted.end()) is None:
        raise Doubt(f"something stands behind the quoted value of the parameter {name[:40]}")
    # Only quote and backslash are unescaped: "C:\temp\x.csv" is a path, as the standard library and browsers read it.
    return Parameter(name=name, value=_ESCAPED.sub(r"\1", quoted.group(1)), quoted=True)
