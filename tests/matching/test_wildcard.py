"""The wildcard against an independent matcher, and the cases where a glob library would do more than asked."""

import time
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.wildcard import MAX_PATTERN, compile_pattern, is_bare_star, literal_beginning

CASES = [
    # pattern, name, with case, without case
    ("Conversions_202?_*.csv", "Conversions_2026_05.csv", True, True),
    ("Conversions_202?_*.csv", "Conversions_2026_.csv", True, True),
    ("Conversions_202?_*.csv", "Conversions_202_05.csv", False, False),
    ("Conversions_202?_*.csv", "conversions_2026_05.CSV", False, True),
    ("Conversions_202?_*.csv", "Conversions_2026_05.csv.exe", False, False),
    ("Conversions_202?_*.csv", "Conversions_2026_05.csv ", False, False),
    ("Conversions_202?_*.csv", "Conversions_2026_05.csv.", False, False),
    ("Conversions_202?_*.csv", "Conversions%5F2026_05.csv", False, False),
    ("*.csv", ".csv", True, True),
    ("*.csv", ".hidden.csv", True, True),
    ("*", "anything", True, True),
    ("*", "", False, False),
    ("**", "x", True, True),
    ("?", "é", True, True),
    ("?", "e\u0301", True, True),  # one character once it is NFC
    ("caf\u00e9*.csv", "cafe\u0301_1.csv", True, True),
    ("cafe\u0301*.csv", "caf\u00e9_1.csv", True, True),
    ("É.csv", "é.csv", False, True),
    ("a.csv", "a.csv\n", False, False),
    ("a?csv", "a\ncsv", True, True),
    ("a.csv", "axcsv", False, False),
    # what means something to a glob is literal here
    ("[ab].csv", "a.csv", False, False),
    ("[ab].csv", "[ab].csv", True, True),
    ("[[:alpha:]]", "x", False, False),
    ("!a.csv", "b.csv", False, False),
    ("!a.csv", "!a.csv", True, True),
    ("-a.csv", "-a.csv", True, True),
    ("a|b", "a", False, False),
    ("a|b", "a|b", True, True),
    ("{a,b}.csv", "a.csv", False, False),
    ("{a,b}.csv", "{a,b}.csv", True, True),
    ("@(a|b)", "a", False, False),
    ("@(a|b)", "@(a|b)", True, True),
    ("+(a)*", "+(a)b", True, True),
    ("~", "~", True, True),
    ("a\\*", "a\\b", True, True),
    ("a\\*", "a*", False, False),
    ("a\\x41", "aA", False, False),
    ("*", "a/b\\c", True, True),
    ("..", "..", True, True),
    ("^a$", "a", False, False),
    ("(?i)A", "a", False, False),
]


@pytest.mark.parametrize(("pattern", "name", "exact", "loose"), CASES)
def test_cases(pattern: str, name: str, exact: bool, loose: bool) -> None:
    assert compile_pattern(pattern, True).matches(name) is exact
    assert compile_pattern(pattern, False).matches(name) is loose


def agrees(pattern: str, name: str, case_sensitive: bool) -> bool:
    """Match by a table of prefixes: row by row of the pattern, which prefixes of the name it can end at."""
    pattern, name = normalize("NFC", pattern), normalize("NFC", name)
    if not name:
        return False
    if not case_sensitive:
        pattern, name = pattern.lower(), name.lower()
    reached = [True] + [False] * len(name)
    for sign in pattern:
        following = [sign == "*" and reached[0]]
        for i, character in enumerate(name):
            if sign == "*":
                following.append(following[i] or reached[i + 1])
            else:
                following.append(reached[i] and sign in ("?", character))
        reached = following
    return reached[-1]


SIGNS = "abAB_.-[]{}()!@+|\\/^$~,é\u0301É\n 0:"
patterns = st.text(alphabet=SIGNS + "***??", min_size=1, max_size=12)
names = st.text(alphabet=SIGNS + "*?", max_size=14)


@given(patterns, names, st.booleans())
def test_agrees_with_an_independent_matcher(pattern: str, name: str, case_sensitive: bool) -> None:
    assert compile_pattern(pattern, case_sensitive).matches(name) == agrees(pattern, name, case_sensitive)


@given(st.data(), patterns, st.booleans())
def test_agrees_on_names_that_match(data: st.DataObject, pattern: str, case_sensitive: bool) -> None:
    pieces = {"*": names, "?": st.sampled_from(SIGNS)}
    name = "".join(data.draw(pieces[sign]) if sign in pieces else sign for sign in pattern)
    assert compile_pattern(pattern, case_sensitive).matches(name) == agrees(pattern, name, case_sensitive)


@given(st.text(min_size=1, max_size=40).filter(lambda text: not set("*?") & set(text)))
def test_a_pattern_without_wildcards_matches_itself_alone(text: str) -> None:
    matcher = compile_pattern(text, True)
    assert matcher.matches(text)
    assert not matcher.matches(text + "x")
    assert not matcher.matches("x" + text)


@pytest.mark.parametrize("ending", ["", "x", ".csvx"])
def test_many_stars_stay_fast(ending: str) -> None:
    matcher = compile_pattern("*_" * 100 + "*.csv", True)
    began = time.perf_counter()
    assert not matcher.matches("_.csv" * 50 + "_" + ending)
    assert time.perf_counter() - began < 1


def test_longest_pattern() -> None:
    assert compile_pattern("a" * MAX_PATTERN, True).matches("a" * MAX_PATTERN)
    assert compile_pattern("e\u0301" * MAX_PATTERN, True).matches("é" * MAX_PATTERN)


@pytest.mark.parametrize(("pattern", "why"), [("", "must not be empty"), ("a" * (MAX_PATTERN + 1), "has 256")])
def test_refused_patterns(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compile_pattern(pattern, True)


def test_compiled_once() -> None:
    assert compile_pattern("once_*.csv", True) is compile_pattern("once_*.csv", True)
    assert compile_pattern("once_*.csv", True) is not compile_pattern("once_*.csv", False)


@pytest.mark.parametrize(
    ("pattern", "bare"), [("*", True), ("**", True), ("", False), ("*.csv", False), ("?*", False), ("?", False)]
)
def test_bare_star(pattern: str, bare: bool) -> None:
    assert is_bare_star(pattern) is bare


@pytest.mark.parametrize(
    ("pattern", "beginning"),
    [
        ("Conversions_202?_*.csv", "Conversions_202"),
        ("*", ""),
        ("?a", ""),
        ("a.csv", "a.csv"),
        ("e\u0301*", "é"),
        ("[a]*", "[a]"),
    ],
)
def test_literal_beginning(pattern: str, beginning: str) -> None:
    assert literal_beginning(pattern) == beginning
