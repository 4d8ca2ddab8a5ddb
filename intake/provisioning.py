"""A file of accounts, credentials and connections, checked and turned into a plan.

What lives here: the keys of the file, their checks, and what we provision (addresses, passwords). The transaction
that applies the plan stands in ``storage.ledger.applying``.
"""

import itertools
import re
import secrets
import tomllib
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from intake.logins import hash_password, password_matches
from intake.remotes import RemoteTable
from intake.ssh_keys import check_keys
from mailgate.authenticity import is_installed
from matching.names import check_name
from matching.uploads import Prefixes, same_beginnings
from matching.wildcard import compile_pattern
from models.connection import Rule
from models.faults import MailgateError
from storage.ledger.applying import CredentialPlan, Plan

_LOCAL_PART = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
_ADDRESS = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+")
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_NOT_BUILT = {"expect", "timezone", "grace"}
_OF_MAIL = ("address", "allowed_senders", "authenticity", "strict_attachments", "open_forwarded")
_OF_FOLDERS = ("folder", "completion", "settle_seconds")


class FileRefused(MailgateError):
    """Say in one sentence per fault why a file of connections is refused."""


def _check_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise ValueError("a name is 1 to 100 printable characters")
    return name


Name = Annotated[str, AfterValidator(_check_name)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Account(_Table):
    name: Name


class _Credential(_Table):
    name: Name
    account: Name
    username: str = ""
    return_address: str = ""
    password: str = Field(default="", repr=False)
    ssh_keys: tuple[str, ...] | None = None
    lenient: bool = False

    @field_validator("return_address")
    @classmethod
    def _one_address(cls, value: str) -> str:
        if value and not _ADDRESS.fullmatch(value):
            raise ValueError("return_address is one mail address, or empty for no mail")
        return value


class _Connection(_Table):
    name: Name
    account: Name
    data_type: str
    direction: Literal["inbound"] = "inbound"
    method: Literal["email", "sftp", "ftp"] = "email"
    methodology: Literal["push", "pull"] = "push"
    pattern: str = ""
    case_sensitive: bool = True
    credential: str = ""
    address: str = ""
    allowed_senders: tuple[str, ...] = ()
    authenticity: Literal["off", "auth", "dmarc"] = "off"
    segment: str = ""
    duplicates: Literal["reject", "warn", "accept"] = "reject"
    policy: str = "accept_valid"
    notify_ignored: bool = True
    strict_attachments: bool = False
    open_forwarded: bool = False
    owner: str = ""
    contact: str = ""
    columns: dict[str, str] = Field(default_factory=dict)
    encoding: str = ""
    folder: str = ""
    completion: Literal["settle", "rename", "marker"] = "settle"
    settle_seconds: Annotated[float, Field(ge=0, le=86_400)] | None = None
    remote: RemoteTable | None = None

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        from parsing.encoding import known_encoding

        return known_encoding(value) if value else ""

    @field_validator("pattern")
    @classmethod
    def _pattern(cls, value: str) -> str:
        if value:
            compile_pattern(value, True)
        return value

    @field_validator("folder")
    @classmethod
    def _folder(cls, value: str) -> str:
        return check_folder(value) if value else ""

    @field_validator("policy")
    @classmethod
    def _policy(cls, value: str) -> str:
        if value in {"accept_valid", "all_or_nothing"}:
            return value
        match = re.fullmatch(r"max_bad_percent=(\d{1,3}(?:\.\d{1,3})?)", value)
        if match is None or float(match[1]) > 100:
            raise ValueError("policy is accept_valid, all_or_nothing or max_bad_percent=N with N from 0 to 100")
        return value

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        value = value.lower()
        if value and not _LOCAL_PART.fullmatch(value):
            raise ValueError("address is a local part of a to z, 0 to 9, dot, dash and underscore, 64 at most")
        return value

    @model_validator(mode="after")
    def _proof(self) -> "_Connection":
        if self.authenticity == "auth" and not self.credential:
            raise ValueError('authenticity = "auth" needs the credential that must log in')
        if self.authenticity == "dmarc" and not is_installed():
            raise ValueError(
                'authenticity = "dmarc" needs the extra of mailgate that checks senders, which is not installed here: '
                'pip install "mailgate[authenticity]"'
            )
        return self

    @model_validator(mode="after")
    def _pulls(self) -> "_Connection":
        if self.methodology == "pull" and self.remote is None:
            raise ValueError('methodology = "pull" needs the table [connection.remote]')
        if self.methodology == "push" and self.remote is not None:
            raise ValueError('[connection.remote] belongs to methodology = "pull"')
        if self.methodology == "pull" and self.method != "email":
            raise ValueError(f'methodology: "pull" over {self.method} is not built yet')
        if self.methodology == "pull" and self.authenticity == "auth":
            raise ValueError('authenticity = "auth" is a login at our SMTP door; mails of a mailbox have none')
        return self

    @model_validator(mode="after")
    def _method(self) -> "_Connection":
        by_mail = self.method == "email"
        strange = [key for key in (_OF_FOLDERS if by_mail else _OF_MAIL) if key in self.model_fields_set]
        if strange:
            raise ValueError(f'{", ".join(strange)}: this does not go with method = "{self.method}"')
        if by_mail and not self.pattern:
            raise ValueError("pattern: an email connection needs a pattern, e.g. Conversions_202?_*.csv")
        if not by_mail and not self.credential:
            raise ValueError("credential: a connection with a folder needs the credential that logs in")
        if not by_mail and not self.folder:
            check_folder(default_folder(self.name))
        return self


def default_folder(name: str) -> str:
    """Give the folder of a connection that names none."""
    return f"/{name}"


def check_folder(value: str) -> str:
    """Give a folder in its normal form, absolute and without a slash at the end; ValueError for what is none."""
    value = unicodedata.normalize("NFC", value)
    parts = value.strip("/").split("/")
    if not value.startswith("/") or parts == [""]:
        raise ValueError("folder is an absolute path below /, e.g. /upload/conversions")
    for part in parts:
        if (fault := check_name(part)) is not None or "\\" in part:
            raise ValueError(f"folder: {fault.message if fault else 'a backslash is no part of a folder name'}")
    if parts[0] == "samples" or parts[-1] in {"results", "dryrun"}:
        raise ValueError("folder: /samples, results and dryrun are ours")
    return "/" + "/".join(parts)


class _File(_Table):
    account: tuple[_Account, ...] = ()
    credential: tuple[_Credential, ...] = ()
    connection: tuple[_Connection, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Provisioned:
    """A plan, and the passwords just generated: credential name → password, shown once."""

    plan: Plan
    passwords: dict[str, str]
    warnings: tuple[str, ...] = ()


def read_names(text: str) -> list[str]:
    """Give the names of the credentials in a file, before it is planned."""
    return [credential.name for credential in _parse(text).credential]


def plan_file(
    text: str, *, domain: str, data_types: Collection[str], known_hashes: dict[str, str | None],
    base: Path = Path(),
    random_letters: Callable[[int], str] = lambda count: "".join(secrets.choice(_LETTERS) for _ in range(count)),
) -> Provisioned:  # fmt: skip
    """Check a file of connections and turn it into a plan. Raises FileRefused.

    ``known_hashes``: the password hash of each credential that exists, by case-folded name; a password that has not
    changed is not hashed again, and one is generated only where there is none. ``base``: the folder that paths in the
    file are relative to.
    """
    file = _parse(text)
    _check_unique("account", [one.name for one in file.account])
    _check_unique("credential", [one.name for one in file.credential])
    _check_unique("connection", [one.name for one in file.connection])
    passwords: dict[str, str] = {}
    warnings: list[str] = []
    credentials = []
    for credential in file.credential:
        if credential.return_address.lower().endswith("@" + domain.lower()):
            raise FileRefused(
                f"credential {credential.name!r}: return_address is one of our own intake addresses: answers would loop"
            )
        known = known_hashes.get(credential.name.casefold())
        new_hash, generated = _password(credential.password, known)
        if generated:
            passwords[credential.name] = generated
        keys, weak = _keys(credential)
        warnings.extend(f"credential {credential.name!r}: {one}" for one in weak)
        credentials.append(
            CredentialPlan(
                name=credential.name, account=credential.account, username=credential.username or None,
                return_address=credential.return_address, password_hash=new_hash, ssh_keys=keys,
                lenient=credential.lenient,
            )
        )  # fmt: skip
    for connection in file.connection:
        if connection.data_type not in data_types:
            known_types = ", ".join(sorted(data_types))
            raise FileRefused(f"connection {connection.name!r}: data_type is one of {known_types}")
        _check_columns(connection, data_types)
    rules = tuple(_rule(one, base) for one in file.connection)
    proposed = {rule.name: f"{_slug(rule.name)}-{random_letters(10)}" for rule in rules}
    accounts = tuple(one.name for one in file.account)
    _check_logins(file)
    plan = Plan(
        accounts=accounts, credentials=tuple(credentials), rules=rules, proposed=proposed,
        check_folder=lambda some: why_not_together(some, _prefixes(data_types)),
    )  # fmt: skip
    return Provisioned(plan=plan, passwords=passwords, warnings=tuple(warnings))


def why_not_together(rules: Sequence[Rule], prefixes: Prefixes) -> str | None:
    """Say why connections cannot serve one credential: files that cannot be told apart, or folders in the way."""
    for one, other in itertools.combinations(rules, 2):
        names = f"connections {one.name!r} and {other.name!r}"
        if one.folder == other.folder:
            same = same_beginnings(one, other, prefixes)
            if same is not None:
                return (
                    f"{names} share the folder {one.folder}, and the names of both begin with {same!r}: nothing tells "
                    "their files apart"
                )
        shorter, longer = sorted((one.folder, other.folder), key=len)
        if f"{longer}/".startswith((f"{shorter}/results/", f"{shorter}/dryrun/")):
            return f"{names}: the folder {longer} lies where {shorter} has its own results and dry runs"
    return None


def _prefixes(data_types: Collection[str]) -> Prefixes:
    if not isinstance(data_types, Mapping):
        return {}
    return {name: one.prefixes for name, one in data_types.items()}


def _check_logins(file: _File) -> None:
    """Raise FileRefused where a credential in the file has no user name and a connection with a folder needs it."""
    nameless = {one.name.casefold() for one in file.credential if not one.username}
    for connection in file.connection:
        if connection.method != "email" and connection.credential.casefold() in nameless:
            raise FileRefused(
                f"connection {connection.name!r}: its credential {connection.credential!r} needs a username to log in"
            )


def _rule(connection: _Connection, base: Path) -> Rule:
    values = {field.name: getattr(connection, field.name) for field in fields(Rule)}
    if connection.remote is not None:
        try:
            values["remote"] = connection.remote.located(base)
        except ValueError as error:
            raise FileRefused(f"connection {connection.name!r}: remote: {error}") from None
    if connection.method != "email" and not connection.folder:
        values["folder"] = default_folder(connection.name)
    return Rule(**values)


def _check_columns(connection: _Connection, data_types: Collection[str]) -> None:
    """Raise FileRefused where ``columns`` means a column that the data type does not have."""
    if not isinstance(data_types, Mapping):
        return
    known = data_types[connection.data_type]
    for ours in connection.columns.values():
        if known.field(ours) is None:
            raise FileRefused(f"connection {connection.name!r}: columns names {ours}, which {known.name} does not have")


def _keys(credential: _Credential) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Give the keys to store (None: leave them) and what to warn of; raises FileRefused."""
    if credential.ssh_keys is None:
        return None, ()
    if credential.ssh_keys and not credential.username:
        raise FileRefused(f"credential {credential.name!r}: ssh_keys needs a username to log in with")
    try:
        return check_keys(credential.ssh_keys)
    except ValueError as error:
        raise FileRefused(f"credential {credential.name!r}: ssh_keys: {error}") from None


def _password(wanted: str, known: str | None) -> tuple[str | None, str]:
    """Give the hash to store (None: leave it) and the password that was generated, if one was."""
    if not wanted or (wanted == "generate" and known is not None):
        return None, ""
    if wanted == "generate":
        password = secrets.token_urlsafe(18)
        return hash_password(password), password
    if known is not None and password_matches(wanted, known):
        return None, ""
    return hash_password(wanted), ""


def _parse(text: str) -> _File:
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileRefused(f"this is no TOML: {error}") from None
    try:
        return _File.model_validate(data)
    except ValidationError as error:
        raise FileRefused("\n".join(_sentence(data, fault) for fault in error.errors())) from None


def _sentence(data: dict[str, Any], fault: Any) -> str:
    where = [str(part) for part in fault["loc"]]
    label = where[0] if where else "file"
    if len(where) >= 2 and where[1].isdigit():
        table = data[where[0]][int(where[1])]
        name = table.get("name") if isinstance(table, dict) else None
        label = f"{where[0]} {name!r}" if name else f"{where[0]} number {int(where[1]) + 1}"
    key = ".".join(where[2:])
    if key in _NOT_BUILT or fault["type"] == "literal_error":
        built = f": it can be {fault['ctx']['expected']} so far" if fault["type"] == "literal_error" else ""
        return f"{label}: {key}{built or ': this part of mailgate is not built yet; leave the key out'}"
    if fault["type"] == "extra_forbidden":
        return f"{label}: there is no key {key or where[-1]!r}"
    return f"{label}: {key + ': ' if key else ''}{fault['msg'].removeprefix('Value error, ')}"


def _check_unique(kind: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise FileRefused(f"{kind} {name!r} stands twice (names are unique without case)")
        seen.add(name.casefold())


def is_generated(address: str, name: str) -> bool:
    """Tell whether an address is of the form that is generated for a connection of this name."""
    return re.fullmatch(re.escape(_slug(name)) + f"-[{_LETTERS}]{{10}}", address) is not None


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40] or "connection"
