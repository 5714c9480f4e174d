"""Training a BPE vocabulary: the pair of neighbours that is seen most becomes a token, again and again."""

import itertools
from collections.abc import Iterable

import rustbpe

from nanochat_np.errors import ConfigError, DataError
from nanochat_np.text.bpe import SMALLEST_VOCABULARY, BpeTokenizer
from nanochat_np.text.special import SPECIALS
from nanochat_np.text.split import SPLIT_PATTERN, pieces

BUFFER = 1024  # pieces that are split side by side
_U32 = 2**32 - 1  # the counter of rustbpe; no text is large enough for it


def train_bpe(texts: Iterable[str], vocab_size: int) -> BpeTokenizer:
    """The tokenizer of ``vocab_size`` tokens, special ones included, that ``texts`` lead to; the same at every run.

    Of pairs that are seen equally often, the one with the smaller ids is first.  Raises ConfigError for fewer tokens
    than the bytes and the special tokens, DataError for a text that has too few pairs.
    """
    if vocab_size < SMALLEST_VOCABULARY:
        raise ConfigError(f"a vocabulary of {vocab_size} is too small: it needs at least {SMALLEST_VOCABULARY} tokens")
    trainer = rustbpe.Tokenizer()
    parts = itertools.chain.from_iterable(map(pieces, texts))
    try:
        trainer.train_from_iterator(parts, min(vocab_size - len(SPECIALS), _U32), BUFFER, SPLIT_PATTERN)
    except UnicodeEncodeError as error:
        raise DataError(f"a text to train on has {error.object[error.start]!r}, which is no character") from None
    ranks = trainer.get_mergeable_ranks()
    tokenizer = BpeTokenizer(tuple(bytes(token) for token, _ in sorted(ranks, key=lambda pair: pair[1])))
    if tokenizer.vocab_size < vocab_size:
        raise DataError(
            f"the text is too small for a vocabulary of {vocab_size}: it leads to {tokenizer.vocab_size} tokens: "
            f"use more text, or a smaller --vocab-size"
        )
    return tokenizer
