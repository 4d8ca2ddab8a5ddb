"""The catalogue's texts about single rows: what refuses a row, and what is only warned of.

What lives here: texts, nothing that runs beyond making the entries. The other rows of the file are not affected,
unless the connection's policy says so.
"""

from functools import partial

from models.catalogue_entry import Entry, Scope, Severity
from models.codes import Code

_error = partial(Entry, scope=Scope.ROW, severity=Severity.ERROR)
_warning = partial(Entry, scope=Scope.ROW, severity=Severity.WARNING)

ERRORS: tuple[Entry, ...] = (
    _error(
        code=Code.MALFORMED_ROW,
        title="The row cannot be read",
        meaning="A quote in the row is never closed or is followed by text, or the row holds a NUL character, so "
        "its cells are uncertain.",
        mend="Write each quote inside a quoted value twice, and close each quote that is opened.",
        example='`"Ann "the boss" Lee",12`. Right: `"Ann ""the boss"" Lee",12`.',
    ),
    _error(
        code=Code.FIELD_COUNT,
        title="The row has too many or too few fields",
        meaning="The row does not have as many fields as the header, so values may stand under the wrong column.",
        mend="Give the row as many fields as the header, and put double quotes around values with the delimiter "
        "or a line break in them.",
        example='`7,Lee, Ann,12` under `id,name,amount`. Right: `7,"Lee, Ann",12`.',
    ),
    _error(
        code=Code.JSON_INVALID,
        title="The line is not one JSON object",
        meaning="In JSON Lines each line is one whole object. This line is not valid JSON, is another kind of "
        "value, or holds NaN or Infinity.",
        mend="Write one complete JSON object on each line; use null for a missing number.",
        example="`{'id': NaN}`. Right: `{\"id\": null}`.",
    ),
    _error(
        code=Code.DUPLICATE_FIELD,
        title="A field stands in the object twice",
        meaning="The JSON object has the same key twice, also as a dotted key and a nested one. We do not choose "
        "between them.",
        mend="Leave each key in the object once.",
        example='`{"id": "7", "id": "8"}`. Right: `{"id": "7"}`.',
    ),
    _error(
        code=Code.NESTED_VALUE,
        title="A single value is expected",
        meaning="The field holds a list or an object where only text, a number or true/false can stand, in JSON "
        "Lines or in a CSV cell that is JSON as a whole, or the object nests deeper than 20 levels.",
        mend="Give a single value, and put several values into several fields.",
        example='`{"customFields": {"size": ["S", "M"]}}`. Right: `{"customFields": {"size": "S"}}`.',
    ),
    _error(
        code=Code.ROW_TOO_LARGE,
        title="The row is too large",
        meaning="One line is longer than 1,000,000 bytes. Often a quote was opened and never closed.",
        mend="Check the row for a missing quote or line break, and shorten its values.",
        example="A picture pasted into a cell as text. Right: its address in a column made for addresses.",
    ),
    _error(
        code=Code.REQUIRED_VALUE_MISSING,
        title="A required value is missing",
        meaning="The cell is empty, or none of several columns is filled of which the row needs one. The message names "
        "them.",
        mend="Fill in the named column for this row.",
        example="`acme,,ann@example.com` under `accountId,id,email`. Right: `acme,4711,ann@example.com`.",
    ),
    _error(
        code=Code.INVALID_BOOLEAN,
        title="The value is neither true nor false",
        meaning="This column takes only the words `true` and `false`.",
        mend="Write true or false.",
        example="`yes`, `1` or `wahr`. Right: `true`.",
    ),
    _error(
        code=Code.INVALID_INTEGER,
        title="The value is not a whole number",
        meaning="This column takes whole numbers: digits only, with a minus sign in front if negative, within the "
        "limits that the message names.",
        mend="Write the number with digits only, without separators, decimals or units.",
        example="`1,000` or `12.0`. Right: `1000` or `12`.",
    ),
    _error(
        code=Code.INVALID_DECIMAL,
        title="The value is not a decimal number",
        meaning="This column takes numbers with a decimal point, with no more digits before and after it than the "
        "message names.",
        mend="Write digits and a decimal point only, without thousands separators or a currency sign.",
        example="`1.234,50 €`. Right: `1234.50`.",
    ),
    _error(
        code=Code.INVALID_DATE,
        title="The value is not a date",
        meaning="This column takes dates as ISO 8601 writes them, year first. Some columns also take the word `NOW`.",
        mend="Write the date as 2026-05-31 or 2026-05-31T14:05:00Z.",
        example="`31.05.2026` or `5/31/26`. Right: `2026-05-31`.",
    ),
    _error(
        code=Code.INVALID_LOCALE,
        title="The value is not a locale",
        meaning="A locale is a language in lower case, an underscore and a country in capitals.",
        mend="Write the language, an underscore and the country, e.g. en_US.",
        example="`en-us` or `EN_us`. Right: `en_US`.",
    ),
    _error(
        code=Code.INVALID_COUNTRY,
        title="The value is not a country code",
        meaning="This column takes the two capital letters of ISO 3166-1.",
        mend="Write the country's two capital letters, e.g. DE.",
        example="`Germany` or `de`. Right: `DE`.",
    ),
    _error(
        code=Code.INVALID_CURRENCY,
        title="The value is not a currency code",
        meaning="This column takes the three capital letters of ISO 4217.",
        mend="Write the currency's three capital letters, e.g. EUR.",
        example="`€` or `Euro`. Right: `EUR`.",
    ),
    _error(
        code=Code.INVALID_EMAIL,
        title="The value is not an email address",
        meaning="The value does not have the form of an email address: a name, one `@` and a domain.",
        mend="Write the bare address, without a name, angle brackets or mailto:.",
        example="`Ann <ann@example>`. Right: `ann@example.com`.",
    ),
    _error(
        code=Code.INVALID_HASH,
        title="The value is not a SHA-256 hash",
        meaning="A SHA-256 hash is exactly 64 hexadecimal digits (0-9, a-f).",
        mend="Hash the trimmed, lower-case address with SHA-256 and write all 64 hexadecimal digits.",
        example="`5d41402abc4b2a76b9719d911017c592` (MD5, 32 digits). Right: the 64 digits of SHA-256.",
    ),
    _error(
        code=Code.INVALID_URL,
        title="The value is not a web address",
        meaning="This column takes whole web addresses only, with the scheme in front and a host.",
        mend="Write the whole address, beginning with https://.",
        example="`www.example.com/a.png`. Right: `https://www.example.com/a.png`.",
    ),
    _error(
        code=Code.VALUE_TOO_LONG,
        title="The value is too long",
        meaning="The value has more characters than this column takes; the message says how many it takes.",
        mend="Shorten the value to the length that the message names.",
        example="An OrderId of 70 characters. Right: at most 64 characters.",
    ),
    _error(
        code=Code.VALUE_NOT_ALLOWED,
        title="The value is not one of those allowed",
        meaning="This column takes only certain values, or values of a certain form or range; the message names them.",
        mend="Use one of the values that the message names, written exactly so.",
        example="`OLD` as CustomerStatus. Right: `EXISTING`.",
    ),
    _error(
        code=Code.CONFLICTING_FIELDS,
        title="Two fields contradict each other",
        meaning="The row fills two columns of which only one may be filled, so its meaning is uncertain.",
        mend="Leave one of the two columns empty in this row.",
        example="Both `Amount` and `ItemSubtotal` filled. Right: only `Amount`.",
    ),
    _error(
        code=Code.ORDER_NOT_TOGETHER,
        title="The rows of one order are apart",
        meaning="Rows of one order must stand directly below each other. Rows of this order also stand further up.",
        mend="Sort the file by order number, so that the rows of one OrderId follow each other.",
        example="OrderId `A`, `B`, `A`. Right: `A`, `A`, `B`.",
    ),
    _error(
        code=Code.EVENT_TOO_OLD,
        title="The event is too old",
        meaning="The date lies further back than is accepted for this data type (for conversions 88 days, or 398 "
        "with a MediaId).",
        mend="Check the date for a wrong year or month; leave out rows that are really that old.",
        example="An EventDate of `2025-05-31` sent on 2026-05-31. Right: a date within the last 88 days.",
    ),
    _error(
        code=Code.DUPLICATE_ROW,
        title="The row stands in the file twice",
        meaning="An earlier row of this file has the same key; the first one counts and this one is refused. If "
        "both are identical in every cell it is only a warning. A row that repeats the header line is refused too.",
        mend="Leave one row for each key in the file, the one that is right.",
        example="Two rows with id `4711` and different addresses. Right: one row with id `4711`.",
    ),
)

WARNINGS: tuple[Entry, ...] = (
    _warning(
        code=Code.SPREADSHEET_DAMAGE,
        title="A spreadsheet has probably changed the value",
        meaning="The value looks as if a spreadsheet program had rewritten it: a long number shortened, or an error"
        " word in its place. The row was imported as it stands.",
        mend="Format the column as text before pasting, or export the file without opening it in a spreadsheet.",
        example="`4.71E+11` or `#REF!`. Right: `471000000123`.",
    ),
    _warning(
        code=Code.SUSPECT_QUOTE,
        title="A quote looks out of place",
        meaning="A quote stands inside a value that does not begin with one, or a quoted value spans lines that "
        "look like rows. The row was read as the rules of CSV say.",
        mend="Check the row: put quotes around the whole value and double the quotes inside it.",
        example='`27" monitor`. Right: `"27"" monitor"`.',
    ),
)
