"""``mailgate check`` and ``data-type`` as an operator runs them, in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parsing.test_own_data_types import STOCK, write

ROOT = Path(__file__).parents[2]


def mailgate(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mailgate", "--config", str(folder / "mailgate.toml"), *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_check_writes_what_is_asked(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "in.csv").write_text("accountId,id,email\na,1,x\na,2,\n")
    errors, accepted = tmp_path / "errors.csv", tmp_path / f"accepted.{suffix}"
    done = mailgate(
        tmp_path, "--json", "check", str(tmp_path / "in.csv"), "--type", "participants", "--errors", str(errors),
        "--accepted", str(accepted),
    )  # fmt: skip
    result = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert (result["total_rows"], result["error_rows"], result["errors_file"]) == (2, 1, str(errors))
    assert (len(result["sha256"]), result["top_errors"]) == (64, [{"code": "INVALID_EMAIL", "count": 1}])
    assert len(errors.read_text().splitlines()) == 2
    assert accepted.stat().st_size


def test_check_takes_an_operators_own_type(tmp_path: Path) -> None:
    write(tmp_path, "mailgate.toml", "")
    (tmp_path / "mailgate-data").mkdir()
    write(tmp_path / "mailgate-data" / "data-types", "stock.json", STOCK)
    (tmp_path / "in.jsonl").write_text('"no object"\n{"sku": 1}\n')
    done = mailgate(tmp_path, "--json", "check", str(tmp_path / "in.jsonl"), "--type", "stock")
    assert (done.returncode, json.loads(done.stdout)["top_errors"]) == (1, [{"code": "JSON_INVALID", "count": 1}])
    assert json.loads(mailgate(tmp_path, "--json", "data-type", "show", "stock").stdout) == STOCK
    assert mailgate(tmp_path, "data-type", "sample", "stock").stdout.startswith("sku,level")
    write(tmp_path / "mailgate-data" / "data-types", "wrong.json", {**STOCK, "name": "Wrong"})
    wrong = mailgate(tmp_path, "data-type", "list")
    assert (wrong.returncode, "wrong.json: The name of a data type" in wrong.stderr) == (2, True)


#: (words, exit code, on stderr)
REFUSED = [
    (["check", "none.csv", "--type", "participants"], 3, "there is no file"),
    (["check", __file__, "--type", "none"], 3, "there is no data type 'none'"),
    (["check", __file__, "--type", "participants", "--accepted", "x.txt"], 2, "accepted rows go to a name"),
]


@pytest.mark.parametrize(("words", "code", "said"), REFUSED)
def test_check_refuses(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    done = mailgate(tmp_path, *words)
    assert (done.returncode, said in done.stderr) == (code, True)
