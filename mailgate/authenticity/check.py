"""The check of one mail: a function of its bytes and where it came from, giving one frozen value.

What lives here: the order of the questions, and what a trusted server's word is worth. Runs in a thread.
"""

import re
from dataclasses import replace
from datetime import datetime

from mailgate.authenticity.canonical import raw_fields
from mailgate.authenticity.dkim import Source, check_signatures
from mailgate.authenticity.domains import aligned, domain_of
from mailgate.authenticity.resolver import DnsTrouble, Questions, Resolver, TooManyQuestions
from mailgate.authenticity.results import Results, read_results
from models.authenticity import Authenticity, Dkim, Dmarc, Origin, Outcome, Spf
from models.message import Message

_UNPRINTABLE = re.compile(r"[^ -~]+")
_REASON = 300  # characters


class Checker:
    """Check mails, asking DNS through one resolver; None asks nothing, and a trusted server's word is all there is."""

    def __init__(self, resolver: Resolver | None, *, lookups: int = 60) -> None:
        self._resolver = resolver
        self._lookups = lookups

    def check(
        self, source: Source, message: Message, origin: Origin, *, now: datetime, seconds: float
    ) -> Authenticity:  # fmt: skip
        """Find out who sent a mail. Never raises for what a mail or DNS holds.

        ``message``: its header facts, and where its body begins. ``seconds``: the most that DNS may take in all.
        """
        fields = raw_fields(source.read(0, message.header_end))
        domain, problem = _from_domain(message)
        told, ignored = _trusted_results(fields, origin.trusted)
        if told is not None and domain and told.dmarc_passed(domain):
            dmarc = Dmarc(result=Outcome.PASS, domain=domain, reason=f"said by {told.server}")
            found = Authenticity(spf=told.spf() or Spf(), dkim=told.dkim(), dmarc=dmarc)
        elif self._resolver is None:
            problem = problem or "DNS is not asked (dns.lookups is off)"
            found = Authenticity(dmarc=Dmarc(domain=domain, reason=problem))
        else:
            questions = Questions(self._resolver, most=self._lookups, seconds=seconds)
            found = _own(source, message, origin, questions, told, (domain, problem), fields, now)
        return _printable(
            replace(
                found, server=told.server if told else "", ignored=ignored, authenticated_as=origin.authenticated_as
            )
        )


def _own(
    source: Source, message: Message, origin: Origin, questions: Questions, told: Results | None,
    sender: tuple[str, str], fields: list[tuple[bytes, bytes]], now: datetime,
) -> Authenticity:  # fmt: skip
    """Check for ourselves, with what a trusted server found of SPF and DKIM where it says so."""
    from mailgate.authenticity.dmarc import evaluate, find_policy
    from mailgate.authenticity.sender_policy import check_spf

    domain, problem = sender
    policy, dmarc = None, Dmarc(result=Outcome.PERMERROR, reason=problem)
    if domain:
        try:
            policy = find_policy(domain, questions)
            dmarc = Dmarc(domain=domain, reason="the domain publishes no DMARC policy")
        except DnsTrouble as trouble:
            dmarc = Dmarc(result=Outcome.TEMPERROR, domain=domain, reason=str(trouble))
        except TooManyQuestions as trouble:
            dmarc = Dmarc(result=Outcome.PERMERROR, domain=domain, reason=str(trouble))
    signatures = check_signatures(
        source, message.header_end, fields, questions, now=now,
        prefer=lambda signer: aligned(signer, domain, strict=False),
    )  # fmt: skip
    spf = (told.spf() if told else None) or check_spf(origin, questions)
    signatures = (*signatures, *(told.dkim() if told else ()))
    if policy is not None:
        dmarc = evaluate(domain, policy, spf, signatures)
    return Authenticity(spf=spf, dkim=signatures, dmarc=dmarc)


def _from_domain(message: Message) -> tuple[str, str]:
    """Give the domain of the one From address, or why there is none (RFC 7489 section 6.6.1)."""
    headers = message.headers
    if headers.from_fields != 1 or len(headers.from_addresses) != 1:
        count = f"{headers.from_fields} From fields with {len(headers.from_addresses)} addresses"
        return "", f"the mail has {count}; one address is wanted"
    domain = domain_of(headers.from_addresses[0])
    return domain, "" if domain else "the From address has no domain"


def _trusted_results(fields: list[tuple[bytes, bytes]], trusted: tuple[str, ...]) -> tuple[Results | None, int]:
    """Give the results of the topmost field where its server is trusted, and how many fields count for nothing.

    A server puts its field above all that it received (RFC 8601 section 4.1): only the topmost can be the word of the
    server that handed the mail over, and that is asked only where the door knows who did.
    """
    values = [
        field.partition(b":")[2].decode("utf-8", "replace")
        for name, field in fields
        if name == b"authentication-results"
    ]
    if values and trusted:
        told = read_results(values[0])
        if told is not None and told.server in {one.lower() for one in trusted}:
            return told, len(values) - 1
    return None, len(values)


def _printable(found: Authenticity) -> Authenticity:
    """Clean every text that a stranger had a hand in."""
    return replace(
        found,
        spf=replace(found.spf, reason=_clean(found.spf.reason)),
        dkim=tuple(_clean_signature(one) for one in found.dkim),
        dmarc=replace(found.dmarc, reason=_clean(found.dmarc.reason)),
        server=_clean(found.server),
    )


def _clean_signature(one: Dkim) -> Dkim:
    return replace(one, reason=_clean(one.reason))


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("?", text)[:_REASON]
