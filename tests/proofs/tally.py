"""The tally: what was sent, held against what the ledger, the stored files and the outbox show.

Every figure but ``sent``, ``answer_files`` and ``answer_ids`` counts a broken promise and must be 0.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from email.parser import BytesHeaderParser
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.proofs.gate import Gate, wait_until
from tests.proofs.mails import Sent

KINDS = ("receipt", "result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """The figures of one run."""

    sent: int
    lost: int  #: files without an upload that became an import and completed
    twice: int  #: files imported more than once: two such uploads, two attempts, or two ends of one attempt
    damaged: int  #: files whose stored bytes or recorded hash are not what was sent
    strangers: int  #: rows of the history that nobody sent
    no_answer: int  #: answers (receipt, result) that a file should have and has not
    extra_answers: int  #: answers beyond one receipt and one result a file, by distinct Message-ID
    torn_answers: int  #: files in the outbox that are not whole
    unlike_word: int  #: files whose import is not the one that the 250 named
    answer_ids: int  #: distinct Message-IDs in the outbox
    answer_files: int  #: files in the outbox; an answer written twice under one name is one

    @property
    def good(self) -> bool:
        """Tell whether the promise held."""
        figures = asdict(self)
        return not any(figures[name] for name in figures if name not in ("sent", "answer_ids", "answer_files"))

    def __str__(self) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in asdict(self).items())


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One mail in the outbox."""

    trace_id: str
    kind: str
    message_id: str
    whole: bool


def rows(gate: Gate, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask the ledger, beside the service; an answer it cannot give now is asked for again by who polls."""
    connection = sqlite3.connect(f"file:{gate.data / 'mailgate.sqlite3'}?mode=ro", uri=True, timeout=30)
    try:
        return list(connection.execute(statement, values))
    finally:
        connection.close()


def outbox(gate: Gate) -> list[Answer]:
    """Read the answers that were written, from their headers and names."""
    return [_answer(path) for path in sorted((gate.data / "outbox").glob("*.eml"))]


def _answer(path: Path) -> Answer:
    content = path.read_bytes()
    headers = BytesHeaderParser().parsebytes(content)
    kind = next((kind for kind in KINDS if f"-{kind}" in path.name), "other")
    boundary = headers.get_boundary() or ""
    whole = bool(boundary) and content.rstrip().endswith(f"--{boundary}--".encode())
    return Answer(
        trace_id=str(headers["Mailgate-Trace-Id"]), kind=kind, message_id=str(headers["Message-ID"]), whole=whole
    )


def settled(gate: Gate, sent: Sequence[Sent]) -> bool:
    """Tell whether nothing moves any more: every file completed, every answer handed over."""
    statement = (
        "select count(distinct u.file_name) from upload u join attempt a on a.upload_id = u.id"
        " where u.status = 'import_job_created' and a.status = 'completed'"
    )
    try:
        done = int(rows(gate, statement)[0][0])
        waiting = int(rows(gate, "select count(*) from answer where state = 'waiting'")[0][0])
    except sqlite3.OperationalError:
        return False
    return done >= len(sent) and not waiting


def wait_and_count(gate: Gate, sent: Sequence[Sent], acknowledged: dict[str, str], *, seconds: float) -> Tally:
    """Wait until nothing moves any more, at most so long, and count.

    ``acknowledged``: the trace id that a 250 named, by file name, where the client saw it.
    """
    wait_until(lambda: settled(gate, sent), seconds)
    return count(gate, sent, acknowledged, outbox(gate))


def count(gate: Gate, sent: Iterable[Sent], acknowledged: dict[str, str], answers: Sequence[Answer]) -> Tally:
    """Hold what was sent against what is there now."""
    by_name = {one.file_name: one for one in sent}
    uploads: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, trace_id, status, digest, blob in rows(
        gate, "select file_name, trace_id, status, sha256, blob from upload"
    ):
        uploads[name].append({"trace_id": trace_id, "status": status, "sha256": digest, "blob": blob})
    completions = _completions(gate)
    lost = twice = damaged = unlike = missing = extra = 0
    ids: dict[str, defaultdict[str, set[str]]] = {kind: defaultdict(set) for kind in KINDS}
    for answer in answers:
        if answer.kind in ids:
            ids[answer.kind][answer.trace_id].add(answer.message_id)
    for name, one in by_name.items():
        imported = [upload for upload in uploads[name] if upload["status"] == "import_job_created"]
        ends = sum(completions[upload["trace_id"]] for upload in imported)
        lost += ends == 0
        twice += ends > 1 or len(imported) > 1
        damaged += any(not _same(gate, upload, one.sha256) for upload in imported)
        traces = {upload["trace_id"] for upload in uploads[name]}
        unlike += name in acknowledged and traces != {acknowledged[name]}
        for kind in KINDS:
            found = len(set().union(*(ids[kind][trace_id] for trace_id in traces)))
            missing += found == 0
            extra += max(found - 1, 0)
    known = {upload["trace_id"] for name in by_name for upload in uploads[name]}
    return Tally(
        sent=len(by_name), lost=lost, twice=twice, damaged=damaged, no_answer=missing, unlike_word=unlike,
        strangers=sum(len(found) for name, found in uploads.items() if name not in by_name),
        extra_answers=extra + sum(answer.trace_id not in known or answer.kind not in KINDS for answer in answers),
        torn_answers=sum(not answer.whole for answer in answers),
        answer_ids=len({answer.message_id for answer in answers}), answer_files=len(answers),
    )  # fmt: skip


def _completions(gate: Gate) -> Counter[str]:
    """Count, by trace id, how often an attempt was said to be completed."""
    return Counter(trace for (trace,) in rows(gate, "select trace_id from event where after = 'completed'"))


def _same(gate: Gate, upload: dict[str, Any], expected: str) -> bool:
    if upload["sha256"] != expected or upload["blob"] is None:
        return False
    path = gate.data / "blobs" / upload["blob"][:8] / upload["blob"]
    return path.exists() and sha256(path.read_bytes()).hexdigest() == expected
