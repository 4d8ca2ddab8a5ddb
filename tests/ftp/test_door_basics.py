"""What an honest client does: log in under TLS, look around, send and fetch."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ftp.support import INBOX, PASSWORD, USER, Door, open_door


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path) as opened:
        yield opened


async def test_a_file_is_sent_and_fetched_under_tls(door: Door) -> None:
    client = await door.client()
    data = bytes(range(256)) * 5000
    answer = await client.store(f"{INBOX}/a.csv", data)
    assert answer.startswith("226 stored T")
    assert bytes(door.files[f"{INBOX}/a.csv"]) == data
    assert await client.fetch(f"RETR {INBOX}/a.csv") == (data, "226 Transfer complete.")
    assert await client.ask("QUIT") == "221 Goodbye."
    assert await client.reply() == []


async def test_listings(door: Door) -> None:
    client = await door.client()
    assert (await client.ask(f"CWD {INBOX}")).startswith("250")
    await client.store("a.csv", b"abc")
    listing, answer = await client.fetch("LIST -al")
    assert answer.startswith("226")
    assert listing.decode().splitlines()[0] == "-rw-r--r--    1 mailgate mailgate          3 Nov 26 08:00 a.csv"
    names, _ = await client.fetch("NLST *.csv")
    assert names == b"a.csv\r\n"
    names, _ = await client.fetch(f"NLST {INBOX}")
    assert names.decode().splitlines() == [f"{INBOX}/{name}" for name in ("a.csv", "dryrun", "results")]
    facts, _ = await client.fetch("MLSD")
    assert b"type=file;perm=adfrw;size=3;modify=20261126080000;unique=" in facts


async def test_no_password_is_read_in_clear(door: Door) -> None:
    client = await door.client(tls=False, login=False)
    assert (await client.ask(f"USER {USER}")).startswith("530 TLS is required")
    assert (await client.ask(f"PASS {PASSWORD}")).startswith("503")
