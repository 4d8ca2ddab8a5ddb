"""The tables of the file, one class each, with their defaults.

What lives here: names, defaults and what a value may be. The limits have a module of their own.
"""

import re
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from mailgate.settings.values import DnsServer, Duration, Networks, Port, Positive, Section


class Smtp(Section):
    """The SMTP door."""

    host: str = "127.0.0.1"
    port: Port = 2525  #: 0: any free port
    tls_port: Port = 0  #: implicit TLS; 0: off
    lmtp_port: Port = 0  #: LMTP, for mail servers of ours; 0: off
    certificate: Path | None = None  #: PEM chain; default: the one ``init`` wrote
    key: Path | None = None
    require_tls: bool = False
    max_message_bytes: Positive = 150_000_000
    trusted_proxies: Networks = ()  #: mail servers of ours that pass mail on to us
    trusted_authserv: tuple[str, ...] = ()  #: names under which those servers write Authentication-Results
    proxy_protocol_from: Networks = ()  #: balancers whose connections begin with a PROXY header


class Dns(Section):
    """How DNS is asked who may send in whose name."""

    lookups: bool = True
    servers: tuple[DnsServer, ...] = ()  #: address, or address:port; empty: those of the machine


class Sftp(Section):
    """The SFTP door."""

    host: str = "127.0.0.1"
    port: Port = 2222  #: 0: any free port
    host_keys: tuple[Path, ...] = ()  #: private keys in OpenSSH's form; empty: those that ``init`` made
    proxy_protocol_from: Networks = ()  #: as ``smtp.proxy_protocol_from``


class Metrics(Section):
    """The page of metrics and health."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 9464  #: 0: any free port


class Traces(Section):
    """Where the traces of deliveries go."""

    endpoint: str = ""  #: OTLP over HTTP, e.g. http://127.0.0.1:4318/v1/traces; empty: no traces


_is_ports = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?").fullmatch


def _check_ports(text: str) -> str:
    match = _is_ports(text)
    low, high = (int(match[1]), int(match[2] or match[1])) if match is not None else (1, 0)
    if not (1024 <= low <= high < 65536 or low == high == 0):
        raise ValueError("a range of ports from 1024 to 65535, e.g. 50000-50099; or 0 for any free ones")
    return text


def _check_public(text: str) -> str:
    if text:
        IPv4Address(text)  # raises a ValueError that says so
    return text


class Ftp(Section):
    """The FTP door."""

    host: str = "127.0.0.1"
    port: Port = 2121  #: 0: any free port
    tls: Literal["required", "optional", "off"] = "required"  #: AUTH TLS before the login, and PROT P before a transfer
    implicit_port: Port = 0  #: TLS from the first byte; 0: off
    passive_ports: Annotated[str, AfterValidator(_check_ports)] = "50000-50099"
    public_address: Annotated[str, AfterValidator(_check_public)] = ""  #: IPv4, told to clients behind whose NAT we are
    active: bool = False  #: PORT and EPRT, to the client's own address alone

    @property
    def data_ports(self) -> range:
        """Give the ports of passive data connections; 0 stands for any free one."""
        low, _, high = self.passive_ports.partition("-")
        return range(int(low), int(high or low) + 1)


class Relay(Section):
    """The mail server that takes our replies; without one they go to the outbox folder."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    host: str = ""
    port: Port = 587
    username: str = ""
    password: str = Field(default="", repr=False)
    password_file: Path | None = None
    tls: Literal["starttls", "implicit", "off"] = "starttls"
    ca_file: Path | None = None
    sender: str = Field(default="", alias="from")  #: empty: mailgate@<domain>
    envelope_from: str = ""  #: empty: the null sender
    dkim_domain: str = ""  #: with the two below: our mail is signed
    dkim_selector: str = ""
    dkim_key: Path | None = None  #: PEM, RSA or Ed25519


class S3(Section):
    """The object store that ``blob_url`` names."""

    endpoint: str = ""  #: http(s)://host[:port]; empty: Amazon's, of the region
    region: str = "us-east-1"
    access_key_id: str = ""  #: empty: what the environment gives (AWS_*, or the machine's role)
    access_key_id_file: Path | None = None
    secret_access_key: str = Field(default="", repr=False)
    secret_access_key_file: Path | None = None
    ca_file: Path | None = None  #: PEM, of a store with a certificate of one's own


class Pull(Section):
    """What we fetch from: servers and mailboxes of others."""

    allow_private: bool = False  #: whether a target may have a loopback, private or link-local address


class Retention(Section):
    """How long what is kept."""

    originals: Duration = timedelta(days=90)
    answers: Duration = timedelta(days=30)
    ignored: Duration = timedelta(days=7)


Word = Annotated[str, Field(min_length=1)]


class DataTypeSettings(Section):
    """What an operator sets of one data type without a descriptor of his own."""

    enums: dict[str, Annotated[tuple[Word, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )  #: field → its values
