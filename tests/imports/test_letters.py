"""What our answers say: receipts, results, and mails that nobody can bend."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imports.letters import Attachment, Letter, Posting, compose, receipt_letter, receipt_text
from imports.workers import ParsePool
from models.codes import Code
from models.faults import Fault, PermanentError
from models.states import ImportStatus, Verdict
from models.tables import Connection, Delivery, Upload
from tests.imports.support import Courier, Pool, body, conversions, emptied, files, importer, post, read, shown, summary
from tests.storage.support import BACK, DOMAIN, START, Store

KEYS = [
    "trace_id", "upload", "connection", "data_type", "door", "file_name", "received_at", "bytes", "sha256", "status",
    "code", "message", "message_id", "duplicate_of", "support_contact",
]  # fmt: skip
RESULT_KEYS = [
    "trace_id", "upload", "parent_trace_id", "connection", "data_type", "file_name", "sha256", "status", "attempt",
    "total_rows", "successful_rows", "unchanged_rows", "error_rows", "not_applied_rows", "blank_rows", "warnings",
    "encoding", "byte_order_mark", "delimiter", "header", "started_at", "finished_at", "errors_file", "top_errors",
    "code", "message", "support_contact",
]  # fmt: skip
HEADERS = [
    "From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
    "X-Auto-Response-Suppress", "Mailgate-Trace-Id", "MIME-Version", "Content-Type",
]  # fmt: skip


def receipt_of(text: bytes | str) -> dict[str, str]:
    lines = (text.decode() if isinstance(text, bytes) else text).splitlines()
    return {key: value for key, _, value in (line.partition(": ") for line in lines)}


def kinds(courier: Courier) -> list[tuple[str, str]]:
    """Give what went out: kind, and the word of its subject."""
    return [(reply.kind, str(read(reply.message)["Subject"]).partition("]")[0][1:]) for reply in courier.replies]


async def answered(store: Store, pool: Any = None) -> Courier:
    """Run every import that waits, and hand over every answer."""
    courier = Courier()
    for upload, number in list(store.queue.jobs):
        await importer(store, pool or Pool()).run(upload, number)
    store.queue.jobs.clear()
    await emptied(post(store, courier))
    courier.replies.sort(key=lambda reply: (reply.trace_id, reply.kind, reply.sequence))  # several go at once
    return courier


# Who is answered (formats.md): what goes to the return address.
PAUSED: dict[str, Any] = {"verdict": Verdict.IGNORED, "code": Code.NAME_NOT_MATCHED}
ANSWERS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "accepted": ({}, [("receipt", "Receipt"), ("result", "Result: completed")]),
    "ignored for a name": (
        {"verdict": Verdict.IGNORED, "code": Code.NAME_NOT_MATCHED, "message": "x.csv does not match"},
        [("receipt", "Receipt")],
    ),
    "ignored for another reason": ({"verdict": Verdict.IGNORED, "code": Code.SENDER_NOT_ALLOWED}, []),
    "rejected on the spot": ({"verdict": Verdict.REJECTED, "code": Code.ENCRYPTED}, []),
    "a dry run": ({"dry_run": True}, [("receipt", "Receipt"), ("result", "Result: completed")]),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("back", [BACK, ""])
async def test_who_is_answered(store: Store, name: str, back: str) -> None:
    more, expected = ANSWERS[name]
    store.deliver(store.connect(back=back), b"A", **more)
    courier = await answered(store)
    assert kinds(courier) == (expected if back else [])
    assert {mail["To"] for mail in courier.mails} <= {back}


async def test_a_duplicate_is_answered_by_a_receipt_alone(store: Store) -> None:
    ref = store.connect()
    first = store.deliver(ref, b"A")
    await answered(store)
    store.deliver(ref, b"A")
    courier = await answered(store)
    assert kinds(courier) == [("receipt", "Receipt")]
    (name, text), = files(courier.mails[0]).items()  # fmt: skip
    assert name == "receipt_a.csv.txt"
    assert receipt_of(text)["status"] == "duplicate"
    assert receipt_of(text)["duplicate_of"] == first.trace_id
    assert "NOT imported again" in body(courier.mails[0])


async def test_the_same_mail_again_is_not_answered(store: Store) -> None:
    ref = store.connect()
    store.deliver(ref, b"A", message_id="<1@x>")
    await answered(store)
    store.deliver(ref, b"A", message_id="<1@x>")
    assert kinds(await answered(store)) == []


async def test_an_answer_goes_where_answers_go_now(store: Store) -> None:
    store.deliver(store.connect(back="old@acme.example"), b"A")
    await answered(store)
    store.connect(back="new@acme.example")
    store.deliver(store.ref(), b"B")
    assert {mail["To"] for mail in (await answered(store)).mails} == {"new@acme.example"}


def test_the_keys_of_a_receipt_stand_in_their_order(store: Store) -> None:
    ref = store.connect()
    data = conversions()
    trace_id = store.deliver(ref, store.file(data, "Conversions_1.csv"), message_id="<1@x>").trace_id
    delivery, upload = store.get(Delivery, trace_id), store.get(Upload, trace_id)
    text = receipt_text(delivery, upload, store.all(Connection)[0], "help@intake.test")
    assert [line.partition(":")[0] for line in text.splitlines()] == KEYS
    expected = {
        "trace_id": trace_id, "upload": trace_id, "connection": "acme-conversions", "data_type": "conversions",
        "door": "smtp", "file_name": "Conversions_1.csv", "received_at": "2026-11-21T12:00:00.000Z",
        "bytes": str(len(data)), "sha256": upload.sha256, "status": "import_job_created", "message_id": "<1@x>",
        "support_contact": "help@intake.test",
    }  # fmt: skip
    assert {key: receipt_of(text)[key] for key in expected} == expected
    assert "code:\nmessage:\n" in text


@pytest.mark.parametrize("name", ["two  spaces.csv", "a\u00a0b.csv", "名前　.csv", "می‌خواهم.csv", "a: b.csv", " a.csv"])
def test_a_receipt_gives_the_name_as_it_was(store: Store, name: str) -> None:
    trace_id = store.deliver(store.connect(), store.paper(b"A", name)).trace_id
    text = receipt_text(store.get(Delivery, trace_id), store.get(Upload, trace_id), store.all(Connection)[0], "")
    assert receipt_of(text)["file_name"] == name


@pytest.mark.parametrize(
    "name", ["a\nstatus: accepted.csv", "a\r\nb", "a\u2028b", "a\x85b", "a\u202eb", "a\x00b", "a\x1bb"]
)
def test_no_name_breaks_a_line_of_a_receipt(store: Store, name: str) -> None:
    trace_id = store.deliver(store.connect(), store.paper(b"A", name)).trace_id
    text = receipt_text(store.get(Delivery, trace_id), store.get(Upload, trace_id), store.all(Connection)[0], "")
    assert [line.partition(":")[0] for line in text.splitlines()] == KEYS
    assert text.replace("\n", "").isprintable()


async def test_a_mail_without_files_has_a_receipt_of_its_own(store: Store) -> None:
    outcome = store.ignored(store.connect(), Code.NO_ATTACHMENT, subject="Numbers for October")
    (mail,) = (await answered(store)).mails
    assert mail["Subject"] == "[Receipt] Numbers for October"
    assert list(files(mail)) == [f"receipt_{outcome.trace_id}.txt"]
    assert "NOTHING was imported" in body(mail)
    assert "NO_ATTACHMENT" in body(mail)


async def test_several_files_are_told_of_in_one_mail(store: Store) -> None:
    ref = store.connect()
    names = ["a.csv", "b.csv", "a.csv"]
    store.deliver(ref, *(store.paper(name.encode() + bytes([n]), name) for n, name in enumerate(names)))
    pool = Pool([summary(), summary(ImportStatus.COMPLETED_WITH_ERRORS, entries=1), summary()])
    for blob in {upload.blob for upload in store.all(Upload)}:
        _store_under(store, str(blob))
    receipt, result = (await answered(store, pool)).mails
    assert receipt["Subject"] == "[Receipt] a.csv (+2 more)"
    assert list(files(receipt)) == ["receipt_a.csv.1.txt", "receipt_b.csv.txt", "receipt_a.csv.2.txt"]
    assert result["Subject"] == "[Result: completed with errors] a.csv (+2 more)"
    assert list(files(result)) == [
        "result_a.csv.1.json", "result_b.csv.json", "result_a.csv.2.json", "result_b.csv.errors.csv",
    ]  # fmt: skip


def _store_under(store: Store, blob: str) -> None:
    path = store.blobs.path(blob)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


WORST = [
    (["completed"], "completed"),
    (["completed", "completed"], "completed"),
    (["completed", "completed_with_errors"], "completed with errors"),
    (["completed_with_errors", "rejected"], "rejected"),
    (["rejected", "completed"], "rejected"),
    (["completed", "aborted", "rejected"], "aborted"),
]


@pytest.mark.parametrize(("statuses", "word"), WORST)
async def test_the_subject_names_the_worst(store: Store, statuses: list[str], word: str) -> None:
    ref = store.connect()
    trace_id = store.deliver(ref, *(store.file(bytes([n])) for n, _ in enumerate(statuses))).trace_id
    uploads = sorted(upload.id for upload in store.all(Upload))
    for upload, status in zip(uploads, statuses, strict=True):
        assert not any(kind == "result" for kind, _ in store.owed(trace_id))
        store.finish(upload, ImportStatus(status))
    courier = await answered(store)
    more = f" (+{len(statuses) - 1} more)" if len(statuses) > 1 else ""
    assert shown(courier.mails)[1] == f"[Result: {word}] a.csv{more}"


async def test_a_result_with_its_errors_file(store: Store, pool: ParsePool) -> None:
    object.__setattr__(store.settings, "support_contact", "help@intake.test")
    trace_id = store.deliver(store.connect(), store.file(conversions(2, bad=1), "Conversions_1.csv")).trace_id
    _, mail = (await answered(store, pool)).mails
    attached = files(mail)
    assert list(attached) == ["result_Conversions_1.csv.json", "result_Conversions_1.csv.errors.csv"]
    result = json.loads(attached["result_Conversions_1.csv.json"])
    assert list(result) == RESULT_KEYS
    assert (result["trace_id"], result["successful_rows"], result["error_rows"]) == (trace_id, 2, 1)
    assert result["errors_file"] == "result_Conversions_1.csv.errors.csv"
    assert attached["result_Conversions_1.csv.errors.csv"].startswith(b"trace_id,row,line,column,value,severity,code,")
    for text in (body(mail), body(mail, "html")):
        assert "REQUIRED_VALUE_MISSING" in text
        assert trace_id in text
        assert "help@intake.test" in text
    assert "good rows were imported" in body(mail)


async def test_an_aborted_import_is_answered_with_its_counts_unknown(store: Store) -> None:
    fault = PermanentError(Fault(code=Code.RESOURCE_LIMIT, message="took too much"))
    store.deliver(store.connect(), b"A")
    _, mail = (await answered(store, Pool([fault]))).mails
    result = json.loads(files(mail)["result_a.csv.json"])
    assert (result["status"], result["code"], result["total_rows"]) == ("rejected", "RESOURCE_LIMIT", None)
    assert "NOTHING was imported" in body(mail)
    assert mail["Subject"] == "[Result: rejected] a.csv"


async def test_the_headers_of_an_answer(store: Store) -> None:
    references = tuple(f"<{n}@acme.example>" for n in range(20))
    trace_id = store.deliver(store.connect(), b"A", message_id="<1@acme.example>", references=references).trace_id
    for kind, mail in zip(("receipt", "result"), (await answered(store)).mails, strict=True):
        assert mail.keys() == HEADERS
        assert mail["From"] == f"mailgate <mailgate@{DOMAIN}>"
        assert mail["To"] == BACK
        assert mail["Message-ID"] == f"<{trace_id}.{kind}@{DOMAIN}>"
        assert mail["In-Reply-To"] == "<1@acme.example>"
        assert mail["References"].split() == [*references, "<1@acme.example>"]
        assert mail["Auto-Submitted"] == "auto-replied"
        assert mail["Mailgate-Trace-Id"] == trace_id
        assert mail["Date"].datetime == START
        assert mail.get_content_type() == "multipart/mixed"


async def test_a_mail_without_a_message_id_is_answered_without_a_thread(store: Store) -> None:
    ref = store.connect()
    new = store.judged(ref, b"A")
    store.record(type(new)(**{**{f: getattr(new, f) for f in new.__slots__}, "message_id": ""}))
    for mail in (await answered(store)).mails:
        assert mail.keys() == [key for key in HEADERS if key not in {"In-Reply-To", "References"}]


async def test_an_answer_is_the_same_each_time_it_is_handed_over(store: Store) -> None:
    from models.faults import TemporaryError

    store.deliver(store.connect(), b"A")
    courier = Courier(refusals=[TemporaryError("later")])
    works = post(store, courier)
    await emptied(works)
    assert courier.replies == []
    store.clock.forward(minutes=10)
    await emptied(works)
    (mail,) = courier.mails
    assert mail["Date"].datetime == START


# Names that would bend a mail.
TRICKS = [
    "a\r\nBcc: evil@x.example",
    "=?utf-8?q?a=0D=0ABcc:_evil@x.example?=",
    "=?utf-8?b?DQpCY2M6IGV2aWxAeC5leGFtcGxl?=.csv",
    "=?utf-8?q?a=0ABcc:?= =?utf-8?q?_evil?=",
    "x =?utf-8?q?a?= =?utf-8?q?=0D=0A=0D=0Abody?=",
    'a"; filename="b.csv',
    'a\\"b\\',
    "é" * 127,
    "x" * 255,
    "名前 %41'b.csv",
    "a\u2028Bcc: x",
    "a\x85b\x0bc\x0cd",
    "\udcffraw.csv",
    "\U0001f600.csv",
    "<script>alert(1)</script>.csv",
]


def bent(name: str, message_id: str) -> list[str]:
    letter = Letter(
        subject=f"[Receipt] {name}", paragraphs=(name, "signature"), table=(("File",), (name,)),
        attachments=(
            Attachment(name=f"receipt_{name}.txt", content=b"a", subtype="plain"),
            Attachment(name=f"result_{name}.json", content=b"{}", subtype="json"),
        ),
    )  # fmt: skip
    posting = Posting(
        sender=f"mailgate@{DOMAIN}", to_address=BACK, date=START, message_id="<1@x>", trace_id="T",
        in_reply_to=message_id, references=(message_id, "<r@x>"),
    )  # fmt: skip
    raw = compose(letter, posting)
    assert b"\n" not in raw.replace(b"\r\n", b"")
    mail = read(raw)
    assert all(not part.defects for part in mail.walk())
    for part in mail.walk():
        assert set(part.keys()) <= {*HEADERS, "Content-Disposition", "Content-Transfer-Encoding"}
    assert len(list(mail.iter_attachments())) == 2
    assert "<script>" not in body(mail, "html")
    return [key for key in list(mail) if key not in {"In-Reply-To", "References"}]


UNTHREADED = [key for key in HEADERS if key not in {"In-Reply-To", "References"}]


@pytest.mark.parametrize("name", TRICKS)
def test_a_name_bends_no_mail(name: str) -> None:
    name = name.removeprefix("\udcff")
    assert bent(name, "<1@x>") == UNTHREADED
    assert bent("a.csv", name) == UNTHREADED
    assert bent("a.csv", f"<{name}@x>") == UNTHREADED


PIECES = st.lists(
    st.one_of(
        st.sampled_from(["\r\n", "\n", "\r", "Bcc: x@y", "=?", "?=", "=?utf-8?q?", "=0D=0A", "=?us-ascii?b?DQo=?=", " ",
                         '"', "\\", ";", "'", "%0D%0A", "*=", "<", ">", "@", ":", ",", "é", "名"]),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(name=PIECES, message_id=PIECES)
def test_no_text_bends_a_mail(name: str, message_id: str) -> None:
    assert bent(name, message_id) == UNTHREADED


@pytest.mark.parametrize(
    "name", ["a.csv", "Ümläut.csv", "名前.csv", "a b.csv", 'a"b.csv', "a;b'c%41.csv", "x" * 150 + ".csv"]
)
async def test_ordinary_names_come_through_exactly(store: Store, name: str) -> None:
    store.deliver(store.connect(), store.file(b"A", name))
    receipt, result = (await answered(store)).mails
    assert (receipt["Subject"], list(files(receipt))) == (f"[Receipt] {name}", [f"receipt_{name}.txt"])
    assert list(files(result)) == [f"result_{name}.json"]


async def test_a_long_name_is_cut_at_a_character(store: Store) -> None:
    store.deliver(store.connect(), store.file(b"A", "é" * 120 + ".csv"))
    receipt, _ = (await answered(store)).mails
    assert list(files(receipt)) == [f"receipt_{'é' * 100}.txt"]


async def test_a_large_errors_file_is_cut_at_a_whole_line(store: Store) -> None:
    limits = store.settings.limits.model_copy(update={"answer_bytes": 100})
    object.__setattr__(store.settings, "limits", limits)
    lines = b"".join(b"line %03d\r\n" % n for n in range(20))
    store.deliver(store.connect(), b"A")
    pool = Pool([summary(ImportStatus.COMPLETED_WITH_ERRORS, entries=20)], errors=lines)
    _, mail = (await answered(store, pool)).mails
    cut = files(mail)["result_a.csv.errors.csv"]
    assert cut == lines[:100]
    assert cut.endswith(b"\n")
    assert "is cut to fit a mail" in body(mail)


@pytest.mark.parametrize("room", [1, 9, 10, 11, 99, 100, 101, 199, 200, 201])
async def test_a_cut_never_leaves_half_a_line(store: Store, room: int) -> None:
    lines = b"".join(b"row %04d\r\n" % n for n in range(20))
    content, cut = post(store, Courier())._errors(store.keep(lines), room)
    assert len(content) <= room
    assert content == lines[: len(content)]
    assert len(content) % 10 == 0
    assert cut == (room < 200)


async def test_what_is_left_of_the_room_goes_to_the_next_file(store: Store) -> None:
    limits = store.settings.limits.model_copy(update={"answer_bytes": 30})
    object.__setattr__(store.settings, "limits", limits)
    store.deliver(store.connect(), store.file(b"A", "a.csv"), store.file(b"B", "b.csv"))
    with_errors = summary(ImportStatus.COMPLETED_WITH_ERRORS, entries=2)
    pool = Pool([with_errors, with_errors], errors=b"row 1 23\r\nrow 2 34\r\n")
    _, mail = (await answered(store, pool)).mails
    sizes = {name: len(data) for name, data in files(mail).items() if name.endswith(".csv")}
    assert sizes == {"result_a.csv.errors.csv": 20, "result_b.csv.errors.csv": 10}


async def test_a_replay_is_answered_again(store: Store) -> None:
    from storage.ledger import imports

    trace_id = store.deliver(store.connect(), b"A").trace_id
    await answered(store)
    store.ledger.write_now(imports.replay, trace_id, store.clock(), store.queue, with_rule_of_then=False)
    (mail,) = (await answered(store)).mails
    assert json.loads(files(mail)["result_a.csv.json"])["attempt"] == 2
    assert mail["Message-ID"] == f"<{trace_id}.result.2@{DOMAIN}>"


def test_times_are_written_in_utc() -> None:
    from datetime import timezone

    from imports.perform import iso_time

    assert iso_time(START.astimezone(timezone(timedelta(hours=-5)))) == "2026-11-21T12:00:00.000Z"


@pytest.mark.parametrize(
    ("door", "verdict", "words"),
    [
        ("smtp", "rejected", "Your mail arrived, but it was rejected"),
        ("sftp", "rejected", "Your file arrived, but it was rejected"),
        ("sftp", "ignored", "Your file arrived, but NOTHING"),
        ("ftp", "incomplete", "did not arrive whole"),
    ],
)
def test_a_receipt_speaks_of_what_came(door: str, verdict: str, words: str) -> None:
    delivery = Delivery(
        trace_id="T", connection_id=1, version=1, data_type="conversions", door=door, verdict=verdict, received_at=START
    )
    connection = Connection(account_id=1, name="c", state="active", version=1, created_at=START)
    assert words in receipt_letter(delivery, [], connection, "").paragraphs[0]
