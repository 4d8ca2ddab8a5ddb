"""Roles of leaves, in mails as Outlook, Apple Mail, Gmail, Exchange and list servers make them."""

from dataclasses import replace

import pytest

from matching.roles import UNNAMED, assign_roles
from models.codes import Code
from models.faults import Fault
from models.judgement import Role
from models.message import Message, Part
from tests.matching.mails import ALTERNATIVE, GOOD, MIXED, RELATED, RULE, attachment, body, forwarded, leaf, mail

COUNTED, SKIPPED, EMBEDDED, NEVER = Role.COUNTED, Role.SKIPPED, Role.EMBEDDED, Role.NEVER
MISMATCH = Code.NAME_NOT_MATCHED


def logo(filename: str | None = "image001.png", **more: object) -> Part:
    return leaf("image/png", filename, ancestors=RELATED, content_id="image001.png@01D", **more)  # type: ignore[arg-type]


MAILS: dict[str, tuple[Message, list[Role]]] = {
    "outlook: html with a logo, and the file": (
        mail(
            body(ancestors=(*RELATED, "multipart/alternative")),
            body("text/html", ancestors=(*RELATED, "multipart/alternative")),
            logo(disposition="inline", referenced=True),
            attachment(GOOD, "application/vnd.ms-excel", name=GOOD),
        ),
        [NEVER, NEVER, EMBEDDED, COUNTED],
    ),
    "apple mail: text, inline file, text": (
        mail(body(), leaf("text/csv", GOOD, disposition="inline"), body()),
        [NEVER, COUNTED, NEVER],
    ),
    "apple mail: two files with text between": (
        mail(
            body("text/html"),
            attachment(GOOD),
            body("text/html"),
            attachment("Conversions_2026_06.csv"),
            body("text/html"),
        ),
        [NEVER, COUNTED, NEVER, COUNTED, NEVER],
    ),
    "gmail: alternative, the file with an attachment id": (
        mail(
            body(ancestors=ALTERNATIVE),
            body("text/html", ancestors=ALTERNATIVE),
            attachment(GOOD, name=GOOD, content_id="f_lx1"),
        ),
        [NEVER, NEVER, COUNTED],
    ),
    "gmail: an invitation": (
        mail(
            body(ancestors=ALTERNATIVE),
            leaf("text/calendar", name="invite.ics", ancestors=ALTERNATIVE),
            attachment("invite.ics", "application/ics"),
        ),
        [NEVER, NEVER, COUNTED],
    ),
    "exchange: text cut into ATT files": (
        mail(
            body(),
            attachment(GOOD),
            attachment("ATT00001.txt", "text/plain"),
            attachment("ATT00002.htm", "text/html"),
        ),
        [NEVER, COUNTED, EMBEDDED, EMBEDDED],
    ),
    "a script: the file typed text/plain": (mail(body(), attachment(GOOD, "text/plain")), [NEVER, COUNTED]),
    "mutt: a file without a body": (mail(leaf("text/csv", GOOD, ancestors=())), [COUNTED]),
    "a name in Content-Type alone": (mail(body(), leaf("application/octet-stream", name=GOOD)), [NEVER, COUNTED]),
    "mailman: a footer behind the file": (
        mail(body(), attachment(GOOD), body(disposition="inline")),
        [NEVER, COUNTED, NEVER],
    ),
    "s/mime signed": (
        mail(body(), attachment(GOOD), attachment("smime.p7s", "application/pkcs7-signature")),
        [NEVER, COUNTED, NEVER],
    ),
    "s/mime signed, the older type": (
        mail(body(), attachment(GOOD), attachment("smime.p7s", "application/x-pkcs7-signature")),
        [NEVER, COUNTED, NEVER],
    ),
    "pgp signed, with the key": (
        mail(
            body(),
            attachment(GOOD),
            leaf("application/pgp-signature", "signature.asc"),
            attachment("OpenPGP_0x1.asc", "application/pgp-keys"),
        ),
        [NEVER, COUNTED, NEVER, NEVER],
    ),
    "a business card": (
        mail(body(), attachment(GOOD), attachment("ann.vcf", "text/vcard")),
        [NEVER, COUNTED, EMBEDDED],
    ),
    "a bounce": (
        mail(body(), leaf("message/delivery-status"), leaf("text/rfc822-headers")),
        [NEVER, NEVER, NEVER],
    ),
    "a read receipt": (mail(body(), leaf("message/disposition-notification")), [NEVER, NEVER]),
    "our errors file comes back": (
        mail(body(), attachment("Result_x.csv.errors.csv"), attachment("RECEIPT_x.txt", "text/plain")),
        [NEVER, SKIPPED, SKIPPED],
    ),
    "a photo": (mail(body(), attachment("photo.jpg", "image/jpeg")), [NEVER, COUNTED]),
    "a photo without a disposition": (mail(body(), leaf("image/jpeg", "photo.jpg")), [NEVER, COUNTED]),
    "an inline photo": (mail(body(), leaf("image/jpeg", "photo.jpg", disposition="inline")), [NEVER, EMBEDDED]),
    "a nameless inline image": (mail(body("text/html"), logo(None, disposition="inline")), [NEVER, EMBEDDED]),
    "a font that the html shows": (
        mail(body("text/html"), leaf("font/woff", "a.woff", referenced=True)),
        [NEVER, EMBEDDED],
    ),
    "a nameless attachment": (mail(body(), attachment(None)), [NEVER, COUNTED]),
    "a nameless attachment that is not text": (mail(body(), attachment(None, "application/zip")), [NEVER, COUNTED]),
    "a nameless text that the html shows": (mail(body("text/html"), body(referenced=True)), [NEVER, NEVER]),
    "neither name nor disposition": (mail(body(), leaf("application/octet-stream")), [NEVER, NEVER]),
    "a forwarded mail": (mail(body(), forwarded(attachment(GOOD))), [NEVER, COUNTED]),
    "a forwarded mail without a name": (mail(body(), forwarded(attachment(GOOD), filename=None)), [NEVER, COUNTED]),
    "an ordinary calendar file": (mail(body(), attachment("a.ics", "text/calendar")), [NEVER, COUNTED]),
    "a temporary name is an ordinary one": (mail(body(), attachment(".Conversions.tmp")), [NEVER, COUNTED]),
    "nearly an ATT name": (
        mail(body(), attachment("ATT0001.txt", "text/plain"), attachment("ATT00001.csv"), attachment("XATT00001.txt")),
        [NEVER, COUNTED, COUNTED, COUNTED],
    ),
}


@pytest.mark.parametrize("case", MAILS)
def test_roles(case: str) -> None:
    message, roles = MAILS[case]
    judged = assign_roles(message, RULE)
    assert [part.role for part in judged] == roles
    assert [part.part for part in judged] == list(message.parts)


@pytest.mark.parametrize("case", MAILS)
def test_codes_follow_the_names(case: str) -> None:
    for part in assign_roles(MAILS[case][0], RULE):
        if part.role is COUNTED:
            assert part.matched == part.name.startswith("Conversions_2026")
            assert part.code is (None if part.matched else MISMATCH)
            assert (part.message == "") == part.matched


EMBEDDED_PARTS = [
    logo("Conversions_2026_a.csv"),
    leaf("image/png", "Conversions_2026_a.csv", disposition="inline"),
    leaf("text/csv", "Conversions_2026_a.csv", referenced=True),
    attachment("Conversions_2026_a.csv", "text/vcard"),
]


@pytest.mark.parametrize("part", EMBEDDED_PARTS)
def test_an_embedded_part_counts_if_its_name_matches_a_telling_pattern(part: Part) -> None:
    assert assign_roles(mail(part), RULE)[0].role is COUNTED
    assert assign_roles(mail(part), replace(RULE, pattern="*"))[0].role is EMBEDDED


@pytest.mark.parametrize("part", EMBEDDED_PARTS)
def test_strict_attachments_count_what_is_embedded(part: Part) -> None:
    strict = replace(RULE, strict_attachments=True, pattern="Other_*.csv")
    (judged,) = assign_roles(mail(part), strict)
    assert (judged.role, judged.code) == (COUNTED, MISMATCH)
    assert assign_roles(mail(body(), logo(None)), strict)[1].name == UNNAMED


def test_an_att_file_counts_if_it_is_meant() -> None:
    part = attachment("ATT00001.txt", "text/plain")
    assert assign_roles(mail(part), replace(RULE, pattern="ATT*.txt"))[0].matched


def test_nothing_nameless_matches_even_a_bare_star() -> None:
    (judged,) = assign_roles(mail(attachment(None)), replace(RULE, pattern="*"))
    assert (judged.name, judged.matched, judged.code) == (UNNAMED, False, MISMATCH)
    assert '"(unnamed)" does not match the pattern "*"' in judged.message


@pytest.mark.parametrize(
    ("names", "kept", "others", "code"),
    [
        ({"extended": GOOD, "filename": GOOD, "name": GOOD}, GOOD, (), None),
        ({"extended": GOOD, "filename": "Conversions_2026_b.csv"}, GOOD, ("Conversions_2026_b.csv",), None),
        ({"filename": "Conversions_2026_b.csv", "name": GOOD}, "Conversions_2026_b.csv", (GOOD,), None),
        ({"extended": "a.csv", "name": "b.csv"}, "a.csv", ("b.csv",), MISMATCH),
        ({"extended": GOOD, "filename": "a.exe"}, GOOD, ("a.exe",), Code.NAME_AMBIGUOUS),
        ({"filename": "a.exe", "name": GOOD}, "a.exe", (GOOD,), Code.NAME_AMBIGUOUS),
        ({"filename": GOOD, "name": "result_a.csv"}, GOOD, ("result_a.csv",), Code.NAME_AMBIGUOUS),
        ({"filename": "b.csv", "name": "result_a.csv"}, "b.csv", ("result_a.csv",), Code.NAME_AMBIGUOUS),
        ({"filename": GOOD, "name": "a\x07.csv"}, GOOD, ("a\x07.csv",), Code.NAME_AMBIGUOUS),
        ({"filename": GOOD, "name": "winmail.dat"}, GOOD, ("winmail.dat",), Code.NAME_AMBIGUOUS),
        ({"filename": "", "name": GOOD}, "", (GOOD,), Code.NAME_AMBIGUOUS),
        ({"filename": "a\u202e.csv", "name": ""}, "a\u202e.csv", ("",), Code.NAME_INVALID),
        ({"filename": "dir/" + GOOD}, GOOD, (), None),
        ({"filename": "Conversions_2026_cafe\u0301.csv"}, "Conversions_2026_café.csv", (), None),
    ],
)
def test_several_names(names: dict[str, str], kept: str, others: tuple[str, ...], code: Code | None) -> None:
    (judged,) = assign_roles(mail(leaf("text/csv", disposition="attachment", **names)), RULE)  # type: ignore[arg-type]
    assert (judged.role, judged.name, judged.other_names, judged.code) == (COUNTED, kept, others, code)
    assert judged.message.isprintable()


def test_names_that_disagree_in_case_alone_are_judged_by_the_rule() -> None:
    part = leaf("text/csv", GOOD, name=GOOD.upper())
    assert assign_roles(mail(part), RULE)[0].code is Code.NAME_AMBIGUOUS
    assert assign_roles(mail(part), replace(RULE, case_sensitive=False))[0].matched


def test_an_invalid_name_of_a_logo_spoils_nothing() -> None:
    assert assign_roles(mail(logo("a\x07.png")), RULE)[0].role is EMBEDDED


def test_an_invalid_name_is_not_a_reserved_one() -> None:
    assert assign_roles(mail(attachment("result_\u202e.csv")), RULE)[0].code is Code.NAME_INVALID


@pytest.mark.parametrize(
    "part",
    [
        attachment("smime.p7m", "application/pkcs7-mime"),
        attachment("smime.p7m", "application/x-pkcs7-mime"),
        leaf("application/pgp-encrypted", ancestors=("multipart/encrypted",)),
        leaf("application/octet-stream", "encrypted.asc", ancestors=("multipart/encrypted",)),
        attachment(GOOD, ancestors=(*MIXED, "multipart/encrypted")),
    ],
)
def test_encrypted(part: Part) -> None:
    (judged,) = assign_roles(mail(part), replace(RULE, pattern="*"))
    assert (judged.role, judged.code) == (COUNTED, Code.ENCRYPTED)


@pytest.mark.parametrize(
    "part",
    [
        attachment("winmail.dat", "application/ms-tnef"),
        attachment("WinMail.DAT", "application/octet-stream"),
        leaf("application/ms-tnef"),
        attachment(GOOD, "application/vnd.ms-tnef"),
    ],
)
@pytest.mark.parametrize("pattern", [RULE.pattern, "*", "*.dat"])
def test_winmail(part: Part, pattern: str) -> None:
    (judged,) = assign_roles(mail(part), replace(RULE, pattern=pattern))
    assert (judged.role, judged.code) == (COUNTED, Code.TNEF_UNREADABLE)


DAMAGED = Fault(code=Code.ATTACHMENT_DAMAGED, message="Its transfer encoding x-unknown is not known.")


def test_a_fault_shows_only_where_the_name_does_not_decide() -> None:
    matched, mismatched, skipped, embedded = assign_roles(
        mail(
            attachment(GOOD, fault=DAMAGED),
            attachment("a.pdf", fault=DAMAGED),
            attachment("result_a", fault=DAMAGED),
            logo(fault=DAMAGED),
        ),
        RULE,
    )
    assert (matched.code, matched.message, matched.matched) == (DAMAGED.code, DAMAGED.message, True)
    assert mismatched.code is MISMATCH
    assert skipped.code is Code.RESERVED_PREFIX
    assert embedded.code is None


OPEN = replace(RULE, open_forwarded=True)


def test_the_attachments_of_an_opened_mail_take_its_place() -> None:
    message = mail(body(), forwarded(body(), logo(), attachment(GOOD)), attachment("Conversions_2026_b.csv"))
    judged = assign_roles(message, OPEN)
    assert [(part.role, part.name) for part in judged] == [
        (NEVER, ""),
        (NEVER, "Fwd.eml"),
        (NEVER, ""),
        (EMBEDDED, "image001.png"),
        (COUNTED, GOOD),
        (COUNTED, "Conversions_2026_b.csv"),
    ]
    assert judged[1].code is None
    assert "opened" in judged[1].message


def test_a_bare_star_opens_too_but_a_telling_match_keeps_the_mail_whole() -> None:
    message = mail(forwarded(attachment(GOOD)))
    assert [p.name for p in assign_roles(message, replace(OPEN, pattern="*")) if p.role is COUNTED] == [GOOD]
    assert [p.name for p in assign_roles(message, replace(OPEN, pattern="*.eml"))] == ["Fwd.eml"]


def test_a_nameless_forwarded_mail_is_opened_too() -> None:
    message = mail(forwarded(attachment(GOOD), filename=None))
    assert [(p.role, p.name) for p in assign_roles(message, OPEN)] == [(NEVER, ""), (COUNTED, GOOD)]


def test_what_is_wrong_inside_a_mail_that_stays_shut_is_not_asked() -> None:
    (judged,) = assign_roles(mail(forwarded(fault=DAMAGED)), replace(RULE, pattern="*.eml"))
    assert (judged.matched, judged.code) == (True, None)


@pytest.mark.parametrize(("depth", "counted"), [(1, GOOD), (2, GOOD), (3, GOOD), (4, "Fwd.eml"), (5, "Fwd.eml")])
def test_opened_three_deep(depth: int, counted: str) -> None:
    part = attachment(GOOD)
    for _ in range(depth):
        part = forwarded(part)
    assert [p.name for p in assign_roles(mail(part), OPEN) if p.role is COUNTED] == [counted]


def test_a_forwarded_mail_that_was_not_read_counts_itself() -> None:
    (judged,) = assign_roles(mail(leaf("message/rfc822", "Fwd.eml")), OPEN)
    assert (judged.role, judged.code) == (COUNTED, MISMATCH)


def test_a_reserved_name_keeps_a_forwarded_mail_shut() -> None:
    (judged,) = assign_roles(mail(forwarded(attachment(GOOD), filename="Receipt_a.eml")), OPEN)
    assert judged.role is SKIPPED


def test_an_opened_mail_that_cannot_be_read_carries_its_fault() -> None:
    (judged,) = assign_roles(mail(forwarded(fault=DAMAGED)), OPEN)
    assert (judged.role, judged.code, judged.message) == (NEVER, DAMAGED.code, DAMAGED.message)
