"""Names from hostile lists and paths that climb: nothing is made outside our folders, every refusal has words (T10)."""

import json
import re
from pathlib import Path

import pytest

from tests.ftp.raw import finish
from tests.ftp.served import INBOX, Served

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "names"
#: Ours, where the lists are absent too.
OWN = [
    "../../../etc/passwd", "..", ".", "/etc/passwd", "//etc/passwd", "~root/.ssh/authorized_keys", "~", "-rf", "--help",
    "%2e%2e%2fetc%2fpasswd", "..\\..\\windows\\system32", "C:\\x.csv", "a/b/c.csv", "\u202egpj.csv", "a\u0000b.csv",
    "x" * 255 + ".csv", "x" * 256, "é" * 120, "\u0301.csv", " leading.csv", "trailing.csv ", "a\tb.csv", "\x7f.csv",
    "aux.csv", "nul", "con.csv", "$(id).csv", "`id`.csv", "a;b|c&d.csv", "*.csv", "?.csv", "[a].csv", "{a,b}.csv",
    "'\"<>.csv", "results", "dryrun", "results/../../samples/x.csv", "/samples/x.csv", "/samples/../../x.csv",
    "/upload/conversions/../../../../etc/passwd", "/proc/self/environ", "\ud83d.csv", "\u2028.csv", "ﬁ.csv",
    "．．/x.csv",
]  # fmt: skip


def names() -> list[str]:
    found = list(OWN)
    if CORPUS.is_dir():
        lines = (CORPUS / "traversal.txt").read_text(encoding="utf-8").splitlines()
        found += [line.replace("{FILE}", "etc/passwd") for line in lines]
        found += json.loads((CORPUS / "naughty-strings.json").read_text(encoding="utf-8"))
    return [name for name in dict.fromkeys(found) if name and not re.search(r"[\r\n]", name)]


def sendable(name: str) -> str:
    """A lone surrogate is sent as a byte that is no UTF-8."""
    return name.encode("utf-8", "replace" if "\ud83d" not in name else "surrogatepass").decode(
        "utf-8", "surrogateescape"
    )


def test_hostile_names_lead_nowhere_and_every_refusal_has_words(still: Served) -> None:
    all_names = [sendable(name) for name in names()]
    before = tree(still)
    refusals: list[str] = []
    taken: list[str] = []
    with still.raw() as raw:
        raw.must(f"CWD {INBOX}")
        for number, name in enumerate(all_names):
            for verb in ("SIZE", "DELE", "MLST") if number < len(OWN) or number % 8 == 0 else ("SIZE",):
                said = raw.ask(f"{verb} {name}")
                assert said[:1] in "25", (verb, name, said)
                refusals += [said] if said.startswith("5") else []
            if number >= len(OWN) and number % 8:
                continue
            sock = raw.begin_or_none(f"STOR {name}")
            if sock is None:
                continue
            sock.sendall(b"x")
            finish(sock)
            said = raw.reply()
            if said.startswith("226 stored"):
                taken.append(name)
            else:
                refusals.append(said)
        raw.must("PWD", f'257 "{INBOX}"')
    assert all(re.search(r"\d{3}[ -].*\w{2,} \w", said) for said in refusals), "a refusal without words"
    assert taken, "ordinary names among them are taken"
    shown = set(still.names())
    assert all("/" not in name and "\\" not in name for name in shown)
    assert tree(still) - before <= {"blobs", "spool", "outbox", "keys", "uploads"}, "a name became a path"


def tree(door: Served) -> set[str]:
    folder = door.service.data
    return {path.name for path in folder.iterdir() if "sqlite3" not in path.name} | {
        path.name for path in door.service.folder.iterdir() if path.is_file()
    }


CLIMBS = [
    "..",
    "../..",
    "/..",
    "/../../etc",
    "upload/../../..",
    "/upload/conversions/../..",
    "....",
    "/./././..",
    "//",
    "/",
]


@pytest.mark.parametrize("path", CLIMBS)
def test_climbing_ends_at_the_root(still: Served, path: str) -> None:
    with still.raw() as raw:
        raw.ask(f"CWD {path}")
        where = raw.must("PWD", "257").split('"')[1]
        assert where in ("/", "/upload"), where
        for _ in range(5):
            raw.must("CDUP")
        raw.must("PWD", '257 "/"')


@pytest.mark.parametrize(
    "name", ["é.csv", "日本語.csv", "a b  c.csv", "'quoted' \"twice\".csv", "ümlaut.csv", "-la.csv", "a#b%20.csv"]
)
def test_ordinary_names_of_the_world_come_back_as_they_were(still: Served, name: str) -> None:
    with still.raw() as raw:
        raw.must("OPTS UTF8 ON")
        sock = raw.begin(f"STOR {INBOX}/{name}")
        sock.sendall(b"a,b\n")
        finish(sock)
        raw.must_hear("226 stored")
        raw.must(f"SIZE {INBOX}/{name}", "213 4")
        raw.must(f"DELE {INBOX}/{name}")


def test_a_name_with_a_quote_is_doubled_in_pwd(still: Served) -> None:
    with still.raw() as raw:
        said = raw.ask('MKD /a"b')
        assert said.startswith("5"), said
