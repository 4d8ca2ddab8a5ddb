"""The metrics: one instrument for each thing that is counted or timed, in a registry of our own.

What lives here: names, labels and what they mean. Every label's values are a fixed set of words (doors, verdicts, codes
of the catalogue, states): never a name that a client or an operator chose, so that no sender can make the page grow.
Counting costs about a microsecond. What is asked of the database stands in ``mailgate.watch.figures``.
"""

import contextlib
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call]  # when a series began is of no use to anybody here
REGISTRY = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def _counter(name: str, what: str, *labels: str) -> Counter:
    return Counter(f"mailgate_{name}", what, labels, registry=REGISTRY)


def _gauge(name: str, what: str, *labels: str) -> Gauge:
    return Gauge(f"mailgate_{name}", what, labels, registry=REGISTRY)


def _times(name: str, what: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
    return Histogram(f"mailgate_{name}", what, labels, buckets=buckets, registry=REGISTRY)


build = _gauge("build_info", "1, with the version that runs.", "version")
roles = _gauge("role_info", "1 for each role of this process.", "role")

# what comes in
deliveries = _counter("deliveries", "Deliveries by door, verdict and code.", "door", "verdict", "code")
delivery_bytes = _counter("delivery_bytes", "Bytes of the deliveries that were recorded.", "door")
delivery_files = _counter("delivery_files", "Files of the deliveries that were recorded.", "door")
refusals = _counter("refusals", "What a door refused before it was a delivery.", "door", "reason")
uploads_ended = _counter("uploads_ended", "Uploads in folders that ended before they were judged.", "outcome")
connections = _gauge("connections_open", "Connections of clients that are open now.", "door")
logins = _counter("logins", "Logins by method and outcome.", "method", "outcome")
bans = _counter("bans", "Addresses that were banned by this process.")

# what becomes of it
imports = _counter("imports", "Imports that ended, by status.", "status")
import_tries = _counter("import_tries_failed", "Tries of imports that failed (counted) or had to wait.", "kind")
imports_active = _gauge("imports_active", "Imports that this process works for now.")
rows = _counter("rows", "Rows of imports that ended, by outcome.", "outcome")
answers = _counter("answers", "Answers by mail, by kind and what became of them.", "kind", "outcome")
steps = _times("step_seconds", "How long each step of a delivery took.", "step")

# what it stands on
writer_group = Histogram(
    "mailgate_database_group_size", "Writing transactions in one commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128),
    registry=REGISTRY,
)  # fmt: skip
writer_seconds = _times("database_commit_seconds", "Time of one group of writing transactions.", buckets=_QUICK)
writer_waiting = _gauge("database_writes_waiting", "Writing transactions that wait for their turn.")
database_errors = _counter("database_errors", "Transactions that the database could not do.")
blob_errors = _counter("blob_errors", "Files that could not be kept or read.", "operation")
loop_lag = _times("loop_lag_seconds", "How late the event loop came back to a task that slept.", buckets=_QUICK)
log_lines = _counter("log_lines", "Lines of the log by level and room.", "level", "room")


@contextlib.contextmanager
def timed(step: str) -> Iterator[None]:
    """Observe how long a block took, whether it went well or not."""
    began = time.perf_counter()
    try:
        yield
    finally:
        steps.labels(step).observe(time.perf_counter() - began)
