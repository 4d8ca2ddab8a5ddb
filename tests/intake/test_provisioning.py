"""A file of accounts, credentials and connections: what is refused, and in which words; what an apply makes true."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.logins import password_matches
from intake.provisioning import FileRefused, is_generated, plan_file, read_names
from models.states import ConnectionState
from models.tables import Account, Connection, ConnectionVersion, Credential, IntakeAddress
from storage.descriptors import load_data_types
from storage.ledger.applying import ApplyRefused, apply_plan, credentials_by_name
from storage.ledger.connections import by_address
from tests.storage.support import DOMAIN, Store

TYPES = load_data_types().keys()
ACCOUNT = '[[account]]\nname = "acme"\n'
CREDENTIAL = '[[credential]]\nname = "acme-batch"\naccount = "acme"\nreturn_address = "batch@acme.example"\n'
CONNECTION = (
    '[[connection]]\nname = "acme-conversions"\naccount = "acme"\ndata_type = "conversions"\n'
    'pattern = "Conversions_*.csv"\ncredential = "acme-batch"\n'
)
WHOLE = ACCOUNT + CREDENTIAL + CONNECTION
FOLDER = ACCOUNT + CREDENTIAL + 'username = "acme"\n' + CONNECTION + 'method = "sftp"\n'


def planned(text: str, known: dict[str, str | None] | None = None) -> Any:
    return plan_file(text, domain=DOMAIN, data_types=TYPES, known_hashes=known or {})


def without(key: str) -> str:
    return "\n".join(line for line in WHOLE.splitlines() if not line.startswith(key))


REFUSED: dict[str, tuple[str, str]] = {
    "no TOML": ("[[account]", "this is no TOML"),
    "an unknown table": (WHOLE + '[[conections]]\nname = "x"\n', "conections: there is no key 'conections'"),
    "an unknown key": (WHOLE + "patern = 1\n", "connection 'acme-conversions': there is no key 'patern'"),
    "an unknown key of an account": (ACCOUNT + "rank = 1\n", "account 'acme': there is no key 'rank'"),
    "a table instead of a list": ('[account]\nname = "acme"\n', "account: "),
    "a word instead of a table": ('connection = "x"\n', "connection: "),
    "words instead of tables": ('connection = ["x"]\n', "connection number 1: "),
    "no name": (ACCOUNT + "[[connection]]\naccount = 'acme'\n", "connection number 1: name: Field required"),
    "no pattern": (without("pattern"), "an email connection needs a pattern"),
    "an empty pattern": (WHOLE.replace("Conversions_*.csv", ""), "an email connection needs a pattern"),
    "a pattern beyond all measure": (WHOLE.replace("Conversions_*", "x" * 300), "a pattern may have 255 characters"),
    "a name too long": (WHOLE.replace('"acme-conversions"', f'"{"x" * 101}"'), "a name is 1 to 100 printable"),
    "a blank name": (WHOLE.replace('"acme-conversions"', '"  "'), "a name is 1 to 100 printable"),
    "a name with a line end": (WHOLE.replace('"acme-conversions"', '"a\\nb"'), "a name is 1 to 100 printable"),
    "an account twice": (ACCOUNT + ACCOUNT.replace("acme", "ACME"), "account 'ACME' stands twice"),
    "a credential twice": (ACCOUNT + CREDENTIAL * 2, "credential 'acme-batch' stands twice"),
    "a connection twice": (WHOLE + CONNECTION.replace("acme-conv", "Acme-Conv"), "'Acme-Conversions' stands twice"),
    "a wrong type of value": (WHOLE + 'case_sensitive = "often"\n', "connection 'acme-conversions': case_sensitive: "),
    "an unknown data type": (
        WHOLE.replace('data_type = "conversions"', 'data_type = "cash"'), "data_type is one of action-modifications, ",
    ),
    "an outbound connection": (WHOLE + 'direction = "outbound"\n', "direction: it can be 'inbound' so far"),
    "another method": (WHOLE + 'method = "fax"\n', "method: it can be 'email', 'sftp' or 'ftp' so far"),
    "a folder by mail": (WHOLE + 'folder = "/upload"\n', 'folder: this does not go with method = "email"'),
    "completion by mail": (WHOLE + 'completion = "rename"\n', 'completion: this does not go with method = "email"'),
    "an address in a folder": (FOLDER + 'address = "a"\n', 'address: this does not go with method = "sftp"'),
    "a folder of nobody": (FOLDER.replace('credential = "acme-batch"\n', ""), "needs the credential that logs in"),
    "a folder without a login": (FOLDER.replace('username = "acme"\n', ""), "needs a username to log in"),
    "a relative folder": (FOLDER + 'folder = "upload"\n', "folder is an absolute path below /"),
    "the root as a folder": (FOLDER + 'folder = "/"\n', "folder is an absolute path below /"),
    "a folder that climbs": (FOLDER + 'folder = "/a/../b"\n', 'folder: The file name ".." cannot be used'),
    "a folder with an empty part": (FOLDER + 'folder = "/a//b"\n', "folder: The file name"),
    "our folder": (FOLDER + 'folder = "/samples"\n', "/samples, results and dryrun are ours"),
    "a folder of results": (FOLDER + 'folder = "/a/results"\n', "/samples, results and dryrun are ours"),
    "a name that is no folder": (
        FOLDER.replace('"acme-conversions"', '"../x"'), 'folder: The file name ".." cannot be used',
    ),
    "an unknown completion": (FOLDER + 'completion = "soon"\n', "completion: it can be 'settle', 'rename' or 'marker'"),
    "settling backwards": (FOLDER + "settle_seconds = -1\n", "settle_seconds: Input should be greater than"),
    "another methodology": (WHOLE + 'methodology = "guess"\n', "methodology: it can be 'push' or 'pull' so far"),
    "a proof that is none": (WHOLE + 'authenticity = "spf"\n', "it can be 'off', 'auth' or 'dmarc'"),
    "a word that is none": (WHOLE + 'duplicates = "maybe"\n', "duplicates: it can be 'reject', 'warn' or 'accept'"),
    **{
        f"{key}, not built yet": (WHOLE + f"{key} = {value}\n", f"{key}: this part of mailgate is not built yet")
        for key, value in {
            "expect": '"0 6 * * *"', "timezone": '"UTC"', "grace": '"30m"',
        }.items()
    },
    "a key that is none": (ACCOUNT + CREDENTIAL + 'username = "a"\nssh_keys = ["x"]\n', "a public key is one line"),
    "a key nobody can use": (ACCOUNT + CREDENTIAL + 'ssh_keys = ["x"]\n', "ssh_keys needs a username"),
    "a policy of its own": (WHOLE + 'policy = "sometimes"\n', "policy is accept_valid, all_or_nothing or max_bad"),
    "more than all bad": (WHOLE + 'policy = "max_bad_percent=101"\n', "N from 0 to 100"),
    "a negative share": (WHOLE + 'policy = "max_bad_percent=-1"\n', "N from 0 to 100"),
    "an address with a domain": (WHOLE + f'address = "a@{DOMAIN}"\n', "address is a local part"),
    "an address with a tag": (WHOLE + 'address = "a+b"\n', "address is a local part"),
    "an address with a space": (WHOLE + 'address = "a b"\n', "address is a local part"),
    "an address that begins with a dot": (WHOLE + 'address = ".a"\n', "address is a local part"),
    "an address too long": (WHOLE + f'address = "{"a" * 65}"\n', "address is a local part"),
    "proof without a credential": (without("credential =") + '\nauthenticity = "auth"\n', "needs the credential that"),
    **{
        f"return address {text!r}": (WHOLE.replace("batch@acme.example", text), "return_address is one mail address")
        for text in ("batch", "a@b@c", "a@x.example, b@x.example", "Bob <b@x.example>", " a@x.example", "a@", "@x")
    },
    "a return address of ours": (WHOLE.replace("batch@acme.example", f"x@{DOMAIN.upper()}"), "answers would loop"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_with_a_sentence(name: str) -> None:
    text, sentence = REFUSED[name]
    with pytest.raises(FileRefused) as caught:
        planned(text)
    assert sentence in str(caught.value)


def test_dmarc_is_refused_where_its_extra_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = WHOLE + 'authenticity = "dmarc"\n'
    assert planned(text).plan.rules[0].authenticity == "dmarc"
    monkeypatch.setattr("intake.provisioning.is_installed", lambda: False)
    with pytest.raises(FileRefused, match=r'pip install "mailgate\[authenticity\]"'):
        planned(text)


@pytest.mark.parametrize(
    ("address", "generated"),
    [
        ("acme-conversions-abcdefghjk", True), ("acme-conversions-production", False), ("acme-conversions", False),
        ("acme-conversions-x7", False), ("acme-conversions-abcdefghjkm", False), ("other-abcdefghjk", False),
        ("acmeconversionsfiles", False),
    ],
)  # fmt: skip
def test_an_address_is_generated_or_chosen_by_hand(address: str, generated: bool) -> None:
    assert is_generated(address, "Acme Conversions") is generated


def test_every_fault_has_its_sentence() -> None:
    with pytest.raises(FileRefused) as caught:
        planned(WHOLE + 'patern = "x"\nexpect = "0 6"\nduplicates = "maybe"\n')
    assert len(str(caught.value).splitlines()) == 3


def test_a_refusal_never_shows_a_password() -> None:
    with pytest.raises(FileRefused) as caught:
        planned(ACCOUNT + CREDENTIAL + 'password = ["hunter2"]\n')
    assert "hunter2" not in str(caught.value)


def test_what_a_whole_file_asks_for() -> None:
    plan = planned(WHOLE + 'allowed_senders = ["*@acme.example"]\nsegment = "vip"\naddress = "ACME-x7"\n').plan
    (rule,) = plan.rules
    assert plan.accounts == ("acme",)
    assert (rule.name, rule.pattern, rule.address) == ("acme-conversions", "Conversions_*.csv", "acme-x7")
    assert (rule.allowed_senders, rule.segment) == (("*@acme.example",), "vip")
    assert (rule.duplicates, rule.policy, rule.authenticity) == ("reject", "accept_valid", "off")
    assert plan.credentials[0].password_hash is None


def test_an_empty_file_asks_for_nothing() -> None:
    plan = planned("").plan
    assert (plan.accounts, plan.credentials, plan.rules) == ((), (), ())


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=40))
def test_a_proposed_address_is_hard_to_guess_and_is_one(name: str) -> None:
    text = (
        ACCOUNT + f'[[connection]]\nname = {quoted(name)}\naccount = "acme"\ndata_type = "conversions"\npattern = "*"\n'
    )
    try:
        plans = [planned(text).plan for _ in range(2)]
    except FileRefused:
        return
    first, second = (next(iter(plan.proposed.values())) for plan in plans)
    assert first != second
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,52}", first)
    assert re.search(r"-[a-hj-km-np-z2-9]{10}$", first)


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(c):08X}" for c in text) + '"'


# What an apply makes true.


def apply(store: Store, text: str) -> tuple[list[str], dict[str, str]]:
    """Apply a file as the command line does; gives the addresses and the new passwords."""
    known = store.ledger.read_now(credentials_by_name, read_names(text))
    provisioned = planned(text, known)
    rules = store.ledger.write_now(apply_plan, provisioned.plan, store.clock())
    return [rule.address for rule in rules], provisioned.passwords


def versions(store: Store) -> int:
    return len(store.all(ConnectionVersion))


def test_a_second_apply_changes_and_generates_nothing(store: Store) -> None:
    text = ACCOUNT + CREDENTIAL + 'username = "acme"\npassword = "generate"\n' + CONNECTION
    addresses, passwords = apply(store, text)
    stored = store.all(Credential)[0].password_hash
    assert password_matches(passwords["acme-batch"], stored or "")
    again = apply(store, text)
    assert again == (addresses, {})
    assert store.all(Credential)[0].password_hash == stored
    assert [len(store.all(model)) for model in (Account, Credential, Connection, IntakeAddress)] == [1, 1, 1, 1]
    assert versions(store) == 1


def test_a_given_password_is_hashed_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    text = ACCOUNT + CREDENTIAL + 'username = "acme"\npassword = "hunter2"\n'
    assert apply(store, text)[1] == {}
    stored = store.all(Credential)[0].password_hash or ""
    assert "hunter2" not in stored
    apply(store, text)
    assert store.all(Credential)[0].password_hash == stored
    apply(store, text.replace("hunter2", "hunter3"))
    assert password_matches("hunter3", store.all(Credential)[0].password_hash or "")
    apply(store, ACCOUNT + CREDENTIAL + 'username = "acme"\n')
    assert password_matches("hunter3", store.all(Credential)[0].password_hash or "")


def test_names_are_the_same_in_any_case(store: Store) -> None:
    apply(store, WHOLE)
    apply(store, WHOLE.replace('"acme', '"ACME').replace('= "ACME-batch"', '= "Acme-Batch"'))
    assert [len(store.all(model)) for model in (Account, Credential, Connection)] == [1, 1, 1]


def test_a_change_makes_a_version_and_keeps_the_address(store: Store) -> None:
    before, _ = apply(store, WHOLE)
    after, _ = apply(store, WHOLE + 'segment = "vip"\n')
    assert after == before
    assert versions(store) == 2
    assert store.ref().rule.segment == "vip"
    first = store.ledger.read_now(lambda session: session.get_one(ConnectionVersion, (store.ref().id, 1)).rule)
    assert first["segment"] == ""


def test_an_address_is_retired_and_may_come_back_to_its_own(store: Store) -> None:
    apply(store, WHOLE + 'address = "old"\n')
    apply(store, WHOLE + 'address = "new"\n')
    assert store.ledger.read_now(by_address, "old") is None
    assert store.ledger.read_now(by_address, "NEW") == store.ref()
    apply(store, WHOLE + 'address = "old"\n')
    assert store.ledger.read_now(by_address, "old") == store.ref()
    assert store.ledger.read_now(by_address, "new") is None


def test_a_retired_address_is_never_given_to_another(store: Store) -> None:
    apply(store, WHOLE + 'address = "old"\n')
    apply(store, WHOLE + 'address = "new"\n')
    other = ACCOUNT + CREDENTIAL + CONNECTION.replace("acme-conversions", "other") + 'address = "OLD"\n'
    with pytest.raises(ApplyRefused, match="the address 'old' is or was another connection's"):
        apply(store, other)


def test_the_address_of_a_deleted_connection_is_never_given_again_but_its_name_is_free(store: Store) -> None:
    apply(store, WHOLE + 'address = "mine"\n')
    store.set_state(store.ref(), ConnectionState.DELETED)
    assert store.ledger.read_now(by_address, "mine") is None
    with pytest.raises(ApplyRefused, match="is or was another connection's"):
        apply(store, WHOLE + 'address = "mine"\n')
    (address,), _ = apply(store, WHOLE)
    assert address != "mine"
    assert len(store.all(Connection)) == 2


OTHERS = '[[account]]\nname = "globex"\n'
NOT_APPLIED: dict[str, tuple[str, str]] = {
    "no such account": (CREDENTIAL.replace('account = "acme"', 'account = "x"'), "there is no account 'x'"),
    "a connection without its account": (CONNECTION.replace('account = "acme"', 'account = "x"'), "no account 'x'"),
    "no such credential": (CONNECTION.replace("acme-batch", "x"), "account 'acme' has no credential 'x'"),
    "the credential of another account": (
        OTHERS + CONNECTION.replace("acme-conversions", "theirs").replace('account = "acme"', 'account = "globex"'),
        "account 'globex' has no credential 'acme-batch'",
    ),
    "a connection of another account": (
        OTHERS + CONNECTION.replace('account = "acme"', 'account = "globex"').replace('credential = "acme-batch"', ""),
        "connection 'acme-conversions' belongs to another account",
    ),
    "a credential moved to another account": (
        OTHERS + CREDENTIAL.replace('account = "acme"', 'account = "globex"'), "belongs to another account",
    ),
    "a user name that is taken": (
        CREDENTIAL.replace("acme-batch", "second") + 'username = "ACME"\n', "the user name 'ACME' is taken",
    ),
    "a user name twice in the file": (
        CREDENTIAL.replace("acme-batch", "one") + 'username = "u"\n'
        + CREDENTIAL.replace("acme-batch", "two") + 'username = "U"\n', "the user name 'U' is taken",
    ),
    "an address that is taken": (
        CONNECTION.replace("acme-conversions", "x") + 'address = "mine"\n', "another connection",
    ),
    "an address twice in the file": (
        CONNECTION.replace("acme-conversions", "x") + 'address = "a"\n'
        + CONNECTION.replace("acme-conversions", "y") + 'address = "a"\n', "the address 'a' is or was another",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_APPLIED)
def test_all_or_nothing(store: Store, name: str) -> None:
    apply(store, ACCOUNT + CREDENTIAL + 'username = "acme"\n' + CONNECTION + 'address = "mine"\n')
    text, sentence = NOT_APPLIED[name]
    before = [
        [row.model_dump() for row in store.all(m)]
        for m in (Account, Credential, Connection, IntakeAddress)  # type: ignore[attr-defined]
    ]
    with pytest.raises(ApplyRefused) as caught:
        apply(store, '[[account]]\nname = "newcomer"\n' + text)
    assert sentence in str(caught.value)
    after = [
        [row.model_dump() for row in store.all(m)]
        for m in (Account, Credential, Connection, IntakeAddress)  # type: ignore[attr-defined]
    ]
    assert after == before


def test_credentials_may_change_alone(store: Store) -> None:
    apply(store, WHOLE)
    apply(store, CREDENTIAL.replace("batch@", "other@"))
    assert store.all(Credential)[0].return_address == "other@acme.example"
    assert versions(store) == 1


# --- folders


def shared(first: str, second: str, *, one: str = "/in", other: str = "/in") -> str:
    head = ACCOUNT + CREDENTIAL + 'username = "acme"\n'
    for name, more, folder in (("first", first, one), ("second", second, other)):
        head += (
            f'[[connection]]\nname = "{name}"\naccount = "acme"\nmethod = "sftp"\ncredential = "acme-batch"\n'
            f'folder = "{folder}"\n{more}\n'
        )
    return head


def conv(pattern: str = "", data_type: str = "conversions", more: str = "") -> str:
    return f'data_type = "{data_type}"\npattern = "{pattern}"\n{more}'


TOGETHER: dict[str, tuple[str, str]] = {
    "equal beginnings": (shared(conv("Conv_*.csv"), conv("Conv_*.txt")), "both begin with 'Conv_'"),
    "equal without case": (shared(conv("Conv_*"), conv("cONV_*", more="case_sensitive = false")), "begin with 'conv_'"),
    "two that take all": (shared(conv("*.csv"), conv("*")), "both begin with ''"),
    "a prefix twice": (shared(conv(), conv()), "both begin with 'conversions_'"),
    "a prefix and a pattern": (shared(conv(), conv("Conversions_*")), "both begin with 'conversions_'"),
    "a folder among the results of another": (
        shared(conv("a*"), conv("b*"), other="/in/results/x"), "lies where /in has its own results",
    ),
}  # fmt: skip
APART: dict[str, str] = {
    "a longer beginning": shared(conv("Conv*"), conv("Conversions_2026*")),
    "two data types": shared(conv(), conv(data_type="participants")),
    "by case": shared(conv("Conv_*"), conv("conv_*")),
    "two folders": shared(conv("*"), conv("*"), other="/out"),
    "a folder in a folder": shared(conv("*"), conv("*"), other="/in/deep"),
    "a list beside": shared(conv(), conv(data_type="email-list")),
}


def applied(store: Store, text: str) -> Any:
    plan = plan_file(text, domain=DOMAIN, data_types=load_data_types(), known_hashes={}).plan
    return store.ledger.write_now(apply_plan, plan, store.clock())


@pytest.mark.parametrize("name", TOGETHER)
def test_connections_that_cannot_share_a_folder(store: Store, name: str) -> None:
    text, sentence = TOGETHER[name]
    with pytest.raises(ApplyRefused, match=re.escape(sentence)):
        applied(store, text)
    assert store.ledger.read_now(by_address, "first") is None


@pytest.mark.parametrize("name", APART)
def test_connections_that_share_a_login(store: Store, name: str) -> None:
    assert [rule.name for rule in applied(store, APART[name])] == ["first", "second"]


def test_a_second_file_is_held_against_the_first(store: Store) -> None:
    whole = shared(conv("a*"), conv("b*"))
    applied(store, whole)
    with pytest.raises(ApplyRefused, match="both begin with 'a'"):
        applied(store, whole.replace('"second"', '"third"').replace('"b*"', '"a*.csv"'))


def test_a_connection_with_a_folder_has_no_address(store: Store) -> None:
    first, _ = applied(store, shared(conv("a*"), conv("b*")))
    assert (first.folder, first.address, first.completion, first.settle_seconds) == ("/in", "", "settle", None)


def test_the_folder_of_a_connection_that_names_none() -> None:
    (rule,) = planned(FOLDER.replace("acme-conversions", "Ähren 2026")).plan.rules
    assert rule.folder == "/Ähren 2026"
    (rule,) = planned(FOLDER + 'folder = "/upload/conversions/"\nsettle_seconds = 0.5\n').plan.rules
    assert (rule.folder, rule.settle_seconds) == ("/upload/conversions", 0.5)
