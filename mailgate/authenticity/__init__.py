"""Who really sent a mail: SPF, DKIM, DMARC and the word of a trusted server; and the signature under our own mail.

Judges nothing and stores nothing. The check asks DNS through one seam and needs the extra ``[authenticity]``; signing
needs nothing beyond what mailgate needs anyway. Imports nothing but the models and the libraries of the trade.
"""

from importlib.util import find_spec

from mailgate.authenticity.check import Checker
from mailgate.authenticity.resolver import DnsTrouble, Kind, Resolver
from mailgate.authenticity.signing import BadKey, Signer

__all__ = ["BadKey", "Checker", "DnsTrouble", "Kind", "Resolver", "Signer", "is_installed"]

_LIBRARIES = ("dns", "spf", "publicsuffixlist", "idna")


def is_installed() -> bool:
    """Tell whether the libraries of the extra ``[authenticity]`` are there."""
    return all(find_spec(name) is not None for name in _LIBRARIES)
