"""The catalogue's texts about files and mails that are rejected as they arrive, before their rows are read.

What lives here: texts about names, the structure of mails, quotas and duplicates. Ignored deliveries stand in
``catalogue_delivery``.
"""

from functools import partial

from models.catalogue_entry import Entry, Scope, Severity
from models.codes import Code

_rejected = partial(Entry, scope=Scope.FILE, severity=Severity.ERROR)

REJECTED: tuple[Entry, ...] = (
    _rejected(
        code=Code.NAME_INVALID,
        title="The file name cannot be used",
        meaning="The name is empty, is `.` or `..`, is longer than 255 bytes, or holds control characters or marks "
        "that change the reading direction. The file was refused.",
        mend="Rename the file with letters, digits, `.`, `-` and `_`, under 255 bytes, and send it again.",
        example="A name with a line break in it, or `..`. Right: `Conversions_2026_05.csv`.",
    ),
    _rejected(
        code=Code.NAME_AMBIGUOUS,
        title="The attachment has several names that disagree",
        meaning="The mail gives the attachment more than one name, and one of them would be taken while another "
        "would not. We do not choose, so the mail was rejected.",
        mend="Send the file from another mail program, or give the attachment one name only.",
        example="`filename=invoice.csv` beside `name=Conversions_2026.csv`. Right: the same name in both places.",
    ),
    _rejected(
        code=Code.DATA_TYPE_UNKNOWN,
        title="The file name does not say what the file holds",
        meaning="The folder takes several data types and tells them apart by the beginning of the file name. This name "
        "begins like none of them.",
        mend="Begin the file name with a prefix of your folder, e.g. `participants_`, and send it again.",
        example="`may.csv`. Right: `participants_may.csv`.",
    ),
    _rejected(
        code=Code.ATTACHMENT_DAMAGED,
        title="The attachment is damaged",
        meaning="The attachment could not be decoded without guessing: its base64 is broken, its transfer encoding is "
        "unknown, or the end of the mail is missing.",
        mend="Send the mail again; if it happens again, use another mail program or upload the file.",
        example="A mail cut off in the middle of its attachment. Right: the whole mail, with its closing boundary.",
    ),
    _rejected(
        code=Code.MESSAGE_AMBIGUOUS,
        title="The mail can be read in two ways",
        meaning="A header that may stand once stands twice (Content-Type, Content-Disposition or "
        "Content-Transfer-Encoding), or a boundary is given twice. Two mail programs could see two different files.",
        mend="Correct the program that makes the mail, so that each of these headers stands once.",
        example="Two Content-Type lines in one part. Right: one Content-Type line in each part.",
    ),
    _rejected(
        code=Code.MESSAGE_MALFORMED,
        title="The mail breaks the rules of mail",
        meaning="The mail holds a carriage return or line feed that stands alone, or a NUL character. Such mails are "
        "refused, because they can hide a second mail.",
        mend="End each line of the mail with CR LF, and send binary content as base64.",
        example="A script that ends lines with LF alone. Right: CR LF, as every mail library does by itself.",
    ),
    _rejected(
        code=Code.MESSAGE_LIMIT,
        title="The mail has too many parts or too long headers",
        meaning="The mail has more parts, deeper nesting or longer headers than we read. Nothing of it was imported.",
        mend="Send the files in several simple mails, each with a few attachments.",
        example="One mail with 500 attachments. Right: several mails with at most 100 each.",
    ),
    _rejected(
        code=Code.ENCRYPTED,
        title="The mail is encrypted",
        meaning="The mail or an attachment in it is encrypted with S/MIME or PGP, and we hold no key to read it.",
        mend="Send the mail unencrypted over a TLS connection, or upload the file over SFTP or FTPS.",
        example="An attachment `smime.p7m`. Right: the CSV file itself as a plain attachment.",
    ),
    _rejected(
        code=Code.TNEF_UNREADABLE,
        title="The attachment is wrapped in winmail.dat",
        meaning="Outlook packed the attachments into a file `winmail.dat`, a format of its own that we do not open.",
        mend="Send the mail as plain text or HTML instead of Rich Text, so that attachments stay plain files.",
        example="One attachment `winmail.dat`. Right: `Conversions_2026_05.csv` as the attachment.",
    ),
    _rejected(
        code=Code.QUOTA_EXCEEDED,
        title="The storage quota is used up",
        meaning="The space agreed for you is full, so the file was refused.",
        mend="Ask the contact named in this answer for more space, then send the file again.",
        example="1,000,000,000 bytes used of 1,000,000,000. Right: enough space for the file.",
    ),
    _rejected(
        code=Code.DUPLICATE_FILE,
        title="The same content came before",
        meaning="A file with exactly this content was already taken on this connection within the last 30 days (unless "
        "agreed otherwise), so it was not imported a second time. The answer names the first one.",
        mend="Do nothing if you sent it twice; if you meant new data, export the file again and check its content.",
        example="Yesterday's file under today's name. Right: the file with today's rows.",
    ),
)
