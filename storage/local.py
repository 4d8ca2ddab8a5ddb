"""A stored file as a file on this machine, for whoever maps it.

What lives here: one function beside the seam. A store on this disk lends its own file.
"""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from storage.blobs import Blobs

_BLOCK = 1 << 20


@contextlib.contextmanager
def local(blobs: Blobs, blob_id: str, folder: Path) -> Iterator[Path]:
    """Give a path that holds a blob's bytes; where it had to be fetched to ``folder`` it is deleted afterwards.

    Raises what ``open`` raises, and OSError when the folder takes no more.
    """
    with blobs.open(blob_id) as source:
        name = getattr(source, "name", None)
        if isinstance(name, str):
            yield Path(name)
            return
        path = folder / f"{secrets.token_hex(16)}.original"
        try:
            with path.open("xb") as copy:
                while block := source.read(_BLOCK):
                    copy.write(block)
            yield path
        finally:
            path.unlink(missing_ok=True)
