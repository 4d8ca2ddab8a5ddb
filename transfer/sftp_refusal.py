"""What a client hears that does not come in: our version, and one packet that says why (RFC 4253 section 11.1).

What lives here: bytes. Before the key exchange packets are plain, so that a word costs neither keys nor a connection.
"""

import struct

from asyncssh.constants import DISC_TOO_MANY_CONNECTIONS, MSG_DISCONNECT

VERSION = "mailgate"  #: behind SSH-2.0-
_BLOCK = 8  # bytes that a packet is a multiple of
_LEAST = 4  # bytes of padding


def refusal(reason: str) -> bytes:
    """Say goodbye to a client that is one too many."""
    told = reason.encode()
    payload = struct.pack("!BII", MSG_DISCONNECT, DISC_TOO_MANY_CONNECTIONS, len(told)) + told + struct.pack("!I", 0)
    padding = _LEAST + -(5 + len(payload) + _LEAST) % _BLOCK
    packet = struct.pack("!IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)
    return f"SSH-2.0-{VERSION}\r\n".encode() + packet
