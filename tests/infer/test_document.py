"""Documents that go on, beyond the context."""

import numpy as np
import pytest

from nanochat_np.backend.device import Device
from nanochat_np.errors import PromptTooLong
from nanochat_np.infer.document import continue_prompt
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling
from nanochat_np.nn import gpt
from tests.infer.tiny import CONFIG, TOKENIZER, Scripted, engine, weights

GREEDY = Sampling(max_tokens=40, temperature=0.0)


def test_each_token_is_the_likeliest_after_those_before():
    w, tokens = weights(), [TOKENIZER.bos, *b"ab"]
    w["lm_head.weight"][256:] = 0  # no special token is the likeliest
    for _ in range(40):
        logits = gpt.logits(w, CONFIG, np.array([tokens[-CONFIG.sequence_len :]]))[0, -1]
        tokens.append(int(np.argmax(logits)))
        assert tokens[-1] < 256
    found = "".join(continue_prompt(GPTEngine(CONFIG, w, TOKENIZER, Device(), slots=1), "ab", GREEDY))
    assert found == bytes(tokens[3:]).decode(errors="replace")


def test_an_engine_over_weights_that_change():
    w = weights()
    over = GPTEngine(CONFIG, w, TOKENIZER, Device(), slots=1, copy=False)
    apart = GPTEngine(CONFIG, w, TOKENIZER, Device(), slots=1)
    before = list(continue_prompt(apart, "ab", GREEDY))
    assert list(continue_prompt(over, "ab", GREEDY)) == before
    w["lm_head.weight"][...] = np.roll(w["lm_head.weight"], 1, axis=0)
    assert list(continue_prompt(apart, "ab", GREEDY)) == before
    assert list(continue_prompt(over, "ab", GREEDY)) != before


def test_a_document_ends_with_its_token_and_characters_come_whole():
    scripted = Scripted({TOKENIZER.bos: [*"é€".encode(), 0xC3, TOKENIZER.bos]})
    assert list(continue_prompt(scripted, "ab", GREEDY)) == ["é", "€", "\N{REPLACEMENT CHARACTER}"]


def test_samples_differ_and_none_are_none():
    warm = Sampling(max_tokens=9, temperature=1.0)
    one, again, other = (list(continue_prompt(engine(1), "ab", warm, sample)) for sample in (0, 0, 1))
    assert one == again != other
    assert list(continue_prompt(engine(1), "ab", Sampling(max_tokens=0))) == []


def test_a_prompt_that_is_too_long():
    most = "x" * 2 + "y" * (CONFIG.sequence_len - 1)
    with pytest.raises(PromptTooLong, match=f"{len(most)} tokens, this model takes at most {len(most) - 2}"):
        continue_prompt(engine(1), most, GREEDY)
    kept = list(continue_prompt(engine(1), most, GREEDY, truncate=True))
    assert kept == list(continue_prompt(engine(1), most[2:], GREEDY))
