"""Every setting with its default, read from ``mailgate.toml`` and the environment.

What lives here: the settings as a whole, their checks across tables, and how they are read. Nothing is opened or
connected at import.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from mailgate.settings.limits import Limits
from mailgate.settings.sections import (
    S3,
    DataTypeSettings,
    Dns,
    Ftp,
    Metrics,
    Pull,
    Relay,
    Retention,
    Sftp,
    Smtp,
    Traces,
)
from mailgate.settings.values import Section, parse_duration

__all__ = [
    "S3",
    "DataTypeSettings",
    "Dns",
    "Ftp",
    "Limits",
    "Metrics",
    "Pull",
    "Relay",
    "Retention",
    "Settings",
    "SettingsError",
    "Sftp",
    "Smtp",
    "Traces",
    "load_settings",
    "parse_duration",
]

_is_bucket_url = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()-]+)*/?").fullmatch
_is_host = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?").fullmatch


class SettingsError(Exception):
    """Say in one sentence per fault what is wrong with the configuration; the command line exits 2."""


class Settings(BaseSettings):
    """All settings of one mailgate."""

    model_config = SettingsConfigDict(
        env_prefix="MAILGATE_", env_nested_delimiter="__", extra="forbid", frozen=True, toml_file=None
    )

    data_dir: Path = Path("mailgate-data")
    domain: str = "intake.localhost"
    database_url: str = Field(default="", repr=False)  #: postgresql://…; empty: SQLite in data_dir
    database_url_file: Path | None = None
    blob_url: str = ""  #: s3://bucket/prefix; empty: files in data_dir
    settle_seconds: Annotated[float, Field(ge=0, le=86_400)] = 5.0  #: that a file in a folder must stay untouched
    operators: tuple[str, ...] = ()
    support_contact: str = ""
    smtp: Smtp = Smtp()
    dns: Dns = Dns()
    sftp: Sftp = Sftp()
    ftp: Ftp = Ftp()
    metrics: Metrics = Metrics()
    traces: Traces = Traces()
    relay: Relay = Relay()
    pull: Pull = Pull()
    s3: S3 = S3()
    limits: Limits = Limits()
    retention: Retention = Retention()
    data_types: dict[str, DataTypeSettings] = {}

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: str) -> str:
        if value and not value.startswith("postgresql://"):
            raise ValueError("database_url is empty, for SQLite, or postgresql://user@host/name")  # it may be a secret
        return value

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if not _is_host(self.domain) or "_" in self.domain:
            raise ValueError("domain must be a host name, e.g. intake.example.com")
        if (self.smtp.certificate is None) != (self.smtp.key is None):
            raise ValueError("smtp.certificate and smtp.key belong together: set both or neither")
        if self.smtp.lmtp_port == 25:
            raise ValueError("smtp.lmtp_port must not be 25, where SMTP is spoken (RFC 2033 section 5)")
        relay = self.relay
        if len({bool(relay.dkim_domain), bool(relay.dkim_selector), relay.dkim_key is not None}) != 1:
            raise ValueError("relay.dkim_domain, dkim_selector and dkim_key belong together: set all or none")
        if relay.dkim_domain and not (_is_host(relay.dkim_domain) and _is_host(relay.dkim_selector)):
            raise ValueError("relay.dkim_domain and dkim_selector are names as DNS has them, e.g. example.com and mail")
        _check_s3(self.blob_url, self.s3)
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
        """Name the SQLite file of ledger and jobs, where they are not in Postgres."""
        return self.data_dir / "mailgate.sqlite3"

    @property
    def ledger_url(self) -> str:
        """Give the URL of the database of ledger and jobs; it may hold a password."""
        return self.database_url or f"sqlite:///{self.database_path}"

    @property
    def database_name(self) -> str:
        """Name the database for people, without its password."""
        if not self.database_url:
            return str(self.database_path)
        parts = urlsplit(self.database_url)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"

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


def _check_s3(blob_url: str, s3: S3) -> None:
    if blob_url and not _is_bucket_url(blob_url):
        raise ValueError("blob_url must be empty or s3://bucket/prefix")
    if s3.endpoint and not re.fullmatch(r"https?://[^/@\s]+/?", s3.endpoint):
        raise ValueError("s3.endpoint must be http(s)://host[:port]")
    if bool(s3.access_key_id or s3.access_key_id_file) != bool(s3.secret_access_key or s3.secret_access_key_file):
        raise ValueError("s3.access_key_id and s3.secret_access_key belong together: set both or neither")


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
    updates["s3"] = _with_keys(settings.s3, base)
    if settings.database_url_file is not None:
        if settings.database_url:
            raise SettingsError("database_url and database_url_file are both set: keep one")
        url = _read_secret(base / settings.database_url_file, "database_url_file")
        if not url.startswith("postgresql://"):
            raise SettingsError("database_url_file holds no postgresql://… URL")
        updates["database_url"] = url
    return Settings.model_construct(**{**dict(settings), **updates})


def _check_environment() -> None:
    """Refuse a variable of ours that names no setting: what is misspelt must not be ignored in silence."""
    known = {"MAILGATE_CONFIG"}
    for name, field in Settings.model_fields.items():
        known.add(f"MAILGATE_{name}".upper())
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
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
    updates |= _from_files("relay", relay, base, "password")
    return relay.model_copy(update=updates)


def _with_keys(s3: S3, base: Path) -> S3:
    updates: dict[str, Any] = {} if s3.ca_file is None else {"ca_file": base / s3.ca_file}
    return s3.model_copy(update=updates | _from_files("s3", s3, base, "access_key_id", "secret_access_key"))


def _from_files(table: str, section: Section, base: Path, *keys: str) -> dict[str, Any]:
    """Read what a table keeps in files of its own; what stands in both places is refused."""
    found: dict[str, Any] = {}
    for key in keys:
        path = getattr(section, f"{key}_file")
        if path is None:
            continue
        if getattr(section, key):
            raise SettingsError(f"{table}.{key} and {table}.{key}_file are both set: keep one")
        found[key] = _read_secret(base / path, f"{table}.{key}_file")
    return found


def _read_secret(path: Path, key: str) -> str:
    try:
        return path.read_text().rstrip("\n")
    except OSError as error:
        raise SettingsError(f"{key} cannot be read: {error}") from None


_NOT_BUILT = {"web"}


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
