"""The verdict on a mail: each ground, and which of two grounds decides."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.judge import judge
from models.authenticity import Authenticity, Dmarc, Outcome
from models.codes import Code
from models.connection import Rule
from models.faults import Fault
from models.judgement import Judgement, Role
from models.message import Part
from models.states import Verdict
from tests.matching.mails import ENVELOPE, GOOD, HEADERS, PATTERN, RULE, attachment, body, forwarded, leaf, mail

ACCEPTED, IGNORED, REJECTED = Verdict.ACCEPTED, Verdict.IGNORED, Verdict.REJECTED
OTHER = "Conversions_2026_06.csv"
WINMAIL = attachment("winmail.dat", "application/ms-tnef")
DAMAGED = Fault(code=Code.ATTACHMENT_DAMAGED, message="Its base64 is broken.")
MALFORMED = Fault(code=Code.MESSAGE_MALFORMED, message="A bare LF at byte 17.")
TOO_LARGE = Fault(code=Code.FILE_TOO_LARGE, message="The mail has more than 150000000 bytes.")


def verdict_of(*parts: Part, rule: Rule = RULE, **more: Any) -> tuple[Verdict, Code | None]:
    judgement = judge(mail(body(), *parts), ENVELOPE, rule, **more)
    return judgement.verdict, judgement.code


ATTACHMENTS: list[tuple[str, list[Part], Verdict, Code | None]] = [
    ("one file", [attachment(GOOD)], ACCEPTED, None),
    ("two files", [attachment(GOOD), attachment(OTHER)], ACCEPTED, None),
    ("a file beside our receipt", [attachment(GOOD), attachment("receipt_a.txt")], ACCEPTED, None),
    ("no attachment", [], IGNORED, Code.NO_ATTACHMENT),
    ("a logo alone", [leaf("image/png", "a.png", disposition="inline")], IGNORED, Code.NO_ATTACHMENT),
    ("our receipt alone", [attachment("receipt_a.txt")], IGNORED, Code.RESERVED_PREFIX),
    ("one of two mismatches", [attachment(GOOD), attachment("a.pdf")], IGNORED, Code.NAME_NOT_MATCHED),
    ("nameless", [attachment(GOOD), attachment(None)], IGNORED, Code.NAME_NOT_MATCHED),
    ("a forwarded mail", [forwarded(attachment(GOOD))], IGNORED, Code.NAME_NOT_MATCHED),
    ("an invalid name before a mismatch", [attachment("a.pdf"), attachment("a\x07")], REJECTED, Code.NAME_INVALID),
    (
        "an invalid name before an ambiguous one",
        [attachment(GOOD, name="a.exe"), attachment("a\x07")],
        REJECTED,
        Code.NAME_INVALID,
    ),
    (
        "an ambiguous name before a mismatch",
        [attachment("a.pdf"), attachment(GOOD, name="a.exe")],
        REJECTED,
        Code.NAME_AMBIGUOUS,
    ),
    ("winmail alone", [WINMAIL], REJECTED, Code.TNEF_UNREADABLE),
    ("winmail beside a match", [attachment(GOOD), WINMAIL], REJECTED, Code.TNEF_UNREADABLE),
    ("winmail beside a mismatch", [WINMAIL, attachment("a.pdf")], IGNORED, Code.NAME_NOT_MATCHED),
    ("winmail beside a damaged match", [attachment(GOOD, fault=DAMAGED), WINMAIL], REJECTED, Code.TNEF_UNREADABLE),
    ("a damaged match", [attachment(OTHER), attachment(GOOD, fault=DAMAGED)], REJECTED, Code.ATTACHMENT_DAMAGED),
    (
        "a damaged match beside a mismatch",
        [attachment(GOOD, fault=DAMAGED), attachment("a.pdf")],
        IGNORED,
        Code.NAME_NOT_MATCHED,
    ),
    (
        "a damaged logo",
        [leaf("image/png", "a.png", disposition="inline", fault=DAMAGED), attachment(GOOD)],
        ACCEPTED,
        None,
    ),
    ("a damaged receipt", [attachment("receipt_a.txt", fault=DAMAGED), attachment(GOOD)], ACCEPTED, None),
    ("encrypted", [attachment("smime.p7m", "application/pkcs7-mime")], REJECTED, Code.ENCRYPTED),
    (
        "encrypted before an invalid name and a mismatch",
        [attachment("a\x07"), attachment("a.pdf"), attachment("smime.p7m", "application/pkcs7-mime")],
        REJECTED,
        Code.ENCRYPTED,
    ),
]


@pytest.mark.parametrize(("parts", "verdict", "code"), [pytest.param(*c[1:], id=c[0]) for c in ATTACHMENTS])
def test_attachments(parts: list[Part], verdict: Verdict, code: Code | None) -> None:
    assert verdict_of(*parts) == (verdict, code)


#: One mail that has every ground against it; taking the grounds away one by one shows their order.
STEPS: list[tuple[Verdict, Code | None, dict[str, Any]]] = [
    (IGNORED, Code.LOOP, {"own_trace": False}),
    (IGNORED, Code.LOOP, {"received": 50}),
    (IGNORED, Code.BOUNCE, {"sender": "eve@evil.example"}),
    (IGNORED, Code.BOUNCE, {"content_type": "multipart/mixed"}),
    (IGNORED, Code.AUTO_SUBMITTED, {"auto_submitted": "auto-generated"}),
    (IGNORED, Code.AUTO_SUBMITTED, {"out_of_office": False}),
    (IGNORED, Code.SENDER_NOT_ALLOWED, {"sender": "batch@acme.example"}),
    (IGNORED, Code.NOT_AUTHENTIC, {"authenticated_as": "acme-batch"}),
    (REJECTED, Code.FILE_TOO_LARGE, {"too_large": None}),
    (REJECTED, Code.MESSAGE_MALFORMED, {"fault": None}),
    (REJECTED, Code.ATTACHMENT_DAMAGED, {"inner_fault": None}),
    (REJECTED, Code.ENCRYPTED, {"smime_or_pgp": False}),
    (REJECTED, Code.NAME_INVALID, {"parts": [attachment("a.pdf")]}),
    (IGNORED, Code.NAME_NOT_MATCHED, {"parts": [WINMAIL]}),
    (REJECTED, Code.TNEF_UNREADABLE, {"parts": [attachment(GOOD, fault=DAMAGED)]}),
    (REJECTED, Code.ATTACHMENT_DAMAGED, {"parts": [attachment("result_a")]}),
    (IGNORED, Code.RESERVED_PREFIX, {"parts": []}),
    (IGNORED, Code.NO_ATTACHMENT, {"parts": [attachment(GOOD)]}),
    (IGNORED, Code.CONNECTION_PAUSED, {"paused": False}),
    (ACCEPTED, None, {}),
]


def _judge_with(facts: dict[str, Any]) -> Judgement:
    headers = replace(
        HEADERS,
        **{key: facts[key] for key in ("own_trace", "received", "content_type", "auto_submitted", "out_of_office")},
        smime_or_pgp=facts["smime_or_pgp"],
    )
    envelope = replace(ENVELOPE, sender=facts["sender"], authenticated_as=facts["authenticated_as"])
    inner = forwarded(body(), fault=facts["inner_fault"])
    rule = replace(RULE, open_forwarded=True, authenticity="auth", allowed_senders=("*@acme.example",))
    message = mail(body(), inner, *facts["parts"], headers=headers, fault=facts["fault"])
    return judge(message, envelope, rule, facts["paused"], facts["too_large"])


def test_the_order_of_the_grounds() -> None:
    facts: dict[str, Any] = {
        "own_trace": True,
        "received": 51,
        "sender": "",
        "content_type": "multipart/report",
        "auto_submitted": "auto-replied",
        "out_of_office": True,
        "authenticated_as": "",
        "too_large": TOO_LARGE,
        "fault": MALFORMED,
        "inner_fault": DAMAGED,
        "smime_or_pgp": True,
        "parts": [attachment("a\x07"), attachment("a.pdf")],
        "paused": True,
    }
    for verdict, code, mended in STEPS:
        judgement = _judge_with(facts)
        assert (judgement.verdict, judgement.code) == (verdict, code)
        assert (judgement.message == "") == (code is None)
        facts |= mended


@pytest.mark.parametrize(
    ("keyword", "verdict"),
    [
        ("auto-replied", IGNORED),
        ("auto-generated", ACCEPTED),
        ("auto-notified", ACCEPTED),
        ("no", ACCEPTED),
        ("", ACCEPTED),
    ],
)
def test_auto_submitted(keyword: str, verdict: Verdict) -> None:
    message = mail(attachment(GOOD), headers=replace(HEADERS, auto_submitted=keyword))
    assert judge(message, ENVELOPE, RULE).verdict is verdict


@pytest.mark.parametrize(
    ("authenticity", "credential", "authenticated_as", "verdict"),
    [
        ("off", "acme-batch", "", ACCEPTED),
        ("auth", "acme-batch", "acme-batch", ACCEPTED),
        ("auth", "acme-batch", "", IGNORED),
        ("auth", "acme-batch", "other", IGNORED),
        ("auth", "", "", IGNORED),
        ("unheard-of", "acme-batch", "acme-batch", IGNORED),
    ],
)
def test_authenticity(authenticity: str, credential: str, authenticated_as: str, verdict: Verdict) -> None:
    rule = replace(RULE, authenticity=authenticity, credential=credential)
    envelope = replace(ENVELOPE, authenticated_as=authenticated_as)
    judgement = judge(mail(attachment(GOOD)), envelope, rule)
    assert (judgement.verdict, judgement.code) == (verdict, None if verdict is ACCEPTED else Code.NOT_AUTHENTIC)


@pytest.mark.parametrize("result", [*Outcome, None])
def test_a_demand_for_dmarc_is_met_by_a_pass_alone(result: Outcome | None) -> None:
    rule = replace(RULE, authenticity="dmarc", credential="acme-batch")
    found = None if result is None else Authenticity(dmarc=Dmarc(result=result, domain="acme.example", reason="why"))
    envelope = replace(ENVELOPE, authenticated_as="acme-batch", authenticity=found)
    judgement = judge(mail(attachment(GOOD)), envelope, rule)
    assert judgement.verdict is (ACCEPTED if result is Outcome.PASS else IGNORED)
    assert judgement.code is (None if result is Outcome.PASS else Code.NOT_AUTHENTIC)
    assert (f"DMARC {result} for acme.example: why." == judgement.message) is (result not in (Outcome.PASS, None))


@pytest.mark.parametrize("result", Outcome)
def test_what_is_found_out_changes_nothing_where_nothing_is_demanded(result: Outcome) -> None:
    envelope = replace(ENVELOPE, authenticity=Authenticity(dmarc=Dmarc(result=result)))
    assert judge(mail(attachment(GOOD)), envelope, RULE).verdict is ACCEPTED


@pytest.mark.parametrize(("parts", "verdict", "code"), [pytest.param(*c[1:], id=c[0]) for c in ATTACHMENTS])
def test_paused_changes_only_what_would_have_been_accepted(
    parts: list[Part], verdict: Verdict, code: Code | None
) -> None:
    expected = (IGNORED, Code.CONNECTION_PAUSED) if verdict is ACCEPTED else (verdict, code)
    assert verdict_of(*parts, paused=True) == expected


@pytest.mark.parametrize(
    ("header", "sender", "code"),
    [
        ({"own_trace": True}, ENVELOPE.sender, Code.LOOP),
        ({"received": 51}, ENVELOPE.sender, Code.LOOP),
        ({"received": 50}, ENVELOPE.sender, None),
        ({}, "", Code.BOUNCE),
        ({"content_type": "multipart/report"}, ENVELOPE.sender, Code.BOUNCE),
        ({"out_of_office": True}, ENVELOPE.sender, Code.AUTO_SUBMITTED),
    ],
)
def test_one_mark_is_enough(header: dict[str, Any], sender: str, code: Code | None) -> None:
    message = mail(attachment(GOOD), headers=replace(HEADERS, **header))
    assert judge(message, replace(ENVELOPE, sender=sender), RULE).code == code


def test_the_sentence_names_part_and_pattern() -> None:
    judgement = judge(mail(attachment("a.pdf")), ENVELOPE, RULE)
    assert judgement.message == f'The attachment "a.pdf" does not match the pattern "{PATTERN}".'


def test_the_sentence_counts_further_mismatches() -> None:
    judgement = judge(mail(attachment(GOOD), attachment("a.pdf"), attachment("b.pdf")), ENVELOPE, RULE)
    assert judgement.message == f'The attachment "a.pdf" does not match the pattern "{PATTERN}". (And 1 more.)'
    assert [part.code for part in judgement.parts] == [None, Code.NAME_NOT_MATCHED, Code.NAME_NOT_MATCHED]
    assert [part.name for part in judgement.counted] == [GOOD, "a.pdf", "b.pdf"]


def test_every_leaf_is_listed_whatever_the_verdict() -> None:
    message = mail(body(), attachment(GOOD), headers=replace(HEADERS, own_trace=True), fault=MALFORMED)
    assert [part.role for part in judge(message, ENVELOPE, RULE).parts] == [Role.NEVER, Role.COUNTED]


@given(
    st.lists(st.sampled_from([GOOD, OTHER, "a.pdf", "result_a.csv", "Receipt_b", "conversions_2026_a.csv"]), max_size=8)
)
def test_all_attachments_must_match_or_the_whole_mail_is_ignored(names: list[str]) -> None:
    own = [name for name in names if not name.lower().startswith(("receipt_", "result_"))]
    if own:
        expected = (ACCEPTED, None) if set(own) <= {GOOD, OTHER} else (IGNORED, Code.NAME_NOT_MATCHED)
    else:
        expected = (IGNORED, Code.RESERVED_PREFIX if names else Code.NO_ATTACHMENT)
    assert verdict_of(*(attachment(name) for name in names)) == expected
