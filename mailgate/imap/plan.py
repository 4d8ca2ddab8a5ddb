"""Which mailboxes there are to poll, and which connections each of their folders serves. Pure.

What lives here: grouping connections by mailbox and folder, whose a mail is, and where it goes afterwards.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from intake.mail import Recipient
from mailgate.message import EnvelopeTrace
from mailgate.settings import parse_duration
from matching.recipients import addressed, tag_for_all
from models.codes import Code
from models.connection import Remote
from models.faults import Fault
from models.states import ConnectionState, Verdict
from storage.ledger.connections import ConnectionRef

TAKEN = frozenset({Verdict.ACCEPTED, Verdict.DUPLICATE})


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderPlan:
    """One folder of a mailbox and the connections whose mails lie in it, in the order of their making."""

    name: str
    connections: tuple[ConnectionRef, ...]

    def recipients(self, envelope: EnvelopeTrace, mailbox: str) -> tuple[Recipient, ...]:
        """Give the connections that a mail is for: the only one there is, or those that it names; empty for none."""
        fields = (envelope.delivered_to, envelope.named)
        if len(self.connections) == 1:
            address, tag = tag_for_all(fields, mailbox)
            by_name = addressed(fields, {self.connections[0].rule.address: None}, mailbox)
            if by_name:
                address, tag = by_name[0].address, by_name[0].tag
            return (Recipient(connection=self.connections[0], address=address, tag=tag),)
        refs = {ref.rule.address: ref for ref in self.connections}
        return tuple(
            Recipient(connection=refs[one.local_part], address=one.address, tag=one.tag)
            for one in addressed(fields, refs, mailbox)
        )

    def nobody(self, mailbox: str) -> tuple[Recipient, Fault]:
        """Give who keeps the record of a mail that is nobody's, and what it says."""
        names = ", ".join(ref.rule.name for ref in self.connections)
        message = f"The mail is addressed to none of the connections that share the mailbox: {names}."
        return (
            Recipient(connection=self.connections[0], address=mailbox),
            Fault(code=Code.ADDRESS_NOT_MATCHED, message=message),
        )

    def destination(self, verdict: Verdict, connection_id: int) -> str:
        """Give the folder that a mail goes to after this verdict; empty: it stays and is flagged."""
        ref = next((one for one in self.connections if one.id == connection_id), self.connections[0])
        remote = ref.rule.remote
        assert remote is not None
        return remote.processed_folder if verdict in TAKEN else remote.ignored_folder or remote.processed_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxPlan:
    """One mailbox: how to get in, and its folders."""

    remote: Remote  #: of the first connection; all agree on how to log in
    folders: tuple[FolderPlan, ...]
    every: timedelta  #: the shortest that a connection asks for

    @property
    def first(self) -> ConnectionRef:
        """Give the connection that stands for the mailbox in alarms."""
        return self.folders[0].connections[0]


@dataclass(slots=True)
class _Draft:
    remote: Remote
    folders: dict[str, list[ConnectionRef]] = field(default_factory=dict)
    every: list[timedelta] = field(default_factory=list)


def plan_mailboxes(refs: Iterable[ConnectionRef]) -> Mapping[tuple[str, int, str], MailboxPlan]:
    """Group pull connections by mailbox; a folder whose connections are all paused is left alone."""
    drafts: dict[tuple[str, int, str], _Draft] = {}
    for ref in refs:
        remote = ref.rule.remote
        if remote is None:
            continue
        draft = drafts.setdefault(remote.mailbox, _Draft(remote))
        draft.folders.setdefault(remote.folder, []).append(ref)
        if ref.state is ConnectionState.ACTIVE:
            draft.every.append(parse_duration(remote.every))
    plans: dict[tuple[str, int, str], MailboxPlan] = {}
    for key, draft in drafts.items():
        folders = tuple(
            FolderPlan(name=name, connections=tuple(some))
            for name, some in draft.folders.items()
            if any(ref.state is ConnectionState.ACTIVE for ref in some)
        )
        if folders:
            plans[key] = MailboxPlan(remote=draft.remote, folders=folders, every=min(draft.every))
    return plans
