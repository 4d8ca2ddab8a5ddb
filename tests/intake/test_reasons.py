"""An upload never gives another reason than its delivery: the door, the list and the receipt say the same."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from intake.mail import Mail, Recipient, prepare
from intake.spool import Spool
from mailgate.settings import Settings
from models.connection import Rule
from models.states import ConnectionState
from storage.blobs import MemoryBlobs
from storage.ledger.connections import ConnectionRef

RULE = Rule(name="c", account="a", data_type="conversions", pattern="Conversions_202?_*.csv")
CSV = b"Content-Disposition: attachment; filename=Conversions_2026_1.csv\r\n\r\na,b\r\n"
CASES = {
    "a name without quotes": (
        [b"Content-Disposition: attachment; filename=Conversions_2026_a b.csv\r\n\r\na\r\n"], "MESSAGE_AMBIGUOUS",
    ),
    "one of two": ([CSV, b"Content-Disposition: attachment; filename=x y.csv\r\n\r\na\r\n"], "MESSAGE_AMBIGUOUS"),
    "another name, damaged": (
        [b"Content-Disposition: attachment; filename=z.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAA*A\r\n"],
        "NAME_NOT_MATCHED",
    ),
    "the right name, damaged": (
        [
            b"Content-Disposition: attachment; filename=Conversions_2026_1.csv\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\nAAA*A\r\n"
        ],
        "ATTACHMENT_DAMAGED",
    ),
    "one matches, one does not": (
        [CSV, b"Content-Disposition: attachment; filename=z.pdf\r\n\r\na\r\n"], "NAME_NOT_MATCHED",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_reason(tmp_path: Path, name: str) -> None:
    parts, code = CASES[name]
    spool = Spool(tmp_path)
    spool.append([
        b'From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n',
        b"--b\r\n".join(parts), b"--b--\r\n",
    ])  # fmt: skip
    ref = ConnectionRef(id=1, version=1, state=ConnectionState.ACTIVE, rule=RULE)
    mail = Mail(
        door="smtp", peer="", sender="a@b.example", recipients=(Recipient(connection=ref, address="c@d"),), spool=spool
    )
    (one,) = prepare(mail, MemoryBlobs(), Settings.model_construct(), datetime(2026, 11, 21, tzinfo=UTC))
    assert one.new.code == code
    assert {file.code for file in one.new.files} <= {None, code}
