"""The acceptance of a mail: one message, one envelope and one rule in, one verdict out.

What lives here: the order of the grounds. It is the order of the questions: may this mail be answered at all, is the
sender a stranger, can the mail be read, do its attachments fit. No bytes are read; what is found only while decoding
is the caller's to add.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matching.roles import assign_roles
from matching.senders import check_sender
from models.codes import Code
from models.connection import Rule
from models.faults import Fault
from models.judgement import Envelope, JudgedPart, Judgement, Role
from models.message import Headers, Message
from models.states import Verdict

MAX_RECEIVED = 50  #: more trace fields than this are a loop (counting them: RFC 5321 section 6.3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """Why a delivery is not accepted."""

    verdict: Verdict
    fault: Fault


def judge(
    message: Message,
    envelope: Envelope,
    rule: Rule,
    paused: bool = False,
    too_large: Fault | None = None,
) -> Judgement:
    """Judge one mail for one connection; ``too_large`` is the door's word that it did not store the whole mail."""
    parts = assign_roles(message, rule)
    ground = (
        _automatic(message.headers, envelope)
        or _stranger(message.headers, envelope, rule)
        or _unreadable(message, parts, too_large)
        or judge_attachments(parts)
        or (_paused(rule) if paused else None)
    )
    if ground is None:
        return Judgement(verdict=Verdict.ACCEPTED, parts=parts)
    return Judgement(verdict=ground.verdict, code=ground.fault.code, message=ground.fault.message, parts=parts)


def judge_attachments(parts: Sequence[JudgedPart]) -> Ground | None:
    """Give the ground that the attachments of one mail have against it, or None if all of them can be taken."""
    counted = [part for part in parts if part.role is Role.COUNTED]
    if not counted:
        return _nothing_counted(parts)
    for code, verdict in _GROUNDS_OF_PARTS:
        hit = [part for part in counted if part.code is code]
        if hit:
            return Ground(verdict=verdict, fault=_fault_of(hit))
    damaged = [part for part in counted if part.code is not None]
    return Ground(verdict=Verdict.REJECTED, fault=_fault_of(damaged)) if damaged else None


#: The grounds that single attachments give, in the order in which they decide about the mail. The wrapping of Outlook
#: comes last, because a mail of the wrong attachments is not this connection's, whatever else it carries.
_GROUNDS_OF_PARTS: tuple[tuple[Code, Verdict], ...] = (
    (Code.ENCRYPTED, Verdict.REJECTED),
    (Code.NAME_INVALID, Verdict.REJECTED),
    (Code.NAME_AMBIGUOUS, Verdict.REJECTED),
    (Code.NAME_NOT_MATCHED, Verdict.IGNORED),
    (Code.TNEF_UNREADABLE, Verdict.REJECTED),
)


def _automatic(headers: Headers, envelope: Envelope) -> Ground | None:
    """Find what must never be answered; looked at before the body, which in a bounce may be anything."""
    if headers.own_trace:
        return _ignored(Code.LOOP, "The mail carries the mark of our own answers.")
    if headers.received > MAX_RECEIVED:
        return _ignored(Code.LOOP, f"The mail has passed {headers.received} mail servers.")
    if envelope.sender == "":
        return _ignored(Code.BOUNCE, "The mail came from the null sender.")
    if headers.content_type == "multipart/report":
        return _ignored(Code.BOUNCE, "The mail is a report about another mail.")
    if headers.auto_submitted == "auto-replied":
        return _ignored(Code.AUTO_SUBMITTED, "The mail is marked Auto-Submitted: auto-replied.")
    if headers.out_of_office:
        return _ignored(Code.AUTO_SUBMITTED, "The mail is an out-of-office notice.")
    return None


def _stranger(headers: Headers, envelope: Envelope, rule: Rule) -> Ground | None:
    fault = check_sender(envelope.sender, headers, rule.allowed_senders)
    if fault is not None:
        return Ground(verdict=Verdict.IGNORED, fault=fault)
    missing = _missing_proof(envelope, rule)
    return None if missing is None else _ignored(Code.NOT_AUTHENTIC, missing)


def _missing_proof(envelope: Envelope, rule: Rule) -> str | None:
    """Say what a sender did not prove; a demand that is not known here is never met."""
    match rule.authenticity:
        case "off":
            return None
        case "auth":
            # Two empty names are no proof; names are unique without case.
            same = envelope.authenticated_as.casefold() == rule.credential.casefold()
            return None if rule.credential and same else "The sender did not log in with the connection's credential."
        case "dmarc" if envelope.authenticity is not None:
            return None if envelope.authenticity.aligned else envelope.authenticity.summary()
        case _:
            return "The proof that the connection demands could not be looked for."


def _unreadable(message: Message, parts: Sequence[JudgedPart], too_large: Fault | None) -> Ground | None:
    # A mail that was cut at the size limit looks damaged too: the size is the reason that helps.
    fault = too_large or message.fault or _opened_fault(parts)
    if fault is None and message.headers.smime_or_pgp:
        fault = Fault(code=Code.ENCRYPTED, message="The mail is encrypted: send it unencrypted.")
    return None if fault is None else Ground(verdict=Verdict.REJECTED, fault=fault)


def _opened_fault(parts: Sequence[JudgedPart]) -> Fault | None:
    """Find a forwarded mail that was to be opened and cannot be read; no other part that never counts has a code."""
    for part in parts:
        if part.role is Role.NEVER and part.code is not None:
            return Fault(code=part.code, message=part.message)
    return None


def _nothing_counted(parts: Sequence[JudgedPart]) -> Ground:
    if any(part.role is Role.SKIPPED for part in parts):
        return _ignored(
            Code.RESERVED_PREFIX, "The mail has nothing but files whose names are reserved for our answers."
        )
    return _ignored(Code.NO_ATTACHMENT, "The mail has no attachment that counts.")


def _paused(rule: Rule) -> Ground:
    return _ignored(Code.CONNECTION_PAUSED, f"The connection {rule.name} is paused: the files are kept and held.")


def _fault_of(parts: Sequence[JudgedPart]) -> Fault:
    first = parts[0]
    assert first.code is not None
    more = f" (And {len(parts) - 1} more.)" if len(parts) > 1 else ""
    return Fault(code=first.code, message=first.message + more)


def _ignored(code: Code, message: str) -> Ground:
    return Ground(verdict=Verdict.IGNORED, fault=Fault(code=code, message=message))
