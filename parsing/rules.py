"""What a row must be as a whole: fields that need or exclude each other, and dates that must not be old.

What lives here: the rules of a data type that look at several fields of one row. Rules between rows stand in
``parsing.between``.
"""

from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import and_, or_

import numpy as np
import polars as pl

from models.codes import Code
from models.data_type import AnyOf, DataType, NotOlderThan, NotTogether
from parsing.checks import Check, filled, value
from parsing.form import Bools, Ints
from parsing.header import Column
from parsing.values import column_name

BEHIND = 1 << 20  #: rules come behind the checks of single values


def rule_checks(columns: dict[str, Column], data_type: DataType, now: datetime) -> list[Check]:
    """Give the checks for the rules that look at one row; ``columns`` holds those of the file by field name."""
    found: list[Check] = []
    for place, rule in enumerate(data_type.rules):
        order = BEHIND + place
        if isinstance(rule, AnyOf):
            found.append(_any_of(rule, columns, order))
        elif isinstance(rule, NotTogether) and rule.field in columns:
            found += _not_together(rule, columns, order)
        elif isinstance(rule, NotOlderThan) and rule.field in columns:
            found += _not_older_than(rule, columns, now, order)
    return found


def _any_of(rule: AnyOf, columns: dict[str, Column], order: int) -> Check:
    here = [[columns[name] for name in group] for group in rule.groups if columns.keys() >= set(group)]
    lacking = [reduce(or_, [~filled(column) for column in group]) for group in here]
    return Check(
        mask=reduce(and_, lacking),
        code=Code.REQUIRED_VALUE_MISSING,
        column=here[0][0].name,
        index=here[0][0].index,
        message=f"This row requires at least one of {rule.words}",
        order=order,
    )


def _not_together(rule: NotTogether, columns: dict[str, Column], order: int) -> list[Check]:
    others = [columns[name] for name in rule.others if name in columns]
    if not others:
        return []
    column = columns[rule.field]
    return [
        Check(
            mask=filled(column) & reduce(or_, [filled(other) for other in others]),
            code=Code.CONFLICTING_FIELDS,
            column=column.name,
            index=column.index,
            message=f"{column.name} must be empty where {' or '.join(other.name for other in others)} is filled",
            order=order,
        )
    ]


def _not_older_than(rule: NotOlderThan, columns: dict[str, Column], now: datetime, order: int) -> list[Check]:
    """Give two stages: whole days by expression, and the rows near the limit to the second."""
    column = columns[rule.field]
    longer = [(columns[name], days) for name, days in rule.days_with if name in columns]
    days: pl.Expr = pl.lit(rule.days)
    for other, limit in longer:
        days = pl.when(filled(other)).then(limit).otherwise(days)
    cell = value(column)
    day = cell.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    age = (pl.lit(now.date()) - day).dt.total_days()

    def refine(frame: pl.DataFrame, rows: Ints) -> Bools:
        limits = [rule.days] * len(rows)
        for other, limit in longer:
            marks = frame[column_name(other.index)].gather(rows).to_list()
            limits = [limit if mark.strip() else before for mark, before in zip(marks, limits, strict=True)]
        texts = frame[column_name(column.index)].gather(rows).to_list()
        return np.array([_older(text, now, limit) for text, limit in zip(texts, limits, strict=True)], np.bool_)

    allowed = f"{rule.days} days" + "".join(f" ({limit} with {other.name})" for other, limit in longer)
    return [
        Check(
            mask=(age >= days - 1).fill_null(False),
            code=Code.EVENT_TOO_OLD,
            column=column.name,
            index=column.index,
            message=f"{column.name} is further back than {allowed}",
            order=order,
            refine=refine,
        )
    ]


def _older(text: str, now: datetime, days: int) -> bool:
    """Tell whether a time is further back than some days; a time without an offset is in UTC."""
    try:
        moment = datetime.fromisoformat(text.upper().replace(",", "."))
    except ValueError:
        return False  # reported as no date
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return now - moment > timedelta(days=days)
