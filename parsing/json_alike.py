"""Lines of JSON Lines that are written alike: proven to be, and their values taken from where they stand.

What lives here: the fastest way to read lines. Every name ends with a quote and a colon, which in a line without
backslashes stand nowhere else in sound JSON. So where these marks are tells where the values are; a line is taken if
the bytes around the values are those of the template, each value is in quotes or a sound single value, and the line
has no further quote. Then every byte of it is accounted for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from parsing.json_template import Template
from parsing.slices import slices

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PIECE = 1 << 18  #: bytes that are looked at together, so that they stay near
NEAR = 1 << 18  #: the same, of what is compared
SPARSE = 32  #: up to one line in so many is looked at by itself
SINGLE = r"^(?:null|true|false|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)$"
_QUOTE, _COLON, _BACKSLASH = 34, 58, 92


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a buffer, one behind the other; bytes before and behind them may be looked at."""

    buffer: Bytes
    begins: Ints
    ends: Ints
    plain: Bools  #: which hold no control characters


@dataclass(frozen=True, slots=True)
class Alike:
    """Some lines that are written alike, with the places of their values: a row for each line, a column for each."""

    buffer: Bytes
    which: Ints  #: of the lines
    names: tuple[str, ...]
    edges: Ints  #: where the bytes before each value end, and those behind the last one
    lead: Ints  #: bytes between that place and the value's text; one row where it is the same in all lines
    tail: Ints  #: bytes between the text and the end of the bytes behind it; one row or as many as lines
    quotes: Ints  #: that each line has if it is sound

    def only(self, kept: Bools) -> "Alike":
        """Give some of the lines."""
        if kept.all():
            return self
        lead, tail = (some if len(some) == 1 else some[kept] for some in (self.lead, self.tail))
        return replace(
            self, which=self.which[kept], edges=self.edges[kept], lead=lead, tail=tail, quotes=self.quotes[kept]
        )

    def columns(self, names: dict[str, str]) -> pl.DataFrame:
        """Give the texts of some values under other names."""
        places = [place for place, name in enumerate(self.names) if name in names]
        edges = self.edges[:, [edge for place in places for edge in (place, place + 1)]]
        edges[:, ::2] += self.lead[:, places]
        edges[:, 1::2] -= self.tail[:, places]
        return slices(self.buffer, edges, [names[self.names[place]] for place in places])


def read_alike(lines: Lines, templates: tuple[Template, ...]) -> tuple[list[Alike], bool]:
    """Give the lines that are written like one of the templates; what is not given is not known.

    Tells also whether a value may hold traces of a spreadsheet.
    """
    marks = _marks(lines)
    free = lines.plain.copy()
    if len(marks.slashes):
        free &= np.searchsorted(marks.slashes, lines.ends) == np.searchsorted(marks.slashes, lines.begins)
    found = []
    for template in templates:
        for some in _read_template(lines, template, marks.names, free):
            free[some.which] = False
            found.append(some)
    if sum(int(some.quotes.sum()) for some in found) != marks.quotes - _left_quotes(lines, found):
        at = np.flatnonzero(lines.buffer == _QUOTE)
        held = np.searchsorted(at, lines.ends) - np.searchsorted(at, lines.begins)
        found = [some.only(some.quotes == held[some.which]) for some in found]
    return found, marks.traces


def _left_quotes(lines: Lines, found: list[Alike]) -> int:
    """Count the quotes of the lines that were not found, where they are few.

    All others together have as many as they must have if each has, since none can have fewer.
    """
    left = np.ones(len(lines.begins), np.bool_)
    for some in found:
        left[some.which] = False
    few = np.flatnonzero(left)
    if len(few) > len(left) // SPARSE:
        return 0
    edges = zip(lines.begins[few].tolist(), lines.ends[few].tolist(), strict=True)
    return sum(lines.buffer[begin:end].tobytes().count(b'"') for begin, end in edges)


@dataclass(frozen=True, slots=True)
class _Marks:
    names: Ints  #: where quotes stand before a colon
    slashes: Ints  #: where backslashes are
    quotes: int
    traces: bool  #: a value may hold traces of a spreadsheet


def _marks(lines: Lines) -> _Marks:
    """Look at each byte of the lines."""
    none = np.empty(0, np.int64)
    names, slashes, quotes, traces = [none], [none], 0, False
    quote, other = np.zeros(PIECE + 1, np.bool_), np.empty(PIECE, np.bool_)
    start, stop = int(lines.begins[0]), int(lines.ends[-1])
    for at in range(start, stop, PIECE):
        piece = lines.buffer[at : min(at + PIECE, stop)]
        here, found = quote[1 : len(piece) + 1], other[: len(piece)]
        np.equal(piece, _QUOTE, out=here)
        quotes += int(np.count_nonzero(here))
        np.equal(piece, _COLON, out=found)
        np.logical_and(found, quote[: len(piece)], out=found)
        names.append(np.flatnonzero(found) + (at - 1))
        quote[0] = here[-1]
        raw = lines.buffer[max(at - 5, start) : at + len(piece)].tobytes()
        # a search for one rare byte is many times faster than one for two of which the first is not rare
        traces |= b"#" in raw or (b"+" in raw and b"E+" in raw)
        if b"\\" in raw:
            traces |= b"\\u002" in raw or b"\\u0045" in raw
            slashes.append(np.flatnonzero(piece == _BACKSLASH) + at)
    return _Marks(np.concatenate(names), np.concatenate(slashes), quotes, traces)


def _read_template(lines: Lines, template: Template, marks: Ints, free: Bools) -> Iterator[Alike]:
    """Give the free lines that are written as the template says; their quotes are still to be counted."""
    which, found = _marks_by_line(lines, template, marks, free)
    values = len(template.names)
    edges = np.empty((len(which), values + 1), np.int64)  # where the bytes around values end
    np.add(found if values == template.marks else found[:, template.anchors], template.behind_marks, out=edges[:, :-1])
    edges[:, -1] = lines.ends[which]
    begun = edges[:, 0] - template.sizes[0] == lines.begins[which]
    for read in (_as_learned, _closely):
        if begun.any():
            left = np.flatnonzero(begun)
            some = read(lines.buffer, which[left], edges[left] if len(left) < len(edges) else edges, template)
            begun[np.searchsorted(which, some.which)] = False
            if len(some.which):
                yield some


def _marks_by_line(lines: Lines, template: Template, marks: Ints, free: Bools) -> tuple[Ints, Ints]:
    """Give the free lines with as many marks as the template, and their marks."""
    count = template.marks
    if len(marks) == count * len(free) and free.all():
        table = marks.reshape(-1, count)
        if (table[:, 0] > lines.begins).all() and (table[:, -1] < lines.ends).all():
            return np.arange(len(free)), table
    first = np.searchsorted(marks, lines.begins)
    which = np.flatnonzero(free & (np.searchsorted(marks, lines.ends) - first == count))
    return which, marks[first[which][:, None] + np.arange(count)]


def _as_learned(buffer: Bytes, which: Ints, edges: Ints, template: Template) -> Alike:
    """Give the lines that are written as the template says, also in which values are in quotes."""
    quoted = np.array(template.quoted, np.int64)
    lead, tail = quoted[None], (template.sizes[1:] + quoted)[None]
    sound = _as_expected(buffer, edges, template)
    bare = np.flatnonzero(quoted == 0).tolist()
    if bare:
        tail = np.repeat(tail, len(which), axis=0)
    for value in bare:
        _single(buffer, edges, value, tail[:, value], sound)
    quotes = np.full(len(which), template.quotes + 2 * sum(template.quoted), np.int64)
    return Alike(buffer, which, template.names, edges, lead, tail, quotes).only(sound)


def _as_expected(buffer: Bytes, edges: Ints, template: Template) -> Bools:
    """Tell in which lines all that stands around the values is what the template says, and leaves room for them."""
    size, room = template.window, template.room
    words, certain = template.expected
    every = np.ndarray((len(buffer) - size + 1,), f"S{size}", buffer, 0, (1,))
    same = np.ones(len(edges), np.bool_)
    step = max(1, NEAR // (8 * len(words)))
    for low in range(0, len(edges), step):
        some = edges[low : low + step]
        differ = every[some + (1 - size)].view("<u8")
        differ ^= words
        differ &= certain
        wide = some[:, 1:] - some[:, :-1] >= room
        if differ.any() or not wide.all():
            same[low : low + step] = ~differ.any(axis=1) & wide.all(axis=1)
    return same


def _closely(buffer: Bytes, which: Ints, edges: Ints, template: Template) -> Alike:
    """Give the lines that are written as the template says but for the quotes around values."""
    sound = np.ones(len(which), np.bool_)
    for edge, text in zip(edges.T, template.around, strict=True):
        every = np.ndarray((len(buffer) - len(text) + 1,), f"S{len(text)}", buffer, 0, (1,))
        sound &= every[edge - len(text)] == text
    starts, stops = edges[:, :-1], edges[:, 1:] - template.sizes[1:]
    quoted = (buffer[starts] == _QUOTE) & (buffer[stops - 1] == _QUOTE) & (stops - starts >= 2)
    tail = template.sizes[1:] + quoted
    for value in np.flatnonzero(~quoted.all(axis=0)).tolist():
        _single(buffer, edges, value, tail[:, value], sound, quoted[:, value])
    quotes = template.quotes + 2 * quoted.sum(axis=1)
    return Alike(buffer, which, template.names, edges, quoted.astype(np.int64), tail, quotes).only(sound)


def _single(
    buffer: Bytes, edges: Ints, value: int, tail: Ints, sound: Bools, quoted: Bools | None = None
) -> None:  # fmt: skip
    """Look at a value where it has no quotes: lines in which it is nothing single are not sound; null becomes empty."""
    start, stop = edges[:, value], edges[:, value + 1] - tail
    bare = np.flatnonzero(sound if quoted is None else sound & ~quoted)
    sound[bare] = stop[bare] > start[bare]
    bare = bare[sound[bare]]
    texts = slices(buffer, np.stack((start[bare], stop[bare]), axis=1), ["text"])["text"]
    sound[bare] = texts.str.contains(SINGLE).to_numpy()
    empty = bare[(texts == "null").to_numpy()]
    tail[empty] = edges[empty, value + 1] - start[empty]
