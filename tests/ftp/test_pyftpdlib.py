"""The black-box part of pyftpdlib's functional suite, plain and under TLS, against the whole service.

``LEFT_OUT`` names every test that is not run, with the reason; docs/decisions/0034 has the same list.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ftp import suite
from tests.ftp.served import Served

_WHITE = "it reaches into pyftpdlib's own classes"
_OPTION = "it sets an option of pyftpdlib; ours has tests of its own"
_REPEAT = "it repeats its parent class with another inner part of pyftpdlib"
_BYTES = "TYPE A keeps bytes as they are sent: the contract"
_IPV6 = "it needs IPv6; the door binds one address, and IPv4 here"
_FOLDERS = "folders are those of the connections: a client makes, moves and removes none"
#: What is not run: a class, or one test of a class.
LEFT_OUT = {
    "TestFtpStoreDataNoSendfile": _REPEAT,
    "TestFtpStoreDataWithCustomIO": _REPEAT,
    "TestFtpRetrieveDataNoSendfile": _REPEAT,
    "TestFtpRetrieveDataCustomIO": _REPEAT,
    "TestThrottleBandwidth": _WHITE,
    "TestTimeouts": _OPTION,
    "TestConfigurableOptions": _OPTION,
    "TestCallbacks": _WHITE,
    "TestIPv6Environment": _IPV6,
    "TestIPv6MixedEnvironment": _IPV6,
    "ThreadedFTPTests": _WHITE,
    "TestFtpAuthentication.test_anon_auth": "there is no anonymous login",
    "TestFtpFsOperations.test_cdup": _FOLDERS,
    "TestFtpFsOperations.test_mkd": _FOLDERS,
    "TestFtpFsOperations.test_rmd": _FOLDERS,
    "TestFtpFsOperations.test_rnfr_rnto": _FOLDERS,
    "TestFtpFsOperations.test_mfmt": "MFMT is accepted and changes nothing: a file's time is when it came",
    "TestFtpFsOperations.test_site_chmod": "there are no modes to change",
    "TestFtpStoreData.test_stor_ascii": _BYTES,
    "TestFtpStoreData.test_stor_ascii_2": _BYTES,
    "TestFtpStoreData.test_stou": "it sends STOU before PORT: 425 where no data connection was asked for",
    "TestFtpStoreData.test_stou_orphaned_file": "it needs the anonymous login",
    "TestFtpRetrieveData.test_retr_ascii": _BYTES,
    "TestFtpListingCmds.test_unforeseen_time_event": _WHITE,
    "TestCornerCases.test_active_conn_error": "it wants the connection at PORT; RFC 959 makes it when it is needed",
    "TestCornerCases.test_error_on_callback": _WHITE,
    "TestCornerCases.test_repr": _WHITE,
    "TestCornerCases.test_ioloop_fileno": _WHITE,
}
LEFT_OUT_UNDER_TLS = {
    "TestFtpStoreData.test_quit_during_transfer": "it ends an upload without close_notify: that is a cut",
    "TestFtpAbort.test_oob_abor": "upstream leaves it out under TLS",
}
_there = suite.SOURCE.exists()


@pytest.fixture(scope="module", autouse=True)
def _door(active: Served) -> Iterator[None]:
    suite.door.port = active.port
    yield
    suite.door.close()


def _tests(kind: type) -> list[str]:
    return [name for name in dir(kind) if name.startswith("test_")]


def _classes(module: Any) -> dict[str, type]:
    return {
        name: kind for name, kind in vars(module).items()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and _tests(kind) and not name.startswith("_")
    }  # fmt: skip


def _adapt(name: str, kind: Any, *, tls: bool) -> type:
    left_out = {**LEFT_OUT, **(LEFT_OUT_UNDER_TLS if tls else {})}
    gone = dict.fromkeys([test for test in _tests(kind) if f"{name}.{test}" in left_out])
    values: dict[str, Any] = {"client_class": suite.client(tls=tls), "__module__": __name__, **gone}
    if name == "TestFtpFsOperations":
        values["setUp"] = _set_up_with_an_empty_folder(kind)
    return type(f"{name}{'UnderTls' if tls else ''}", (kind,), values)


def _set_up_with_an_empty_folder(kind: Any) -> Any:
    def set_up(self: Any) -> None:
        kind.setUp(self)
        self.tempdir = suite.EMPTY

    return set_up


if _there:
    _suite = suite.load()
    for _name, _kind in _classes(_suite).items():
        if _name not in LEFT_OUT:
            for _tls in (False, True):
                _made = _adapt(_name, _kind, tls=_tls)
                globals()[_made.__name__] = _made
    del _kind, _made


def test_the_suite_is_there_and_every_test_is_run_or_listed() -> None:
    if not _there:
        assert os.environ.get("CI") != "true", "missing: pyftpdlib's tests"
        pytest.skip("missing: pyftpdlib's tests")
    classes = _classes(_suite)
    known = {f"{name}.{test}" for name, kind in classes.items() for test in _tests(kind)} | set(classes)
    assert set(LEFT_OUT) | set(LEFT_OUT_UNDER_TLS) <= known, "a name that the suite does not have"
    run = [test for name, kind in classes.items() if name not in LEFT_OUT for test in _tests(kind)
           if f"{name}.{test}" not in LEFT_OUT]  # fmt: skip
    assert len(run) > 60


def test_the_decision_page_has_the_list() -> None:
    page = (Path(__file__).parents[2] / "docs/decisions/0034-what-pyftpdlibs-tests-ask-and-is-refused.md").read_text()
    for name in {**LEFT_OUT, **LEFT_OUT_UNDER_TLS}:
        assert f"`{name}`" in page, name
