"""The CORE metric: how much better than guessing a base model is at tasks that it sees in examples alone.

    CORE = mean over tasks of (accuracy − baseline) / (1 − baseline)

Source: Li et al. 2024, arXiv:2406.11794; karpathy/nanochat at 92d63d4, core_eval.py and base_eval.py.
"""

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from nanochat_np.errors import DataError
from nanochat_np.evaluate.core_bundle import CoreTask, LanguageModeling
from nanochat_np.evaluate.core_prompts import Question, question, shots
from nanochat_np.evaluate.items import Item
from nanochat_np.evaluate.predictor import Predictor, cross_entropies
from nanochat_np.evaluate.result import Part, part
from nanochat_np.text.bpe import BpeTokenizer


class CoreResult(msgspec.Struct, frozen=True):
    """``metric`` is the mean of the parts' centered accuracies; parts by the label of the task."""

    metric: float
    parts: dict[str, Part]


def core_metric(
    predictor: Predictor,
    tokenizer: BpeTokenizer,
    tasks: Sequence[CoreTask],
    observe: Callable[[Item], None] = lambda item: None,
) -> CoreResult:
    """Every item of every task (see `read_bundle`); ``observe`` is called with each item's record.

    An item that cannot be put as a question counts as wrong, its record says why.
    """
    parts = {}
    for task in tasks:
        items = []
        for number in range(len(task.items)):
            items.append(_answered(predictor, tokenizer, task, number))
            observe(items[-1])
        parts[task.label] = part(items, task.baseline)
    return CoreResult(float(np.mean([part.centered for part in parts.values()])), parts)


def _answered(predictor: Predictor, tokenizer: BpeTokenizer, task: CoreTask, number: int) -> Item:
    item, error = task.items[number], None
    try:
        asked = question(task, number, tokenizer)
        if isinstance(item, LanguageModeling):
            likeliest = _likeliest(predictor, asked)
            output = tokenizer.decode(likeliest)
            right = np.array_equal(likeliest, asked.texts[0][slice(*asked.scored[0])])
        else:
            chosen = _least_surprising(predictor, asked)
            output, right = str(chosen), chosen == item.gold
    except DataError as told:
        output, right, error = "", False, str(told)
    fields = msgspec.to_builtins(item)
    gold = fields.pop("continuation") if isinstance(item, LanguageModeling) else fields.pop("gold")
    return Item(
        number=number,
        group=task.label,
        prompt=msgspec.json.encode(fields | {"examples": shots(task, number)}).decode(),
        outputs=[output],
        gold=str(gold),
        right=right,
        error=error,
    )


def _likeliest(predictor: Predictor, asked: Question) -> np.ndarray:
    """The likeliest token in the place of each that is scored, all others being right."""
    found: np.ndarray = predictor.logits(asked.texts, asked.scored)[0].argmax(-1)
    return found


def _least_surprising(predictor: Predictor, asked: Question) -> int:
    """The option whose scored tokens have the least mean loss; the first of equals."""
    found = predictor.logits(asked.texts, asked.scored)
    losses = [
        float(cross_entropies(logits, text[start:end]).mean()) if start < end else math.nan
        for text, (start, end), logits in zip(asked.texts, asked.scored, found, strict=True)
    ]
    return losses.index(min(losses))
