"""FTP against vsftpd and proftpd: whole client commands, durable acknowledgement and hash included on our side.

Each measure is a client's command with its defaults, the two servers in turn in one run; ratios compare medians of
pairs. What mailgate has done when the client hears 226 is done to the peer's file too where the title says so:
``sha256sum`` and ``sync`` of the file, or an fsync of each. CPU seconds are those of the server and the children it
waits for: vsftpd waits for none of its own, so that they say nothing of it.
"""

import ftplib
import io
import os
import subprocess
import tempfile
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.ftp_peers import PROFTPD, VSFTPD, FtpServer, mailgate, proftpd, vsftpd
from benchmarks.sftp import compare

_ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
_numbers = count(1)


def _name() -> str:
    return f"f{next(_numbers)}-{os.getpid()}.csv"


def _upload(local: Path, server: FtpServer, *words: str) -> Path | None:
    name = _name()
    server.curl("-T", str(local), *words, f"{server.url}{name}")
    return server.root / "in" / name if server.root is not None else None


def _upload_durable(local: Path, server: FtpServer) -> None:
    there = _upload(local, server)
    if there is not None:
        subprocess.run(["sha256sum", str(there)], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["sync", str(there)], check=True)
        there.unlink()


def _upload_secure(local: Path, server: FtpServer) -> None:
    there = _upload(local, server, "--ssl-reqd")
    if there is not None:
        there.unlink()


def _download(names: dict[str, str], server: FtpServer) -> None:
    server.curl("-o", "/dev/null", f"{server.url}{names[server.name]}")


def _upload_many(files: list[bytes], server: FtpServer) -> None:
    names = [_name() for _ in files]
    with ftplib.FTP(timeout=60) as client:
        client.connect("127.0.0.1", server.port)
        client.login(server.user, "bench")
        client.cwd(server.inbox)
        for name, data in zip(names, files, strict=True):
            client.storbinary(f"STOR {name}", io.BytesIO(data))
    if server.root is not None:
        _write_durable(server.root / "in", names, files)


def _write_durable(folder: Path, names: list[str], files: list[bytes]) -> None:
    for name, data in zip(names, files, strict=True):
        (folder / name).unlink()
        with (folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _put_huge(server: FtpServer, pieces: list[bytes], folder: Path) -> str:
    huge = folder / "huge"
    with huge.open("wb") as file:
        for piece in pieces:
            file.write(piece)
    name = _name()
    server.curl("-T", str(huge), f"{server.url}{name}")
    huge.unlink()
    return name


def main() -> None:
    """Print the four comparisons."""
    if not (VSFTPD.exists() and PROFTPD.exists()) or os.geteuid() != 0:
        print("FTP: not measured, vsftpd or proftpd is missing (tests/programs), or this is not root")
        return
    with tempfile.TemporaryDirectory(prefix="mailgate-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        ours = stack.enter_context(mailgate(folder / "mailgate"))
        plain = stack.enter_context(vsftpd(folder / "vsftpd", ours.certificate))
        secure = stack.enter_context(proftpd(folder / "proftpd", ours.certificate))
        piece = os.urandom(1_000_000) * 100
        large = folder / "large"
        large.write_bytes(piece)
        print(f"FTP, curl and ftplib, in turn against vsftpd and proftpd (medians of {_ROUNDS} pairs)")
        compare("upload of 100 MB, sha256sum, sync", partial(_upload_durable, large), [ours, plain], 1.3, _ROUNDS)
        compare("upload of 100 MB, explicit TLS", partial(_upload_secure, large), [ours, secure], 1.0, _ROUNDS)
        files = [os.urandom(10_000) for _ in range(100)]
        compare("100 files of 10 KB, each synced", partial(_upload_many, files), [ours, plain], 2.0, _ROUNDS)
        names = {server.name: _put_huge(server, [piece] * 10, folder) for server in (ours, plain)}
        compare("download of 1 GB", partial(_download, names), [ours, plain], 1.3, _ROUNDS)


if __name__ == "__main__":
    main()
