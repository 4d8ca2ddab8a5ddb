"""DNS over the network, with a real server on loopback: kinds of records, what is not there, and what fails."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from mailgate.authenticity import DnsTrouble
from mailgate.authenticity.lookup import NetworkResolver
from mailgate.authenticity.resolver import Questions, TooManyQuestions
from tests.authenticity.name_server import BROKEN, REFUSED, SILENT, NameServer, name_server
from tests.authenticity.support import check, record, signed

LONG = "v=DKIM1; p=" + "A" * 3000


@pytest.fixture(scope="module")
def server() -> Iterator[NameServer]:
    with name_server({
        ("acme.example", "TXT"): ["v=spf1 -all", "another"],
        ("acme.example", "A"): ["192.0.2.1", "192.0.2.2"],
        ("acme.example", "AAAA"): "2001:db8::1",
        ("acme.example", "MX"): ["10 mx.acme.example.", "20 mx2.acme.example."],
        ("1.2.0.192.in-addr.arpa", "PTR"): "mail.acme.example.",
        ("alias.example", "CNAME"): "acme.example",
        ("empty.example", "A"): "192.0.2.1",
        ("long.example", "TXT"): LONG,
        ("bytes.example", "TXT"): "caf\\195\\169",
        ("silent.example", "TXT"): SILENT,
        ("broken.example", "TXT"): BROKEN,
        ("refused.example", "TXT"): REFUSED,
    }) as running:  # fmt: skip
        yield running


def resolver(server: NameServer, **more: Any) -> NetworkResolver:
    return NetworkResolver([server.address], **{"seconds": 0.3, **more})


ANSWERS = [
    ("acme.example", "TXT", {"v=spf1 -all", "another"}),
    ("acme.example", "A", {"192.0.2.1", "192.0.2.2"}),
    ("acme.example", "AAAA", {"2001:db8::1"}),
    ("acme.example", "MX", {"10 mx.acme.example", "20 mx2.acme.example"}),
    ("1.2.0.192.in-addr.arpa", "PTR", {"mail.acme.example"}),
    ("alias.example", "TXT", {"v=spf1 -all", "another"}),
    ("empty.example", "TXT", set()),
    ("nowhere.example", "TXT", set()),
    ("long.example", "TXT", {LONG}),
]


@pytest.mark.parametrize(("name", "kind", "wanted"), ANSWERS)
def test_a_question_is_answered(server: NameServer, name: str, kind: Any, wanted: set[str]) -> None:
    assert set(resolver(server).ask(name, kind, 5.0)) == wanted


def test_a_record_of_any_bytes_is_read(server: NameServer) -> None:
    (text,) = resolver(server).ask("bytes.example", "TXT", 5.0)
    assert text.startswith("caf")


def test_a_name_that_no_server_has_is_not_asked(server: NameServer) -> None:
    assert resolver(server).ask("a\\999.example", "TXT", 5.0) == ()


@pytest.mark.parametrize("name", ["silent.example", "broken.example", "refused.example"])
def test_what_fails_is_trouble_for_now_and_not_asked_again_at_once(server: NameServer, name: str) -> None:
    now = [100.0]
    asking = resolver(server, clock=lambda: now[0])
    with pytest.raises(DnsTrouble, match="did not answer"):
        asking.ask(name, "TXT", 5.0)
    asked = server.asked[name, "TXT"]
    with pytest.raises(DnsTrouble, match="a moment ago"):
        asking.ask(name, "TXT", 5.0)
    assert server.asked[name, "TXT"] == asked
    now[0] += 6
    with pytest.raises(DnsTrouble, match="did not answer"):
        asking.ask(name, "TXT", 5.0)
    assert server.asked[name, "TXT"] > asked


def test_an_answer_is_remembered_for_its_time_to_live(server: NameServer) -> None:
    asking = resolver(server)
    before = server.asked["acme.example", "A"]
    for _ in range(5):
        assert len(asking.ask("acme.example", "A", 5.0)) == 2
    assert server.asked["acme.example", "A"] == before + 1


def test_a_server_that_is_not_there_is_trouble() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(DnsTrouble):
        NetworkResolver([f"127.0.0.1:{port}"], seconds=0.2).ask("acme.example", "TXT", 5.0)


def test_a_machine_without_dns_servers_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    import dns.resolver

    def refuse(*_: Any, **__: Any) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", refuse)
    with pytest.raises(DnsTrouble, match="names no DNS server"):
        NetworkResolver().ask("acme.example", "TXT", 5.0)


def test_a_whole_check_over_the_network() -> None:
    with name_server({
        ("acme.example", "TXT"): "v=spf1 include:spf.example -all",
        ("spf.example", "TXT"): "v=spf1 mx:mail.example -all",
        ("mail.example", "MX"): "10 mx.mail.example.",
        ("mx.mail.example", "A"): "192.0.2.1",
        ("_dmarc.acme.example", "TXT"): "v=DMARC1; p=reject",
        ("s._domainkey.acme.example", "CNAME"): "keys.provider.example",
        ("keys.provider.example", "TXT"): record(),
    }) as server:  # fmt: skip
        found = check(signed(), resolver(server))  # type: ignore[arg-type]
        assert found.short() == {"spf": "pass", "dkim": "pass", "dmarc": "pass"}
        server.records["_dmarc.acme.example", "TXT"] = SILENT
        assert check(signed(), resolver(server)).undecided  # type: ignore[arg-type]


# --- the bounds of one mail


class Slow:
    """A resolver that takes a second for each question, on the clock of the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.given: list[float] = []

    def ask(self, name: str, kind: Any, seconds: float) -> tuple[str, ...]:
        self.given.append(seconds)
        self.now += 1
        return (name,)


def test_the_time_of_all_questions_is_bounded() -> None:
    slow = Slow()
    questions = Questions(slow, most=100, seconds=2.5, clock=lambda: slow.now)
    for name in ("a.example", "b.example", "c.example"):
        assert questions.ask(name, "TXT") == (name,)
    with pytest.raises(DnsTrouble, match="time for DNS is over"):
        questions.ask("d.example", "TXT")
    assert slow.given == [2.5, 1.5, 0.5]


def test_the_number_of_questions_is_bounded_and_a_known_answer_is_none() -> None:
    questions = Questions(Slow(), most=2, seconds=99)
    for name in ("a.example", "A.example.", "b.example", "a.example", "a..b", "x" * 64 + ".example", "é.example"):
        questions.ask(name, "TXT")
    with pytest.raises(TooManyQuestions):
        questions.ask("c.example", "TXT")


def test_answers_are_cut_to_what_is_looked_at() -> None:
    class Many(Slow):
        def ask(self, name: str, kind: Any, seconds: float) -> tuple[str, ...]:
            return ("x" * 4097, *(str(n) for n in range(1000)))

    assert Questions(Many(), most=1, seconds=9).ask("a.example", "TXT") == tuple(str(n) for n in range(49))
