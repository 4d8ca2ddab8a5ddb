"""SMTP against its peers: five large mails on one connection, and a thousand small ones on fifty.

Both are durable on every side: a reply comes after the mail is on the disk. The peers take turns in one run, and the
ratios compare medians.
"""

import base64
import os
import socket
import statistics
import threading
import time
from collections.abc import Callable

from benchmarks.peers import ADDRESS, Peer, mailgate, postfix, stock_aiosmtpd

_LARGE, _LARGE_COUNT = 25_000_000, 5
_SMALL, _SMALL_COUNT, _SESSIONS = 10_000, 1000, 50
_ROUNDS = 3


def _mail(size: int, number: str) -> bytes:
    """Make a mail of about this size with one CSV attachment of its own content."""
    row = f"1000,2001,NOW,A-{number},click,NEW,EUR,1.00\r\n".encode()
    header = b"CampaignId,ActionTrackerId,EventDate,OrderId,ClickId,CustomerStatus,CurrencyCode,Amount\r\n"
    content = header + row * max(1, (size * 3 // 4 - len(header) - 700) // len(row))
    body = base64.encodebytes(content).replace(b"\n", b"\r\n")
    return (
        f"From: a@acme.example\r\nTo: {ADDRESS}\r\nMessage-ID: <{number}@acme.example>\r\n"
        "Date: Sat, 21 Nov 2026 08:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="b1"\r\n\r\n--b1\r\nContent-Type: text/plain\r\n\r\nHi.\r\n--b1\r\n'
        f'Content-Type: text/csv; name="Conversions_{number}.csv"\r\nContent-Transfer-Encoding: base64\r\n'
        f'Content-Disposition: attachment; filename="Conversions_{number}.csv"\r\n\r\n'
    ).encode() + body + b"--b1--\r\n"  # fmt: skip


class Client:
    """A client that costs little: bytes are ready before the clock runs."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._expect(b"220")
        self._say(b"EHLO bench\r\n", b"250")

    def send(self, mail: bytes, address: str = ADDRESS) -> None:
        self._say(b"MAIL FROM:<a@acme.example>\r\n", b"250")
        self._say(f"RCPT TO:<{address}>\r\n".encode(), b"250")
        self._say(b"DATA\r\n", b"354")
        self._say(mail + b".\r\n", b"250")

    def close(self) -> None:
        self._socket.close()

    def _say(self, line: bytes, reply: bytes) -> None:
        self._socket.sendall(line)
        self._expect(reply)

    def _expect(self, code: bytes) -> None:
        text = b""
        while not (text.endswith(b"\n") and text.splitlines()[-1][3:4] == b" "):
            piece = self._socket.recv(65536)
            if not piece:
                raise RuntimeError("the server hung up")
            text += piece
        if not text.startswith(code):
            raise RuntimeError(text.decode())


def send_large(peer: Peer, mails: list[bytes]) -> None:
    """Send mails one after the other on one connection."""
    client = Client(peer.port)
    for mail in mails:
        client.send(mail)
    client.close()


def send_small(peer: Peer, mails: list[bytes]) -> None:
    """Send mails on fifty sessions at once."""

    def work(mine: list[bytes]) -> None:
        client = Client(peer.port)
        for mail in mine:
            client.send(mail)
        client.close()

    threads = [threading.Thread(target=work, args=(mails[n::_SESSIONS],)) for n in range(_SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _measure(peer: Peer, send: Callable[[Peer, list[bytes]], None], mails: list[bytes]) -> tuple[float, float]:
    cpu, started = peer.cpu_seconds(), time.perf_counter()
    send(peer, mails)
    return time.perf_counter() - started, peer.cpu_seconds() - cpu


def _compare(name: str, send: Callable[[Peer, list[bytes]], None], size: int, count: int, peers: list[Peer]) -> None:
    seconds: dict[str, list[float]] = {peer.name: [] for peer in peers}
    cpu: dict[str, list[float]] = {peer.name: [] for peer in peers}
    grown = 0
    for number in range(_ROUNDS + 1):
        for peer in peers:
            tag = os.urandom(4).hex()
            mails = [_mail(size, f"{tag}{n}") for n in range(count)]
            before = peer.resident_bytes()
            wall, used = _measure(peer, send, mails)
            if number:  # the first round warms up
                seconds[peer.name].append(wall)
                cpu[peer.name].append(used)
                if peer.name.startswith("mailgate"):
                    grown = max(grown, peer.resident_bytes() - before)
    print(f"{name} (median of {_ROUNDS} rounds in turn)")
    base = statistics.median(seconds["postfix"])
    base_cpu = statistics.median(cpu["postfix"]) or 0.01
    for peer in peers:
        wall, used = statistics.median(seconds[peer.name]), statistics.median(cpu[peer.name])
        ratios = f"{wall:7.3f} s = {wall / base:5.2f} x postfix   cpu {used:6.2f} s = {used / base_cpu:5.2f} x"
        print(f"  {peer.name:24} {ratios}")
    print(f"  mailgate's memory grew by {grown / 1e6:.1f} MB between rounds")


def main() -> None:
    """Print the two comparisons."""
    with mailgate("smtp") as ours, postfix() as theirs, stock_aiosmtpd() as stock:
        _compare(
            f"SMTP, {_LARGE_COUNT} x 25 MB on one connection", send_large, _LARGE, _LARGE_COUNT, [ours, theirs, stock]
        )
        _compare(
            f"SMTP, {_SMALL_COUNT} x 10 KB on {_SESSIONS} sessions",
            send_small,
            _SMALL,
            _SMALL_COUNT,
            [ours, theirs, stock],
        )
    with mailgate("smtp,worker", "batch@acme.example") as ours, postfix() as theirs:
        _compare(
            f"SMTP, {_SMALL_COUNT} x 10 KB on {_SESSIONS} sessions, worker on", send_small, _SMALL, _SMALL_COUNT,
            [ours, theirs],
        )  # fmt: skip


if __name__ == "__main__":
    main()
