"""Which clients are mail servers of ours."""

import pytest

from mailgate.settings import Smtp
from mailgate.smtp.shared import is_trusted

OURS = Smtp.model_validate({"trusted_proxies": ["192.0.2.25", "10.1.0.0/24", "2001:db8::/32"]})


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("192.0.2.25", True), ("192.0.2.26", False), ("10.1.0.255", True), ("10.1.1.0", False), ("2001:db8::9", True),
        ("::ffff:192.0.2.25", True), ("::ffff:192.0.2.26", False), ("", False), ("unix", False), ("fe80::1%lo", False),
    ],
)  # fmt: skip
def test_a_client_is_trusted_by_its_address(peer: str, trusted: bool) -> None:
    assert is_trusted(peer, OURS) is trusted
    assert not is_trusted(peer, Smtp())
