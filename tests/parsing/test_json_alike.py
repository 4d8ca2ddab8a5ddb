"""Lines of JSON Lines that are written alike: what is read of them is what the exact reader says, byte for byte."""

import csv
import json
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.descriptor import data_type_from_descriptor
from parsing import json_form, json_reader
from parsing.json_alike import Lines, read_alike
from parsing.json_line import LineFault, read_line
from parsing.json_lines import scan_lines
from parsing.json_template import Template, template_of
from parsing.record import BLANK, CONTROL
from parsing.source import Source
from parsing.utf8 import NotUtf8
from tests.parsing.parsing_helpers import errors_of, parsed, said

KIND = data_type_from_descriptor(
    {"name": "kind", "fields": [{"name": n} for n in ("a", "bc", "d.e", "f")], "families": [{"prefix": "g."}]}
)
OPENED = {"d", "d.g", "g"}


def opens(name: str) -> bool:
    return name in OPENED


def template(line: bytes) -> Template:
    found = template_of(line, opens)
    assert found
    return found


def alike(text: list[bytes], *templates: Template) -> dict[int, dict[str, str]]:
    """Give what is read of some lines by their number."""
    pad = max(t.window for t in templates)
    ends = np.array(list(accumulate(len(line) + 1 for line in text)), np.int64) - 1 + pad
    begins = ends - np.array([len(line) for line in text])
    plain = np.array([not any(byte < 32 for byte in line) for line in text])
    buffer = np.frombuffer(bytes(pad) + b"\n".join(text) + bytes(pad), np.uint8)
    found, _ = read_alike(Lines(buffer, begins, ends, plain), templates)
    rows: dict[int, dict[str, str]] = {}
    for some in found:
        table = some.columns({name: name for name in some.names}).to_dicts()
        assert not rows.keys() & set(some.which.tolist())
        rows |= dict(zip(some.which.tolist(), table, strict=True))
    return rows


def exactly(line: bytes) -> dict[str, Any] | None:
    try:
        return dict(read_line(line, opens))
    except LineFault:
        return None


GOOD = b'{"a": "x", "bc": 1, "f": "y"}'
#: lines that differ little from a good one, and whether they may be read as those
LIKE_IT = [
    (b'{"a": "", "bc": 2, "f": "z"}', True),
    (b'{"a": "x", "bc": -1.50e+3, "f": "y"}', True),
    (b'{"a": null, "bc": null, "f": null}', True),
    (b'{"a": true, "bc": "1", "f": false}', True),
    ('{"a": "é😀\u2028", "bc": 1, "f": "{[,:}"}'.encode(), True),
    (b'{"a": 123456789012345678901234567890, "bc": 1, "f": "y"}', True),
    (b'{"a": "x", "bc": 01, "f": "y"}', False),
    (b'{"a": "x", "bc": 1., "f": "y"}', False),
    (b'{"a": "x", "bc": , "f": "y"}', False),
    (b'{"a": "x", "bc": NaN, "f": "y"}', False),
    (b'{"a": "x", "bc": nul, "f": "y"}', False),
    (b'{"a": "x", "bc": [1], "f": "y"}', False),
    (b'{"a": "x", "bc": {}, "f": "y"}', False),
    (b'{"a": "x", "bc": 1 , "f": "y"}', False),
    (b'{"a": "x", "bc":  1, "f": "y"}', False),
    (b'{"a": "x"y", "bc": 1, "f": "y"}', False),
    (b'{"a": "x", "y", "bc": 1, "f": "y"}', False),
    (b'{"a": "x", "a": "x", "bc": 1, "f": "y"}', False),
    (b'{"a": "x", "bc": 1, "f": "y", "a": "x"}', False),
    (b'{"a": "x", "a": 1, "f": "y"}', False),
    (b'{"a": "x", "bc": 1, "f": "y"} ', False),
    (b' {"a": "x", "bc": 1, "f": "y"}', False),
    (b'{"a": "x", "bc": 1, "f": "y"}}', False),
    (b'{"a": "x", "bc": 1, "f": "y"', False),
    (b'{"a": "x", "bc": 1, "f": "y}', False),
    (b'{"a": ", "bc": 1, "f": "y"}', False),
    (b'{"a": "x, "bc": 1, "f": "y"}', False),
    (b'{"a": x", "bc": 1, "f": "y"}', False),
    (b'{"a": "\\u0078", "bc": 1, "f": "y"}', False),
    (b'{"a": "\\", "bc": 1, "f": "y"}', False),
    (b'{"a": "\\ud800", "bc": 1, "f": "y"}', False),
    (b'{"a": "\t", "bc": 1, "f": "y"}', False),
    (b'{"a": "\0", "bc": 1, "f": "y"}', False),
    (b'{"a":\t"x", "bc": 1, "f": "y"}', False),
    (b'{"A": "x", "bc": 1, "f": "y"}', False),
    (b'{"bc": 1, "a": "x", "f": "y"}', False),
    (b'{"a": "x", "bc": 1}', False),
    (b'["a": "x", "bc": 1, "f": "y"]', False),
    (b"{}", False),
    (b"", False),
]


@pytest.mark.parametrize(("line", "taken"), LIKE_IT)
def test_lines_that_differ_little(line: bytes, taken: bool) -> None:
    sound = {"a": "x", "bc": "1", "f": "y"}
    for text, place in (([line], 0), ([GOOD, line, GOOD], 1), ([GOOD] * 100 + [line], 100)):
        rows = alike(text, template(GOOD))
        assert (place in rows) is taken
        assert [rows[i] for i in range(len(text)) if i != place] == [sound] * (len(text) - 1)
        if taken:
            assert rows[place] == exactly(line)


LONG = b'{"a name of some length": "x", "b": 12 , "another, longer name of one more": "y", "d": {"e": null}, "z": ""}'


@pytest.mark.parametrize("line", [GOOD, LONG, LONG.replace(b" ", b"")])
def test_every_byte_of_a_line_counts(line: bytes) -> None:
    """Each byte in turn is taken out, doubled or made another; what is still taken is read as it stands."""
    changed = [line[:i] + new + line[i + 1 :] for i in range(len(line)) for new in BYTE_FOR_BYTE]
    changed += [line[: i + 1] + line[i:] for i in range(len(line))]
    found = template(line)
    for i, row in alike([line, *changed], found).items():
        assert row == exactly([line, *changed][i])
    for other in changed:
        assert alike([line, other], found).get(1, exactly(other)) == exactly(other)


BYTE_FOR_BYTE = [b"", b'"', b":", b",", b" ", b"{", b"}", b"0", b"x"]


def test_what_a_template_is() -> None:
    found = template(b'{"a":1, "d": {"e": "x", "g": {}}, "f": null}')
    assert found.around == (b'{"a":', b', "d": {"e": ', b', "g": {}}, "f": ', b"}")
    assert (found.names, found.quoted, found.marks) == (("a", "d.e", "f"), (False, True, False), 5)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"a" : 1}',
        b'{"a": [1]}',
        b'{"a": {"b": 1}}',
        b'{"a": "\\n"}',
        b'{"\\u0061": 1}',
        b'{"a":\t1}',
        b'{"d": {}}',
    ],
)
def test_lines_without_a_template(line: bytes) -> None:
    assert template_of(line, opens) is None


def test_names_and_values_that_look_like_marks() -> None:
    line = b'{":a": ":", "b:": "x", "f": "::"}'
    assert alike([b'{":a": "y", "b:": "", "f": "z"}', line], template(line)) == {0: {":a": "y", "b:": "", "f": "z"}}


def test_several_templates_in_turn() -> None:
    short = b'{"a": "s"}'
    rows = alike([GOOD, short, b'{"x": 1}', GOOD], template(GOOD), template(short))
    assert (sorted(rows), rows[1]) == ([0, 1, 3], {"a": "s"})


TEXTS = st.text(st.sampled_from('ab:,"{}[]\\/\n\té😀\u2028 1'), max_size=6)
PLAIN = st.text(st.sampled_from("ab:,{}[]/é😀\u2028 1"), max_size=12)
VALUES = st.one_of(
    PLAIN, PLAIN, TEXTS, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()
)
SHAPES = st.lists(st.sampled_from(["a", "bc", "f", "other", "d", "g"]), unique=True, min_size=1, max_size=6)
STYLES = st.sampled_from([(",", ":"), (", ", ": ")])
MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, 30), st.integers(0, 200), st.integers(0, 2),
        st.sampled_from(['"', ",", "}", "{", "0", "null", '"a":1,', '": "', '":', ":", " "])
        | st.sampled_from(["\\", "]", "-", "\t", "é", "\0", ""]),
    ),
    max_size=4,
)  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> list[str]:
    """Lines of one shape, some of them with one name fewer, some mutated."""
    names, separators = draw(SHAPES), draw(STYLES)
    lines = []
    for _ in range(draw(st.integers(1, 12))):
        row: dict[str, Any] = {}
        for name in names:
            inner = {"d": ["e"], "g": ["h", "i"]}.get(name)
            row[name] = {key: draw(VALUES) for key in inner} if inner else draw(VALUES)
        if draw(st.integers(0, 5)) == 0:
            row.pop(names[0])
        lines.append(json.dumps(row, ensure_ascii=draw(st.integers(0, 4)) == 0, separators=separators))
    for which, place, gone, text in draw(MUTATIONS):
        line = lines[which % len(lines)]
        at = place % (len(line) + 1)
        lines[which % len(lines)] = line[:at] + text + line[at + gone :]
    return lines


@settings(max_examples=500, deadline=None)
@given(tables())
def test_what_is_taken_is_what_the_exact_reader_says(lines: list[str]) -> None:
    text = [line.encode("utf-8", "replace") for line in lines]
    known = [found for line in text if exactly(line) is not None and (found := template_of(line, opens))]
    if not known:
        return
    rows = alike(text, *dict.fromkeys(known[:3]))
    for i, row in rows.items():
        assert row == exactly(text[i])
    for i, line in enumerate(text):
        # a value that begins with a colon looks like the end of a name
        if exactly(line) is not None and template_of(line, opens) == known[0] and line.count(b'":') == known[0].marks:
            assert i in rows


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_a_file_is_read_as_line_by_line(tmp_path: Path, lines: list[str], end: str, few: bool) -> None:
    data = end.join(['{"a":"1"}', *lines]).encode("utf-8", "replace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_form, "FEW", 0 if few else 1000)
        fast = parsed(tmp_path, data, KIND, format="jsonl")
        patch.setattr(json_form, "TEMPLATES", 0)
        patch.setattr(json_reader, "read_lines", lambda *_: None)
        exact = parsed(tmp_path, data, KIND, format="jsonl")
    assert errors_of(fast) == errors_of(exact)
    assert fast.summary == exact.summary
    assert fast.accepted_bitmap() == exact.accepted_bitmap()
    fast.write_accepted(tmp_path / "fast.csv")
    exact.write_accepted(tmp_path / "exact.csv")
    assert accepted(tmp_path / "fast.csv") == accepted(tmp_path / "exact.csv")


def accepted(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: cell for name, cell in row.items() if cell} for row in csv.DictReader(file)]


def test_lines_written_alike_are_not_read_singly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    line = json_form.JsonForm.line
    monkeypatch.setattr(json_form.JsonForm, "line", lambda self, r, i: read.append(i) or line(self, r, i))
    monkeypatch.setattr(json_reader, "read_lines", lambda *_: pytest.fail("nothing is left for the other reader"))
    lines = [f'{{"a": {i}, "bc": "é{i}", "g": {{"x": null}}}}' for i in range(5000)]
    lines[3000] = '{"a": 3000, "bc": "x"y", "g": {"x": null}}'
    report = parsed(tmp_path, "\n".join(lines) + "\n", KIND)
    assert (said(report), read) == ([(3001, "", "JSON_INVALID")], [3000])


def test_traces_of_a_spreadsheet_are_looked_for(tmp_path: Path) -> None:
    for value in ("#REF!", "1.5E+11", "\\u0023REF!", "1\\u0045\\u002b11", "1\\u0045+11"):
        lines = ['{"a": "x"}'] * 50
        lines[30] = f'{{"a": "{value}"}}'
        assert said(parsed(tmp_path, "\n".join(lines), KIND)) == [(31, "a", "SPREADSHEET_DAMAGE")]


BYTES = st.lists(
    st.sampled_from([b"{", b"a", b'"', b"\n", b"\r", b"\r\n", b"\t", b"\0", b"\x7f", "é".encode(), "😀".encode()])
    | st.sampled_from([b"\xc3", b"\x80", b"\xed\xa0\x80", b"\xf5", b"\xe2\x82"]),
    min_size=1, max_size=30,
).map(b"".join)  # fmt: skip


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BYTES, st.integers(1, 40), st.integers(1, 9), st.integers(1, 100))
def test_lines_of_any_bytes(tmp_path: Path, data: bytes, block: int, piece: int, dilution: int) -> None:
    """The scan finds the lines, the first byte that is not UTF-8, and control characters."""
    data = data.replace(b"a", b"a" * dilution)
    path = tmp_path / "input"
    path.write_bytes(data)
    mark = b"\n" if b"\n" in data or b"\r" not in data else b"\r"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("parsing.json_lines.BLOCK", block)
        patch.setattr("parsing.json_lines.PIECE", piece)
        found = []
        offset = None
        try:
            for records in scan_lines(Source(path), 0):
                found += list(zip(*(x.tolist() for x in (records.start, records.end, records.flags)), strict=True))
        except NotUtf8 as error:
            offset = error.offset
    assert offset == first_wrong(data)
    if offset is not None:
        return
    lines = data.split(mark)
    lines = lines if lines[-1] else lines[:-1]
    if mark == b"\n":
        ended = len(lines) if data.endswith(mark) else len(lines) - 1
        lines = [x.removesuffix(b"\r") if i < ended else x for i, x in enumerate(lines)]
    assert [data[start:end] for start, end, _ in found] == lines
    assert [bool(flags & CONTROL) for _, _, flags in found] == [any(b < 32 for b in line) for line in lines]
    assert [bool(flags & BLANK) for _, _, flags in found] == [not line for line in lines]


def first_wrong(data: bytes) -> int | None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None
