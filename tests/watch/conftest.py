"""The fixtures of this folder."""

from tests.imports.conftest import waits
from tests.s3_fixtures import bucket, s3_server
from tests.storage.fixtures import on_both as pytest_generate_tests
from tests.storage.fixtures import sqlite_template, store, template

__all__ = ["bucket", "pytest_generate_tests", "s3_server", "sqlite_template", "store", "template", "waits"]
