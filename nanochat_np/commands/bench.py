"""``bench lab|train|infer|gemm``: speed on this machine, in a folder with what the figures depend on."""

import msgspec

from nanochat_np.commands import bench_gemm, bench_infer, bench_lab, bench_train
from nanochat_np.commands.actions import require_action
from nanochat_np.config import BenchConfig

# What each action reads, besides the flags that all commands take.
_MODEL = {
    "architecture",
    "n_layer",
    "n_head",
    "n_kv_head",
    "n_embd",
    "max_seq_len",
    "vocab_size",
    "window_pattern",
    "dtype",
}
FLAGS = {
    "lab": {"repeats", "device", "out"},
    "train": _MODEL | {"batch_size", "steps", "recompute", "device", "out"},
    "infer": _MODEL
    | {"prompt_tokens", "new_tokens", "texts", "temperature", "top_k", "quantize", "repeats", "device", "out"},
    "gemm": {"n_embd", "max_seq_len", "vocab_size", "batch_size", "repeats", "device", "out"},
}


def run(config: BenchConfig, given: frozenset[str]) -> msgspec.Struct:
    """Do what ``action`` says.  Raises ConfigError for a flag that the action does not read."""
    action = require_action("bench", config.action, given, FLAGS)
    actions = {"lab": bench_lab.run, "train": bench_train.run, "infer": bench_infer.run, "gemm": bench_gemm.run}
    return actions[action](config)
