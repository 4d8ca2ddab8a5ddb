"""The two couriers: the outbox folder, and a relay that takes, postpones or refuses."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from mailgate.courier import OutboxCourier, RelayCourier
from mailgate.settings import Relay
from models.faults import PermanentError, TemporaryError
from models.tables import Alarm, Answer
from tests.imports.support import emptied, post, reply
from tests.storage.support import Store

NAME = "20261121T120001.000005Z-01J00000000000000000000000-receipt"


async def test_a_reply_is_one_file(tmp_path: Path) -> None:
    courier = OutboxCourier(tmp_path / "not" / "there" / "yet")
    await courier.deliver(reply())
    (path,) = (tmp_path / "not" / "there" / "yet").iterdir()
    assert (path.name, path.read_bytes()) == (f"{NAME}.eml", b"Subject: x\r\n\r\nbody\r\n")
    await courier.close()


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, NAME), ({"sequence": 2}, f"{NAME}-2"), ({"kind": "result"}, NAME.replace("receipt", "result")),
        ({"kind": "digest"}, NAME.replace("receipt", "digest")),
    ],
)  # fmt: skip
async def test_the_names_of_the_outbox(tmp_path: Path, more: dict[str, Any], name: str) -> None:
    await OutboxCourier(tmp_path).deliver(reply(**more))
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.eml"]


async def test_the_same_reply_again_is_the_same_file(tmp_path: Path) -> None:
    courier = OutboxCourier(tmp_path)
    await courier.deliver(reply())
    await courier.deliver(reply(message=b"Subject: x\r\n\r\nagain\r\n"))
    (path,) = tmp_path.iterdir()
    assert path.read_bytes().endswith(b"again\r\n")


async def test_a_reply_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mailgate.courier.os.fsync", refuse)
    with pytest.raises(TemporaryError, match="No space left"):
        await OutboxCourier(tmp_path).deliver(reply())
    assert list(tmp_path.glob("*.eml")) == []


async def test_a_folder_that_cannot_be_made_is_a_fault_for_now(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file")
    with pytest.raises(TemporaryError, match="the outbox cannot be written"):
        await OutboxCourier(tmp_path / "outbox").deliver(reply())


@dataclass
class Server:
    """A relay that says what it is told to at each of its moments."""

    says: dict[str, str] = field(default_factory=dict)
    taken: list[tuple[str | None, list[str], bytes]] = field(default_factory=list)
    hang_up: bool = False

    async def handle_MAIL(self, _s: SMTP, _session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if "mail" not in self.says:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.says.get("mail", "250 OK")

    async def handle_RCPT(self, _s: SMTP, _session: Session, envelope: Envelope, address: str, _o: Any) -> str:
        if "rcpt" not in self.says:
            envelope.rcpt_tos.append(address)
        return self.says.get("rcpt", "250 OK")

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        if "data" not in self.says:
            self.taken.append((envelope.mail_from, envelope.rcpt_tos, bytes(envelope.content or b"")))
        return self.says.get("data", "250 OK")

    async def handle_QUIT(self, server: SMTP, _session: Session, _envelope: Envelope) -> str:
        if self.hang_up:
            assert server.transport is not None
            server.transport.abort()
        return "221 Bye"

    async def handle_EHLO(self, _s: SMTP, session: Session, _e: Envelope, hostname: str, responses: list[str]) -> Any:
        session.host_name = hostname
        return [self.says["ehlo"]] if "ehlo" in self.says else responses

    async def handle_HELO(self, _s: SMTP, session: Session, _e: Envelope, hostname: str) -> str:
        session.host_name = hostname
        return self.says.get("ehlo", "250 relay.test")


@pytest.fixture
async def server(store: Store) -> AsyncIterator[Server]:
    """Run a relay, which the store's settings name."""
    handler = Server()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: SMTP(handler, hostname="relay.test", loop=loop), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    object.__setattr__(store.settings, "relay", Relay(host="127.0.0.1", port=port, tls="off"))
    yield handler
    listener.close()
    await listener.wait_closed()


async def test_the_relay_takes_a_reply(store: Store, server: Server) -> None:
    message = b"Subject: x\r\n\r\n.a line with a dot\r\nFrom here\r\n"
    await RelayCourier(store.settings).deliver(reply(message=message))
    assert server.taken == [("<>", ["batch@acme.example"], message)]


async def test_the_envelope_sender_can_be_set(store: Store, server: Server) -> None:
    relay = store.settings.relay.model_copy(update={"envelope_from": "bounces@intake.test"})
    object.__setattr__(store.settings, "relay", relay)
    await RelayCourier(store.settings).deliver(reply())
    assert server.taken[0][0] == "bounces@intake.test"


REFUSALS = [
    ({"data": "451 4.3.0 later"}, TemporaryError), ({"data": "554 5.7.1 no"}, PermanentError),
    ({"data": "552 5.3.4 too big"}, PermanentError), ({"rcpt": "450 4.2.0 greylisted"}, TemporaryError),
    ({"rcpt": "550 5.1.1 no such user"}, PermanentError), ({"mail": "421 4.7.0 too many"}, TemporaryError),
    ({"mail": "550 5.7.1 who are you"}, PermanentError),
    # What is said before there is a mail is not about the mail.
    ({"ehlo": "550 go away"}, TemporaryError), ({"ehlo": "421 busy"}, TemporaryError),
]  # fmt: skip


@pytest.mark.parametrize(("says", "error"), REFUSALS, ids=[str(says) for says, _ in REFUSALS])
async def test_what_the_relay_says(store: Store, server: Server, says: dict[str, str], error: type[Exception]) -> None:
    server.says = says
    with pytest.raises(error) as caught:
        await RelayCourier(store.settings).deliver(reply())
    assert next(iter(says.values())).split(" ", 1)[1] in str(caught.value)
    assert server.taken == []


async def test_a_relay_that_hangs_up_after_its_250_has_taken_it(store: Store, server: Server) -> None:
    server.hang_up = True
    await RelayCourier(store.settings).deliver(reply())
    assert len(server.taken) == 1


@pytest.mark.parametrize("relay", [{"tls": "starttls"}, {"tls": "implicit"}, {"username": "u", "password": "p"}])
async def test_a_relay_that_is_not_as_configured_is_a_fault_for_now(
    store: Store, server: Server, relay: dict[str, str]
) -> None:
    changed = store.settings.relay.model_copy(update=relay)
    object.__setattr__(store.settings, "relay", changed)
    with pytest.raises(TemporaryError):
        await RelayCourier(store.settings).deliver(reply())
    assert server.taken == []


async def test_a_relay_that_is_away_is_a_fault_for_now(store: Store, server: Server) -> None:
    relay = store.settings.relay.model_copy(update={"port": 1})
    object.__setattr__(store.settings, "relay", relay)
    with pytest.raises(TemporaryError, match=r"cannot be reached|does not let us in"):
        await RelayCourier(store.settings).deliver(reply())


async def test_a_delivery_is_answered_through_the_relay(store: Store, server: Server) -> None:
    store.deliver(store.connect(), b"A")
    works = post(store, RelayCourier(store.settings))
    server.says = {"data": "451 4.3.0 later"}
    await emptied(works)
    (answer,) = store.all(Answer)
    assert (answer.state, answer.tries, answer.error) == ("waiting", 1, "451 4.3.0 later")
    store.clock.forward(minutes=1)
    server.says = {}
    await emptied(works)
    assert [answer.state for answer in store.all(Answer)] == ["sent"]
    assert b"Subject: [Receipt] a.csv\r\n" in server.taken[0][2]


async def test_a_relay_that_refuses_for_good_raises_an_alarm(store: Store, server: Server) -> None:
    store.deliver(store.connect(), b"A")
    server.says = {"rcpt": "550 5.1.1 no such user"}
    await emptied(post(store, RelayCourier(store.settings)))
    (alarm,) = store.all(Alarm)
    assert alarm.kind == "ANSWER_UNDELIVERABLE"
    assert "550 5.1.1 no such user" in alarm.message
