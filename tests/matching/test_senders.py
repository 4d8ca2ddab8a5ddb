"""Who may send: both the envelope sender and the one From must match the list."""

import pytest

from matching.senders import check_sender, is_allowed
from models.codes import Code
from models.message import Headers

ANN = "ann@acme.example"
EVE = "eve@evil.example"
ALLOWED = ("*@acme.example", "batch@partner.example")


def froms(*addresses: str, fields: int = 1) -> Headers:
    return Headers(from_addresses=addresses, from_fields=fields)


@pytest.mark.parametrize(
    ("sender", "headers", "allowed", "why"),
    [
        (ANN, froms(ANN), ALLOWED, None),
        (ANN, froms("batch@partner.example"), ALLOWED, None),
        ("ANN@Acme.Example", froms("Ann@ACME.example"), ALLOWED, None),
        (EVE, froms(ANN), ALLOWED, "envelope sender"),
        (ANN, froms(EVE), ALLOWED, "From address"),
        (EVE, froms(EVE), ALLOWED, "envelope sender"),
        (ANN, froms(ANN, EVE), ALLOWED, "more than one"),
        (ANN, froms(ANN, ANN), ALLOWED, "more than one"),
        (ANN, froms(ANN, fields=2), ALLOWED, "more than one"),
        (ANN, froms(fields=0), ALLOWED, "no From"),
        ("", froms(ANN), ALLOWED, "envelope sender"),
        (EVE, froms(EVE), (), None),
        (EVE, froms(EVE, ANN, fields=2), (), None),
        ("", froms(fields=0), (), None),
    ],
)
def test_check_sender(sender: str, headers: Headers, allowed: tuple[str, ...], why: str | None) -> None:
    fault = check_sender(sender, headers, allowed)
    if why is None:
        assert fault is None
    else:
        assert fault is not None
        assert fault.code is Code.SENDER_NOT_ALLOWED
        assert why in fault.message


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("ann@acme.example", True),
        ("ann@sub.acme.example", False),
        ("ann@acme.example.evil.example", False),
        ("ann@notacme.example", False),
        ("ann@acme.example ", False),
        ("ann@acmе.example", False),  # a Cyrillic letter
        ("BATCH@PARTNER.EXAMPLE", True),
        ("x.batch@partner.example", False),
        ("batch@partnér.example", False),
        ("@acme.example", True),
    ],
)
def test_whole_address_is_matched(address: str, allowed: bool) -> None:
    assert is_allowed(address, ALLOWED) is allowed


def test_a_dotless_i_is_another_domain() -> None:
    assert not is_allowed("ann@fırm.example", ["*@firm.example"])
    assert is_allowed("ann@FIRM.example", ["*@firm.example"])
