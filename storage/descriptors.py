"""The data types: those that come with mailgate, and an operator's own, read from their descriptor files.

What lives here: the reading. What a descriptor means is decided by ``models.descriptor``.
"""

import difflib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from models.data_type import DataType
from models.descriptor import data_type_from_descriptor
from models.faults import MailgateError

BUILT_IN = Path(__file__).resolve().parent.parent / "models" / "descriptors"
Enums = Mapping[str, Mapping[str, tuple[str, ...]]]  #: data type → field → the values it may have


class DataTypesWrong(MailgateError, ValueError):
    """Name the file and key, or the setting, that makes a data type wrong; the command line exits 2."""


def load_data_types(extra_dir: Path | None = None, enums: Enums | None = None) -> dict[str, DataType]:
    """Give the data types by name; one in ``extra_dir`` takes the place of a built-in one of its name.

    Raise DataTypesWrong naming file and key where a descriptor is wrong, and the setting where ``enums`` name what is
    not there.
    """
    found: dict[str, DataType] = {}
    for path, descriptor in _descriptors(BUILT_IN):
        made = _made(path, descriptor)
        found[made.name] = made
    own: dict[str, str] = {}
    for path, descriptor in _descriptors(extra_dir) if extra_dir else ():
        made = _made(path, descriptor)
        if made.name in own:
            raise DataTypesWrong(f"{path.name}: {own[made.name]} declares the data type {made.name} already.")
        own[made.name] = path.name
        found[made.name] = made
    for name, values in (enums or {}).items():
        found[name] = _with_enums(name, values, found)
    return dict(sorted(found.items()))


class DataTypePrefixes:
    """Know which beginnings of file names mean which data type; an operator's own are looked for now and then."""

    def __init__(
        self,
        extra_dir: Path,
        enums: Enums | None = None,
        *,
        seconds: float = 2.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._extra_dir, self._enums = extra_dir, enums
        self._seconds = seconds
        self._monotonic = monotonic
        self._read: tuple[float, dict[str, tuple[str, ...]]] | None = None

    def read(self) -> dict[str, tuple[str, ...]]:
        """Give the prefixes by data type; where a descriptor is wrong, those of the last time."""
        now = self._monotonic()
        if self._read is None or now - self._read[0] >= self._seconds:
            try:
                found = {name: one.prefixes for name, one in load_data_types(self._extra_dir, self._enums).items()}
            except ValueError:
                found = self._read[1] if self._read else {name: one.prefixes for name, one in load_data_types().items()}
            self._read = (now, found)
        return self._read[1]


def _with_enums(name: str, enums: Mapping[str, tuple[str, ...]], found: Mapping[str, DataType]) -> DataType:
    """Give a data type with the lists of the settings; raise ValueError naming the key that fits nothing."""
    if name not in found:
        raise DataTypesWrong(f"data_types.{name}: there is no such data type{_meant(name, found)}")
    for field in enums:
        if found[name].field(field) is None:
            known = [one.name for one in found[name].fields]
            raise DataTypesWrong(f"data_types.{name}.enums.{field}: {name} has no field {field}{_meant(field, known)}")
    try:
        return found[name].with_enums(enums)
    except ValueError as error:
        raise DataTypesWrong(f"data_types.{name}.enums: {error}") from None


def _meant(name: str, known: Iterable[str]) -> str:
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), folded, 1, 0.6)
    return f"; did you mean {folded[near[0]]}?" if near else f"; there are {', '.join(sorted(known))}"


def read_descriptor(name: str, extra_dir: Path | None = None, enums: Enums | None = None) -> dict[str, Any]:
    """Give the descriptor of a data type with the lists of the settings; raise KeyError where there is none."""
    for folder in (extra_dir, BUILT_IN):
        for _, descriptor in _descriptors(folder) if folder else ():
            if isinstance(descriptor, dict) and descriptor.get("name") == name:
                return _told(descriptor, (enums or {}).get(name, {}))
    raise KeyError(name)


def _told(descriptor: dict[str, Any], enums: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Give a descriptor whose fields have the lists of the settings; a column of a family becomes a field."""
    fields = list(descriptor["fields"])
    for name, values in enums.items():
        known = next((one for one in fields if one["name"] == name), None)
        family: dict[str, Any] = next(
            (one for one in descriptor.get("families", []) if name.startswith(one["prefix"])), {}
        )
        shared = {key: value for key, value in family.items() if key != "prefix"}
        one = known or {**shared, "name": name}
        changed = {**one, "constraints": {**one.get("constraints", {}), "enum": list(values)}}
        fields = [changed if field is known else field for field in fields] + ([] if known else [changed])
    return {**descriptor, "fields": fields}


def _descriptors(folder: Path) -> Iterator[tuple[Path, Any]]:
    for path in sorted(folder.glob("*.json")):
        try:
            yield path, json.loads(path.read_text("utf-8"))
        except UnicodeDecodeError:
            raise DataTypesWrong(f"{path.name}: The file is not UTF-8.") from None
        except json.JSONDecodeError as error:
            raise DataTypesWrong(f"{path.name}: This is no JSON: {error}.") from None
        except OSError as error:
            raise DataTypesWrong(f"{path.name}: The file cannot be read: {error.strerror}.") from None


def _made(path: Path, descriptor: Any) -> DataType:
    try:
        return data_type_from_descriptor(descriptor)
    except ValueError as error:
        raise DataTypesWrong(f"{path.name}: {error}") from None
