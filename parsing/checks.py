"""What each value must be, as column expressions made once from the data type.

What lives here: one expression per demand on one field; it is true where a row fails. Demands that look at several
fields or rows stand in ``parsing.rules``.
"""

import json
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from models.codes import Code
from models.data_type import Field
from parsing.codesets import COUNTRIES, CURRENCIES
from parsing.form import Bools, Ints
from parsing.header import Column
from parsing.values import column_name

DATE_TIME = (
    r"^[1-9]\d{3}-\d{2}-\d{2}(?:[Tt](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?$"
)
#: letters of all scripts; no blanks, hidden characters or general punctuation
_WORLD = r"\u{A1}-\u{AC}\u{AE}-\u{167F}\u{1681}-\u{1FFF}\u{2070}-\u{2FFF}\u{3001}-\u{FEFE}\u{FF00}-\u{10FFFF}"
EMAIL = (
    r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~\-WORLD]{1,64}"
    r"@(?:[A-Za-z0-9WORLD](?:[A-Za-z0-9\-WORLD]{0,61}[A-Za-z0-9WORLD])?\.)+[A-Za-zWORLD][A-Za-z0-9\-WORLD]*[A-Za-z0-9WORLD]$"
).replace("WORLD", _WORLD)
URL = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#.]+[^\s/?#]*(?:[/?#]\S*)?$"
LOCALE = r"^[a-z]{2,3}_[A-Z]{2}$"
NESTED = r"^\s*(?:\[|\{)"
DAMAGED = r"^(?:-?\d(?:[.,]\d+)?E\+\d+|#(?:REF!|N/A|NAME\?|VALUE!|DIV/0!|NUM!|NULL!)|#{4,})$"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One demand: where ``mask`` is true, the row gets an entry with this code and message."""

    mask: pl.Expr
    code: Code
    column: str  #: as the header writes it
    index: int  #: of the file's column whose value the entry shows
    message: str
    severity: str = "error"
    order: int = 0  #: entries of one row come in this order
    refine: "Refine | None" = None  #: looks again at the rows the mask found


class Refine(Protocol):
    """Tell which of the rows that a quick look found really fail."""

    def __call__(self, frame: pl.DataFrame, rows: Ints, /) -> Bools:
        """Give one answer for each of some rows of a frame."""


@dataclass(frozen=True, slots=True)
class _Demand:
    code: Code
    mask: pl.Expr
    message: str
    severity: str = "error"
    refine: Refine | None = None


def value(column: Column) -> pl.Expr:
    """Give the text of a column."""
    return pl.col(column_name(column.index))


def filled(column: Column) -> pl.Expr:
    """Tell where a column holds more than blanks."""
    return value(column).str.strip_chars() != ""


def maybe_blank(cell: pl.Expr) -> pl.Expr:
    """Tell where a text does not begin with a visible ASCII character, so that it may be blank; a quick look."""
    return (cell < "!") | (cell >= "\x7f")


def is_blank(cells: pl.Series) -> Bools:
    """Tell which texts hold nothing but blanks."""
    return (cells.str.strip_chars() == "").to_numpy()


def checks_of(column: Column, damage: bool) -> list[Check]:
    """Give the demands on one known column; ``damage`` asks also for traces of a spreadsheet and for JSON in cells."""
    field = column.field
    assert field is not None
    return [
        Check(
            mask=demand.mask,
            code=demand.code,
            column=column.name,
            index=column.index,
            message=demand.message,
            severity=demand.severity,
            order=(column.index + 1) * 16 + place,
            refine=demand.refine,
        )
        for place, demand in enumerate(_demands(field, column.name, value(column), damage))
    ]


def _demands(field: Field, name: str, cell: pl.Expr, damage: bool) -> list[_Demand]:
    found: list[_Demand] = []
    given = cell != ""
    if field.constraints.required:
        given = cell.str.strip_chars() != ""  # blanks are missing, and nothing else is wrong with them
        message = f"This row requires a valid non-empty {name}"
        found.append(_Demand(Code.REQUIRED_VALUE_MISSING, maybe_blank(cell), message, refine=_blank_in(cell)))
    typed = _type_demand(field, name, cell)
    if field.keywords:
        given &= ~cell.is_in(list(field.keywords))
    if typed:
        found.append(_Demand(typed.code, given & typed.mask, typed.message))
        given &= ~typed.mask
    limits = _length_demands(field, name, cell) + _value_demands(field, name, cell)
    found += [_Demand(limit.code, given & limit.mask, limit.message) for limit in limits]
    if damage and field.constraints.scalar:
        found.append(_scalar_demand(name, cell))
    if damage and field.type == "string":
        text = f"{name} looks changed by a spreadsheet; format the column as text before saving"
        found.append(_Demand(Code.SPREADSHEET_DAMAGE, cell.str.contains(DAMAGED), text, "warning"))
    return found


def _blank_in(cell: pl.Expr) -> Refine:
    name = cell.meta.output_name()

    def refine(frame: pl.DataFrame, rows: Ints) -> Bools:
        return is_blank(frame[name].gather(rows))

    return refine


def _scalar_demand(label: str, cell: pl.Expr) -> _Demand:
    """Give two stages: cells that begin like JSON by expression, and those of them that are JSON one by one."""
    name = cell.meta.output_name()

    def refine(frame: pl.DataFrame, rows: Ints) -> Bools:
        return np.array([_is_nested(text) for text in frame[name].gather(rows)], np.bool_)

    message = f"{label} must be a single value, not a list or an object of JSON"
    return _Demand(Code.NESTED_VALUE, cell.str.contains(NESTED), message, refine=refine)


def _is_nested(text: str) -> bool:
    """Tell whether a text that begins with a bracket is JSON as a whole."""
    try:
        json.loads(text.strip(), parse_int=str)  # a number of any length
    except ValueError:
        return False
    except RecursionError:
        return True  # so many brackets are no text
    return True


def _type_demand(field: Field, name: str, cell: pl.Expr) -> _Demand | None:
    if field.type == "boolean":
        words = [*field.true_values, *field.false_values]
        return _Demand(Code.INVALID_BOOLEAN, ~cell.is_in(words), f"{name} must be {' or '.join(words)}")
    if field.type == "integer":
        return _Demand(Code.INVALID_INTEGER, ~cell.str.contains(r"^[+-]?[0-9]+$"), f"{name} must be a whole number")
    if field.type == "number":
        return _decimal_demand(field, name, cell)
    if field.type == "datetime":
        no_day = cell.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).is_null()
        keywords = "".join(f" or {word}" for word in field.keywords)
        message = f"{name} must be an ISO 8601 date or time, such as 2026-01-31T09:30:00Z{keywords}"
        return _Demand(Code.INVALID_DATE, ~cell.str.contains(DATE_TIME) | no_day, message)
    return _format_demand(field, name, cell)


def _decimal_demand(field: Field, name: str, cell: pl.Expr) -> _Demand:
    precision, scale = field.constraints.precision, field.constraints.scale
    if precision is None or scale is None:
        message = f"{name} must be a number with a decimal point"
        return _Demand(Code.INVALID_DECIMAL, ~cell.str.contains(r"^[+-]?[0-9]+(?:\.[0-9]+)?$"), message)
    whole = precision - scale
    pattern = rf"^[+-]?(?:0*[0-9]{{1,{whole}}}(?:\.[0-9]{{0,{scale}}})?|\.[0-9]{{1,{scale}}})$"
    message = f"{name} must be a number with at most {whole} digits before and {scale} behind a decimal point"
    return _Demand(Code.INVALID_DECIMAL, ~cell.str.contains(pattern), message)


def _format_demand(field: Field, name: str, cell: pl.Expr) -> _Demand | None:
    if field.format == "email":
        return _Demand(Code.INVALID_EMAIL, ~cell.str.contains(EMAIL), f"{name} must be an email address")
    if field.format == "uri":
        return _Demand(Code.INVALID_URL, ~cell.str.contains(URL), f"{name} must be a whole address with http or https")
    if field.format == "locale":
        message = f"{name} must be language_COUNTRY with an underscore, such as en_US"
        return _Demand(Code.INVALID_LOCALE, ~cell.str.contains(LOCALE), message)
    if field.format == "country":
        message = f"{name} must be a country code of two capital letters (ISO 3166-1), such as DE"
        return _Demand(Code.INVALID_COUNTRY, ~cell.is_in(sorted(COUNTRIES)), message)
    if field.format == "currency":
        message = f"{name} must be a currency code of three capital letters (ISO 4217), such as EUR"
        return _Demand(Code.INVALID_CURRENCY, ~cell.is_in(sorted(CURRENCIES)), message)
    return None


def _length_demands(field: Field, name: str, cell: pl.Expr) -> list[_Demand]:
    rule = field.constraints
    found: list[_Demand] = []
    digits = field.type == "integer"
    length = cell.str.strip_prefix("-").str.len_chars() if digits else cell.str.len_chars()
    unit = "digits" if digits else "characters"
    if rule.max_length is not None:
        message = f"{name} must have at most {rule.max_length} {unit}"
        # bytes are counted first: they are at hand, characters are not
        long = (cell.str.len_bytes() > rule.max_length) & (length > rule.max_length)
        found.append(_Demand(Code.VALUE_TOO_LONG, long, message))
    if rule.min_length is not None:
        message = f"{name} must have at least {rule.min_length} {unit}"
        found.append(_Demand(Code.VALUE_NOT_ALLOWED, length < rule.min_length, message))
    return found


def _value_demands(field: Field, name: str, cell: pl.Expr) -> list[_Demand]:
    rule = field.constraints
    found: list[_Demand] = []
    if rule.enum:
        words = ", ".join(rule.enum)
        found.append(_Demand(Code.VALUE_NOT_ALLOWED, ~cell.is_in(list(rule.enum)), f"{name} must be one of {words}"))
    if rule.pattern is not None:
        mask = ~cell.str.contains(f"^(?:{rule.pattern})$")
        found.append(_Demand(Code.VALUE_NOT_ALLOWED, mask, f"{name} must have the form {rule.pattern}"))
    if rule.minimum is not None:
        low = cell.str.starts_with("-") & (number(cell) < rule.minimum) if rule.minimum == 0 else None
        mask = number(cell) < rule.minimum if low is None else low
        found.append(_Demand(Code.VALUE_NOT_ALLOWED, mask, f"{name} must be at least {rule.minimum:g}"))
    if rule.above is not None:
        mask = number(cell) <= rule.above
        found.append(_Demand(Code.VALUE_NOT_ALLOWED, mask, f"{name} must be more than {rule.above:g}"))
    if rule.maximum is not None:
        mask = number(cell) > rule.maximum
        found.append(_Demand(Code.VALUE_NOT_ALLOWED, mask, f"{name} must be at most {rule.maximum:g}"))
    return found


def number(cell: pl.Expr) -> pl.Expr:
    """Give the value as a floating-point number, for comparisons."""
    return cell.cast(pl.Float64, strict=False)
