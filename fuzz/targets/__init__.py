"""The targets, one module each."""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple

NAMES = sorted(module.name for module in iter_modules(__path__))


class Target(NamedTuple):
    """One target: the members of its module."""

    name: str
    run: Callable[[bytes], bool]
    """Raises whatever breaks the invariant; True when the input was accepted."""
    seeds: Callable[[], list[bytes]]


def load_target(name: str) -> Target:
    """The target of that name. It is imported only now, so that what it tests can be instrumented before."""
    module = import_module(f"{__name__}.{name}")
    return Target(name, module.target, module.seeds)
