"""Which resolved addresses may be connected to: the forms that lead inside are all refused."""

import socket
from typing import Any

import pytest

from intake.outward import TargetRefused, connect, resolve
from matching.targets import is_public

INSIDE = [
    "127.0.0.1", "127.1.2.3", "127.255.255.255", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "172.16.0.1",
    "172.31.255.255", "192.168.0.1", "192.168.255.255", "169.254.0.1", "169.254.169.254", "100.64.0.1",
    "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00::1",
    "fd12:3456::1", "ff02::1", "2001:db8::1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::7f00:1",
    "2002:7f00:1::", "2002:a00:1::", "2002:c0a8:1::", "2001:0:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "100::1", "2001:10::1",
]  # fmt: skip
OUTSIDE = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_public_network_is_not(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("word", ["", "localhost", "1.2.3", "8.8.8.8/8", "８.8.8.8"])
def test_what_is_no_address_is_refused(word: str) -> None:
    assert not is_public(word)


FORMS = [
    "127.0.0.1", "localhost", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1",
    "::1", "::ffff:127.0.0.1", "0", "0.0.0.0",
]  # fmt: skip


@pytest.mark.parametrize("host", FORMS)
def test_a_form_of_loopback_is_refused_by_what_it_resolves_to(host: str) -> None:
    with pytest.raises((TargetRefused, OSError)):
        resolve(host, 143, allow_private=False)


def test_a_name_with_one_address_outside_is_connected_to_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [["8.8.8.8", "127.0.0.1"], ["127.0.0.1"]]  # the second look-up would lead inside

    def rebinding(_host: str, port: int, **_more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    target = resolve("rebinding.example", 993, allow_private=False)
    assert target.addresses == ((socket.AF_INET, "8.8.8.8"),)
    tried: list[Any] = []

    class Plug:
        def __init__(self, *_words: Any) -> None: ...
        def settimeout(self, _seconds: float) -> None: ...
        def close(self) -> None: ...
        def connect(self, where: Any) -> None:
            tried.append(where)
            raise OSError("no route")

    monkeypatch.setattr(socket, "socket", Plug)
    with pytest.raises(OSError, match="no route"):
        connect(target, 1)
    assert tried == [("8.8.8.8", 993)]
    with pytest.raises(TargetRefused):
        resolve("rebinding.example", 993, allow_private=False)


def test_a_name_that_is_none_is_an_error_like_others() -> None:
    with pytest.raises(OSError, match=r"."):
        resolve("a" * 70 + ".example", 143, allow_private=True)
