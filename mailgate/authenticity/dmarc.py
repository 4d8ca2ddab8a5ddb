"""DMARC: the policy of the From domain, and whether SPF or DKIM passed for it (RFC 7489).

What lives here: discovery of the record and the decision. Who sent the mail by SPF and DKIM is handed in.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailgate.authenticity.domains import aligned, organisation
from mailgate.authenticity.resolver import Questions
from models.authenticity import Dkim, Dmarc, Outcome, Spf

_is_record = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)").match
_POLICIES = ("none", "quarantine", "reject")


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What a domain says of mail in its name."""

    request: str  #: none, quarantine or reject
    strict_dkim: bool = False
    strict_spf: bool = False


def find_policy(domain: str, questions: Questions) -> Policy | None:
    """Find the record of a domain, or of its organisation (section 6.6.3); DnsTrouble for now."""
    above = organisation(domain)
    records = _records(domain, questions)
    inherited = False
    if not records and above != domain:
        records, inherited = _records(above, questions), True
    return _read(records[0], inherited=inherited) if len(records) == 1 else None


def _records(domain: str, questions: Questions) -> list[str]:
    return [record for record in questions.ask(f"_dmarc.{domain}", "TXT") if _is_record(record)]


def _read(record: str, *, inherited: bool) -> Policy | None:
    """Read a record; what is wrong in it has its default, without a valid policy there is none (section 6.6.3)."""
    tags: dict[str, str] = {}
    for piece in record.split(";"):
        name, _, value = piece.partition("=")
        tags.setdefault(name.strip().lower(), value.strip().lower())
    request, below = tags.get("p", ""), tags.get("sp", "")
    if request not in _POLICIES or below not in (*_POLICIES, ""):
        if "mailto:" not in tags.get("rua", ""):
            return None
        request, below = "none", ""
    return Policy(
        request=(below or request) if inherited else request, strict_dkim=tags.get("adkim") == "s",
        strict_spf=tags.get("aspf") == "s",
    )  # fmt: skip


def evaluate(domain: str, policy: Policy, spf: Spf, dkim: Sequence[Dkim]) -> Dmarc:
    """Decide for one From domain (sections 3.1 and 6.6.2): one aligned pass is enough.

    A temporary failure counts only where it stands in the way of a result that would be aligned.
    """
    helpful = [one for one in dkim if aligned(one.domain, domain, strict=policy.strict_dkim)]
    results = [one.result for one in helpful]
    if aligned(spf.domain, domain, strict=policy.strict_spf):
        results.append(spf.result)
    if Outcome.PASS in results:
        return Dmarc(result=Outcome.PASS, domain=domain, policy=policy.request)
    outcome = Outcome.TEMPERROR if Outcome.TEMPERROR in results else Outcome.FAIL
    return Dmarc(result=outcome, domain=domain, policy=policy.request, reason=_why(spf, dkim))


def _why(spf: Spf, dkim: Sequence[Dkim]) -> str:
    told = [f"SPF {spf.result}" + (f" for {spf.domain}" if spf.domain else "") + _because(spf.reason)]
    told.extend(f"DKIM {one.result} for {one.domain or 'no domain'}{_because(one.reason)}" for one in dkim)
    if not dkim:
        told.append("no DKIM signature")
    return ", ".join(told)


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""
