"""Answers of a model to problems, what they are worth, and the batches that a policy gradient is made from.

Source: karpathy/nanochat at 92d63d4, scripts/chat_rl.py.  docs/rl.md has the derivation.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from nanochat_np.backend.random import stream
from nanochat_np.infer.answer import AnswerText
from nanochat_np.infer.batch import steps
from nanochat_np.infer.generation import Generation
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling
from nanochat_np.infer.tool import Tool
from nanochat_np.tasks.problems import Problem
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.conversation import render_for_completion, stop_ids


class Weighted(NamedTuple):
    """``inputs`` and ``targets`` (B, T) int32, -1 where nothing was chosen, and what each loss weighs, (B, T)."""

    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class Group(NamedTuple):
    """The answers to one problem, and their rewards, (N,) float64."""

    answers: list[Generation]
    rewards: np.ndarray

    @property
    def has_signal(self) -> bool:
        """Whether some are better than others; where all are equal nothing can be learnt from them."""
        return bool(self.rewards.min() < self.rewards.max())


def answered(
    engine: GPTEngine,
    problems: Sequence[Problem],
    samples: int,
    sampling: Sampling,
    names: Sequence[str],
    observe: Callable[[], None] = lambda: None,
) -> list[Group]:
    """A group of so many ``samples`` for each problem.

    The random numbers of a problem's answers are those of ``sampling.seed`` and the problem's name in ``names``, of no
    other.  ``observe`` is called after each token.
    """
    seeds = (int(stream(sampling.seed, name).integers(2**63)) for name in names)
    groups = [
        _asked(engine, problem, samples, msgspec.structs.replace(sampling, seed=seed))
        for problem, seed in zip(problems, seeds, strict=True)
    ]
    for _ in steps(engine, [answer for group in groups for answer in group]):
        observe()
    return [
        Group(group, np.array([_reward(engine.tokenizer, problem, answer) for answer in group]))
        for problem, group in zip(problems, groups, strict=True)
    ]


def weighted_batches(group: Group, rows: int, problems: int, padding: int) -> Iterator[Weighted]:
    """The forward passes of a group, of so many ``rows``, in a step of so many ``problems``.

    An answer's advantage is its reward less the group's mean.  The tokens of a pass that the model chose share it:

        loss = −Σ log p · advantage / (tokens chosen in the pass · passes · problems)
    """
    advantages = group.rewards - group.rewards.mean()
    passes = len(group.answers) // rows
    for first in range(0, len(group.answers), rows):
        inputs, targets = _rendered(group.answers[first : first + rows], padding)
        chosen = targets >= 0
        share = advantages[first : first + rows] / (max(int(chosen.sum()), 1) * passes * problems)
        yield Weighted(inputs, targets, chosen * share[:, None])


def _asked(engine: GPTEngine, problem: Problem, samples: int, sampling: Sampling) -> list[Generation]:
    """A prompt that is longer than the context allows is cut."""
    tokenizer = engine.tokenizer
    prompt = render_for_completion(tokenizer, problem.conversation, engine.config.sequence_len - 2).tolist()
    return [
        Generation(prompt, sampling, stop=stop_ids(tokenizer), tool=Tool(tokenizer), sample=number)
        for number in range(samples)
    ]


def _reward(tokenizer: BpeTokenizer, problem: Problem, answer: Generation) -> float:
    text = AnswerText(tokenizer)
    return float(problem.is_right([*text.feed(answer.tokens), *text.end()]))


def _rendered(answers: Sequence[Generation], padding: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets (B, T) of answers to one prompt: what the prompt and the tool said is no target."""
    prompt = answers[0].prompt
    length = len(prompt) + max(len(answer.tokens) for answer in answers)
    tokens = np.full((len(answers), length), padding, np.int32)
    chosen = np.zeros((len(answers), length), np.bool_)
    tokens[:, : len(prompt)] = prompt
    for row, answer in enumerate(answers):
        tokens[row, len(prompt) : len(prompt) + len(answer.tokens)] = answer.tokens
        chosen[row, len(prompt) : len(prompt) + len(answer.tokens)] = answer.chosen
    return tokens[:, :-1], np.where(chosen[:, 1:], tokens[:, 1:], -1)
