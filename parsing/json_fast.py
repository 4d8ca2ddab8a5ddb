"""Many lines of JSON Lines at once: a columnar reader, and the proof that it read every byte of a line.

What lives here: the reader takes the first of two equal names, drops names it was not told of and rewrites numbers,
all in silence. So its word counts only for lines whose length is exactly that of the values it gave, written with the
file's own blanks and escapes, and that hold as many names as values. All others are read one by one.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from parsing.json_line import Object, Opens

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
At = Callable[[str], pl.Expr]  #: gives the value of a name in an object

EXACT_DIGITS = 15  #: longer numbers may be rounded by the reader
_COLON_BEHIND = re.compile(rb'\A\s*\{\s*"(?:[^"\\]|\\.)*+"\s*:( ?)')
_COMMA_BEHIND = re.compile(rb'\A\s*\{\s*"(?:[^"\\]|\\.)*+"\s*:\s*(?:"(?:[^"\\]|\\.)*+"|[^",{\[\s]++),( ?)')
_PLAIN = re.compile(r"[^\"\\\x00-\x1f]+")  #: names without escapes
_QUOTE, _COLON, _BACKSLASH = 34, 58, 92


@dataclass(frozen=True, slots=True)
class Style:
    """How the lines of a file are written; learned from its first lines, never relied on."""

    after_colon: int  #: blanks
    after_comma: int
    quoted: frozenset[str]  #: dotted names whose values stand in quotes


def style_of(raw: bytes, quoted: frozenset[str]) -> Style:
    """Learn the style from a sound line."""
    colon, comma = _COLON_BEHIND.match(raw), _COMMA_BEHIND.match(raw)
    return Style(after_colon=len(colon[1]) if colon else 0, after_comma=len(comma[1]) if comma else 0, quoted=quoted)


@dataclass
class Node:
    """An object whose names the reader is told."""

    prefix: str = ""
    leaves: list[str] = field(default_factory=list)
    nodes: dict[str, "Node"] = field(default_factory=dict)

    def grow(self, value: Object, opens: Opens, taken: set[str]) -> None:
        """Add the names of an object; ``taken`` holds the dotted names already there, each stands once."""
        for key, cell in value:
            name = self.prefix + key
            if not _PLAIN.fullmatch(key):
                continue
            if isinstance(cell, Object) and opens(name):
                if key not in self.leaves:
                    self.nodes.setdefault(key, Node(name + ".")).grow(cell, opens, taken)
            elif name not in taken and key not in self.nodes:
                taken.add(name)
                self.leaves.append(key)

    def taken(self) -> set[str]:
        """Give the dotted names of all values."""
        inner = (node.taken() for node in self.nodes.values())
        return {self.prefix + name for name in self.leaves}.union(*inner)

    def schema(self) -> dict[str, pl.DataType]:
        """Give the reader's schema."""
        found: dict[str, pl.DataType] = {name: pl.String() for name in self.leaves}
        return found | {name: pl.Struct(node.schema()) for name, node in self.nodes.items()}


@dataclass(frozen=True, slots=True)
class Lines:
    """What was read of some lines: a column for each dotted name, and which lines were not read whole."""

    frame: pl.DataFrame
    sure: Bools
    damaged: bool = True  #: a value may hold traces of a spreadsheet


def read_lines(buffer: bytes, ends: Ints, tree: Node, style: Style) -> Lines | None:
    """Read lines that end before ``ends`` in the buffer; None where the reader refuses them together."""
    try:
        frame = pl.read_ndjson(buffer, schema=tree.schema(), ignore_errors=True)
    except (pl.exceptions.PolarsError, RuntimeError):
        return None
    if frame.height != len(ends):
        return None
    view = np.frombuffer(buffer, np.uint8)
    begins = np.concatenate(([0], ends[:-1] + 1))
    nested = _opened(view) != len(ends)
    cells = [cell.alias(name) for name, cell in _leaves(tree, pl.col)]
    sizes, names = _measure(tree, pl.col, style, nulls=False)
    measured = [
        sizes.alias("size"),
        names.alias("names"),
        _odd(tree, style, nested=nested).alias("odd"),
        _texts(tree, style),
    ]
    seen = frame.select(*measured)
    extra, doubtful, escaped_quotes = _escapes(view, ends)
    size = ends - begins - extra
    texts = seen["texts"].to_numpy()
    sure = seen["size"].to_numpy() == size
    if sure.all() and _all_named(view, int(seen["names"].sum()), int(texts.sum()), int(escaped_quotes.sum())):
        return Lines(frame.select(cells), ~doubtful & ~seen["odd"].to_numpy())
    named, quotes = _names(view, ends)
    sure &= seen["names"].to_numpy() == named
    if b"null" in buffer:
        sizes, names = _measure(tree, pl.col, style, nulls=True)
        full = frame.select(sizes.alias("size"), names.alias("names"))
        missing = full["names"].to_numpy() - seen["names"].to_numpy()
        explicit = (full["size"].to_numpy() == size) & (full["names"].to_numpy() == named)
        sure |= explicit & (_nulls(view, ends) == missing)
    sure &= 2 * (named + texts) == quotes - escaped_quotes
    return Lines(frame.select(cells), sure & ~doubtful & ~seen["odd"].to_numpy())


def _leaves(tree: Node, at: At) -> Iterator[tuple[str, pl.Expr]]:
    """Give every value the reader is told of by its dotted name."""
    for name in tree.leaves:
        yield tree.prefix + name, at(name)
    for name, node in tree.nodes.items():
        yield from _leaves(node, at(name).struct.field)


def _measure(tree: Node, at: At, style: Style, *, nulls: bool) -> tuple[pl.Expr, pl.Expr]:
    """Give how many bytes and names an object has, were it written without needless bytes.

    With ``nulls`` every value that is not there is taken to be written as null, else to be left out.
    """
    sizes, pairs, deeper = [], [], [pl.lit(0, pl.Int64)]
    for name in tree.leaves:
        cell = at(name)
        there = pl.lit(1, pl.Int64) if nulls else cell.is_not_null().cast(pl.Int64)
        quotes = 2 * (tree.prefix + name in style.quoted)
        length = (cell.str.len_bytes().cast(pl.Int64) + quotes).fill_null(4 if nulls else 0)
        sizes.append(length + there * _named(name, style))
        pairs.append(there)
    for name, node in tree.nodes.items():
        cell = at(name)
        inner, names = _measure(node, cell.struct.field, style, nulls=nulls)
        there = cell.is_not_null().cast(pl.Int64)
        sizes.append(there * (inner + _named(name, style)))
        deeper.append(there * names)
        pairs.append(there)
    count = pl.sum_horizontal(pairs) if pairs else pl.lit(0, pl.Int64)
    commas = pl.when(count > 0).then((count - 1) * (1 + style.after_comma)).otherwise(0)
    return pl.sum_horizontal([*sizes, commas]) + 2, count + pl.sum_horizontal(deeper)


def _named(name: str, style: Style) -> int:
    return len(json.dumps(name, ensure_ascii=False).encode()) + 1 + style.after_colon


def _texts(tree: Node, style: Style) -> pl.Expr:
    """Count the values that stand in quotes."""
    there = [cell.is_not_null() for name, cell in _leaves(tree, pl.col) if name in style.quoted]
    return (pl.sum_horizontal(there) if there else pl.lit(0)).cast(pl.Int64).alias("texts")


def _odd(tree: Node, style: Style, *, nested: bool) -> pl.Expr:
    """Tell where a value may be a list, an object or a number that the reader rounds."""
    odd = [pl.lit(value=False)]
    for name, cell in _leaves(tree, pl.col):
        if nested:
            odd.append((cell.str.starts_with("[") | cell.str.starts_with("{")).fill_null(value=False))
        if name not in style.quoted:
            odd.append((cell.str.len_bytes() > EXACT_DIGITS).fill_null(value=False))
    return pl.any_horizontal(odd)


def _nulls(view: npt.NDArray[np.uint8], ends: Ints) -> Ints:
    """Count in each line the words null behind a colon or a blank."""
    word = view[1:-3] == ord("n")
    for step, letter in enumerate(b"ull", 2):
        word &= view[step : len(view) - 4 + step] == letter
    at = np.flatnonzero(word) + 1
    return _per_line(at[(view[at - 1] == _COLON) | (view[at - 1] == 32)], ends)


def _opened(view: npt.NDArray[np.uint8]) -> int:
    """Count the brackets that open."""
    return int(np.count_nonzero(view == ord("["))) + int(np.count_nonzero(view == ord("{")))


def _all_named(view: npt.NDArray[np.uint8], names: int, texts: int, escaped: int) -> bool:
    """Tell whether all lines together have as many names and quotes as their values, which none can have fewer of."""
    quote = view == _QUOTE
    if int(np.count_nonzero(quote)) - escaped != 2 * (names + texts):
        return False
    return int(np.count_nonzero(quote[:-1] & (view[1:] == _COLON))) == names


def _names(view: npt.NDArray[np.uint8], ends: Ints) -> tuple[Ints, Ints]:
    """Count in each line the quotes that a colon follows, and all quotes."""
    at = np.flatnonzero(view == _QUOTE)
    return _per_line(at[view[at + 1] == _COLON], ends), _per_line(at, ends)


def _per_line(at: Ints, ends: Ints) -> Ints:
    return np.diff(np.searchsorted(at, ends), prepend=0)


def _escapes(view: npt.NDArray[np.uint8], ends: Ints) -> tuple[Ints, Bools, Ints]:
    """Give by how many bytes the escapes of each line are longer than what they mean, and how many are quotes.

    In the middle: which lines are unsure.
    """
    slash = view == _BACKSLASH
    at = np.flatnonzero(slash) if slash.any() else np.empty(0, np.int64)
    none = np.zeros(len(ends), np.int64)
    if not len(at):
        return none, none > 0, none
    starts = np.concatenate(([True], np.diff(at) > 1))
    run = np.cumsum(starts) - 1
    first = (np.arange(len(at)) - np.flatnonzero(starts)[run]) % 2 == 0
    at = at[first & (at + 5 < len(view))]
    cost = np.ones(len(at), np.int64)
    wide = view[at + 1] == ord("u")
    digits = _HEX[view[at[wide][:, None] + np.arange(2, 6)]]
    code = digits @ np.array([4096, 256, 16, 1])
    cost[wide] = np.where(code < 0x80, 5, np.where(code < 0x800, 4, 3))
    unsure = np.zeros(len(at), np.bool_)
    unsure[wide] = (code >= 0xD800) & (code < 0xE000) | (digits < 0).any(axis=1)
    line = np.searchsorted(ends, at)
    # an escaped quote before a colon looks like a name
    unsure |= (view[at + 1] == _QUOTE) & (view[at + 2] == _COLON)
    doubtful = np.bincount(line[unsure], minlength=len(ends)) > 0
    quotes = np.bincount(line[view[at + 1] == _QUOTE], minlength=len(ends))
    return np.bincount(line, cost, len(ends)).astype(np.int64), doubtful, quotes


_HEX = np.full(256, -100_000, np.int64)
for _digit, _char in enumerate("0123456789abcdef"):
    _HEX[[ord(_char), ord(_char.upper())]] = _digit
