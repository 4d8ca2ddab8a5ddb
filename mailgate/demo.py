"""The demo: the main job end to end in a temporary folder, with a real mail client on loopback.

What lives here: five mails and an upload, what became of each, and the answers a client would read. It drives the
service from outside, through the same commands and the same doors as everybody else, and fails when an answer is not
as told.
"""

import email
import email.policy
import email.utils
import json
import os
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from mailgate.demo_ftp import FTP_CONNECTION, upload

_VARIABLES = {  # any port, and nobody outside is asked
    "MAILGATE_SMTP__PORT": "0", "MAILGATE_SFTP__PORT": "0", "MAILGATE_METRICS__PORT": "0",
    "MAILGATE_FTP__PORT": "0", "MAILGATE_FTP__PASSIVE_PORTS": "0",
    "MAILGATE_DNS__LOOKUPS": "false",
}  # fmt: skip
_CONNECTION = """\
[[account]]
name = "acme"

[[credential]]
name = "acme-batch"
account = "acme"
return_address = "batch@acme.example"

[[connection]]
name = "acme-conversions"
account = "acme"
data_type = "conversions"
pattern = "Conversions_202?_*.csv"
credential = "acme-batch"
address = "acme-conversions-x7"
allowed_senders = ["*@acme.example"]
"""
_HEADER = "CampaignId,ActionTrackerId,EventDate,OrderId,ClickId,CustomerStatus,CurrencyCode,Amount"
_TO = "acme-conversions-x7@intake.localhost"
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000154a24f5d0000000049454e44ae426082"
)
_PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class _Scene:
    title: str
    file_name: str
    rows: tuple[str, ...]
    word: str  #: how the door's reply goes on behind 250 2.0.0
    answers: tuple[str, ...]  #: subjects of the answers it must bring
    logo: bool = False


def _rows(count: int, first: int) -> tuple[str, ...]:
    return tuple(f"1000,2001,NOW,A-{first + n},click-{first + n},NEW,EUR,{n + 1}.50" for n in range(count))


_BAD = (
    "1000,2001,NOW,B-1,click-1,NEW,EUR,10.00",
    "1000,2001,yesterday,B-2,click-2,NEW,EUR,10.00",
    "1000,2001,NOW,,click-3,NEW,EUR,10.00",
    "1000,2001,NOW,B-4,click-4,OLD,EUR,10.00",
    "1000,2001,NOW,B-5,click-5,NEW,Euro,ten",
    "1000,2001,NOW,B-6,click-6,NEW,EUR",
    "1000,2001,NOW,B-7,click-7,NEW,EUR,12.00",
)
_SCENES = (
    _Scene(
        title="A good file.", file_name="Conversions_2026_good.csv", rows=_rows(3, 1001), word="accepted",
        answers=("[Receipt] Conversions_2026_good.csv", "[Result: completed] Conversions_2026_good.csv"),
    ),
    _Scene(
        title="A file with five bad rows: the good rows are imported, each bad one is named.",
        file_name="Conversions_2026_bad.csv", rows=_BAD, word="accepted",
        answers=("[Receipt] Conversions_2026_bad.csv", "[Result: completed with errors] Conversions_2026_bad.csv"),
    ),
    _Scene(
        title="A good file, and the logo of a signature beside it: the logo does not spoil the delivery.",
        file_name="Conversions_2026_logo.csv", rows=_rows(2, 2001), word="accepted", logo=True,
        answers=("[Receipt] Conversions_2026_logo.csv", "[Result: completed] Conversions_2026_logo.csv"),
    ),
    _Scene(
        title="A file whose name does not match: nothing is imported, and the sender is told.",
        file_name="Sales_2026.csv", rows=_rows(1, 3001), word="ignored NAME_NOT_MATCHED",
        answers=("[Receipt] Sales_2026.csv",),
    ),
    _Scene(
        title="The first content once more, in a new mail: it is not imported twice.",
        file_name="Conversions_2026_good.csv", rows=_rows(3, 1001), word="duplicate",
        answers=("[Receipt] Conversions_2026_good.csv",),
    ),
)  # fmt: skip


class DemoFailed(Exception):
    """Say what was not as it should be."""


def run_demo() -> int:
    """Run the demo and print it; gives 0 when everything went as told, 1 when not."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="mailgate-demo-"))
    print(f"mailgate demo, in {folder} (removed at the end)\n")
    try:
        _play(folder)
    except DemoFailed as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f'Done in {time.monotonic() - started:.0f} s. Next: the README\'s "a first file in five minutes".')
    return 0


def _play(folder: Path) -> None:
    _mailgate(folder, "init", "--dir", str(folder))
    (folder / "acme.toml").write_text(_CONNECTION + FTP_CONNECTION)
    print("$ mailgate connection apply acme.toml")
    print(_mailgate(folder, "connection", "apply", str(folder / "acme.toml")))
    print(
        "A client may mail files named Conversions_202?_*.csv to this address, and upload them into this folder. The "
        "service runs; five mails and one upload follow.\n"
    )
    service, ports = _serve(folder)
    try:
        for number, scene in enumerate(_SCENES, 1):
            _act(folder, ports["smtp"], number, scene)
        _upload(folder, ports["ftp"])
        print("What the operator sees:\n\n$ mailgate upload list")
        print(_mailgate(folder, "upload", "list"))
    finally:
        service.terminate()
        try:
            service.wait(15)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()


def _act(folder: Path, port: int, number: int, scene: _Scene) -> None:
    print(f"── {number}. {scene.title}")
    before = set((folder / "mailgate-data/outbox").glob("*.eml"))
    mail = folder / f"{number}.eml"
    mail.write_bytes(_compose(number, scene))
    reply = _send(port, mail)
    print(f"   the door says: {reply}")
    if not reply.startswith(f"250 2.0.0 {scene.word} "):
        raise DemoFailed(f"mail {number} should have been answered 250 2.0.0 {scene.word}")
    answers = _wait_for_answers(folder, before, len(scene.answers))
    subjects = tuple(str(answer["Subject"]) for answer in answers)
    if subjects != scene.answers:
        raise DemoFailed(f"mail {number} should have brought {scene.answers}, it brought {subjects}")
    for answer in answers:
        _show(answer)
    print()


def _upload(folder: Path, port: int) -> None:
    print(
        "── 6. A good file from a script that speaks FTP, under TLS, renamed from its temporary name when it is whole."
    )
    before = set((folder / "mailgate-data/outbox").glob("*.eml"))
    text = "\r\n".join([_HEADER, *_rows(2, 4001)]) + "\r\n"
    reply = upload(port, folder / "mailgate-data/keys/tls.crt", "Conversions_2026_ftp.csv", text.encode())
    print(f"   the door says: {reply}")
    if not reply.startswith("250 stored "):
        raise DemoFailed("the upload should have been answered 250 stored")
    for answer in _wait_for_answers(folder, before, 2):
        _show(answer)
    print()


def _show(answer: EmailMessage) -> None:
    print(f"   {answer['To']} gets: {answer['Subject']}")
    body = answer.get_body(("plain",))
    text = body.get_content() if body is not None else ""
    for line in str(text).rstrip().splitlines():
        print(f"      | {line}".rstrip())
    for part in answer.iter_attachments():
        name = part.get_filename() or ""
        print(f"      attached: {name}")
        if name.endswith(".errors.csv"):
            for line in part.get_content().rstrip().splitlines():
                print(f"         {line}")
        elif name.endswith(".json"):
            result: dict[str, Any] = json.loads(part.get_content())
            total = sum(result[key] for key in ("successful_rows", "unchanged_rows", "error_rows", "not_applied_rows"))
            if result["total_rows"] != total:
                raise DemoFailed("the rows of a result do not add up")


def _compose(number: int, scene: _Scene) -> bytes:
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"] = "Batch <batch@acme.example>"
    mail["To"] = _TO
    mail["Subject"] = f"Conversions, mail {number}"
    mail["Message-ID"] = f"<demo-{number}@acme.example>"
    mail["Date"] = email.utils.localtime()
    mail.set_content("Please import the attached file.\n\n-- \nAcme Advertiser\n")
    text = "\r\n".join([_HEADER, *scene.rows]) + "\r\n"
    mail.add_attachment(text.encode(), maintype="text", subtype="csv", filename=scene.file_name)
    if scene.logo:
        mail.add_attachment(
            _PIXEL, maintype="image", subtype="png", filename="logo.png", disposition="inline", cid="<logo@acme>"
        )
    return mail.as_bytes()


def _send(port: int, mail: Path) -> str:
    """Send a mail with curl, a real client, or with Python's smtplib where there is none; gives the last reply."""
    if shutil.which("curl") is None:
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.ehlo()
            client.mail("batch@acme.example")
            client.rcpt(_TO)
            code, text = client.data(mail.read_bytes())
            return f"{code} {text.decode()}"
    print(f"   $ curl smtp://127.0.0.1:{port} --mail-from batch@acme.example --mail-rcpt {_TO} -T {mail.name}")
    target = ["--mail-from", "batch@acme.example", "--mail-rcpt", _TO, "-T", str(mail)]
    done = subprocess.run(
        ["curl", "--silent", "--verbose", f"smtp://127.0.0.1:{port}", *target],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    replies = [line[2:].strip() for line in done.stderr.splitlines() if line.startswith("< 250 2.0.0 ")]
    if done.returncode != 0 or not replies:
        raise DemoFailed(f"curl could not send the mail: {done.stderr}")
    return replies[-1]


def _wait_for_answers(folder: Path, before: set[Path], count: int) -> list[EmailMessage]:
    deadline = time.monotonic() + _PATIENCE
    while True:
        new = sorted(set((folder / "mailgate-data/outbox").glob("*.eml")) - before)
        if len(new) >= count:
            break
        if time.monotonic() > deadline:
            raise DemoFailed(f"{count} answers were expected, {len(new)} came")
        time.sleep(0.05)
    return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in new]


def _serve(folder: Path) -> tuple[subprocess.Popen[str], dict[str, int]]:
    log = (folder / "service.log").open("w")
    service = subprocess.Popen(
        [sys.executable, "-m", "mailgate", "--config", str(folder / "mailgate.toml"), "serve"],
        stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **_VARIABLES},
    )  # fmt: skip
    assert service.stdout is not None
    ports: dict[str, int] = {}
    for line in service.stdout:
        if line.startswith("door "):
            _, name, where = line.split()
            ports[name] = int(where.rpartition(":")[2])
        if line.strip() == "ready":
            return service, ports
    raise DemoFailed("the service did not start: " + (folder / "service.log").read_text())


def _mailgate(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mailgate", "--config", str(folder / "mailgate.toml"), *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise DemoFailed(f"mailgate {' '.join(words)}: {done.stderr}")
    return done.stdout
