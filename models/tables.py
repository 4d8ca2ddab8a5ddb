"""The tables of the ledger. Columns only; what may be written when stands in ``storage.ledger``.

What lives here: SQLModel classes and the naming convention. Never imported by ``matching``, ``parsing`` or the
message room.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """Keep aware UTC times; SQLite, which has no zones, stores them without one."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Turn an aware time into the stored one; a naive time is a fault of ours."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times are stored with their zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Turn the stored time into an aware one."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: A number that may pass 2^31 in a large installation; SQLite's integers have 64 bits anyway.
BigNumber = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class Account(SQLModel, table=True):
    """A client organisation; it owns connections and credentials and sees only its own."""

    id: int | None = Field(default=None, primary_key=True)
    name: str
    name_key: str = Field(unique=True)  #: case-folded
    created_at: datetime = Field(sa_type=UtcDateTime)


class Credential(SQLModel, table=True):
    """How the other side proves itself, and where its answers go."""

    id: int | None = Field(default=None, primary_key=True)
    account_id: int = Field(foreign_key="account.id")
    name: str
    name_key: str = Field(unique=True)
    username: str | None = None
    username_key: str | None = Field(default=None, unique=True)
    password_hash: str | None = None  #: argon2id
    former_hash: str | None = None  #: of the password before a rotation with an overlap
    former_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ssh_keys: list[str] = Field(default_factory=list, sa_type=sa.JSON)  #: kind, base64 and comment, one line each
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    return_address: str = ""
    lenient: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})  #: FTP without close_notify
    created_at: datetime = Field(sa_type=UtcDateTime)


class Connection(SQLModel, table=True):
    """One agreed stream of files; its rule is the current version."""

    id: int | None = Field(default=None, primary_key=True)
    account_id: int = Field(foreign_key="account.id", index=True)
    credential_id: int | None = Field(default=None, foreign_key="credential.id")
    name: str
    name_key: str | None = Field(default=None, unique=True)  #: empty once deleted, so that the name is free again
    address: str | None = Field(default=None, unique=True)  #: current local part, lower case
    state: str
    version: int  #: number of the current version
    sequence: int = 0  #: of the last import queued; gives their order
    created_at: datetime = Field(sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class IntakeAddress(SQLModel, table=True):
    """Every local part ever given out; never given to another connection."""

    __tablename__ = "intake_address"
    local_part: str = Field(primary_key=True)  #: lower case
    connection_id: int = Field(foreign_key="connection.id", index=True)
    retired_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ConnectionVersion(SQLModel, table=True):
    """What a connection's rule was; never changed, so that a replay can use it."""

    __tablename__ = "connection_version"
    connection_id: int = Field(foreign_key="connection.id", primary_key=True)
    number: int = Field(primary_key=True)
    rule: dict[str, Any] = Field(sa_type=sa.JSON)
    created_at: datetime = Field(sa_type=UtcDateTime)


class Delivery(SQLModel, table=True):
    """One arrival for one connection, whatever became of it."""

    trace_id: str = Field(primary_key=True)
    connection_id: int = Field(foreign_key="connection.id", index=True)
    version: int  #: of the connection that judged it
    data_type: str
    door: str
    peer: str = ""
    verdict: str  #: empty: not judged yet, a file at a file door that is under way, held or settling
    code: str | None = None
    message: str = ""
    sender: str = ""
    recipient: str = ""
    tag: str = ""
    authenticated_as: str = ""
    authenticity: dict[str, Any] | None = Field(default=None, sa_type=sa.JSON(none_as_null=True))
    message_id: str = ""
    subject: str = ""
    references: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    size: int = Field(default=0, sa_type=BigNumber)  #: bytes
    sha256: str = ""  #: of the whole mail
    dry_run: bool = False
    parts: list[dict[str, Any]] = Field(default_factory=list, sa_type=sa.JSON)  #: leaves that are no upload, with why
    header_block: bytes | None = None  #: of a rejected mail, 64 KiB at most
    duplicate_of: str | None = None
    received_at: datetime = Field(sa_type=UtcDateTime, index=True)


class Upload(SQLModel, table=True):
    """One file of a delivery, as the upload history shows it."""

    __table_args__ = (
        sa.Index("ix_upload_content", "connection_id", "sha256"),
        sa.Index("ix_upload_order", "connection_id", "received_at"),
    )

    id: str = Field(primary_key=True)
    trace_id: str = Field(foreign_key="delivery.trace_id", index=True)
    part: int
    connection_id: int = Field(foreign_key="connection.id")
    file_name: str
    other_names: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    size: int | None = Field(default=None, sa_type=BigNumber)  #: bytes
    sha256: str = ""
    status: str = Field(index=True)
    code: str | None = None
    message: str = ""
    segment: str = ""
    duplicate_of: str | None = None
    supersedes: str | None = None  #: the upload whose whole content this one begins with, taken under the same name
    blob: str | None = Field(default=None, index=True)
    received_at: datetime = Field(sa_type=UtcDateTime)


class FolderFile(SQLModel, table=True):
    """What stands under a name in a client's folder: an upload from its first byte on, or a marker file."""

    __tablename__ = "folder_file"
    __table_args__ = (sa.Index("ix_folder_file_place", "credential_id", "folder", "dry_run", "gone_at"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigNumber)
    credential_id: int = Field(foreign_key="credential.id")
    folder: str  #: the connection's, absolute
    dry_run: bool = False  #: in ``<folder>/dryrun``
    name: str  #: NFC
    upload_id: str | None = Field(default=None, foreign_key="upload.id", unique=True)  #: none: a marker that waits
    spool: str | None = Field(default=None, index=True)  #: the file with its bytes, until it is judged
    node: str | None = None  #: that wrote to it last, by the name of that start
    blob: str | None = Field(default=None, index=True)  #: its bytes where all nodes find them, until it is judged
    size: int = Field(default=0, sa_type=BigNumber)  #: bytes, as of the last close or cut
    generation: int = 1  #: counts its openings: what settled must be what was closed last
    marked: bool = False  #: its marker file has come
    visit: str | None = Field(default=None, index=True)  #: the session that must end before it vanishes
    touched_at: datetime = Field(sa_type=UtcDateTime)
    due_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)  #: settled then, if untouched
    judged_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    gone_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  #: no longer seen


class FolderAnswer(SQLModel, table=True):
    """One receipt, result or errors file in a client's ``results`` folder; what it says is made when it is read."""

    __tablename__ = "folder_answer"
    __table_args__ = (
        sa.UniqueConstraint("upload_id", "kind", "attempt"),
        sa.Index("ix_folder_answer_place", "credential_id", "folder", "name"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigNumber)
    credential_id: int = Field(foreign_key="credential.id")
    folder: str  #: the connection's, absolute
    name: str  #: the newest has the plain name, an older one carries its trace id
    upload_id: str = Field(foreign_key="upload.id")
    kind: str  #: receipt, result or errors
    attempt: int = 0  #: of a result and its errors file
    created_at: datetime = Field(sa_type=UtcDateTime, index=True)
    gone_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  #: removed by the client, or past its time


class Attempt(SQLModel, table=True):
    """One try to import an upload; a replay is a further one."""

    upload_id: str = Field(foreign_key="upload.id", primary_key=True)
    number: int = Field(primary_key=True)
    status: str = Field(index=True)
    replay: bool = False
    version: int  #: of the connection's rule it uses
    tries: int = 0  #: how often a process has begun it
    failures: int = 0  #: how often it failed while the process lived
    code: str | None = None
    message: str = ""
    cancel_requested: bool = False
    no_rows: bool = False  #: header only: does not count as the first of its content
    result: dict[str, Any] | None = Field(default=None, sa_type=sa.JSON)
    errors_blob: str | None = Field(default=None, index=True)
    errors_bytes: int | None = Field(default=None, sa_type=sa.BigInteger)  #: none: written before it was noted
    queued_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class DeliveryIdentity(SQLModel, table=True):
    """What makes a delivery the same as an earlier one (product rule 9)."""

    __tablename__ = "delivery_identity"
    connection_id: int = Field(foreign_key="connection.id", primary_key=True)
    key: str = Field(primary_key=True)
    trace_id: str = Field(foreign_key="delivery.trace_id", index=True)


class Event(SQLModel, table=True):
    """One change of state: from, to, when, why."""

    id: int | None = Field(default=None, primary_key=True, sa_type=BigNumber)
    trace_id: str = Field(foreign_key="delivery.trace_id", index=True)
    subject: str  #: trace id, upload id, or upload id with #attempt
    before: str | None = None
    after: str
    why: str = ""
    at: datetime = Field(sa_type=UtcDateTime)


class Answer(SQLModel, table=True):
    """One reply by mail, from the moment it is owed until it is handed over."""

    __table_args__ = (
        sa.UniqueConstraint("trace_id", "kind", "sequence"),
        sa.Index("ix_answer_due", "state", "next_at"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigNumber)
    trace_id: str = Field(foreign_key="delivery.trace_id")
    kind: str  #: receipt or result
    sequence: int = 1  #: a resend, a replay's result, or the rest after a partial result is a further one
    to_address: str = Field(index=True)
    state: str  #: waiting, sent, undeliverable
    uploads: list[str] = Field(default_factory=list, sa_type=sa.JSON)  #: that a result speaks of, with #attempt
    missing: list[str] = Field(default_factory=list, sa_type=sa.JSON)  #: uploads without a result yet
    message_id: str
    tries: int = 0
    digest: str | None = None  #: message id of the digest it went out in
    error: str = ""
    created_at: datetime = Field(sa_type=UtcDateTime)
    next_at: datetime = Field(sa_type=UtcDateTime)
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)


class Alarm(SQLModel, table=True):
    """Something an operator must look at; open while ``cleared_at`` is empty."""

    id: int | None = Field(default=None, primary_key=True, sa_type=BigNumber)
    connection_id: int | None = Field(default=None, foreign_key="connection.id")
    kind: str
    subject: str  #: what it is about, e.g. an upload id; one open alarm per kind and subject
    message: str
    raised_at: datetime = Field(sa_type=UtcDateTime)
    told_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)  #: operators were told by mail
    cleared_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)


class Mailbox(SQLModel, table=True):
    """A mailbox that connections pull from: who polls it now, and how that goes."""

    __table_args__ = (sa.UniqueConstraint("host", "port", "username"),)

    id: int | None = Field(default=None, primary_key=True)
    host: str  #: lower case
    port: int
    username: str
    lease_holder: str = ""  #: empty: nobody polls it
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)  #: by the database's clock
    pull_wanted: int = 0  #: number of the latest wish for a look at once
    pull_done: int = 0  #: number of the latest wish that was fulfilled, or tried
    reason: str = ""  #: why it cannot be polled; empty: all is well
    step: str = ""  #: at which step it failed
    failures: int = 0  #: in a row
    failing_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    next_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  #: of the next try after a failure
    polled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  #: of the latest look that went well


class MailboxFolder(SQLModel, table=True):
    """A folder of a mailbox, and the UIDVALIDITY it had (RFC 3501 section 2.3.1.1)."""

    __tablename__ = "mailbox_folder"
    mailbox_id: int = Field(foreign_key="mailbox.id", primary_key=True)
    name: str = Field(primary_key=True)
    uidvalidity: int = Field(sa_type=sa.BigInteger)
    changed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  #: when it was last seen to be another


class MailboxMessage(SQLModel, table=True):
    """One message of a mailbox: taken, or tried in vain. ``trace_id`` empty: not taken yet."""

    __tablename__ = "mailbox_message"
    __table_args__ = (sa.Index("ix_mailbox_message_content", "mailbox_id", "folder", "sha256"),)

    mailbox_id: int = Field(foreign_key="mailbox.id", primary_key=True)
    folder: str = Field(primary_key=True)
    uidvalidity: int = Field(sa_type=sa.BigInteger, primary_key=True)
    uid: int = Field(sa_type=sa.BigInteger, primary_key=True)
    trace_id: str | None = Field(default=None, foreign_key="delivery.trace_id", index=True)
    sha256: str = ""  #: of the whole mail
    settled: bool = False  #: it was moved or flagged
    tries: int = 0
    reason: str = ""  #: why the latest try was in vain
    next_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  #: of the next try
    recorded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Defence(SQLModel, table=True):
    """What is remembered of failed logins: of an address (``address:…``) or of a user (``user:…``, a digest)."""

    subject: str = Field(primary_key=True)
    failures: list[list[Any]] = Field(default_factory=list, sa_type=sa.JSON)  #: time, points, the other side
    banned_until: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    bans: int = 0  #: in a row
    updated_at: datetime = Field(sa_type=UtcDateTime, index=True)


class KnownLogin(SQLModel, table=True):
    """An address from which a user has logged in; others' failures do not shut such a pair out."""

    __tablename__ = "known_login"
    user: str = Field(primary_key=True)  #: a digest
    address: str = Field(primary_key=True)
    seen_at: datetime = Field(sa_type=UtcDateTime, index=True)


class Node(SQLModel, table=True):
    """A service process, from its start until a day after it was seen last; times by the database's clock."""

    id: str = Field(primary_key=True)  #: unlike that of any other process, and of the same one before it
    roles: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    version: str = ""
    started_at: datetime = Field(sa_type=UtcDateTime)
    seen_at: datetime = Field(sa_type=UtcDateTime, index=True)


class Lease(SQLModel, table=True):
    """A duty that one node of the cluster has at a time; ``until`` by the database's clock."""

    name: str = Field(primary_key=True)
    holder: str  #: a node; empty: nobody
    until: datetime = Field(sa_type=UtcDateTime)
