"""P1 for FTP: as ``sftp_kill``, with curl under TLS and Python's ftplib, which is what old scripts look like.

What is proven and what the figures mean stands there. A file was answered when curl exits 0, or when ftplib has read
226 behind the upload and 250 behind the rename. A client resumes nothing: it tries again with the whole file.
"""

import ftplib
import random
import subprocess

from tests.proofs.gate import Gate
from tests.proofs.sftp_kill import INBOX, UploadsKilled, kill_uploads

_CONNECTION = """\
[[account]]
name = "acme"
[[credential]]
name = "acme-batch"
account = "acme"
username = "acme"
password = "correct horse"
[[connection]]
name = "acme-conversions"
account = "acme"
data_type = "conversions"
method = "ftp"
pattern = "*.csv"
credential = "acme-batch"
folder = "/upload/conversions"
"""


def kill_under_ftp(files: int, kills: int, seed: int, *, rows_each: int = 3000) -> UploadsKilled:
    """Let scripts upload over FTP while mailgate is killed; returns when all is imported and answered."""
    return kill_uploads(files, kills, seed, "ftp,worker", set_up_ftp, _upload, rows_each=rows_each)


def set_up_ftp(gate: Gate) -> int:
    """Apply a connection, and give the port that the door will have."""
    from benchmarks.peers import free_port

    (gate.folder / "ftp.toml").write_text(_CONNECTION)
    gate.run("connection", "apply", str(gate.folder / "ftp.toml"))
    port, first = free_port(), random.randrange(20_000, 30_000, 100)
    gate.environment = {
        "MAILGATE_FTP__PORT": str(port), "MAILGATE_FTP__TLS": "optional", "MAILGATE_SETTLE_SECONDS": "1",
        "MAILGATE_FTP__PASSIVE_PORTS": f"{first}-{first + 99}",
    }  # fmt: skip
    return port


def _upload(gate: Gate, port: int, name: str) -> bool:
    """Upload one file as a script would; tells whether it was answered."""
    return by_ftplib(gate, port, name) if int(name.split("-")[-1].split(".")[0]) % 4 < 2 else _by_curl(gate, port, name)


def _by_curl(gate: Gate, port: int, name: str) -> bool:
    there = f"{name}.part" if name.startswith("r") else name
    rename = ["--quote", f"-RNFR {there}", "--quote", f"-RNTO {name}"] if name.startswith("r") else []
    done = subprocess.run(
        ["curl", "-sS", "--disable", "--ssl-reqd", "--insecure", "--connect-timeout", "5", "--max-time", "60",
         "--user", "acme:correct horse", "-T", str(gate.folder / name), *rename,
         f"ftp://127.0.0.1:{port}{INBOX}/{there}"],
        capture_output=True, timeout=90, check=False,
    )  # fmt: skip
    return done.returncode == 0


def by_ftplib(gate: Gate, port: int, name: str) -> bool:
    """Upload one file in the clear; tells whether it was answered."""
    client = ftplib.FTP(timeout=20)
    try:
        client.connect("127.0.0.1", port)
        client.login("acme", "correct horse")
        client.cwd(INBOX)
        there = f"{name}.part" if name.startswith("r") else name
        with (gate.folder / name).open("rb") as file:
            client.storbinary(f"STOR {there}", file)
        if there != name:
            client.rename(there, name)
    except ftplib.all_errors:
        return False
    finally:
        client.close()
    return True
