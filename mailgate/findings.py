"""What the doctor finds, and what it finds in the settings of the FTP door.

What lives here: examinations that look at settings alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mailgate.settings import Settings

_FEW = 20  # ports: each transfer takes one for a moment


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that needs a look, and how to mend it."""

    subject: str
    finding: str
    fix: str


def is_open_to_others(host: str) -> bool:
    """Tell whether a door that listens on this address is open to other machines."""
    return host not in {"127.0.0.1", "::1", "localhost"}


def examine_ftp(settings: Settings) -> Iterator[Finding]:
    """Look at the settings of the FTP door: clear text, ports, and what others see of it."""
    yield from _clear_text(settings)
    yield from _ftp_ports(settings)
    ftp = settings.ftp
    if not is_open_to_others(ftp.host):
        return
    if settings.smtp.certificate is None and (ftp.tls != "off" or ftp.implicit_port):
        yield Finding(
            subject="settings", finding="the FTP door is open to others with the certificate made for local use",
            fix="set [smtp] certificate and key: the FTP door shows the same",
        )  # fmt: skip
    if ftp.public_address and ftp.passive_ports == "0":
        yield Finding(
            subject="settings",
            finding="ftp.public_address is set, and passive_ports is any port: no NAT can pass those on",
            fix="set [ftp] passive_ports to a range, and pass it on to this machine",
        )
    if ftp.active:
        yield Finding(
            subject="settings", finding="ftp.active lets clients ask us to connect to them",
            fix="set [ftp] active = false; every client of the last twenty years knows passive mode",
        )  # fmt: skip


def _clear_text(settings: Settings) -> Iterator[Finding]:
    words = {
        "optional": "ftp.tls is optional: a client that does not ask for TLS sends its password and its files in clear",
        "off": "ftp.tls is off: passwords and files travel in clear",
    }
    if settings.ftp.tls in words:
        yield Finding(
            subject="settings", finding=words[settings.ftp.tls],
            fix='set [ftp] tls = "required", or give these clients a way that others cannot listen to',
        )  # fmt: skip


def _ftp_ports(settings: Settings) -> Iterator[Finding]:
    ftp, range_ = settings.ftp, settings.ftp.data_ports
    others = {
        "smtp.port": settings.smtp.port, "smtp.tls_port": settings.smtp.tls_port, "sftp.port": settings.sftp.port,
        "ftp.port": ftp.port, "ftp.implicit_port": ftp.implicit_port,
    }  # fmt: skip
    for name, port in others.items():
        if port and port in range_:
            yield Finding(
                subject="port", finding=f"{name} {port} lies in ftp.passive_ports {ftp.passive_ports}",
                fix=f"set another {name}, or another range",
            )  # fmt: skip
    for own in ("ftp.port", "ftp.implicit_port"):
        for name, port in others.items():
            if port and name != own and port == others[own] and (own, name) != ("ftp.implicit_port", "ftp.port"):
                yield Finding(
                    subject="port", finding=f"{own} and {name} are both {port}", fix=f"set another {own}"
                )  # fmt: skip
    if ftp.passive_ports != "0" and len(range_) < _FEW:
        yield Finding(
            subject="settings",
            finding=f"ftp.passive_ports has {len(range_)} ports: a transfer that finds all taken is told 425",
            fix="make the range wider, and open it in the firewall",
        )
