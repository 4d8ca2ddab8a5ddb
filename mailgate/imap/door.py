"""The mailbox door as a whole: a poller for each mailbox that connections pull from, and what the command line asks.

What lives here: starting, changing and ending pollers as the ledger says, and the protocol of ``intake.mailboxes``.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from intake.accept import Intake
from intake.mailboxes import Pulled, Tested
from mailgate.imap.check import MailboxTest, failure_of, failure_of_step
from mailgate.imap.holders import new_holder
from mailgate.imap.plan import MailboxPlan, plan_mailboxes
from mailgate.imap.poller import Ended, Poller, PollerMeans
from mailgate.imap.taking import Means
from mailgate.observe import get_logger
from mailgate.settings import Settings
from models.faults import TemporaryError
from storage.ledger import Ledger, mailboxes
from storage.ledger.connections import ConnectionRef

log = get_logger("imap")
_LOOK = 0.5  # seconds between looks at the connections; a change is obeyed within two
_GRACE = 4.0  # seconds for pollers when the service stops
_PULL_MOST = 600.0  # seconds that the command line waits for the running service
Key = tuple[str, int, str]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ImapDoor:
    """Poll every mailbox of the ledger's pull connections."""

    def __init__(
        self, settings: Settings, ledger: Ledger, intake: Intake, *, clock: Callable[[], datetime] = _utc_now,
        node_id: str = "",
    ) -> None:  # fmt: skip
        self._settings = settings
        self._ledger = ledger
        self._intake = intake
        self._clock = clock
        self._holder = new_holder(node_id)
        self._pollers: dict[Key, Poller] = {}
        self._ending: list[Poller] = []
        self._changing = threading.Lock()
        self._closed = False

    async def run(self) -> None:
        """Follow the ledger until cancelled."""
        means = self._means(asyncio.get_running_loop(), self._intake)
        while True:
            try:
                await asyncio.to_thread(self._follow, means)
            except TemporaryError as error:
                log.warning("mailboxes are not looked after now", reason=str(error))
            except Exception:
                log.exception("looking after mailboxes failed")
            await asyncio.sleep(_LOOK)

    async def close(self) -> None:
        """End every poller; what is under way is recorded, what is recorded is moved the next time."""
        await asyncio.to_thread(self._let_end)

    def _let_end(self) -> None:
        with self._changing:
            self._closed = True
            pollers = [*self._pollers.values(), *self._ending]
            for poller in pollers:
                poller.end()
        deadline = time.monotonic() + _GRACE
        for poller in pollers:
            if poller.join(max(deadline - time.monotonic(), 0.01)):
                with contextlib.suppress(TemporaryError):
                    poller.leave()

    def _follow(self, means: PollerMeans) -> None:
        with self._changing:
            if not self._closed:
                self._change(means)

    def _change(self, means: PollerMeans) -> None:
        plans = self._within_limit(plan_mailboxes(self._ledger.read_now(mailboxes.pulled)))
        for key in [key for key in self._pollers if key not in plans]:
            poller = self._pollers.pop(key)
            poller.end()
            self._ending.append(poller)
            self._ledger.write_now(mailboxes.forget_failing, poller.mailbox_id, self._clock())
        self._ending = [poller for poller in self._ending if not self._has_ended(poller)]
        for key, plan in plans.items():
            if key in self._pollers:
                self._pollers[key].follow(plan)
            else:
                self._pollers[key] = Poller(plan, means)
                self._pollers[key].start()
        wanted = self._ledger.read_now(mailboxes.wishes)
        for poller in self._pollers.values():
            poller.look_at_once(wanted.get(poller.mailbox_id, 0))

    @staticmethod
    def _has_ended(poller: Poller) -> bool:
        if not poller.join(0):
            return False
        poller.leave()
        return True

    def _within_limit(self, plans: Mapping[Key, MailboxPlan]) -> Mapping[Key, MailboxPlan]:
        most = self._settings.limits.imap_mailboxes
        if len(plans) <= most:
            return plans
        log.error("more mailboxes than [limits] imap_mailboxes: the latest are not polled", mailboxes=len(plans))
        return dict(list(plans.items())[:most])

    def _means(self, loop: asyncio.AbstractEventLoop, intake: Intake) -> PollerMeans:
        taking = Means(
            ledger=self._ledger, intake=intake, loop=loop, settings=self._settings, clock=self._clock,
            alive=lambda _octets: None,
        )  # fmt: skip
        return PollerMeans(taking=taking, holder=self._holder)

    # --- what the command line asks

    def test(self, ref: ConnectionRef) -> Tested:
        """Try every step, and tell what would be taken; changes nothing."""
        plan = self._plan_of(ref)
        return MailboxTest(ref, plan, self._ledger, self._settings, self._clock, self._intake.find_out_now).run()

    def pull(self, ref: ConnectionRef) -> Pulled:
        """Take what is there now, or have the running service do it."""
        plan = self._plan_of(ref)
        with _loop_in_thread() as loop:
            poller = Poller(plan, self._means(loop, self._intake))
            try:
                while True:
                    try:
                        taken = poller.once()
                    except Ended:
                        done = self._wait_for_service(poller.mailbox_id, plan)
                        if done is not None:
                            return done
                        continue
                    traces = dict.fromkeys(one.trace_id for some in taken for one in some.outcomes)
                    return Pulled(taken=tuple(traces))
            except TemporaryError as error:
                poller.note(error)
                return Pulled(failure=failure_of(error), reason=str(error))
            finally:
                poller.leave()

    def _plan_of(self, ref: ConnectionRef) -> MailboxPlan:
        assert ref.rule.remote is not None
        plans = plan_mailboxes(self._ledger.read_now(mailboxes.pulled))
        return plans.get(ref.rule.remote.mailbox) or next(iter(plan_mailboxes([ref]).values()))

    def _wait_for_service(self, mailbox_id: int, plan: MailboxPlan) -> Pulled | None:
        """Have whoever holds the lease look at once; None when nobody holds it any more."""
        wish = self._ledger.write_now(mailboxes.wish_pull, mailbox_id)
        deadline = time.monotonic() + _PULL_MOST
        while time.monotonic() < deadline:
            found = self._ledger.read_now(mailboxes.polling, *plan.remote.mailbox)
            assert found is not None
            if found.done >= wish:
                failure = None if not found.reason else failure_of_step(found.step)
                return Pulled(by_service=True, failure=failure, reason=found.reason)
            if not found.polled_by:
                return None
            time.sleep(0.1)
        return Pulled(by_service=True, failure=failure_of_step(""), reason="the running service did not look in time")


@contextlib.contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop beside a command that blocks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="intake", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
