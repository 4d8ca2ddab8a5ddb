"""Settings: where they come from, which wins, and how each fault is told."""

from datetime import timedelta
from pathlib import Path

import pytest

from mailgate.settings import SettingsError, load_settings, parse_duration

DURATIONS = [
    ("2s", timedelta(seconds=2)),
    ("5m", timedelta(minutes=5)),
    ("1h", timedelta(hours=1)),
    ("90d", timedelta(days=90)),
]
REFUSED = [
    ("domian = 'x.example'", "domian: there is no such setting"),
    ("[smtp]\nprot = 25", "smtp.prot: there is no such setting"),
    ("[smtp]\nport = 70000", "smtp.port:"),
    ("[smtp]\ncertificate = 'a.pem'", "smtp.certificate and smtp.key belong together"),
    ("[limits]\nresult_within = '30'", "a duration is a whole number with its unit"),
    ("[limits]\nmax_rows = 0", "limits.max_rows:"),
    ("domain = 'not a host'", "domain must be a host name"),
    ("[web]\nport = 8080", "web: this part of mailgate is not built yet"),
    ("settle_seconds = -1", "settle_seconds: Input should be greater than or equal to 0"),
    (
        "database_url = 'mysql://x:sesame@y'",
        "database_url: Value error, database_url is empty, for SQLite, or postgresql://user@host/name",
    ),
    ("[relay]\nhost = 'h'\npassword = 'a'\npassword_file = 'b'", "keep one"),
    ("[relay]\npassword_file = 'missing'", "relay.password_file cannot be read"),
    ("blob_url = 'gs://bucket'", "blob_url must be empty or s3://bucket/prefix"),
    ("blob_url = 's3://UPPER'", "blob_url must be empty or s3://bucket/prefix"),
    ("[s3]\nendpoint = 'objects.example'", "s3.endpoint must be http(s)://host[:port]"),
    ("[s3]\naccess_key_id = 'a'", "belong together"),
    ("[s3]\naccess_key_id = 'a'\nsecret_access_key_file = 'missing'", "s3.secret_access_key_file cannot be read"),
    ("[s3]\naccess_key_id = 'a'\nsecret_access_key = 'b'\nsecret_access_key_file = 'c'", "keep one"),
    ("port = ", "Invalid value"),
    ("[data_types.rewards]\nenum = {}", "data_types.rewards.enum: there is no such setting"),
    ("[data_types.rewards.enums]\nrewardUnit = []", "data_types.rewards.enums.rewardUnit:"),
    ("[data_types.rewards.enums]\nrewardUnit = ['']", "data_types.rewards.enums.rewardUnit.0:"),
    ("[data_types.rewards.enums]\nrewardUnit = 'A'", "data_types.rewards.enums.rewardUnit:"),
]


def _write(folder: Path, text: str) -> Path:
    path = folder / "mailgate.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("text", "meant"), DURATIONS)
def test_duration(text: str, meant: timedelta) -> None:
    assert parse_duration(text) == meant


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5m", "5.5m", "m", "5w", "٥m!"])
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_a_fault_is_told(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as told:
        load_settings(_write(tmp_path, text))
    assert sentence in str(told.value)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as told:
        load_settings(_write(tmp_path, "a = 1\nb = 2\n"))
    assert len(str(told.value).splitlines()) == 2


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="mailgate init"):
        load_settings(tmp_path / "mailgate.toml")


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILGATE_SMTP__PORT", "2626")
    monkeypatch.setenv("MAILGATE_DOMAIN", "other.example")
    monkeypatch.setenv("MAILGATE_RELAY__FROM", "answers@other.example")
    settings = load_settings(_write(tmp_path, "domain = 'file.example'\n[smtp]\nport = 25\nhost = '127.0.0.2'"))
    assert (settings.domain, settings.smtp.port, settings.smtp.host) == ("other.example", 2626, "127.0.0.2")
    assert settings.reply_from == "answers@other.example"


@pytest.mark.parametrize("name", ["MAILGATE_NONSENSE", "MAILGATE_SMTP__PROT", "MAILGATE_WEB__PORT"])
def test_a_variable_that_names_no_setting_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=name):
        load_settings(_write(tmp_path, ""))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[dns]\nservers = ['192.0.2.1', '192.0.2.1:5353', '[2001:db8::1]:53', '2001:db8::1']", ""),
        ("[dns]\nservers = ['ns.example']", "dns.servers"),
        ("[dns]\nservers = ['192.0.2.1:x']", "dns.servers"),
        ("[dns]\nservers = ['192.0.2.1:99999']", "dns.servers"),
        ("[smtp]\ntrusted_proxies = ['192.0.2.1', '10.0.0.0/8', '2001:db8::/32']", ""),
        ("[smtp]\ntrusted_proxies = ['mx.example']", "smtp.trusted_proxies"),
        ("[smtp]\ntrusted_proxies = ['10.0.0.1/8']", "smtp.trusted_proxies"),
    ],
)
def test_servers_and_networks_are_addresses(tmp_path: Path, text: str, wrong: str) -> None:
    path = _write(tmp_path, text)
    if wrong:
        with pytest.raises(SettingsError, match=wrong):
            load_settings(path)
    else:
        load_settings(path)


def test_paths_are_relative_to_the_file_and_secrets_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    settings = load_settings(_write(tmp_path, "data_dir = 'data'\n[relay]\nhost = 'h'\npassword_file = 'secret'"))
    assert settings.data_dir == tmp_path / "data"
    assert settings.relay.password == "s3cret"
    assert "s3cret" not in repr(settings)


def test_lists_of_values_of_data_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "[data_types.action-modifications.enums]\nReason = ['LATE', 'LOST']\n[data_types.rewards]\n"
    expected = {"action-modifications": {"Reason": ("LATE", "LOST")}}
    assert load_settings(_write(tmp_path, text)).enums == expected
    monkeypatch.setenv("MAILGATE_DATA_TYPES", '{"rewards": {"enums": {"rewardUnit": ["A"]}}}')
    assert load_settings(_write(tmp_path, "")).enums == {"rewards": {"rewardUnit": ("A",)}}


def test_the_keys_of_the_object_store_come_from_files_and_are_shown_nowhere(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("AKIA\n")
    (tmp_path / "secret").write_text("s3cret\n")
    lines = ["blob_url = 's3://files/gate'", "[s3]", "access_key_id_file = 'id'", "secret_access_key_file = 'secret'"]
    settings = load_settings(_write(tmp_path, "\n".join([*lines, "ca_file = 'ca.pem'"])))
    assert (settings.s3.access_key_id, settings.s3.secret_access_key) == ("AKIA", "s3cret")
    assert settings.s3.ca_file == tmp_path / "ca.pem"
    assert "s3cret" not in repr(settings)
