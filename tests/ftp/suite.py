"""pyftpdlib's functional tests, driven against our door: only their fixture is replaced.

What lives here: the package that ``tests/test_functional.py`` of pyftpdlib's source distribution imports its helpers
from (``load`` gives the module), with our door in place of its server. The tests make files in the local file system,
since their server shares it: ``open``, ``os`` and ``touch`` of that module lead over the wire instead. Every test
begins in the folder that takes uploads, which the client shows as ``/``; the one folder in it that is always empty
stands for every folder that a test makes.
"""

import ftplib
import importlib.util
import io
import os
import re
import sys
import types
import unittest
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SOURCE = Path(sys.prefix) / "programs" / "pyftpdlib" / "tests" / "test_functional.py"
USER, PASSWORD = "user", "12345"
HOME = "/suite"
EMPTY = "dryrun"  #: a folder of ours that is empty
#: RFC 959, 1123, 2228, 2389, 2428, 3659, and the old names that begin with X.
COMMANDS = re.findall(
    r"\w+",
    "ABOR ALLO APPE AUTH CDUP CWD DELE EPRT EPSV FEAT HELP LIST MDTM MFMT MKD MLSD MLST MODE NLST NOOP OPTS PASS PASV"
    " PBSZ PORT PROT PWD QUIT REIN REST RETR RMD RNFR RNTO SITE SIZE STAT STOR STOU STRU SYST TYPE USER XCUP XCWD XMKD"
    " XPWD XRMD",
)


class Door:
    """Where our door is, and a second session over which files are made and looked at."""

    def __init__(self) -> None:
        self.port = 0
        self.folders: set[str] = set()  #: names of folders that the running test made
        self._beside: ftplib.FTP | None = None

    def beside(self) -> ftplib.FTP:
        """Give the session beside the test's own."""
        if self._beside is None:
            self._beside = ftplib.FTP(timeout=30)
            self._beside.connect("127.0.0.1", self.port)
            self._beside.login(USER, PASSWORD)
            self._beside.cwd(HOME)
        return self._beside

    def close(self) -> None:
        """End the session beside."""
        if self._beside is not None:
            self._beside.close()
            self._beside = None

    def put(self, name: str, data: bytes) -> None:
        self.beside().storbinary(f"STOR {name}", io.BytesIO(data))

    def get(self, name: str) -> bytes:
        pieces: list[bytes] = []
        self.beside().retrbinary(f"RETR {name}", pieces.append)
        return b"".join(pieces)


door = Door()


class _Client(ftplib.FTP):
    """The test's client: it begins in our folder, which it shows as ``/``."""

    def login(self, user: str = "", passwd: str = "", acct: str = "") -> str:  # type: ignore[override]
        said = super().login(user, passwd, acct)
        if user == USER:
            super().cwd(HOME)
        return said

    def putline(self, line: str) -> None:
        for name in door.folders:
            line = line.replace(name, EMPTY)
        super().putline(re.sub(r" /$", f" {HOME}", line))  # type: ignore[misc]

    def getline(self) -> str:
        line = super().getline()  # type: ignore[misc]
        return str(line).replace(f"{HOME}/", "/").replace(HOME, "/")


def client(*, tls: bool) -> Any:
    """Give the class of client that the tests use."""
    if not tls:
        return _Client

    class Secure(ftplib.FTP_TLS, _Client):
        def login(self, user: str = "", passwd: str = "", acct: str = "", secure: bool = True) -> str:  # type: ignore[override]
            if secure and not hasattr(self.sock, "cipher"):
                self.auth()
            said = _Client.login(self, user, passwd, acct)
            self.prot_p()
            return said

        def cwd(self, dirname: str) -> str:
            return ftplib.FTP.cwd(self, dirname)

    return Secure


class _Server:
    """Our door in the shape of the suite's server; it runs already."""

    handler = SimpleNamespace(proto_cmds=dict.fromkeys(COMMANDS))

    def __init__(self, addr: Any = None) -> None:
        self.host, self.port = "127.0.0.1", door.port

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Forget the folders of the test."""
        door.folders.clear()


class _Case(unittest.TestCase):
    """What every test class inherits."""

    def get_testfn(self, suffix: str = "", dir: str | None = None) -> str:  # noqa: A002 - upstream's name
        from tests.house import unique

        return f"t{unique()}{suffix}"


class _File(io.BytesIO):
    """A local file, as the tests think: written, it is uploaded when it is closed."""

    def __init__(self, name: str, mode: str) -> None:
        self.written, self.name = False, name
        super().__init__(b"" if "w" in mode else door.get(name))

    def write(self, data: Any) -> int:
        self.written = True
        return super().write(data)

    def close(self) -> None:
        if not self.closed and self.written:
            self.written = False
            door.put(self.name, self.getvalue())
        super().close()


def _open(name: str, mode: str = "r") -> Any:
    file = _File(name, mode)
    return file if "b" in mode or "w" in mode else io.TextIOWrapper(file)


def _touch(name: str) -> str:
    door.put(name, b"")
    return name


def _close_client(session: ftplib.FTP) -> None:
    try:
        if session.sock is not None:
            try:
                said = session.quit()
            except Exception:  # noqa: BLE001 - as the suite's own does
                return
            assert said.startswith("221"), said
    finally:
        session.close()


def _same(function: Callable[..., Any]) -> Callable[..., Any]:
    """Stand for ``retry_on_failure``: a test that fails has failed."""
    return function


class _Os:
    """The module os, where the tests touch files."""

    linesep = "\n"
    path = SimpleNamespace(exists=lambda name: False, basename=os.path.basename, join=os.path.join)

    def mkdir(self, name: str) -> None:
        door.folders.add(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def load() -> types.ModuleType:
    """Load the suite with our fixture."""
    helpers = types.ModuleType("pyftpdlib_tests")
    helpers.__path__ = [str(SOURCE.parent)]
    vars(helpers).update(
        BUFSIZE=1024, CI_TESTING=False, GLOBAL_TIMEOUT=10, HOME=HOME, HOST="127.0.0.1", INTERRUPTED_TRANSF_SIZE=32768,
        OSX=False, PASSWD=PASSWORD, POSIX=True, SUPPORTS_IPV4=True, SUPPORTS_IPV6=False, USER=USER, WINDOWS=False,
        FtpdThreadWrapper=_Server, PyftpdlibTestCase=_Case, close_client=_close_client, disable_log_warning=_same,
        get_server_handler=None, retry_on_failure=_same, safe_rmpath=door.folders.discard, touch=_touch,
    )  # fmt: skip
    modules = {"pyftpdlib_tests": helpers, "pytest": _pytest(), **_library()}
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        spec = importlib.util.spec_from_file_location("pyftpdlib_tests.test_functional", SOURCE)
        assert spec is not None
        assert spec.loader is not None
        suite = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(suite)
    finally:
        for name, old in before.items():
            sys.modules.pop(name)
            if old is not None:
                sys.modules[name] = old
    vars(suite).update(open=_open, os=_Os())
    return suite


def _pytest() -> types.ModuleType:
    """Give pytest without a mark that a plugin of theirs knows."""
    made = types.ModuleType("pytest")
    vars(made).update(vars(pytest))
    made.mark = SimpleNamespace(  # type: ignore[attr-defined]
        skipif=pytest.mark.skipif, skip=pytest.mark.skip, xdist_group=lambda **_: lambda kind: kind
    )
    return made


def _library() -> dict[str, types.ModuleType]:
    """Give the names of the library that the suite's module imports; the tests that use them are white boxes."""
    handler = type("FTPHandler", (), {"proto_cmds": dict.fromkeys(COMMANDS)})
    names = {
        "pyftpdlib": {},
        "pyftpdlib.filesystems": {"AbstractedFS": object},
        "pyftpdlib.handlers": {
            "DTPHandler": type("DTPHandler", (), {"ac_in_buffer_size": 0}), "FTPHandler": handler,
            "ThrottledDTPHandler": object,
        },
        "pyftpdlib.ioloop": {"IOLoop": object},
        "pyftpdlib.servers": {"FTPServer": object},
        "pyftpdlib.utils": {"has_dualstack_ipv6": lambda: False},
    }  # fmt: skip
    made = {}
    for name, values in names.items():
        made[name] = types.ModuleType(name)
        vars(made[name]).update(values)
    return made
