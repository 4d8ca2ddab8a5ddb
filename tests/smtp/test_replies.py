"""The words behind the dot, for every outcome and for several connections in one mail."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailgate.smtp.replies import final_reply
from models.codes import Code
from models.states import Verdict
from storage.ledger.recording import Recorded

A, B, C = ("01J0000000000000000000000" + letter for letter in "ABC")


def accepted(trace_id: str) -> Recorded:
    return Recorded(trace_id=trace_id, verdict=Verdict.ACCEPTED, code=None)


def duplicate(trace_id: str, *, again: bool = False) -> Recorded:
    code = None if again else Code.DUPLICATE_FILE
    return Recorded(trace_id=trace_id, verdict=Verdict.DUPLICATE, code=code, seen_again=again)


def ignored(trace_id: str, code: Code) -> Recorded:
    return Recorded(trace_id=trace_id, verdict=Verdict.IGNORED, code=code)


def rejected(trace_id: str, code: Code) -> Recorded:
    return Recorded(trace_id=trace_id, verdict=Verdict.REJECTED, code=code)


TABLE = [
    ([accepted(A)], f"250 2.0.0 accepted {A}"),
    ([duplicate(A)], f"250 2.0.0 duplicate {A}"),
    ([duplicate(A, again=True)], f"250 2.0.0 duplicate {A}"),
    ([ignored(A, Code.NAME_NOT_MATCHED)], f"250 2.0.0 ignored NAME_NOT_MATCHED {A}"),
    ([ignored(A, Code.CONNECTION_PAUSED)], f"250 2.0.0 ignored CONNECTION_PAUSED {A}"),
    ([ignored(A, Code.BOUNCE)], f"250 2.0.0 ignored BOUNCE {A}"),
    ([rejected(A, Code.ATTACHMENT_DAMAGED)], f"550 5.6.0 ATTACHMENT_DAMAGED {A}"),
    ([rejected(A, Code.MESSAGE_MALFORMED)], f"550 5.6.0 MESSAGE_MALFORMED {A}"),
    ([rejected(A, Code.FILE_TOO_LARGE)], "552 5.3.4 FILE_TOO_LARGE"),
    ([rejected(A, Code.FILE_TOO_LARGE), rejected(B, Code.FILE_TOO_LARGE)], "552 5.3.4 FILE_TOO_LARGE"),
    (
        [rejected(A, Code.NAME_AMBIGUOUS), rejected(B, Code.FILE_TOO_LARGE)],
        f"550 5.6.0 NAME_AMBIGUOUS {A}; FILE_TOO_LARGE {B}",
    ),
    ([accepted(A), accepted(B)], f"250 2.0.0 accepted {A}; accepted {B}"),
    (
        [ignored(A, Code.NAME_NOT_MATCHED), accepted(B)],
        f"250 2.0.0 ignored NAME_NOT_MATCHED {A}; accepted {B}",
    ),
    (
        [accepted(A), rejected(B, Code.FILE_TOO_LARGE), duplicate(C)],
        f"250 2.0.0 accepted {A}; rejected FILE_TOO_LARGE {B}; duplicate {C}",
    ),
    (
        [rejected(A, Code.ATTACHMENT_DAMAGED), ignored(B, Code.NO_ATTACHMENT)],
        f"250 2.0.0 rejected ATTACHMENT_DAMAGED {A}; ignored NO_ATTACHMENT {B}",
    ),
    ([rejected(A, Code.ENCRYPTED), duplicate(B)], f"250 2.0.0 rejected ENCRYPTED {A}; duplicate {B}"),
]


@pytest.mark.parametrize(("outcomes", "line"), TABLE, ids=[line for _, line in TABLE])
def test_the_word_behind_the_dot(outcomes: list[Recorded], line: str) -> None:
    assert final_reply(outcomes) == line


def outcome(trace_id: str, verdict: Verdict, code: Code) -> Recorded:
    coded = verdict in (Verdict.IGNORED, Verdict.REJECTED)
    return Recorded(trace_id=trace_id, verdict=verdict, code=code if coded else None)


OUTCOMES = st.lists(
    st.builds(
        outcome,
        st.text(alphabet="0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=26, max_size=26),
        st.sampled_from([Verdict.ACCEPTED, Verdict.DUPLICATE, Verdict.IGNORED, Verdict.REJECTED]),
        st.sampled_from(list(Code)),
    ),
    min_size=1,
    max_size=100,
)


@settings(deadline=None)
@given(OUTCOMES)
def test_a_long_reply_goes_over_several_lines_that_clients_can_read(outcomes: list[Recorded]) -> None:
    lines = final_reply(outcomes).split("\r\n")
    assert all(len(line) + 2 <= 512 for line in lines)  # RFC 5321 section 4.5.3.1.5
    assert len({line[:3] for line in lines}) == 1
    assert [line[3] for line in lines] == ["-"] * (len(lines) - 1) + [" "]
    assert all(re.match(r"\d{3}[ -]\d\.\d\.\d ", line) for line in lines)
    said = " ".join(line[10:] for line in lines)
    if said != "FILE_TOO_LARGE":
        assert re.findall(r"\b[0-9A-Z]{26}\b", said) == [one.trace_id for one in outcomes]
        assert said.count(";") == len(outcomes) - 1


def test_no_length_of_words_makes_a_line_too_long() -> None:
    for shorter in range(60):
        words = [rejected("X" * 26, Code.RESERVED_PREFIX)] * 8 + [accepted("Y" * (26 + shorter)), accepted(A)]
        lines = final_reply([*words, duplicate(B), duplicate(C)]).split("\r\n")
        assert all(len(line) + 2 <= 512 for line in lines)


def test_one_acceptance_among_rejections_is_a_250() -> None:
    for place in range(3):
        outcomes = [rejected(A, Code.FILE_TOO_LARGE)] * 3
        outcomes[place] = accepted(B)
        assert final_reply(outcomes).startswith("250 2.0.0 ")
