"""The refusal of a file that is not in its encoding: where the first wrong byte stands, and what it probably is.

What lives here: the sentence. Finding the byte is done before.
"""

import codecs

from models.codes import Code
from models.data_type import DataType
from models.faults import Fault, PermanentError
from parsing.encoding import Encoding, NotDecodable, likely_encoding
from parsing.header import Header, read_header
from parsing.list_form import read_list_header
from parsing.options import Options
from parsing.recognise import is_json
from parsing.record import raw_cells
from parsing.source import Source
from parsing.structure import Scanner
from parsing.utf8 import NotUtf8

_NEAR = 200  #: bytes on both sides that the likely encoding is told from


def not_utf8(error: NotUtf8, source: Source, encoding: Encoding, data_type: DataType, options: Options) -> Fault:
    """Say where the first byte that is not UTF-8 stands, and what the file probably is in."""
    bad = error.offset
    if _is_cut(bytes(source.data[bad : bad + 4]), encoding.name):
        return _cut(bad, _place(source, encoding.start, bad, data_type, options))
    sample = bytes(source.data[max(encoding.start, bad - _NEAR) : bad + _NEAR])
    where = f"byte {bad}{_place(source, encoding.start, bad, data_type, options)}"
    advice = f"It is probably {likely_encoding(sample)}; save it as UTF-8 (in Excel: CSV UTF-8) and send it again."
    message = f"The file is not UTF-8: {where} (0x{source.data[bad]:02X}). {advice}"
    return Fault(code=Code.ENCODING_INVALID, message=message)


def not_decodable(
    error: NotDecodable, source: Source, encoding: Encoding, data_type: DataType, options: Options
) -> Fault:
    """Say where the first byte that cannot be decoded stands."""
    bad = error.offset
    if _is_cut(bytes(source.data[bad : bad + 4]), encoding.name):
        return _cut(bad, _place(error.read, 0, error.read.size, data_type, options))
    where = f"byte {bad}{_place(error.read, 0, error.read.size, data_type, options)}"
    message = (
        f"The file is not {encoding.name}: {where} (0x{source.data[bad]:02X}). Save it as UTF-8 and send it again."
    )
    return Fault(code=Code.ENCODING_INVALID, message=message)


def _is_cut(tail: bytes, encoding: str) -> bool:
    """Tell whether the last bytes of a file, four at most, are the beginning of one character."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        return len(tail) < 4 and decoder.decode(tail) == ""
    except UnicodeDecodeError:
        return False


def _cut(bad: int, place: str) -> Fault:
    """Say that a file ends inside a character."""
    message = (
        f"The file ends in the middle of a character: byte {bad}{place}. It was probably cut off, or is not UTF-8; "
        "send it again whole, saved as UTF-8."
    )
    return Fault(code=Code.ENCODING_INVALID, message=message)


def _place(source: Source, start: int, bad: int, data_type: DataType, options: Options) -> str:
    """Name row and column of an offset, as far as the header lets us."""
    try:
        if is_json(source, start):
            return f", row {1 + bytes(source.data[start:bad]).count(10)}"
        read = read_list_header if data_type.layout == "list" else read_header
        header = read(source, start, data_type, options.columns)
    except PermanentError:
        return ""
    if bad < header.after or (bad == header.after and source.data[bad - 1] not in b"\r\n"):
        return ", row 1"
    return _row_and_column(source, header, bad)


def _row_and_column(source: Source, header: Header, bad: int) -> str:
    index = 0
    start = header.after
    for records in Scanner(source, header.after, header.delimiter, header.width).batches():
        here = int(records.start.searchsorted(bad, "right")) - 1
        start = int(records.start[here])
        if bad < records.after[-1]:
            index += here
            break
        index += len(records)
        start = int(records.after[-1])
        if start > bad or records.after[-1] == records.end[-1]:  # the file ends inside this record
            index, start = index - 1, int(records.start[-1])
    cell = len(raw_cells(bytes(source.data[start:bad]), header.delimiter)) - 1
    offset = header.width - len(header.names)
    names = header.names[cell - offset : cell - offset + 1] if cell >= offset else ()
    return f", row {header.first_row + index}" + "".join(f", column {name}" for name in names)
