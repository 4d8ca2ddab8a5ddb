"""What becomes of a mail, as the door says it and as the history shows it."""

import asyncio
import sqlite3
import threading
from base64 import encodebytes
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.house import ADDRESS, CONNECTION, DOMAIN, Inside, conversions, digest, inside, mail, open_inside, wait_until
from tests.smtp.wire import stuffed, wire

NAME = "Conversions_2026_a.csv"
EMAILS = f"acme-emails-y8@{DOMAIN}"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000154a24f5d0000000049454e44ae426082"
)


def delivered(house: Inside, raw: bytes, *to: str, sender: str = "batch@acme.example") -> str:
    with wire(house.port) as client:
        return client.deliver(raw, to or (ADDRESS,), sender)


def words(answer: str) -> tuple[str, str]:
    """Give what stands before the trace id of an answer, and the trace id."""
    before, _, trace_id = answer.rpartition(" ")
    assert len(trace_id) == 26, answer
    return before, trace_id


# --- several connections, and the same again


def test_one_mail_to_two_connections_is_two_deliveries(house: Inside) -> None:
    content = conversions()
    answer = delivered(house, mail([(NAME, content)]), ADDRESS, EMAILS)
    new = {one["connection"]: one for one in house.uploads_of(digest(content))}
    first, second = new["acme-conversions"], new["acme-emails"]
    assert answer == f"250 2.0.0 accepted {first['trace_id']}; accepted {second['trace_id']}"
    assert first["trace_id"] != second["trace_id"]
    assert first["status"] == second["status"] == "import_job_created"


def test_each_connection_of_a_mail_has_its_own_verdict(house: Inside) -> None:
    content = conversions()
    answer = delivered(house, mail([("other.csv", content)]), EMAILS, ADDRESS)
    new = {one["connection"]: one for one in house.uploads_of(digest(content))}
    assert answer == (
        f"250 2.0.0 accepted {new['acme-emails']['trace_id']}; "
        f"ignored NAME_NOT_MATCHED {new['acme-conversions']['trace_id']}"
    )


def test_the_same_mail_again_is_told_the_first_trace_id(house: Inside) -> None:
    content = conversions()
    raw = mail([(NAME, content)])
    before, first = words(delivered(house, raw))
    assert before == "250 2.0.0 accepted"
    for _ in range(3):
        assert delivered(house, raw) == f"250 2.0.0 duplicate {first}"
    assert len(house.uploads_of(digest(content))) == 1
    assert [event for event in house.detail(first)["events"] if "ALREADY_SEEN" in event["why"]]


def test_the_same_mail_to_two_connections_again_is_told_both(house: Inside) -> None:
    raw = mail([(NAME, conversions())])
    answer = delivered(house, raw, ADDRESS, EMAILS)
    assert delivered(house, raw, ADDRESS, EMAILS) == answer.replace("accepted", "duplicate")


def test_a_mail_without_message_id_is_known_by_sender_date_and_subject(house: Inside) -> None:
    content = conversions()
    raw = mail([(NAME, content)], message_id="")
    _, first = words(delivered(house, raw))
    assert delivered(house, raw) == f"250 2.0.0 duplicate {first}"
    later = mail([(NAME, content)], message_id="", Date="Sat, 21 Nov 2026 09:00:00 +0000")
    assert words(delivered(house, later))[1] != first


def test_the_same_content_in_a_new_mail_is_a_duplicate_of_its_own(house: Inside) -> None:
    content = conversions()
    _, first = words(delivered(house, mail([(NAME, content)])))
    before, second = words(delivered(house, mail([("Conversions_2026_b.csv", content)])))
    assert before == "250 2.0.0 duplicate"
    assert second != first
    new, _ = house.uploads_of(digest(content))
    assert (new["status"], new["code"]) == ("duplicate", "DUPLICATE_FILE")
    assert first in new["message"]


def test_other_content_under_the_same_message_id_is_another_delivery(house: Inside) -> None:
    contents = [conversions(), conversions()]
    for content in contents:
        answer = delivered(house, mail([(NAME, content)], message_id="same@acme.example"))
        assert answer.startswith("250 2.0.0 accepted ")
    assert all(len(house.uploads_of(digest(content))) == 1 for content in contents)


def test_a_duplicate_beside_a_new_file_is_accepted(house: Inside) -> None:
    old, new = conversions(), conversions()
    delivered(house, mail([(NAME, old)]))
    before, trace_id = words(delivered(house, mail([(NAME, old), ("Conversions_2026_b.csv", new)])))
    assert before == "250 2.0.0 accepted"
    statuses = {one["file_name"]: one["status"] for one in house.uploads() if one["trace_id"] == trace_id}
    assert statuses == {NAME: "duplicate", "Conversions_2026_b.csv": "import_job_created"}


async def test_a_duplicate_is_forgotten_after_its_time(folder: Path) -> None:
    now = [datetime(2026, 11, 21, 8, tzinfo=UTC)]
    content = conversions()

    async with open_inside(folder, clock=lambda: now[0], limits={"duplicate_days": 30}) as house:

        async def word() -> str:
            return words(await asyncio.to_thread(delivered, house, mail([(NAME, content)])))[0]

        assert await word() == "250 2.0.0 accepted"
        now[0] += timedelta(days=29)
        assert await word() == "250 2.0.0 duplicate"
        now[0] += timedelta(days=2)
        assert await word() == "250 2.0.0 accepted"


# --- what is taken and what is not


def test_a_name_that_does_not_match_ignores_the_mail(house: Inside) -> None:
    good, bad = conversions(), conversions()
    raw = mail([(NAME, good), ("Sales_2026.csv", bad)])
    before, trace_id = words(delivered(house, raw))
    assert before == "250 2.0.0 ignored NAME_NOT_MATCHED"
    statuses = [one["status"] for one in house.uploads() if one["trace_id"] == trace_id]
    assert statuses == ["ignored", "ignored"]
    assert [one["kind"] for one in house.detail(trace_id)["answers"]] == ["receipt"]


def test_a_logo_beside_the_file_does_not_spoil_it(house: Inside) -> None:
    content = conversions()
    raw = mail([(NAME, content)], text="See the file.\n")
    boundary = raw.partition(b'boundary="')[2].partition(b'"')[0]
    logo = (
        b"--" + boundary + b"\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: inline; filename="logo.png"\r\nContent-ID: <logo@acme>\r\n\r\n'
        + base64_lines(PIXEL) + b"--" + boundary + b"--"
    )  # fmt: skip
    before, trace_id = words(delivered(house, raw.replace(b"--" + boundary + b"--", logo)))
    assert before == "250 2.0.0 accepted"
    assert [one["file_name"] for one in house.uploads() if one["trace_id"] == trace_id] == [NAME]
    assert [part["name"] for part in house.detail(trace_id)["other_parts"] if part["name"]] == ["logo.png"]


def base64_lines(data: bytes) -> bytes:
    return encodebytes(data).replace(b"\n", b"\r\n")


@pytest.mark.parametrize("name", ["receipt_x.csv.txt", "RESULT_x.csv.json", "result_x.errors.csv"])
def test_our_own_answers_are_skipped(house: Inside, name: str) -> None:
    content = conversions()
    assert delivered(house, mail([(name, b"a"), (NAME, content)])).startswith("250 2.0.0 accepted ")
    assert delivered(house, mail([(name, b"a")])).startswith("250 2.0.0 ignored RESERVED_PREFIX ")


@pytest.mark.parametrize(
    ("raw", "sender", "code"),
    [
        (mail([(NAME, conversions())]), "", "BOUNCE"),
        (mail([(NAME, conversions())], Mailgate_Trace_Id="0" * 26), "batch@acme.example", "LOOP"),
        (mail([(NAME, conversions())], Auto_Submitted="auto-replied"), "batch@acme.example", "AUTO_SUBMITTED"),
        (b"Received: by a\r\n" * 51 + mail([(NAME, conversions())]), "batch@acme.example", "LOOP"),
        (mail(), "batch@acme.example", "NO_ATTACHMENT"),
    ],
    ids=["null sender", "own trace", "auto-replied", "many Received", "no attachment"],
)
def test_what_is_ignored(house: Inside, raw: bytes, sender: str, code: str) -> None:
    before, trace_id = words(delivered(house, raw, sender=sender))
    assert before == f"250 2.0.0 ignored {code}"
    answers = house.detail(trace_id)["answers"]
    assert len(answers) == (1 if code == "NO_ATTACHMENT" else 0)


@pytest.mark.parametrize("mark", [{"Auto_Submitted": "auto-generated"}, {"Precedence": "bulk"}])
def test_how_honest_scripts_mark_their_mail_is_no_ground(house: Inside, mark: dict[str, str]) -> None:
    assert delivered(house, mail([(NAME, conversions())], **mark)).startswith("250 2.0.0 accepted ")


def damaged(name: str) -> bytes:
    """Build a mail whose file has a character in its base64 that does not belong there."""
    lines = base64_lines(conversions(5))
    return mail([(name, b"@")], Subject="Broken file").replace(base64_lines(b"@"), lines[:90] + b"*" + lines[90:])


def test_damaged_base64_is_rejected_and_only_the_header_block_kept(house: Inside) -> None:
    raw = damaged(NAME)
    stored = set(house.stored())
    before, trace_id = words(delivered(house, raw))
    assert before == "550 5.6.0 ATTACHMENT_DAMAGED"
    ((block,),) = house.rows("select header_block from delivery where trace_id = ?", trace_id)
    assert b"Subject: Broken file\r\n" in block
    assert NAME.encode() not in block
    (upload,) = [one for one in house.uploads() if one["trace_id"] == trace_id]
    assert (upload["delivery_verdict"], upload["status"]) == ("rejected", "upload_failed")
    assert house.rows("select blob from upload where trace_id = ?", trace_id) == [(None,)]
    assert set(house.stored()) == stored
    assert house.detail(trace_id)["answers"] == []  # the sender's own server tells
    # It is not remembered as the same mail: the sender may try again.
    assert words(delivered(house, raw))[1] != trace_id


def test_a_rejected_delivery_behind_a_250_is_owed_a_receipt(house: Inside) -> None:
    answer = delivered(house, damaged("damaged.csv"), EMAILS, ADDRESS)
    rejected, ignored = answer.removeprefix("250 2.0.0 ").split("; ")
    assert rejected.startswith("rejected ATTACHMENT_DAMAGED ")
    assert ignored.startswith("ignored NAME_NOT_MATCHED ")
    assert [one["kind"] for one in house.detail(words(rejected)[1])["answers"]] == ["receipt"]


@pytest.mark.parametrize(
    "header",
    [
        b"Subject: \xff\xfe",
        b"From: \xff <a@b.example>",
        b"Message-ID: <\xff@x>",
        b"References: \xff",
        b"Date: \xff",
        b"X-\xff: a",
        b"Subject: =?utf-8?q?=ff=fe?=",
        b"Subject: =?x?q?a?=",
    ],
)
def test_bytes_in_headers_that_are_no_text_do_not_hold_up_a_mail(house: Inside, header: bytes) -> None:
    raw = mail([(NAME, conversions())])
    name = header.partition(b":")[0]
    lines = [line for line in raw.partition(b"\r\n\r\n")[0].split(b"\r\n") if not line.startswith(name + b":")]
    raw = b"\r\n".join([header, *lines]) + b"\r\n\r\n" + raw.partition(b"\r\n\r\n")[2]
    answer = delivered(house, raw)
    assert not answer.startswith("4"), answer


# --- a rule that changes


def test_a_paused_connection_holds_what_it_would_take(folder: Path) -> None:
    content, bad = conversions(), conversions()
    with inside(folder) as house:
        house.set_state("acme-conversions", "paused")
        raw = mail([(NAME, content)])
        before, trace_id = words(delivered(house, raw))
        assert before == "250 2.0.0 ignored CONNECTION_PAUSED"
        (upload,) = house.uploads_of(digest(content))
        assert upload["status"] == "held"
        assert len(house.stored()) == 1
        assert delivered(house, raw) == f"250 2.0.0 ignored CONNECTION_PAUSED {trace_id}"
        assert delivered(house, mail([("x.csv", bad)])).startswith("250 2.0.0 ignored NAME_NOT_MATCHED ")


def test_a_deleted_connection_has_no_address_within_two_seconds(folder: Path) -> None:
    with inside(folder) as house:
        assert delivered(house, mail([(NAME, conversions())])).startswith("250 ")
        house.set_state("acme-conversions", "deleted")
        with wire(house.port) as client:
            client.say("MAIL FROM:<a@acme.example>")
            wait_until(lambda: client.say(f"RCPT TO:<{ADDRESS}>").startswith("550 5.1.1 "), 2)


def test_a_connection_deleted_in_mid_mail_is_refused_for_now(folder: Path) -> None:
    with inside(folder) as house, wire(house.port) as client:
        client.envelope()
        house.set_state("acme-conversions", "deleted")
        client.send(stuffed(mail([(NAME, conversions())])))
        assert client.reply().startswith("451 4.3.0 ")
        assert house.uploads() == []
        assert house.stored() == []


def test_a_rule_changed_in_mid_mail_is_obeyed(folder: Path) -> None:
    with inside(folder) as house, wire(house.port) as client:
        client.envelope()
        house.apply(CONNECTION.replace("_202?_*", "_1999_*"))
        client.send(stuffed(mail([(NAME, conversions())])))
        assert client.reply().startswith("250 2.0.0 ignored NAME_NOT_MATCHED ")
        house.apply(CONNECTION)
        assert client.deliver(mail([(NAME, conversions())])).startswith("250 2.0.0 accepted ")


def test_a_new_connection_has_an_address_within_two_seconds(folder: Path) -> None:
    with inside(folder, "") as house, wire(house.port) as client:
        client.say("MAIL FROM:<a@acme.example>")
        assert client.say(f"RCPT TO:<{ADDRESS}>").startswith("550 5.1.1 ")
        house.apply(CONNECTION)
        wait_until(lambda: client.say(f"RCPT TO:<{ADDRESS}>").startswith("250 "), 2)


# --- a database that is busy


def test_a_locked_database_refuses_for_now_and_keeps_nothing(folder: Path) -> None:
    content = conversions()
    raw = mail([(NAME, content)])
    with inside(folder) as house:
        sa.event.listen(house.house.engine, "connect", _impatient)
        house.house.engine.dispose()  # the next connections are impatient
        with wire(house.port) as client:
            client.envelope()
            other = sqlite3.connect(house.settings.database_path, isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            client.send(stuffed(raw))
            assert client.reply().startswith("451 4.3.0 ")
            other.execute("ROLLBACK")
            other.close()
            assert house.uploads() == []
            assert house.spooled() == []
            assert client.deliver(raw).startswith("250 2.0.0 accepted ")
        assert len(house.uploads_of(digest(content))) == 1


def _impatient(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA busy_timeout=200")


def test_mails_that_come_at_the_same_time_are_all_told_their_own(house: Inside) -> None:
    contents = [conversions() for _ in range(24)]
    answers: dict[str, str] = {}

    def send(mine: list[bytes]) -> None:
        with wire(house.port) as client:
            for content in mine:
                answers[digest(content)] = client.deliver(mail([(NAME, content)]))

    threads = [threading.Thread(target=send, args=(contents[place::6],)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 24
    for content in contents:
        (upload,) = house.uploads_of(digest(content))
        assert answers[digest(content)] == f"250 2.0.0 accepted {upload['trace_id']}"


def test_the_same_mail_at_the_same_time_is_one_delivery(house: Inside) -> None:
    content = conversions()
    raw = mail([(NAME, content)])
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(delivered(house, raw))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(words(answer)[0] for answer in answers) == ["250 2.0.0 accepted"] + ["250 2.0.0 duplicate"] * 7
    assert len({words(answer)[1] for answer in answers}) == 1
    assert len(house.uploads_of(digest(content))) == 1
