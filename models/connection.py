"""A connection: one agreed stream of files, as the rule that judges a delivery.

What lives here: the frozen rule. A delivery stores the version of the rule that judged it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


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
    authenticity: str = "off"  #: off | auth
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
    folder: str = ""  #: sftp, ftp: the path a client sees, absolute
    completion: str = "settle"  #: settle | rename | marker: when a file in the folder is whole
    settle_seconds: float | None = None  #: None: the global setting

    @property
    def takes_files(self) -> bool:
        """Say whether clients upload its files into a folder of ours."""
        return self.method in {"sftp", "ftp"} and self.direction == "inbound" and self.methodology == "push"

    def to_json(self) -> dict[str, Any]:
        """Give the rule as plain JSON values, the form a version is stored in."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Rule":
        """Make a rule from its stored form; keys of later versions are left out."""
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = {}
        for key in known & data.keys():
            value = data[key]
            values[key] = tuple(value) if isinstance(value, list) else value
        return cls(**values)
