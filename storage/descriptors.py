"""The data types: those that come with mailgate, and an operator's own, read from their descriptor files.

What lives here: the reading. What a descriptor means is decided by ``models.descriptor``.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from models.data_type import DataType
from models.descriptor import data_type_from_descriptor

BUILT_IN = Path(__file__).resolve().parent.parent / "models" / "descriptors"
FOLDER = "data-types"  #: of an operator's own, in ``data_dir``


def load_data_types(extra_dir: Path | None = None) -> dict[str, DataType]:
    """Give the data types by name; one in ``extra_dir`` takes the place of a built-in one of its name.

    Raise ValueError naming file and key where a descriptor is wrong.
    """
    found: dict[str, DataType] = {}
    for path, descriptor in _descriptors(BUILT_IN):
        made = _made(path, descriptor)
        found[made.name] = made
    own: dict[str, str] = {}
    for path, descriptor in _descriptors(extra_dir) if extra_dir else ():
        made = _made(path, descriptor)
        if made.name in own:
            raise ValueError(f"{path.name}: {own[made.name]} declares the data type {made.name} already.")
        own[made.name] = path.name
        found[made.name] = made
    return dict(sorted(found.items()))


class DataTypePrefixes:
    """Know which beginnings of file names mean which data type; an operator's own are looked for now and then."""

    def __init__(
        self, extra_dir: Path, *, seconds: float = 2.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._extra_dir = extra_dir
        self._seconds = seconds
        self._monotonic = monotonic
        self._read: tuple[float, dict[str, tuple[str, ...]]] | None = None

    def read(self) -> dict[str, tuple[str, ...]]:
        """Give the prefixes by data type; where a descriptor is wrong, those of the last time."""
        now = self._monotonic()
        if self._read is None or now - self._read[0] >= self._seconds:
            try:
                found = {name: one.prefixes for name, one in load_data_types(self._extra_dir).items()}
            except ValueError:
                found = self._read[1] if self._read else {name: one.prefixes for name, one in load_data_types().items()}
            self._read = (now, found)
        return self._read[1]


def read_descriptor(name: str, extra_dir: Path | None = None) -> dict[str, Any]:
    """Give the descriptor of a data type as it stands in its file; raise KeyError where there is none."""
    for folder in (extra_dir, BUILT_IN):
        for _, descriptor in _descriptors(folder) if folder else ():
            if isinstance(descriptor, dict) and descriptor.get("name") == name:
                return descriptor
    raise KeyError(name)


def _descriptors(folder: Path) -> Iterator[tuple[Path, Any]]:
    for path in sorted(folder.glob("*.json")):
        try:
            yield path, json.loads(path.read_text("utf-8"))
        except UnicodeDecodeError:
            raise ValueError(f"{path.name}: The file is not UTF-8.") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"{path.name}: This is no JSON: {error}.") from None
        except OSError as error:
            raise ValueError(f"{path.name}: The file cannot be read: {error.strerror}.") from None


def _made(path: Path, descriptor: Any) -> DataType:
    try:
        return data_type_from_descriptor(descriptor)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
