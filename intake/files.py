"""A file that has settled in a client's folder, judged: the counterpart of ``intake.mail`` for file doors.

What lives here: which connection takes it, why none does, and the values to record. Its bytes become a blob by a
second name. Runs in a thread; no transaction, no reply.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from matching.names import printable
from matching.uploads import Prefixes, assign
from models.answers import superseding
from models.codes import Code
from models.connection import Rule
from models.faults import Fault
from models.states import ConnectionState, Verdict
from storage.blobs import Blobs, BlobWriter
from storage.ledger.connections import ConnectionRef
from storage.ledger.recording import NewDelivery, NewFile
from storage.ledger.settling import Candidate

_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedFile:
    """One settled file ready to be recorded once its blob is durable."""

    new: NewDelivery
    writer: BlobWriter | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judged:
    connection_id: int
    version: int
    rule: Rule
    verdict: Verdict
    fault: Fault | None = None
    paused: bool = False
    orphaned: bool = False


def prepare_file(
    one: Candidate,
    path: Path | None,
    blobs: Blobs,
    prefixes: Prefixes,
    now: datetime,
    orphan: tuple[int, int, Rule] | None,
) -> PreparedFile:
    """Judge a settled file and begin its blob; OSError when it cannot be kept now.

    ``path``: the file on this disk; None where its bytes are a blob already, which its upload takes over.
    ``orphan``: id, version and rule of the connection its delivery names, where the folder has no connection left.
    """
    judged = _judge(one, prefixes, orphan)
    taken = judged.verdict is not Verdict.REJECTED
    writer = blobs.create(now, of=path) if taken and path is not None else None
    supersedes = _superseded(one, path, blobs) if taken else None
    blob = writer.id if writer else one.blob
    message = judged.fault.message if judged.fault else ""
    file = NewFile(
        name=one.name, size=one.size, sha256=one.sha256, blob=blob if taken else None,
        code=judged.fault.code if judged.fault else None,
        message=" ".join(filter(None, (message, superseding(supersedes) if supersedes else ""))), supersedes=supersedes,
    )  # fmt: skip
    new = NewDelivery(
        trace_id=one.trace_id, connection_id=judged.connection_id, version=judged.version, paused=judged.paused,
        rule=judged.rule, door=one.door, peer=one.peer, sender=one.credential, recipient=one.place.path, tag="",
        authenticated_as=one.credential, message_id="", subject="", references=(), size=one.size, sha256=one.sha256,
        dry_run=one.place.dry_run, verdict=judged.verdict, code=judged.fault.code if judged.fault else None,
        message=message, files=(file,), identity="", orphaned=judged.orphaned,
    )  # fmt: skip
    return PreparedFile(new=new, writer=writer)


def _judge(one: Candidate, prefixes: Prefixes, orphan: tuple[int, int, Rule] | None) -> _Judged:
    if not one.connections:
        assert orphan is not None
        number, version, rule = orphan
        message = f"No connection takes files from {one.place.folder} any more."
        return _Judged(
            connection_id=number, version=version, rule=rule, verdict=Verdict.REJECTED, orphaned=True,
            fault=Fault(code=Code.NAME_NOT_MATCHED, message=message),
        )  # fmt: skip
    assigned = assign(one.name, [ref.rule for ref in one.connections], prefixes)
    ref = next(ref for ref in one.connections if ref.rule is assigned.rule)
    paused = ref.state is ConnectionState.PAUSED
    verdict, fault = Verdict.ACCEPTED, assigned.fault
    if fault is not None:
        verdict = Verdict.REJECTED
    elif paused:
        verdict, fault = Verdict.IGNORED, _paused(ref, one.name)
    return _Judged(
        connection_id=ref.id, version=ref.version, rule=ref.rule, verdict=verdict, fault=fault, paused=paused
    )


def _paused(ref: ConnectionRef, name: str) -> Fault:
    message = f"The connection {ref.rule.name} is paused: {printable(name)} is kept and held."
    return Fault(code=Code.CONNECTION_PAUSED, message=message)


def _superseded(one: Candidate, path: Path | None, blobs: Blobs) -> str | None:
    """Give the upload accepted before, where the file begins with the whole of it and goes on."""
    before = one.before
    if before is None or before.size >= one.size:
        return None
    found, left = hashlib.sha256(), before.size
    with path.open("rb") if path is not None else blobs.open(one.blob or "") as source:
        while left and (block := source.read(min(left, _BLOCK))):
            found.update(block)
            left -= len(block)
    return before.upload if found.hexdigest() == before.sha256 else None
