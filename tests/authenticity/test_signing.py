"""Our own mail signed: another's verifier says yes, and the same reply is always the same bytes."""

import asyncio
import subprocess
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from imports.courier import Reply
from imports.letters import Attachment, Letter, Posting, compose
from mailgate.app import make_courier
from mailgate.authenticity import BadKey, Signer
from mailgate.courier import SigningCourier
from mailgate.settings import Relay, Settings, SettingsError
from tests.authenticity.support import NOW, check, ed25519_key, pem, record, rsa_key, zone
from tests.imports.support import reply
from tests.proofs.needs import need

KEYS = {"rsa": rsa_key, "ed25519": ed25519_key}
LETTER = Letter(
    subject="[Receipt] Umsätze_2026_" + "x" * 80 + ".csv", paragraphs=("Wir haben Ihre Datei · äöü.", "Ende"),
    table=(("File", "Bytes"), ("Umsätze.csv", "1,000")),
    attachments=(Attachment(name="receipt_Umsätze.txt", content="größe: 1\n".encode() * 300, subtype="plain"),),
)  # fmt: skip
REFERENCES = tuple(f"<{n}.{'x' * 60}@acme.example>" for n in range(20))


def composed(**more: Any) -> bytes:
    return compose(LETTER, Posting(**{
        "sender": "mailgate@acme.example", "to_address": "batch@client.example", "date": NOW,
        "message_id": "<r1@acme.example>", "trace_id": "01J", "in_reply_to": "<m1@client.example>",
        "references": REFERENCES, **more,
    }))  # fmt: skip


def ask(kind: str) -> Any:
    def answer(name: bytes, timeout: int = 5) -> bytes:
        assert name == b"mail._domainkey.acme.example."
        return record(KEYS[kind]()).encode()

    return answer


def signer(kind: str) -> Signer:
    return Signer("acme.example", "mail", KEYS[kind]())


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("message", [composed(), composed(in_reply_to=""), b"From: a@acme.example\r\n\r\n"], ids=len)
def test_another_verifier_says_yes(kind: str, message: bytes) -> None:
    signed = signer(kind).sign(message, NOW)
    assert signed.endswith(message)
    assert dkim.verify(signed, dnsfunc=ask(kind))
    assert check(signed, zone(more={("mail._domainkey.acme.example", "TXT"): record(KEYS[kind]())})).aligned


@pytest.mark.parametrize("kind", KEYS)
def test_another_verifier_says_no_to_what_was_changed(kind: str) -> None:
    signed = signer(kind).sign(composed(), NOW)
    for before, after in ((b"batch@client", b"other@client"), (b"Auto-Submitted: auto", b"Auto-Submitted: no-auto")):
        assert before in signed
        assert not dkim.verify(signed.replace(before, after), dnsfunc=ask(kind))
    for added in (b"Subject: x\r\n", b"Reply-To: x@evil.example\r\n", b"From: x@evil.example\r\n"):
        assert not dkim.verify(added + signed, dnsfunc=ask(kind))
    assert dkim.verify(b"Received: from a by b\r\n" + signed, dnsfunc=ask(kind))


@pytest.mark.parametrize("kind", KEYS)
def test_the_same_reply_has_the_same_signature_and_another_moment_another(kind: str) -> None:
    one = signer(kind).sign(composed(), NOW)
    assert signer(kind).sign(composed(), NOW) == one
    assert signer(kind).sign(composed(), NOW + timedelta(seconds=1)) != one


@pytest.mark.parametrize("kind", KEYS)
def test_the_field_is_one_that_every_reader_takes(kind: str) -> None:
    head = signer(kind).sign(composed(), NOW).partition(b"\r\nFrom:")[0]
    assert all(len(line) <= 78 for line in head.split(b"\r\n"))
    assert head.isascii()
    names = message_from_bytes(head + b"\r\n\r\n", policy=policy.default)["DKIM-Signature"]
    assert "message-id:" in names
    assert f"a={kind}-sha256" in names


def test_replies_are_of_seven_bits_so_that_no_relay_re_encodes_them() -> None:
    message = composed()
    assert message.isascii()
    assert all(len(line) <= 998 for line in message.split(b"\r\n"))


async def test_a_reply_is_signed_before_it_is_handed_over() -> None:
    class Kept:
        def __init__(self) -> None:
            self.taken: list[Reply] = []
            self.closed = False

        async def deliver(self, reply: Reply) -> None:
            self.taken.append(reply)

        async def close(self) -> None:
            self.closed = True

    behind = Kept()
    courier = SigningCourier(behind, signer("ed25519"))
    await asyncio.gather(*(courier.deliver(reply(message=composed())) for _ in range(2)))
    await courier.close()
    first, second = behind.taken
    assert first == second
    assert dkim.verify(first.message, dnsfunc=ask("ed25519"))
    assert (
        f"t={int(first.created_at.timestamp())};".encode() in first.message
    )  # when the reply was made, not when it was sent
    assert (first.to_address, behind.closed) == ("batch@acme.example", True)


# --- the key file and the settings


def key_file(folder: Path, data: bytes, mode: int = 0o600) -> Path:
    path = folder / "dkim.pem"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def encrypted() -> bytes:
    return rsa_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )


def elliptic() -> bytes:
    return generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public() -> bytes:
    return rsa_key().public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip


BAD: dict[str, tuple[Any, int, str]] = {
    "no PEM": (lambda: b"hello", 0o600, "no private key in PEM"),
    "empty": (lambda: b"", 0o600, "no private key in PEM"),
    "with a password": (encrypted, 0o600, "without a password"),
    "a public key": (public, 0o600, "no private key in PEM"),
    "of another kind": (elliptic, 0o600, "neither RSA nor Ed25519"),
    "readable by everybody": (lambda: pem(rsa_key()), 0o644, "chmod 600"),
    "writable by everybody": (lambda: pem(rsa_key()), 0o602, "chmod 600"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_key_is_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    make, mode, sentence = BAD[name]
    with pytest.raises(BadKey, match=sentence):
        Signer.from_file("acme.example", "mail", key_file(tmp_path, make(), mode))


def test_a_key_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadKey, match="cannot be read: No such file"):
        Signer.from_file("acme.example", "mail", tmp_path / "none.pem")


@pytest.mark.parametrize("kind", KEYS)
def test_the_courier_signs_where_the_settings_say_so(tmp_path: Path, kind: str) -> None:
    path = key_file(tmp_path, pem(KEYS[kind]()), 0o640)
    relay = Relay(dkim_domain="acme.example", dkim_selector="mail", dkim_key=path)
    settings = Settings(data_dir=tmp_path, relay=relay)
    asyncio.run(make_courier(settings).deliver(reply(message=composed())))
    (written,) = settings.outbox_dir.iterdir()
    assert dkim.verify(written.read_bytes(), dnsfunc=ask(kind))
    path.write_text("spoilt")
    with pytest.raises(SettingsError, match=r"relay\.dkim_key: .*no private key"):
        make_courier(settings)


@pytest.mark.parametrize(
    "relay",
    [
        {"dkim_domain": "acme.example"}, {"dkim_selector": "mail"}, {"dkim_key": "x.pem"},
        {"dkim_domain": "acme.example", "dkim_selector": "mail"},
        {"dkim_domain": "acme example", "dkim_selector": "mail", "dkim_key": "x.pem"},
        {"dkim_domain": "acme.example", "dkim_selector": "ma;il", "dkim_key": "x.pem"},
    ],
)  # fmt: skip
def test_half_a_signature_is_refused(relay: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="dkim_domain"):
        Settings(relay=Relay(**relay))


def test_openssl_makes_keys_that_sign(tmp_path: Path) -> None:
    """The commands of docs/senders.md."""
    need("openssl")
    for words in (("-algorithm", "ed25519"), ("-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048")):
        path = tmp_path / f"{words[1]}.pem"
        subprocess.run(["openssl", "genpkey", *words, "-out", str(path)], check=True, capture_output=True)
        path.chmod(0o600)
        signed = Signer.from_file("acme.example", "mail", path).sign(composed(), datetime.now(UTC))
        assert signed.startswith(b"DKIM-Signature: v=1; a=")
