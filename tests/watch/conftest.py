"""The fixtures of this folder."""

from tests.imports.conftest import waits
from tests.storage.fixtures import store, template

__all__ = ["store", "template", "waits"]
