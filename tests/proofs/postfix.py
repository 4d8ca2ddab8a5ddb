"""A queueing mail server of our own: Debian's postfix as a private instance in a temporary folder.

It listens on loopback only, relays everything to one port, and tries again every second. It is started and stopped
by its own command and knows nothing of a postfix that the machine may run already.
"""

import os
import pwd
import re
import smtplib
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.proofs.gate import ADDRESS, SENDER
from tests.proofs.needs import find

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}
mail_owner = postfix
myhostname = sender.acme.example
mydestination =
local_transport = error:no local mail here
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
disable_dns_lookups = yes
smtp_host_lookup = native
relayhost = [127.0.0.1]:{target}
smtp_tls_security_level = may
notify_classes =
biff = no
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
maximal_queue_lifetime = 1d
"""
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
_WAITING = ("maildrop", "incoming", "active", "deferred", "hold", "corrupt")


class Postfix:
    """One private postfix; ``more`` stands behind our lines of main.cf and wins over them."""

    def __init__(self, folder: Path, target: int, more: str = "") -> None:
        self._folder = folder
        self._target = target
        self._more = more
        self.port = _free_port()

    def start(self) -> None:
        """Write the configuration and start; returns when it answers."""
        owner = pwd.getpwnam("postfix").pw_uid
        for name in ("etc", "queue", "data", "log"):
            (self._folder / name).mkdir(parents=True)
        os.chown(self._folder / "data", owner, -1)
        (self._folder / "etc/main.cf").write_text(_MAIN.format(folder=self._folder, target=self._target) + self._more)
        (self._folder / "etc/master.cf").write_text(_MASTER.format(port=self.port))
        done = self._command("postfix", "start")
        assert done.returncode == 0, f"postfix does not start: {done.stderr}"

    def stop(self) -> None:
        """Stop it."""
        self._command("postfix", "stop")

    def take(self, mails: list[bytes]) -> None:
        """Hand mails over to its queue, as a mail program would."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as client:
            for mail in mails:
                client.sendmail(SENDER, [ADDRESS], mail)

    def flush(self) -> None:
        """Ask it to try everything now."""
        self._command("postqueue", "-f")

    def waiting(self) -> int:
        """Count the mails that are still in its queue."""
        return sum(1 for name in _WAITING for path in (self._folder / "queue" / name).rglob("*") if _is_file(path))

    def log(self, pattern: str) -> int:
        """Count the lines of its log that match."""
        path = self._folder / "log/mail.log"
        return len(re.findall(pattern, path.read_text(errors="replace"))) if path.exists() else 0

    def _command(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [find(program) or program, "-c", str(self._folder / "etc"), *words],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@contextmanager
def open_postfix(folder: Path, target: int, more: str = "") -> Iterator[Postfix]:
    """Run a postfix that relays to a port."""
    postfix = Postfix(folder, target, more)
    try:
        postfix.start()
        yield postfix
    finally:
        postfix.stop()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # it moved on while we looked
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
