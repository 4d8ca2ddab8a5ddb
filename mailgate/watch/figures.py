"""The page's figures that are asked for and not counted: the ledger's, the disk's, the certificate's.

What lives here: reading them in a thread, a few seconds old at most, whoever asks how often; and the instruments they
are shown in. Every node shows the ledger's figures, and all of them show the same.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mailgate.observe import get_logger
from mailgate.settings import Settings
from mailgate.tls import certificate_ends
from mailgate.watch.checks import Health
from models.faults import TemporaryError
from storage.ledger import Ledger
from storage.ledger.figures import Figures, figures

log = get_logger("watch")
#: Name, label and meaning of each figure of the ledger, and where it is found.
_COUNTS: tuple[tuple[str, str, str, Callable[[Figures], dict[str, int]]], ...] = (
    ("imports_unended", "status", "Imports that have not ended, by status.", lambda one: one.imports),
    ("answers_unsent", "state", "Answers by mail that wait to be handed over.", lambda one: one.answers),
    ("uploads_in_folders", "status", "Uploads in clients' folders that are not judged.", lambda one: one.uploads),
    ("alarms_open", "kind", "Alarms that are open, by kind.", lambda one: one.alarms),
    ("nodes", "role", "Processes that live and have said so, by role.", lambda one: one.nodes),
    ("mailboxes", "state", "Mailboxes: polled, failing, or polled by nobody.", lambda one: one.mailboxes),
)
_VALUES: tuple[tuple[str, str, Callable[[Figures], float]], ...] = (
    ("import_queue_age_seconds", "How long the oldest queued import has waited.", lambda one: one.oldest_queued),
    ("import_running_age_seconds", "How long the import begun first has run.", lambda one: one.oldest_running),
    ("answer_queue_age_seconds", "How long the oldest answer has been owed.", lambda one: one.oldest_answer),
    ("judging_late_seconds", "How long a settled file has waited to be judged.", lambda one: one.judging_late),
    ("mailbox_poll_age_seconds", "The longest time since a good look at a mailbox.", lambda one: one.oldest_poll),
    ("nodes_silent", "Processes that ended without a word within a day.", lambda one: one.silent_nodes),
    ("bans_active", "Addresses that are banned now.", lambda one: one.bans),
)


class FigureCollector(Collector):
    """Show the figures that were read last; reading is ``refresh``'s, so that making the page waits for nobody."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._ledger = ledger
        self._settings = settings
        self._figures: Figures | None = None
        self._read_at = float("-inf")
        self._reading: asyncio.Future[Figures] | None = None
        self._health: Health | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="figures")

    async def refresh(self, health: Health) -> None:
        """Read the figures anew where they are old; gives up waiting, not reading, after the time of a check."""
        self._health = health
        limits = self._settings.limits
        if time.monotonic() - self._read_at < limits.metrics_kept.total_seconds():
            return
        if self._reading is None:
            self._reading = asyncio.get_running_loop().run_in_executor(self._thread, self._read)
            self._reading.add_done_callback(self._take)
        await asyncio.wait([self._reading], timeout=limits.check_time.total_seconds())

    def close(self) -> None:
        """Let go of the thread; one that hangs is left."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def describe(self) -> Iterator[Metric]:
        """Name nothing beforehand: the registry need not collect to know our names."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Give the figures that were read last, how old they are, and what the checks said."""
        if self._figures is not None:
            for name, label, what, of in _COUNTS:
                family = GaugeMetricFamily(f"mailgate_{name}", what, labels=[label])
                for value, count in of(self._figures).items():
                    family.add_metric([value], count)
                yield family
            for name, what, value_of in _VALUES:
                yield GaugeMetricFamily(f"mailgate_{name}", what, value_of(self._figures))
            age = time.monotonic() - self._read_at
            yield GaugeMetricFamily("mailgate_figures_age_seconds", "How old the figures of the database are.", age)
        yield from self._of_the_machine()

    def _of_the_machine(self) -> Iterator[Metric]:
        if self._health is not None:
            ready = GaugeMetricFamily("mailgate_check_ok", "1 where a check of readiness is well.", labels=["check"])
            for name, said in self._health.checks.items():
                ready.add_metric([name], said == "ok")
            yield ready
            yield GaugeMetricFamily("mailgate_ready", "1 where deliveries can be taken.", float(self._health.well))
        try:
            free = shutil.disk_usage(self._settings.data_dir).free
            yield GaugeMetricFamily("mailgate_disk_free_bytes", "Room on the disk of data_dir.", free)
        except OSError as error:
            log.warning("the disk cannot be looked at", reason=str(error))
        reserve = self._settings.limits.minimum_free_bytes
        yield GaugeMetricFamily("mailgate_disk_reserve_bytes", "Below so much room deliveries are refused.", reserve)
        try:
            ends = certificate_ends(self._settings.certificate_path).timestamp()
            what = "When the TLS certificate ends, in Unix time."
            yield GaugeMetricFamily("mailgate_certificate_end_timestamp_seconds", what, ends)
        except (OSError, ValueError):
            return  # the doctor says so; a worker needs none

    def _read(self) -> Figures:
        return self._ledger.read_now(figures, datetime.now(UTC))

    def _take(self, reading: "asyncio.Future[Figures]") -> None:
        self._reading = None
        if reading.cancelled():
            return
        error = reading.exception()
        if error is None:
            self._figures, self._read_at = reading.result(), time.monotonic()
        elif isinstance(error, TemporaryError):
            log.warning("the figures cannot be read now", reason=str(error))
        else:
            log.error("the figures cannot be read", exc_info=error)
