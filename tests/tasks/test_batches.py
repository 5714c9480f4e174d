"""Packed conversations: rows, masks, documents among them, and going on exactly."""

import itertools

import numpy as np
import pytest

from nanochat_np.data.documents import Memory
from nanochat_np.errors import CheckpointError, DataError
from nanochat_np.tasks.batches import mixed_batches, position_of
from nanochat_np.tasks.mixture import Generated, Listed, Mixture
from nanochat_np.text.conversation import Conversation, Message, render_conversation
from tests.text.vocabulary import small_tokenizer

TOKENIZER = small_tokenizer()
FILES = (Memory("docs", [f"document {i} of the text " * 5 for i in range(30)]),)
MIXTURE = Mixture((Generated("spelling", "train", 5), Generated("arithmetic", "train", 9)), (2.0, 1.0))


def talk(question, answer):
    return Conversation((Message("user", question), Message("assistant", answer)))


def of(*talks):
    """A mixture of these conversations alone, in their order."""
    return Mixture((Listed("talks", talks),), (1.0,))


def batches(mixture=MIXTURE, rows=2, length=160, share=0.0, learn_all=False, **options):
    return mixed_batches(mixture, FILES, TOKENIZER, rows, length, documents_share=share, learn_all=learn_all, **options)


def first(count, *args, **options):
    return list(itertools.islice(batches(*args, **options), count))


def pieces(inputs, targets):
    """The conversations of a row: tokens and what is learnt of them, without the padding."""
    starts = [*np.flatnonzero(inputs == TOKENIZER.bos), len(inputs)]
    learnt = np.concatenate([[False], targets >= 0])
    return [(inputs[a:b], learnt[a:b]) for a, b in itertools.pairwise(starts) if b - a > 1]


def test_rows_hold_whole_conversations_with_their_masks():
    known = {}
    for source, number in itertools.product(range(2), range(150)):
        tokens, mask = render_conversation(TOKENIZER, MIXTURE.sources[source].conversation(number))
        known[tokens.tobytes()] = mask
    seen = 0
    for batch in first(3):
        assert batch.inputs.dtype == batch.targets.dtype == np.int32
        for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
            chosen = targets >= 0
            assert (targets[:-1][chosen[:-1]] == inputs[1:][chosen[:-1]]).all()
            assert inputs[0] == TOKENIZER.bos
            found = pieces(inputs, targets)
            for tokens, learnt in found[:-1]:  # the last token of a row is a target alone
                assert (known[tokens.tobytes()] == learnt).all()
            seen += len(found)
    assert seen > 12


def test_the_longest_that_fits_comes_next_and_padding_is_not_learnt():
    lengths = [len(render_conversation(TOKENIZER, talk("q", "x" * n))[0]) for n in (1, 5, 40)]
    small, middle, large = (talk("q", "x" * n) for n in (1, 5, 40))
    room = lengths[2] + lengths[0] + 3
    (batch,) = first(1, of(small, middle, large, large), rows=1, length=room - 1, waiting_conversations=4)
    found = [len(tokens) for tokens, _ in pieces(batch.inputs[0], batch.targets[0])]
    assert found == [lengths[2], lengths[0]]
    padding = slice(lengths[2] + lengths[0], None)
    assert (batch.inputs[0, padding] == TOKENIZER.bos).all()
    assert (batch.targets[0, padding.start - 1 :] == -1).all()


def test_what_is_longer_than_a_row_is_cut_and_does_not_stall():
    long, unanswered = talk("q", "x" * 500), talk("y" * 500, "x")
    for batch in first(120, of(long, unanswered), rows=1, length=20):
        assert (batch.targets >= 0).sum() > 5
    with pytest.raises(DataError, match=r"talks: no answer begins within 21 tokens: raise --max-seq-len"):
        first(1, of(unanswered), length=20)


def test_all_tokens_of_a_conversation_can_be_learnt():
    (some,), (all_of_it,) = first(1), first(1, learn_all=True)
    np.testing.assert_array_equal(some.inputs, all_of_it.inputs)
    chosen = all_of_it.targets >= 0
    assert chosen[some.targets >= 0].all()
    assert chosen.mean() > 0.9 > (some.targets >= 0).mean()


def test_documents_are_spread_evenly():
    share = 0.3
    rows = np.concatenate([(batch.targets >= 0).all(1) for batch in first(50, share=share)])
    assert rows.sum() == 30
    assert max(np.diff(np.flatnonzero(rows))) == 4
    documents = next(batch.inputs[0] for batch in first(50, rows=1, share=share) if (batch.targets >= 0).all())
    assert "document" in TOKENIZER.decode(documents)


@pytest.mark.parametrize("stop", [0, 7])
def test_going_on_is_exact(stop):
    options = {"share": 0.3, "waiting_conversations": 20}
    whole = first(12, **options)
    state = whole[stop].position.state()
    position = position_of(state, MIXTURE, FILES)
    assert position.state() == state
    for found, expected in zip(first(11 - stop, state=state, **options), whole[stop + 1 :], strict=True):
        np.testing.assert_array_equal(found.inputs, expected.inputs)
        np.testing.assert_array_equal(found.targets, expected.targets)
        assert found.position.state() == expected.position.state()


def test_a_position_of_other_data_is_refused():
    state = first(1, of(talk("a", "b"), talk("c", "d")))[0].position.state()
    with pytest.raises(DataError, match="talks: has 3 conversations to train on and had 2"):
        position_of(state, of(*[talk("a", "b")] * 3), FILES)
    with pytest.raises(CheckpointError, match="damaged"):
        position_of({"rows": 1}, MIXTURE, FILES)
