"""The life of a poller: one for each mailbox, woken by the server, patient with failures, gone when told."""

import itertools
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import intake.mail
from mailgate.imap.faults import Kind, MailboxError, Step
from mailgate.imap.holders import is_gone, new_holder
from mailgate.imap.poller import Ended, wait_after
from models.faults import TemporaryError
from models.states import ConnectionState
from models.tables import Alarm, Mailbox
from storage.ledger import mailboxes
from storage.ledger.clock import database_now
from tests.house import conversions, mail, wait_until
from tests.imap.dovecot import Dovecot
from tests.imap.hostile import HangUp, Talk, scripted
from tests.imap.support import Rig, connection, open_rig

NAME = "Conversions_1.csv"
MOVES = 'processed_folder = "Done"'


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("sesame\n")
    return path


# --- the lease


def lease(rig: Rig, box: int, holder: str, **more: Any) -> bool:
    return rig.store.ledger.write_now(
        mailboxes.take_lease, box, holder, timedelta(minutes=2), lambda _session: rig.store.clock(), **more
    )


@pytest.fixture
def box(rig: Rig) -> int:
    return rig.store.ledger.write_now(mailboxes.open_mailbox, "mail.example", 993, "me")


def test_a_mailbox_has_one_poller_and_another_when_the_lease_has_lapsed(rig: Rig, box: int) -> None:
    assert lease(rig, box, "a")
    assert not lease(rig, box, "b")
    rig.store.clock.forward(seconds=100)
    assert lease(rig, box, "a")
    rig.store.clock.forward(seconds=119)
    assert not lease(rig, box, "b")
    rig.store.clock.forward(seconds=2)
    assert lease(rig, box, "b")
    assert not lease(rig, box, "a")
    rig.store.ledger.write_now(mailboxes.leave_lease, box, "a")
    assert not lease(rig, box, "a")
    rig.store.ledger.write_now(mailboxes.leave_lease, box, "b")
    assert lease(rig, box, "a")


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1), timedelta(days=4000)])
@pytest.mark.parametrize("sign", [1, -1], ids=["forward", "back"])
def test_a_clock_that_jumps_leaves_nobody_stuck(rig: Rig, box: int, jump: timedelta, sign: int) -> None:
    assert lease(rig, box, "a")
    rig.store.clock.now += sign * jump
    assert lease(rig, box, "b")
    assert not lease(rig, box, "a")


def test_the_lease_of_a_dead_process_is_taken_over(rig: Rig, box: int) -> None:
    assert lease(rig, box, "dead")
    assert not lease(rig, box, "b", is_gone=lambda holder: False)
    assert lease(rig, box, "b", is_gone=lambda holder: holder == "dead")


def test_a_holder_is_gone_only_when_its_process_is() -> None:
    ours = new_holder()
    host, number, _ = ours.split("/")
    assert not is_gone(ours)
    assert is_gone(f"{host}/{number}/another")  # a former process had our number
    assert not is_gone(f"{host}/1/x")
    assert is_gone(f"{host}/4194399/x")
    assert not is_gone(f"elsewhere/{number}/x")
    assert not is_gone("odd")


def test_the_database_tells_the_time(rig: Rig) -> None:
    now = rig.store.ledger.read_now(database_now)
    assert now.tzinfo is not None


def test_a_poller_without_the_lease_fetches_nothing(rig: Rig, secret: Path) -> None:
    with scripted({1: mail([(NAME, conversions())])}) as server:
        rig.apply(connection("me", server.port, secret))
        first, second = rig.poller("a"), rig.poller("b")
        assert lease(rig, first.mailbox_id, "a")
        with pytest.raises(Ended):
            second.once()
        assert second.turn() == 8.0  # seconds: within half a minute it takes over from a node that died
        assert server.sessions == 0
        assert len(first.once()) == 1


def test_a_poller_that_loses_its_lease_stops_amid_its_work(rig: Rig, secret: Path) -> None:
    def stolen(talk: Talk, tag: str, rest: str) -> bool:
        if rest.startswith("UID FETCH 2 (BODY"):
            rig.store.clock.forward(hours=1)
            rig.monotonic.now += 3600
            assert lease(rig, poller.mailbox_id, "b")
        return False

    mails = {number: mail([(NAME, conversions())]) for number in (1, 2, 3)}
    with scripted(mails, overrides={"UID FETCH": stolen}) as server:
        rig.apply(connection("me", server.port, secret))
        poller = rig.poller("a")
        with pytest.raises(Ended):
            poller.once()
    assert len(rig.history()) == 1


def test_two_pollers_and_five_hundred_mails_are_five_hundred_imports(dovecot: Dovecot, rig: Rig, user: str) -> None:
    """Both hold what they take for their lease: the ledger alone keeps them from doubling anything."""
    rig.apply(connection(user, dovecot.port, dovecot.password_file, more='duplicates = "accept"', remote=MOVES))
    dovecot.put(user, [mail([(NAME, conversions())]) for _ in range(500)])
    pollers = [rig.poller(name, lease_clock=_endless_clock(rig)) for name in ("a", "b")]
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            while dovecot.uids(user):
                try:
                    pollers[number].once()
                except (Ended, MailboxError):
                    continue
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []
    counted = Counter(one["delivery_verdict"] for one in rig.history())
    assert counted == {"accepted": 500}
    assert len(rig.store.queue.jobs) == len(set(rig.store.queue.jobs)) == 500
    assert dovecot.uids(user) == []


def _endless_clock(rig: Rig) -> Any:
    """Give a database clock by which every lease has lapsed at the next look: the worst there is."""
    hours = itertools.count()
    return lambda _session: rig.store.clock() + timedelta(hours=next(hours))


# --- waiting


def test_the_wait_doubles_and_ends_at_the_most() -> None:
    most = timedelta(minutes=15)
    dead = MailboxError(Step.TCP, "no route")
    refused = MailboxError(Step.LOGIN, "no", Kind.NOT_ALLOWED)

    def waits(error: TemporaryError) -> list[float]:
        return [wait_after(error, failures, most, lambda: 0.5) for failures in (1, 2, 3, 4, 5, 30, 1000)]

    assert waits(dead) == [5, 10, 20, 40, 80, 900, 900]
    assert waits(refused) == [60, 120, 240, 480, 900, 900, 900]
    assert wait_after(dead, 1, most, lambda: 0.0) == 4.5
    assert wait_after(dead, 1, most, lambda: 1.0) == 5.5


def test_the_reason_is_shown_and_alarms_after_a_while(rig: Rig, secret: Path) -> None:
    with scripted({}, greeting=b"* BYE too many connections\r\n") as server:
        rig.apply(connection("me", server.port, secret))
        poller = rig.poller()
        assert poller.turn() == 5.0
        state = rig.store.ledger.read_now(mailboxes.polling, *rig.plan().remote.mailbox)
        assert state is not None
        assert (state.failures, state.step) == (1, "TCP")
        assert "too many" in state.reason
        assert state.next_at == rig.store.clock() + timedelta(seconds=5)
        assert rig.store.alarms() == []
        rig.store.clock.forward(minutes=15)
        assert poller.turn() == 10.0
        assert rig.store.alarms() == ["MAILBOX_FAILING"]
        poller.turn()
        assert rig.store.alarms() == ["MAILBOX_FAILING"]
        server.greeting = b"* OK\r\n"
        poller.once()
        assert rig.store.alarms() == []
        state = rig.store.ledger.read_now(mailboxes.polling, *rig.plan().remote.mailbox)
        assert state is not None
        assert (state.failures, state.reason, state.next_at) == (0, "", None)


def test_what_somebody_must_mend_alarms_at_once(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "p").write_text("x")
    with scripted({}) as server:
        rig.apply(connection("me", server.port, tmp_path / "p"))
        (tmp_path / "p").unlink()
        assert rig.poller().turn() == 60.0
    (alarm,) = rig.store.all(Alarm)
    assert "cannot be read" in alarm.message
    assert alarm.connection_id == rig.plan().first.id


def test_a_fault_on_our_side_leaves_the_mails_for_later(tmp_path: Path, template: Path, secret: Path) -> None:
    with open_rig(tmp_path / "d", template, limits={"minimum_free_bytes": 1 << 62}) as rig:
        with scripted({1: mail([(NAME, conversions())])}) as server:
            rig.apply(connection("me", server.port, secret, remote=MOVES))
            poller = rig.poller()
            assert poller.turn() == 5.0
            assert server.mails
            assert not server.moved
        state = rig.store.ledger.read_now(mailboxes.polling, *rig.plan().remote.mailbox)
        assert state is not None
        assert state.step == "our side"
        assert rig.history() == []


def test_a_mail_that_we_stumble_over_holds_up_none_and_gets_its_verdict(
    rig: Rig, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stumbled = 0
    judge = intake.mail.judge

    def stumble(message: Any, envelope: Any, *words: Any, **more: Any) -> Any:
        nonlocal stumbled
        if message.headers.subject == "stone":
            stumbled += 1
            raise ZeroDivisionError
        return judge(message, envelope, *words, **more)

    monkeypatch.setattr("intake.mail.judge", stumble)
    mails = {1: mail([(NAME, conversions())], Subject="stone"), 2: mail([(NAME, conversions())])}
    with scripted(mails) as server:
        rig.apply(connection("me", server.port, secret, remote=MOVES))
        for _ in range(12):
            try:
                rig.look()
            except MailboxError as error:
                assert error.step is Step.OURS  # noqa: PT017
            rig.store.clock.forward(hours=5)
        assert server.moved == {1: "Done", 2: "Done"}
    assert rig.verdicts() == [("accepted", None), ("incomplete", "INCOMPLETE")]
    assert stumbled == rig.store.settings.limits.imap_message_tries


def test_a_days_share_of_bytes_is_not_passed(tmp_path: Path, template: Path, secret: Path) -> None:
    mails = {number: mail([(NAME, conversions(200))]) for number in range(1, 6)}
    with open_rig(tmp_path / "d", template, limits={"imap_bytes_per_day": 40_000}) as rig, scripted(mails) as server:
        rig.apply(connection("me", server.port, secret, remote=MOVES))
        poller = rig.poller()
        with pytest.raises(MailboxError, match="goes on in 24 h"):
            poller.once()
        assert 1 <= len(rig.history()) < 5
        rig.monotonic.now += 86_400
        while len(rig.history()) < 5:
            rig.monotonic.now += 86_400
            rig.store.clock.forward(days=1)
            with pytest.raises(MailboxError) if len(rig.history()) < 3 else _nothing():
                poller.once()
    assert rig.verdicts() == [("accepted", None)] * 5


def _nothing() -> Any:
    import contextlib

    return contextlib.suppress(MailboxError)


# --- IDLE


def test_a_mail_is_taken_when_the_server_says_that_it_came(dovecot: Dovecot, rig: Rig, user: str) -> None:
    rig.apply(connection(user, dovecot.port, dovecot.password_file, remote=MOVES + '\nevery = "1d"'))
    poller = rig.poller()
    poller.start()
    wait_until(lambda: "idle" in _states(rig, dovecot, user))
    dovecot.put(user, [mail([(NAME, conversions())])])
    wait_until(lambda: rig.verdicts() == [("accepted", None)])
    wait_until(lambda: len(dovecot.uids(user, "Done")) == 1)
    dovecot.put(user, [mail([(NAME, conversions())])])
    wait_until(lambda: len(rig.history()) == 2)
    poller.end()
    assert poller.join(10)


def _states(rig: Rig, dovecot: Dovecot, user: str) -> set[str]:
    """Tell that the poller is past its first look; it goes to IDLE at once after it."""
    state = rig.store.ledger.read_now(mailboxes.polling, "127.0.0.1", dovecot.port, user)
    return {"idle"} if state is not None and state.polled_at is not None else set()


def test_without_idle_a_mail_is_taken_at_the_next_poll(without_idle: Dovecot, rig: Rig, user: str) -> None:
    import time

    rig.apply(connection(user, without_idle.port, without_idle.password_file, remote=MOVES + '\nevery = "1s"'))
    poller = rig.poller(monotonic=time.monotonic)
    poller.start()
    wait_until(lambda: "idle" in _states(rig, without_idle, user))
    without_idle.put(user, [mail([(NAME, conversions())])])
    wait_until(lambda: rig.verdicts() == [("accepted", None)])


def idle_that(how: str) -> Any:
    def answer(talk: Talk, tag: str, rest: str) -> bool:
        if how == "no":
            talk.line(f"{tag} NO")
            return True
        if how == "drop before":
            raise HangUp
        talk.line("+ idling")
        if how == "bye":
            talk.line("* BYE timeout")
        if how == "flood":
            while True:
                talk.send(b"* OK Still here\r\n" * 1000)
        if how == "tagged":
            talk.line(f"{tag} OK over already")
        raise HangUp

    return answer


@pytest.mark.parametrize("how", ["drop", "drop before", "bye", "flood", "no", "tagged"])
def test_an_idle_that_breaks_is_a_failure_and_begins_anew(how: str, rig: Rig, secret: Path) -> None:
    with scripted({}, overrides={"IDLE": idle_that(how)}) as server:
        rig.apply(connection("me", server.port, secret))
        poller = rig.poller()
        assert poller.turn() == 5.0
        server.mails[1] = mail([(NAME, conversions())])
        assert poller.turn() == 5.0  # the look itself went well: the wait does not grow
        assert server.sessions == 2
    assert rig.verdicts() == [("accepted", None)]


def test_idle_is_renewed_after_nine_minutes(rig: Rig, secret: Path) -> None:
    begun: list[float] = []

    def chatty(talk: Talk, tag: str, rest: str) -> bool:
        begun.append(rig.monotonic.now)
        talk.line("+ idling")
        talk.plug.settimeout(0.01)
        for _ in range(400):
            try:
                if talk.plug.recv(100):
                    talk.line(f"{tag} OK done")
                    if len(begun) == 3:
                        raise HangUp
                    return True
            except TimeoutError:
                rig.monotonic.now += 60
                talk.line("* OK Still here")
        raise HangUp

    with scripted({}, overrides={"IDLE": chatty}) as server:
        rig.apply(connection("me", server.port, secret, remote='every = "1d"'))
        rig.poller().turn()
        assert server.commands.count("IDLE") == 3
    assert all(500 <= after - before <= 700 for before, after in itertools.pairwise(begun))


def test_the_end_does_not_wait_for_a_silent_server(rig: Rig, secret: Path) -> None:
    def silent(talk: Talk, tag: str, rest: str) -> bool:
        reached.set()
        talk.server.stopping.wait(60)
        raise HangUp

    reached = threading.Event()
    with scripted({}, overrides={"UID SEARCH": silent}) as server:
        rig.apply(connection("me", server.port, secret))
        poller = rig.poller()
        poller.start()
        assert reached.wait(10)
        poller.end()
        assert poller.join(5)
        assert server.sessions == 1


def test_a_wish_wakes_the_poller(rig: Rig, secret: Path) -> None:
    with scripted({}) as server:
        rig.apply(connection("me", server.port, secret, remote='every = "1d"'))
        poller = rig.poller()
        poller.start()
        wait_until(lambda: "IDLE" in server.commands)
        server.mails[1] = mail([(NAME, conversions())])
        wish = rig.store.ledger.write_now(mailboxes.wish_pull, poller.mailbox_id)
        poller.look_at_once(wish)
        wait_until(lambda: rig.store.get(Mailbox, poller.mailbox_id).pull_done == wish)
    assert rig.verdicts() == [("accepted", None)]


def test_a_changed_password_file_is_read_at_the_next_login(rig: Rig, secret: Path) -> None:
    with scripted({}, overrides={"LOGIN": _wants("second")}) as server:
        rig.apply(connection("me", server.port, secret))
        poller = rig.poller()
        assert poller.turn() == 60.0
        secret.write_text("second\n")
        poller.once()
        assert rig.store.alarms() == []


def _wants(password: str) -> Any:
    def answer(talk: Talk, tag: str, rest: str) -> bool:
        if password in rest:
            return False
        talk.line(f"{tag} NO")
        return True

    return answer


# --- which mailboxes there are


def test_a_paused_connection_leaves_its_mails_where_they_are(rig: Rig, secret: Path) -> None:
    from mailgate.imap.plan import plan_mailboxes

    rig.apply(connection("me", 1143, secret))
    ref = rig.store.ref("acme-mailbox")
    rig.store.set_state(ref, ConnectionState.PAUSED)
    assert plan_mailboxes(rig.store.ledger.read_now(mailboxes.pulled)) == {}
    rig.store.set_state(ref, ConnectionState.ACTIVE)
    assert len(plan_mailboxes(rig.store.ledger.read_now(mailboxes.pulled))) == 1
    rig.store.set_state(ref, ConnectionState.DELETED)
    assert plan_mailboxes(rig.store.ledger.read_now(mailboxes.pulled)) == {}


def test_a_paused_connection_of_a_shared_folder_has_its_mails_held(rig: Rig, secret: Path) -> None:
    with scripted({1: mail([(NAME, conversions())], To="two@mail.example")}) as server:
        rig.apply(connection("me", server.port, secret, name="one"), connection("me", server.port, secret, name="two"))
        rig.store.set_state(rig.store.ref("two"), ConnectionState.PAUSED)
        rig.look()
    (row,) = rig.history()
    assert (row["connection"], row["status"], row["code"]) == ("two", "held", "CONNECTION_PAUSED")


def test_the_smtp_door_knows_no_pull_connection(rig: Rig, secret: Path) -> None:
    import asyncio

    rig.apply(connection("me", 1143, secret))
    assert asyncio.run_coroutine_threadsafe(rig.intake.connection_for("acme-mailbox"), rig.loop).result() is None
