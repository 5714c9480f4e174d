"""An item of a CORE task as texts, and which of their tokens are scored.

Source: karpathy/nanochat at 92d63d4, core_eval.py.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nanochat_np.errors import DataError
from nanochat_np.evaluate.core_bundle import CoreItem, CoreTask, LanguageModeling, MultipleChoice, Schema
from nanochat_np.evaluate.predictor import Range
from nanochat_np.text.bpe import BpeTokenizer

_SHOTS_SEED = 1234

Ids = npt.NDArray[np.int32]


class Question(NamedTuple):
    """A text for each option (one, of language modeling), and the tokens of each that are scored."""

    texts: list[Ids]
    scored: list[Range]


def question(task: CoreTask, number: int, tokenizer: BpeTokenizer) -> Question:
    """Item ``number`` of a task after its examples, which are drawn from all others.

    Scored are, of multiple choice, the tokens after the beginning that all texts share; of a schema, those of the end
    that all share; of language modeling, the continuation.  Raises DataError where the continuation is not a part of
    its own: cutting into tokens can join it with what stands before it.
    """
    beginning = "".join(f"{_solved(task.items[i], task.delimiter)}\n\n" for i in shots(task, number))
    item = task.items[number]
    if isinstance(item, LanguageModeling):
        before = f"{beginning}{item.context.strip()}{task.delimiter}"
        return _continuation(*_encoded(tokenizer, [before.strip(), before + item.continuation]))
    texts = _encoded(tokenizer, [beginning + text for text in _options(item, task.delimiter)])
    if isinstance(item, MultipleChoice):
        start = _common(texts)
        return Question(texts, [(start, len(text)) for text in texts])
    size = _common([text[::-1] for text in texts])
    return Question(texts, [(max(1, len(text) - size), len(text)) for text in texts])


def shots(task: CoreTask, number: int) -> list[int]:
    """The examples that stand before an item."""
    others = [i for i in range(len(task.items)) if i != number]
    return random.Random(_SHOTS_SEED + number).sample(others, task.shots)


def _options(item: MultipleChoice | Schema, delimiter: str) -> list[str]:
    if isinstance(item, MultipleChoice):
        return [f"{item.query}{delimiter}{choice}" for choice in item.choices]
    return [f"{context}{delimiter}{item.continuation}" for context in item.context_options]


def _solved(item: CoreItem, delimiter: str) -> str:
    if isinstance(item, LanguageModeling):
        return f"{item.context.strip()}{delimiter}{item.continuation}"
    return _options(item, delimiter)[item.gold]


def _encoded(tokenizer: BpeTokenizer, texts: Sequence[str]) -> list[Ids]:
    return tokenizer.encode_batch(texts, prepend=tokenizer.bos)


def _continuation(before: Ids, whole: Ids) -> Question:
    if len(before) >= len(whole) or not np.array_equal(before, whole[: len(before)]):
        raise DataError("its context is not a beginning of its text in tokens")
    return Question([whole], [(len(before), len(whole))])


def _common(texts: Sequence[Ids]) -> int:
    """How many tokens all texts begin with."""
    shortest = min(map(len, texts))
    same = np.all([text[:shortest] == texts[0][:shortest] for text in texts], axis=0)
    return shortest if same.all() else int(np.argmin(same))
