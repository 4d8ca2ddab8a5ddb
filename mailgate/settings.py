"""Every setting with its default, read from ``mailgate.toml`` and the environment.

What lives here: names, defaults and their checks. Nothing is opened or connected at import.
"""

import os
import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class SettingsError(Exception):
    """Say in one sentence per fault what is wrong with the configuration; the command line exits 2."""


def parse_duration(value: object) -> timedelta:
    """Turn ``2s``, ``5m``, ``1h`` or ``90d`` into a timedelta; ValueError for anything else."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d{1,9})([smhd])", str(value).strip())
    if match is None:
        raise ValueError("a duration is a whole number with its unit: 2s, 5m, 1h, 90d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Port = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[int, Field(gt=0)]
_is_host = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?").fullmatch


def _check_dns_server(text: str) -> str:
    host, port = text, "53"
    if text.startswith("[") or text.count(":") == 1:
        host, _, port = text.rpartition(":")
    ip_address(host.strip("[]"))
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("a port is a number from 1 to 65535")
    return text


DnsServer = Annotated[str, AfterValidator(_check_dns_server)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Smtp(_Section):
    """The SMTP door."""

    host: str = "127.0.0.1"
    port: Port = 2525  #: 0: any free port
    tls_port: Port = 0  #: implicit TLS; 0: off
    certificate: Path | None = None  #: PEM chain; default: the one ``init`` wrote
    key: Path | None = None
    require_tls: bool = False
    max_message_bytes: Positive = 150_000_000
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()  #: mail servers of ours that pass mail on to us
    trusted_authserv: tuple[str, ...] = ()  #: names under which those servers write Authentication-Results


class Dns(_Section):
    """How DNS is asked who may send in whose name."""

    lookups: bool = True
    servers: tuple[DnsServer, ...] = ()  #: address, or address:port; empty: those of the machine


class Sftp(_Section):
    """The SFTP door."""

    host: str = "127.0.0.1"
    port: Port = 2222  #: 0: any free port
    host_keys: tuple[Path, ...] = ()  #: private keys in OpenSSH's form; empty: those that ``init`` made


class Relay(_Section):
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


class Pull(_Section):
    """What we fetch from: servers and mailboxes of others."""

    allow_private: bool = False  #: whether a target may have a loopback, private or link-local address


class Limits(_Section):
    """Every limit, with its default."""

    max_file_bytes: Positive = 100_000_000
    max_rows: Positive = 1_000_000
    warn_rows: Positive = 500_000
    max_error_entries: Positive = 100_000
    result_within: Duration = timedelta(minutes=30)
    answers_per_hour: Positive = 300
    answer_bytes: Positive = 10_000_000  #: of attached files in one reply; the rest is kept for download
    duplicate_days: Positive = 30

    smtp_connections: Positive = 1000
    smtp_connections_per_address: Positive = 100
    smtp_recipients: Positive = 100
    smtp_commands: Positive = 10_000  #: in one session
    smtp_auth_attempts: Positive = 3  #: in one session
    smtp_idle: Duration = timedelta(minutes=5)  #: RFC 5321 section 4.5.3.2.7
    smtp_tls_handshake: Duration = timedelta(seconds=30)  #: on the port of implicit TLS
    smtp_minimum_rate: Positive = 1024  #: bytes a second over smtp_rate_window, in DATA
    smtp_rate_window: Duration = timedelta(seconds=60)
    smtp_data_total: Duration = timedelta(hours=1)
    smtp_session_total: Duration = timedelta(hours=2)

    sftp_connections: Positive = 1000
    sftp_connections_per_address: Positive = 200
    sftp_connections_per_credential: Positive = 100
    sftp_unauthenticated: Positive = 300  #: connections that have not logged in yet
    sftp_unauthenticated_per_address: Positive = 100
    sftp_login_attempts: Positive = 6  #: failures in one connection, keys that do not fit among them
    sftp_login_time: Duration = timedelta(seconds=30)  #: from the connection to the login
    sftp_channels: Positive = 10  #: sessions in one connection
    sftp_handles: Positive = 100  #: files and folders open at once in one session
    sftp_idle: Duration = timedelta(minutes=15)

    login_delay: Duration = timedelta(seconds=1)  #: before a wrong password is answered, at every door
    login_points: Positive = 2  #: of one wrong password
    login_ban_points: Positive = 14  #: an address that has so many within login_window is banned
    login_guard_points: Positive = 28  #: a user name that has so many is guarded
    login_window: Duration = timedelta(minutes=30)
    login_ban: Duration = timedelta(minutes=30)
    login_ban_growth: Annotated[int, Field(ge=0)] = 50  #: per cent that each further ban is longer
    login_ban_longest: Duration = timedelta(days=1)
    login_known_for: Duration = timedelta(days=90)  #: how long an address is remembered as a user's own
    login_connections_per_second: Positive = 20  #: that have not logged in, from one address
    login_checks: Positive = 2  #: passwords hashed at once; each takes 19 MiB

    message_header_bytes: Positive = 256 * 1024
    message_field_bytes: Positive = 32 * 1024
    message_parts: Positive = 200
    message_depth: Positive = 20

    sender_check: Duration = timedelta(seconds=20)  #: for DNS, where a connection demands proof
    sender_check_unasked: Duration = timedelta(seconds=2)  #: for DNS, where none does: the results are only recorded
    dns_timeout: Duration = timedelta(seconds=3)  #: of one question
    dns_lookups: Positive = 60  #: questions for one mail
    imap_connect: Duration = timedelta(seconds=15)
    imap_silence: Duration = timedelta(seconds=60)  #: a server that says nothing for so long is dead
    imap_command_total: Duration = timedelta(minutes=5)  #: one command, or one chunk of a mail
    imap_idle: Duration = timedelta(minutes=9)  #: then IDLE begins anew; servers end it after 30 (RFC 2177)
    imap_lease: Duration = timedelta(minutes=2)  #: another poller takes over when it has lapsed
    imap_backoff_most: Duration = timedelta(minutes=15)  #: the longest wait after failures in a row
    imap_message_tries: Positive = 6  #: over some six hours; then a mail that cannot be fetched gets its verdict
    imap_rescan: Duration = timedelta(hours=1)  #: between looks at the whole folder
    imap_bytes_per_day: Positive = 2_400_000_000  #: per mailbox; Gmail allows 2,500 MB
    imap_mailboxes: Positive = 200  #: polled by one process, a thread each
    uploads_at_once: Positive = 200  #: of one credential, at file doors
    upload_bytes_held: Positive = 10_000_000_000  #: of one credential, under way or waiting to be judged
    names_per_folder: Positive = 10_000
    incomplete_kept: Duration = timedelta(hours=24)  #: for resuming a cut upload, and for renaming a held one
    accepted_visible: Duration = timedelta(seconds=60)  #: at least so long after it was accepted

    ignored_quota_bytes: Positive = 1_000_000_000  #: per connection, of files that were not taken
    minimum_free_bytes: Positive = 300_000_000  #: below it deliveries are refused for now

    parse_workers: Positive = 2
    parse_memory_bytes: Positive = 1_000_000_000
    parse_seconds: Positive = 600
    import_tries: Positive = 5  #: then the import is parked as aborted


class Retention(_Section):
    """How long what is kept."""

    originals: Duration = timedelta(days=90)
    answers: Duration = timedelta(days=30)
    ignored: Duration = timedelta(days=7)


Word = Annotated[str, Field(min_length=1)]


class DataTypeSettings(_Section):
    """What an operator sets of one data type without a descriptor of his own."""

    enums: dict[str, Annotated[tuple[Word, ...], Field(min_length=1)]] = {}  #: field → the values it may have


class Settings(BaseSettings):
    """All settings of one mailgate."""

    model_config = SettingsConfigDict(
        env_prefix="MAILGATE_", env_nested_delimiter="__", extra="forbid", frozen=True, toml_file=None
    )

    data_dir: Path = Path("mailgate-data")
    domain: str = "intake.localhost"
    database_url: Literal[""] = ""  # Postgres is not built yet
    blob_url: Literal[""] = ""  # S3 is not built yet
    settle_seconds: Annotated[float, Field(ge=0, le=86_400)] = 5.0  #: that a file in a folder must stay untouched
    operators: tuple[str, ...] = ()
    support_contact: str = ""
    smtp: Smtp = Smtp()
    dns: Dns = Dns()
    sftp: Sftp = Sftp()
    relay: Relay = Relay()
    pull: Pull = Pull()
    limits: Limits = Limits()
    retention: Retention = Retention()
    data_types: dict[str, DataTypeSettings] = {}

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if not _is_host(self.domain) or "_" in self.domain:
            raise ValueError("domain must be a host name, e.g. intake.example.com")
        if (self.smtp.certificate is None) != (self.smtp.key is None):
            raise ValueError("smtp.certificate and smtp.key belong together: set both or neither")
        relay = self.relay
        if len({bool(relay.dkim_domain), bool(relay.dkim_selector), relay.dkim_key is not None}) != 1:
            raise ValueError("relay.dkim_domain, dkim_selector and dkim_key belong together: set all or none")
        if relay.dkim_domain and not (_is_host(relay.dkim_domain) and _is_host(relay.dkim_selector)):
            raise ValueError("relay.dkim_domain and dkim_selector are names as DNS has them, e.g. example.com and mail")
        return self

    @property
    def blob_dir(self) -> Path:
        """Name the folder of stored files."""
        return self.data_dir / "blobs"

    @property
    def spool_dir(self) -> Path:
        """Name the folder of mails on their way in and of files a worker is writing."""
        return self.data_dir / "spool"

    @property
    def uploads_dir(self) -> Path:
        """Name the folder of uploads at file doors that are under way or not judged yet."""
        return self.data_dir / "uploads"

    @property
    def outbox_dir(self) -> Path:
        """Name the folder that takes replies when no relay is configured."""
        return self.data_dir / "outbox"

    @property
    def database_path(self) -> Path:
        """Name the SQLite file of ledger and jobs."""
        return self.data_dir / "mailgate.sqlite3"

    @property
    def data_types_dir(self) -> Path:
        """Name the folder of the operator's own data types."""
        return self.data_dir / "data-types"

    @property
    def enums(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Give the lists of allowed values by data type and field."""
        return {name: one.enums for name, one in self.data_types.items() if one.enums}

    @property
    def certificate_path(self) -> Path:
        """Name the TLS certificate in use."""
        return self.smtp.certificate or self.data_dir / "keys" / "tls.crt"

    @property
    def key_path(self) -> Path:
        """Name the TLS key in use."""
        return self.smtp.key or self.data_dir / "keys" / "tls.key"

    @property
    def host_key_paths(self) -> tuple[Path, ...]:
        """Name the private keys that the SFTP door shows itself with."""
        made = tuple(self.data_dir / "keys" / f"ssh_host_{kind}_key" for kind in ("ed25519", "rsa"))
        return self.sftp.host_keys or made

    @property
    def reply_from(self) -> str:
        """Give the From address of our replies."""
        return self.relay.sender or f"mailgate@{self.domain}"


def load_settings(path: Path) -> Settings:
    """Read the settings of one file and the environment; SettingsError names each fault."""
    if not path.is_file():
        raise SettingsError(f"no configuration at {path}: run `mailgate init`, or name another with --config")

    _check_environment()

    class _File(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            *args: PydanticBaseSettingsSource,
            **kwargs: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (kwargs["env_settings"], TomlConfigSettingsSource(settings_cls, toml_file=path))

    try:
        settings = _File()
    except ValidationError as error:
        raise SettingsError(_sentences(error)) from None
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from None
    base = path.resolve().parent
    updates: dict[str, Any] = {"data_dir": base / settings.data_dir}
    if settings.smtp.certificate is not None and settings.smtp.key is not None:
        pair = {"certificate": base / settings.smtp.certificate, "key": base / settings.smtp.key}
        updates["smtp"] = settings.smtp.model_copy(update=pair)
    if settings.sftp.host_keys:
        keys = tuple(base / path for path in settings.sftp.host_keys)
        updates["sftp"] = settings.sftp.model_copy(update={"host_keys": keys})
    updates["relay"] = _with_secret(settings.relay, base)
    return Settings.model_construct(**{**dict(settings), **updates})


def _check_environment() -> None:
    """Refuse a variable of ours that names no setting: what is misspelt must not be ignored in silence."""
    known = {"MAILGATE_CONFIG"}
    for name, field in Settings.model_fields.items():
        known.add(f"MAILGATE_{name}".upper())
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Section):
            for key, inner in field.annotation.model_fields.items():
                known.add(f"MAILGATE_{name}__{inner.alias or key}".upper())
    unknown = sorted(name for name in os.environ if name.startswith("MAILGATE_") and name.upper() not in known)
    if unknown:
        raise SettingsError("\n".join(f"{name}: there is no such setting (see docs/settings.md)" for name in unknown))


def _with_secret(relay: Relay, base: Path) -> Relay:
    updates: dict[str, Any] = {}
    if relay.ca_file is not None:
        updates["ca_file"] = base / relay.ca_file
    if relay.dkim_key is not None:
        updates["dkim_key"] = base / relay.dkim_key
    if relay.password_file is not None:
        if relay.password:
            raise SettingsError("relay.password and relay.password_file are both set: keep one")
        try:
            updates["password"] = (base / relay.password_file).read_text().rstrip("\n")
        except OSError as error:
            raise SettingsError(f"relay.password_file cannot be read: {error}") from None
    return relay.model_copy(update=updates)


_NOT_BUILT = {"ftp", "web", "metrics", "s3", "database_url", "blob_url"}


def _sentences(error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        if fault["loc"] and str(fault["loc"][0]) in _NOT_BUILT:
            lines.append(f"{key}: this part of mailgate is not built yet; leave the key out")
        elif fault["type"] == "extra_forbidden":
            lines.append(f"{key}: there is no such setting (see docs/settings.md)")
        else:
            lines.append(f"{key or 'settings'}: {fault['msg']}")
    return "\n".join(lines)
