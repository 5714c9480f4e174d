"""Generations that go on together: each as if it were alone."""

import numpy as np
import pytest

from nanochat_np.errors import PromptTooLong
from nanochat_np.infer import batch as batches
from nanochat_np.infer.batch import Batch, complete
from nanochat_np.infer.generation import Generation
from nanochat_np.infer.sampling import Sampling
from nanochat_np.infer.tool import Tool
from nanochat_np.nn import gpt
from nanochat_np.text import special
from tests.infer.tiny import CONFIG, TOKENIZER, Scripted, engine, weights

END = TOKENIZER.special_ids[special.ASSISTANT_END]


def generation(prompt, sample=0, stop=(END,), tool=None, **sampling):
    return Generation(prompt, Sampling(**sampling), stop=stop, sample=sample, tool=tool)


def answers(prompts, slots, **sampling):
    found = [generation(prompt, number, **sampling) for number, prompt in enumerate(prompts)]
    complete(engine(slots), found)
    return [(g.tokens, g.finish_reason) for g in found]


PROMPTS = [[1, 2, 3], [200], [7] * 20, [1, 2, 3], [9, 8], [30, 31, 32, 33, 34, 35]]


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_an_answer_does_not_depend_on_the_others(temperature):
    alone = []
    for number, prompt in enumerate(PROMPTS):
        one = generation(prompt, number, temperature=temperature, max_tokens=9, seed=4)
        complete(engine(1), [one])
        alone.append((one.tokens, one.finish_reason))
    assert answers(PROMPTS, 1, temperature=temperature, max_tokens=9, seed=4) == alone
    assert answers(PROMPTS, 4, temperature=temperature, max_tokens=9, seed=4) == alone


def test_greedy_tokens_are_the_likeliest_of_the_whole_model(monkeypatch):
    monkeypatch.setattr(batches, "CHUNK", 2)  # the prompt in three parts
    (tokens, reason), *_ = answers([[5, 4, 3, 2, 1]], 2, temperature=0.0, max_tokens=6)
    text, w = [5, 4, 3, 2, 1], weights()
    for token in tokens:
        assert token == int(np.argmax(gpt.logits(w, CONFIG, np.array([text]))[0, -1]))
        text.append(token)
    assert (len(tokens), reason) == (6, "length")


def test_samples_of_a_prompt_differ_by_number_and_repeat_by_seed():
    def sampled(seed):
        return answers([[1, 2]] * 3, 3, temperature=1.0, max_tokens=8, seed=seed)

    first = sampled(1)
    assert len({tuple(tokens) for tokens, _ in first}) == 3
    assert sampled(1) == first != sampled(2)


def test_the_context_ends_an_answer():
    (tokens, reason), *_ = answers([[1] * 20], 1, temperature=0.0, max_tokens=99)
    assert (len(tokens), reason) == (CONFIG.sequence_len - 20, "length")
    with pytest.raises(PromptTooLong, match="24 tokens, this model takes at most 23"):
        Batch(engine(1)).add(generation([1] * 24))


def test_a_stop_token_ends_an_answer_and_is_not_in_it():
    spelled = [*b"abc", END]
    found = generation([1, 2])
    complete(Scripted({1: spelled}), [found])
    assert (found.tokens, found.finish_reason, found.chosen) == ([*b"abc"], "stop", [True] * 3)


def test_nothing_is_written_where_nothing_is_asked_for():
    found = generation([1, 2], max_tokens=0)
    scripted = Scripted({})
    complete(scripted, [found])
    assert (found.tokens, found.finish_reason, scripted.read) == ([], "length", [])


def call(expression, *answer):
    ids = TOKENIZER.special_ids
    return [ids[special.PYTHON_START], *expression.encode(), ids[special.PYTHON_END], *answer]


def test_the_tool_puts_its_answer_in():
    ids = TOKENIZER.special_ids
    forced = [ids[special.OUTPUT_START], *b"408", ids[special.OUTPUT_END]]
    spelled = call("12*34", *forced, *b"ok", END)
    found = generation([1], temperature=0.0, tool=Tool(TOKENIZER))
    complete(Scripted({1: spelled}), [found])
    assert found.tokens == spelled[:-1]
    assert found.chosen == [True] * 7 + [False] * 5 + [True] * 2
    # Without the tool the model is on its own, and what cannot be calculated has no answer.
    other = call("12*", *b"no", END)
    alone, wrong = generation([1], temperature=0.0), generation([2], temperature=0.0, tool=Tool(TOKENIZER))
    complete(Scripted({1: spelled, 2: other}), [alone, wrong])
    assert all(alone.chosen)
    assert wrong.tokens == other[:-1]


def test_a_cancelled_generation_frees_its_slot():
    scripted = Scripted({1: [*b"aaaaaaaa"] * 3, 2: [*b"b", END]}, slots=1)
    batch = Batch(scripted)
    first, second, third = generation([1]), generation([2]), generation([2])
    for each in (first, second, third):
        batch.add(each)
    batch.step()
    assert (batch.active, batch.waiting) == (1, 2)
    first.cancel()
    third.cancel()
    while not batch.idle:
        batch.step()
    assert [g.finish_reason for g in (first, second, third)] == ["cancelled", "stop", "cancelled"]
    assert second.tokens == [*b"b"]


def test_a_prompt_is_read_once_for_all_its_samples():
    scripted = Scripted({1: [*b"x", END]}, slots=4)
    complete(scripted, [generation([1, 2, 3], sample=n, temperature=0.0) for n in range(3)])
    assert scripted.read == [[1, 2, 3]]


def test_a_conversation_that_goes_on_is_not_read_again():
    scripted = Scripted({1: [*b"x", END]}, slots=2)
    batch = Batch(scripted)
    for prompt in ([1, 2, 3], [1, 7], [1, 2, 3, *b"x", END, 5]):
        batch.add(generation(prompt, temperature=0.0))
        while not batch.idle:
            batch.step()
    assert scripted.read == [[1, 2, 3], [1, 7], [END, 5]]


def test_steps_give_to_each_and_read_in_parts(monkeypatch):
    monkeypatch.setattr(batches, "CHUNK", 2)
    scripted = Scripted({1: [*b"abcdefgh"], 2: [*b"xyz", END]})
    batch = Batch(scripted)
    early, late = generation([1], temperature=0.0, max_tokens=5), generation([2] * 5, temperature=0.0)
    batch.add(early)
    assert batch.step() == [early]
    batch.add(late)
    assert [batch.step() for _ in range(3)] == [[early], [early], [early, late]]
    assert (early.tokens, late.tokens) == ([*b"abcd"], [*b"x"])
    assert scripted.read == [[1], [2, 2], [2, 2], [2]]


def test_logprobs_are_those_of_the_model():
    found = generation([1, 2], temperature=0.7, top_k=3, logit_bias={5: 3.0}, max_tokens=2, logprobs=2)
    complete(engine(1), [found])
    z = gpt.logits(weights(), CONFIG, np.array([[1, 2]]))[0, -1]
    expected = z - np.log(np.exp(z).sum())
    first = found.logprobs[0]
    assert first.logprob == pytest.approx(expected[found.tokens[0]])
    assert [token for token, _ in first.top] == np.argsort(-expected)[:2].tolist()
    assert first.top[0][1] == pytest.approx(expected.max())
