"""What the tests of intake share: mails as bytes, and a mail handed over as a door does it."""

from collections.abc import Sequence
from typing import Any

from intake.accept import Intake
from intake.mail import Mail, Prepared, Recipient, prepare
from intake.spool import Spool
from models.states import UploadStatus
from models.tables import Upload
from storage.ledger.connections import ConnectionRef
from tests.storage.support import DOMAIN, Store

HEADER = b"CampaignId,ActionTrackerId,EventDate,OrderId,ClickId\r\n"


def part(data: bytes, name: str, more: str = "") -> bytes:
    """Give an attachment, its bytes as they are."""
    head = f'Content-Type: text/csv\r\nContent-Disposition: attachment; filename="{name}"\r\n{more}\r\n'
    return head.encode() + data


def raw(*parts: bytes, head: str = "", body: bytes = b"Hello\r\n") -> bytes:
    """Give a mail of a body and attachments; ``head`` are further header lines."""
    top = f'From: bob@acme.example\r\n{head}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    pieces = [b"Content-Type: text/plain\r\n\r\n" + body, *parts]
    return top.encode() + b"".join(b"--b\r\n" + one + b"\r\n" for one in pieces) + b"--b--\r\n"


def mail(store: Store, data: bytes, *refs: ConnectionRef, **more: Any) -> Mail:
    """Give a mail as a door hands it over; ``tag`` goes to every recipient."""
    tag = more.pop("tag", "")
    spool = Spool(store.settings.spool_dir, in_memory=more.pop("in_memory", 256 * 1024))
    spool.append([data])
    recipients = tuple(
        Recipient(connection=ref, address=f"{ref.rule.address}@{DOMAIN}", tag=tag) for ref in refs or (store.ref(),)
    )
    return Mail(**{
        "door": "smtp", "peer": "192.0.2.1", "sender": "bob@acme.example", "recipients": recipients, "spool": spool,
        **more,
    })  # fmt: skip


def prepared(store: Store, data: bytes, *refs: ConnectionRef, **more: Any) -> Prepared:
    return prepare(mail(store, data, *refs, **more), store.blobs, store.settings, store.clock())[0]


def intake(store: Store, **more: Any) -> Intake:
    return Intake(store.ledger, store.blobs, store.queue, store.settings, clock=store.clock, **more)


def blobs_on_disk(store: Store) -> list[bytes]:
    """Give the bytes of every blob there is."""
    return sorted(path.read_bytes() for path in store.settings.blob_dir.rglob("*") if path.is_file())


def named(store: Store) -> Sequence[tuple[str, str]]:
    return [(upload.file_name, upload.status) for upload in store.all(Upload)]


CREATED = UploadStatus.IMPORT_JOB_CREATED
