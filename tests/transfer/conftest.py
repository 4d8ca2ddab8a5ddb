"""The fixtures of this folder."""

from tests.storage.fixtures import store, template

__all__ = ["store", "template"]
