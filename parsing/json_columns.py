"""The columns of a JSON Lines file, which are learned while it is read.

What lives here: which dotted name is which column. Names come in any order and any time; an index once given stays.
"""

import threading

from models.codes import Code
from models.data_type import AnyOf, DataType
from parsing.encoding import refuse
from parsing.header import Column, FieldNames
from parsing.json_line import Nested, Value
from parsing.names import Names

MAX_NAMES = 10_000  #: different names in one file


class JsonColumns:
    """Know the columns met so far; safe to use from several threads."""

    def __init__(self, data_type: DataType, theirs: Names) -> None:
        self._data_type, self._names = data_type, FieldNames(data_type, theirs)
        self._lock = threading.Lock()
        self.all: tuple[Column, ...] = ()
        self.index: dict[str, int | None] = {}  #: of each name met; None for one the data type does not know
        self.seen: list[str] = []
        self._by_field: dict[str, int] = {}
        self._opening = {
            known[: at + 1]
            for known in [*(name for f in data_type.fields for name in (f.name, *f.aliases)), *theirs]
            for at in range(len(known))
            if known[at : at + 1] == "."
        } | {family.prefix for family in data_type.families if family.prefix.endswith(".")}
        self._folds = data_type.header_case == "ignore"
        if self._folds:
            self._opening = {prefix.casefold() for prefix in self._opening}

    def opens(self, name: str) -> bool:
        """Tell whether an object under a name holds columns of its own."""
        return (name.casefold() if self._folds else name) + "." in self._opening

    def learn(self, name: str) -> int | None:
        """Give the column of a name, a new one where it was not met before."""
        if name in self.index:
            return self.index[name]
        with self._lock:
            if name not in self.index:
                if len(self.index) >= MAX_NAMES:
                    raise refuse(Code.RESOURCE_LIMIT, f"The objects have more than {MAX_NAMES} different names.")
                self.index[name] = self._add(name)
                self.seen.append(name)
        return self.index[name]

    def _add(self, name: str) -> int | None:
        field = self._names.find(name)
        if field is None:
            return None
        if field.name not in self._by_field:
            self._by_field[field.name] = len(self.all)
            self.all = (*self.all, Column(index=len(self.all), name=name, field=field))
        return self._by_field[field.name]

    def need(self) -> None:
        """Add the columns that every row is asked for, whether or not they were met."""
        rules = [group for rule in self._data_type.rules if isinstance(rule, AnyOf) for group in rule.groups]
        grouped = {name for group in rules for name in group}
        with self._lock:
            for field in self._data_type.fields:
                wanted = field.constraints.required or field.name in grouped
                if wanted and field.name not in self._by_field:
                    self._by_field[field.name] = len(self.all)
                    self.all = (*self.all, Column(index=len(self.all), name=field.name, field=field))

    def row(self, values: dict[str, Value]) -> tuple[dict[int, Value], str]:
        """Give the values of known columns by index, and the first name that stands for a column already taken."""
        found: dict[int, Value] = {}
        twice = ""
        for name, value in values.items():
            index = self.learn(name)
            if index is None:
                continue
            if index in found and not twice:
                twice = name
            found[index] = value
        return found, twice


def nested(values: dict[int, Value]) -> list[int]:
    """Give the columns whose value is a list or an object."""
    return [index for index, value in values.items() if isinstance(value, Nested)]
