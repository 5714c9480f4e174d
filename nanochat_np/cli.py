"""The commands: the record of each one's flags, and the module whose ``run`` is called with it."""

import importlib
import os
from collections.abc import Callable, Sequence
from typing import Any

from nanochat_np import command_line
from nanochat_np.command_line.command import Command, Summary
from nanochat_np.config import (
    AblateConfig,
    BenchConfig,
    ChatConfig,
    DataConfig,
    DoctorConfig,
    EvalConfig,
    ExportConfig,
    ImportConfig,
    InferConfig,
    MidtrainConfig,
    PretrainConfig,
    ReportConfig,
    RlConfig,
    SampleConfig,
    ServeConfig,
    SftConfig,
    SpeedrunConfig,
    TokenizerConfig,
    TrainConfig,
)


def _lazily(module: str) -> Callable[[Any, frozenset[str]], Summary]:
    """``run`` of a module that is imported when it is called: after the flags have passed, and not for ``--help``."""

    def run(config: Any, given: frozenset[str]) -> Summary:
        if config.threads is not None:
            os.environ["NANOCHAT_NP_THREADS"] = str(config.threads)
        if config.kernels is not None:
            os.environ["NANOCHAT_NP_KERNELS"] = config.kernels
        importlib.import_module("nanochat_np.backend")  # prepares the process, before the module imports NumPy itself
        importlib.import_module("nanochat_np.kernels").obey_environment()
        summary: Summary = importlib.import_module(module).run(config, given)
        return summary

    return run


COMMANDS = (
    Command("train", TrainConfig, _lazily("nanochat_np.commands.train")),
    Command("sample", SampleConfig, _lazily("nanochat_np.commands.sample")),
    Command("ablate", AblateConfig, _lazily("nanochat_np.commands.ablate")),
    Command("tokenizer", TokenizerConfig, _lazily("nanochat_np.commands.tokenizer")),
    Command("data", DataConfig, _lazily("nanochat_np.commands.data")),
    Command("pretrain", PretrainConfig, _lazily("nanochat_np.commands.pretrain")),
    Command("midtrain", MidtrainConfig, _lazily("nanochat_np.commands.fine_tune")),
    Command("sft", SftConfig, _lazily("nanochat_np.commands.fine_tune")),
    Command("infer", InferConfig, _lazily("nanochat_np.commands.infer")),
    Command("chat", ChatConfig, _lazily("nanochat_np.commands.chat")),
    Command("eval", EvalConfig, _lazily("nanochat_np.commands.eval")),
    Command("speedrun", SpeedrunConfig, _lazily("nanochat_np.commands.speedrun")),
    Command("rl", RlConfig, _lazily("nanochat_np.commands.rl")),
    Command("report", ReportConfig, _lazily("nanochat_np.commands.report")),
    Command("import", ImportConfig, _lazily("nanochat_np.commands.import_model")),
    Command("export", ExportConfig, _lazily("nanochat_np.commands.export_model")),
    Command("serve", ServeConfig, _lazily("nanochat_np.commands.serve")),
    Command("bench", BenchConfig, _lazily("nanochat_np.commands.bench")),
    Command("doctor", DoctorConfig, _lazily("nanochat_np.commands.doctor")),
)


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit code of the process."""
    return command_line.main(COMMANDS, arguments)
