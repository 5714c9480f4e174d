"""A model on its way from another program, or to one."""

import re
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
import numpy as np

from nanochat_np.nn.gpt_config import GPTConfig

Size = Annotated[int, msgspec.Meta(ge=1)]
Layers = Annotated[int, msgspec.Meta(ge=1, le=1024)]  # a file may say anything, and each has names to be made


class Model(msgspec.Struct, frozen=True):
    """``weights`` are float32, under the names and in the shapes of `gpt_config.shapes`.

    ``settings`` are what is known of the training besides its seconds; after an import in the other program's words.
    """

    config: GPTConfig
    weights: dict[str, np.ndarray]
    step: int = 0
    train_seconds: float = 0.0
    settings: dict[str, Any] = {}


def kinds(names: Iterable[str]) -> str:
    """The first name of each kind: those of other layers differ in a number only."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(re.sub(r"\d+", "", name), name)
    return ", ".join(first.values())
