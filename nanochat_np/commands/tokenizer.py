"""``tokenizer train|eval|encode|decode``: make a tokenizer, compare it with others, and use it."""

import os
from pathlib import Path

import msgspec

from nanochat_np.backend.files import told_as
from nanochat_np.command_line.console import out
from nanochat_np.commands import tokenizer_eval, tokenizer_train
from nanochat_np.commands.actions import require_action
from nanochat_np.config import TokenizerConfig
from nanochat_np.data.files import read_text
from nanochat_np.errors import ConfigError, DataError
from nanochat_np.interop.upstream_tokenizer import open_tokenizer
from nanochat_np.text.bpe import BpeTokenizer

# What each action reads, besides the flags that all commands take.
FLAGS = {
    "train": {"data", "max_chars", "vocab_size", "out"},
    "eval": {"data", "max_chars", "tokenizer"},
    "encode": {"text", "file", "tokenizer"},
    "decode": {"ids", "tokenizer"},
}


class CodedText(msgspec.Struct, frozen=True, kw_only=True):
    """A text and its token ids: one was given, the other made from it by the tokenizer of that fingerprint."""

    command: str = "tokenizer"
    schema: int = 1
    action: str
    tokenizer: str
    fingerprint: str
    bytes: int
    tokens: int
    text: str
    ids: list[int]


def run(config: TokenizerConfig, given: frozenset[str]) -> msgspec.Struct:
    """Do what ``action`` says.  Raises ConfigError for a flag that the action does not read."""
    action = require_action("tokenizer", config.action, given, FLAGS)
    if config.threads is not None:
        os.environ["RAYON_NUM_THREADS"] = str(config.threads)  # rustbpe reads it when its threads start
    actions = {"train": tokenizer_train.run, "eval": tokenizer_eval.run, "encode": _encode, "decode": _decode}
    return actions[action](config)


def _encode(config: TokenizerConfig) -> CodedText:
    text = _text(config)
    tokenizer = open_tokenizer(Path(config.tokenizer))
    ids = tokenizer.encode(text).tolist()
    out(",".join(map(str, ids)))
    return _coded(config, tokenizer, text, ids)


def _decode(config: TokenizerConfig) -> CodedText:
    if config.ids is None:
        raise ConfigError("tokenizer decode needs token ids: give --ids 1,2,3")
    tokenizer = open_tokenizer(Path(config.tokenizer))
    text = tokenizer.decode(config.ids)
    out(text)
    return _coded(config, tokenizer, text, list(config.ids))


def _text(config: TokenizerConfig) -> str:
    match config.text, config.file:
        case str(text), None:
            return text
        case None, str(file):
            with told_as(DataError, f"--file {file}: cannot be read"):
                return read_text(Path(file))
    raise ConfigError("tokenizer encode needs a text: give either --text or --file")


def _coded(config: TokenizerConfig, tokenizer: BpeTokenizer, text: str, ids: list[int]) -> CodedText:
    return CodedText(
        action=str(config.action),
        tokenizer=config.tokenizer,
        fingerprint=tokenizer.fingerprint,
        bytes=len(text.encode()),
        tokens=len(ids),
        text=text,
        ids=ids,
    )
