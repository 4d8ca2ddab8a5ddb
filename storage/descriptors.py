"""The data types that come with mailgate, read from their descriptor files.

What lives here: the reading. What a descriptor means is decided by ``models.data_type``.
"""

import json
from importlib.resources import files
from typing import Any

from models.data_type import DataType
from models.descriptor import data_type_from_descriptor


def load_data_types() -> dict[str, DataType]:
    """Give the built-in data types by name; raise ValueError naming the file where a descriptor is wrong."""
    found: dict[str, DataType] = {}
    folder = files("models").joinpath("descriptors")
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if not entry.name.endswith(".json"):
            continue
        try:
            data_type = data_type_from_descriptor(json.loads(entry.read_text("utf-8")))
        except ValueError as error:
            raise ValueError(f"{entry.name}: {error}") from error
        found[data_type.name] = data_type
    return found


def read_descriptor(name: str) -> dict[str, Any]:
    """Give the descriptor of a built-in data type as it stands in its file."""
    text = files("models").joinpath("descriptors", f"{name}.json").read_text("utf-8")
    descriptor: dict[str, Any] = json.loads(text)
    return descriptor
