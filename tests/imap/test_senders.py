"""Who sent the mails of a mailbox: our own check, the word of the mailbox's server, and DNS that does not answer."""

from pathlib import Path

import pytest

from mailgate.authenticity import Checker
from mailgate.imap.faults import MailboxError, Step
from models.tables import ConnectionVersion
from tests.authenticity.support import TROUBLE, Zone, signed, zone
from tests.imap.hostile import scripted
from tests.imap.support import connection, open_rig

NAME = "Conversions_1.csv"
DMARC = 'authenticity = "dmarc"'
MOVES = 'processed_folder = "Done"\n'


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("sesame\n")
    return path


def of_acme(number: int, *, sender: str = "batch@acme.example", above: bytes = b"") -> bytes:
    """Give a mail with a file, its own each."""
    head = f"From: {sender}\r\nSubject: s{number}\r\nMessage-ID: <{number}@acme.example>\r\nMIME-Version: 1.0\r\n"
    disposition = f'attachment; filename="{NAME}"'
    body = f"Content-Type: text/csv\r\nContent-Disposition: {disposition}\r\n\r\nCampaignId,{number}\r\n1,2\r\n"
    return above + (head + body).encode()


def told(by: str, result: str = "pass", domain: str = "acme.example") -> bytes:
    return f"Authentication-Results: {by}; dmarc={result} header.from={domain}\r\n".encode()


CASES: dict[str, tuple[bytes, str, str | None]] = {
    "signed by its domain": (signed(of_acme(1)), "accepted", None),
    "not signed: of the client nothing is known": (of_acme(1), "ignored", "NOT_AUTHENTIC"),
    "the mailbox's server says pass": (of_acme(1, above=told("mx.box.example")), "accepted", None),
    "it says fail": (of_acme(1, above=told("mx.box.example", "fail")), "ignored", "NOT_AUTHENTIC"),
    "it speaks of another domain": (
        of_acme(1, above=told("mx.box.example", domain="evil.example")), "ignored", "NOT_AUTHENTIC",
    ),
    "a stranger says pass in its name, below its own word": (
        of_acme(1, above=told("mx.box.example", "fail") + told("mx.box.example")), "ignored", "NOT_AUTHENTIC",
    ),
    "a server that is not trusted": (of_acme(1, above=told("mx.evil.example")), "ignored", "NOT_AUTHENTIC"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "verdict", "code"), CASES.values(), ids=CASES)
def test_a_mail_of_a_mailbox_proves_who_sent_it(
    data: bytes, verdict: str, code: str | None, tmp_path: Path, template: Path, secret: Path
) -> None:
    remote = MOVES + 'trusted_authserv = ["mx.box.example"]\n'
    with open_rig(tmp_path / "d", template, senders=Checker(zone())) as rig, scripted({1: data}) as server:
        rig.apply(connection("me", server.port, secret, more=DMARC, remote=remote))
        rig.look()
        assert rig.verdicts() == [(verdict, code)]
        assert server.moved


def test_a_second_apply_of_a_trusted_server_changes_nothing(tmp_path: Path, template: Path, secret: Path) -> None:
    with open_rig(tmp_path / "d", template, senders=Checker(zone())) as rig:
        for _ in range(2):
            rig.apply(connection("me", 1143, secret, remote='trusted_authserv = ["mx.box.example"]\n'))
        assert len(rig.store.all(ConnectionVersion)) == 1
        assert rig.plan().remote.trusted_authserv == ("mx.box.example",)


def test_a_sender_whom_dns_does_not_know_now_holds_up_none_and_is_not_tried_for_ever(
    tmp_path: Path, template: Path, secret: Path
) -> None:
    silent = Zone({**zone().records, ("_dmarc.slow.example", "TXT"): TROUBLE})
    mails = {1: of_acme(1, sender="batch@slow.example"), 2: signed(of_acme(2))}
    with open_rig(tmp_path / "d", template, senders=Checker(silent)) as rig, scripted(mails) as server:
        rig.apply(connection("me", server.port, secret, more=DMARC, remote=MOVES))
        with pytest.raises(MailboxError) as raised:
            rig.look()
        assert raised.value.step is Step.OURS
        assert "slow.example" in raised.value.reason
        assert rig.verdicts() == [("accepted", None)]
        for _ in range(12):
            try:
                rig.look()
            except MailboxError as error:
                assert error.step is Step.OURS  # noqa: PT017
            rig.store.clock.forward(hours=5)
        assert rig.verdicts() == [("accepted", None), ("ignored", "NOT_AUTHENTIC")]
        assert set(server.moved) == {1, 2}
