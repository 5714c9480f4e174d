"""tokenizer.json in Hugging Face folders, and the small files beside it that their classes read."""

from pathlib import Path
from typing import Any

import msgspec

from nanochat_np.backend.files import told_as, write_synced
from nanochat_np.errors import CheckpointError, DataError
from nanochat_np.text.bpe import BYTES, BpeTokenizer
from nanochat_np.text.huggingface import tokenizer_json
from nanochat_np.text.special import ASSISTANT_END, BOS, SPECIALS


def read_huggingface_tokenizer(path: Path) -> BpeTokenizer:
    """The tokenizer in a tokenizer.json, with the same ids.

    Raises CheckpointError for one that cuts or merges in another way than byte-level BPE with a pattern, or has other
    special tokens than nanochat's.
    """
    with told_as(CheckpointError, "cannot read the tokenizer"):
        content = path.read_bytes()
    try:
        found = msgspec.json.decode(content, type=dict[str, Any])
        tokenizer = BpeTokenizer(_tokens(found["model"]["vocab"]), _pattern(found["pre_tokenizer"]))
        tokenizer.encode("")  # makes its encoder, which checks the pattern
        if what := _difference(found, msgspec.json.decode(tokenizer_json(tokenizer))):
            raise DataError(f"its {what} are others")
    except (msgspec.DecodeError, LookupError, TypeError, ValueError, AttributeError, DataError) as error:
        raise CheckpointError(f"{path}: no tokenizer of nanochat's kind ({type(error).__name__}: {error})") from error
    return tokenizer


def _tokens(vocabulary: dict[str, int]) -> tuple[bytes, ...]:
    """The bytes of each token, where the first 256 are the spellings of the single bytes."""
    spelt = sorted(vocabulary.keys() - {*SPECIALS}, key=vocabulary.__getitem__)
    byte_of = {name: value for value, name in enumerate(spelt[: len(BYTES)])}
    return tuple(bytes(byte_of[character] for character in name) for name in spelt)


def _pattern(pre_tokenizer: dict[str, Any]) -> str:
    pattern: str = pre_tokenizer["pretokenizers"][0]["pattern"]["Regex"]
    return pattern


def _difference(found: dict[str, Any], ours: dict[str, Any]) -> str | None:
    """What decides about ids and is not as we would write it."""
    for what, part in {"tokens": _vocabulary, "merges": _merges, "cuts": _cuts, "special tokens": _specials}.items():
        if part(found) != part(ours):
            return what
    return None


def _vocabulary(content: dict[str, Any]) -> Any:
    return {name: token for name, token in content["model"]["vocab"].items() if name not in SPECIALS}


def _merges(content: dict[str, Any]) -> list[str]:
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in content["model"]["merges"]]


def _cuts(content: dict[str, Any]) -> list[Any]:
    steps = content["pre_tokenizer"]["pretokenizers"]
    return [content["normalizer"], *({**step, "trim_offsets": None} for step in steps)]


def _specials(content: dict[str, Any]) -> dict[str, int]:
    return {added["content"]: added["id"] for added in content["added_tokens"]}


def write_huggingface_tokenizer(folder: Path, tokenizer: BpeTokenizer, sequence_len: int) -> None:
    """Write tokenizer.json, tokenizer_config.json and generation_config.json.

    An answer ends with the assistant's turn or where another document begins.  Raises OSError, and DataError for tokens
    that are no merges.
    """
    write_synced(folder / "tokenizer.json", tokenizer_json(tokenizer) + b"\n")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **dict.fromkeys(("bos_token", "eos_token", "pad_token"), BOS),
        "model_max_length": sequence_len,
        "clean_up_tokenization_spaces": False,
    }
    ends = [tokenizer.bos, tokenizer.special_ids[ASSISTANT_END]]
    generation = {"bos_token_id": tokenizer.bos, "eos_token_id": ends, "pad_token_id": tokenizer.bos}
    for name, content in (("tokenizer_config.json", settings), ("generation_config.json", generation)):
        write_synced(folder / name, msgspec.json.format(msgspec.json.encode(content)) + b"\n")
