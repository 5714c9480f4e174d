"""A command with a flag of every kind."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from nanochat_np.command_line import Command
from nanochat_np.config import Common

Whole = Annotated[int, Meta(ge=0)]


class Scale(Common, frozen=True, kw_only=True):
    """Scale."""

    scale: Annotated[float, Meta(ge=0, description="how big")] = 1.0


class Shape(Scale, frozen=True, kw_only=True):
    """Shape."""

    n_layer: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="layers (default 2)")] = None


class ToyConfig(Shape, frozen=True, kw_only=True):
    """Play with flags.

    Examples:
      python -m nanochat_np toy --steps 3
    """

    what: Annotated[str, Meta(description="thing to play with", extra={"positional": True})] = "ball"
    steps: Annotated[int, Meta(ge=0, description="how long")] = 10
    ratio: Annotated[float, Meta(gt=0, le=1, description="how much")] = 0.5
    temperature: Annotated[float, Meta(description="left to the command")] = 1.0
    mode: Annotated[Literal["fast", "slow"], Meta(description="how fast")] = "fast"
    kind: Annotated[Literal["a", "b"] | None, Meta(description="which kind")] = None
    seeds: Annotated[tuple[Whole, ...], Meta(min_length=1, description="seeds")] = (1, 2)
    prompt: Annotated[str, Meta(description="text")] = ""
    out: Annotated[str | None, Meta(description="folder")] = None
    device: Annotated[str, Meta(pattern=r"^(cpu|cuda)$", description="cpu or cuda")] = "cpu"
    rounded: Annotated[bool, Meta(description="with corners cut")] = True
    max_new_tokens: Annotated[int, Meta(ge=0, description="how many")] = 1


class OtherConfig(Common, frozen=True, kw_only=True):
    """Do something else."""


class Summary(msgspec.Struct):
    command: str
    loss: float


class Toy:
    """Records what the command line hands over; ``does`` is what the command then does."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, frozenset[str]]] = []
        self.does: Any = lambda config: Summary("toy", 0.5)
        self.commands = (Command("toy", ToyConfig, self._run), Command("other", OtherConfig, self._run))

    def _run(self, config: Any, given: frozenset[str]) -> Any:
        self.calls.append((config, given))
        return self.does(config)
