"""What can be seen of mailgate from outside: logs, metrics and traces.

What lives here: loggers, instruments and spans, as values that every room may use. No I/O at import. Metrics and traces
stand in modules of their own, so that a command that only logs loads neither; who serves them is ``mailgate.watch``.
"""

from mailgate.observe.logs import configure_logging, get_logger

__all__ = ["configure_logging", "get_logger"]
