"""The verbs that ask for a data connection (RFC 959, RFC 2428).

What lives here: PASV and EPSV, PORT and EPRT, and whose address may be named in them.
"""

import asyncio
import re
from ipaddress import ip_address

from mailgate.observe import get_logger
from transfer.ftp_data import Active, NoPort, Passive
from transfer.ftp_session import Session

log = get_logger("ftp")
NO_ACTIVE = "Active mode is off here: use PASV or EPSV."
_EXTENDED = "EPSV ALL was sent: only EPSV is allowed."
_PRIVILEGED = 1024
#: Seconds before the port is told. curl (7.88 at least) that reads it in the same step in which it asked forgets to
#: connect, and finds out when its poll ends a second later: one file in six so under TLS, none with this pause.
_BREATH = 0.002


async def pasv(session: Session, _: str) -> None:
    """Open a port for the next transfer, and say where."""
    if session.ways.only_extended:
        session.say(501, _EXTENDED)
        return
    host = session.desk.settings.ftp.public_address or session.wire.here
    if ":" in session.wire.here:
        session.say(522, "PASV is for IPv4; use EPSV.")
        return
    channel = await _listen(session)
    if channel is not None:
        numbers = [*host.split("."), str(channel.port >> 8), str(channel.port & 255)]
        session.say(227, f"Entering passive mode ({','.join(numbers)}).")


async def epsv(session: Session, protocol: str) -> None:
    """Open a port for the next transfer, on the address of the control connection."""
    protocol = protocol.strip().upper()
    own = "2" if ":" in session.wire.here else "1"
    if protocol == "ALL":
        session.ways.only_extended = True
        session.say(220, "Other commands than EPSV are not taken from now on.")
    elif protocol and protocol != own:
        session.say(522, f"Network protocol not supported (use {own}).")
    elif (channel := await _listen(session)) is not None:
        session.say(229, f"Entering extended passive mode (|||{channel.port}|).")


async def port(session: Session, argument: str) -> None:
    """Connect to the client for the next transfer, where the operator allows that."""
    if session.ways.only_extended:
        session.say(501, _EXTENDED)
        return
    if not session.desk.settings.ftp.active:
        session.say(502, NO_ACTIVE)
        return
    numbers = re.fullmatch(r"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})", argument.strip())
    values = [int(number) for number in numbers.groups()] if numbers else [256]
    if max(values) > 255:
        session.say(501, "Invalid PORT format.")
        return
    await _connect(session, ".".join(map(str, values[:4])), values[4] << 8 | values[5])


async def eprt(session: Session, argument: str) -> None:
    """Do the same for either protocol."""
    if session.ways.only_extended:
        session.say(501, _EXTENDED)
        return
    if not session.desk.settings.ftp.active:
        session.say(502, NO_ACTIVE)
        return
    own = "2" if ":" in session.wire.here else "1"
    parts = argument.strip().split(argument.strip()[0])
    if len(parts) != 5 or not parts[3].isdecimal() or int(parts[3]) > 65535:
        session.say(501, "Invalid EPRT format.")
    elif parts[1] != own:
        session.say(522, f"Network protocol not supported (use {own}).")
    else:
        await _connect(session, parts[2], int(parts[3]), "EPRT")


async def _listen(session: Session) -> Passive | None:
    await session.drop_channel()
    settings = session.desk.settings
    try:
        channel = Passive(
            session.wire.here, settings.ftp.data_ports, session.address,
            seconds=settings.limits.ftp_data_wait.total_seconds(), tls=session.data_tls(),
        )  # fmt: skip
    except NoPort:
        log.warning("every passive port is taken", ports=settings.ftp.passive_ports)
        session.say(425, "No port is free for a data connection now, please try again.")
        return None
    except OSError as error:
        log.warning("no passive port", reason=str(error))
        session.say(425, "Can't open a data connection now, please try again.")
        return None
    session.channel = channel
    await asyncio.sleep(_BREATH)
    return channel


async def _connect(session: Session, address: str, number: int, verb: str = "PORT") -> None:
    try:
        same = ip_address(address) == ip_address(session.address)
    except ValueError:
        session.say(501, f"Invalid {verb} format.")
        return
    if not same:
        log.warning("bounce refused", asked=address[:100], **session.who)
        session.say(501, f"Rejected data connection to foreign address {address}.")
    elif number < _PRIVILEGED:
        log.warning("bounce refused", asked=number, **session.who)
        session.say(501, f"{verb} against the privileged port {number} refused.")
    else:
        await session.drop_channel()
        seconds = session.desk.settings.limits.ftp_data_wait.total_seconds()
        session.channel = Active(session.wire.here, address, number, seconds=seconds, tls=session.data_tls())
        session.say(200, f"{verb} command successful.")
