"""From the bytes of one mail to facts: a streaming splitter and a streaming decoder.

Imports nothing but the models and pybase64. No judgement, no storage, no socket.
"""

from mailgate.message.decode import decode
from mailgate.message.envelope import EnvelopeTrace, read_envelope
from mailgate.message.headers import parse_headers
from mailgate.message.limits import Limits
from mailgate.message.source import BytesSource, FileSource, Source
from mailgate.message.splitter import split

__all__ = [
    "BytesSource", "EnvelopeTrace", "FileSource", "Limits", "Source", "decode", "parse_headers", "read_envelope",
    "split",
]  # fmt: skip
