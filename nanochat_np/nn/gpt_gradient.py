"""Room for the gradient of a GPT: of the tables of embeddings only the rows of a step's tokens, since others are 0.

A step reads few of a large vocabulary's tokens, and half of the parameters and more can be rows of such tables: rows
for all of them would be memory to clear, to fill and to read, for nothing.
"""

from collections.abc import Sequence

import numpy as np

from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.nn.model import Weights


class GPTGradient:
    """``arrays`` by name, of the parameters' shapes, except that row i of an embedding's is that of ``tokens[i]``."""

    def __init__(self, weights: Weights, tokens: int) -> None:
        """For a step of so many ``tokens``, or fewer."""
        self._tokens, self._most = np.empty(0, np.intp), tokens
        self._room: Weights = {}
        for name, values in weights.items():
            rows = min(len(values), tokens) if is_embedding(name) else len(values)
            self._room[name] = array_module(values).empty((rows, *values.shape[1:]), values.dtype)
        self.arrays: Weights = {}

    def clear(self, inputs: Sequence[np.ndarray]) -> None:
        """Begin a step with these ``inputs``, arrays of tokens on the host: all is 0.

        Raises ValueError where they are more than there is room for.
        """
        every = np.concatenate([np.ravel(idx) for idx in inputs])
        if every.size > self._most:
            raise ValueError(f"{every.size} tokens where there is room for the gradient of {self._most}")
        self._tokens = np.unique(every)
        for name, room in self._room.items():
            self.arrays[name] = room[: len(self._tokens)] if is_embedding(name) else room
            self.arrays[name].fill(0)

    @property
    def tokens(self) -> Array:
        """Those of the step, (U,) integer, in order, on the device of the gradient."""
        return array_module(*self._room.values()).asarray(self._tokens)

    def places(self, idx: np.ndarray) -> np.ndarray:
        """Rows of the embeddings' gradients for tokens of the step: idx (...) -> (...), on the host."""
        return np.searchsorted(self._tokens, idx)


def is_embedding(name: str) -> bool:
    """Whether the parameter is a table that tokens choose rows of."""
    return name == "transformer.wte.weight" or name.startswith("value_embeds.")
