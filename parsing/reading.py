"""The way of one file through the stages: structure, values, checks, and what rows are towards each other.

What lives here: the order of things and the bookkeeping between them. Each stage decides in its own module.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from models.codes import Code
from models.data_type import DataType
from parsing.ahead import in_order
from parsing.between import Repeat, apart, repeated
from parsing.email_list import ListKind
from parsing.encoding import refuse
from parsing.findings import ERROR, MAX_VALUE, WARNING, Findings
from parsing.form import BAD, GOOD, SAME, Form
from parsing.header import Column
from parsing.judging import Judge, Judged
from parsing.options import Options
from parsing.records import Records
from parsing.rows import Rows

if TYPE_CHECKING:
    from parsing.ahead import Ahead

BLANK_SHARE = 4  #: with its blank lines a file may have so many times the rows allowed
_LAST = 1 << 24  #: findings between rows come behind all others of a row


class Reading:
    """Read one file whose header is known, gathering rows and findings."""

    def __init__(self, form: Form, data_type: DataType, options: Options) -> None:
        self.form, self.data_type, self.options = form, data_type, options
        self.findings = Findings(options.max_entries)
        self.cut_off = False  #: the last record is unfinished
        self.rows = Rows(form)
        self._judge = Judge(form, data_type, options, ListKind(form) if form.folded else None)
        self._prints: list[npt.NDArray[np.uint64]] = []
        self._runs: list[npt.NDArray[np.uint64]] = []
        self._submitted = 0

    def run(self, batches: "Ahead[Records]") -> None:
        """Read the whole file; raise PermanentError where it is rejected."""
        real = 0
        try:
            for judged in in_order(iter(batches), self._prepare, lambda: self._judge.settled, self.form.threads):
                real += self._take(judged)
                if real > self.options.max_rows or self.rows.count > BLANK_SHARE * self.options.max_rows:
                    message = f"The file has more than {self.options.max_rows} rows; split it into smaller files."
                    raise refuse(Code.TOO_MANY_ROWS, message)
        finally:
            batches.close()
            self.rows.close()
        self._judge_between()

    def _prepare(self, records: Records) -> Callable[[], Judged]:
        base, self._submitted = self._submitted, self._submitted + len(records)
        return lambda: self._judge.judge(records, base, self.findings.full)

    def _take(self, judged: Judged) -> int:
        """Take over what was judged; give how many of the records are rows."""
        self.findings.merge(judged.findings)
        self.cut_off |= judged.cut_off
        if judged.keys is not None:
            self._prints.append(judged.keys)
        if judged.runs is not None:
            self._runs.append(judged.runs)
        self.rows.blank += judged.blank
        self.rows.add(judged.records, judged.state)
        self.form.source.release(int(judged.records.start[0]))
        if self.options.progress:
            self.options.progress(int(judged.records.after[-1]), self.form.source.size)
        if judged.fault:
            raise judged.fault
        return int(np.count_nonzero(judged.state))

    def _judge_between(self) -> None:
        demands = self._judge.demands(self.form.columns)
        if self._runs and demands.together:
            self._judge_apart(apart(np.concatenate(self._runs)), demands.together)
        if self._prints and demands.keys:
            found = repeated(np.concatenate(self._prints), self.rows.compared, demands.keys)
            self._judge_repeated(sorted(found, key=lambda repeat: repeat.index))

    def _judge_apart(self, found: npt.NDArray[np.int64], column: Column) -> None:
        self.rows.state[found] = BAD
        message = f"The rows with this {column.name} do not stand together; put them one below the other"
        values = [self._value(i, column.index) for i in found[: self.options.max_entries].tolist()]
        self.findings.add(
            found, Code.ORDER_NOT_TOGETHER, ERROR, message, order=_LAST, column=column.name, values=values
        )

    def _judge_repeated(self, found: list[Repeat]) -> None:
        state = self.rows.state
        for same in (False, True):
            some = [repeat for repeat in found if repeat.same is same]
            which = np.array([repeat.index for repeat in some], np.int64)
            state[which] = np.where(state[which] == GOOD, SAME, state[which]) if same else BAD
            shown = some[: self.options.max_entries]
            self.findings.add(
                which, Code.DUPLICATE_ROW, WARNING if same else ERROR, [self._repeats(repeat) for repeat in shown],
                order=_LAST + 1, column=[repeat.names for repeat in shown],
                values=[repeat.value[:MAX_VALUE] for repeat in shown],
            )  # fmt: skip

    def _repeats(self, repeat: Repeat) -> str:
        what = "is the same as" if repeat.same else f"has the key ({repeat.names}) of"
        return f"This row {what} row {self.rows.row(repeat.first)}; keep one of them"

    def _value(self, index: int, column: int) -> str:
        return self.rows.compared(index)[column][:MAX_VALUE]
