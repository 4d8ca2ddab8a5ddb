"""A connection: one agreed stream of files, as the rule that judges a delivery.

What lives here: the frozen rule, and where it pulls from. A delivery stores the version of the rule that judged it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """Where a connection pulls from: a folder of a mailbox (``contract.md``, ``[connection.remote]``)."""

    host: str
    port: int = 0  #: 0: the usual one, 993 for implicit TLS, else 143
    username: str
    tls: str = "implicit"  #: implicit | starttls | off
    ca_file: str = ""  #: absolute path; empty: the authorities of the system
    password_file: str = ""  #: absolute path; empty where OAuth is used
    oauth_token_url: str = ""
    oauth_client_id: str = ""
    oauth_client_secret_file: str = ""
    oauth_refresh_token_file: str = ""  #: empty: the grant is client_credentials (RFC 6749 section 4.4)
    oauth_scope: str = ""
    oauth_mechanism: str = "XOAUTH2"  #: XOAUTH2 | OAUTHBEARER (RFC 7628)
    folder: str = "INBOX"
    processed_folder: str = ""  #: empty: the message stays and is flagged
    ignored_folder: str = ""  #: empty: as processed
    every: str = "5m"
    trusted_authserv: tuple[str, ...] = ()  #: authserv-ids under which the mailbox's server says who sent a mail

    @property
    def port_in_use(self) -> int:
        """Give the port, the usual one where none is named."""
        return self.port or (993 if self.tls == "implicit" else 143)

    @property
    def mailbox(self) -> tuple[str, int, str]:
        """Name the mailbox: host in lower case, port and user name."""
        return self.host.lower().rstrip("."), self.port_in_use, self.username

    @property
    def login(self) -> tuple[str, ...]:
        """Give everything that says how to get in and whom to trust; the connections of one mailbox agree on it."""
        return (
            self.tls, self.ca_file, self.password_file, self.oauth_token_url, self.oauth_client_id,
            self.oauth_client_secret_file, self.oauth_refresh_token_file, self.oauth_scope, self.oauth_mechanism,
            *self.trusted_authserv,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What a connection demands of a delivery and does with its files (``contract.md``, connections as a file)."""

    name: str
    account: str
    data_type: str
    direction: str = "inbound"
    method: str = "email"
    methodology: str = "push"
    pattern: str = "*"  #: wildcard: * any sequence, ? exactly one character, everything else literal
    case_sensitive: bool = True
    credential: str = ""
    address: str = ""  #: local part of the intake address, lower case
    allowed_senders: tuple[str, ...] = ()  #: wildcards for addresses; empty: anyone
    authenticity: str = "off"  #: off | auth | dmarc
    segment: str = ""
    duplicates: str = "reject"  #: reject | warn | accept
    policy: str = "accept_valid"  #: accept_valid | all_or_nothing | max_bad_percent=N
    notify_ignored: bool = True
    strict_attachments: bool = False
    open_forwarded: bool = False
    owner: str = ""
    contact: str = ""
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)  #: their column's name → ours
    encoding: str = ""  #: of files without a byte-order mark, e.g. cp1252; empty: UTF-8
    remote: Remote | None = None  #: of a pull connection
    folder: str = ""  #: sftp, ftp: the path a client sees, absolute
    completion: str = "settle"  #: settle | rename | marker: when a file in the folder is whole
    settle_seconds: float | None = None  #: None: the global setting

    @property
    def takes_files(self) -> bool:
        """Say whether clients upload its files into a folder of ours."""
        return self.method in {"sftp", "ftp"} and self.direction == "inbound" and self.methodology == "push"

    def to_json(self) -> dict[str, Any]:
        """Give the rule as plain JSON values, the form a version is stored in."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Rule":
        """Make a rule from its stored form; keys of later versions are left out."""
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = {}
        for key in known & data.keys():
            value = data[key]
            values[key] = tuple(value) if isinstance(value, list) else value
        if values.get("remote") is not None:
            of_remote = {f.name for f in fields(Remote)}
            remote: dict[str, Any] = {key: value for key, value in values["remote"].items() if key in of_remote}
            for key, value in remote.items():
                remote[key] = tuple(value) if isinstance(value, list) else value
            values["remote"] = Remote(**remote)
        return cls(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value
