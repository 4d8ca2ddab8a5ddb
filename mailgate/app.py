"""The assembly: opens the house, connects its rooms, and closes it in order.

What lives here: who is handed what. No rule of the product.
"""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from intake.accept import Intake
from intake.defender import Defender
from intake.logins import Logins
from mailgate.house import House, create_folders, only_service, open_house
from mailgate.observe import get_logger, metrics, traces
from mailgate.settings import Settings, SettingsError
from mailgate.watch import Pulse, WatchDoor
from mailgate.watch.pulse import Stage
from models.faults import TemporaryError
from storage.descriptors import load_data_types
from storage.duty import Alone, Duty, Leased
from storage.heartbeat import Heartbeat, Self, new_node_id
from storage.ledger import nodes
from transfer.folder import LedgerFolders
from transfer.settler import Settler

if TYPE_CHECKING:  # a process loads only the rooms of its roles: a door alone stays small
    from imports.courier import Courier
    from imports.engine import JobEngine
    from imports.perform import Importer
    from imports.post import Post
    from imports.workers import ParsePool
    from intake.mailboxes import MailboxDoor
    from mailgate.authenticity import Checker, Signer
    from mailgate.imap import ImapDoor
    from mailgate.smtp import SmtpDoor
    from transfer.ftp import FtpDoor
    from transfer.sftp import SftpDoor

log = get_logger("app")
ROLES = ("smtp", "sftp", "ftp", "poller", "worker")
MAIL_ROLES = frozenset({"smtp", "poller"})  #: they find out who sent a mail
FOLDER_ROLES = frozenset({"sftp", "ftp", "worker"})  #: one of them settles what stands in clients' folders
_THREADS = 32
_GRACE = 2.5  # seconds for imports that run when the service stops


def make_courier(settings: Settings) -> "Courier":
    """Choose who takes our replies: the relay, or the outbox folder without one; SettingsError for a bad key."""
    from mailgate.courier import OutboxCourier, RelayCourier, SigningCourier

    courier: Courier = RelayCourier(settings) if settings.relay.host else OutboxCourier(settings.outbox_dir)
    signer = make_signer(settings)
    return courier if signer is None else SigningCourier(courier, signer)


def make_signer(settings: Settings) -> "Signer | None":
    """Read the key that signs our mail, if there is one; SettingsError says what is wrong with it."""
    relay = settings.relay
    if relay.dkim_key is None:
        return None
    from mailgate.authenticity import BadKey, Signer

    try:
        return Signer.from_file(relay.dkim_domain, relay.dkim_selector, relay.dkim_key)
    except BadKey as error:
        raise SettingsError(f"relay.dkim_key: {error}") from None


def make_checker(settings: Settings) -> "Checker | None":
    """Make what finds out who sent a mail; None where its extra is not installed."""
    from mailgate.authenticity import Checker, is_installed

    if not is_installed():
        return None
    if not settings.dns.lookups:
        return Checker(None)
    from mailgate.authenticity.lookup import NetworkResolver

    limits = settings.limits
    resolver = NetworkResolver(settings.dns.servers, seconds=limits.dns_timeout.total_seconds())
    return Checker(resolver, lookups=limits.dns_lookups)


def mailbox_door(house: House) -> "MailboxDoor":
    """Give what the command line asks about mailboxes."""
    from mailgate.imap import ImapDoor

    intake = Intake(house.ledger, house.blobs, house.jobs, house.settings, senders=make_checker(house.settings))
    return ImapDoor(house.settings, house.ledger, intake)


@dataclass(frozen=True, slots=True)
class Cluster:
    """This process among the others of its database: its name, and the duties that one has at a time."""

    house: House
    node: Self

    def duty(self, name: str) -> Duty:
        """Give a duty; where no other process can be, it is ours."""
        return Alone() if self.node.alone else Leased(self.house.ledger, name, self.node.id)

    def make_post(self) -> "Post":
        """Make the post; where others owe answers too, it looks more often."""
        from imports.post import Post

        house = self.house
        return Post(
            house.ledger, house.blobs, make_courier(house.settings), house.settings, duty=self.duty("post"),
            look=1.0 if self.node.alone else 0.25,
        )  # fmt: skip


def join(house: House, roles: tuple[str, ...]) -> Cluster:
    """Name this process."""
    alone = house.engine.dialect.name == "sqlite"
    return Cluster(house, Self(id=new_node_id(), roles=roles, version=version("mailgate"), alone=alone))


class Service:
    """The running service: doors that take in, and the worker that imports and answers."""

    def __init__(self, house: House, roles: tuple[str, ...]) -> None:
        self._house = house
        self._roles = roles
        self._cluster = join(house, roles)
        self._heartbeat = Heartbeat(house.engine, self._cluster.node)
        settings = house.settings
        self._tasks: list[asyncio.Task[None]] = []
        self._post = self._cluster.make_post() if "worker" in roles else None
        ring = self._post.ring if self._post is not None else lambda: None
        senders = make_checker(settings) if MAIL_ROLES & set(roles) else None
        self._intake = Intake(house.ledger, house.blobs, house.jobs, settings, on_recorded=ring, senders=senders)
        self._settler: Settler | None = None
        self.folders: LedgerFolders | None = None  #: for the file doors
        if FOLDER_ROLES & set(roles):
            node = self._cluster.node
            folders = LedgerFolders(
                house.ledger, house.blobs, self._intake, settings, on_settling=self._ring_settler, node=node.id,
                alive=None if node.alone else nodes.alive,
            )  # fmt: skip
            self._settler = Settler(house.ledger, self._intake, folders, settings, on_owed=ring)
            self.folders = folders
        self._defender = Defender(house.ledger, settings.limits)
        logins = Logins(house.ledger, self._defender, settings.limits)
        self._doors = list(self._make_doors(logins))
        self._pulse = Pulse()
        self._watch_door: WatchDoor | None = None
        if settings.metrics.enabled:
            self._watch_door = WatchDoor(settings, self._pulse, house.ledger, house.engine, house.blobs)
        self._mailboxes = self._make_mailboxes() if "poller" in roles else None
        self._pool: ParsePool | None = None
        self._importer: Importer | None = None
        self._jobs: JobEngine | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _make_mailboxes(self) -> "ImapDoor":
        from mailgate.imap import ImapDoor

        house = self._house
        return ImapDoor(house.settings, house.ledger, self._intake, node_id=self._cluster.node.id)

    async def start(self) -> list[tuple[str, str, int]]:
        """Start every role; gives the open doors, which take mails and files from now on."""
        watched = await self._watch_door.open() if self._watch_door is not None else []
        self._watch(self._pulse.beat())
        await asyncio.to_thread(self._heartbeat.start)  # before any work is done in this node's name
        if "worker" in self._roles:
            await self._start_worker()
        await self._defender.load()
        self._watch(self._defender.run())
        if self.folders is not None and self._settler is not None:
            await self.folders.open()
            self._watch(self._settler.run())
        if self._mailboxes is not None:
            self._watch(self._mailboxes.run())
        opened = [opened for door in self._doors for opened in await door.open()]
        self._pulse.stage = Stage.OPEN
        return opened + watched

    async def wait(self) -> None:
        """Return when a task of the service has failed; it never ends well by itself."""
        await self._failed

    async def stop(self) -> None:
        """Close the doors, let what runs finish for a while, and leave the rest to the next start."""
        self._pulse.stage = Stage.STOPPING
        await asyncio.gather(*(door.close() for door in (*self._doors, self._mailboxes) if door is not None))
        await self._intake.drain()
        if self._importer is not None:
            await self._importer.stop(_GRACE)
        if self._jobs is not None:
            await self._jobs.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TemporaryError):
            await self._defender.keep()
        await asyncio.to_thread(self._heartbeat.stop)
        if self._pool is not None:
            await asyncio.to_thread(self._pool.close)
        if self._watch_door is not None:
            await self._watch_door.close()

    def _make_doors(self, logins: Logins) -> "Iterator[SmtpDoor | SftpDoor | FtpDoor]":
        if "smtp" in self._roles:
            from mailgate.smtp import SmtpDoor

            yield SmtpDoor(self._house.settings, logins, self._intake)
        if "sftp" in self._roles and self.folders is not None:
            from transfer.sftp import SftpDoor

            yield SftpDoor(self._house.settings, logins, self.folders)
        if "ftp" in self._roles and self.folders is not None:
            from transfer.ftp import FtpDoor

            yield FtpDoor(self._house.settings, logins, self.folders)

    def _ring_settler(self) -> None:
        if self._settler is not None:
            self._settler.ring()

    async def _start_worker(self) -> None:
        from imports.engine import JobEngine
        from imports.housekeeping import Housekeeper
        from imports.perform import Importer
        from imports.workers import ParsePool

        assert self._post is not None
        house, limits = self._house, self._house.settings.limits
        self._pool = await asyncio.to_thread(
            lambda: ParsePool(
                workers=limits.parse_workers, memory_bytes=limits.parse_memory_bytes, seconds=limits.parse_seconds
            )
        )
        self._importer = Importer(house.ledger, house.blobs, self._pool, house.settings, on_finished=self._post.ring)
        self._jobs = JobEngine(
            house.job_engine, house.settings.ledger_url, self._importer, node_id=self._cluster.node.id,
            at_once=limits.parse_workers * 2,
        )  # fmt: skip
        await self._jobs.launch()
        housekeeper = Housekeeper(
            house.ledger, house.blobs, self._jobs, house.jobs, house.settings, on_owed=self._post.ring,
            duty=self._cluster.duty("housekeeping"),
        )  # fmt: skip
        self._watch(self._post.run())
        self._watch(housekeeper.run())

    def _watch(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)

        def ended(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and done.exception() is not None and not self._failed.done():
                self._pulse.failure = repr(done.exception())[:300]
                self._failed.set_exception(done.exception() or RuntimeError("a task ended"))

        task.add_done_callback(ended)
        self._tasks.append(task)


async def serve(settings: Settings, roles: tuple[str, ...]) -> None:
    """Run the service until SIGTERM or SIGINT; prints its doors and then ``ready``.

    Raises DataTypesWrong before anything opens where an import would fail on it.
    """
    load_data_types(settings.data_types_dir, settings.enums)
    _name_process(settings, roles)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="work"))
    if settings.database_url:  # a new node has nothing yet; what SQLite's one service lacks was never set up
        create_folders(settings)
    with only_service(settings), open_house(settings) as house:
        service = Service(house, roles)
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        try:
            for name, host, port in await service.start():
                print(f"door {name} {host}:{port}", flush=True)  # noqa: T201 - the contract's lines for scripts
            print("ready", flush=True)  # noqa: T201
            stopped = asyncio.ensure_future(stopping.wait())
            failed = asyncio.ensure_future(service.wait())
            await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if failed.done():
                failed.result()
            failed.cancel()
        finally:
            log.info("stopping")
            await service.stop()
            log.info("stopped")
            await asyncio.to_thread(traces.disable)


def _name_process(settings: Settings, roles: tuple[str, ...]) -> None:
    """Say in metrics and traces which version this is and what it does; SettingsError without the extra for traces."""
    known = version("mailgate")
    metrics.build.labels(known).set(1)
    for role in roles:
        metrics.roles.labels(role).set(1)
    if settings.traces.endpoint:
        try:
            traces.enable(settings.traces.endpoint, {"service.version": known, "mailgate.roles": ",".join(roles)})
        except traces.TracingNotInstalled as error:
            raise SettingsError(f"traces.endpoint: {error}") from None
