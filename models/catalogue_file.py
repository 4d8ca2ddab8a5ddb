"""The catalogue's texts about the content of a file: what rejects it whole, and what is only warned of.

What lives here: texts, nothing that runs beyond making the entries. Names and mails stand in ``catalogue_arrival``.
"""

from functools import partial

from models.catalogue_entry import Entry, Scope, Severity
from models.codes import Code

_rejected = partial(Entry, scope=Scope.FILE, severity=Severity.ERROR)
_warning = partial(Entry, scope=Scope.FILE, severity=Severity.WARNING)

REJECTED: tuple[Entry, ...] = (
    _rejected(
        code=Code.FILE_EMPTY,
        title="The file is empty",
        meaning="The file has no bytes, or nothing but a byte-order mark and blanks. There was nothing to import.",
        mend="Check the export that makes the file, then send it again with a header line and rows.",
        example="A file of 0 bytes. Right: a header line such as `accountId,id,email`, and a row for each record.",
    ),
    _rejected(
        code=Code.FILE_TOO_LARGE,
        title="The file is too large",
        meaning="The file has more bytes than one file may have (100,000,000 unless agreed otherwise). It was refused "
        "and not stored.",
        mend="Split the file into several smaller ones, each with the header line, and send them one by one.",
        example="One file of 130,000,000 bytes. Right: two files of about 65,000,000 bytes.",
    ),
    _rejected(
        code=Code.TOO_MANY_ROWS,
        title="The file has too many rows",
        meaning="The file has more rows than one file may have (1,000,000 unless agreed otherwise). No row was "
        "applied.",
        mend="Split the file into several with fewer rows, each with the header line; up to 500,000 rows is best.",
        example="One file with 1,200,000 rows. Right: three files with 400,000 rows each.",
    ),
    _rejected(
        code=Code.TOO_MANY_BAD_ROWS,
        title="Too many rows are bad",
        meaning="More rows are in error than your connection agreed to let pass, so no row was applied, not even the "
        "sound ones.",
        mend="Mend the rows named in the errors file, then send the whole file again.",
        example="80 bad rows of 1,000 where at most 5 % may be bad. Right: at most 50 bad rows of 1,000.",
    ),
    _rejected(
        code=Code.ENCODING_INVALID,
        title="The text is not valid in its encoding",
        meaning="The file holds bytes that are not valid text in its encoding, which is UTF-8 unless a byte-order "
        "mark or your connection says otherwise. Nothing is guessed, so the file was rejected whole.",
        mend='Save the file as UTF-8 (in Excel: "CSV UTF-8 (Comma delimited)") and send it again.',
        example="`Müller` saved in the Windows encoding, where ü is the byte FC. Right: saved as UTF-8, bytes C3 BC.",
    ),
    _rejected(
        code=Code.ENCODING_UNSUPPORTED,
        title="The encoding cannot be read",
        meaning="The file is in an encoding that we do not read. We read UTF-8, UTF-16 and UTF-32 with a byte-order"
        " mark, and the encoding agreed for the connection.",
        mend="Save the file as UTF-8 and send it again.",
        example="A file in UTF-16 without a byte-order mark, or from a mainframe in EBCDIC. Right: UTF-8.",
    ),
    _rejected(
        code=Code.FORMAT_UNKNOWN,
        title="The file is neither CSV nor JSON Lines",
        meaning="The content is not text in rows: it looks like a picture, a document or a web page. Nothing was "
        "imported.",
        mend="Send a plain CSV file with a header line, or JSON Lines with one object on each line.",
        example="A PDF saved as `conversions_may.csv`. Right: the same list exported as CSV.",
    ),
    _rejected(
        code=Code.ARCHIVE_NOT_ACCEPTED,
        title="Archives and workbooks are not accepted",
        meaning="The bytes are those of a ZIP or gzip archive or of an Excel workbook, whatever the name says. They"
        " are never unpacked.",
        mend='Unpack the archive, or save the workbook as "CSV UTF-8", and send the CSV file itself.',
        example="`rewards_may.xlsx`, or the same file renamed to `rewards_may.csv`. Right: saved as CSV from Excel.",
    ),
    _rejected(
        code=Code.HEADER_MISSING,
        title="The header line is missing",
        meaning="The first line does not name the columns, so we cannot tell which value is which. No row was applied.",
        mend="Put a first line with the column names before the rows and send the file again.",
        example="First line `1001,4711,19.90`. Right: first line `CampaignId,OrderId,Amount`, then the rows.",
    ),
    _rejected(
        code=Code.HEADER_INVALID,
        title="The header line cannot be read",
        meaning="A quote in the header line is never closed, or text follows a closing quote, so the column names are "
        "uncertain. No row was applied.",
        mend="Remove the stray quote from the first line, or close it, and send the file again.",
        example='`id,"email,firstName`. Right: `id,email,firstName` or `id,"email",firstName`.',
    ),
    _rejected(
        code=Code.HEADER_DUPLICATE,
        title="A column name stands in the header twice",
        meaning="Two columns have the same name and we do not choose between them. No row was applied.",
        mend="Remove one of the two columns, or rename it, and send the file again.",
        example="`id,email,email`. Right: `id,email`.",
    ),
    _rejected(
        code=Code.REQUIRED_COLUMN_MISSING,
        title="A required column is missing",
        meaning="The header lacks a column that this data type cannot do without. If a name was nearly right, the "
        "message says which.",
        mend="Add the named column to the header and a value to each row, or correct its spelling.",
        example="`email,id` for participants. Right: `accountId,id,email`.",
    ),
    _rejected(
        code=Code.MIXED_HASH,
        title="Plain and hashed addresses are mixed",
        meaning="An email list is either all plain addresses or all SHA-256 hashes. This one has both, so it was "
        "rejected whole.",
        mend="Send one list with only plain addresses, or one with only SHA-256 hashes.",
        example="`ann@example.com` in one line and 64 hexadecimal digits in the next. Right: one kind in all lines.",
    ),
    _rejected(
        code=Code.NOT_ONE_COLUMN,
        title="The list has more than one column",
        meaning="An email list has exactly one column, and this file has a second one. It was rejected whole.",
        mend="Remove all columns but the addresses, so that each line is one address or one hash.",
        example="`ann@example.com,Ann`. Right: `ann@example.com`.",
    ),
    _rejected(
        code=Code.RESOURCE_LIMIT,
        title="The file took too much memory or time",
        meaning="Reading the file needed more memory or time than one file may use, so it was stopped. No row was "
        "applied.",
        mend="Split the file into smaller ones and check it for very long rows or very many columns.",
        example="A file with 50,000 columns. Right: only the columns that the data type names.",
    ),
    _rejected(
        code=Code.UNEXPECTED_END,
        title="The file ends in the middle of a row",
        meaning="The last row has no line end and lacks fields or a closing quote, so the file was probably cut off"
        " on its way. Under all-or-nothing the file is rejected; otherwise only that row is, and the result"
        " says so.",
        mend="Compare the size with your original, send the whole file again, and end its last line with a line break.",
        example="The last line is `1001,47` under four columns. Right: `1001,4711,19.90,EUR`, then a line break.",
    ),
)

WARNINGS: tuple[Entry, ...] = (
    _warning(
        code=Code.NO_ROWS,
        title="The file has a header and no rows",
        meaning="The header is in order and no row follows, so the import ended with nothing to do.",
        mend="Check whether your export was meant to be empty; if it was, nothing is to be done.",
        example="Only the line `accountId,id,email`. Right on a day with changes: that line, then the rows.",
    ),
    _warning(
        code=Code.MANY_ROWS,
        title="The file has more rows than recommended",
        meaning="The file has more than the recommended number of rows (500,000 unless agreed otherwise). It is "
        "imported, and its result may take longer.",
        mend="Split the file next time, so that each has at most 500,000 rows.",
        example="One file with 700,000 rows. Better: two files with 350,000 rows each.",
    ),
    _warning(
        code=Code.UNKNOWN_COLUMN,
        title="A column is not known",
        meaning="This data type has no column of that name, or the header cell is empty. The column was left out "
        "and the rest imported.",
        mend="Correct the column's name if it should be imported, or leave the column out.",
        example="`e-mail` or an empty header cell. Right: `email`.",
    ),
    _warning(
        code=Code.HEADER_SPACE,
        title="A column name has blanks around it",
        meaning="Blanks before or after a column name were trimmed, and the file was read as if they were not there.",
        mend="Remove the blanks around the column names in the first line.",
        example="`id, email`. Right: `id,email`.",
    ),
    _warning(
        code=Code.HEADER_SKIPPED,
        title="A header line in an email list was skipped",
        meaning="An email list needs no header line. Its first line was the word `email` and was skipped.",
        mend="Leave the first line out, so that the list begins with an address.",
        example="First line `email`, then the addresses. Right: the addresses alone.",
    ),
    _warning(
        code=Code.FILE_SHORT,
        title="The file is much shorter than usual",
        meaning="The file has far fewer rows than the files before it on this connection. It was imported; perhaps "
        "a part of it is missing.",
        mend="Check that your export was complete; if it was not, send the whole file again.",
        example="12 rows where about 10,000 came every day. Right: all rows of the day.",
    ),
    _warning(
        code=Code.HEADER_CHANGED,
        title="The columns differ from last time",
        meaning="The header differs from the last accepted file of this connection: columns were added, left out or "
        "renamed. The file was imported as it stands.",
        mend="Check that the change of columns was meant; if not, restore the columns and send the file again.",
        example="`id,email` yesterday, `id,mail` today. Right: `id,email` on both days.",
    ),
)
