"""Counting the tokens of other tokenizers, to see how much text a token of ours holds beside theirs."""

import contextlib
import threading
from collections.abc import Callable

import tiktoken

from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.split import pieces

Count = Callable[[str], int]  # how many tokens a text has

OTHERS = {"GPT-2": "gpt2", "GPT-4": "cl100k_base"}  # tiktoken's names of them
SECONDS = 20.0


def counters(tokenizer: BpeTokenizer) -> dict[str, Count | None]:
    """How ``tokenizer`` ("this") counts, and those of GPT-2 and GPT-4, and one whose tokens are the bytes.

    tiktoken downloads OTHERS at their first use; one that cannot be had within SECONDS is None.
    """
    others = {name: _downloaded(known) for name, known in OTHERS.items()}
    return {"this": lambda text: tokenizer.encode(text).size, **others, "bytes": lambda text: len(text.encode())}


def _downloaded(name: str) -> Count | None:
    found: list[tiktoken.Encoding] = []

    def fetch() -> None:
        with contextlib.suppress(OSError, ValueError):  # no network, or not the file that was expected
            found.append(tiktoken.get_encoding(name))

    thread = threading.Thread(target=fetch, daemon=True)  # tiktoken waits for a silent server for ever
    thread.start()
    thread.join(SECONDS)
    if not found:
        return None
    # GPT-2 does not cut at every start of a line as `pieces` does: one token more or less in a piece.
    return lambda text: sum(len(found[0].encode_ordinary(piece)) for piece in pieces(text))
