"""How some records fare: their shape, their values and what is needed to compare them with others.

What lives here: the judgement on one part of a file, which needs no other part; so several can be judged at once.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from models.data_type import DataType
from models.faults import PermanentError
from parsing.between import Keys, Prints, keys_of, plain_prints, together_column, together_expressions
from parsing.checks import Check, checks_of
from parsing.email_list import ListKind, two_columns
from parsing.findings import ERROR, Findings
from parsing.form import BAD, Bools, Form, Ints, Part
from parsing.header import Column
from parsing.options import Options
from parsing.reasons import with_cause
from parsing.records import Records
from parsing.rules import rule_checks
from parsing.values import column_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """Some records with what was found of them."""

    records: Records
    state: npt.NDArray[np.uint8]
    blank: int
    findings: Findings
    keys: Prints | None
    runs: Prints | None
    cut_off: bool
    fault: PermanentError | None


@dataclass(frozen=True)
class Demands:
    """What is demanded of rows with certain columns."""

    columns: tuple[Column, ...]
    data_type: DataType
    options: Options

    @cached_property
    def by_field(self) -> dict[str, Column]:
        """Give the known columns by the name of their field."""
        return {column.field.name: column for column in self.columns if column.field}

    @cached_property
    def keys(self) -> Keys | None:
        """Give the natural key."""
        return keys_of(self.by_field, self.data_type)

    @cached_property
    def together(self) -> Column | None:
        """Give the column whose equal values must stand together."""
        return together_column(self.by_field, self.data_type)

    @cached_property
    def plain(self) -> list[Check]:
        """Give the checks where no mark of a spreadsheet is in sight."""
        return self._checks(False)

    @cached_property
    def watchful(self) -> list[Check]:
        """Give the checks with those for marks that a spreadsheet leaves."""
        return self._checks(True)

    def _checks(self, damage: bool) -> list[Check]:
        found = [check for column in self.by_field.values() for check in checks_of(column, damage)]
        return found + rule_checks(self.by_field, self.data_type, self.options.now)

    @cached_property
    def wanted(self) -> list[int]:
        """Give the columns that something looks at."""
        return self._wanted(self.plain)

    @cached_property
    def wanted_watchful(self) -> list[int]:
        """Give the columns that something looks at where a spreadsheet may have left its traces."""
        return self._wanted(self.watchful)

    def _wanted(self, checks: list[Check]) -> list[int]:
        wanted = {check.index for check in checks} | (self.keys.columns() if self.keys else set())
        names = {column_name(column.index): column.index for column in self.by_field.values()}
        wanted |= {names[name] for check in checks for name in check.mask.meta.root_names()}
        if self.together:
            wanted.add(self.together.index)
        return sorted(wanted)


@dataclass
class Judge:
    """Judge parts of a file."""

    form: Form
    data_type: DataType
    options: Options
    kind: ListKind | None = None
    _demands: dict[int, Demands] = field(default_factory=dict)

    def demands(self, columns: tuple[Column, ...]) -> Demands:
        """Give what is demanded of rows with these columns, compiled once."""
        found = self._demands.get(len(columns))
        if found is None:
            found = self._demands[len(columns)] = Demands(columns, self.data_type, self.options)
        return found

    def _wanted(self, columns: tuple[Column, ...], damaged: bool) -> list[int]:
        demands = self.demands(columns)
        return demands.wanted_watchful if damaged else demands.wanted

    @property
    def settled(self) -> bool:
        """Tell whether parts may be judged in any order."""
        return self.form.settled and (self.kind is None or self.kind.known)

    def judge(self, records: Records, base: int, full: bool) -> Judged:
        """Judge some records, the first of which has the index ``base``."""
        findings = Findings(self.options.max_entries, full=full)
        part = self.form.read(records, self._wanted, base, findings)
        demands = self.demands(part.columns)
        frame, fault = part.frame, part.fault
        if self.kind is None:
            checks = demands.watchful if part.damaged else demands.plain
        else:
            if self.kind.plain_file and part.counted_wrong:
                fault = two_columns()
            frame = frame if part.tidy else self.kind.normalised(frame)
            checks, fault = self.kind.checks(frame, fault)
        seen, untidy = self._check(frame, checks, demands, part, base, findings)
        return Judged(
            records=records, state=part.state, blank=part.blank, findings=findings, cut_off=part.cut_off, fault=fault,
            keys=_spread(demands.keys.prints(seen, frame), part) if demands.keys else None,
            runs=_spread(plain_prints(seen, ~untidy), part) if demands.together else None,
        )  # fmt: skip

    def _check(
        self, frame: pl.DataFrame, checks: list[Check], demands: Demands, part: Part, base: int, findings: Findings
    ) -> tuple[pl.DataFrame, Bools]:
        """Run every check; give what rows are compared by, and where the column of ``together`` is not usable."""
        wanted = demands.keys.expressions() if demands.keys else []
        wanted += together_expressions(demands.together) if demands.together else []
        seen = frame.select(*(check.mask.alias(str(i)) for i, check in enumerate(checks)), *wanted)
        untidy = np.zeros(frame.height, np.bool_)
        if not frame.height:
            return seen, untidy
        counts = seen.select(pl.col(str(i)).sum() for i in range(len(checks))).row(0) if checks else ()
        for number, check in enumerate(checks):
            if not counts[number]:
                continue
            hits = np.flatnonzero(seen[str(number)].to_numpy())
            if check.refine:
                hits = hits[check.refine(frame, hits)]
            if check.severity == ERROR:
                part.state[part.where[hits]] = BAD
                if demands.together and demands.together.index == check.index:
                    untidy[hits] = True
            self._keep(check, frame, part.where, hits, base, findings)
        return seen, untidy

    def _keep(self, check: Check, frame: pl.DataFrame, where: Ints, hits: Ints, base: int, findings: Findings) -> None:
        values = frame[column_name(check.index)].gather(hits[: findings.limit]) if not findings.full else None
        message = check.message if values is None else with_cause(check.message, values)
        findings.add(
            where[hits] + base, check.code, check.severity, message, order=check.order, column=check.column,
            values=values,
        )  # fmt: skip


def _spread(prints: Prints, part: Part) -> Prints:
    """Give the fingerprints of all records, 0 for those that were not read."""
    spread = np.zeros(len(part.state), np.uint64)
    spread[part.where] = prints
    return spread
