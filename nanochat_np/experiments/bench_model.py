"""The model that ``bench train`` and ``bench infer`` run: of the flags, with values to start from, on a device."""

from nanochat_np.backend.arrays import Array
from nanochat_np.backend.device import Device
from nanochat_np.backend.products import array_dtype
from nanochat_np.backend.random import stream
from nanochat_np.config import BenchConfig
from nanochat_np.nn.gpt_config import GPTConfig, initial

SEED = 1337


def model_config(config: BenchConfig) -> GPTConfig:
    """The model of the flags.  Raises ConfigError for one that cannot be."""
    return GPTConfig(
        architecture=config.architecture,
        sequence_len=config.max_seq_len,
        vocab_size=config.vocab_size,
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_kv_head=config.n_kv_head or config.n_head,
        n_embd=config.n_embd,
        window_pattern=config.window_pattern,
    )


def initial_weights(model: GPTConfig, dtype: str, device: Device) -> dict[str, Array]:
    """Where training would begin."""
    return {
        name: device.array(values, array_dtype(dtype)) for name, values in initial(model, stream(SEED, "init")).items()
    }
