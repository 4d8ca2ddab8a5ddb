"""What the tests of imports share: files, a pool and a courier at their seams, and answers read as mails."""

import email
import email.policy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from imports.courier import Reply
from imports.parse_job import ParseJob, ParseOutcome
from imports.perform import Importer
from imports.post import Post
from models.result import Summary
from models.states import ImportStatus
from models.tables import Attempt
from tests.storage.support import START, Store

HEADER = "CampaignId,ActionTrackerId,EventDate,OrderId,ClickId"


def conversions(good: int = 2, bad: int = 0, first: int = 1) -> bytes:
    """Give a file of good rows, then of rows with an order number but no campaign."""
    rows = [f"1000,2001,NOW,A-{number},click-{number}" for number in range(first, first + good)]
    rows += [f",2001,NOW,B-{number},click-{number}" for number in range(first, first + bad)]
    return "\r\n".join([HEADER, *rows, ""]).encode()


def summary(status: ImportStatus = ImportStatus.COMPLETED, **more: Any) -> Summary:
    counts: dict[str, Any] = {
        "total_rows": 1, "successful_rows": 1, "unchanged_rows": 0, "error_rows": 0, "not_applied_rows": 0,
        "blank_rows": 0, "encoding": "utf-8", "delimiter": ",", "header": ("a",),
    }  # fmt: skip
    return Summary(status=status, **{**counts, **more})


@dataclass
class Pool:
    """The pool of workers at its seam: gives what it is told to, or fails."""

    answers: list[Summary | Exception] = field(default_factory=list)
    errors: bytes = b""
    parent: str | None = None
    jobs: list[ParseJob] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def run(self, job: ParseJob) -> ParseOutcome:
        self.jobs.append(job)
        self.meanwhile()
        answer = self.answers.pop(0) if self.answers else summary()
        if isinstance(answer, Exception):
            raise answer
        if answer.entries:
            Path(job.errors_path).write_bytes(self.errors or b"row\r\n2\r\n")
        return ParseOutcome(summary=answer, parent_trace_id=self.parent)


@dataclass
class Courier:
    """A courier at its seam: keeps what it is handed, or refuses it."""

    replies: list[Reply] = field(default_factory=list)
    refusals: list[Exception | None] = field(default_factory=list)

    async def deliver(self, reply: Reply) -> None:
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None:
            raise refusal
        self.replies.append(reply)

    async def close(self) -> None:
        pass

    @property
    def mails(self) -> list[EmailMessage]:
        return [read(reply.message) for reply in self.replies]

    def take(self) -> list[EmailMessage]:
        """Give the mails since the last look."""
        mails, self.replies = self.mails, []
        return mails


def importer(store: Store, pool: Any) -> Importer:
    return Importer(store.ledger, store.blobs, pool, store.settings, clock=store.clock)


def post(store: Store, courier: Any) -> Post:
    return Post(store.ledger, store.blobs, courier, store.settings, clock=store.clock)


async def emptied(post: Post) -> int:
    """Hand over until nothing is due; gives how many mails were tried."""
    total = 0
    while done := await post.work_once():
        total += done
    return total


def read(message: bytes) -> EmailMessage:
    return cast(EmailMessage, email.message_from_bytes(message, policy=email.policy.default))


def files(mail: EmailMessage) -> dict[str, bytes]:
    """Give the files attached to a mail, by name."""
    return {
        str(part.get_filename()): cast(bytes, part.get_payload(decode=True)) for part in mail.iter_attachments()
    }  # fmt: skip


def body(mail: EmailMessage, kind: str = "plain") -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def attempt(store: Store, upload: str, number: int = 1) -> Attempt:
    return store.get(Attempt, (upload, number))


def job(path: Path, data_type: str = "conversions", **more: Any) -> ParseJob:
    return ParseJob(**{
        "path": str(path), "data_type": data_type, "policy": "accept_valid", "max_rows": 1_000_000,
        "warn_rows": 500_000, "max_entries": 100_000, "now": START, "trace_id": "T",
        "errors_path": str(path) + ".errors", **more,
    })  # fmt: skip


def reply(kind: str = "receipt", **more: Any) -> Reply:
    return Reply(**{
        "to_address": "batch@acme.example", "trace_id": "01J00000000000000000000000", "kind": kind, "sequence": 1,
        "created_at": datetime(2026, 11, 21, 12, 0, 1, 5, tzinfo=UTC), "message": b"Subject: x\r\n\r\nbody\r\n", **more,
    })  # fmt: skip


def shown(mails: Iterable[EmailMessage]) -> list[str]:
    return [str(mail["Subject"]) for mail in mails]
