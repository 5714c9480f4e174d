"""Bits per byte on text that was not trained on."""

import itertools
from collections.abc import Callable

from nanochat_np.data.loader import packed_batches, tokens_up_to
from nanochat_np.data.split import open_split
from nanochat_np.evaluate.bits import Validation
from nanochat_np.evaluate.packed import validate_packed
from nanochat_np.evaluate.predictor import Predictor
from nanochat_np.text.bpe import BpeTokenizer


def validate_text(
    predictor: Predictor,
    tokenizer: BpeTokenizer,
    data: str,
    field: str,
    most_tokens: int,
    batch_size: int,
    observe: Callable[[int, int], None] = lambda done, total: None,
) -> Validation:
    """The loss on the validation part of ``data`` (see `open_split`), about ``most_tokens`` of it at most.

    Documents are packed into rows as pretraining packs them; ``observe`` is called with the batches that are done and
    the number of all.
    """
    files, length = open_split(data, field).validation, predictor.config.sequence_len
    there = tokens_up_to(files, tokenizer, most_tokens)
    rows = max(1, min(batch_size, there // length))
    total = max(1, there // (rows * length))
    batches = itertools.islice(packed_batches(files, tokenizer, rows, length), total)
    counted = itertools.count(1)
    pairs = ((batch.inputs, batch.targets) for batch in batches)
    return validate_packed(predictor.losses, pairs, tokenizer.token_bytes(), lambda: observe(next(counted), total))
