"""What one leaf of a mail is by its structure, before any pattern is asked: body, embedded, encrypted, wrapped.

What lives here: facts of the mail programs in the wild, as predicates over one part. Roles are given in
``matching.roles``.
"""

import re

from models.message import Part

#: Proofs and reports about a mail, never files of a sender. The x- forms are what older programs write for the same.
_NEVER_TYPES = frozenset(
    {
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/pgp-signature",
        "application/pgp-keys",
        "message/delivery-status",
        "message/disposition-notification",
        "text/rfc822-headers",
    }
)
_ENCRYPTED_TYPES = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_TNEF_TYPES = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
_CARD_TYPES = frozenset({"text/vcard", "text/x-vcard"})
_FORWARDED_TYPES = frozenset({"message/rfc822", "message/global"})

#: Exchange splits text that stands between attachments into parts of such names.
_EXCHANGE_TEXT = re.compile(r"ATT[0-9]{5}(\.(txt|html?))?", re.IGNORECASE)


def never_counts(part: Part) -> bool:
    """Say whether a part is no attachment, whatever the pattern: signature, report, invitation, body or footer."""
    if part.content_type in _NEVER_TYPES:
        return True
    if part.content_type == "text/calendar" and "multipart/alternative" in part.ancestors:
        return True
    return _is_plain_content(part)


def _is_plain_content(part: Part) -> bool:
    # A nameless part that says "attachment" is somebody's file, even as the last text part: it must not vanish
    # as a list footer.
    if part.names or part.disposition == "attachment":
        return False
    if part.content_type.startswith("text/"):
        return True
    return not (is_forwarded(part) or is_tnef(part, "") or is_embedded(part, ""))


def is_forwarded(part: Part) -> bool:
    """Say whether a part is a whole mail inside this one."""
    return part.content_type in _FORWARDED_TYPES


def is_encrypted(part: Part) -> bool:
    """Say whether a part is sealed for somebody else's key."""
    return part.content_type in _ENCRYPTED_TYPES or "multipart/encrypted" in part.ancestors


def is_tnef(part: Part, name: str) -> bool:
    """Say whether a part is Outlook's wrapping of all attachments."""
    return part.content_type in _TNEF_TYPES or name.lower() == "winmail.dat"


def is_embedded(part: Part, name: str) -> bool:
    """Say whether a part belongs to how the mail looks rather than to what was sent with it."""
    if part.content_type.startswith("image/") and (part.disposition == "inline" or part.content_id):
        return True
    if part.referenced or part.content_type in _CARD_TYPES:
        return True
    return part.content_type.startswith("text/") and _EXCHANGE_TEXT.fullmatch(name) is not None
