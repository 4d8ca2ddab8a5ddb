"""``upload``: what became of a file, and what can be done about it."""

import json
from pathlib import Path
from typing import Any

import pytest

from imports.workers import ParsePool
from models.authenticity import Authenticity, Dmarc, Outcome
from models.codes import Code
from models.states import Verdict
from tests.cli.support import Cli, deliver
from tests.imports.support import conversions
from tests.imports.test_letters import KEYS, RESULT_KEYS

LISTED = [
    "upload", "trace_id", "part", "connection", "door", "file_name", "bytes", "sha256", "received_at",
    "delivery_verdict", "status", "code", "message", "import",
]  # fmt: skip
NONE = "01J00000000000000000000000"
IGNORED: dict[str, Any] = {"verdict": Verdict.IGNORED, "code": Code.NO_ATTACHMENT, "message": "nothing attached"}
BAD = conversions(2, bad=1)


def test_the_list_is_empty(acme: Cli) -> None:
    assert acme.json("upload", "list") == []
    assert "Nothing arrived yet" in acme("upload", "list").out


def test_what_was_found_out_about_the_sender_is_shown(acme: Cli) -> None:
    found = Authenticity(dmarc=Dmarc(result=Outcome.FAIL, domain="acme.example", reason="no DKIM signature"))
    trace_id = deliver(acme, b"one", authenticity=found.to_json("intake.test"))
    (listed,) = acme.json("upload", "list")
    assert listed["authenticity"] == {"spf": "none", "dkim": "none", "dmarc": "fail"}
    assert acme.json("upload", "show", trace_id)["delivery"]["authenticity"]["reason"] == "no DKIM signature"
    told = " ".join(acme("upload", "show", trace_id).out.split())
    assert "spf=none; dkim=none; dmarc=fail header.from=acme.example (no DKIM signature)" in told


def test_nothing_is_shown_where_nobody_looked(acme: Cli) -> None:
    trace_id = deliver(acme, b"one")
    assert acme.json("upload", "list")[0]["authenticity"] is None
    assert acme.json("upload", "show", trace_id)["delivery"]["authenticity"] is None
    assert "dmarc" not in acme("upload", "show", trace_id).out


def test_the_list_is_what_the_contract_names(acme: Cli, pool: ParsePool) -> None:
    done = deliver(acme, conversions(2), pool=pool)
    several = deliver(acme, b"1", b"2")
    empty = deliver(acme, **IGNORED)
    rows = acme.json("upload", "list")
    assert all(set(LISTED) <= set(row) for row in rows)
    found = {row["upload"]: row for row in rows}
    assert set(found) == {done, f"{several}.1", f"{several}.2", empty}
    one = found[done]
    assert (one["trace_id"], one["part"], one["status"]) == (done, 1, "import_job_created")
    assert (one["delivery_verdict"], one["door"], one["connection"]) == ("accepted", "smtp", "acme-conversions")
    assert one["received_at"] == "2026-11-21T12:00:00.000Z"
    assert list(one["import"]) == RESULT_KEYS
    assert (one["import"]["status"], one["import"]["successful_rows"]) == ("completed", 2)
    assert (found[f"{several}.2"]["part"], found[f"{several}.2"]["import"]["status"]) == (2, "queued")
    nothing = found[empty]
    assert (nothing["file_name"], nothing["bytes"], nothing["import"]) == (None, None, None)
    assert (nothing["status"], nothing["code"]) == ("ignored", "NO_ATTACHMENT")


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ((), 3), (("--status", "ignored"), 1), (("--status", "queued"), 1), (("--status", "completed_with_errors"), 1),
        (("--status", "import_job_created"), 2), (("--status", "withdrawn"), 0),
        (("--connection", "ACME-conversions"), 3),
        (("--since", "2026-11-21T00:00:00Z"), 3), (("--since", "2030-01-01"), 0),
        (("--limit", "2"), 2),
    ],
)  # fmt: skip
def test_the_list_can_be_narrowed(acme: Cli, pool: ParsePool, words: tuple[str, ...], count: int) -> None:
    deliver(acme, BAD, pool=pool)
    deliver(acme, b"waits")
    deliver(acme, **IGNORED)
    assert len(acme.json("upload", "list", *words)) == count


@pytest.mark.parametrize(
    "words",
    [("--since", "yesterday"), ("--since", "5"), ("--since", "999999999d"), ("--limit", "0"), ("--limit", "x")],
)
def test_a_narrowing_that_is_none(acme: Cli, words: tuple[str, ...]) -> None:
    ran = acme("upload", "list", *words)
    assert ran.code == 2
    assert "Traceback" not in ran.err


def test_one_upload_is_shown(acme: Cli, pool: ParsePool) -> None:
    trace_id = deliver(acme, BAD, pool=pool)
    for which in (trace_id, trace_id.lower(), f"{trace_id}.1"):
        shown = acme.json("upload", "show", which)
        assert (shown["upload"], shown["import"]["error_rows"]) == (trace_id, 1)
    assert [event["to"] for event in shown["delivery"]["events"]] == [
        "accepted", "import_job_created", "queued", "in_progress", "completed_with_errors",
    ]  # fmt: skip
    assert [answer["kind"] for answer in shown["delivery"]["answers"]] == ["receipt", "result"]
    people = acme("upload", "show", trace_id).out
    assert all(word in people for word in (trace_id, "completed_with_errors", "batch@acme.example", "in_progress"))


def test_a_bare_trace_id_shows_every_file_of_a_delivery(acme: Cli) -> None:
    trace_id = deliver(acme, b"1", b"2", b"3")
    assert [one["upload"] for one in acme.json("upload", "show", trace_id)] == [f"{trace_id}.{n}" for n in (1, 2, 3)]
    assert acme.json("upload", "show", f"{trace_id}.2")["part"] == 2
    assert acme("upload", "show", f"{trace_id}.4").code == 3


def test_a_delivery_without_files_is_shown(acme: Cli) -> None:
    trace_id = deliver(acme, **IGNORED)
    assert acme.json("upload", "show", trace_id)["file_name"] is None
    assert "nothing attached" in acme("upload", "show", trace_id).out


@pytest.mark.parametrize(
    "command", ["show", "download {} original", "download {} receipt", "replay", "cancel", "resend"]
)
@pytest.mark.parametrize(("which", "code"), [(NONE, 3), (f"{NONE}.2", 3), ("nonsense", 2), (f"{NONE}.0", 2), ("", 2)])
def test_an_upload_there_is_not(acme: Cli, command: str, which: str, code: int) -> None:
    words = ["upload", *command.split()]
    words = [which if word == "{}" else word for word in words] if "{}" in command else [*words, which]
    ran = acme(*words)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err


# download


@pytest.mark.parametrize("to_file", [True, False])
def test_download_each_kind(acme: Cli, pool: ParsePool, tmp_path: Path, to_file: bool) -> None:
    trace_id = deliver(acme, BAD, pool=pool)

    def download(kind: str) -> bytes:
        out = tmp_path / f"{kind}.csv"
        ran = acme("upload", "download", trace_id, kind, *(("--out", out) if to_file else ()))
        assert (ran.code, ran.err) == (0, "")
        assert not (to_file and ran.raw)
        return out.read_bytes() if to_file else ran.raw

    assert download("original") == BAD
    receipt = download("receipt").decode().splitlines()
    assert [line.partition(":")[0] for line in receipt] == KEYS
    assert "support_contact: help@intake.test" in receipt
    result = json.loads(download("result"))
    assert list(result) == RESULT_KEYS
    assert (result["upload"], result["support_contact"]) == (trace_id, "help@intake.test")
    assert download("errors").startswith(b"trace_id,row,line,column,")
    accepted = download("accepted").decode().splitlines()
    assert [line.split(",")[3] for line in accepted] == ["OrderId", "A-1", "A-2"]


def test_download_of_several_lists_them(acme: Cli) -> None:
    trace_id = deliver(acme, b"1", b"2")
    ran = acme("upload", "download", trace_id, "original")
    assert (ran.code, ran.raw) == (2, b"")
    assert f"{trace_id}.1, {trace_id}.2" in ran.err
    assert acme("upload", "download", f"{trace_id}.2", "original").raw == b"2"


@pytest.mark.parametrize(
    ("kind", "code"), [("original", 0), ("receipt", 0), ("result", 3), ("errors", 3), ("accepted", 3), ("rows", 2)]
)
def test_download_of_what_is_not_there_yet(acme: Cli, kind: str, code: int) -> None:
    ran = acme("upload", "download", deliver(acme, b"1"), kind)
    assert ran.code == code
    assert bool(ran.raw) == (code == 0)


def test_download_of_a_mail_without_files(acme: Cli) -> None:
    ran = acme("upload", "download", deliver(acme, **IGNORED), "receipt")
    assert ran.code == 3
    assert "has no files" in ran.err


@pytest.mark.parametrize("kind", ["original", "receipt", "accepted"])
def test_download_to_where_nothing_can_be_written(acme: Cli, pool: ParsePool, kind: str) -> None:
    ran = acme("upload", "download", deliver(acme, BAD, pool=pool), kind, "--out", "no/such/folder.csv")
    assert ran.code == 2
    assert "no/such/folder.csv" in ran.err


def test_accepted_rows_are_csv_or_parquet(acme: Cli, pool: ParsePool, tmp_path: Path) -> None:
    trace_id = deliver(acme, BAD, pool=pool)
    assert acme("upload", "download", trace_id, "accepted", "--out", tmp_path / "a.parquet").code == 0
    assert (tmp_path / "a.parquet").read_bytes()[:4] == b"PAR1"
    ran = acme("upload", "download", trace_id, "accepted", "--out", tmp_path / "a.xlsx")
    assert ran.code == 2
    assert ".parquet or .csv" in ran.err


# replay, resend, cancel


def test_replay(acme: Cli, pool: ParsePool) -> None:
    trace_id = deliver(acme, BAD, pool=pool)
    assert acme.json("upload", "replay", trace_id) == {"upload": trace_id, "attempt": 2}
    assert acme.json("upload", "show", trace_id)["import"]["status"] == "queued"
    ran = acme("upload", "replay", trace_id, "--rule-of-then")
    assert ran.code == 1
    assert "still under way" in ran.err


def test_replay_of_what_was_not_taken(acme: Cli) -> None:
    ran = acme("upload", "replay", deliver(acme, b"1", verdict=Verdict.IGNORED, code=Code.NAME_NOT_MATCHED))
    assert ran.code == 1
    assert "was not accepted" in ran.err


def test_cancel(acme: Cli) -> None:
    trace_id = deliver(acme, b"1")
    assert acme.json("upload", "cancel", trace_id) == {"upload": trace_id, "cancel": "aborted"}
    assert acme.json("upload", "show", trace_id)["import"]["status"] == "aborted"
    ran = acme("upload", "cancel", trace_id)
    assert ran.code == 1
    assert "no import under way" in ran.err


def test_resend(acme: Cli, pool: ParsePool) -> None:
    trace_id = deliver(acme, BAD, pool=pool)
    assert acme.json("upload", "resend", trace_id) == {"trace_id": trace_id, "answers": 2}
    silent = deliver(acme, verdict=Verdict.IGNORED, code=Code.BOUNCE)
    assert acme("upload", "resend", silent).code == 1


@pytest.mark.parametrize(("words", "code"), [(("--status", "nonsense"), 2), (("--connection", "nobody"), 3)])
def test_a_word_that_nothing_has_is_no_empty_list(acme: Cli, words: tuple[str, ...], code: int) -> None:
    assert acme("--json", "upload", "list", *words).code == code
