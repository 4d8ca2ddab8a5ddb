"""OAuth against a small token endpoint on loopback: tokens are fetched, kept, renewed, and refused with a reason."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from mailgate.imap.faults import Kind, MailboxError, Step
from mailgate.settings import Pull
from models.connection import Remote
from storage.ledger import mailboxes
from tests.house import conversions, mail
from tests.imap.hostile import Talk, scripted
from tests.imap.support import Rig, open_rig

NAME = "Conversions_1.csv"


@dataclass
class Endpoint:
    """A token endpoint: what it was asked, and what it answers."""

    port: int = 0
    asked: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    more: dict[str, Any] = field(default_factory=dict)
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token?tenant=a"


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    found = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            found.asked.append({key: values[0] for key, values in parse_qs(body).items()})
            said = {"access_token": f"token{len(found.asked)}", "expires_in": 3600, **found.more}
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found.raw if found.raw is not None else json.dumps(said).encode())

        def log_message(self, *_words: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def oauth_connection(port: int, url: str, folder: Path, more: str = "") -> str:
    (folder / "refresh").write_text("refresh-1\n")
    (folder / "client").write_text("client-secret\n")
    return f"""
[[connection]]
name = "acme-mailbox"
account = "acme"
data_type = "conversions"
methodology = "pull"
pattern = "Conversions_*.csv"
credential = "acme-batch"
[connection.remote]
host = "127.0.0.1"
port = {port}
tls = "off"
username = "files@acme.example"
oauth_token_url = "{url}"
oauth_client_id = "our-client"
oauth_client_secret_file = "{folder}/client"
oauth_scope = "https://mail.example/imap offline_access"
{more or f'oauth_refresh_token_file = "{folder}/refresh"'}
"""


def takes(*tokens: str, mechanism: str = "XOAUTH2") -> Any:
    """Authenticate as Gmail and Microsoft 365 do: a refusal comes as a challenge first."""
    import base64

    def answer(talk: Talk, tag: str, rest: str) -> bool:
        assert rest == f"AUTHENTICATE {mechanism}"
        talk.line("+ ")
        said = base64.b64decode(_line(talk)).decode()
        if mechanism == "XOAUTH2":
            good = any(said == f"user=files@acme.example\1auth=Bearer {token}\1\1" for token in tokens)
        else:
            good = any(said == f"n,a=files@acme.example,\1auth=Bearer {token}\1\1" for token in tokens)
        if good:
            talk.line(f"{tag} OK in")
            return True
        talk.line("+ " + base64.b64encode(b'{"status":"400","scope":"imap"}').decode())
        assert base64.b64decode(_line(talk)) == (b"" if mechanism == "XOAUTH2" else b"\1")
        talk.line(f"{tag} NO refused")
        return True

    return answer


def _line(talk: Talk) -> bytes:
    data = b""
    while not data.endswith(b"\r\n"):
        data += talk.plug.recv(1)
    return data.strip()


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_token_is_fetched_and_kept_until_shortly_before_its_end(mechanism: str, rig: Rig, tmp_path: Path) -> None:
    mails = {1: mail([(NAME, conversions())])}
    accepts = takes("token1", "token2", mechanism=mechanism)
    with endpoint() as tokens, scripted(mails, overrides={"AUTHENTICATE": accepts}) as server:
        more = f'oauth_refresh_token_file = "{tmp_path}/refresh"\noauth_mechanism = "{mechanism}"'
        rig.apply(oauth_connection(server.port, tokens.url, tmp_path, more))
        poller = rig.poller()
        assert len(poller.once()) == 1
        poller.once()
        assert tokens.asked == [
            {
                "grant_type": "refresh_token", "refresh_token": "refresh-1", "client_id": "our-client",
                "client_secret": "client-secret", "scope": "https://mail.example/imap offline_access",
            }
        ]  # fmt: skip
        rig.monotonic.now += 3600 - 61
        poller.once()
        assert len(tokens.asked) == 1
        rig.monotonic.now += 2
        poller.once()
        assert len(tokens.asked) == 2


def test_a_client_may_have_a_right_of_its_own(rig: Rig, tmp_path: Path) -> None:
    with endpoint() as tokens, scripted({}, overrides={"AUTHENTICATE": takes("token1")}) as server:
        rig.apply(oauth_connection(server.port, tokens.url, tmp_path, "\n"))
        rig.look()
        assert tokens.asked[0]["grant_type"] == "client_credentials"
        assert "refresh_token" not in tokens.asked[0]


def test_a_token_that_was_withdrawn_is_replaced_at_once(rig: Rig, tmp_path: Path) -> None:
    with endpoint() as tokens, scripted({}, overrides={"AUTHENTICATE": takes("token1")}) as server:
        rig.apply(oauth_connection(server.port, tokens.url, tmp_path))
        poller = rig.poller()
        poller.once()
        server.overrides["AUTHENTICATE"] = takes("token2")
        poller.once()
        assert len(tokens.asked) == 2


def test_a_refused_token_says_why_and_is_not_asked_for_for_ever(rig: Rig, tmp_path: Path) -> None:
    with endpoint() as tokens, scripted({}, overrides={"AUTHENTICATE": takes("never")}) as server:
        rig.apply(oauth_connection(server.port, tokens.url, tmp_path))
        with pytest.raises(MailboxError) as caught:
            rig.look()
        assert (caught.value.step, caught.value.kind) == (Step.LOGIN, Kind.NOT_ALLOWED)
        assert '"status":"400"' in caught.value.reason
        assert "token2" not in caught.value.reason
        assert len(tokens.asked) == 2


def test_a_new_refresh_token_is_written_back(rig: Rig, tmp_path: Path) -> None:
    with endpoint() as tokens, scripted({}, overrides={"AUTHENTICATE": takes("token1", "token2")}) as server:
        tokens.more = {"refresh_token": "refresh-2"}
        rig.apply(oauth_connection(server.port, tokens.url, tmp_path))
        rig.look()
        assert (tmp_path / "refresh").read_text() == "refresh-2\n"
        assert (tmp_path / "refresh").stat().st_mode & 0o777 == 0o600
        rig.look()
        assert tokens.asked[1]["refresh_token"] == "refresh-2"


REFUSALS: dict[str, tuple[dict[str, Any], Kind, str]] = {
    "invalid_grant": (
        {"status": 400, "raw": b'{"error":"invalid_grant","error_description":"expired"}'}, Kind.NOT_ALLOWED,
        "answers 400: invalid_grant expired",
    ),
    "trouble": ({"status": 503, "raw": b"<html>"}, Kind.UNREACHABLE, "answers 503: no reason"),
    "a redirect": (
        {"status": 302, "raw": b"", "headers": {"Location": "http://169.254.169.254/"}}, Kind.UNREACHABLE,
        "answers 302",
    ),
    "no JSON": ({"raw": b"hello"}, Kind.UNREACHABLE, "answers 200"),
    "too much": ({"raw": b'{"access_token":"x","y":"' + b"z" * 70_000 + b'"}'}, Kind.UNREACHABLE, "answers 200"),
    "no token": ({"raw": b"{}"}, Kind.MISBEHAVES, "no access token"),
    "a token with a line end": ({"more": {"access_token": "a\r\nb"}}, Kind.MISBEHAVES, "no access token"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_an_endpoint_that_gives_none_ends_in_a_reason(case: str, rig: Rig, tmp_path: Path) -> None:
    answers, kind, words = REFUSALS[case]
    with endpoint() as tokens, scripted({}) as server:
        vars(tokens).update(answers)
        rig.apply(oauth_connection(server.port, tokens.url, tmp_path))
        with pytest.raises(MailboxError) as caught:
            rig.look()
        assert (caught.value.step, caught.value.kind) == (Step.TOKEN, kind)
        assert words in caught.value.reason
        assert server.sessions == 0


def test_the_endpoint_too_must_be_of_the_public_network(tmp_path: Path, template: Path) -> None:
    with open_rig(tmp_path / "d", template, pull=Pull(allow_private=False)) as rig, endpoint() as tokens:
        rig.apply(oauth_connection(1143, tokens.url, tmp_path))
        assert rig.poller().turn() == 60.0
        state = rig.store.ledger.read_now(mailboxes.polling, *_mailbox(rig).mailbox)
        assert state is not None
        assert state.step == "token"
        assert "not of the public network" in state.reason
        assert tokens.asked == []


def _mailbox(rig: Rig) -> Remote:
    return rig.plan().remote
