"""The peers of the FTP benchmarks: Debian's vsftpd and proftpd as they come, and mailgate, each on a loopback port.

What lives here: their configurations, starting and stopping them. ``tests/programs`` unpacks the two servers, since
Debian lets only one of them be installed. Both keep a file with a plain write: neither syncs nor hashes it.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import free_port

_TICK = os.sysconf("SC_CLK_TCK")
_PROGRAMS = Path(sys.prefix) / "programs"
VSFTPD = _PROGRAMS / "vsftpd/usr/sbin/vsftpd"
PROFTPD = _PROGRAMS / "proftpd/usr/sbin/proftpd"
_OWNER = pwd.getpwnam("daemon")  #: a user without rights whose home is there
_CONNECTION = """\
[[account]]
name = "bench"
[[credential]]
name = "bench"
account = "bench"
username = "bench"
password = "bench"
[[connection]]
name = "bench"
account = "bench"
data_type = "conversions"
method = "ftp"
pattern = "*.csv"
credential = "bench"
folder = "/in"
"""
_SETTINGS = {
    "MAILGATE_SETTLE_SECONDS": "3600", "MAILGATE_LIMITS__MAX_FILE_BYTES": "2000000000",
    "MAILGATE_LIMITS__UPLOAD_BYTES_HELD": "100000000000", "MAILGATE_LIMITS__UPLOADS_AT_ONCE": "100000",
    "MAILGATE_FTP__TLS": "optional",
}  # fmt: skip
_VSFTPD = """\
listen=YES
listen_ipv6=NO
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
no_anon_password=YES
local_enable=NO
anon_root={root}
ftp_username=daemon
nopriv_user=nobody
secure_chroot_dir={empty}
write_enable=YES
anon_upload_enable=YES
anon_other_write_enable=YES
anon_world_readable_only=NO
anon_umask=022
pasv_min_port={low}
pasv_max_port={high}
xferlog_enable=NO
"""
_PROFTPD = """\
ServerType standalone
DefaultAddress 127.0.0.1
Port {port}
UseIPv6 off
UseReverseDNS off
User daemon
Group daemon
ModulePath {modules}
LoadModule mod_tls.c
AuthOrder mod_auth_file.c
AuthUserFile {folder}/users
RequireValidShell off
PassivePorts {low} {high}
ScoreboardFile {folder}/scoreboard
PidFile {folder}/pid
SystemLog {folder}/log
TransferLog none
WtmpLog off
DelayEngine off
AllowOverwrite on
TLSEngine on
TLSRequired on
TLSECCertificateFile {certificate}
TLSECCertificateKeyFile {key}
TLSOptions NoSessionReuseRequired
"""


@dataclass(frozen=True, kw_only=True)
class FtpServer:
    """An FTP server that listens."""

    name: str
    port: int
    pid: int
    user: str
    inbox: str
    certificate: Path
    root: Path | None = None  #: where its files are, if they are files

    @property
    def url(self) -> str:
        """Give the address of the folder that takes uploads."""
        return f"ftp://127.0.0.1:{self.port}{self.inbox}"

    def curl(self, *words: str) -> None:
        """Run curl as a script would."""
        subprocess.run(
            ["curl", "-sS", "--disable", "--cacert", str(self.certificate), "--user", f"{self.user}:bench", *words],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def cpu_seconds(self) -> float:
        """Give the processor time of the process and of all children that ended."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / _TICK


@contextlib.contextmanager
def mailgate(folder: Path) -> Iterator[FtpServer]:
    """Run mailgate's FTP door alone."""
    command = [sys.executable, "-m", "mailgate", "--config", str(folder / "mailgate.toml")]
    subprocess.run([*command, "init", "--dir", str(folder)], check=True, stdout=subprocess.DEVNULL)
    (folder / "bench.toml").write_text(_CONNECTION)
    subprocess.run([*command, "connection", "apply", str(folder / "bench.toml")], check=True, stdout=subprocess.DEVNULL)
    port, (low, high) = free_port(), _passive()
    environment = {**os.environ, **_SETTINGS, "MAILGATE_FTP__PORT": str(port)}
    environment["MAILGATE_FTP__PASSIVE_PORTS"] = f"{low}-{high}"
    process = subprocess.Popen(
        [*command, "serve", "--roles", "ftp"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "ready":
            break
    certificate = folder / "mailgate-data/keys/tls.crt"
    with _ending(process):
        yield FtpServer(
            name="mailgate", port=port, pid=process.pid, user="bench", inbox="/in/", certificate=certificate
        )


@contextlib.contextmanager
def vsftpd(folder: Path, certificate: Path) -> Iterator[FtpServer]:
    """Run vsftpd; everybody may upload into ``/in``."""
    port, (low, high) = free_port(), _passive()
    root, empty = folder / "root", folder / "empty"
    empty.mkdir(parents=True)
    _inbox(root)
    (folder / "conf").write_text(_VSFTPD.format(port=port, root=root, empty=empty, low=low, high=high))
    process = subprocess.Popen([str(VSFTPD), str(folder / "conf")], stdout=subprocess.DEVNULL)
    with _ending(process):
        _wait_for(port)
        yield FtpServer(
            name="vsftpd", port=port, pid=process.pid, user="ftp", inbox="/in/", certificate=certificate, root=root
        )


@contextlib.contextmanager
def proftpd(folder: Path, certificate: Path) -> Iterator[FtpServer]:
    """Run proftpd with mod_tls, with mailgate's own certificate and key."""
    port, (low, high) = free_port(), _passive()
    root = folder / "root"
    _inbox(root)
    hashed = subprocess.run(["openssl", "passwd", "-6", "bench"], capture_output=True, text=True, check=True).stdout
    (folder / "users").write_text(f"bench:{hashed.strip()}:{_OWNER.pw_uid}:{_OWNER.pw_gid}::{root}:/bin/false\n")
    (folder / "users").chmod(0o600)
    (folder / "conf").write_text(
        _PROFTPD.format(
            port=port, modules=_PROGRAMS / "proftpd/usr/lib/proftpd", folder=folder, low=low, high=high,
            certificate=certificate, key=certificate.with_suffix(".key"),
        )
    )  # fmt: skip
    process = subprocess.Popen(
        [str(PROFTPD), "-n", "-q", "-c", str(folder / "conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with _ending(process):
        _wait_for(port)
        yield FtpServer(
            name="proftpd", port=port, pid=process.pid, user="bench", inbox="/in/", certificate=certificate, root=root
        )


def _inbox(root: Path) -> None:
    (root / "in").mkdir(parents=True)
    root.chmod(0o755)
    shutil.chown(root / "in", _OWNER.pw_uid, _OWNER.pw_gid)


def _passive() -> tuple[int, int]:
    low = 20_000 + os.getpid() % 100 * 100 + free_port() % 50
    return low, low + 49


@contextlib.contextmanager
def _ending(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
            if probe.recv(3) == b"220":
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")
