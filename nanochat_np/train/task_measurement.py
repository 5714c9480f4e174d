"""Answers of a chat model while it is trained: held-out questions of the generated sets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nanochat_np.evaluate.chat import ChatSettings, run_task
from nanochat_np.evaluate.tasks import GENERATED_TASKS
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.train.gpt_trainer import GPTTrainer
from nanochat_np.train.measurement import Measurement

_SLOTS, _ANSWER_TOKENS = 16, 128


def task_measurement(every: int, items: int, trainer: GPTTrainer, tokenizer: BpeTokenizer) -> Measurement:
    """Of what the trainer has at that time: accuracy at so many items of each set, greedy, and the mean of these."""

    def measure(observe: Callable[[], None]) -> dict[str, Any]:
        engine = GPTEngine(
            trainer.config, trainer.weights, tokenizer, trainer.device, slots=_SLOTS, precision=trainer.precision
        )
        settings = ChatSettings(max_problems=items, max_new_tokens=_ANSWER_TOKENS)
        accuracy = {
            name: run_task(task, Path(), engine, settings, lambda item, total: observe()).score
            for name, task in GENERATED_TASKS.items()
        }
        return {"task_metric": float(np.mean(list(accuracy.values()))), "accuracy": accuracy}

    return Measurement("tasks", every, measure)
