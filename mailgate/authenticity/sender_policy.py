"""SPF for the envelope sender: pyspf with our own questions to DNS (RFC 7208).

What lives here: the one use of pyspf. The library asks DNS through a function of its module; a subclass asks through
the seam instead, so that nothing is shared between threads.
"""

import ipaddress
from typing import Any

import spf

from mailgate.authenticity.domains import domain_of, normal_domain
from mailgate.authenticity.resolver import DnsTrouble, Questions, TooManyQuestions
from models.authenticity import Origin, Outcome, Spf

_RECURSION = (ValueError, LookupError, AttributeError, TypeError, AssertionError, RecursionError)


def check_spf(origin: Origin, questions: Questions) -> Spf:
    """Say whether the client may send for the domain of the envelope sender; ``none`` where no client is known."""
    domain = domain_of(origin.sender) if origin.sender else normal_domain(origin.helo)
    if not origin.client or not domain:
        return Spf(domain=domain, reason="" if domain else "the envelope sender has no domain")
    try:
        client = str(ipaddress.ip_address(origin.client.partition("%")[0]))
    except ValueError:
        return Spf(domain=domain, reason="the client has no address")
    local = origin.sender.rpartition("@")[0] or "postmaster"
    try:
        result, _, reason = _Query(client, local, domain, normal_domain(origin.helo), questions).check()
        return Spf(result=Outcome(result), domain=domain, reason=reason)
    except _RECURSION as error:  # what a record makes the library stumble over
        reason = f"the record cannot be evaluated: {type(error).__name__}"
        return Spf(result=Outcome.PERMERROR, domain=domain, reason=reason)


class _Query(spf.query):  # type: ignore[misc]
    """One evaluation that asks DNS through the seam."""

    def __init__(self, client: str, local: str, domain: str, helo: str, questions: Questions) -> None:
        # The library cuts a sender at the first @, which a quoted local part may hold: it is told the pieces.
        super().__init__(client, f"{local.replace('@', '.')}@{domain}", helo or "unknown", strict=True)
        self._questions = questions

    def dns(self, name: Any, qtype: Any, cnames: Any = None, ignore_void: bool = False) -> list[Any]:
        """Give the records in the forms the library expects, and count the questions that brought none."""
        try:
            found = self._questions.ask(str(name), qtype)
        except DnsTrouble as trouble:
            raise spf.TempError(str(trouble)) from None
        except TooManyQuestions as trouble:
            raise spf.PermError(str(trouble)) from None
        if not found and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError(f"more than {spf.MAX_VOID_LOOKUPS} questions to DNS brought nothing")
        match qtype:
            case "TXT":
                return [(record.encode("latin-1"),) for record in found]
            case "MX":
                return [(int(pair[0]), pair[2]) for pair in (record.partition(" ") for record in found)]
            case _:
                return list(found)

    def get_explanation(self, _spec: Any) -> None:
        """Ask for no explanation: it is a text for senders, from a stranger."""
