"""An engine from a checkpoint."""

from pathlib import Path

from nanochat_np.backend.device import Device
from nanochat_np.errors import CheckpointError
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.text import bpe_file
from nanochat_np.train import checkpoint
from nanochat_np.train.locate import locate
from nanochat_np.train.meta import GPTMeta


def load_engine(
    path: Path, device: Device, *, slots: int = 16, precision: str = "float32", quantize: str = "float32"
) -> tuple[GPTEngine, GPTMeta]:
    """The GPT of a run folder, a ``checkpoints`` folder or a checkpoint, and what its checkpoint says.

    Raises CheckpointError for a damaged one, and for a model of the character lab; what the engine raises.
    """
    folder = locate(path)
    found = checkpoint.load(folder)
    if not isinstance(found.meta, GPTMeta):
        raise CheckpointError(f"{folder}: holds a model of the character lab: use sample, or name a run of pretrain")
    tokenizer = bpe_file.load(folder)
    model, weights = found.meta.model, found.weights
    engine = GPTEngine(model, weights, tokenizer, device, slots=slots, precision=precision, quantize=quantize)
    return engine, found.meta
