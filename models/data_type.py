"""A data type: the columns a file may have and what each value and row must be.

What lives here: the frozen values and the pure function that makes them from a Table Schema descriptor
(https://specs.frictionlessdata.io/table-schema/) with our additions. No files are read here, no rows are checked.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TYPES = ("string", "integer", "number", "boolean", "datetime")
FORMATS = ("", "email", "uri", "locale", "country", "currency")
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
    pattern: str | None = None  #: regular expression for the whole value
    enum: tuple[str, ...] = ()
    precision: int | None = None  #: decimal digits of a number in all
    scale: int | None = None  #: decimal digits of a number behind the point


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
    """Demand that at least one of the fields is filled."""

    fields: tuple[str, ...]


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


_CONSTRAINTS = {
    "required": "required",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minimum": "minimum",
    "maximum": "maximum",
    "pattern": "pattern",
    "enum": "enum",
    "precision": "precision",
    "scale": "scale",
}


def _demand(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


def _strings(value: Any, where: str) -> tuple[str, ...]:
    """Give a tuple of strings from a string or a list of strings."""
    if isinstance(value, str):
        return (value,)
    _demand(isinstance(value, list) and all(isinstance(v, str) and v for v in value), f"{where} must list names.")
    return tuple(value)


def _only_keys(data: Mapping[str, Any], allowed: set[str], where: str) -> None:
    unknown = sorted(set(data) - allowed)
    _demand(not unknown, f"{where} has the unknown key {', '.join(unknown)}.")


def _constraints(data: Mapping[str, Any], where: str) -> Constraints:
    _only_keys(data, set(_CONSTRAINTS), f"The constraints of {where}")
    values: dict[str, Any] = {_CONSTRAINTS[key]: value for key, value in data.items()}
    if "enum" in values:
        values["enum"] = _strings(values["enum"], f"The enum of {where}")
    if "pattern" in values:
        try:
            re.compile(values["pattern"])
        except (re.error, TypeError) as error:
            raise ValueError(f"The pattern of {where} is not a regular expression: {error}.") from None
    return Constraints(**values)


def _typed(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Give type, format and constraints, which a field and a family share."""
    kind, form = data.get("type", "string"), data.get("format", "")
    form = "" if form == "default" else form
    _demand(kind in TYPES, f"The type of {where} must be one of {', '.join(TYPES)}, not {kind!r}.")
    _demand(form in FORMATS, f"The format of {where} must be one of {', '.join(FORMATS[1:])}, not {form!r}.")
    return {"type": kind, "format": form, "constraints": _constraints(data.get("constraints", {}), where)}


def _field(data: Any) -> Field:
    _demand(isinstance(data, dict) and isinstance(data.get("name"), str) and data["name"] != "", "A field has no name.")
    where = f"the field {data['name']}"
    allowed = {"name", "title", "description", "type", "format", "constraints"}
    _only_keys(data, allowed | {"aliases", "keywords", "trueValues", "falseValues"}, where.capitalize())
    return Field(
        name=data["name"],
        title=data.get("title", ""),
        description=data.get("description", ""),
        aliases=_strings(data.get("aliases", []), f"The aliases of {where}"),
        keywords=_strings(data.get("keywords", []), f"The keywords of {where}"),
        true_values=_strings(data.get("trueValues", ["true"]), f"The trueValues of {where}"),
        false_values=_strings(data.get("falseValues", ["false"]), f"The falseValues of {where}"),
        **_typed(data, where),
    )


def _family(data: Any) -> Family:
    _demand(isinstance(data, dict) and isinstance(data.get("prefix"), str), "A family of fields has no prefix.")
    _only_keys(data, {"prefix", "title", "description", "type", "format", "constraints"}, "A family of fields")
    _demand(data["prefix"] != "", "The prefix of a family of fields is empty.")
    return Family(prefix=data["prefix"], **_typed(data, f"the family {data['prefix']}"))


def _rule(data: Any) -> Rule:
    kind = data.get("rule") if isinstance(data, dict) else None
    try:
        if kind == "any_of":
            return AnyOf(fields=_strings(data["fields"], "The fields of the rule any_of"))
        if kind == "not_together":
            return NotTogether(field=data["field"], others=_strings(data["with"], "The key 'with' of not_together"))
        if kind == "together":
            return Together(field=data["field"])
        if kind == "not_older_than":
            longer = tuple((str(name), int(days)) for name, days in data.get("days_with", {}).items())
            return NotOlderThan(field=data["field"], days=int(data["days"]), days_with=longer)
    except KeyError as error:
        raise ValueError(f"The rule {kind} lacks the key {error.args[0]}.") from None
    raise ValueError(f"A rule must be any_of, not_together, together or not_older_than, not {kind!r}.")


def _rule_fields(rule: Rule) -> tuple[str, ...]:
    if isinstance(rule, AnyOf):
        return rule.fields
    if isinstance(rule, NotTogether):
        return (rule.field, *rule.others)
    if isinstance(rule, NotOlderThan):
        return (rule.field, *(name for name, _ in rule.days_with))
    return (rule.field,)


def _keys(data: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    alternatives = data.get("naturalKeys")
    if alternatives is None:
        plain = _strings(data.get("primaryKey", []), "The primaryKey")
        return (plain,) if plain else ()
    _demand("primaryKey" not in data, "Give either primaryKey or naturalKeys, not both.")
    _demand(isinstance(alternatives, list), "naturalKeys must be a list of lists of names.")
    keys = tuple(_strings(key, "Each of the naturalKeys") for key in alternatives)
    _demand(all(keys), "Each of the naturalKeys must name a field.")
    return keys


def _check_names(made: DataType) -> None:
    """Raise ValueError where two fields share a name, or a key, rule or sample names a field that is not there."""
    seen: set[str] = set()
    for field in made.fields:
        for name in (field.name, *field.aliases):
            folded = name.casefold() if made.header_case == "ignore" else name
            _demand(folded not in seen, f"Two fields are called {name}.")
            seen.add(folded)
    named = {name: "A key" for key in made.keys for name in key}
    named.update({name: "A rule" for rule in made.rules for name in _rule_fields(rule)})
    named.update({name: "A sample row" for sample in made.samples for name in sample})
    for name, who in named.items():
        _demand(made.field(name) is not None, f"{who} names the field {name}, which is not declared.")


_TOP = {
    "$schema", "name", "title", "description", "prefixes", "header_case", "layout", "fields", "families",
    "primaryKey", "naturalKeys", "unknown_columns", "rules", "samples",
}  # fmt: skip


def data_type_from_descriptor(descriptor: Mapping[str, Any]) -> DataType:
    """Make a data type from a descriptor; raise ValueError with one sentence where it is wrong."""
    _demand(isinstance(descriptor, Mapping), "A data type must be a JSON object.")
    _only_keys(descriptor, _TOP, "The descriptor")
    name = descriptor.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError("The name of a data type must be lower-case letters, digits and single hyphens.")
    fields = descriptor.get("fields")
    if not isinstance(fields, list) or not fields:
        raise ValueError(f"The data type {name} declares no fields.")
    words = {
        key: (descriptor.get(key, allowed[0]), allowed)
        for key, allowed in (
            ("header_case", ("exact", "ignore")), ("layout", LAYOUTS), ("unknown_columns", UNKNOWN_COLUMNS)
        )
    }  # fmt: skip
    for key, (value, allowed) in words.items():
        _demand(value in allowed, f"{key} of the data type {name} must be {' or '.join(allowed)}, not {value!r}.")
    samples = descriptor.get("samples", [])
    _demand(isinstance(samples, list) and all(isinstance(s, dict) for s in samples), "samples must list objects.")
    made = DataType(
        name=name,
        title=descriptor.get("title", name),
        description=descriptor.get("description", ""),
        prefixes=_strings(descriptor.get("prefixes", []), f"The prefixes of {name}"),
        fields=tuple(_field(field) for field in fields),
        families=tuple(_family(family) for family in descriptor.get("families", [])),
        keys=_keys(descriptor),
        rules=tuple(_rule(rule) for rule in descriptor.get("rules", [])),
        samples=tuple(samples),
        **{key: value for key, (value, _) in words.items()},
    )
    _check_names(made)
    _demand(made.layout == "table" or len(made.fields) == 1, f"The list {name} must have exactly one field.")
    return made
