"""The couriers: a mail relay, the outbox folder where none is configured, and one that signs before either.

What lives here: handing a finished mail over. What it says and when it goes is decided elsewhere.
"""

import asyncio
import os
import ssl
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import aiosmtplib

from imports.courier import Courier, Reply
from mailgate.authenticity import Signer
from mailgate.settings import Settings
from models.codes import Code
from models.faults import Fault, PermanentError, TemporaryError

_TIMEOUT = 60.0


class OutboxCourier:
    """Write each reply as one ``.eml`` file, whole or not at all; the same reply has the same name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def deliver(self, reply: Reply) -> None:
        """Write the file; TemporaryError when the disk refuses."""
        try:
            await asyncio.to_thread(self._write, reply)
        except OSError as error:
            raise TemporaryError(f"the outbox cannot be written: {error}") from error

    async def close(self) -> None:
        """Do nothing."""

    def _write(self, reply: Reply) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        moment = reply.created_at.astimezone(UTC)
        stamp = f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond:06d}Z"
        suffix = "" if reply.sequence == 1 else f"-{reply.sequence}"
        target = self._folder / f"{stamp}-{reply.trace_id}-{reply.kind}{suffix}.eml"
        temporary = self._folder / f".{target.name}.tmp"
        with temporary.open("wb") as out:
            out.write(reply.message)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(target)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class RelayCourier:
    """Hand replies to a mail relay over SMTP."""

    def __init__(self, settings: Settings) -> None:
        self._relay = settings.relay
        self._hostname = settings.domain

    async def deliver(self, reply: Reply) -> None:
        """Hand over one mail; a 5xx to it is permanent, anything else may go later."""
        relay = self._relay
        context = ssl.create_default_context(cafile=str(relay.ca_file) if relay.ca_file else None)
        client = aiosmtplib.SMTP(
            hostname=relay.host, port=relay.port, local_hostname=self._hostname, timeout=_TIMEOUT,
            use_tls=relay.tls == "implicit", start_tls=relay.tls == "starttls", tls_context=context,
            username=relay.username or None, password=relay.password or None,
        )  # fmt: skip
        try:
            async with client:
                await client.sendmail(relay.envelope_from, [reply.to_address], reply.message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _failure(max(one.code for one in error.recipients), str(error.recipients[0].message)) from error
        except (aiosmtplib.SMTPAuthenticationError, aiosmtplib.SMTPConnectError, aiosmtplib.SMTPHeloError) as error:
            raise TemporaryError(f"the relay does not let us in: {error}") from error
        except aiosmtplib.SMTPResponseException as error:
            raise _failure(error.code, error.message) from error
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError) as error:
            raise TemporaryError(f"the relay cannot be reached: {error}") from error

    async def close(self) -> None:
        """Do nothing: each reply has a connection of its own."""


class SigningCourier:
    """Sign each reply before another courier takes it; the same reply has the same signature."""

    def __init__(self, courier: Courier, signer: Signer) -> None:
        self._courier = courier
        self._signer = signer

    async def deliver(self, reply: Reply) -> None:
        """Sign and hand over one reply."""
        signed = await asyncio.to_thread(self._signer.sign, reply.message, reply.created_at)
        await self._courier.deliver(replace(reply, message=signed))

    async def close(self) -> None:
        """Close the courier behind."""
        await self._courier.close()


def _failure(code: int, message: str) -> Exception:
    text = f"{code} {message}"
    if 500 <= code <= 599:
        return PermanentError(Fault(code=Code.SYSTEM_ERROR, message=text))
    return TemporaryError(text)
