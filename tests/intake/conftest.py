"""The fixtures of this folder."""

from tests.storage.fixtures import on_both as pytest_generate_tests
from tests.storage.fixtures import sqlite_template, store, template

__all__ = ["pytest_generate_tests", "sqlite_template", "store", "template"]
