"""One good file, and the ways in which files arrive damaged: each is the good file with one thing wrong.

The good file has a header and eight participants with the ids 1001 to 1008; those with an odd number have a comma in
their note, which stands in quotes. ``POLLUTIONS`` maps what is wrong to the bytes that arrive.
"""

import csv
import io
from collections.abc import Callable

HEAD = ["accountId", "id", "firstName", "email", "locale", "dateUsTaxFormSubmitted", "customFields.note"]
ROWS = [
    ["acme", f"100{i}", f"Ann {i}", f"ann{i}@example.com", "en_US", f"176722560000{i}", f"a{',' * (i % 2)} b {i}"]
    for i in range(1, 9)
]


def text(
    rows: list[list[str]] = ROWS, delimiter: str = ",", end: str = "\n", *, head: bool = True, **more: object
) -> str:
    """Write rows as CSV, as Python does."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, **more)  # type: ignore[arg-type]
    writer.writerows([HEAD, *rows] if head else rows)
    return out.getvalue()


GOOD = text()
LINES = GOOD.splitlines(keepends=True)
BODY = "".join(LINES[1:])
FURTHER = [[row[0], f"2{row[1][1:]}", *row[2:]] for row in ROWS]  # eight others


def line(number: int, change: Callable[[str], str]) -> str:
    """Give the good file with one line changed; the header is line 1."""
    return "".join(change(one) if i == number else one for i, one in enumerate(LINES, 1))


def swap(number: int, old: str, new: str) -> str:
    """Give the good file with some text in one line replaced."""
    assert old in LINES[number - 1]
    return line(number, lambda one: one.replace(old, new, 1))


def cell(column: int, new: str, number: int = 5) -> str:
    """Give the good file with one cell replaced as it stands; row 5 is 1004."""
    return line(number, lambda one: ",".join([*one.split(",")[:column], new, *one.split(",")[column + 1 :]]))


FILE = {
    "good": GOOD,
    "no header": BODY,
    "header only": LINES[0],
    "one row": LINES[0] + LINES[1],
    "no line end at the end": GOOD.rstrip("\n"),
    "blank line at the end": GOOD + "\n",
    "byte-order mark": "\ufeff" + GOOD,
    "two byte-order marks": "\ufeff\ufeff" + GOOD,
    "lines before the header": "Export of participants\nMade on 2026-11-01\n\n" + GOOD,
    "rows before the header": "Export,,,,,,\nMade on,2026-11-01,,,,,\n,,,,,,\n" + GOOD,
    "comment before the header": "# exported by hand\n" + GOOD,
    "sep= before the header": "sep=,\n" + GOOD,
    "blank lines before the header": "\n\n\n" + GOOD,
    "line behind the rows": GOOD + "Total: 8\n",
    "blank and line behind the rows": GOOD + "\nTotal: 8 rows\n",
    "empty rows at the end": GOOD + ",,,,,,\n,,,,,,\n",
    "end-of-file mark of old systems": GOOD + "\x1a",
    "header twice": LINES[0] + GOOD,
    "second header with units": LINES[0] + "text,text,text,mail,code,ms,text\n" + BODY,
    "header above the header": "Person,,,Contact,,,\n" + GOOD,
    "two files in one": GOOD + text(FURTHER),
    "two files with marks in one": "\ufeff" + GOOD + "\ufeff" + text(FURTHER),
    "another table below": GOOD + "\nsku,name,price\nA,b,1\nB,c,2\n",
    "another table as wide below": GOOD + "\na,b,c,d,e,f,g\n1,2,3,4,5,6,7\n",
    "leading spaces everywhere": GOOD.replace(",", ", "),
    "html": "<table><tr><td>" + GOOD,
}
DELIMITERS = {
    "semicolon": text(delimiter=";"),
    "tab": text(delimiter="\t"),
    "vertical bar": text(delimiter="|"),
    "two vertical bars": GOOD.replace(",", "||"),
    "blank as delimiter": text(delimiter=" "),
    "caret as delimiter": text(delimiter="^"),
    "control character as delimiter": text(delimiter="\x01"),
    "one row with semicolons": line(4, lambda _: text([ROWS[2]], ";", head=False)),
    "one row with tabs": line(4, lambda _: text([ROWS[2]], "\t", head=False)),
    "header with semicolons": LINES[0].replace(",", ";") + BODY,
    "rows with semicolons": LINES[0] + text(delimiter=";", head=False),
    "delimiter at the end of every line": GOOD.replace("\n", ",\n"),
    "delimiter at the end of every row": LINES[0] + BODY.replace("\n", ",\n"),
    "delimiter at the end of one row": swap(4, "\n", ",\n"),
    "delimiter at the end of the header": swap(1, "\n", ",\n"),
    "one field more": swap(4, "1003", "1003,x"),
    "one field fewer": swap(4, "1003,", ""),
}
QUOTES = {
    "every cell quoted": text(quoting=csv.QUOTE_ALL),
    "every cell quoted but one": text(quoting=csv.QUOTE_ALL).replace('"Ann 4"', "Ann 4"),
    "single quotes": text(quotechar="'"),
    "single quotes everywhere": text(quotechar="'", quoting=csv.QUOTE_ALL),
    "typographic quotes": cell(2, "“Lee, Ann”"),
    "backslash before quotes": cell(2, r'"Ann \"the boss\" Lee"'),
    "backslash before quotes with comma": cell(2, r'"Ann \"the boss\", Lee"'),
    "backslash before a comma": cell(2, r"Lee\, Ann"),
    "backslash at the end of a quoted cell": cell(2, '"C:\\dir\\"'),
    "quotes not doubled": cell(2, '"Ann "the boss" Lee"'),
    "closing quote missing": swap(4, '3"\n', "3\n"),
    "closing quote missing in the first row": swap(2, '1"\n', "1\n"),
    "closing quote missing in the last row with quotes": swap(8, '7"\n', "7\n"),
    "opening quote missing": swap(4, ',"a', ",a"),
    "quote before a row": swap(3, "acme", '"acme'),
    "quote inside a cell": swap(3, "Ann", 'A"nn'),
    "quote at the end of a cell": swap(3, "Ann 2", 'Ann 2"'),
    "quote inside a quoted cell": swap(4, '"a', '"a"a'),
    "blank before a quote": swap(4, ',"a', ', "a'),
    "blank behind a quote": swap(4, '3"', '3" '),
    "every row in quotes": LINES[0] + "".join(f'"{one.rstrip().replace(chr(34), chr(34) * 2)}"\n' for one in LINES[1:]),
    "every line in quotes": "".join(f'"{one.rstrip().replace(chr(34), chr(34) * 2)}"\n' for one in LINES),
}
LINE_ENDS = {
    "CR": text(end="\r"),
    "CRLF": text(end="\r\n"),
    "mixed line ends": "".join(one.rstrip("\n") + ("\n", "\r\n", "\r")[i % 3] for i, one in enumerate(LINES)),
    "one LF among CRLF": text(end="\r\n").replace("b 4\r\n", "b 4\n"),
    "CR CRLF": text(end="\r\r\n"),
    "blank lines between": "\n".join(LINES),
    "a line of blanks": swap(4, "acme", "   \nacme"),
    "line end missing": swap(4, "\n", ""),
    "comma for a line end": swap(4, "\n", ","),
    "line break in a cell": swap(5, "Ann 4", "Ann\n4"),
    "line break in a quoted cell": swap(5, "Ann 4", '"Ann\n4"'),
    "row cut in the middle": line(4, lambda one: one[:20] + "\n"),
    "file cut in the middle of a row": GOOD[:-20],
    "file cut in a quoted cell": "".join(LINES[:8])[:-4],
}
HEADERS = {
    "zero-width blank in the header": swap(1, ",id,", ",id\u200b,"),
    "zero-width blank inside a name": swap(1, "firstName", "first\u200bName"),
    "non-breaking blank in the header": swap(1, ",email", "\u00a0,email"),
    "blanks around the names": LINES[0].replace(",", " , ") + BODY,
    "lower case": LINES[0].lower() + BODY,
    "upper case": LINES[0].upper() + BODY,
    "one name in other case": swap(1, "locale", "Locale"),
    "column twice": swap(1, "firstName", "id"),
    "column twice in other case": swap(1, "firstName", "ID"),
    "empty header cell": swap(1, "firstName", ""),
    "line break in a name": swap(1, "firstName", '"first\nName"'),
    "quote not closed in the header": swap(1, "firstName", '"firstName'),
    "misspelt": swap(1, "accountId", "acountId"),
}
CELLS = {
    "NUL": cell(2, "A\0nn"),
    "control characters": cell(2, "A\x07nn\x1b[1m"),
    "zero-width blank in an address": cell(3, "ann4@example.com\u200b"),
    "blank behind an address": cell(3, "ann4@example.com "),
    "blanks where a value is required": cell(1, "   "),
    "thousand separators": cell(5, '"1,767,225,600,004"'),
    "decimal comma": cell(5, '"1767225600,0"'),
    "number of a spreadsheet": cell(5, '"1,76723E+12"'),
    "key of a spreadsheet": cell(1, "1.23E+11"),
    "fault of a spreadsheet": cell(2, "#REF!"),
    "hashes of a spreadsheet": cell(2, "########"),
    "cell of a megabyte": cell(2, "x" * 1_000_001),
    "list in a custom field": swap(5, "a b 4", '"[1, 2]"'),
    "replacement character": cell(2, "J\ufffdrg"),
    "same row twice": GOOD + LINES[3],
    "same key twice": GOOD + LINES[3].replace("Ann 3", "Joe"),
}
BYTES = {
    "empty": b"",
    "blanks only": b"   \n \n",
    "NUL bytes only": bytes(600),
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "Windows-1252": cell(2, "Jörg").encode("cp1252"),
    "one row in Windows-1252": cell(2, "Jörg").encode().replace(b"Ann 6", b"M\xfcller"),
    "UTF-16": GOOD.encode("utf-16"),
    "UTF-16 without a mark": GOOD.encode("utf-16-le"),
    "UTF-16 cut": GOOD.encode("utf-16")[:-1],
    "UTF-32": GOOD.encode("utf-32"),
    "cut in a character": (GOOD + "acme,2000,é").encode()[:-1],
}
ALL: dict[str, dict[str, str]] = {
    "file": FILE, "delimiter": DELIMITERS, "quotes": QUOTES, "line ends": LINE_ENDS, "header": HEADERS, "cell": CELLS,
}  # fmt: skip
POLLUTIONS: dict[str, bytes] = {
    **{f"{group}: {what}": content.encode() for group, some in ALL.items() for what, content in some.items()},
    **{f"bytes: {what}": content for what, content in BYTES.items()},
}
