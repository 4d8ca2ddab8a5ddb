"""The private names of aiosmtpd and asyncio that the session leans on: an update that changes one fails here first."""

import asyncio
import inspect
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from aiosmtpd import smtp

import mailgate.smtp.session as session_module
from mailgate.smtp.session import SmtpSession

SOURCE = inspect.getsource(smtp.SMTP)
METHODS = ("_getaddr", "_set_rset_state", "_reset_timeout", "_timeout_cb")
ATTRIBUTES = ("_reader", "_writer", "_smtp_methods", "_tls_protocol", "_original_transport")


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("aiosmtpd") == "1.4.6"


@pytest.mark.parametrize("name", METHODS)
def test_a_private_method_is_there_and_takes_what_we_give(name: str) -> None:
    method = getattr(smtp.SMTP, name)
    ours = getattr(SmtpSession, name)
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(method).parameters)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_a_private_attribute_is_set_by_the_library(name: str) -> None:
    assert re.search(rf"self\.{name}\b[^=\n]*= ", SOURCE), name


def test_commands_are_looked_up_in_the_table_that_we_wrap() -> None:
    assert "self._smtp_methods.get(command)" in SOURCE


def test_a_line_is_read_from_the_buffer_that_we_take_over() -> None:
    reader = asyncio.StreamReader(loop=asyncio.new_event_loop())
    assert isinstance(reader._buffer, bytearray)  # type: ignore[attr-defined]
    assert callable(reader._maybe_resume_transport)  # type: ignore[attr-defined]
    reader._loop.close()  # type: ignore[attr-defined]


def test_every_private_name_that_the_session_uses_is_held_here() -> None:
    ours = {name for name in vars(SmtpSession) if name.startswith("_")}
    ours |= set(re.findall(r"self\.(_\w+) = ", inspect.getsource(SmtpSession)))
    used = set(re.findall(r"self\.(_[a-z]\w+)", Path(session_module.__file__).read_text()))
    held = {*METHODS, *ATTRIBUTES}
    assert used - ours - held == set()
