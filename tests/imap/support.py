"""What the tests of the mailbox door share: a ledger with an intake, and pollers that look when they are told to."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intake.accept import Intake
from intake.provisioning import plan_file
from intake.sender_check import Check
from mailgate.imap.plan import MailboxPlan, plan_mailboxes
from mailgate.imap.poller import Poller, PollerMeans
from mailgate.imap.taking import Means, Taken
from mailgate.settings import Pull
from models.tables import Event
from storage.descriptors import load_data_types
from storage.ledger import mailboxes
from storage.ledger.applying import apply_plan
from storage.ledger.history import Wanted, detail, list_uploads
from tests.storage.support import DOMAIN, Store, open_store

HEAD = """\
[[account]]
name = "acme"
[[credential]]
name = "acme-batch"
account = "acme"
return_address = "batch@acme.example"
"""


def connection(
    user: str, port: int, password_file: Path, *, name: str = "acme-mailbox", address: str = "", more: str = "",
    remote: str = "", host: str = "127.0.0.1", pattern: str = "Conversions_*.csv", tls: str = "off",
) -> str:  # fmt: skip
    """Write a pull connection; ``more`` and ``remote`` are further lines of its two tables."""
    return f"""
[[connection]]
name = "{name}"
account = "acme"
data_type = "conversions"
methodology = "pull"
pattern = "{pattern}"
credential = "acme-batch"
address = "{address or name}"
{more}
[connection.remote]
host = "{host}"
port = {port}
tls = "{tls}"
username = "{user}"
password_file = "{password_file}"
{remote}
"""


@dataclass
class Monotonic:
    """A monotonic clock that moves only when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Rig:
    """A ledger, an intake in an event loop of its own, and the pollers of a test."""

    store: Store
    intake: Intake
    loop: asyncio.AbstractEventLoop
    monotonic: Monotonic = field(default_factory=Monotonic)
    pollers: list[Poller] = field(default_factory=list)

    def apply(self, *connections: str) -> None:
        """Apply connections beside the account and its credential."""
        text = HEAD + "".join(connections)
        types = load_data_types()
        provisioned = plan_file(text, domain=DOMAIN, data_types=types, known_hashes={})
        self.store.ledger.write_now(apply_plan, provisioned.plan, self.store.clock())

    def plans(self) -> list[MailboxPlan]:
        """Give the plan of every mailbox."""
        return list(plan_mailboxes(self.store.ledger.read_now(mailboxes.pulled)).values())

    def plan(self) -> MailboxPlan:
        """Give the plan of the latest mailbox."""
        return self.plans()[-1]

    def poller(self, holder: str = "one", plan: MailboxPlan | None = None, **more: Any) -> Poller:
        """Give a poller of the latest mailbox, or of a plan."""
        taking = Means(
            ledger=self.store.ledger, intake=self.intake, loop=self.loop, settings=self.store.settings,
            clock=self.store.clock, alive=lambda _octets: None,
        )  # fmt: skip
        means = {"monotonic": self.monotonic, "chance": lambda: 0.5, "lease_clock": lambda _session: self.store.clock()}
        poller = Poller(plan or self.plan(), PollerMeans(taking=taking, holder=holder, **{**means, **more}))
        self.pollers.append(poller)
        return poller

    def look(self, poller: Poller | None = None) -> list[Taken]:
        """Look once, with a session of its own."""
        return (poller or self.poller()).once()

    def history(self, **wanted: Any) -> list[dict[str, Any]]:
        """Give the history in the order in which it was written: the clock of a test stands still."""
        rows = self.store.ledger.read_now(list_uploads, Wanted(**wanted))  # first: a poller may write meanwhile
        order = {event.trace_id: -(event.id or 0) for event in reversed(self.store.all(Event))}
        return sorted(rows, key=lambda row: (-order[row["trace_id"]], row["part"] or 0))

    def verdicts(self) -> list[tuple[str, str | None]]:
        """Give verdict and code of each upload or fileless delivery, oldest first."""
        return [(one["delivery_verdict"], one["code"]) for one in self.history()]

    def detail(self, trace_id: str) -> dict[str, Any]:
        return self.store.ledger.read_now(detail, trace_id)

    def spooled(self) -> list[Path]:
        return list(self.store.settings.spool_dir.iterdir())


async def _open_intake(parts: tuple[Any, ...], store: Store, senders: Check | None) -> Intake:
    return Intake(*parts, clock=store.clock, senders=senders)


@contextmanager
def open_rig(folder: Path, template: Path, *, senders: Check | None = None, **settings: Any) -> Iterator[Rig]:
    """Open a rig in a folder; ``senders`` finds out who sent a mail."""
    settings.setdefault("limits", {})
    settings["limits"] = {"minimum_free_bytes": 1, **settings["limits"]}
    with open_store(folder, template, **{"pull": Pull(allow_private=True), **settings}) as store:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        parts = (store.ledger, store.blobs, store.queue, store.settings)
        intake = asyncio.run_coroutine_threadsafe(_open_intake(parts, store, senders), loop).result()
        rig = Rig(store, intake, loop)
        try:
            yield rig
        finally:
            for poller in rig.pollers:
                poller.end()
                assert poller.join(20)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
