"""A Table Schema descriptor (https://specs.frictionlessdata.io/table-schema/) with our additions, made a data type.

What lives here: the pure function from JSON to ``models.data_type``, and a sentence for each way a descriptor can be
wrong. No files are read here.
"""

import re
from collections.abc import Mapping
from typing import Any

from models.data_type import (
    FORMATS,
    LAYOUTS,
    TYPES,
    UNKNOWN_COLUMNS,
    WHOLE_ROW,
    AnyOf,
    Constraints,
    DataType,
    Family,
    Field,
    NotOlderThan,
    NotTogether,
    Rule,
    Together,
)

_LOOKS_AROUND = re.compile(r"\(\?(?:<?[=!]|P=|>|\()|(?<!\\)(?:\\\\)*\\[1-9]")
_CONSTRAINTS = {
    "required": "required",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "above",
    "pattern": "pattern",
    "enum": "enum",
    "precision": "precision",
    "scale": "scale",
    "scalar": "scalar",
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
    for key, value in data.items():
        _check_constraint(key, value, where)
    values: dict[str, Any] = {_CONSTRAINTS[key]: value for key, value in data.items()}
    if "enum" in values:
        values["enum"] = tuple(values["enum"])
    return Constraints(**values)


def _check_constraint(key: str, value: Any, where: str) -> None:
    """Raise ValueError where a constraint has a value of the wrong kind."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if key in {"required", "scalar"}:
        _demand(isinstance(value, bool), f"{key} of {where} must be true or false, not {value!r}.")
    elif key == "enum":
        _demand(value != [], f"The enum of {where} is empty.")
        _strings(value if isinstance(value, list) else None, f"The enum of {where}")
    elif key == "pattern":
        _check_pattern(value, where)
    elif key in {"minimum", "maximum", "exclusiveMinimum"}:
        _demand(number, f"{key} of {where} must be a number, not {value!r}.")
    else:
        whole = number and int(value) == value and value >= 0
        _demand(whole, f"{key} of {where} must be a whole number from 0, not {value!r}.")


def _check_pattern(value: Any, where: str) -> None:
    try:
        re.compile(value)
    except (re.error, TypeError) as error:
        raise ValueError(f"The pattern of {where} is not a regular expression: {error}.") from None
    # the matcher runs in linear time and therefore knows neither
    _demand(not _LOOKS_AROUND.search(value), f"The pattern of {where} must not look around or refer back.")


def _typed(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Give type, format and constraints, which a field and a family share."""
    _demand(isinstance(data.get("constraints", {}), dict), f"The constraints of {where} must be an object.")
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
            return AnyOf(groups=_groups(data["fields"]))
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


def _groups(value: Any) -> tuple[tuple[str, ...], ...]:
    """Give the groups of any_of: each is a name, or a list of names that are needed together."""
    _demand(isinstance(value, list) and value != [], "The fields of the rule any_of must list names.")
    return tuple(_strings(group, "Each of the fields of the rule any_of") for group in value)


def _rule_fields(rule: Rule) -> tuple[str, ...]:
    if isinstance(rule, AnyOf):
        return tuple(name for group in rule.groups for name in group)
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
    _demand(WHOLE_ROW not in keys[:-1], "The natural key * (the whole row) must be the last one.")
    return keys


def _check_names(made: DataType) -> None:
    """Raise ValueError where two fields share a name, or a key, rule or sample names a field that is not there."""
    seen: set[str] = set()
    for field in made.fields:
        for name in (field.name, *field.aliases):
            folded = name.casefold() if made.header_case == "ignore" else name
            _demand(folded not in seen, f"Two fields are called {name}.")
            seen.add(folded)
    named = {name: "A key" for key in made.keys if key != WHOLE_ROW for name in key}
    named.update({name: "A rule" for rule in made.rules for name in _rule_fields(rule)})
    named.update({name: "A sample row" for sample in made.samples for name in sample})
    for name, who in named.items():
        _demand(made.field(name) is not None, f"{who} names the field {name}, which is not declared.")


_TOP = {
    "$schema", "name", "title", "description", "prefixes", "header_case", "layout", "fields", "families",
    "primaryKey", "naturalKeys", "unknown_columns", "rules", "samples",
}  # fmt: skip


def _is_plain(sample: Any) -> bool:
    return isinstance(sample, dict) and all(isinstance(cell, (str, int, float, bool)) for cell in sample.values())


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
    _demand(isinstance(samples, list) and all(map(_is_plain, samples)), "samples must list objects of single values.")
    for key in ("title", "description"):
        _demand(isinstance(descriptor.get(key, ""), str), f"{key} of the data type {name} must be text.")
    for key in ("families", "rules"):
        _demand(isinstance(descriptor.get(key, []), list), f"{key} of the data type {name} must be a list.")
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
