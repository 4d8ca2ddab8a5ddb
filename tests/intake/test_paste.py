"""Commands to paste: whole, quoted, and with the host key."""

import shlex

import pytest

from intake.paste import Login, paste


def login(method: str = "sftp", **more: object) -> Login:
    values: dict[str, object] = {
        "method": method, "host": "files.example", "port": 2222, "username": "acme", "folder": "/upload/conversions",
        "example": "Conversions_2026.csv", "fingerprints": {"ssh-ed25519": "SHA256:abc+/"}, **more,
    }  # fmt: skip
    return Login(**values)  # type: ignore[arg-type]


def test_sftp() -> None:
    told = dict(paste(login()))
    assert told == {
        "sftp": "sftp -P 2222 acme@files.example:/upload/conversions/ <<< 'put \"Conversions_2026.csv\"'",
        "scp": "scp -P 2222 Conversions_2026.csv acme@files.example:/upload/conversions/",
        "lftp": "lftp -u acme -e 'put -O /upload/conversions \"Conversions_2026.csv\"; bye' sftp://files.example:2222",
        "curl": "curl -u acme --hostpubsha256 abc+/ -T Conversions_2026.csv "
        "sftp://files.example:2222/upload/conversions/",
        "WinSCP": 'winscp.com /command "open sftp://acme@files.example:2222/ -hostkey=""ssh-ed25519 255 abc+/""" '
        '"put ""Conversions_2026.csv"" ""/upload/conversions/""" "exit"',
        "FileZilla": "Protocol SFTP, Host files.example, Port 2222, User acme, Default remote directory "
        "/upload/conversions, host key SHA256:abc+/",
    }


@pytest.mark.parametrize(("tls", "curl"), [("required", "curl --ssl-reqd -u"), ("off", "curl -u")])
def test_ftp(tls: str, curl: str) -> None:
    told = dict(paste(login("ftp", tls=tls)))
    assert list(told) == ["lftp", "curl", "WinSCP", "FileZilla"]
    assert told["curl"].startswith(curl)
    assert ("ftpes://" in told["WinSCP"]) == (tls == "required")


def test_without_a_known_host_key_nothing_is_pinned() -> None:
    told = dict(paste(login(fingerprints={})))
    assert "hostpubsha256" not in told["curl"]
    assert "hostkey" not in told["WinSCP"]


@pytest.mark.parametrize("name", ["a b.csv", "it's.csv", '"x".csv', "$(reboot).csv", "-rf"])
def test_odd_names_are_one_word(name: str) -> None:
    told = dict(paste(login(example=name, folder="/up load")))
    assert shlex.split(told["scp"])[3] == (f"./{name}" if name.startswith("-") else name)
    assert shlex.split(told["scp"])[4] == "acme@files.example:/up load/"
    assert shlex.split(told["curl"])[-2] == shlex.split(told["scp"])[3]
    assert shlex.split(told["curl"])[-1] == "sftp://files.example:2222/up%20load/"
