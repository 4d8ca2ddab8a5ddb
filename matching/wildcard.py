"""Wildcards for file names and addresses: ``*`` any sequence, ``?`` exactly one character, everything else literal.

What lives here: compiling and asking a pattern, and nothing about what a name may be. The only importer of wcmatch,
because its flags decide what a name may smuggle through.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from unicodedata import normalize

from wcmatch import fnmatch

MAX_PATTERN = 255  #: characters of a pattern after NFC

_FLAGS = fnmatch.DOTMATCH | fnmatch.FORCEUNIX
_LITERAL_RUN = re.compile(r"[^*?]+")
_WILDCARD = re.compile(r"[*?]")


class _Compiled(Protocol):
    def match(self, filename: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """A compiled pattern. Made by ``compile_pattern``."""

    pattern: str  #: NFC
    case_sensitive: bool
    _compiled: _Compiled

    def matches(self, name: str) -> bool:
        """Say whether the whole name matches; both sides are compared in NFC, and an empty name matches nothing."""
        return bool(name) and self._compiled.match(normalize("NFC", name))


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str, case_sensitive: bool) -> Matcher:
    """Compile a pattern; raise ValueError if it is empty or longer than 255 characters."""
    text = normalize("NFC", pattern)
    if not text:
        raise ValueError("a pattern must not be empty")
    if len(text) > MAX_PATTERN:
        raise ValueError(f"a pattern may have {MAX_PATTERN} characters, this one has {len(text)}")
    # Brackets, braces, ! and backslash mean something to wcmatch and nothing in our patterns.
    escaped = _LITERAL_RUN.sub(lambda run: fnmatch.escape(run[0]), text)
    case = fnmatch.CASE if case_sensitive else fnmatch.IGNORECASE
    return Matcher(text, case_sensitive, fnmatch.compile(escaped, flags=_FLAGS | case))


def is_bare_star(pattern: str) -> bool:
    """Say whether the pattern takes every name, so that a match tells nothing about the sender's intent."""
    return bool(pattern) and not pattern.strip("*")


def literal_beginning(pattern: str) -> str:
    """Give the pattern's characters before its first wildcard, in NFC; the longest one wins in a shared folder."""
    return _WILDCARD.split(normalize("NFC", pattern), maxsplit=1)[0]
