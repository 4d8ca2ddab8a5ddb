"""What happened, said once: each function here is one event, with its log line, its count and its span.

What lives here: which facts an event has, and under which names. Every line of a delivery carries its trace id, so that
its way can be read from the door to the last answer with one search. A trace id also tells when its delivery began.
"""

import time
from typing import Any

from mailgate.observe import metrics, traces
from mailgate.observe.logs import get_logger
from models.trace import began_at

_intake, _imports, _post, _folder = (get_logger(room) for room in ("intake", "imports", "post", "folder"))
_ROWS = ("successful", "unchanged", "error", "not_applied")


def delivery(
    *, trace_id: str, connection: str, door: str, peer: str, verdict: str, code: str, octets: int, files: int,
    seen_again: bool = False, receiving: float | None = None, recording: float = 0.0,
) -> None:  # fmt: skip
    """Note a delivery that was recorded with its verdict.

    ``receiving``: seconds from its first byte to its last; ``recording``: from then until it was durable.
    """
    facts: dict[str, Any] = {
        "trace_id": trace_id, "connection": connection, "door": door, "peer": peer, "verdict": verdict,
        "bytes": octets, "files": files, "seconds": round(recording, 4),
    }  # fmt: skip
    if code:
        facts["code"] = code
    if seen_again:
        facts["seen_again"] = True
    _intake.info("delivery", **facts)
    metrics.deliveries.labels(door, verdict, code).inc()
    metrics.delivery_bytes.labels(door).inc(octets)
    metrics.delivery_files.labels(door).inc(files)
    metrics.steps.labels("record").observe(recording)
    if receiving is not None:
        metrics.steps.labels("receive").observe(receiving)
        traces.note("receive", trace_id, seconds=receiving, ago=recording, bytes=octets)
    traces.note("record", trace_id, seconds=recording, files=files)
    whole = recording + (receiving or 0.0)
    if receiving is None:  # a file at a file door has its trace id from its first byte on
        whole = max(_age(trace_id), recording)
    traces.note(
        "delivery seen again" if seen_again else "delivery", trace_id, root=not seen_again, seconds=whole, door=door,
        connection=connection, verdict=verdict, code=code, bytes=octets, files=files,
    )  # fmt: skip


def upload_ended(event: str, *, trace_id: str, outcome: str, **facts: Any) -> None:
    """Note an upload in a client's folder that ended before it was judged: cut off, taken back or refused."""
    _folder.info(event, trace_id=trace_id, outcome=outcome, **facts)
    metrics.uploads_ended.labels(outcome).inc()
    traces.note("upload", trace_id, seconds=_age(trace_id), error=event, outcome=outcome)


def received(*, trace_id: str, octets: int) -> None:
    """Note that all bytes of a file are here and durable, before anybody judges it."""
    seconds = _age(trace_id)
    metrics.steps.labels("receive").observe(seconds)
    traces.note("receive", trace_id, seconds=seconds, bytes=octets)


def refused(door: str, reason: str, **facts: Any) -> None:
    """Count what a door refused; a line is written where there is something to say about it."""
    metrics.refusals.labels(door, reason).inc()
    if facts:
        get_logger(door).warning("refused for now", reason=reason, **facts)


def import_begun(*, trace_id: str, upload: str, attempt: int, connection: str, waited: float) -> None:
    """Note that an import begins, so many seconds after it was queued."""
    _imports.info(
        "import begun", trace_id=trace_id, upload=upload, attempt=attempt, connection=connection,
        waited=round(waited, 3),
    )  # fmt: skip
    metrics.steps.labels("queue").observe(waited)
    traces.note("queue", trace_id, seconds=waited, upload=upload, attempt=attempt)


def import_ended(
    *, trace_id: str, upload: str, attempt: int, status: str, code: str, result: dict[str, Any], seconds: float,
    parsing: float | None, since_received: float,
) -> None:  # fmt: skip
    """Note that an import has ended; ``parsing``: seconds that its worker took, None where there was no worker."""
    counts = {name: int(result.get(f"{name}_rows") or 0) for name in _ROWS}
    facts: dict[str, Any] = {"code": code} if code else {}
    _imports.info(
        "import", trace_id=trace_id, upload=upload, attempt=attempt, status=status, rows=sum(counts.values()),
        error_rows=counts["error"], seconds=round(seconds, 3), since_received=round(since_received, 3), **facts,
    )  # fmt: skip
    metrics.imports.labels(status).inc()
    for outcome, count in counts.items():
        if count:
            metrics.rows.labels(outcome).inc(count)
    metrics.steps.labels("import").observe(seconds)
    metrics.steps.labels("result").observe(since_received)
    if parsing is not None:
        metrics.steps.labels("parse").observe(parsing)
        traces.note("parse", trace_id, seconds=parsing, upload=upload)
    traces.note(
        "import", trace_id, seconds=seconds, upload=upload, attempt=attempt, status=status, code=code,
        rows=sum(counts.values()), error_rows=counts["error"],
    )  # fmt: skip


def import_failed(*, upload: str, attempt: int, kind: str, error: str, **facts: Any) -> None:
    """Note a try that failed: ``failed`` counts against the file, ``waits`` does not."""
    event = "import failed" if kind == "failed" else "import waits"
    trace_id = upload.partition(".")[0]
    _imports.warning(event, trace_id=trace_id, upload=upload, attempt=attempt, error=error, **facts)
    metrics.import_tries.labels(kind).inc()
    traces.note("import try", trace_id, seconds=0.0, error=error, upload=upload, attempt=attempt)


def import_not_begun(*, upload: str, attempt: int, status: str, code: str, reason: str) -> None:
    """Note an attempt that had nothing left to do: it was parked or cancelled, or had ended before a crash."""
    trace_id, facts = upload.partition(".")[0], {"code": code} if code else {}
    _imports.info("import", trace_id=trace_id, upload=upload, attempt=attempt, status=status, reason=reason, **facts)
    if status == "aborted":
        metrics.imports.labels(status).inc()
    traces.note("import", trace_id, seconds=0.0, error=reason, upload=upload, attempt=attempt, status=status)


def answer(
    *, trace_id: str, kind: str, outcome: str, owed_for: float, seconds: float, reason: str = "", tries: int = 1,
    digest: bool = False,
) -> None:  # fmt: skip
    """Note what became of an answer by mail: ``sent``, ``postponed`` or ``undeliverable``."""
    facts: dict[str, Any] = {"reason": reason[:300]} if reason else {}
    if digest:
        facts["digest"] = True
    say = _post.info if outcome == "sent" else _post.warning
    say(
        f"answer {outcome}", trace_id=trace_id, kind=kind, tries=tries, owed_for=round(owed_for, 3),
        seconds=round(seconds, 3), **facts,
    )  # fmt: skip
    metrics.answers.labels(kind, outcome).inc()
    if outcome == "sent":
        metrics.steps.labels("answer").observe(owed_for)
    traces.note(
        "answer", trace_id, seconds=owed_for if outcome == "sent" else seconds, kind=kind, outcome=outcome,
        error="" if outcome == "sent" else reason[:300] or outcome,
    )  # fmt: skip


def _age(trace_id: str) -> float:
    """Give the seconds since a trace id was made; none where clocks disagree."""
    return max(time.time() - began_at(trace_id), 0.0)
