"""Clients that go away at the wrong moment, and a service that stops while mails are under way."""

import asyncio
import contextlib
import signal
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from intake.accept import Intake
from tests.house import (
    CONNECTION,
    Inside,
    RunningService,
    conversions,
    digest,
    inside,
    mail,
    rows_of,
    running_service,
    wait_until,
)
from tests.smtp.wire import Wire, stuffed, wire

NAME = "Conversions_2026_a.csv"


def reset(client: Wire) -> None:
    """Hang up with a RST instead of a FIN."""
    client._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.hang_up()


@pytest.mark.parametrize("how", ["FIN", "RST", "TLS"])
@pytest.mark.parametrize("size", [2, 40_000])
def test_a_hang_up_behind_the_dot_neither_undoes_nor_doubles(house: Inside, how: str, size: int) -> None:
    content = conversions(size)
    raw = mail([(NAME, content)])
    client = Wire(house.port)
    client.greet()
    if how == "TLS":
        client.start_tls()
        client.say("EHLO a")
    client.envelope()
    client.send(stuffed(raw))
    reset(client) if how == "RST" else client.hang_up()
    # A RST may overtake the mail: then it never arrived, and the retry brings it.
    with wire(house.port) as again:
        answer = again.deliver(raw)
    (upload,) = wait_until(lambda: house.uploads_of(digest(content)))
    assert upload["status"] == "import_job_created"
    trace_id = str(upload["trace_id"])
    assert answer in {f"250 2.0.0 {word} {trace_id}" for word in ("duplicate", "accepted")}
    if how != "RST":  # whichever of the two was recorded first, the other was seen again
        wait_until(lambda: [event for event in house.detail(trace_id)["events"] if "ALREADY_SEEN" in event["why"]])
    assert len(house.uploads_of(digest(content))) == 1
    wait_until(lambda: house.spooled() == [])


@pytest.mark.parametrize("over_tls", [False, True])
@pytest.mark.parametrize("sent", [0, 10, 300_000, 3_000_000])
def test_a_hang_up_in_mid_mail_leaves_nothing(house: Inside, sent: int, over_tls: bool) -> None:
    before = len(house.uploads()), len(house.stored())
    raw = stuffed(mail([(NAME, conversions(80_000))]))
    assert len(raw) > sent
    client = Wire(house.port)
    client.greet()
    if over_tls:
        client.start_tls()
        client.say("EHLO a")
    client.envelope()
    client.send(raw[:sent])
    if sent > 2_000_000:
        wait_until(lambda: house.spooled() != [])
    client.hang_up()
    wait_until(lambda: house.spooled() == [] and not list(house.door._shared.sessions))
    assert (len(house.uploads()), len(house.stored())) == before


def test_all_but_the_last_byte_is_nothing(house: Inside) -> None:
    before = len(house.uploads())
    raw = stuffed(mail([(NAME, conversions())]))
    for missing in range(1, 6):
        client = Wire(house.port)
        client.greet()
        client.envelope()
        client.send(raw[:-missing])
        client.hang_up()
    wait_until(lambda: not list(house.door._shared.sessions))
    assert len(house.uploads()) == before


def test_many_clients_that_hang_up_and_try_again_are_imported_once(house: Inside) -> None:
    contents = [conversions() for _ in range(30)]

    def impatient(mine: list[bytes]) -> None:
        for content in mine:
            raw = mail([(NAME, content)])
            for _ in range(3):
                client = Wire(house.port)
                client.greet()
                client.envelope()
                client.send(stuffed(raw))
                client.hang_up()
            with wire(house.port) as last:
                assert last.deliver(raw).startswith("250 2.0.0 duplicate ")

    threads = [threading.Thread(target=impatient, args=(contents[place::5],)) for place in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [len(house.uploads_of(digest(content))) for content in contents] == [1] * 30


def test_a_client_that_goes_while_its_mail_is_taken_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = conversions()
    may_go_on, under_way = threading.Event(), threading.Event()

    def slow(self: object, writers: object) -> None:
        under_way.set()
        assert may_go_on.wait(30)
        commit(self, writers)  # type: ignore[arg-type]

    with inside(folder) as house, wire(house.port) as client:
        blobs = type(house.house.blobs)
        commit = blobs.commit
        monkeypatch.setattr(blobs, "commit", slow)
        client.envelope()
        client.send(stuffed(mail([(NAME, content)])))
        assert under_way.wait(30)
        reset(client)
        wait_until(lambda: not list(house.door._shared.sessions))
        assert house.uploads() == []
        may_go_on.set()
        wait_until(lambda: len(house.uploads_of(digest(content))) == 1)
        wait_until(lambda: not house.door._shared.completing)
        assert house.spooled() == []


def test_a_half_open_session_is_let_go(house: Inside) -> None:
    for said in (b"", b"EHLO a\r\n", b"EHLO a\r\nSTARTTLS\r\n", b"EHLO", b"EHLO a\r\nAUTH PLAIN\r\n"):
        client = Wire(house.port)
        client.send(said)
        client.reply()
        client._raw.shutdown(socket.SHUT_WR)
        assert client.at_end()
        client.hang_up()
    wait_until(lambda: not list(house.door._shared.sessions))
    assert house.door._shared.gate._inside == {}


def test_closing_the_house_waits_for_what_is_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = conversions()
    accept = Intake.accept
    heard: list[str] = []

    async def slow(self: Intake, mail: object) -> object:
        await asyncio.sleep(0.5)
        return await accept(self, mail)  # type: ignore[arg-type]

    monkeypatch.setattr(Intake, "accept", slow)
    with inside(folder) as house:
        client, idle = Wire(house.port), Wire(house.port)
        client.greet()
        idle.greet()
        client.envelope()
        client.send(stuffed(mail([(NAME, content)])))
        reader = threading.Thread(target=lambda: heard.append(client.reply()))
        reader.start()
        database = house.settings.database_path
        wait_until(lambda: house.door._shared.completing)
    reader.join(30)
    assert heard[0].startswith("250 2.0.0 accepted ")
    assert client.reply().startswith("421 4.3.2 ")
    assert idle.reply().startswith("421 4.3.2 ")
    assert rows_of(database, "select sha256 from upload") == [(digest(content),)]
    client.hang_up()
    idle.hang_up()


# --- the service process


def test_a_service_told_to_stop_in_mid_mail_ends_in_time(tmp_path: Path) -> None:
    with running_service(tmp_path, CONNECTION) as service:
        port = service.port
        with wire(port) as stalled, wire(port) as idle:
            stalled.envelope()
            stalled.send(b"From: someone\r\n")
            began = time.monotonic()
            assert service.stop(seconds=10) == 0
            assert time.monotonic() - began < 10
            assert idle.reply().startswith("421 ")
            assert stalled.reply().startswith("421 ")
        with pytest.raises(OSError, match="refused"):
            Wire(port)
        assert service.rows("select * from delivery") == []
        assert list((service.data / "spool").iterdir()) == []


def test_a_mail_that_ends_while_the_service_stops_is_still_taken(tmp_path: Path) -> None:
    content = conversions()
    raw = stuffed(mail([(NAME, content)]))
    with (
        running_service(tmp_path, CONNECTION, roles="smtp") as service,
        wire(service.port) as client,
        wire(service.port) as idle,
    ):
        client.envelope()
        client.send(raw[:50])
        service.process.send_signal(signal.SIGTERM)
        assert idle.reply().startswith("421 ")
        client.send(raw[50:])
        assert client.reply().startswith("250 2.0.0 accepted ")
        assert service.stop(seconds=10) == 0
        assert service.rows("select sha256, status from upload") == [(digest(content), "import_job_created")]


def test_a_killed_service_keeps_what_it_said_250_to(tmp_path: Path) -> None:
    contents = [conversions() for _ in range(5)]
    service = RunningService(tmp_path)
    service.set_up(CONNECTION)
    service.start(roles="smtp")
    try:
        with wire(service.port) as client, wire(service.port) as half:
            half.envelope()
            half.send(stuffed(mail([(NAME, conversions(40_000))]))[:-10])
            answers = [client.deliver(mail([(NAME, content)])) for content in contents]
            service.stop(signal.SIGKILL)
        assert all(one.startswith("250 2.0.0 accepted ") for one in answers)
        kept = {(digest(content), answer.split()[-1]) for content, answer in zip(contents, answers, strict=True)}
        assert set(service.rows("select sha256, trace_id from upload")) == kept
    finally:
        with contextlib.suppress(ProcessLookupError):
            service.stop()
