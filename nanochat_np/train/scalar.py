"""Training on the scalar autograd tape: the same model, recorded node by node once and replayed for every window."""

import numpy as np

from nanochat_np.errors import ConfigError
from nanochat_np.nn.model import ModelConfig, architecture, views
from nanochat_np.optim.optimizer import Optimizer
from nanochat_np.scalar.ops import ScalarOps
from nanochat_np.scalar.tape import Tape
from nanochat_np.scalar.training import ScalarProgram

# A node takes 24 bytes, and its share of a step some nanoseconds: past this a step takes most of a second.
MAX_NODES = 50_000_000


class ScalarTrainer:
    """See `trainer.Trainer`.  float64, CPU."""

    def __init__(self, config: ModelConfig, p: np.ndarray, optimizer: Optimizer, tokens: np.ndarray) -> None:
        self.config, self.p, self.optimizer = config, p, optimizer
        self._program = record(config)
        self._tokens = np.asarray(tokens)
        self._window = np.arange(config.block_size + 1)

    def advance(self, first_step: int, starts: np.ndarray, lrs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `trainer.Trainer.advance`."""
        windows = self._tokens[starts[..., None] + self._window]
        return self._program.steps(self.p, windows, lrs, self.optimizer, first_step + 1)

    def warm_up(self, batch_size: int) -> None:
        """See `trainer.Trainer.warm_up`: compiled code that is given no steps."""
        self.advance(0, np.zeros((0, batch_size), np.int64), np.zeros(0))


def record(config: ModelConfig) -> ScalarProgram:
    """Record the loss of one window: parameters first, then every operation of the model, the loss last.

    Raises ConfigError for a model whose graph would not fit.
    """
    model = architecture(config.kind)
    shapes = model.shapes(config)
    parameters = sum(int(np.prod(shape)) for shape in shapes.values())
    # Every weight of a matrix is one multiplication and one addition at each position; the rest is little beside it.
    if 2 * parameters * config.block_size > MAX_NODES:
        raise ConfigError(
            f"--mode scalar: a window of this model takes over {MAX_NODES:,} nodes "
            f"({parameters:,} parameters at {config.block_size} positions): make it smaller, or use --mode tensor"
        )
    tape = Tape()
    leaves = tape.leaf(np.zeros(parameters))
    slots = np.arange(config.block_size + 1)[None, :]
    loss, _ = model.loss(ScalarOps(tape), views(leaves, shapes), config, slots[:, :-1], slots[:, 1:])
    return ScalarProgram(tape, parameters, int(loss))
