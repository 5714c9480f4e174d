"""What is measured of a model now and then while it is trained, besides its loss on held-out text."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Measurement(NamedTuple):
    """After every so many steps (0: never but at the end) ``measure`` gives the fields of an event of this name.

    It takes a function to call often, which may end the run.
    """

    event: str
    every: int
    measure: Callable[[Callable[[], None]], dict[str, Any]]
