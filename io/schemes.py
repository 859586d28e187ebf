"""What opens a URI: by its scheme, ours and a user's alike."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final, Generic, TypeVar

from ecompulse.kernels.config import nearest

Opener = TypeVar("Opener", bound=Callable[..., object])


class UnknownSchemeError(ValueError):
    """A URI whose scheme nobody has registered; the text names the nearest."""


class Schemes(Generic[Opener]):
    """Openers by scheme.

    Args:
        what: is opened, for messages: `sink`.
        built_in: ours, as `module:function`, which is imported when it is needed first.
    """

    def __init__(self, what: str, built_in: Mapping[str, str]) -> None:
        self._what: Final = what
        self._built_in: Final = built_in
        self._openers: dict[str, Opener] = {}

    def register(self, scheme: str, opener: Opener) -> None:
        """Make `scheme:...` open with `opener` in this process, in the place of ours if it is one of these."""
        self._openers[scheme] = opener

    def __contains__(self, scheme: str) -> bool:
        return scheme in self._openers or scheme in self._built_in

    @property
    def known(self) -> frozenset[str]:
        """All schemes."""
        return frozenset({*self._openers, *self._built_in})

    def opener(self, uri: str) -> Opener:
        """What opens a URI.

        Raises:
            UnknownSchemeError: nobody does.
            ModuleNotFoundError: a library that ours needs is not installed.
        """
        scheme = scheme_of(uri)
        if scheme not in self:
            close = nearest(scheme, self.known)
            raise UnknownSchemeError(f"{uri}: no such {self._what}{close.rstrip('?') if close[:1] == ',' else ''}")
        if scheme not in self._openers:
            module, _, name = self._built_in[scheme].partition(":")
            self._openers[scheme] = getattr(import_module(module), name)
        return self._openers[scheme]


def scheme_of(uri: str) -> str:
    """What stands before the first colon; empty for a path."""
    scheme, colon, _ = uri.partition(":")
    return scheme if colon and "/" not in scheme else ""
