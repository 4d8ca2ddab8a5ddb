"""The list as a form of file: one column, and no header line but by mistake.

What lives here: what makes a file's first line no header. What its values must be stands in ``parsing.email_list``.
"""

from models.codes import Code
from models.data_type import DataType
from models.result import Warning_
from parsing.csv_form import CsvForm
from parsing.header import Column, Header, first_record, is_mended, read_header
from parsing.names import Names, trimmed
from parsing.record import MAX_LINE, cells_of, read_record
from parsing.source import Source


def read_list_header(source: Source, start: int, data_type: DataType, theirs: Names) -> Header:
    """Give the header of a list: none, a lone line with the column's name, or that of a mended errors file."""
    field = data_type.fields[0]
    record, delimiter, _ = first_record(source, start, data_type, theirs)
    if is_mended(cells_of(bytes(source.data[record.start : min(record.end, record.start + MAX_LINE)]), delimiter)):
        return read_header(source, start, data_type, theirs)
    first = read_record(source, start, ",", 1, MAX_LINE)
    cells = cells_of(bytes(source.data[first.start : min(first.end, first.start + MAX_LINE)]), ",")
    skipped = [trimmed(cell).casefold() for cell in cells] == [field.name.casefold()]
    warning = Warning_(
        code=Code.HEADER_SKIPPED,
        message=f"The first line, {cells[0].strip()}, was taken as a header.",
        column=field.name,
    )
    return Header(
        after=first.after if skipped else start,
        first_row=2 if skipped else 1,
        first_line=1 + first.lines if skipped else 1,
        delimiter=",",
        width=1,
        raw=b"",
        names=(field.name,),
        columns=(Column(index=0, name=field.name, field=field),),
        warnings=(warning,) if skipped else (),
    )


class ListForm(CsvForm):
    """Read a list whose header is known."""

    folded = True
