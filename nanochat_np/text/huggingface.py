"""tokenizer.json of Hugging Face's ``tokenizers`` library: the same vocabulary, ids and cuts in its format."""

import itertools
from collections.abc import Sequence

import msgspec

from nanochat_np.errors import DataError
from nanochat_np.text.bpe import BYTES, BpeTokenizer


def tokenizer_json(tokenizer: BpeTokenizer) -> bytes:
    """The content of the file.

    Their library finds special tokens in any text unless told otherwise (``encode_special_tokens=True``).  Raises
    DataError for tokens that no two earlier ones make.
    """
    vocabulary = {_shown(token): rank for rank, token in enumerate(tokenizer.tokens)} | tokenizer.special_ids
    merges = [f"{_shown(left)} {_shown(right)}" for left, right in halves(tokenizer.tokens)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    cut = {"type": "Split", "pattern": {"Regex": tokenizer.pattern}, "behavior": "Isolated", "invert": False}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(name, token) for name, token in tokenizer.special_ids.items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [cut, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": merges,
        },
    }
    return msgspec.json.format(msgspec.json.encode(content))


def halves(tokens: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """The two tokens that each token after the single bytes was merged from.

    They are what encoding its bytes arrives at just before it: the last two parts.
    """
    ranks = {token: rank for rank, token in enumerate(tokens)}
    return [_last_two(token, ranks) for token in tokens[len(BYTES) :]]


def _last_two(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    own = ranks[token]
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        made = [ranks.get(left + right, own) for left, right in itertools.pairwise(parts)]
        first = min(made)
        if first >= own:
            raise DataError(f"token {own} ({token!r}) is no merge of two earlier tokens: this is no BPE vocabulary")
        where = made.index(first)
        parts[where : where + 2] = [parts[where] + parts[where + 1]]
    return parts[0], parts[1]


def _added(name: str, token: int) -> dict[str, object]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token, "content": name, **flags}


def _shown(token: bytes) -> str:
    """The bytes as the characters by which this format spells them."""
    return token.decode("latin-1").translate(_SPELLING)


def _spelling() -> dict[int, str]:
    """GPT-2's: what is printable and no space in Latin-1 stands for itself, the rest for what comes from U+0100 on."""
    plain = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = [value for value in range(256) if value not in plain]
    return {value: chr(256 + index) for index, value in enumerate(others)}


_SPELLING = _spelling()
