"""Mails of a real mailbox: taken once each, whole, recorded before they are moved."""

from typing import Any

import imapclient
import pytest

from mailgate.imap.faults import Kind, MailboxError, Step
from mailgate.imap.session import Session
from models.tables import Answer, MailboxMessage
from tests.house import conversions, mail, unique
from tests.imap.dovecot import PASSWORD, Dovecot, bare_mail
from tests.imap.support import Rig, connection

MOVES = 'processed_folder = "Done"\nignored_folder = "Not taken"'
NAME = "Conversions_1.csv"


def test_a_mail_is_taken_once_and_moved(dovecot: Dovecot, rig: Rig, user: str) -> None:
    rig.apply(connection(user, dovecot.port, dovecot.password_file, remote=MOVES))
    data = conversions()
    dovecot.put(user, [mail([(NAME, data)])])
    taken = rig.look()
    assert [len(one.outcomes) for one in taken] == [1]
    (row,) = rig.history()
    assert (row["door"], row["delivery_verdict"], row["file_name"], row["bytes"]) == (
        "imap", "accepted", NAME, len(data),
    )  # fmt: skip
    assert f"imap://{user}@127.0.0.1:{dovecot.port}/INBOX;UIDVALIDITY=" in rig.detail(row["trace_id"])["peer"]
    assert dovecot.uids(user) == []
    assert len(dovecot.uids(user, "Done")) == 1
    assert rig.look() == []
    assert len(rig.store.queue.jobs) == 1
    assert rig.spooled() == []


def test_what_is_not_taken_goes_elsewhere_and_is_answered(dovecot: Dovecot, rig: Rig, user: str) -> None:
    rig.apply(connection(user, dovecot.port, dovecot.password_file, remote=MOVES))
    damaged = mail([(NAME, b"x,y\r\n")]).replace(b"--\r\n", b"")[:-30]
    dovecot.put(user, [mail([("report.csv", b"x")]), mail(), damaged])
    rig.look()
    assert rig.verdicts() == [
        ("ignored", "NAME_NOT_MATCHED"), ("ignored", "NO_ATTACHMENT"), ("rejected", "ATTACHMENT_DAMAGED"),
    ]  # fmt: skip
    assert len(dovecot.uids(user, "Not taken")) == 3
    assert len(rig.store.all(Answer)) == 3  # nobody hears a 550 from a mailbox: rejected ones are answered too


def test_ignored_mails_go_where_processed_ones_go_without_a_folder_of_their_own(
    dovecot: Dovecot, rig: Rig, user: str
) -> None:
    rig.apply(connection(user, dovecot.port, dovecot.password_file, remote='processed_folder = "Done"'))
    dovecot.put(user, [mail([("report.csv", b"x")])])
    rig.look()
    assert len(dovecot.uids(user, "Done")) == 1


def test_without_folders_a_mail_stays_unseen_and_is_marked(dovecot: Dovecot, rig: Rig, user: str) -> None:
    rig.apply(connection(user, dovecot.port, dovecot.password_file))
    dovecot.put(user, [mail([(NAME, conversions())]), mail([(NAME, conversions())])])
    poller = rig.poller()
    assert len(rig.look(poller)) == 2
    flags = dovecot.flags(user)
    assert len(flags) == 2
    assert all("$MailgateDone" in found and "\\Seen" not in found for found in flags.values())
    assert rig.look(poller) == []
    dovecot.put(user, [mail([(NAME, conversions())])])
    assert len(rig.look(poller)) == 1
    assert rig.look(rig.poller("one")) == []  # what was taken is known by the ledger, not by the mark


@pytest.mark.parametrize("server", ["without_move", "without_uidplus"])
def test_without_move_mails_are_copied_and_only_they_are_removed(
    server: str, rig: Rig, user: str, request: pytest.FixtureRequest
) -> None:
    dovecot: Dovecot = request.getfixturevalue(server)
    rig.apply(connection(user, dovecot.port, dovecot.password_file, remote=MOVES))
    dovecot.put(user, [mail([(NAME, conversions())]), mail([(NAME, conversions())])])
    with dovecot.client(user) as other:  # another program has marked a message and wants it kept until it says so
        other.select_folder("INBOX")
        other.add_flags(other.search("ALL")[:1], ["\\Deleted"])
        rig.apply(connection(user, dovecot.port, dovecot.password_file, remote=MOVES))
        assert len(rig.look()) == 2
    assert len(dovecot.uids(user, "Done")) == 2
    left = dovecot.flags(user)
    assert (len(left) == 0) if server == "without_move" else all("\\Deleted" in found for found in left.values())
    assert rig.look() == []
    assert len(rig.history()) == 2


def test_a_message_somebody_marked_deleted_is_not_expunged_with_ours(
    without_move: Dovecot, rig: Rig, user: str
) -> None:
    rig.apply(connection(user, without_move.port, without_move.password_file, remote=MOVES))
    without_move.put(user, [mail([(NAME, conversions())])])
    poller = rig.poller()
    session_of_ours = poller._means.open

    def slow_open(*words: Any) -> Session:
        session = session_of_ours(*words)
        search = session.search

        def search_then_foreign_mark(after: int = 0) -> list[int]:
            found = search(after)
            with without_move.client(user) as other:  # comes after our look, and is marked by its owner
                other.append("INBOX", mail([(NAME, conversions())]))
                other.select_folder("INBOX")
                other.add_flags([max(other.search("ALL"))], ["\\Deleted"])
            return found

        session.search = search_then_foreign_mark  # type: ignore[method-assign]
        return session

    poller._means.open = slow_open
    assert len(rig.look(poller)) == 1
    assert len(without_move.uids(user)) == 1


def test_the_same_mail_twice_in_a_mailbox_is_one_delivery(dovecot: Dovecot, rig: Rig, user: str) -> None:
    rig.apply(connection(user, dovecot.port, dovecot.password_file, remote=MOVES))
    same = mail([(NAME, conversions())])
    dovecot.put(user, [same, same])
    assert len(rig.look()) == 2
    (row,) = rig.history()
    assert any("ALREADY_SEEN" in event["why"] for event in rig.detail(row["trace_id"])["events"])
    assert len(rig.store.queue.jobs) == 1


def test_two_mails_without_message_id_and_date_are_two(dovecot: Dovecot, rig: Rig, user: str) -> None:
    rig.apply(connection(user, dovecot.port, dovecot.password_file, more='duplicates = "accept"', remote=MOVES))
    same = bare_mail([(NAME, conversions())], From="a@acme.example", To="b@acme.example")
    dovecot.put(user, [same, same])
    rig.look()
    assert rig.verdicts() == [("accepted", None), ("accepted", None)]
    assert len(rig.store.queue.jobs) == 2


def recreate(dovecot: Dovecot, user: str, mails: list[bytes]) -> None:
    with dovecot.client(user) as client:
        client.delete_folder("Files")
        client.create_folder("Files")
        for one in mails:
            client.append("Files", one)


@pytest.mark.parametrize("headers", [True, False], ids=["message-id", "bare"])
def test_a_recreated_folder_brings_only_what_is_new(dovecot: Dovecot, rig: Rig, user: str, headers: bool) -> None:
    rig.apply(
        connection(user, dovecot.port, dovecot.password_file, more='duplicates = "accept"', remote='folder = "Files"')
    )
    make = (lambda: mail([(NAME, conversions())])) if headers else (
        lambda: bare_mail([(NAME, conversions())], From="a@acme.example")
    )  # fmt: skip
    old = [make() for _ in range(3)]
    if not headers:
        old[2] = old[1]  # two that are the same to the byte stay two
    dovecot.put(user, old, "Files")
    poller = rig.poller()
    assert len(rig.look(poller)) == 3
    assert len(rig.history()) == 3
    before = {(row.uidvalidity, row.uid) for row in rig.store.all(MailboxMessage)}
    new = make()
    recreate(dovecot, user, [new, *old])
    assert len(rig.look(poller)) == 4
    assert len(rig.history()) == 4
    assert len(rig.store.queue.jobs) == 4
    rows = rig.store.all(MailboxMessage)
    if not headers:
        assert len(rows) == 4  # renumbered, not written again
    assert before.isdisjoint({(row.uidvalidity, row.uid) for row in rows[-1:]})
    assert rig.look(poller) == []


def test_bare_line_feeds_are_mended_and_the_file_is_whole(dovecot: Dovecot, rig: Rig, user: str) -> None:
    rig.apply(connection(user, dovecot.port, dovecot.password_file))
    data = conversions()
    dovecot.put(user, [mail([(NAME, data)]).replace(b"\r\n", b"\n")])
    rig.look()
    (row,) = rig.history()
    assert (row["delivery_verdict"], row["bytes"]) == ("accepted", len(data))


def test_a_mail_of_several_chunks_is_whole(dovecot: Dovecot, rig: Rig, user: str) -> None:
    rig.apply(connection(user, dovecot.port, dovecot.password_file))
    data = conversions(60_000)
    assert len(data) > 3 << 20
    dovecot.put(user, [mail([(NAME, data)])])
    rig.look()
    (row,) = rig.history()
    assert (row["delivery_verdict"], row["bytes"]) == ("accepted", len(data))


def test_a_mail_that_is_too_large_is_rejected_and_blocks_none_behind_it(dovecot: Dovecot, rig: Rig, user: str) -> None:
    object.__setattr__(rig.store.settings.smtp, "max_message_bytes", 2_000_000)
    rig.apply(connection(user, dovecot.port, dovecot.password_file, remote=MOVES))
    dovecot.put(user, [mail([(NAME, b"x" * 3_000_000)]), mail([(NAME, conversions())])])
    rig.look()
    assert rig.verdicts() == [("rejected", "FILE_TOO_LARGE"), ("accepted", None)]
    assert len(dovecot.uids(user, "Not taken")) == 1


# --- a shared mailbox


def test_a_shared_mailbox_goes_by_address(dovecot: Dovecot, rig: Rig, user: str) -> None:
    both = [
        connection(user, dovecot.port, dovecot.password_file, name="first", address="first-x7", remote=MOVES),
        connection(
            user, dovecot.port, dovecot.password_file, name="second", address="second-y8",
            remote='processed_folder = "Second"',
        ),
    ]  # fmt: skip
    rig.apply(*both)
    me = f"{user}@mail.example"
    dovecot.put(
        user,
        [
            mail([(NAME, conversions())], To="second-y8@mail.example"),
            mail([(NAME, conversions())], To=me, Cc=f"{user}+First-X7@mail.example"),
            mail([(NAME, conversions())], To=me, Delivered_To=f"{user}+second-y8+dryrun@mail.example"),
            mail([(NAME, conversions())], To=me, X_Original_To="first-x7@mail.example", Cc="second-y8@mail.example"),
            mail([(NAME, conversions())], To="first-x7@mail.example, second-y8@mail.example"),
            mail([(NAME, conversions())], To=me),
        ],
    )
    rig.look()
    rows = [(one["connection"], one["delivery_verdict"], one["code"]) for one in rig.history()]
    assert sorted(rows[4:6]) == [("first", "accepted", None), ("second", "accepted", None)]  # of one mail
    assert rows[:4] + rows[6:] == [
        ("second", "accepted", None),
        ("first", "accepted", None),
        ("second", "accepted", None),
        ("first", "accepted", None),
        ("first", "ignored", "ADDRESS_NOT_MATCHED"),
    ]
    assert rig.detail(rig.history()[2]["trace_id"])["dry_run"]
    assert len(dovecot.uids(user, "Done")) == 3
    assert len(dovecot.uids(user, "Second")) == 2
    assert len(dovecot.uids(user, "Not taken")) == 1


# --- failures


def test_a_wrong_password_says_so_and_shows_no_secret(dovecot: Dovecot, rig: Rig, user: str, tmp_path: Any) -> None:
    (tmp_path / "wrong").write_text("wrong")
    rig.apply(connection(user, dovecot.port, tmp_path / "wrong"))
    with pytest.raises(MailboxError) as caught:
        rig.look()
    assert (caught.value.step, caught.value.kind) == (Step.LOGIN, Kind.NOT_ALLOWED)
    assert "wrong" not in caught.value.reason


def test_a_missing_folder_says_so(dovecot: Dovecot, rig: Rig, user: str) -> None:
    rig.apply(connection(user, dovecot.port, dovecot.password_file, remote='folder = "Nowhere"'))
    with pytest.raises(MailboxError) as caught:
        rig.look()
    assert (caught.value.step, caught.value.kind) == (Step.FOLDER, Kind.NO_FOLDER)


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_tls_is_checked_against_the_authority_and_the_name(dovecot: Dovecot, rig: Rig, user: str, tls: str) -> None:
    port = dovecot.tls_port if tls == "implicit" else dovecot.port
    trusted = f'ca_file = "{dovecot.certificate}"'
    dovecot.put(user, [mail([(NAME, conversions())])])
    rig.apply(connection(user, port, dovecot.password_file, tls=tls))
    with pytest.raises(MailboxError) as caught:
        rig.look()
    assert caught.value.step is Step.TLS
    assert "certificate" in caught.value.reason
    rig.apply(connection(user, port, dovecot.password_file, tls=tls, host="127.1", remote=trusted))
    with pytest.raises(MailboxError, match="TLS"):
        rig.look()  # the certificate is for localhost and 127.0.0.1, by these names
    rig.apply(connection(user, port, dovecot.password_file, tls=tls, host="localhost", remote=trusted))
    assert len(rig.look()) == 1


def test_a_folder_that_cannot_be_made_holds_up_nothing(dovecot: Dovecot, rig: Rig, user: str) -> None:
    rig.apply(connection(user, dovecot.port, dovecot.password_file, remote='processed_folder = "a//b"'))
    dovecot.put(user, [mail([(NAME, conversions())]), mail([(NAME, conversions())])])
    with pytest.raises(MailboxError) as caught:
        rig.look()
    assert caught.value.step is Step.MOVE
    assert rig.verdicts() == [("accepted", None)] * 2
    rig.apply(connection(user, dovecot.port, dovecot.password_file, remote='processed_folder = "Done"'))
    assert rig.look() == []
    assert len(dovecot.uids(user, "Done")) == 2


def test_no_other_account_sees_the_names_sent_to_the_server(dovecot: Dovecot, user: str) -> None:
    with imapclient.IMAPClient("127.0.0.1", dovecot.port, ssl=False) as client:
        client.plain_login(user, PASSWORD)
        assert unique() not in str(client.list_folders())
