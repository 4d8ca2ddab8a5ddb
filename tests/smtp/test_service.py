"""The door in the running service: what is asked of it and answered by it, seen from outside only."""

import json
from email.message import EmailMessage
from typing import Any

from tests.house import ADDRESS, CONNECTION, DOMAIN, SENDER, RunningService, conversions, digest, mail, wait_until
from tests.smtp.wire import wire

NAME = "Conversions_2026_a.csv"


def delivered(service: RunningService, raw: bytes, *to: str, sender: str = SENDER) -> str:
    with wire(service.port) as client:
        return client.deliver(raw, to or (ADDRESS,), sender)


def trace_id_of(answer: str) -> str:
    return answer.rpartition(" ")[2]


def answers(service: RunningService, trace_id: str, count: int) -> list[EmailMessage]:
    return wait_until(lambda: found if len(found := service.outbox(trace_id)) >= count else [], 30)


def attached(answer: EmailMessage, ending: str) -> str:
    (part,) = [one for one in answer.iter_attachments() if (one.get_filename() or "").endswith(ending)]
    content = part.get_content()
    return content.decode() if isinstance(content, bytes) else str(content)


def receipt(answer: EmailMessage) -> dict[str, str]:
    """Read the receipt that an answer carries."""
    lines = [line.partition(": ") for line in attached(answer, ".txt").splitlines() if line]
    return {key.rstrip(":"): value for key, _, value in lines}


def test_a_mail_is_imported_and_answered(service: RunningService) -> None:
    content = conversions(3)
    answer = delivered(service, mail([(NAME, content)], message_id="whole@acme.example"))
    trace_id = trace_id_of(answer)
    first, second = answers(service, trace_id, 2)
    assert (first["Subject"], second["Subject"]) == (f"[Receipt] {NAME}", f"[Result: completed] {NAME}")
    assert first["To"] == SENDER
    said = receipt(first)
    assert (said["trace_id"], said["sha256"], said["door"]) == (trace_id, digest(content), "smtp")
    result: dict[str, Any] = json.loads(attached(second, ".json"))
    assert (result["status"], result["total_rows"], result["successful_rows"]) == ("completed", 3, 3)
    (upload,) = [one for one in service.uploads() if one["trace_id"] == trace_id]
    assert (upload["status"], upload["import"]["status"]) == ("import_job_created", "completed")
    # Once more: the same mail, and the same content in another mail.
    again = delivered(service, mail([(NAME, content)], message_id="whole@acme.example"))
    assert again == f"250 2.0.0 duplicate {trace_id}"
    other = delivered(service, mail([(NAME, content)]))
    assert other.startswith("250 2.0.0 duplicate ")
    assert trace_id_of(other) != trace_id
    (told,) = answers(service, trace_id_of(other), 1)
    assert (receipt(told)["status"], receipt(told)["duplicate_of"]) == ("duplicate", trace_id)
    assert len(service.outbox(trace_id)) == 2


def test_what_must_not_be_answered_is_not(service: RunningService) -> None:
    mails = [
        (mail([(NAME, conversions())]), ""),
        (mail([(NAME, conversions())], Mailgate_Trace_Id="0" * 26), SENDER),
        (mail([(NAME, conversions())], Auto_Submitted="auto-replied"), SENDER),
        (mail([("receipt_a.txt", b"a")]), SENDER),
    ]
    words = ["BOUNCE", "LOOP", "AUTO_SUBMITTED", "RESERVED_PREFIX"]
    silent = []
    for (raw, sender), word in zip(mails, words, strict=True):
        answer = delivered(service, raw, sender=sender)
        assert answer.startswith(f"250 2.0.0 ignored {word} ")
        silent.append(trace_id_of(answer))
    # What came after them is answered; by then they would have been.
    answers(service, trace_id_of(delivered(service, mail([(NAME, conversions())]))), 2)
    assert [service.outbox(trace_id) for trace_id in silent] == [[], [], [], []]


def test_an_answer_of_ours_that_comes_back_is_a_loop(service: RunningService) -> None:
    trace_id = trace_id_of(delivered(service, mail([(NAME, conversions())])))
    first, _ = answers(service, trace_id, 2)
    for sender in ("", SENDER):
        back = delivered(service, first.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), sender=sender)
        assert back.startswith("250 2.0.0 ignored LOOP ")
        assert service.outbox(trace_id_of(back)) == []


def test_a_mail_that_was_not_taken_is_told_once(service: RunningService) -> None:
    raw = mail([("Sales.csv", conversions())])
    trace_id = trace_id_of(delivered(service, raw))
    assert delivered(service, raw) == f"250 2.0.0 ignored NAME_NOT_MATCHED {trace_id}"
    (told,) = answers(service, trace_id, 1)
    said = receipt(told)
    assert (said["status"], said["code"]) == ("ignored", "NAME_NOT_MATCHED")
    assert "Sales.csv" in said["message"]
    assert "Conversions_202?_*.csv" in said["message"]


def test_what_a_paused_connection_held_is_imported_when_it_is_resumed(service: RunningService) -> None:
    content = conversions()
    service.mailgate("connection", "pause", "acme-conversions")
    answer = wait_until(lambda: _held(service, content), 5)
    trace_id = trace_id_of(answer)
    assert service.rows("select status from upload where trace_id = ?", trace_id) == [("held",)]
    told = answers(service, trace_id, 1)[0]
    assert receipt(told)["code"] == "CONNECTION_PAUSED"
    released = service.mailgate("connection", "resume", "acme-conversions", "--import-held")
    assert released["released"] == [trace_id]
    wait_until(lambda: service.rows("select 1 from attempt where status = 'completed' and upload_id = ?", trace_id))
    (upload,) = [one for one in service.uploads() if one["sha256"] == digest(content)]
    assert (upload["status"], upload["import"]["status"]) == ("import_job_created", "completed")


def _held(service: RunningService, content: bytes) -> str:
    answer = delivered(service, mail([(NAME, content)]))
    return answer if answer.startswith("250 2.0.0 ignored CONNECTION_PAUSED ") else ""


def test_a_file_of_connections_is_obeyed_within_two_seconds(service: RunningService) -> None:
    assert delivered(service, mail([("Changed_1.csv", conversions())])).startswith("250 2.0.0 ignored ")
    service.apply(CONNECTION.replace("Conversions_202?_*.csv", "Changed_*.csv"))
    try:
        wait_until(lambda: delivered(service, mail([("Changed_2.csv", conversions())])).startswith("250 2.0.0 acc"), 2)
    finally:
        service.apply(CONNECTION)
    wait_until(lambda: delivered(service, mail([(NAME, conversions())])).startswith("250 2.0.0 accepted "), 2)


def test_a_deleted_connection_is_obeyed_within_two_seconds(service: RunningService) -> None:
    service.apply(CONNECTION.replace("acme-conversions", "acme-gone"))
    with wire(service.port) as client:
        client.say(f"MAIL FROM:<{SENDER}>")
        wait_until(lambda: client.say(f"RCPT TO:<acme-gone-x7@{DOMAIN}>").startswith("250 "), 2)
        service.mailgate("connection", "delete", "acme-gone")
        wait_until(lambda: client.say(f"RCPT TO:<acme-gone-x7@{DOMAIN}>").startswith("550 5.1.1 "), 2)


def test_the_log_names_every_delivery_once(service: RunningService) -> None:
    odd = "Conversions_2026_\N{RIGHT-TO-LEFT OVERRIDE}\N{SNOWMAN}.csv"
    answer = delivered(service, mail([(odd, conversions())]))
    trace_id = trace_id_of(answer)
    lines = wait_until(lambda: [line for line in service.log() if line.get("trace_id") == trace_id])
    assert [line["event"] for line in lines].count("delivery") == 1


def test_nothing_failed_on_the_way(service: RunningService) -> None:
    assert [line for line in service.log() if line["level"] in ("error", "critical")] == []
