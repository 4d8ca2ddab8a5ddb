"""A small DNS server on loopback, over UDP and TCP: it answers from a dict, or in the way it is told to."""

import contextlib
import socket
import socketserver
import struct
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

#: what may stand in the place of records
SILENT, BROKEN, REFUSED = "silent", "broken", "refused"


class NameServer:
    """Records by name and kind; ``CNAME`` records are followed as a resolver does."""

    def __init__(self, records: Mapping[tuple[str, str], Sequence[str] | str]) -> None:
        self.records = dict(records)
        self.asked: Counter[tuple[str, str]] = Counter()
        self.ttl = 300
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answer(self, packet: bytes, *, most: int) -> bytes | None:
        query = dns.message.from_wire(packet)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked[name, kind] += 1
        found = self.records.get((name, kind))
        if found == SILENT:
            return None
        if found == BROKEN:
            return packet[:4]
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if found == REFUSED:
            response.set_rcode(dns.rcode.SERVFAIL)
        else:
            self._fill(response, name, kind)
        wire = response.to_wire(max_size=65535)
        if len(wire) > most:
            response.answer.clear()
            response.flags |= dns.flags.TC
            wire = response.to_wire()
        return wire

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        for _ in range(10):
            alias = self.records.get((name, "CNAME"))
            if not isinstance(alias, str):
                break
            response.answer.append(dns.rrset.from_text(name + ".", self.ttl, "IN", "CNAME", alias + "."))
            name = alias
        found = self.records.get((name, kind))
        if found is None and not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif found is not None:
            texts = [found] if isinstance(found, str) else found
            response.answer.append(dns.rrset.from_text(name + ".", self.ttl, "IN", kind, *map(_quoted(kind), texts)))


def _quoted(kind: str) -> Any:
    def quote(text: str) -> str:
        if kind != "TXT":
            return text
        pieces = [text[n : n + 255] for n in range(0, len(text), 255)] or [""]
        return " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)

    return quote


@contextlib.contextmanager
def name_server(records: Mapping[tuple[str, str], Sequence[str] | str]) -> Iterator[NameServer]:
    """Serve on a free port of loopback."""
    server = NameServer(records)

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            packet, sock = self.request
            answer = server.answer(packet, most=1232)
            if answer is not None:
                sock.sendto(answer, self.client_address)

    class Tcp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            head = self.request.recv(2, socket.MSG_WAITALL)
            if len(head) == 2:
                packet = self.request.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL)
                answer = server.answer(packet, most=65535)
                if answer is not None:
                    self.request.sendall(struct.pack("!H", len(answer)) + answer)

    udp, tcp = _on_one_port(Udp, Tcp)
    with udp, tcp:
        server.port = udp.server_address[1]
        for one in (udp, tcp):
            one.daemon_threads = True
            threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            udp.shutdown()
            tcp.shutdown()


def _on_one_port(
    udp: type[socketserver.BaseRequestHandler], tcp: type[socketserver.BaseRequestHandler]
) -> tuple[socketserver.ThreadingUDPServer, socketserver.ThreadingTCPServer]:
    """Bind the same number for both: one that is free for UDP may be somebody's for TCP."""
    while True:
        first = socketserver.ThreadingUDPServer(("127.0.0.1", 0), udp)
        try:
            return first, socketserver.ThreadingTCPServer(first.server_address, tcp)
        except OSError:
            first.server_close()
