"""The one parser: a function of a file's bytes.

What lives here: the first steps of a file, up to where its rows can be read, and what becomes of a refusal.
"""

from pathlib import Path

from models.codes import Code
from models.data_type import DataType
from models.faults import PermanentError
from parsing.email_list import read_list_header
from parsing.encoding import Encoding, first_invalid, likely_encoding, recognise, refuse
from parsing.header import Header, read_header
from parsing.options import Options
from parsing.policy import check_policy
from parsing.reading import Reading
from parsing.record import raw_cells
from parsing.report import Report, rejected, report_of
from parsing.source import Source
from parsing.structure import Scanner


def parse(path: Path, data_type: DataType, options: Options) -> Report:
    """Read a file as one data type and report every bad row; raise ValueError where the options are wrong."""
    check_policy(options.policy)
    if options.now.tzinfo is None:
        raise ValueError("Options.now must say its time zone.")
    source = Source(path)
    encoding: Encoding | None = None
    header: Header | None = None
    try:
        encoding = recognise(source)
        bad = first_invalid(source, encoding.start)
        if bad is not None:
            raise _invalid(source, encoding, data_type, bad)
        header = _header(source, encoding, data_type)
    except PermanentError as error:
        return rejected(error.fault, encoding, header)
    reading = Reading(source, header, data_type, options)
    fault = None
    try:
        reading.run()
    except PermanentError as error:
        fault = error.fault
    return report_of(reading, encoding, fault, options)


def _header(source: Source, encoding: Encoding, data_type: DataType) -> Header:
    read = read_list_header if data_type.layout == "list" else read_header
    return read(source, encoding.start, data_type)


def _invalid(source: Source, encoding: Encoding, data_type: DataType, bad: int) -> PermanentError:
    """Say where the first byte that is not UTF-8 stands, and what the file probably is in."""
    sample = bytes(source.data[max(encoding.start, bad - 200) : bad + 200])
    where = f"byte {bad}{_place(source, encoding, data_type, bad)}"
    advice = f"It is probably {likely_encoding(sample)}; save it as UTF-8 (in Excel: CSV UTF-8) and send it again."
    return refuse(Code.ENCODING_INVALID, f"The file is not UTF-8: {where} (0x{source.data[bad]:02X}). {advice}")


def _place(source: Source, encoding: Encoding, data_type: DataType, bad: int) -> str:
    """Name row and column of an offset, as far as the header lets us."""
    try:
        header = _header(source, encoding, data_type)
    except PermanentError:
        return ""
    if bad < header.after:
        return ", row 1"
    index = 0
    for records in Scanner(source, header.after, header.delimiter, header.width).batches():
        if bad >= records.after[-1]:
            index += len(records)
            continue
        here = int(records.start.searchsorted(bad, "right")) - 1
        cell = len(raw_cells(bytes(source.data[records.start[here] : bad]), header.delimiter)) - 1
        offset = header.width - len(header.names)
        names = header.names[cell - offset : cell - offset + 1] if cell >= offset else ()
        return f", row {header.first_row + index + here}" + "".join(f", column {name}" for name in names)
    return ""
