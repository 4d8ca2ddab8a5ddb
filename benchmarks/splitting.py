"""Measure splitting and decoding against the standard library's parser: time and memory, one run each.

Run it with ``python -m benchmarks.splitting [megabytes]`` from the root of the repository.
"""

import email
import os
import subprocess
import sys
import tempfile
import time
from base64 import encodebytes
from email.message import EmailMessage

from mailgate.message import BytesSource, FileSource, decode, split


def large_mail(megabytes: int) -> bytes:
    """Return a mail with one attachment, ``megabytes`` long as it goes over the wire."""
    payload = encodebytes(os.urandom(megabytes * 1_000_000 * 57 // 78)).replace(b"\n", b"\r\n")
    return (
        b'From: a@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="=_b_1"\r\n'
        b"\r\n--=_b_1\r\nContent-Type: text/plain\r\n\r\nHello\r\n--=_b_1\r\n"
        b'Content-Type: text/csv; name="a.csv"\r\nContent-Disposition: attachment; filename="a.csv"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n" + payload + b"\r\n--=_b_1--\r\n"
    )


def small_mail() -> bytes:
    """Return a mail of 10 KB with a text and one attachment."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "A <a@example.com>", "b@example.net", "Conversions"
    message["Message-ID"] = "<1@example.com>"
    message.set_content("Please find the file attached.\n")
    message.add_attachment(os.urandom(6500), maintype="text", subtype="csv", filename="Conversions_2026_01.csv")
    return message.as_bytes().replace(b"\n", b"\r\n")


def ours(path: str) -> None:
    with open(path, "rb") as file:
        source = FileSource(file.fileno(), os.path.getsize(path))
        for part in split(source).parts:
            decode(source, part, lambda _data: None)


def theirs(path: str) -> None:
    with open(path, "rb") as file:
        for part in email.message_from_binary_file(file).get_payload():
            part.get_payload(decode=True)


def measured(which: str, path: str) -> tuple[float, float]:
    """Run one of the two in a process of its own; return seconds and MB of memory it grew by."""
    command = [sys.executable, "-m", "benchmarks.splitting", "--one", which, path]
    seconds, kilobytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(kilobytes) / 1000


def one(which: str, path: str) -> None:
    before = peak_kilobytes()
    began = time.perf_counter()
    {"ours": ours, "theirs": theirs}[which](path)
    print(time.perf_counter() - began, peak_kilobytes() - before)


def peak_kilobytes() -> int:
    # Not getrusage: its peak is inherited from the process that started this one.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def main(megabytes: int) -> None:
    with tempfile.NamedTemporaryFile(suffix=".eml") as file:
        file.write(large_mail(megabytes))
        file.flush()
        mine, stdlib = measured("ours", file.name), measured("theirs", file.name)
    print(f"{megabytes} MB mail: {mine[0]:.3f} s and {mine[1]:.1f} MB, stdlib {stdlib[0]:.3f} s and {stdlib[1]:.1f} MB")
    print(f"ratios: time {mine[0] / stdlib[0]:.3f} (goal 0.2), memory {mine[1] / stdlib[1]:.3f}")
    raw, rounds = small_mail(), 2000
    began = time.process_time()
    for _ in range(rounds):
        source = BytesSource(raw)
        for part in split(source).parts:
            decode(source, part, lambda _data: None)
    print(f"mail of {len(raw)} bytes: {(time.process_time() - began) / rounds * 1000:.3f} ms of CPU (goal 0.4)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], sys.argv[3])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 25)
