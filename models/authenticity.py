"""Who really sent a mail: what is known before the check, and what the check found.

What lives here: frozen values and their two written forms, JSON for the ledger and one line as RFC 8601 writes it.
The check stands in ``mailgate.authenticity``, what a connection demands in ``matching``.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """A result of SPF, DKIM or DMARC, in the words of RFC 8601 section 2.7."""

    NONE = "none"
    PASS = "pass"  # noqa: S105 - a result, no password
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What a door knows of where a mail comes from, beside its bytes."""

    client: str = (
        ""  #: IP address of the client that handed the mail over; empty where it says nothing about the sender
    )
    helo: str = ""  #: what that client called itself
    sender: str = ""  #: reverse-path; empty for the null sender
    authenticated_as: str = ""  #: name of the credential of a login, empty without
    trusted: tuple[str, ...] = ()  #: authserv-ids whose topmost Authentication-Results counts (RFC 8601 section 2.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spf:
    """The result of SPF for the envelope sender (RFC 7208)."""

    result: Outcome = Outcome.NONE
    domain: str = ""  #: of the envelope sender, or of HELO for the null sender; lower case, A-labels
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dkim:
    """The result of one DKIM signature (RFC 6376)."""

    result: Outcome
    domain: str = ""  #: d=, lower case
    selector: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dmarc:
    """The result of DMARC for the one From domain (RFC 7489)."""

    result: Outcome = Outcome.NONE
    domain: str = ""  #: of the one From address; lower case, A-labels
    policy: str = ""  #: none, quarantine or reject: what the domain asks for where DMARC fails
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Authenticity:
    """What was found out about the sender of one mail."""

    spf: Spf = Spf()
    dkim: tuple[Dkim, ...] = ()  #: of the signatures that were checked, in the order of the mail
    dmarc: Dmarc = Dmarc()
    server: str = ""  #: authserv-id of the trusted server whose results were used; empty: only our own
    ignored: int = 0  #: Authentication-Results fields that count for nothing
    authenticated_as: str = ""

    @property
    def aligned(self) -> bool:
        """Say whether DMARC passed: the From domain stands behind this mail."""
        return self.dmarc.result is Outcome.PASS

    @property
    def undecided(self) -> bool:
        """Say whether only a temporary failure of DNS kept DMARC from a result."""
        return self.dmarc.result is Outcome.TEMPERROR

    def summary(self) -> str:
        """Say in one sentence why DMARC has its result."""
        who = f" for {self.dmarc.domain}" if self.dmarc.domain else ""
        why = f": {self.dmarc.reason}" if self.dmarc.reason else ""
        return f"DMARC {self.dmarc.result}{who}{why}."

    def short(self) -> dict[str, str]:
        """Give the three results as words, for lists."""
        best = next((one.result for one in self.dkim if one.result is Outcome.PASS), None)
        dkim = best or (self.dkim[0].result if self.dkim else Outcome.NONE)
        return {"spf": str(self.spf.result), "dkim": str(dkim), "dmarc": str(self.dmarc.result)}

    def to_json(self, by: str) -> dict[str, Any]:
        """Give plain JSON values, the form the ledger keeps; ``by`` is the name of our own service."""
        return {
            **self.short(),
            "spf_domain": self.spf.domain, "spf_reason": self.spf.reason,
            "signatures": [
                {"result": str(one.result), "domain": one.domain, "selector": one.selector, "reason": one.reason}
                for one in self.dkim
            ],
            "from_domain": self.dmarc.domain, "policy": self.dmarc.policy, "reason": self.dmarc.reason,
            "trusted_server": self.server, "ignored_results": self.ignored, "header": self.header(by),
        }  # fmt: skip

    def header(self, by: str) -> str:
        """Write the results as the value of an Authentication-Results field (RFC 8601 section 2.2)."""
        pieces = [by, _method("spf", self.spf.result, "smtp.mailfrom", self.spf.domain)]
        pieces.extend(
            _method("dkim", one.result, "header.d", one.domain) + (f" header.s={one.selector}" if one.selector else "")
            for one in self.dkim
        )
        if not self.dkim:
            pieces.append("dkim=none")
        pieces.append(_method("dmarc", self.dmarc.result, "header.from", self.dmarc.domain))
        if self.authenticated_as:
            quoted = self.authenticated_as.replace("\\", "\\\\").replace('"', '\\"')
            pieces.append(f'auth=pass smtp.auth="{quoted}"')
        return "; ".join(pieces)


def _method(name: str, result: Outcome, key: str, value: str) -> str:
    return f"{name}={result}" + (f" {key}={value}" if value else "")
