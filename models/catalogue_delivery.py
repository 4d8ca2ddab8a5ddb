"""The catalogue's texts about deliveries that were ignored or cut off, and about faults of our own.

What lives here: texts, nothing that runs beyond making the entries.
"""

from functools import partial

from models.catalogue_entry import Entry, Scope, Severity
from models.codes import Code

_ignored = partial(Entry, scope=Scope.DELIVERY, severity=Severity.IGNORED)
_ours = partial(Entry, scope=Scope.OURS, severity=Severity.ERROR)

IGNORED: tuple[Entry, ...] = (
    _ignored(
        code=Code.NAME_NOT_MATCHED,
        title="A file name does not match the agreed pattern",
        meaning="By mail, all attachments must match the connection's pattern; one did not, so the whole mail was "
        "ignored and nothing imported. By SFTP, FTP, pull, browser or API the file was rejected.",
        mend="Rename the file to fit the pattern named in the message, leave other attachments out, and send it again.",
        example="`Conversions-2026.csv` for the pattern `Conversions_202?_*.csv`. Right: `Conversions_2026_05.csv`.",
    ),
    _ignored(
        code=Code.RESERVED_PREFIX,
        title="The name is reserved for our answers",
        meaning="Names that begin with `receipt_` or `result_` are our own answers coming back. Such files are "
        "skipped, and a delivery that has nothing else is ignored.",
        mend="Save the file under a name of your connection, e.g. Conversions_2026_mended.csv, and send it again.",
        example="`result_Conversions_2026.csv.errors.csv`. Right: `Conversions_2026_mended.csv`.",
    ),
    _ignored(
        code=Code.NO_ATTACHMENT,
        title="The mail has no attachment",
        meaning="The mail holds no file that counts: only text, or pictures of a signature. Nothing was imported.",
        mend="Attach the file itself instead of a link or text in the mail, and send it again.",
        example="A link to a shared drive in the text. Right: the CSV file as an attachment.",
    ),
    _ignored(
        code=Code.AUTO_SUBMITTED,
        title="The mail is an automatic answer",
        meaning="The mail is marked as an automatic answer, such as an out-of-office notice. To prevent loops it was "
        "ignored and not answered.",
        mend="Send the file in a mail of its own; a script marks its mail `Auto-Submitted: auto-generated`, "
        "never replied.",
        example="`Auto-Submitted: auto-replied`. Right: no such line, or `Auto-Submitted: auto-generated`.",
    ),
    _ignored(
        code=Code.BOUNCE,
        title="The mail is a delivery report",
        meaning="The mail came from the null sender, or is a report about another mail. Such mails are never "
        "imported and never answered.",
        mend="Send the file in an ordinary mail with a sender address, not as a report or a bounce.",
        example="A mail from `<>` titled `Undelivered Mail`. Right: a mail from `batch@acme.example`.",
    ),
    _ignored(
        code=Code.LOOP,
        title="The mail has gone round in a circle",
        meaning="The mail carries the mark of our own answers, or has passed more than 50 mail servers. It was "
        "ignored to end the loop.",
        mend="Stop the rule that forwards our answers to the intake address; send files in a new mail.",
        example="A rule that forwards each receipt back to us. Right: receipts stay in your mailbox.",
    ),
    _ignored(
        code=Code.SENDER_NOT_ALLOWED,
        title="The sender is not on the list",
        meaning="The connection takes mail only from agreed senders, and the envelope sender or the From address is"
        " not one of them. Nothing was imported, and nothing is answered to strangers.",
        mend="Send from an agreed address, or ask your operator to add this one to the allowed senders.",
        example="`ann@mail.example` where `*@acme.example` is agreed. Right: `ann@acme.example`, once in From.",
    ),
    _ignored(
        code=Code.NOT_AUTHENTIC,
        title="The sender did not prove who they are",
        meaning="The connection demands proof of the sender, a login with its credential or a DMARC pass for the From "
        "address, and this mail had none; the message says which result stood in the way. Nothing was imported.",
        mend="Log in with the connection's user name, or send from your company's server, signed with DKIM for the "
        "From domain.",
        example="`From: ann@acme.example` sent by a server that neither SPF nor DKIM of `acme.example` names. Right: a "
        "mail through the company's own server, whose DKIM signature has `d=acme.example`.",
    ),
    _ignored(
        code=Code.ADDRESS_NOT_MATCHED,
        title="The mail names no address of this mailbox's connections",
        meaning="Several connections share the mailbox, and the mail is addressed to none of them. It belongs to nobody"
        " here: nothing was imported and nobody is answered.",
        mend="Send the file to the address that was agreed for the connection, as it is written.",
        example="A mail to `files@acme.example` alone. Right: to `files+acme-conversions-x7@acme.example`.",
    ),
    _ignored(
        code=Code.CONNECTION_PAUSED,
        title="The connection is paused",
        meaning="The connection takes no files at the moment. The file is kept and shown as held, and can be "
        "imported when the connection is resumed.",
        mend="Do not send it again yet: ask your operator when the connection resumes and whether held files follow.",
        example="A file sent on Sunday while the connection is paused until Monday. Right: resume it, import what "
        "is held.",
    ),
    _ignored(
        code=Code.ALREADY_SEEN,
        title="This very delivery was taken before",
        meaning="The same mail or remote file was delivered again, e.g. because a server did not hear our answer. "
        "It was imported once; the first trace id holds the answers.",
        mend="Do nothing: look up the first trace id; a corrected file goes in a new mail or under a new name.",
        example="A mail server that sends the same mail twice. Right: one import, two deliveries in the history.",
    ),
)

OURS: tuple[Entry, ...] = (
    _ours(
        code=Code.SYSTEM_ERROR,
        title="Something failed on our side",
        meaning="The import was stopped by a fault of ours, not by your file. The file is kept, and the operators were "
        "alarmed and can start it again.",
        mend="Do not send the file again: wait for the result, or give the trace id to the contact in this answer.",
        example="The database could not be reached for an hour. Right: the operator replays the import.",
    ),
    _ours(
        code=Code.INCOMPLETE,
        title="The upload was cut off",
        meaning="The connection broke before the file was whole, so nothing was imported. The message says how many"
        " bytes came.",
        mend="Upload the whole file again, or resume the upload if your program can.",
        example="40,000 of 100,000 bytes came. Right: the upload ends cleanly, with all bytes.",
    ),
)
