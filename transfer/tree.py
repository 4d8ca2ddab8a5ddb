"""The tree a client sees: which folders there are, and what a path in the client's words means.

What lives here: pure decisions about paths. A path never becomes a path on a disk: it names a place here, and what
stands in the place is asked of the ledger.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from matching.names import normal_name

RESULTS, DRYRUN, SAMPLES = "results", "dryrun", "samples"


class Purpose(StrEnum):
    """What a folder is for."""

    PARENT = "parent"  #: only there to be walked through: ``/`` and what lies above a connection's folder
    UPLOADS = "uploads"
    DRYRUN = "dryrun"
    RESULTS = "results"
    SAMPLES = "samples"


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """A folder of the tree."""

    purpose: Purpose
    path: str
    folder: str = ""  #: the connection's, of UPLOADS, DRYRUN and RESULTS

    @property
    def takes_uploads(self) -> bool:
        """Say whether files are uploaded here."""
        return self.purpose in {Purpose.UPLOADS, Purpose.DRYRUN}


@dataclass(frozen=True, slots=True)
class Tree:
    """The folders of one credential. Made by ``make_tree``."""

    spots: dict[str, Spot]
    below: dict[str, tuple[str, ...]] = field(default_factory=dict)  #: path → names of the folders in it

    def spot(self, path: str) -> Spot | None:
        """Give the folder at a cleaned path."""
        return self.spots.get(path)

    @property
    def uploads(self) -> tuple[str, ...]:
        """List the folders that take uploads, but for dry runs."""
        return tuple(path for path, spot in self.spots.items() if spot.purpose is Purpose.UPLOADS)


def make_tree(folders: Iterable[str]) -> Tree:
    """Make the tree of a credential from the folders of its connections."""
    spots = {"/": Spot(purpose=Purpose.PARENT, path="/")}
    for folder in sorted(set(folders)):
        spots[folder] = Spot(purpose=Purpose.UPLOADS, path=folder, folder=folder)
        for name, purpose in ((RESULTS, Purpose.RESULTS), (DRYRUN, Purpose.DRYRUN)):
            path = join(folder, name)
            spots[path] = Spot(purpose=purpose, path=path, folder=folder)
    spots[f"/{SAMPLES}"] = Spot(purpose=Purpose.SAMPLES, path=f"/{SAMPLES}")
    for path in list(spots):
        above = path
        while above != "/":
            above = split(above)[0]
            spots.setdefault(above, Spot(purpose=Purpose.PARENT, path=above))
    below: dict[str, list[str]] = {path: [] for path in spots}
    for path in spots:
        if path != "/":
            parent, name = split(path)
            below[parent].append(name)
    return Tree(dict(sorted(spots.items())), {path: tuple(sorted(names)) for path, names in below.items()})


def clean(path: str) -> str:
    """Give the absolute path meant: ``.`` and empty parts dropped, ``..`` resolved and never above the root.

    The last part is brought to the normal form of names at every door: NFC, and what stands after a backslash.
    """
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    if parts:
        parts[-1] = normal_name(parts[-1])
    return "/" + "/".join(part for part in parts if part)


def split(path: str) -> tuple[str, str]:
    """Split a cleaned path into its folder and its last name."""
    folder, _, name = path.rpartition("/")
    return folder or "/", name


def join(folder: str, name: str) -> str:
    """Give the path of a name in a folder."""
    return f"{folder.rstrip('/')}/{name}"
