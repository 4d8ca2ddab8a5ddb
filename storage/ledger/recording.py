"""Recording: the one transaction in which arrivals become ours.

What lives here: identity (product rule 9), duplicates by content (rule 8), and the rows of delivery, uploads, events,
attempts, jobs and the receipt that is owed. A file at a file door has its rows from its first byte on: they are
changed. Arrivals that wait at the same time are recorded together, each whole or not at all: what they need is read
at once, decided one by one, and written at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from models.codes import Code
from models.connection import Rule
from models.states import STATUS_OF_VERDICT, ConnectionState, UploadStatus, Verdict, check_move
from models.tables import (
    Answer,
    Attempt,
    Connection,
    Credential,
    Delivery,
    DeliveryIdentity,
    Event,
    Upload,
)  # fmt: skip
from models.trace import upload_id
from storage.jobs import Enqueue
from storage.ledger.answers import RECEIPT, answer_row, next_sequence
from storage.ledger.contents import firsts_of_contents
from storage.ledger.messages import KnownMessages, MessageKey
from storage.locks import touches

_TELL_AT_ONCE = frozenset({"smtp"})  # doors whose sender hears of a rejection on the spot
_BEST_FIRST = (Verdict.ACCEPTED, Verdict.DUPLICATE, Verdict.IGNORED, Verdict.REJECTED, Verdict.INCOMPLETE)
_JUDGED_ANEW = frozenset({Verdict.REJECTED, Verdict.INCOMPLETE})
_ANSWERED_WHEN_IGNORED = frozenset({Code.NAME_NOT_MATCHED, Code.NO_ATTACHMENT, Code.CONNECTION_PAUSED})


class RuleChanged(Exception):
    """Say that the connection changed between judgement and record; judge again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewFile:
    """One file of an arrival, its bytes already durable where ``blob`` is set."""

    name: str
    other_names: tuple[str, ...] = ()
    size: int | None = None
    sha256: str = ""
    blob: str | None = None
    code: Code | None = None  #: why this file was not taken
    message: str = ""
    supersedes: str | None = None  #: the upload whose whole content this one begins with


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDelivery:
    """One judged arrival for one connection."""

    trace_id: str = ""  #: of the delivery that is there already and waits for its verdict; empty: a new one

    connection_id: int
    version: int
    paused: bool  #: the connection's state when it was judged
    rule: Rule
    door: str
    peer: str
    sender: str
    recipient: str
    tag: str
    authenticated_as: str
    authenticity: dict[str, Any] | None = None  #: what was found out about the sender; None: nobody looked
    message_id: str
    subject: str
    references: tuple[str, ...]
    size: int
    sha256: str
    dry_run: bool
    verdict: Verdict
    code: Code | None
    message: str
    files: tuple[NewFile, ...]
    parts: tuple[dict[str, Any], ...] = ()
    header_block: bytes | None = None
    identity: str  #: key of rule 9; empty: each arrival is another
    orphaned: bool = False  #: its connection was deleted while it waited; rejected under its name


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """What the ledger made of a delivery. ``seen_again``: the words are those of the first, nothing is new."""

    trace_id: str
    verdict: Verdict
    code: Code | None
    seen_again: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What recording needs beside the delivery: time, ids, the job queue."""

    now: datetime
    new_trace_id: Callable[[], str]
    enqueue: Enqueue
    duplicate_days: int
    domain: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """All deliveries of one mail or file, recorded together or not at all."""

    deliveries: tuple[NewDelivery, ...]
    means: Means
    message: MessageKey | None = None  #: the message of a mailbox that it was


def things_of(arrival: Arrival) -> set[str]:
    """Give what the recording of an arrival reads and changes: identities, contents and numbers of its connections."""
    things = {f"connection:{new.connection_id}" for new in arrival.deliveries}
    things |= {f"delivery:{new.trace_id}" for new in arrival.deliveries if new.trace_id}
    if arrival.message is not None:
        things.add(f"mailbox:{arrival.message.mailbox_id}")
    return things


@touches(things_of)
def record(session: Session, arrivals: list[Arrival]) -> list[list[Recorded] | Exception]:
    """Write each arrival or none of it; RuleChanged stands in the place of one whose judgement is out of date."""
    ledger = _Known(session, arrivals)
    rows = _Rows()
    outcomes: list[list[Recorded] | Exception] = []
    for arrival in arrivals:
        if any(ledger.changed(new) for new in arrival.deliveries):
            outcomes.append(RuleChanged())
        else:
            outcomes.append(_record_one(ledger, rows, arrival))
    rows.write(session)
    ledger.messages.write(session)
    ledger.write_sequences(session)
    for enqueue, words in rows.jobs:
        enqueue(session, **words)
    return outcomes


class _Known:
    """What the ledger says of everything these arrivals touch, kept up to date as they are decided."""

    def __init__(self, session: Session, arrivals: Sequence[Arrival]) -> None:
        news = [new for arrival in arrivals for new in arrival.deliveries]
        ids = {new.connection_id for new in news}
        self._connections = {
            row.id: row._asdict() for row in session.connection().execute(_CONNECTIONS, {"ids": list(ids)})
        }
        self._sequences: dict[int, int] = {}
        keys = list({new.identity for new in news if new.identity})
        self.identities = {
            (row.connection_id, row.key): (row.trace_id, Verdict(row.verdict), row.code)
            for row in session.connection().execute(_IDENTITIES, {"keys": keys})
        }
        hashes = {file.sha256 for new in news for file in new.files if file.sha256}
        oldest = min(arrival.means.now - timedelta(days=arrival.means.duplicate_days) for arrival in arrivals)
        self.firsts = firsts_of_contents(session, ids, hashes, oldest) if hashes else {}
        self.messages = KnownMessages(session, [arrival.message for arrival in arrivals if arrival.message is not None])
        # An upload that was cut off has had a receipt; what it comes to in the end is told by a further one.
        self.receipts = {
            one: next_sequence(session, one, RECEIPT) for one in {new.trace_id for new in news if new.trace_id}
        }

    def changed(self, new: NewDelivery) -> bool:
        connection = self._connections.get(new.connection_id)
        if connection is None or connection["state"] == ConnectionState.DELETED:
            return not new.orphaned
        paused = bool(connection["state"] == ConnectionState.PAUSED)
        return bool(connection["version"] != new.version) or paused != new.paused

    def return_address(self, connection_id: int) -> str:
        return self._connections[connection_id]["return_address"] or ""

    def next_sequence(self, connection_id: int) -> int:
        last = self._sequences.get(connection_id, self._connections[connection_id]["sequence"])
        self._sequences[connection_id] = last + 1
        return int(last) + 1

    def write_sequences(self, session: Session) -> None:
        if self._sequences:
            session.connection().execute(
                _SEQUENCE, [{"of": key, "value": value} for key, value in self._sequences.items()]
            )


@dataclass(slots=True)
class _Rows:
    """Rows to insert, table by table, and the jobs that go with them."""

    by_table: dict[type[SQLModel], list[dict[str, Any]]] = field(default_factory=dict)
    changes: list[sa.Update] = field(default_factory=list)
    jobs: list[tuple[Enqueue, dict[str, Any]]] = field(default_factory=list)
    identities: list[dict[str, Any]] = field(default_factory=list)

    def add(self, table: type[SQLModel], **values: Any) -> None:
        self.by_table.setdefault(table, []).append(values)

    def put(self, table: type[SQLModel], key: str, *, there: bool, **values: Any) -> None:
        """Add a row, or change the one that is there."""
        if not there:
            self.add(table, **values)
            return
        columns = _table(table).c
        self.changes.append(sa.update(_table(table)).where(columns[key] == values.pop(key)).values(**values))

    def event(
        self, trace_id: str, subject: str, after: str, now: datetime, *, before: str | None = None, why: str = ""
    ) -> None:
        self.add(Event, trace_id=trace_id, subject=subject, before=before, after=after, why=why, at=now)

    def write(self, session: Session) -> None:
        connection = session.connection()
        for table in _ORDER:
            if table in self.by_table:
                connection.execute(_INSERTS[table], self.by_table[table])
        for change in self.changes:
            connection.execute(change)
        if self.identities:  # an ignored first gives way to a better verdict, so the row may be there
            connection.execute(_FORGET_IDENTITY, [{"c": i["connection_id"], "k": i["key"]} for i in self.identities])
            connection.execute(_INSERTS[DeliveryIdentity], self.identities)


def _record_one(ledger: _Known, rows: _Rows, arrival: Arrival) -> list[Recorded]:
    if arrival.message is not None and (first := ledger.messages.first(arrival.message)) is not None:
        return [_same_message(rows, new, first, arrival.means.now) for new in arrival.deliveries]
    outcomes: list[Recorded] = []
    written: list[tuple[NewDelivery, Recorded]] = []
    for new in arrival.deliveries:
        outcome = _seen_before(ledger, rows, new, arrival.means.now)
        if outcome is None:
            outcome = _write(ledger, rows, new, arrival.means)
            written.append((new, outcome))
        outcomes.append(outcome)
    if arrival.message is not None:
        best = min(outcomes, key=lambda outcome: _BEST_FIRST.index(outcome.verdict))
        ledger.messages.take(arrival.message, best.trace_id, arrival.means.now)
    told = all(new.door in _TELL_AT_ONCE for new in arrival.deliveries)
    behind_250 = not told or any(outcome.verdict is not Verdict.REJECTED for outcome in outcomes)
    for new, outcome in written:
        address = ledger.return_address(new.connection_id)
        if address and _is_answered(new, outcome, behind_250=behind_250):
            sequence = ledger.receipts.get(outcome.trace_id, 1)
            now, domain = arrival.means.now, arrival.means.domain
            rows.add(Answer, **answer_row(outcome.trace_id, RECEIPT, sequence, address, now, domain))
    return outcomes


def _same_message(rows: _Rows, new: NewDelivery, first: tuple[str, Verdict, str | None], now: datetime) -> Recorded:
    """Say of a message of a mailbox that was taken before what was said of it then."""
    trace_id, verdict, code = first
    why = f"{Code.ALREADY_SEEN}: the same message was found again: {new.peer}"
    rows.event(trace_id, trace_id, verdict, now, before=verdict, why=why)
    return _again(trace_id, verdict, code)


def _again(trace_id: str, verdict: Verdict, code: str | None) -> Recorded:
    if verdict is Verdict.ACCEPTED:
        verdict = Verdict.DUPLICATE
    return Recorded(trace_id=trace_id, verdict=verdict, code=Code(code) if code else None, seen_again=True)


def _seen_before(ledger: _Known, rows: _Rows, new: NewDelivery, now: datetime) -> Recorded | None:
    """Give the first delivery's outcome when this is the same again; an ignored first gives way to a better verdict."""
    if new.verdict in _JUDGED_ANEW:
        return None
    first = ledger.identities.get((new.connection_id, new.identity))  # an empty one is never there
    if first is None:
        return None
    trace_id, verdict, code = first
    if verdict is Verdict.IGNORED and (new.verdict is Verdict.ACCEPTED or code != new.code):
        return None  # what was ignored then is judged otherwise now: this one is new
    why = f"{Code.ALREADY_SEEN}: the same delivery came again by {new.door} from {new.peer}"
    rows.event(trace_id, trace_id, verdict, now, before=verdict, why=why)
    return _again(trace_id, verdict, code)


def _write(ledger: _Known, rows: _Rows, new: NewDelivery, means: Means) -> Recorded:
    trace_id = new.trace_id or means.new_trace_id()
    firsts = _firsts(ledger, new, trace_id)
    refuse = new.rule.duplicates == "reject"
    verdict, code, message = new.verdict, new.code, new.message
    duplicate_of = None
    if verdict is Verdict.ACCEPTED and refuse and all(first is not None for first in firsts):
        verdict, code, duplicate_of = Verdict.DUPLICATE, Code.DUPLICATE_FILE, firsts[0]
        message = _came_before(duplicate_of)
    rows.put(
        Delivery, "trace_id", there=bool(new.trace_id), trace_id=trace_id, connection_id=new.connection_id,
        version=new.version, data_type=new.rule.data_type, door=new.door, peer=new.peer, verdict=verdict, code=code,
        message=message, sender=new.sender, recipient=new.recipient, tag=new.tag, authenticated_as=new.authenticated_as,
        authenticity=new.authenticity, message_id=new.message_id, subject=new.subject,
        references=list(new.references), size=new.size,
        sha256=new.sha256, dry_run=new.dry_run, parts=list(new.parts), header_block=new.header_block,
        duplicate_of=duplicate_of, **({} if new.trace_id else {"received_at": means.now}),
    )  # fmt: skip
    rows.event(trace_id, trace_id, verdict, means.now, why=_why(code, message))
    if verdict not in _JUDGED_ANEW and new.identity:
        rows.identities.append({"connection_id": new.connection_id, "key": new.identity, "trace_id": trace_id})
        ledger.identities[new.connection_id, new.identity] = (trace_id, verdict, code)
    for number, (file, first) in enumerate(zip(new.files, firsts, strict=True), 1):
        status = _upload_status(new, verdict, duplicate=first is not None and refuse)
        if status is UploadStatus.DUPLICATE and first is not None:
            why: tuple[Code | None, str] = (Code.DUPLICATE_FILE, _came_before(first))
        else:
            why = (file.code or code, file.message or message)
        _write_upload(ledger, rows, new, trace_id, number, status, why, first, means)
    return Recorded(trace_id=trace_id, verdict=verdict, code=code)


def _write_upload(
    ledger: _Known, rows: _Rows, new: NewDelivery, trace_id: str, number: int, status: UploadStatus,
    why: tuple[Code | None, str], first: str | None, means: Means,
) -> None:  # fmt: skip
    file = new.files[number - 1]
    name = upload_id(trace_id, number, len(new.files))
    code, message = why
    there = bool(new.trace_id)
    rows.put(
        Upload, "id", there=there, id=name, trace_id=trace_id, part=number, connection_id=new.connection_id,
        file_name=file.name, other_names=list(file.other_names), size=file.size, sha256=file.sha256, status=status,
        code=code, message=message, segment=new.rule.segment, duplicate_of=first, blob=file.blob,
        supersedes=file.supersedes, **({} if there else {"received_at": means.now}),
    )  # fmt: skip
    before = UploadStatus.SETTLING if there else None
    check_move(before, status)
    rows.event(trace_id, name, status, means.now, before=before, why=_why(code, message))
    if status is not UploadStatus.IMPORT_JOB_CREATED:
        return
    rows.add(Attempt, upload_id=name, number=1, status="queued", version=new.version, queued_at=means.now)
    rows.event(trace_id, f"{name}#1", "queued", means.now)
    sequence = ledger.next_sequence(new.connection_id)
    job = {"upload": name, "attempt": 1, "connection_id": new.connection_id, "sequence": sequence}
    rows.jobs.append((means.enqueue, job))


def _firsts(ledger: _Known, new: NewDelivery, trace_id: str) -> list[str | None]:
    """For each file, the delivery that brought the same content first; two equal files of one mail count too."""
    if new.verdict is not Verdict.ACCEPTED or new.dry_run or new.rule.duplicates == "accept":
        return [None] * len(new.files)
    firsts: list[str | None] = []
    for file in new.files:
        content = (new.connection_id, new.rule.segment, file.sha256)
        firsts.append(ledger.firsts.get(content))
        ledger.firsts.setdefault(content, trace_id)
    return firsts


def _upload_status(new: NewDelivery, verdict: Verdict, *, duplicate: bool) -> UploadStatus:
    if new.code is Code.CONNECTION_PAUSED:
        return UploadStatus.HELD
    if verdict is Verdict.ACCEPTED and duplicate:
        return UploadStatus.DUPLICATE
    return STATUS_OF_VERDICT[verdict]


def _is_answered(new: NewDelivery, outcome: Recorded, *, behind_250: bool) -> bool:
    match outcome.verdict:
        case Verdict.IGNORED:
            return new.rule.notify_ignored and outcome.code in _ANSWERED_WHEN_IGNORED
        case Verdict.REJECTED:
            return behind_250
        case _:
            return True


def _came_before(trace_id: str | None) -> str:
    return f"The same content came before, in the delivery {trace_id}; it is not imported again."


def _why(code: Code | str | None, message: str) -> str:
    return f"{code}: {message}" if code else message


def _table(model: type[SQLModel]) -> sa.Table:
    table: sa.Table = SQLModel.metadata.tables[str(model.__tablename__)]
    return table


# Statements are made once: building one costs as much as running it.
_C, _K, _D, _I = _table(Connection), _table(Credential), _table(Delivery), _table(DeliveryIdentity)
_CONNECTIONS = (
    sa.select(_C.c.id, _C.c.state, _C.c.version, _C.c.sequence, _K.c.return_address)
    .select_from(_C.outerjoin(_K, _K.c.id == _C.c.credential_id))
    .where(_C.c.id.in_(sa.bindparam("ids", expanding=True)))
)
_IDENTITIES = (
    sa.select(_I.c.connection_id, _I.c.key, _I.c.trace_id, _D.c.verdict, _D.c.code)
    .select_from(_I.join(_D, _D.c.trace_id == _I.c.trace_id))
    .where(_I.c.key.in_(sa.bindparam("keys", expanding=True)))
)
_SEQUENCE = sa.update(_C).where(_C.c.id == sa.bindparam("of")).values(sequence=sa.bindparam("value"))
_FORGET_IDENTITY = sa.delete(_I).where(_I.c.connection_id == sa.bindparam("c"), _I.c.key == sa.bindparam("k"))
_ORDER: tuple[type[SQLModel], ...] = (Delivery, Upload, Attempt, Event, Answer)
_WRITTEN: tuple[type[SQLModel], ...] = (*_ORDER, DeliveryIdentity)
_INSERTS = {model: sa.insert(_table(model)) for model in _WRITTEN}
