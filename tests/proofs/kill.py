"""P1: mailgate is killed with SIGKILL at random moments, again and again, while clients send.

What is proven: a file whose mail was answered 250 ends in exactly one import, one receipt and one result, and a
client that tries again until it hears 250 loses nothing and doubles nothing. Two clients: a real queueing mail
server (postfix), and a script that may also hang up behind the final dot without hearing the answer.

What the figures mean: those of ``tally``; ``kills`` is how often the service was killed, ``again`` how often a mail
came once more although it was taken before (the window between commit and 250 was hit), ``bounced`` how many mails
the mail server gave up, which must be 0.
"""

import random
import smtplib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from tests.proofs.gate import ADDRESS, SENDER, Gate, open_gate, wait_until
from tests.proofs.mails import Sent, compose
from tests.proofs.postfix import open_postfix
from tests.proofs.tally import Tally, rows, wait_and_count

_EARLY = 0.2  # share of the lives that end before they are ready
_START_UP = 1.4  # seconds within which such a life ends
_LIVES = (0.25, 1.5)  # seconds within which another ends, from ready on: amid the mails, or amid imports and answers
_PATIENCE = 120.0
_CLIENTS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Killed:
    """What one run of P1 came to."""

    tally: Tally
    kills: int
    again: int
    bounced: int
    seed: int
    seconds: float

    @property
    def good(self) -> bool:
        """Tell whether the promise held."""
        return self.tally.good and not self.bounced

    def __str__(self) -> str:
        return (
            f"{self.tally}, kills {self.kills}, again {self.again}, bounced {self.bounced}"
            f" (seed {self.seed}, {self.seconds:.0f} s)"
        )


def kill_under_postfix(mails: int, kills: int, seed: int) -> Killed:
    """Let postfix send while mailgate is killed; returns when its queue is empty and all is answered."""
    began = time.monotonic()
    sent = [compose(f"pf{seed}", number) for number in range(mails)]
    with open_gate() as gate:
        gate.start()  # once, to learn the port
        with open_postfix(gate.folder / "postfix", gate.port) as postfix:
            gate.kill()

            def offer(some: list[Sent]) -> None:
                postfix.take([one.mail for one in some])
                postfix.flush()

            live_and_die(gate, sent, kills, random.Random(seed), offer)
            wait_until(lambda: postfix.waiting() == 0, _PATIENCE)
            left, bounced = postfix.waiting(), postfix.log("status=bounced")
        tally = wait_and_count(gate, sent, {}, seconds=_PATIENCE)
        return Killed(
            tally=tally, kills=kills, again=_again(gate), bounced=bounced + left, seed=seed,
            seconds=time.monotonic() - began,
        )  # fmt: skip


def kill_under_script(mails: int, kills: int, seed: int) -> Killed:
    """Let scripted clients send while mailgate is killed; some hang up behind the final dot, all try again."""
    began = time.monotonic()
    sent = [compose(f"sc{seed}", number) for number in range(mails)]
    with open_gate() as gate:
        gate.start()
        gate.kill()
        clients = Clients(gate.port, seed)
        live_and_die(gate, sent, kills, random.Random(seed), clients.offer)
        acknowledged = clients.finish()
        tally = wait_and_count(gate, sent, acknowledged, seconds=_PATIENCE)
        assert len(acknowledged) == len(sent), f"a client never heard 250 (seed {seed})"
        return Killed(
            tally=tally, kills=kills, again=_again(gate), bounced=clients.refused, seed=seed,
            seconds=time.monotonic() - began,
        )  # fmt: skip


def live_and_die(
    gate: Gate, sent: list[Sent], kills: int, rng: random.Random, offer: Callable[[list[Sent]], None]
) -> None:
    """Start and kill the service so often; each life is offered its share of the mails, the last one is let live."""
    shares = [sent[place :: kills + 1] for place in range(kills + 1)]
    offers: list[threading.Thread] = []
    for share in shares[:-1]:
        if rng.random() < _EARLY:
            gate.launch()
            offer(share)
            time.sleep(rng.uniform(0, _START_UP))
        else:
            gate.start()
            offers.append(threading.Thread(target=offer, args=(share,), daemon=True))
            offers[-1].start()
            time.sleep(rng.uniform(0, rng.choice(_LIVES)))
        gate.kill()
    for thread in offers:
        thread.join()
    gate.start()
    offer(shares[-1])


def _again(gate: Gate) -> int:
    return int(rows(gate, "select count(*) from event where why like 'ALREADY_SEEN%'")[0][0])


class Clients:
    """Clients that send each mail until they hear 250."""

    def __init__(self, port: int, seed: int, *, clients: int = _CLIENTS) -> None:
        self._port = port
        self._todo: SimpleQueue[Sent] = SimpleQueue()
        self._no_more = threading.Event()
        self._acknowledged: dict[str, str] = {}
        self.refused = 0  #: mails answered for good with anything but 250
        self._threads = [
            threading.Thread(target=self._work, args=(random.Random(f"{seed} {number}"),), daemon=True)
            for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def offer(self, some: list[Sent]) -> None:
        """Give them mails to send."""
        for one in some:
            self._todo.put(one)

    @property
    def acknowledged(self) -> int:
        """Count the mails answered 250 so far."""
        return len(self._acknowledged)

    def finish(self) -> dict[str, str]:
        """Return when every mail was answered 250: the trace id of the answer, by file name."""
        self._no_more.set()
        for thread in self._threads:
            thread.join()
        return self._acknowledged

    def _work(self, rng: random.Random) -> None:
        while True:
            try:
                one = self._todo.get(timeout=0.05)
            except Empty:
                if self._no_more.is_set():
                    return
                continue
            self._insist(one, rng)

    def _insist(self, one: Sent, rng: random.Random) -> None:
        deadline = time.monotonic() + 10 * _PATIENCE
        while time.monotonic() < deadline:
            try:
                code, text = send(self._port, one.mail, hang_up=rng.random() < 0.25)
            except (OSError, smtplib.SMTPException):
                time.sleep(rng.uniform(0.01, 0.1))  # nobody there, or died under us: a client waits a little
                continue
            if code == 250:
                self._acknowledged[one.file_name] = text.split()[-1]
                return
            if 500 <= code <= 599:
                self.refused += 1
                return


def send(port: int, mail: bytes, *, hang_up: bool = False) -> tuple[int, str]:
    """Send one mail; gives the code and text behind the final dot. ``hang_up``: go away without hearing it (code 0)."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="sender.acme.example", timeout=30) as client:
        client.ehlo()
        client.mail(SENDER)
        code, text = client.rcpt(ADDRESS)
        if code != 250:
            return code, text.decode()
        if not hang_up:
            code, text = client.data(mail)
            return code, text.decode()
        client.docmd("DATA")
        client.send(mail.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        client.close()
        return 0, "hung up"
