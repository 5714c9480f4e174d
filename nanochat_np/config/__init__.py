"""One frozen, validated record per command: every flag with its type, range, default and meaning.

The command line is built from these records (``command_line``): a field is a flag, its ``Meta`` description is its
help, its bounds are checked before anything runs, and the docstring of the class is the heading of its flags in the
help.  A field that is ``None`` has a default that depends on others; ``resolved`` fills it, and the result is what
``config.json`` of a run holds.
"""

from nanochat_np.config.chat import ChatConfig, InferConfig, Writing, stop_strings
from nanochat_np.config.common import Common, Count, DeviceName, Folder, Positive
from nanochat_np.config.evaluate import EvalConfig
from nanochat_np.config.fine_tuning import FineTuneConfig, MidtrainConfig, SftConfig, refuse_idle_with_lora
from nanochat_np.config.interop import ExportConfig, ImportConfig
from nanochat_np.config.lab import (
    LEARNING_RATES,
    MINI_GPT_SHAPE,
    AblateConfig,
    Dtype,
    Learning,
    ModelKind,
    Optimizer,
    Precision,
    SampleConfig,
    TrainConfig,
    refuse_idle,
)
from nanochat_np.config.pretrain import PretrainConfig
from nanochat_np.config.report import ReportConfig
from nanochat_np.config.rl import RlConfig
from nanochat_np.config.serve import ServeConfig
from nanochat_np.config.speedrun import SpeedrunConfig
from nanochat_np.config.stage import Sink
from nanochat_np.config.text import DataConfig, TokenizerConfig
from nanochat_np.config.tools import BenchConfig, DoctorConfig

StageConfig = PretrainConfig | FineTuneConfig | RlConfig  # of the stages that train a GPT

__all__ = [
    "LEARNING_RATES",
    "MINI_GPT_SHAPE",
    "AblateConfig",
    "BenchConfig",
    "ChatConfig",
    "Common",
    "Count",
    "DataConfig",
    "DeviceName",
    "DoctorConfig",
    "Dtype",
    "EvalConfig",
    "ExportConfig",
    "FineTuneConfig",
    "Folder",
    "ImportConfig",
    "InferConfig",
    "Learning",
    "MidtrainConfig",
    "ModelKind",
    "Optimizer",
    "Positive",
    "Precision",
    "PretrainConfig",
    "ReportConfig",
    "RlConfig",
    "SampleConfig",
    "ServeConfig",
    "SftConfig",
    "Sink",
    "SpeedrunConfig",
    "StageConfig",
    "TokenizerConfig",
    "TrainConfig",
    "Writing",
    "refuse_idle",
    "refuse_idle_with_lora",
    "stop_strings",
]
