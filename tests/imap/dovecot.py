"""A private Dovecot on loopback: any user, one password, mail in a temporary folder.

Each test takes a user of its own, so that one server serves them all. What the server may do is chosen by its
capabilities; a capability that is left out is not there for the client.
"""

import contextlib
import email.policy
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import imapclient

from mailgate.tls import write_local_certificate
from tests.proofs.needs import find, need

PASSWORD = 's3cret "quoted\\ word'
FULL = ""
NO_MOVE = "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE UIDPLUS"
NO_UIDPLUS = "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE"
NO_IDLE = "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE UIDPLUS MOVE"
_CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/tls.crt
ssl_key = <{folder}/tls.key
disable_plaintext_auth = no
auth_mechanisms = plain xoauth2 oauthbearer
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=any {folder}/passwd
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home/%u
}}
mail_location = maildir:~/Maildir
first_valid_uid = 1
mail_max_userip_connections = 200
namespace inbox {{
  inbox = yes
  separator = /
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
  process_min_avail = 1
  service_count = 0
}}
service imap {{
  process_min_avail = 1
}}
protocol imap {{
  imap_capability = {capability}
  {more}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Dovecot:
    """A mail server that runs."""

    folder: Path
    port: int
    tls_port: int
    capability: str = FULL

    @property
    def certificate(self) -> Path:
        """Name the certificate; it is its own authority, made for ``localhost``."""
        return self.folder / "tls.crt"

    @property
    def password_file(self) -> Path:
        """Name a file that holds the password."""
        return self.folder / "password"

    def client(self, user: str) -> imapclient.IMAPClient:
        """Log in as somebody else's mail program."""
        client = imapclient.IMAPClient("127.0.0.1", self.port, ssl=False, timeout=20)
        client.plain_login(user, PASSWORD)
        return client

    def put(self, user: str, mails: Sequence[bytes], folder: str = "INBOX") -> None:
        """Lay mails into a folder, which is made where it is missing."""
        with self.client(user) as client:
            if folder != "INBOX" and not client.folder_exists(folder):
                client.create_folder(folder)
            for mail in mails:
                client.append(folder, mail)

    def uids(self, user: str, folder: str = "INBOX", criteria: str = "ALL") -> list[int]:
        """Give the UIDs in a folder; empty where there is no such folder."""
        with self.client(user) as client:
            if not client.folder_exists(folder):
                return []
            client.select_folder(folder, readonly=True)
            return list(client.search(criteria))

    def flags(self, user: str, folder: str = "INBOX") -> dict[int, set[str]]:
        """Give the flags of each message."""
        with self.client(user) as client:
            client.select_folder(folder, readonly=True)
            uids = client.search("ALL")
            return {uid: {flag.decode() for flag in flags} for uid, flags in client.get_flags(uids).items()}

    def log(self) -> str:
        """Give what the server wrote."""
        return (self.folder / "log").read_text(errors="replace")


def free_port() -> int:
    """Give a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def open_dovecot(capability: str = FULL, more: str = "") -> Iterator[Dovecot]:
    """Run a Dovecot; everything is gone afterwards."""
    need("dovecot")
    folder = Path(tempfile.mkdtemp(prefix="mailgate-dovecot-"))
    folder.chmod(0o755)
    for name in ("run", "state", "home"):
        (folder / name).mkdir(mode=0o755)
    uid, gid = _mail_user()
    os.chown(folder / "home", uid, gid)
    write_local_certificate(folder / "tls.crt", folder / "tls.key", "localhost")
    (folder / "password").write_text(PASSWORD + "\n")
    (folder / "passwd").write_text(f"any:{{PLAIN}}{PASSWORD}\n")
    server = Dovecot(folder=folder, port=free_port(), tls_port=free_port(), capability=capability)
    config = folder / "dovecot.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            uid=uid,
            gid=gid,
            port=server.port,
            tls_port=server.tls_port,
            capability=capability,
            more=more,
        )
    )
    program = find("dovecot")
    assert program is not None
    process = subprocess.Popen([program, "-F", "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        _wait_for(server, process)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _mail_user() -> tuple[int, int]:
    """Give who owns the mails: nobody, where we are root; Dovecot hands no mail to root."""
    return (65534, 65534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


def _wait_for(server: Dovecot, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", server.port), 5) as probe:
                if probe.recv(10).startswith(b"* OK"):
                    return
        except OSError:
            pass
        assert process.poll() is None, f"dovecot ended: {server.log()}"
        assert time.monotonic() < deadline, f"dovecot did not start: {server.log()}"
        time.sleep(0.05)


def bare_mail(files: Sequence[tuple[str, bytes]], **headers: str) -> bytes:
    """Build a mail with attachments and only the headers that are named."""
    message = EmailMessage(policy=email.policy.SMTP)
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("See the file.\n")
    for name, content in files:
        message.add_attachment(content, maintype="text", subtype="csv", filename=name)
    return message.as_bytes()
