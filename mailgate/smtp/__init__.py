"""The SMTP door: translates RFC 5321 and nothing else. The only importer of aiosmtpd."""

from mailgate.smtp.door import SmtpDoor

__all__ = ["SmtpDoor"]
