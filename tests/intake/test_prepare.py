"""A mail becomes deliveries: what is kept of it, what is not, and what makes it the same as another."""

import base64
from typing import Any

import pytest

from intake.mail import discard, prepare
from models.codes import Code
from models.faults import Fault
from models.states import ConnectionState, Verdict
from storage.blobs import DiskBlobs
from tests.intake.support import HEADER, blobs_on_disk, mail, part, prepared, raw
from tests.storage.support import Store

B64 = "Content-Transfer-Encoding: base64\r\n"
GOOD = part(b"one", "a.csv")
BROKEN = part(b"!!! no base64 !!!", "b.csv", B64)


def encoded(data: bytes) -> bytes:
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


@pytest.mark.parametrize("in_memory", [0, 1 << 20])
def test_files_are_decoded_to_blobs(store: Store, in_memory: int) -> None:
    ref = store.connect(pattern="*.csv")
    data = HEADER * 2000
    one = prepared(store, raw(part(encoded(data), "a.csv", B64), part(b"two", "b.csv")), ref, in_memory=in_memory)
    assert [(file.name, file.size) for file in one.new.files] == [("a.csv", len(data)), ("b.csv", 3)]
    assert one.new.verdict is Verdict.ACCEPTED
    assert blobs_on_disk(store) == sorted([data, b"two"])
    assert [writer.id for writer in one.writers] == [file.blob for file in one.new.files]


NOTHING_KEPT: dict[str, tuple[bytes, Code]] = {
    "second damaged": (raw(GOOD, BROKEN), Code.ATTACHMENT_DAMAGED),
    "first damaged": (raw(BROKEN, GOOD), Code.ATTACHMENT_DAMAGED),
    "between two good ones": (raw(GOOD, BROKEN, part(b"three", "c.csv")), Code.ATTACHMENT_DAMAGED),
    "unknown encoding": (
        raw(GOOD, part(b"x", "b.csv", "Content-Transfer-Encoding: uuencode\r\n")), Code.ATTACHMENT_DAMAGED,
    ),
    "no closing boundary": (raw(GOOD).removesuffix(b"--b--\r\n"), Code.ATTACHMENT_DAMAGED),
    "too large": (raw(GOOD, part(b"x" * 1001, "b.csv")), Code.FILE_TOO_LARGE),
    "too large once decoded": (raw(GOOD, part(encoded(b"x" * 1001), "b.csv", B64)), Code.FILE_TOO_LARGE),
    "twice a header": (raw(part(b"x", "a.csv", "Content-Type: text/html\r\n")), Code.MESSAGE_AMBIGUOUS),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTHING_KEPT)
def test_a_rejected_mail_leaves_no_blob_behind(store: Store, name: str) -> None:
    object.__setattr__(store.settings, "limits", store.settings.limits.model_copy(update={"max_file_bytes": 1000}))
    data, code = NOTHING_KEPT[name]
    one = prepared(store, data, store.connect(pattern="*.csv"))
    assert (one.new.verdict, one.new.code) == (Verdict.REJECTED, code)
    assert one.new.message
    assert blobs_on_disk(store) == []
    assert one.writers == ()
    assert all(file.blob is None for file in one.new.files)
    assert one.new.header_block == data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("size", "verdict"), [(999, Verdict.ACCEPTED), (1000, Verdict.ACCEPTED), (1001, Verdict.REJECTED)]
)
@pytest.mark.parametrize("coded", [True, False])
def test_the_last_byte_that_fits(store: Store, size: int, verdict: Verdict, coded: bool) -> None:
    object.__setattr__(store.settings, "limits", store.settings.limits.model_copy(update={"max_file_bytes": 1000}))
    data = b"x" * size
    one = prepared(store, raw(part(encoded(data), "a.csv", B64) if coded else part(data, "a.csv")), store.connect())
    assert one.new.verdict is verdict
    if verdict is Verdict.REJECTED:
        assert one.new.files[0].code is Code.FILE_TOO_LARGE
        assert "1,000 bytes" in one.new.message


def test_the_bytes_of_an_ignored_mail_are_kept(store: Store) -> None:
    one = prepared(store, raw(GOOD, part(b"two", "notes.pdf")), store.connect(pattern="*.csv"))
    assert (one.new.verdict, one.new.code) == (Verdict.IGNORED, Code.NAME_NOT_MATCHED)
    assert "notes.pdf" in one.new.message
    assert blobs_on_disk(store) == [b"one", b"two"]


def test_a_damaged_part_of_an_ignored_mail_spoils_nothing(store: Store) -> None:
    one = prepared(store, raw(GOOD, part(b"!!!", "notes.pdf", B64)), store.connect(pattern="*.csv"))
    assert one.new.code is Code.NAME_NOT_MATCHED
    assert [(file.name, file.blob is not None) for file in one.new.files] == [("a.csv", True), ("notes.pdf", False)]
    assert blobs_on_disk(store) == [b"one"]


def test_what_a_paused_connection_holds_must_be_sound(store: Store) -> None:
    paused = store.set_state(store.connect(), ConnectionState.PAUSED)
    assert paused is not None
    held = prepared(store, raw(GOOD), paused)
    assert (held.new.code, held.new.paused) == (Code.CONNECTION_PAUSED, True)
    assert blobs_on_disk(store) == [b"one"]
    discard(store.blobs, [held])
    assert prepared(store, raw(GOOD, BROKEN), paused).new.code is Code.ATTACHMENT_DAMAGED
    assert blobs_on_disk(store) == []


def test_each_connection_has_blobs_of_its_own(store: Store) -> None:
    refs = [store.connect(name, pattern="*.csv") for name in ("one", "other")]
    found = prepare(mail(store, raw(GOOD), *refs), store.blobs, store.settings, store.clock())
    assert len({one.new.files[0].blob for one in found}) == 2
    assert blobs_on_disk(store) == [b"one", b"one"]
    discard(store.blobs, found[:1])
    assert blobs_on_disk(store) == [b"one"]


def test_a_disk_that_fails_at_the_second_connection_keeps_nothing(store: Store) -> None:
    refs = [store.connect(name, pattern="*.csv") for name in ("one", "other")]

    class Full(DiskBlobs):
        left = 1

        def create(self, now: Any) -> Any:
            if not self.left:
                raise OSError(28, "No space left on device")
            self.left -= 1
            return super().create(now)

    with pytest.raises(OSError, match="No space"):
        prepare(mail(store, raw(GOOD), *refs), Full(store.settings.blob_dir), store.settings, store.clock())
    assert blobs_on_disk(store) == []


def test_a_fault_of_the_door_rejects_what_it_brought(store: Store) -> None:
    fault = Fault(code=Code.MESSAGE_MALFORMED, message="a bare line feed")
    one = prepared(store, b"Message-ID: <1@x>\r\nSubject: x\r\n\r\nhalf a ma", store.connect(), fault=fault)
    assert (one.new.verdict, one.new.code, one.new.message) == (Verdict.REJECTED, fault.code, fault.message)
    assert (one.new.message_id, one.new.subject, one.new.files) == ("<1@x>", "x", ())


def test_the_header_block_kept_is_bounded(store: Store) -> None:
    fault = Fault(code=Code.MESSAGE_LIMIT, message="too much")
    one = prepared(store, b"X: " + b"a" * 200_000, store.connect(), fault=fault)
    assert len(one.new.header_block or b"") == 64 * 1024


def test_parts_that_are_no_file_are_listed(store: Store) -> None:
    data = raw(GOOD, part(b"x", "result_a.csv"), part(b"y", "RECEIPT_b.csv"))
    one = prepared(store, data, store.connect(pattern="*.csv"))
    assert [file.name for file in one.new.files] == ["a.csv"]
    assert {(entry["name"], entry["role"]) for entry in one.new.parts} >= {
        ("result_a.csv", "skipped"), ("RECEIPT_b.csv", "skipped"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "head", ["Subject: caf\xe9\r\n", "Message-ID: <\xe9@x>\r\n", "Date: \xff\r\n", "References: \xe9\r\n"]
)
def test_raw_bytes_in_a_header_harm_nothing(store: Store, head: str) -> None:
    data = raw(GOOD, head="").replace(b"From:", head.encode("latin-1") + b"From:", 1)
    one = prepared(store, data, store.connect(pattern="*.csv"))
    assert store.record(one.new)[0].verdict is Verdict.ACCEPTED


# What makes two mails the same delivery (product rule 9).
ID = "Message-ID: <1@acme.example>\r\n"
DATED = "Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nSubject: files\r\n"
OTHER = part(b"two", "b.csv")
SAME: dict[str, tuple[bytes, bytes, dict[str, Any], bool]] = {
    "byte for byte": (raw(GOOD, head=ID), raw(GOOD, head=ID), {}, True),
    "another subject": (raw(GOOD, head=ID), raw(GOOD, head=ID + "Subject: again\r\n"), {}, True),
    "another route": (raw(GOOD, head=ID), b"Received: from x by y\r\n" + raw(GOOD, head=ID), {}, True),
    "another sender": (raw(GOOD, head=ID), raw(GOOD, head=ID), {"sender": "carol@acme.example"}, True),
    "another file name": (raw(GOOD, head=ID), raw(part(b"one", "z.csv"), head=ID), {}, True),
    "another body": (raw(GOOD, head=ID), raw(GOOD, head=ID, body=b"Again\r\n"), {}, True),
    "another encoding": (raw(GOOD, head=ID), raw(part(encoded(b"one"), "a.csv", B64), head=ID), {}, True),
    "another order": (raw(GOOD, OTHER, head=ID), raw(OTHER, GOOD, head=ID), {}, True),
    "with our receipt in it": (raw(GOOD, head=ID), raw(GOOD, part(b"x", "receipt_a.csv"), head=ID), {}, True),
    "other content": (raw(GOOD, head=ID), raw(part(b"One", "a.csv"), head=ID), {}, False),
    "a file more": (raw(GOOD, head=ID), raw(GOOD, OTHER, head=ID), {}, False),
    "the same file twice": (raw(GOOD, head=ID), raw(GOOD, GOOD, head=ID), {}, False),
    "another Message-ID": (raw(GOOD, head=ID), raw(GOOD, head=ID.replace("1@", "2@")), {}, False),
    "as a dry run": (raw(GOOD, head=ID), raw(GOOD, head=ID), {"tag": "dryrun"}, False),
    "with another tag": (raw(GOOD, head=ID), raw(GOOD, head=ID), {"tag": "x"}, True),
    "no Message-ID": (raw(GOOD, head=DATED), raw(GOOD, head=DATED), {}, True),
    "no Message-ID, nor anything": (raw(GOOD), raw(GOOD), {}, True),
    "no Message-ID, another date": (
        raw(GOOD, head=DATED), raw(GOOD, head=DATED.replace(":00:00", ":00:01")), {}, False,
    ),
    "no Message-ID, another subject": (raw(GOOD, head=DATED), raw(GOOD, head=DATED.replace("files", "x")), {}, False),
    "no Message-ID, another sender": (raw(GOOD, head=DATED), raw(GOOD, head=DATED), {"sender": "c@x"}, False),
    "no Message-ID, other content": (raw(GOOD, head=DATED), raw(OTHER, head=DATED), {}, False),
    "a Message-ID that was missing": (raw(GOOD, head=DATED), raw(GOOD, head=DATED + ID), {}, False),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_the_same_delivery(store: Store, name: str) -> None:
    first, second, more, same = SAME[name]
    ref = store.connect(pattern="*.csv")
    one, two = prepared(store, first, ref), prepared(store, second, ref, **more)
    assert (one.new.identity == two.new.identity) is same
