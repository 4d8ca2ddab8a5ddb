"""The table ``[connection.remote]`` of a file of connections: where a pull connection pulls from.

What lives here: its keys and their checks. Secrets stay in the files that it names.
"""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from mailgate.settings import parse_duration
from models.connection import Remote

_OAUTH = ("oauth_token_url", "oauth_client_id")
_OAUTH_MORE = ("oauth_client_secret_file", "oauth_refresh_token_file", "oauth_scope")
_FILES = ("ca_file", "password_file", "oauth_client_secret_file", "oauth_refresh_token_file")


def _one_line(value: str) -> str:
    if not value.isprintable() or len(value) > 1000:
        raise ValueError("it holds a line end or another control character, or more than 1,000 characters")
    return value


Text = Annotated[str, AfterValidator(_one_line)]


class RemoteTable(BaseModel):
    """The keys of a mailbox."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Text
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    tls: Literal["implicit", "starttls", "off"] = "implicit"
    ca_file: Text = ""
    username: Text
    password_file: Text = ""
    oauth_token_url: Text = ""
    oauth_client_id: Text = ""
    oauth_client_secret_file: Text = ""
    oauth_refresh_token_file: Text = ""
    oauth_scope: Text = ""
    oauth_mechanism: Literal["XOAUTH2", "OAUTHBEARER"] = "XOAUTH2"
    folder: Text = "INBOX"
    processed_folder: Text = ""
    ignored_folder: Text = ""
    every: Text = "5m"
    trusted_authserv: tuple[Text, ...] = ()

    @field_validator("host", "username", "folder")
    @classmethod
    def _something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("it is empty")
        return value

    @field_validator("every")
    @classmethod
    def _at_least_a_second(cls, value: str) -> str:
        if not 1 <= parse_duration(value).total_seconds() <= 86_400:
            raise ValueError("the smallest every is 1s, the largest 1d")
        return value

    @field_validator("oauth_token_url")
    @classmethod
    def _secure(cls, value: str) -> str:
        url = urlsplit(value)
        if value and (url.scheme not in ("https", "http") or not url.hostname or url.username or url.fragment):
            raise ValueError("oauth_token_url is a URL such as https://login.example/token")
        if url.scheme == "http" and url.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("oauth_token_url must be https: secrets travel there")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> "RemoteTable":
        oauth = [key for key in (*_OAUTH, *_OAUTH_MORE) if getattr(self, key)]
        if self.password_file and oauth:
            raise ValueError(f"password_file and {oauth[0]} are two ways to log in: keep one")
        if oauth:
            lacking = [key for key in _OAUTH if not getattr(self, key)]
            if not (self.oauth_refresh_token_file or self.oauth_client_secret_file):
                lacking.append("oauth_refresh_token_file or oauth_client_secret_file")
            if lacking:
                raise ValueError(f"OAuth needs {lacking[0]} as well")
        elif not self.password_file:
            raise ValueError("a mailbox needs password_file, or the oauth keys")
        if self.folder.casefold() in (self.processed_folder.casefold(), self.ignored_folder.casefold()):
            raise ValueError("processed_folder and ignored_folder differ from folder, or are left out")
        return self

    def located(self, base: Path) -> Remote:
        """Give the remote with its paths made absolute; ValueError names a file that cannot be read."""
        values = self.model_dump()
        if self.folder.upper() == "INBOX":
            values["folder"] = "INBOX"  # the one name without case (RFC 3501 section 5.1)
        for key in _FILES:
            if values[key]:
                path = (base / values[key]).resolve()
                try:
                    path.read_bytes()
                except OSError as error:
                    raise ValueError(f"{key} cannot be read: {error}") from None
                values[key] = str(path)
        return Remote(**values)
