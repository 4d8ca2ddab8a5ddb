"""Traces: the way of one delivery as spans, from the door over the job to its answers.

What lives here: spans, and how they find together. A trace id of ours is a ULID, 128 bits as OpenTelemetry's are: the
trace of a delivery has the delivery's own id, whichever process notes a span of it. Its root span's id is the lower
half of that number. Without an exporter nothing is imported and each function returns at once.
"""

import threading
import time
from typing import TYPE_CHECKING, Any

from models.trace import is_trace_id, trace_number

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

_HALF = (1 << 64) - 1
_PATIENCE = 3  # seconds for a batch, with its repetitions: a collector that is away must not hold up the stop
_tracing: "_Tracing | None" = None


class TracingNotInstalled(Exception):
    """Say that traces are wanted and the extra ``mailgate[otel]`` is not there."""


class _Wanted(threading.local):
    """The ids of the root span that this thread makes right now."""

    trace_id: int | None = None
    span_id: int | None = None


class _Tracing:
    """OpenTelemetry, with ids that are ours."""

    def __init__(self, exporter: "SpanExporter", *, at_once: bool, resource: dict[str, str]) -> None:
        from opentelemetry import context, trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        wanted = self._wanted = _Wanted()

        class Ids(RandomIdGenerator):
            def generate_trace_id(self) -> int:
                return wanted.trace_id or super().generate_trace_id()

            def generate_span_id(self) -> int:
                return wanted.span_id or super().generate_span_id()

        self._trace, self._nothing_around = trace, context.Context()
        self.provider: TracerProvider = TracerProvider(
            resource=Resource.create({"service.name": "mailgate", **resource}), id_generator=Ids()
        )
        self.provider.add_span_processor(SimpleSpanProcessor(exporter) if at_once else BatchSpanProcessor(exporter))
        self._tracer = self.provider.get_tracer("mailgate")

    def begin(self, name: str, number: int, start: int, attributes: dict[str, Any], *, root: bool) -> "Span":
        trace, head = self._trace, number & _HALF or 1
        if not root:
            sampled = trace.TraceFlags(trace.TraceFlags.SAMPLED)
            parent = trace.SpanContext(number, head, is_remote=True, trace_flags=sampled)
            around = trace.set_span_in_context(trace.NonRecordingSpan(parent))
            return self._tracer.start_span(name, context=around, start_time=start, attributes=attributes)
        self._wanted.trace_id, self._wanted.span_id = number, head
        try:
            return self._tracer.start_span(name, context=self._nothing_around, start_time=start, attributes=attributes)
        finally:
            self._wanted.trace_id = self._wanted.span_id = None


def enable(endpoint: str, resource: dict[str, str]) -> None:
    """Send spans to an OTLP endpoint over HTTP, in a thread of the library's; raises TracingNotInstalled.

    What else there is to say (headers, certificates, sampling) is taken from the library's own ``OTEL_…`` variables.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise TracingNotInstalled(
            f'traces need what is not installed: pip install "mailgate[otel]" ({error})'
        ) from None
    enable_with(OTLPSpanExporter(endpoint=endpoint, timeout=_PATIENCE), resource)


def enable_with(exporter: "SpanExporter", resource: dict[str, str], *, at_once: bool = False) -> None:
    """Send spans to an exporter; ``at_once`` without a thread between, for tests."""
    global _tracing
    disable()
    _tracing = _Tracing(exporter, at_once=at_once, resource=resource)


def disable() -> None:
    """Hand over what is left, and note nothing more."""
    global _tracing
    tracing, _tracing = _tracing, None
    if tracing is not None:
        tracing.provider.shutdown()


def note(
    name: str,
    trace_id: str,
    *,
    seconds: float,
    ago: float = 0.0,
    root: bool = False,
    error: str = "",
    **attributes: Any,
) -> None:
    """Note a span that lasted so many seconds and ended just now, or so many seconds ago.

    ``root``: it is the delivery itself, the span that all others of its trace hang on.
    """
    if _tracing is None or not is_trace_id(trace_id):
        return
    end = time.time_ns() - int(ago * 1e9)
    known = {f"mailgate.{key}": value for key, value in attributes.items() if value not in (None, "")}
    span = _tracing.begin(name, trace_number(trace_id), end - int(max(seconds, 0.0) * 1e9), known, root=root)
    if error:
        from opentelemetry.trace import Status, StatusCode

        span.set_status(Status(StatusCode.ERROR, error))
    span.end(end_time=end)
