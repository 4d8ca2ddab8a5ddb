"""Ready-to-paste commands: how a client uploads a file into its folder, with the programs it is likely to have.

What lives here: text made from host, port, user name, folder and host key. Nothing is looked up.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """Where a client logs in, and what it uploads."""

    method: str  #: sftp or ftp
    host: str
    port: int
    username: str
    folder: str
    example: str  #: a file name its connection takes
    fingerprints: Mapping[str, str] = field(default_factory=dict)  #: algorithm → ``SHA256:…``, the best first
    tls: str = "required"  #: of ftp: required | optional | off


def paste(login: Login) -> list[tuple[str, str]]:
    """Give program and command, or settings, one for each program."""
    return _sftp(login) if login.method == "sftp" else _ftp(login)


def _sftp(login: Login) -> list[tuple[str, str]]:
    file, target = _file(login), shlex.quote(f"{login.username}@{login.host}:{login.folder}/")
    url = f"sftp://{login.host}:{login.port}"
    algorithm, print_ = next(iter(login.fingerprints.items()), ("", ""))
    pinned = f" --hostpubsha256 {shlex.quote(print_.removeprefix('SHA256:'))}" if print_ else ""
    key = f' -hostkey=""{algorithm} {_BITS.get(algorithm, 255)} {print_.removeprefix("SHA256:")}""' if print_ else ""
    told = f", host key {print_}" if print_ else ""
    put = shlex.quote(f"put {_word(login.example)}")
    return [
        ("sftp", f"sftp -P {login.port} {target} <<< {put}"),
        ("scp", f"scp -P {login.port} {file} {target}"),
        ("lftp", f"lftp -u {shlex.quote(login.username)} -e {shlex.quote(_lftp_put(login))} {url}"),
        (
            "curl",
            f"curl -u {shlex.quote(login.username)}{pinned} -T {file} {shlex.quote(url + quote(login.folder) + '/')}",
        ),
        ("WinSCP", _winscp(login, f"sftp://{login.username}@{login.host}:{login.port}/{key}")),
        (
            "FileZilla",
            f"Protocol SFTP, Host {login.host}, Port {login.port}, User {login.username}, "
            f"Default remote directory {login.folder}{told}",
        ),
    ]


def _ftp(login: Login) -> list[tuple[str, str]]:
    user, file = shlex.quote(login.username), _file(login)
    url = f"ftp://{login.host}:{login.port}"
    secure = login.tls != "off"
    force = "set ftp:ssl-force true; set ftp:ssl-protect-data true; " if secure else ""
    encryption = "Require explicit FTP over TLS" if secure else "Only use plain FTP"
    return [
        ("lftp", f"lftp -u {user} -e {shlex.quote(force + _lftp_put(login))} {url}"),
        (
            "curl",
            f"curl{' --ssl-reqd' if secure else ''} -u {user} -T {file} {shlex.quote(url + quote(login.folder) + '/')}",
        ),
        ("WinSCP", _winscp(login, f"ftp{'es' if secure else ''}://{login.username}@{login.host}:{login.port}/")),
        (
            "FileZilla",
            f"Protocol FTP, Encryption {encryption}, Host {login.host}, Port {login.port}, User {login.username}, "
            f"Transfer mode passive, Default remote directory {login.folder}",
        ),
    ]


def _file(login: Login) -> str:
    """Give the file as a word of the shell; one that begins like an option is named by its folder."""
    return shlex.quote(f"./{login.example}" if login.example.startswith("-") else login.example)


def _lftp_put(login: Login) -> str:
    return f"put -O {_word(login.folder)} {_word(login.example)}; bye"


def _winscp(login: Login, session: str) -> str:
    return f'winscp.com /command "open {session}" "put ""{login.example}"" ""{login.folder}/""" "exit"'


def _word(text: str) -> str:
    """Quote a word for the line of sftp and lftp."""
    return (
        '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if not text.replace("/", "").isidentifier() else text
    )


_BITS = {"ssh-ed25519": 255, "ssh-rsa": 3072}
