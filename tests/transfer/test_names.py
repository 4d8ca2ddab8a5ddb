"""Names from hostile lists: nothing is made outside our folders, and every refusal has a reason."""

import json
import os
from pathlib import Path

import pytest

from tests.transfer.support import UP, House
from transfer.view import Begin, Refused

DATABASES = ["sqlite"]  # names are text to both databases, and the corpora are large

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "names"
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpora are not beside this checkout")


def hostile() -> list[str]:
    naughty = json.loads((CORPUS / "naughty-strings.json").read_text(encoding="utf-8"))
    traversal = (CORPUS / "traversal.txt").read_text(encoding="utf-8").splitlines()
    return [*naughty, *(line.replace("{FILE}", "etc/passwd") for line in traversal)]


def tree(folder: Path) -> set[str]:
    return {os.path.relpath(path, folder) for path in folder.rglob("*")}


async def test_hostile_names_stay_in_their_folder(house: House, tmp_path: Path) -> None:
    visit = await house.enter()
    names = hostile()
    assert len(names) > 1000
    before = tree(tmp_path)
    taken, reasons = 0, list[str]()
    for name in names:
        for path in (f"{UP}/{name}", name):
            try:
                await (await visit.write(path, Begin.TRUNCATE)).close()
                taken += 1
            except Refused as error:
                reasons.append(error.reason)
                continue
            there = await visit.stat(path)
            assert "/" not in there.name
            assert "\\" not in there.name
            await visit.remove(path)
        for ask in (visit.rename(f"{UP}/none", f"{UP}/{name}", replace=True), visit.list(f"{UP}/../../{name}")):
            try:
                await ask
            except Refused as error:
                reasons.append(error.reason)
    assert taken > 300
    assert all(reasons)
    new = {path for path in tree(tmp_path) - before if "sqlite3" not in path}
    assert new == set(), "a name became a path"
    assert [entry.name for entry in await visit.list(UP)] == ["dryrun", "results"]


async def test_hostile_names_are_kept_as_they_are(house: House) -> None:
    visit = await house.enter()
    kept = 0
    for name in hostile():
        try:
            writer = await visit.write(f"{UP}/{name}", Begin.EXCLUSIVE)
        except Refused:
            continue
        await writer.close()
        kept += 1
    shown = {entry.name for entry in await visit.list(UP)} - {"dryrun", "results"}
    assert len(shown) == kept > 300
    for name in shown:
        assert (await visit.stat(f"{UP}/{name}")).name == name
