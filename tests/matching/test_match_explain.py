"""What would become of these names, connection by connection and name by name."""

from dataclasses import replace

import pytest

from matching.explain import explain
from models.codes import Code
from models.connection import Rule
from tests.matching.mails import GOOD, PATTERN, RULE

REWARDS = replace(RULE, name="acme-rewards", data_type="rewards", pattern="rewards_*.csv", case_sensitive=False)
SFTP = replace(RULE, name="acme-sftp", method="sftp", pattern="*")
OUTBOUND = replace(SFTP, name="acme-export", direction="outbound", methodology="pull")


def test_each_connection_says_why() -> None:
    taken, refused = explain([GOOD, "Conversions_2026_06.csv"], [RULE, REWARDS])
    assert (taken.connection, taken.would_take, taken.code) == (RULE.name, True, None)
    assert [name.taken for name in taken.names] == [True, True]
    assert (refused.connection, refused.would_take, refused.code) == (REWARDS.name, False, Code.NAME_NOT_MATCHED)
    assert [name.code for name in refused.names] == [Code.NAME_NOT_MATCHED] * 2
    assert '"rewards_*.csv"' in refused.message


def test_one_mismatch_spoils_the_mail_and_the_others_would_match() -> None:
    (explained,) = explain([GOOD, "logo.png"], [RULE])
    assert not explained.would_take
    assert [(name.name, name.taken) for name in explained.names] == [(GOOD, True), ("logo.png", False)]
    assert explained.names[0].message == f'"{GOOD}" matches the pattern "{PATTERN}".'


@pytest.mark.parametrize(
    ("names", "rule", "would_take", "code"),
    [
        ([GOOD], RULE, True, None),
        (["/home/ann/" + GOOD], RULE, True, None),
        ([GOOD, "result_a.json"], RULE, True, None),
        (["result_a.json"], RULE, False, Code.RESERVED_PREFIX),
        ([], RULE, False, Code.NO_ATTACHMENT),
        ([GOOD, ""], RULE, False, Code.NAME_INVALID),
        ([GOOD, "a\nb"], RULE, False, Code.NAME_INVALID),
        (["winmail.dat"], RULE, False, Code.TNEF_UNREADABLE),
        (["REWARDS_may.CSV"], REWARDS, True, None),
        ([GOOD.upper()], RULE, False, Code.NAME_NOT_MATCHED),
        (["a.tmp"], replace(RULE, pattern="*"), True, None),
        (["a.tmp"], SFTP, False, None),
        ([".a.csv"], SFTP, False, None),
        (["a.csv"], SFTP, True, None),
        (["a.csv"], OUTBOUND, False, None),
    ],
)
def test_explain(names: list[str], rule: Rule, would_take: bool, code: Code | None) -> None:
    (explained,) = explain(names, [rule])
    assert (explained.would_take, explained.code) == (would_take, code)
    assert explained.message


def test_who_may_send_is_not_asked() -> None:
    (explained,) = explain([GOOD], [replace(RULE, allowed_senders=("*@acme.example",), authenticity="auth")])
    assert explained.would_take
