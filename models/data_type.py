"""A data type: the columns a file may have and what each value and row must be.

What lives here: the frozen values. They are made from a descriptor by ``models.descriptor``; no rows are checked here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

TYPES = ("string", "integer", "number", "boolean", "datetime")
FORMATS = ("", "email", "uri", "locale", "country", "currency")
WHOLE_ROW = ("*",)  #: the natural key that is the content of all known columns
LAYOUTS = ("table", "list")
UNKNOWN_COLUMNS = ("warn", "ignore")


@dataclass(frozen=True, kw_only=True, slots=True)
class Constraints:
    """What a value of a field must satisfy beside its type."""

    required: bool = False  #: the column must be there and its cells must not be empty
    min_length: int | None = None  #: characters
    max_length: int | None = None  #: characters; digits for an integer
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None  #: the value must be more than this (``exclusiveMinimum``)
    pattern: str | None = None  #: regular expression for the whole value
    enum: tuple[str, ...] = ()
    precision: int | None = None  #: decimal digits of a number in all
    scale: int | None = None  #: decimal digits of a number behind the point
    scalar: bool = False  #: a CSV cell must not hold a list or an object of JSON; JSON Lines never may


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One column: its name, its type and its constraints."""

    name: str
    type: str = "string"  #: one of TYPES
    format: str = ""  #: one of FORMATS
    title: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()  #: other header names that mean this field
    keywords: tuple[str, ...] = ()  #: values taken as they stand, whatever the type says (``NOW``)
    true_values: tuple[str, ...] = ("true",)
    false_values: tuple[str, ...] = ("false",)
    constraints: Constraints = Constraints()


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """All columns whose name begins with a prefix, such as ``customFields.``."""

    prefix: str
    type: str = "string"
    format: str = ""
    constraints: Constraints = Constraints()

    def field(self, name: str) -> Field:
        """Give the field for one column of the family."""
        return Field(name=name, type=self.type, format=self.format, constraints=self.constraints)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnyOf:
    """Demand that the fields of at least one group are all filled."""

    groups: tuple[tuple[str, ...], ...]

    @property
    def words(self) -> str:
        """Name the groups for a message."""
        return ", ".join(" with ".join(group) for group in self.groups)


@dataclass(frozen=True, kw_only=True, slots=True)
class NotTogether:
    """Forbid a field to be filled where one of the others is."""

    field: str
    others: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Together:
    """Demand that rows with the same value of a field stand one below the other."""

    field: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NotOlderThan:
    """Forbid a date further back than some days; another limit holds where a given field is filled."""

    field: str
    days: int
    days_with: tuple[tuple[str, int], ...] = ()  #: (field, days)


Rule = AnyOf | NotTogether | Together | NotOlderThan


@dataclass(frozen=True, kw_only=True, slots=True)
class DataType:
    """One kind of file: names it goes by, columns, keys and rules."""

    name: str
    title: str
    description: str = ""
    prefixes: tuple[str, ...] = ()  #: of file names
    header_case: str = "exact"  #: exact | ignore
    layout: str = "table"  #: table | list (one column without a header line)
    fields: tuple[Field, ...] = ()
    families: tuple[Family, ...] = ()
    keys: tuple[tuple[str, ...], ...] = ()  #: alternatives: the first whose leading field is filled is the row's key
    unknown_columns: str = "warn"  #: warn | ignore
    rules: tuple[Rule, ...] = ()
    samples: tuple[Mapping[str, str | int | float | bool], ...] = ()

    def field(self, name: str) -> Field | None:
        """Give the field of this canonical name, also from a family; None where there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        for family in self.families:
            if name.startswith(family.prefix) and len(name) > len(family.prefix):
                return family.field(name)
        return None

    def without_scalars(self) -> "DataType":
        """Give the data type for a form that tells text from lists and objects by itself."""
        fields = tuple(replace(f, constraints=replace(f.constraints, scalar=False)) for f in self.fields)
        families = tuple(replace(f, constraints=replace(f.constraints, scalar=False)) for f in self.families)
        return replace(self, fields=fields, families=families)

    def with_enums(self, enums: Mapping[str, tuple[str, ...]]) -> "DataType":
        """Give the data type with other lists of allowed values, by field name; unknown names raise ValueError.

        A name of a family becomes a field of its own. Sample rows keep to the new lists.
        """
        if self.layout == "list":
            raise ValueError(f"The list {self.name} takes no list of values.")
        known = {field.name: field for field in self.fields}
        for name, values in enums.items():
            field = self.field(name)
            if field is None:
                raise ValueError(f"The data type {self.name} has no field {name}.")
            known[name] = replace(field, constraints=replace(field.constraints, enum=tuple(values)))
        samples = tuple(
            {name: cell if str(cell) in enums.get(name, (str(cell),)) else enums[name][0] for name, cell in row.items()}
            for row in self.samples
        )
        return replace(self, fields=tuple(known.values()), samples=samples)
