"""Traces: the way of one delivery hangs together under its own id, and costs nothing where nobody wants it."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from mailgate.observe import traces
from models.faults import TemporaryError
from models.trace import began_at, make_trace_id, trace_number
from tests.imports.support import Courier, Pool, importer, post
from tests.intake.support import intake, mail, part, raw
from tests.storage.support import Store, in_loop

DATABASES = ["sqlite"]


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Keep spans in memory."""
    exporter = InMemorySpanExporter()
    traces.enable_with(exporter, {}, at_once=True)
    yield exporter
    traces.disable()


def deliver(store: Store, name: str = "Conversions_2026_1.csv", **more: Any) -> str:
    store.connect(pattern="Conversions_*.csv")
    (outcome,) = in_loop(intake(store).accept(mail(store, raw(part(b"a,b\r\n1,2\r\n", name)), **more)))
    return outcome.trace_id


def by_name(spans: InMemorySpanExporter) -> dict[str, Any]:
    return {span.name: span for span in spans.get_finished_spans()}


def test_a_trace_id_is_a_number_of_128_bits_and_a_time() -> None:
    trace_id = make_trace_id(1_700_000_000_123, b"\xff" * 10)
    assert trace_number(trace_id) == 1_700_000_000_123 << 80 | (1 << 80) - 1
    assert trace_number(trace_id.lower()) == trace_number(trace_id)
    assert began_at(trace_id) == 1_700_000_000.123


def test_door_job_and_answers_are_one_trace_with_the_deliverys_own_id(
    store: Store, spans: InMemorySpanExporter
) -> None:
    trace_id = deliver(store, begun=0.0, whole=2.0)
    in_loop(importer(store, Pool()).run(*store.queue.jobs[0]))
    in_loop(post(store, Courier()).work_once())
    found = by_name(spans)
    assert set(found) == {"delivery", "receive", "record", "queue", "parse", "import", "answer"}
    assert {span.context.trace_id for span in found.values()} == {trace_number(trace_id)}
    root = found.pop("delivery")
    assert root.parent is None
    assert root.context.span_id == trace_number(trace_id) & (1 << 64) - 1
    assert {span.parent.span_id for span in found.values()} == {root.context.span_id}
    assert len({span.context.span_id for span in spans.get_finished_spans()}) == len(spans.get_finished_spans())
    assert found["receive"].end_time - found["receive"].start_time == 2_000_000_000
    assert root.attributes["mailgate.verdict"] == "accepted"
    assert found["import"].attributes["mailgate.status"] == "completed"
    assert all(span.status.status_code is StatusCode.UNSET for span in [root, *found.values()])


def test_the_same_mail_again_is_no_second_root(store: Store, spans: InMemorySpanExporter) -> None:
    store.connect(pattern="Conversions_*.csv")
    data = raw(part(b"a\r\n1\r\n", "Conversions_1.csv"), head="Message-ID: <a@acme.example>\r\n")
    first, again = (in_loop(intake(store).accept(mail(store, data)))[0].trace_id for _ in range(2))
    assert first == again
    assert [span.name for span in spans.get_finished_spans() if span.name.startswith("delivery")] == [
        "delivery", "delivery seen again",
    ]  # fmt: skip


def test_what_fails_is_an_error_in_the_trace(store: Store, spans: InMemorySpanExporter, waits: list[float]) -> None:
    trace_id = deliver(store)
    in_loop(importer(store, Pool([RuntimeError("torn"), *[]])).run(*store.queue.jobs[0]))
    in_loop(post(store, Courier(refusals=[TemporaryError("relay away")] * 2)).work_once())
    found = by_name(spans)
    assert waits
    assert "torn" in found["import try"].status.description
    assert found["answer"].status.description == "relay away"
    assert found["answer"].context.trace_id == trace_number(trace_id)


def test_a_collector_that_is_away_does_not_hold_up_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def exporter(**options: Any) -> InMemorySpanExporter:
        asked.update(options)
        return InMemorySpanExporter()

    monkeypatch.setattr("opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter", exporter)
    traces.enable("http://127.0.0.1:4318/v1/traces", {})
    traces.disable()
    assert asked == {"endpoint": "http://127.0.0.1:4318/v1/traces", "timeout": 3}  # the library's own is 10


def test_without_an_endpoint_nothing_of_the_library_is_loaded() -> None:
    code = (
        "import sys, mailgate.app; from mailgate.observe import traces;"
        "traces.note('x', '01J00000000000000000000000', seconds=1.0);"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_an_endpoint_without_the_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(traces.TracingNotInstalled, match=r'pip install "mailgate\[otel\]"'):
        traces.enable("http://127.0.0.1:4318/v1/traces", {})
