"""Messages of mailboxes in the ledger: which were taken, which were tried in vain, which are still to be moved.

What lives here: the rows of messages. A message is named by mailbox, folder, UIDVALIDITY and UID (RFC 3501 section
2.3.1.1); after a change of UIDVALIDITY it is known again by its content. Who polls a mailbox stands in
``storage.ledger.mailboxes``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col

from models.states import Verdict
from models.tables import Delivery, MailboxMessage

_AT_ONCE = 500  # UIDs in one statement


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageKey:
    """One message of a mailbox, and what it is."""

    mailbox_id: int
    folder: str
    uidvalidity: int
    uid: int
    sha256: str = ""  #: of the whole mail; empty where it could not be fetched

    @property
    def place(self) -> tuple[int, str, int, int]:
        """Give what names the message, without its content."""
        return self.mailbox_id, self.folder, self.uidvalidity, self.uid


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsettled:
    """A message that was taken and neither moved nor flagged yet."""

    uid: int
    verdict: Verdict
    connection_id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """How often a message was tried in vain, and why the last time."""

    tries: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderState:
    """What the ledger knows of the messages of a folder."""

    taken: frozenset[int]  #: UIDs that need nothing more
    unsettled: tuple[Unsettled, ...]
    waiting: frozenset[int]  #: UIDs tried in vain whose next try is not due
    due: Mapping[int, Tried]  #: UIDs tried in vain whose next try is due


class KnownMessages:
    """What the ledger knows of the messages that arrivals were, kept up to date as they are decided."""

    def __init__(self, session: Session, keys: Sequence[MessageKey]) -> None:
        self._taken: dict[tuple[int, str, int, int], tuple[str, Verdict, str | None]] = {}
        self._former: dict[tuple[int, str, str], list[tuple[int, int]]] = {}
        self._renumbered: list[tuple[MessageKey, tuple[int, int]]] = []
        self._new: list[tuple[MessageKey, str, datetime]] = []
        self._firsts: dict[tuple[int, str, int, int], tuple[str, Verdict, str | None]] = {}
        if not keys:
            return
        for row in session.connection().execute(
            _BY_PLACE, {"mailboxes": list({k.mailbox_id for k in keys}), "uids": list({k.uid for k in keys})}
        ):
            place = (row.mailbox_id, row.folder, row.uidvalidity, row.uid)
            self._taken[place] = (row.trace_id, Verdict(row.verdict), row.code)
        hashes = list({k.sha256 for k in keys if k.sha256})
        for row in session.connection().execute(_BY_CONTENT, {"hashes": hashes}):
            same = (row.mailbox_id, row.folder, row.sha256)
            self._former.setdefault(same, []).append((row.uidvalidity, row.uid))
            place = (row.mailbox_id, row.folder, row.uidvalidity, row.uid)
            self._firsts[place] = (row.trace_id, Verdict(row.verdict), row.code)

    def first(self, key: MessageKey) -> tuple[str, Verdict, str | None] | None:
        """Give the delivery that this message was already: by its place, or by content under a former UIDVALIDITY.

        A row of a former UIDVALIDITY is taken over: it stands for one message only, so that two equal ones stay two.
        """
        if (known := self._taken.get(key.place)) is not None:
            return known
        former = self._former.get((key.mailbox_id, key.folder, key.sha256), [])
        place = next((one for one in former if one[0] != key.uidvalidity), None)
        if place is None:
            return None
        former.remove(place)
        self._renumbered.append((key, place))
        self._taken[key.place] = self._firsts[key.mailbox_id, key.folder, *place]
        return self._taken[key.place]

    def take(self, key: MessageKey, trace_id: str, now: datetime) -> None:
        """Note that a message became this delivery."""
        self._new.append((key, trace_id, now))
        self._taken[key.place] = (trace_id, Verdict.ACCEPTED, None)

    def write(self, session: Session) -> None:
        """Write what was decided; rows of tries in vain give way."""
        connection = session.connection()
        for key, (uidvalidity, uid) in self._renumbered:
            connection.execute(_FORGET, _names(key))
            connection.execute(
                _RENUMBER,
                {**_names(key), "old_v": uidvalidity, "old_u": uid, "new_v": key.uidvalidity, "new_u": key.uid},
            )
        if self._new:
            connection.execute(_FORGET, [_names(key) for key, _, _ in self._new])
            connection.execute(_INSERT, [_row(*one) for one in self._new])


def folder_state(session: Session, mailbox_id: int, folder: str, uidvalidity: int, now: datetime) -> FolderState:
    """Give what is known of the messages of a folder under its present UIDVALIDITY."""
    here = {"m": mailbox_id, "f": folder, "v": uidvalidity}
    taken, unsettled, waiting, due = set(), [], set(), {}
    for row in session.connection().execute(_STATE, here):
        if row.trace_id is None:
            if row.next_at is not None and row.next_at > now:
                waiting.add(row.uid)
            else:
                due[row.uid] = Tried(tries=row.tries, reason=row.reason)
        elif row.settled:
            taken.add(row.uid)
        else:
            found = Unsettled(uid=row.uid, verdict=Verdict(row.verdict), connection_id=row.connection_id)
            unsettled.append(found)
    return FolderState(taken=frozenset(taken), unsettled=tuple(unsettled), waiting=frozenset(waiting), due=due)


def settle(session: Session, mailbox_id: int, folder: str, uidvalidity: int, uids: Sequence[int]) -> None:
    """Note that messages were moved or flagged, or are gone."""
    for start in range(0, len(uids), _AT_ONCE):
        session.connection().execute(
            sa.update(MailboxMessage)
            .where(
                col(MailboxMessage.mailbox_id) == mailbox_id, col(MailboxMessage.folder) == folder,
                col(MailboxMessage.uidvalidity) == uidvalidity,
                col(MailboxMessage.uid).in_(uids[start : start + _AT_ONCE]),
            )
            .values(settled=True)
        )  # fmt: skip


def note_try(session: Session, key: MessageKey, reason: str, next_at: datetime) -> None:
    """Note that a message could not be fetched or taken."""
    row = session.get(MailboxMessage, key.place)
    if row is None:
        mailbox_id, folder, uidvalidity, uid = key.place
        row = MailboxMessage(mailbox_id=mailbox_id, folder=folder, uidvalidity=uidvalidity, uid=uid)
    row.tries += 1
    row.reason, row.next_at = reason[:500], next_at
    session.add(row)


def forget_tries(session: Session, key: MessageKey) -> None:
    """Forget a message that is gone before it could be fetched."""
    session.connection().execute(_FORGET, _names(key))


def _names(key: MessageKey) -> dict[str, Any]:
    mailbox_id, folder, uidvalidity, uid = key.place
    return {"m": mailbox_id, "f": folder, "v": uidvalidity, "u": uid}


def _row(key: MessageKey, trace_id: str, now: datetime) -> dict[str, Any]:
    mailbox_id, folder, uidvalidity, uid = key.place
    return {
        "mailbox_id": mailbox_id, "folder": folder, "uidvalidity": uidvalidity, "uid": uid, "trace_id": trace_id,
        "sha256": key.sha256, "recorded_at": now, "settled": False, "tries": 0, "reason": "",
    }  # fmt: skip


_M = SQLModel.metadata.tables["mailbox_message"]
_D = SQLModel.metadata.tables[str(Delivery.__tablename__)]
_FACTS = sa.select(
    _M.c.mailbox_id, _M.c.folder, _M.c.uidvalidity, _M.c.uid, _M.c.sha256, _M.c.trace_id, _D.c.verdict, _D.c.code
).select_from(_M.join(_D, _D.c.trace_id == _M.c.trace_id))
_BY_PLACE = _FACTS.where(
    _M.c.mailbox_id.in_(sa.bindparam("mailboxes", expanding=True)), _M.c.uid.in_(sa.bindparam("uids", expanding=True))
)
_BY_CONTENT = _FACTS.where(_M.c.sha256.in_(sa.bindparam("hashes", expanding=True)))
_HERE = (
    (_M.c.mailbox_id == sa.bindparam("m")) & (_M.c.folder == sa.bindparam("f"))
)  # fmt: skip
_STATE = (
    sa.select(
        _M.c.uid, _M.c.trace_id, _M.c.settled, _M.c.next_at, _M.c.tries, _M.c.reason, _D.c.verdict, _D.c.connection_id
    )
    .select_from(_M.outerjoin(_D, _D.c.trace_id == _M.c.trace_id))
    .where(_HERE, _M.c.uidvalidity == sa.bindparam("v"))
)
_FORGET = sa.delete(_M).where(_HERE, _M.c.uidvalidity == sa.bindparam("v"), _M.c.uid == sa.bindparam("u"))
_RENUMBER = (
    sa.update(_M)
    .where(_HERE, _M.c.uidvalidity == sa.bindparam("old_v"), _M.c.uid == sa.bindparam("old_u"))
    .values(uidvalidity=sa.bindparam("new_v"), uid=sa.bindparam("new_u"), settled=False)
)
_INSERT = sa.insert(_M)
