"""The private names of IMAPClient and imaplib that we use: an upgrade that takes one away fails here first."""

import http.client
import imaplib
import inspect

import imapclient
import pytest

from mailgate.imap.library import BoundedClient, BoundedImap4


@pytest.mark.parametrize(
    "name", ["_command", "_get_response", "_get_line", "_simple_command", "_get_capabilities", "_untagged_response"]
)
def test_imaplib_has(name: str) -> None:
    assert callable(getattr(imaplib.IMAP4, name))


@pytest.mark.parametrize("name", ["open", "read", "readline", "shutdown", "starttls"])
def test_what_is_replaced_is_there_to_be_replaced(name: str) -> None:
    assert callable(getattr(imaplib.IMAP4, name))
    assert name in vars(BoundedImap4)


@pytest.mark.parametrize("name", ["_create_IMAP4", "_set_read_timeout", "_checkok"])
def test_imapclient_has(name: str) -> None:
    assert callable(getattr(imapclient.IMAPClient, name))


def test_the_library_asks_for_its_connection_where_we_give_ours() -> None:
    assert "self._create_IMAP4()" in inspect.getsource(imapclient.IMAPClient.__init__)
    assert issubclass(BoundedClient, imapclient.IMAPClient)


def test_a_socket_that_is_there_is_used() -> None:
    assert "if self.sock is None" in inspect.getsource(http.client.HTTPConnection.send)


def test_tagged_commands_and_untagged_responses_are_where_we_look() -> None:
    source = inspect.getsource(imaplib.IMAP4.__init__)
    for name in ("tagged_commands", "untagged_responses", "continuation_response"):
        assert f"self.{name}" in source
