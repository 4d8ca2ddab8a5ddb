"""P1 for folders, in short: the process dies between any two steps of an upload; its client tries until it hears OK.

Each step that touches disk or database may be the last one: the process dies before it, or right behind it. Whatever it
was, the file is imported once, with all its bytes, and nothing that was not acknowledged is.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.states import UploadStatus
from models.tables import Attempt, FolderAnswer, Upload
from storage.blobs import DiskBlobs
from storage.ledger import Ledger
from tests.storage.support import Store, open_store
from tests.transfer.support import NAME, House, put
from transfer.view import Begin, MailgateError, Visit

DATABASES = ["sqlite"]  # each step is a ledger of its own; test_contract runs the same paths on both

CONTENT = bytes(index % 253 for index in range(700_000))


class Died(BaseException):
    """The end of the process; nobody may catch it."""


class Scythe:
    """Counts steps and ends the process at one of them."""

    def __init__(self, at: int, *, behind: bool) -> None:
        self.at, self.behind, self.count, self.dead = at, behind, 0, False

    def sync(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            self.before()
            done = work(*args, **kwargs)
            self.after()
            return done

        return step

    def coroutine(self, work: Callable[..., Any]) -> Callable[..., Any]:
        async def step(*args: Any, **kwargs: Any) -> Any:
            self.before()
            done = await work(*args, **kwargs)
            self.after()
            return done

        return step

    def before(self) -> None:
        self.count += 1
        if self.dead or (self.count == self.at and not self.behind):
            self.dead = True
            raise Died

    def after(self) -> None:
        if self.dead or self.count == self.at:
            self.dead = True
            raise Died


def sharpen(scythe: Scythe, patched: pytest.MonkeyPatch) -> None:
    patched.setattr(Ledger, "write", scythe.coroutine(Ledger.write))
    patched.setattr(Ledger, "write_together", scythe.coroutine(Ledger.write_together))
    patched.setattr(DiskBlobs, "create", scythe.sync(DiskBlobs.create))
    patched.setattr(DiskBlobs, "commit", scythe.sync(DiskBlobs.commit))
    patched.setattr(Path, "unlink", scythe.sync(Path.unlink))
    for call in ("open", "pwritev", "fsync"):
        patched.setattr(f"transfer.under_way.os.{call}", scythe.sync(getattr(os, call)))


async def straight(visit: Visit) -> None:
    await put(visit, NAME, CONTENT)


async def renamed(visit: Visit) -> None:
    await put(visit, f"{NAME}.filepart", CONTENT)
    await visit.rename(f"{NAME}.filepart", NAME, replace=True)


async def resumed(visit: Visit) -> None:
    """Go on where a former try ended, as put -a does."""
    try:
        there = (await visit.stat(NAME)).size
    except MailgateError:
        there = 0
    await put(visit, NAME, CONTENT[there:], Begin.RESUME, at=there)


SCRIPTS = {"straight": straight, "renamed": renamed, "resumed": resumed}


async def live(store: Store, script: Callable[[Visit], Any], heard: list[bool]) -> None:
    """Serve until the file is acknowledged and imported, or the process dies; a client that heard OK is content."""
    house = House(store)
    await house.folders.open()
    visit = await house.enter()
    if not heard:
        await script(visit)
        heard.append(True)
    await house.settle()
    await visit.leave()


def imports_of(store: Store) -> tuple[list[str], bytes]:
    uploads = [upload for upload in store.all(Upload) if upload.status == UploadStatus.IMPORT_JOB_CREATED]
    blobs = [upload.blob for upload in uploads]
    content = store.blobs.open(blobs[0] or "").read() if blobs else b""
    return [upload.id for upload in uploads], content


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
async def test_killed_at_every_step(
    script: str, behind: bool, tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = 0
    for at in range(1, 200):
        with open_store(tmp_path / str(at), template) as store:
            House(store).connect()
            scythe, heard = Scythe(at, behind=behind), list[bool]()
            with monkeypatch.context() as patched:
                sharpen(scythe, patched)
                with contextlib.suppress(Died, MailgateError):
                    await asyncio.wait_for(live(store, SCRIPTS[script], heard), 20)
            died = scythe.dead
            for _ in range(3):  # the client tries until it hears OK, and a little longer
                store.clock.forward(seconds=1)
                await live(store, SCRIPTS[script], heard)
            imported, content = imports_of(store)
            assert (len(imported), content == CONTENT) == (1, True), (at, imported)
            assert [upload for upload, _ in store.queue.jobs] == imported, at
            assert len(store.all(Attempt)) == 1
            told = [one for one in store.all(FolderAnswer) if one.upload_id == imported[0] and one.kind == "receipt"]
            assert len(told) == 1
            others = {upload.status for upload in store.all(Upload) if upload.id not in imported}
            assert others <= {UploadStatus.WITHDRAWN, UploadStatus.INCOMPLETE, UploadStatus.DUPLICATE}, (at, others)
        if not died:
            break
        killed += 1
    assert killed > 8
