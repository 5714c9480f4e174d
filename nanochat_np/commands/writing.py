"""What the commands that write with a GPT have in common: which model, and how it chooses."""

from pathlib import Path
from typing import NamedTuple

from nanochat_np import kernels
from nanochat_np.backend.device import select_device
from nanochat_np.backend.products import require_products
from nanochat_np.command_line.console import tell
from nanochat_np.config import Writing
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling
from nanochat_np.train.load_engine import load_engine
from nanochat_np.train.locate import locate, newest_run
from nanochat_np.train.meta import GPTMeta


class Opened(NamedTuple):
    """A model ready to write, and the checkpoint that it comes from."""

    engine: GPTEngine
    meta: GPTMeta
    checkpoint: Path

    @property
    def converses(self) -> bool:
        """Whether it has been trained on conversations."""
        return self.meta.converses


def opened(config: Writing, slots: int) -> Opened:
    """The model that the flags ask for.  Raises ConfigError, CheckpointError."""
    device = select_device(config.device)
    require_products(config.dtype, device.index is not None)
    if device.index is None and kernels.are_cold() and not config.quiet:
        tell("compiling the loops, once on this machine: some seconds")
    folder = locate(Path(config.checkpoint) if config.checkpoint else newest_run(Path("results")))
    engine, meta = load_engine(folder, device, slots=slots, precision=config.dtype, quantize=config.quantize)
    return Opened(engine, meta, folder)


def sampling_of(config: Writing) -> Sampling:
    """How the flags say that tokens are chosen."""
    return Sampling(
        max_tokens=config.max_tokens,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        min_p=config.min_p,
        repetition_penalty=config.repetition_penalty,
        seed=config.seed,
    )
