"""The word of another server: Authentication-Results fields (RFC 8601).

What lives here: reading one field, linear and without guessing. Whose word counts is decided by the caller.
"""

import re
from dataclasses import dataclass

from mailgate.authenticity.domains import domain_of, normal_domain
from models.authenticity import Dkim, Outcome, Spf

_OUTSIDE = re.compile(r'"(?:[^"\\]|\\.)*+"|[()]|[^"()]+|.', re.DOTALL)
_IN_COMMENT = re.compile(r"\\.|[()]|[^()\\]+|.", re.DOTALL)
_AROUND_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_METHOD = re.compile(r"([A-Za-z0-9-]+)(?:/[0-9]+)?=([A-Za-z0-9-]+)")
_LONGEST = 32 * 1024
_MOST = 50  # results of one field


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """What one server says of one mail."""

    server: str  #: authserv-id, lower case
    methods: tuple[tuple[str, str, dict[str, str]], ...]  #: method, result, properties

    def dmarc_passed(self, domain: str) -> bool:
        """Say whether the server's one result of DMARC is a pass for this From domain."""
        found = [one for one in self.methods if one[0] == "dmarc"]
        return len(found) == 1 and found[0][1] == "pass" and normal_domain(found[0][2].get("header.from", "")) == domain

    def spf(self) -> Spf | None:
        """Give the server's one result of SPF, with the domain it is about."""
        found = [one for one in self.methods if one[0] == "spf"]
        if len(found) != 1:
            return None
        sender = found[0][2].get("smtp.mailfrom", "")
        domain = domain_of(sender) if "@" in sender else normal_domain(sender)
        return Spf(result=_outcome(found[0][1]), domain=domain, reason=f"said by {self.server}")

    def dkim(self) -> tuple[Dkim, ...]:
        """Give the server's results of DKIM, each with the domain that signed."""
        return tuple(
            Dkim(
                result=_outcome(result), domain=normal_domain(properties.get("header.d", "")),
                selector="", reason=f"said by {self.server}",
            )
            for method, result, properties in self.methods
            if method == "dkim"
        )  # fmt: skip


def read_results(value: str) -> Results | None:
    """Read the value of one field; None where it is malformed or names no server."""
    if len(value) > _LONGEST:
        return None
    quoted: list[str] = []
    plain = _without_comments(value, quoted)
    if plain is None:
        return None
    first, *others = [" ".join(_AROUND_EQUALS.sub("=", one).split()) for one in plain.split(";")]
    server = _unquoted(first.split(" ")[0], quoted).lower()
    if not server or "=" in first or len(others) > _MOST:
        return None
    methods = []
    for one in others:
        method = _method(one, quoted)
        if method is not None:
            methods.append(method)
        elif one not in ("", "none"):
            return None
    return Results(server=server, methods=tuple(methods))


def _without_comments(value: str, quoted: list[str]) -> str | None:
    """Drop comments, and put quoted strings aside; None where either has no end."""
    text = value.replace("\r\n", " ").replace("\n", " ").replace("\0", " ")
    pieces: list[str] = []
    place = depth = 0
    while place < len(text):
        match = (_IN_COMMENT if depth else _OUTSIDE).match(text, place)
        assert match is not None  # both end in any character
        piece, place = match.group(), match.end()
        if piece in ("(", ")"):
            depth += 1 if piece == "(" else -1
        elif depth:
            continue
        elif piece == '"':
            return None
        elif piece.startswith('"'):
            quoted.append(re.sub(r"\\(.)", r"\1", piece[1:-1]))
            pieces.append(f"\0{len(quoted) - 1}\0")
        else:
            pieces.append(piece)
        if depth < 0:
            return None
    return None if depth else "".join(pieces)


def _unquoted(text: str, quoted: list[str]) -> str:
    return re.sub("\0([0-9]+)\0", lambda match: quoted[int(match[1])], text)


def _method(text: str, quoted: list[str]) -> tuple[str, str, dict[str, str]] | None:
    head, *words = text.split(" ")
    match = _METHOD.fullmatch(head)
    if match is None:
        return None
    properties: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        name = name.lower()
        if not equals or name in properties:
            return None
        properties[name] = _unquoted(value, quoted)
    return match[1].lower(), match[2].lower(), properties


def _outcome(word: str) -> Outcome:
    """Give a result in our words; what is not among them proves nothing."""
    return Outcome(word) if word in set(Outcome) else Outcome.NEUTRAL
