"""The table ``[connection.remote]``: what is refused, and in which words."""

from pathlib import Path

import pytest

from intake.provisioning import FileRefused, plan_file
from storage.descriptors import load_data_types
from storage.ledger.applying import ApplyRefused
from tests.imap.support import HEAD, Rig, connection
from tests.storage.support import DOMAIN

TYPES = load_data_types()
OAUTH = 'oauth_token_url = "https://x.example/t"\noauth_client_id = "c"\n'


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("x")
    return path


def planned(text: str) -> None:
    plan_file(HEAD + text, domain=DOMAIN, data_types=TYPES, known_hashes={})


REFUSED = {
    "a word too many": ('colour = "red"', "there is no key 'remote.colour'"),
    "a schedule": ('every = "0 6 * * *"', "a duration is a whole number with its unit"),
    "too often": ('every = "0s"', "the smallest every is 1s"),
    "a line end": ('folder = "a\\nb"', "control character"),
    "an empty folder": ('folder = ""', "it is empty"),
    "a folder that feeds itself": ('processed_folder = "inbox"', "differ from folder"),
    "two ways in": (OAUTH, "two ways to log in"),
    "a port beyond all": ("port = 99999", "less than or equal to 65535"),
    "an endpoint in clear": ('oauth_token_url = "http://x.example/t"', "must be https"),
    "an endpoint that is none": ('oauth_token_url = "ftp://x"', "is a URL such as"),
    "a mechanism": ('oauth_mechanism = "OAUTH9"', "it can be 'XOAUTH2' or 'OAUTHBEARER' so far"),
    "a file that is not there": ('ca_file = "no-such-file"', "ca_file cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said(case: str, secret: Path) -> None:
    line, words = REFUSED[case]
    text = connection("me", 1, secret, remote=line)
    if line.startswith("port"):
        text = text.replace("port = 1\n", "")
    with pytest.raises(FileRefused) as caught:
        planned(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('methodology = "pull"', 'methodology = "push"', "belongs to methodology"),
        (
            'credential = "acme-batch"',
            'credential = "acme-batch"\nauthenticity = "auth"',
            "mails of a mailbox have none",
        ),
        ('methodology = "pull"\n', "", "belongs to methodology"),
    ],
)
def test_what_does_not_go_together_is_said(before: str, after: str, words: str, secret: Path) -> None:
    with pytest.raises(FileRefused) as caught:
        planned(connection("me", 1, secret).replace(before, after))
    assert words in str(caught.value)


def test_a_pull_needs_its_table_and_a_way_in(secret: Path) -> None:
    whole = connection("me", 1, secret)
    with pytest.raises(FileRefused, match=r"needs the table \[connection.remote\]"):
        planned(whole.partition("[connection.remote]")[0])
    with pytest.raises(FileRefused, match="needs password_file, or the oauth keys"):
        planned("\n".join(line for line in whole.splitlines() if not line.startswith("password_file")))
    with pytest.raises(FileRefused, match="OAuth needs oauth_refresh_token_file or"):
        planned("\n".join(line for line in whole.splitlines() if not line.startswith("password_file")) + "\n" + OAUTH)


def test_connections_of_one_mailbox_agree_on_the_login(rig: Rig, secret: Path) -> None:
    one = connection("me", 1, secret, name="one")
    with pytest.raises(ApplyRefused, match="share a mailbox and differ in how to log in"):
        rig.apply(one, connection("me", 1, secret, name="two", tls="starttls"))
    rig.apply(one, connection("me", 1, secret, name="two", remote='folder = "Other"'))
    with pytest.raises(ApplyRefused, match="is itself read for new mails"):
        rig.apply(connection("me", 1, secret, name="three", remote='processed_folder = "other"'))
    with pytest.raises(ApplyRefused, match="is itself read for new mails"):
        rig.apply(connection("me", 1, secret, name="one", remote='folder = "X"\nignored_folder = "Other"'))


def test_a_second_apply_changes_nothing(rig: Rig, secret: Path) -> None:
    rig.apply(connection("me", 1, secret))
    before = rig.store.ref("acme-mailbox")
    rig.apply(connection("me", 1, secret))
    assert rig.store.ref("acme-mailbox") == before
    remote = before.rule.remote
    assert remote is not None
    assert (remote.folder, remote.every, remote.password_file) == ("INBOX", "5m", str(secret))
