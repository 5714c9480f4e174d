"""Answers, their rewards, and the weight of each token in the policy gradient."""

import numpy as np
import pytest

from nanochat_np.infer.sampling import Sampling
from nanochat_np.tasks.arithmetic import ARITHMETIC
from nanochat_np.tasks.item import Item, calculated
from nanochat_np.tasks.problems import Problem
from nanochat_np.text import special
from nanochat_np.text.conversation import render_conversation
from nanochat_np.train.rollouts import Group, answered, weighted_batches
from tests.infer.tiny import TOKENIZER, Scripted, engine

CONVERSATION = Item("?", calculated("2+2", "4", "is 4")).conversation
SAMPLING = Sampling(max_tokens=12, seed=5)
PADDING = TOKENIZER.special_ids[special.ASSISTANT_END]


def problem(rule=lambda conversation, spans: False):
    return Problem(CONVERSATION, rule)


def scripted():
    """An engine that gives the right answer."""
    tokens, _ = render_conversation(TOKENIZER, CONVERSATION)
    start = tokens.tolist().index(TOKENIZER.special_ids[special.ASSISTANT_START]) + 1
    return Scripted({TOKENIZER.bos: tokens[start:].tolist()})


def drawn(names=("a", "b"), samples=4, slots=3, seed=5):
    return answered(engine(slots), [problem()] * len(names), samples, Sampling(max_tokens=8, seed=seed), names)


def texts(groups):
    return [[answer.tokens for answer in group.answers] for group in groups]


def test_what_the_tool_says_is_in_the_answer_and_is_not_chosen():
    seen = []
    (group,) = answered(scripted(), [problem(lambda _, spans: bool(seen.append(spans)))], 2, SAMPLING, ["a"])
    assert seen == [[("python", "2+2"), ("python_output", "4"), ("text", "is 4")]] * 2
    answer = group.answers[0]
    assert TOKENIZER.decode(answer.tokens) == "<|python_start|>2+2<|python_end|><|output_start|>4<|output_end|>is 4"
    assert answer.chosen == [True] * 5 + [False] * 3 + [True] * 4
    assert answer.finish_reason == "length"


def test_right_answers_are_worth_1():
    (group,) = answered(
        scripted(),
        [problem(lambda one, spans: ARITHMETIC.is_right(Item("?", one.messages[1].content), spans))],
        2,
        SAMPLING,
        ["a"],
    )
    assert group.rewards.tolist() == [1.0, 1.0]
    assert not group.has_signal


def test_random_numbers_are_those_of_seed_and_name():
    one, two = drawn()
    assert len({tuple(answer.tokens) for group in (one, two) for answer in group.answers}) == 8
    assert texts(drawn(names=("b", "c"), slots=8))[0] == texts([two])[0], "whatever is answered beside it"
    assert texts(drawn(samples=2))[0] == texts([one])[0][:2]
    assert texts(drawn(seed=6)) != texts([one, two])


def test_tokens_share_the_advantage_of_their_answer():
    """The loss is spelled out here answer by answer and token by token."""
    groups = drawn(names=("a",), samples=4)
    group = Group(groups[0].answers, np.array([1.0, 0.0, 0.0, 1.0]))
    group.answers[1].chosen[2] = False
    del group.answers[2].tokens[5:], group.answers[2].chosen[5:]
    batches = list(weighted_batches(group, rows=2, problems=3, padding=PADDING))
    assert len(batches) == 2
    prompt = group.answers[0].prompt
    for number, batch in enumerate(batches):
        part = group.answers[2 * number : 2 * number + 2]
        chosen = sum(sum(answer.chosen) for answer in part)
        for row, answer in enumerate(part):
            text = prompt + answer.tokens
            assert batch.inputs[row, : len(text) - 1].tolist() == text[:-1]
            assert set(batch.inputs[row, len(text) :]) <= {PADDING}
            advantage = group.rewards[2 * number + row] - 0.5
            for place in range(batch.inputs.shape[1]):
                at = place + 1 - len(prompt)
                if 0 <= at < len(answer.tokens) and answer.chosen[at]:
                    assert batch.targets[row, place] == answer.tokens[at]
                    assert batch.weights[row, place] == pytest.approx(advantage / (chosen * 2 * 3))
                else:
                    assert batch.targets[row, place] == -1
                    assert batch.weights[row, place] == 0


def test_a_prompt_that_is_too_long_is_cut():
    long = Problem(Item("a long question " * 9, CONVERSATION.messages[1].content).conversation, lambda *_: False)
    (group,) = answered(engine(), [long], 2, SAMPLING, ["a"])
    assert [len(answer.prompt) + len(answer.tokens) for answer in group.answers] == [24, 24]


def test_each_token_is_told():
    calls = []
    answered(engine(), [problem()], 2, SAMPLING, ["a"], lambda: calls.append(1))
    assert len(calls) > 3
