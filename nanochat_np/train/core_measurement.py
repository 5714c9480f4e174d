"""The CORE metric of a base model while it is trained."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nanochat_np.config import PretrainConfig
from nanochat_np.data.shakespeare import cache_folder
from nanochat_np.evaluate.core import core_metric
from nanochat_np.evaluate.core_bundle import CoreTask, read_bundle
from nanochat_np.evaluate.predictor import Predictor
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.train.gpt_trainer import GPTTrainer
from nanochat_np.train.measurement import Measurement


def core_tasks(config: PretrainConfig) -> list[CoreTask]:
    """The tasks of CORE where the run is to measure it.  Raises DataError where they cannot be read."""
    if config.core_metric_every <= 0:
        return []
    folder = Path(config.core_bundle).expanduser() if config.core_bundle else cache_folder() / "eval" / "core"
    return read_bundle(folder, config.core_metric_max_per_task)


def core_measurement(
    every: int, tasks: Sequence[CoreTask], trainer: GPTTrainer, tokenizer: BpeTokenizer
) -> Measurement:
    """CORE of what the trainer has at that time, and the accuracy of each task."""

    def measure(observe: Callable[[], None]) -> dict[str, Any]:
        predictor = Predictor(trainer.config, trainer.weights, trainer.device, trainer.precision)
        found = core_metric(predictor, tokenizer, tasks, lambda item: observe())
        return {"core_metric": found.metric, "accuracy": {name: part.accuracy for name, part in found.parts.items()}}

    return Measurement("core", every, measure)
