"""Words that old clients and scripts say: each is answered so that they go on."""

import pytest

from tests.ftp.raw import Raw, drain, finish
from tests.ftp.served import INBOX, Served

#: What is said, and how the answer begins. A file a.csv is there.
WORDS = {
    "MDTM 20260101000000 a.csv": "213", "MFMT 20260101000000 a.csv": "213", "SITE UTIME 20260101000000 a.csv": "200",
    "SITE CHMOD 644 a.csv": "200", "SITE UMASK 022": "200", "SITE HELP": "214", "SITE EXEC id": "500",
    "CLNT NcFTP": "200", "ACCT x": "202", "SYST": "215 UNIX", "HELP": "214", "HELP STOR": "214", "STAT": "211",
    "STAT a.csv": "213", "OPTS UTF8 ON": "200", "OPTS utf8 on": "200", "TYPE A N": "200", "TYPE L 8": "200",
    "type i": "200", "TYPE E": "504", "STRU R": "504", "MODE Z": "504", "MODE S": "200", "STRU F": "200",
    "ALLO 10": "20", "ALLO 10 R 4": "20", "XPWD": "257", "XCUP": "250", "XCWD results": "250", "CWD results/": "250",
    "CWD ~": "250", "HOST x": "50", "LANG en": "50", "XSHA256 a.csv": "50", "SMNT /": "50", "REST 0": "350",
    "NOOP": "200", "MLST a.csv": "250", "SIZE a.csv": "213 4",
}  # fmt: skip
LISTINGS = {
    "NLST": {"a.csv", "b c.csv", "dryrun", "results"}, "NLST -1": {"a.csv", "b c.csv", "dryrun", "results"},
    "NLST -al": {"a.csv", "b c.csv", "dryrun", "results"}, "NLST *.csv": {"a.csv", "b c.csv"},
    "NLST a*": {"a.csv"}, "NLST ?.csv": {"a.csv"}, "NLST none*": set(), "NLST -l *.csv": {"a.csv", "b c.csv"},
    f"NLST {INBOX}/*.csv": {f"{INBOX}/a.csv", f"{INBOX}/b c.csv"}, "NLST b c.csv": {"b c.csv"}, "NLST results": set(),
}  # fmt: skip


@pytest.fixture
def raw(active: Served) -> Raw:
    """A session in the folder of a client who has nothing else there."""
    raw = Raw(active.port, active.context())
    raw.log_in("other", "battery staple")
    raw.must(f"CWD {INBOX}")
    for name in ("a.csv", "b c.csv"):
        sock = raw.begin(f"STOR {name}")
        sock.sendall(b"a,b\n")
        finish(sock)
        raw.must_hear("226 stored")
    return raw


def test_words(raw: Raw) -> None:
    with raw:
        for command, start in WORDS.items():
            raw.must(f"CWD {INBOX}", "250")
            raw.must("TYPE I", "200")
            raw.must(command, start)


def test_names_with_options_and_wildcards(raw: Raw) -> None:
    with raw:
        for command, names in LISTINGS.items():
            assert set(listing(raw, command)) == names, command


def test_long_listings_look_like_unix(raw: Raw) -> None:
    with raw:
        for command in ("LIST", "LIST -a", "LIST -al", "LIST -la *"):
            lines = listing(raw, command)
            fields = [line.split(maxsplit=8) for line in lines]
            assert {one[8] for one in fields} == {"a.csv", "b c.csv", "dryrun", "results"}, command
            assert all(one[0][0] in "-d" and len(one[0]) == 10 for one in fields)
            assert {one[8]: one[4] for one in fields}["a.csv"] == "4"


def listing(raw: Raw, command: str) -> list[str]:
    sock = raw.begin(command)
    lines = drain(sock).decode().splitlines()
    sock.close()
    raw.must_hear("226")
    return lines
