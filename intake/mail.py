"""A mail, judged for each of its connections and its files brought to blobs. Runs in a thread; nothing is durable yet.

What lives here: split, judge, decode, and the values to record. No transaction, no reply.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from intake.spool import Spool
from mailgate.message import Limits as MessageLimits
from mailgate.message import decode, split
from mailgate.settings import Settings
from matching.judge import judge
from models.authenticity import Authenticity, Origin
from models.codes import Code
from models.connection import Rule
from models.faults import Fault, PermanentError, TemporaryError
from models.judgement import Envelope, JudgedPart, Judgement, Role
from models.message import Headers, Message
from models.states import ConnectionState, Verdict
from storage.blobs import Blobs, BlobWriter
from storage.ledger.connections import ConnectionRef
from storage.ledger.messages import MessageKey
from storage.ledger.recording import NewDelivery, NewFile

_HEADER_KEPT = 64 * 1024
_NO_BYTES_KEPT = frozenset({Verdict.REJECTED, Verdict.INCOMPLETE})
DRY_RUN_TAG = "dryrun"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipient:
    """One address of the envelope, with the connection it belongs to."""

    connection: ConnectionRef
    address: str
    tag: str = ""

    @property
    def delivery(self) -> tuple[int, bool]:
        """Give what makes two addresses one delivery: the connection, and whether it is a dry run."""
        return self.connection.id, self.tag == DRY_RUN_TAG


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """A mail as a door hands it over, whole."""

    door: str
    peer: str
    sender: str  #: reverse-path; empty for the null sender
    recipients: tuple[Recipient, ...]  #: at most one per connection and tag
    spool: Spool
    authenticated_as: str = ""
    fault: Fault | None = None  #: what the door found: bare line ends, too many bytes
    cut_off: Fault | None = None  #: a doubt whether all bytes came, which only a closing boundary can lay to rest
    unmatched: Fault | None = None  #: the mail is nobody's here: it is recorded and ignored
    message: MessageKey | None = None  #: the message of a mailbox that it is
    client: str = (
        ""  #: address of the client whom SPF is asked about; empty where the door knows none, or a server of ours
    )
    helo: str = ""
    trusted: tuple[str, ...] = ()  #: authserv-ids of the server that handed the mail over: their topmost word counts
    begun: float | None = None  #: when its first byte came, by the monotonic clock
    whole: float = field(default_factory=time.monotonic)  #: when its last byte had come
    last_try: bool = False  #: the mail does not come again: what DNS does not answer now counts as not proven

    @property
    def origin(self) -> Origin:
        """Say where the mail comes from."""
        return Origin(
            client=self.client, helo=self.helo, sender=self.sender, authenticated_as=self.authenticated_as,
            trusted=self.trusted,
        )  # fmt: skip

    @property
    def must_prove(self) -> bool:
        """Say whether a connection demands to know who really sent this mail."""
        return any(one.connection.rule.authenticity == "dmarc" for one in self.recipients)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """One delivery ready to be recorded once its blobs are durable."""

    new: NewDelivery
    writers: tuple[BlobWriter, ...]


class SenderNotKnownNow(TemporaryError):
    """Say that a connection demands to know who sent a mail, and that it cannot be found out now."""


class _TooLarge(Exception):
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """A mail as it was read, and who sent it where that was looked for."""

    message: Message
    authenticity: Authenticity | None = None


def prepare(mail: Mail, blobs: Blobs, settings: Settings, now: datetime, facts: Facts | None = None) -> list[Prepared]:
    """Judge a mail for each recipient and write its files; OSError when bytes cannot be kept.

    Every door's mail passes here, once. Without ``facts`` it is read here. Raises SenderNotKnownNow.
    """
    facts = facts or Facts(message=read_message(mail, settings))
    prepared: list[Prepared] = []
    try:
        prepared.extend(_prepare_one(mail, one, facts, blobs, settings, now) for one in mail.recipients)
    except BaseException:
        discard(blobs, prepared)
        raise
    return prepared


def prepare_all(
    mails: Sequence[tuple[Mail, Facts | BaseException | None]], blobs: Blobs, settings: Settings, now: datetime
) -> list[list[Prepared] | Exception]:
    """Prepare several mails; one that fails has its exception in its place, OSError when bytes cannot be kept."""
    prepared: list[list[Prepared] | Exception] = []
    try:
        prepared.extend(_prepare_or_fail(mail, facts, blobs, settings, now) for mail, facts in mails)
    except BaseException:
        for some in prepared:
            if not isinstance(some, Exception):
                discard(blobs, some)
        raise
    return prepared


def _prepare_or_fail(
    mail: Mail, facts: Facts | BaseException | None, blobs: Blobs, settings: Settings, now: datetime
) -> list[Prepared] | Exception:
    try:
        if isinstance(facts, BaseException):
            raise facts  # it could not be read
        return prepare(mail, blobs, settings, now, facts)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - this mail's alone: the others go on
        return error


def preview(mail: Mail, facts: Facts) -> list[Judgement]:
    """Judge a mail for each recipient without writing or decoding anything; raises SenderNotKnownNow."""
    return [_judge(mail, one, facts) for one in mail.recipients]


def read_message(mail: Mail, settings: Settings) -> Message:
    """Split a mail; of one that its door found faulty only the headers are read."""
    limits = settings.limits
    if mail.fault is not None:
        return Message(headers=_headers_of_a_fragment(mail.spool), fault=mail.fault, size=mail.spool.size)
    message = split(
        mail.spool,
        MessageLimits(
            header_block=limits.message_header_bytes, header_field=limits.message_field_bytes,
            parts=limits.message_parts, depth=limits.message_depth,
        ),
    )  # fmt: skip
    if mail.cut_off is not None and message.fault is None and not message.headers.content_type.startswith("multipart/"):
        return replace(message, fault=mail.cut_off)
    return message


def discard(blobs: Blobs, prepared: Sequence[Prepared]) -> None:
    """Forget the blobs of deliveries that were not recorded; one that cannot be deleted now is left to the sweep."""
    for one in prepared:
        _forget(blobs, one.writers)


def _forget(blobs: Blobs, writers: Sequence[BlobWriter]) -> None:
    for writer in writers:
        with contextlib.suppress(OSError):
            blobs.delete(writer.id)


def _headers_of_a_fragment(spool: Spool) -> Headers:
    from mailgate.message import parse_headers

    block = spool.read(0, _HEADER_KEPT)
    end = block.find(b"\r\n\r\n")
    return parse_headers(block if end < 0 else block[: end + 2])


def _prepare_one(
    mail: Mail, recipient: Recipient, facts: Facts, blobs: Blobs, settings: Settings, now: datetime
) -> Prepared:
    ref, message, authenticity = recipient.connection, facts.message, facts.authenticity
    paused = ref.state is ConnectionState.PAUSED
    judgement = _judge(mail, recipient, facts)
    files, writers, fault = _bring(mail.spool, judgement, blobs, settings, now)
    if fault is not None:
        judgement = Judgement(verdict=Verdict.REJECTED, code=fault.code, message=fault.message, parts=judgement.parts)
    dry_run = recipient.tag == DRY_RUN_TAG
    headers = message.headers
    new = NewDelivery(
        connection_id=ref.id, version=ref.version, paused=paused, rule=ref.rule, door=mail.door, peer=mail.peer,
        sender=mail.sender, recipient=recipient.address, tag=recipient.tag, authenticated_as=mail.authenticated_as,
        authenticity=authenticity.to_json(settings.domain) if authenticity is not None else None,
        message_id=headers.message_id, subject=headers.subject[:1000], references=headers.references[-20:],
        size=mail.spool.size, sha256=mail.spool.hexdigest(), dry_run=dry_run, verdict=judgement.verdict,
        code=judgement.code, message=judgement.message, files=tuple(files),
        parts=tuple(_other_part(part) for part in judgement.parts if part.role is not Role.COUNTED),
        header_block=_header_block(mail.spool, message) if judgement.verdict in _NO_BYTES_KEPT else None,
        identity=_identity(mail, headers, files, dry_run=dry_run),
    )  # fmt: skip
    return Prepared(new=new, writers=tuple(writers))


def _check_known(judgement: Judgement, authenticity: Authenticity | None, rule: Rule, *, last_try: bool) -> None:
    """Raise SenderNotKnownNow where a mail would be ignored only because nobody could find out who sent it."""
    if judgement.code is not Code.NOT_AUTHENTIC or rule.authenticity != "dmarc":
        return
    if authenticity is None:
        raise SenderNotKnownNow(f"{rule.name} demands DMARC, and the extra that checks it is not installed")
    if authenticity.undecided and not last_try:
        raise SenderNotKnownNow(authenticity.summary())


def _judge(mail: Mail, recipient: Recipient, facts: Facts) -> Judgement:
    ref = recipient.connection
    envelope = Envelope(
        sender=mail.sender, recipient=recipient.address, tag=recipient.tag, authenticated_as=mail.authenticated_as,
        authenticity=facts.authenticity,
    )  # fmt: skip
    if mail.fault is not None and mail.unmatched is None:
        cut_off = mail.fault.code is Code.INCOMPLETE
        verdict = Verdict.INCOMPLETE if cut_off else Verdict.REJECTED
        return Judgement(verdict=verdict, code=mail.fault.code, message=mail.fault.message)
    judgement = judge(facts.message, envelope, ref.rule, paused=ref.state is ConnectionState.PAUSED)
    if mail.unmatched is None:
        _check_known(judgement, facts.authenticity, ref.rule, last_try=mail.last_try)
        return judgement
    return replace(
        judgement, verdict=Verdict.IGNORED, code=mail.unmatched.code, message=mail.unmatched.message, parts=()
    )


def _bring(
    spool: Spool, judgement: Judgement, blobs: Blobs, settings: Settings, now: datetime
) -> tuple[list[NewFile], list[BlobWriter], Fault | None]:
    """Decode every attachment that counts; a fault of one that would have been accepted rejects the delivery."""
    if judgement.verdict in _NO_BYTES_KEPT:
        return [_refused(part, judgement) for part in judgement.counted], [], None
    would_take = judgement.verdict is Verdict.ACCEPTED or judgement.code is Code.CONNECTION_PAUSED
    writers: list[BlobWriter] = []
    try:
        files, fault = _decode_all(spool, judgement, blobs, writers, settings.limits.max_file_bytes, now)
    except BaseException:
        _forget(blobs, writers)
        raise
    if fault is not None and would_take:
        _forget(blobs, writers)
        return [_without_bytes(file) for file in files], [], fault
    return files, writers, None


def _decode_all(
    spool: Spool, judgement: Judgement, blobs: Blobs, writers: list[BlobWriter], most: int, now: datetime
) -> tuple[list[NewFile], Fault | None]:
    files: list[NewFile] = []
    fault: Fault | None = None
    for part in judgement.counted:
        writer = blobs.create(now)
        writers.append(writer)
        found = _decode(spool, part, writer, most)
        if found is None:
            files.append(_file(part, writer))
            continue
        _forget(blobs, [writers.pop()])
        # Where the delivery is ignored anyway, why it is stays the reason; its damaged bytes are only not kept.
        files.append(_file(part, fault=None if judgement.code else found))
        fault = fault or found
    return files, fault


def _decode(spool: Spool, judged: JudgedPart, writer: BlobWriter, most: int) -> Fault | None:
    def keep(data: bytes) -> None:
        if writer.size + len(data) > most:
            raise _TooLarge
        writer.write(data)

    try:
        decode(spool, judged.part, keep)
    except _TooLarge:
        return Fault(
            code=Code.FILE_TOO_LARGE, message=f"The file {judged.name} is larger than {most:,} bytes, the most we take."
        )
    except PermanentError as error:
        return error.fault
    return None


def _file(judged: JudgedPart, writer: BlobWriter | None = None, fault: Fault | None = None) -> NewFile:
    return NewFile(
        name=judged.name,
        other_names=judged.other_names,
        size=writer.size if writer else None,
        sha256=writer.hexdigest() if writer else "",
        blob=writer.id if writer else None,
        code=fault.code if fault else judged.code,
        message=fault.message if fault else judged.message,
    )


def _refused(judged: JudgedPart, judgement: Judgement) -> NewFile:
    """Name a file of a rejected delivery; a reason of its own counts only where it is the delivery's."""
    own = judged.code is judgement.code
    return NewFile(
        name=judged.name, other_names=judged.other_names, code=judged.code if own else None,
        message=judged.message if own else "",
    )  # fmt: skip


def _without_bytes(file: NewFile) -> NewFile:
    return NewFile(
        name=file.name, other_names=file.other_names, size=file.size, sha256=file.sha256, code=file.code,
        message=file.message,
    )  # fmt: skip


def _other_part(judged: JudgedPart) -> dict[str, Any]:
    return {
        "part": judged.part.path, "type": judged.part.content_type, "role": str(judged.role), "name": judged.name,
        "why": judged.message,
    }  # fmt: skip


def _header_block(spool: Spool, message: Message) -> bytes:
    return spool.read(0, min(message.header_end or _HEADER_KEPT, _HEADER_KEPT))


def _identity(mail: Mail, headers: Headers, files: Sequence[NewFile], *, dry_run: bool) -> str:
    """Make the key of product rule 9: Message-ID and hashes, or sender, Date, Subject and hashes without one.

    A message of a mailbox that has neither Message-ID nor Date is known by its place there alone.
    """
    who: Sequence[Any] = [headers.message_id] if headers.message_id else [mail.sender, headers.date, headers.subject]
    if mail.message is not None and not headers.message_id and not headers.date:
        who = mail.message.place
    facts = [who, sorted(file.sha256 for file in files), dry_run]
    return hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogatepass")).hexdigest()
