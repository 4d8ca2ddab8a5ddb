"""The one parser: a function of a file's bytes.

What lives here: the first steps of a file, up to where its rows can be read, and what becomes of a refusal. The
search for records begins before the libraries for values are loaded, which takes as long as the search does.
"""

from collections.abc import Iterator
from pathlib import Path

from models.data_type import DataType
from models.faults import Fault, PermanentError
from parsing.ahead import Ahead
from parsing.csv_form import CsvForm
from parsing.described import Described, describe
from parsing.encoding import Encoding, NotDecodable, encoding_of, known_encoding
from parsing.form import Form
from parsing.header import read_header
from parsing.list_form import ListForm, read_list_header
from parsing.options import Options
from parsing.policy import check_policy
from parsing.recognise import is_json, refuse_archives
from parsing.record import MAX_LINE
from parsing.records import Records
from parsing.report import Report, rejected, report_of
from parsing.source import Source
from parsing.utf8 import NotUtf8, check, checked

DEPTH = 3  #: batches that the search for records may be ahead


def parse(path: Path, data_type: DataType, options: Options) -> Report:
    """Read a file as one data type and report every bad row; raise ValueError where the options are wrong."""
    _check_options(data_type, options)
    source = Source(path)
    encoding: Encoding | None = None
    form: Form | None = None
    try:
        refuse_archives(source)
        encoding = encoding_of(source, options.encoding)
        start = encoding.start
        if encoding.name != "utf-8":
            from parsing.transcode import transcoded

            source, start = transcoded(source, encoding), 0
        form = _form(source, start, data_type, options)
        return _read(form, encoding, data_type, options)
    except PermanentError as error:
        fault = error.fault
    except NotDecodable as error:
        from parsing.invalid import not_decodable

        assert encoding is not None
        fault = not_decodable(error, source, encoding, data_type, options)
    except NotUtf8 as error:
        from parsing.invalid import not_utf8

        assert encoding is not None
        fault = not_utf8(error, source, encoding, data_type, options)
    return rejected(fault, encoding, _described(form, data_type) if form else None)


def _check_options(data_type: DataType, options: Options) -> None:
    check_policy(options.policy)
    if options.now.tzinfo is None:
        raise ValueError("Options.now must say its time zone.")
    if options.format not in {"", "csv", "jsonl"}:
        raise ValueError(f"The format must be csv or jsonl, not {options.format!r}.")
    if options.encoding:
        known_encoding(options.encoding)
    for ours in options.columns.values():
        if data_type.field(ours) is None:
            raise ValueError(f"columns names {ours}, which is no column of {data_type.name}.")


def _form(source: Source, start: int, data_type: DataType, options: Options) -> Form:
    """Give the form of a file; raise PermanentError where its header is wrong."""
    json = is_json(source, start)
    if (json and options.format != "csv") or options.format == "jsonl":
        from parsing.json_form import JsonForm

        return JsonForm(source, start, data_type.without_scalars(), options)
    check(source, start, min(source.line_end(start), start + MAX_LINE))
    if data_type.layout == "list":
        return ListForm(source, read_list_header(source, start, data_type, options.columns))
    return CsvForm(source, read_header(source, start, data_type, options.columns))


def _read(form: Form, encoding: Encoding, data_type: DataType, options: Options) -> Report:
    batches: Iterator[Records] = form.batches()
    ahead = Ahead(checked(form.source, batches), DEPTH)
    try:
        from parsing.reading import Reading

        reading = Reading(form, data_type, options)
        fault: Fault | None = None
        try:
            reading.run(ahead)
        except PermanentError as error:
            fault = error.fault
        return report_of(reading, _described(form, data_type), encoding, fault, options)
    finally:
        ahead.close()


def _described(form: Form, data_type: DataType) -> Described:
    if isinstance(form, CsvForm):
        return describe(form.header)
    from parsing.json_form import JsonForm

    assert isinstance(form, JsonForm)
    return form.described(data_type)
