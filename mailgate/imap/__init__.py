"""The mailbox door: mails of mailboxes become deliveries."""

from mailgate.imap.door import ImapDoor

__all__ = ["ImapDoor"]
