"""``tokenizer train``: a vocabulary from a text, as files."""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from nanochat_np.backend.files import replace_file, told_as
from nanochat_np.command_line.console import out
from nanochat_np.config import TokenizerConfig
from nanochat_np.data.corpus import load_corpus
from nanochat_np.errors import ConfigError, RunError
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BYTES
from nanochat_np.text.bpe_training import train_bpe


class TrainedTokenizer(msgspec.Struct, frozen=True, kw_only=True):
    """``characters`` of the data were read; ``seconds`` is training alone."""

    command: str = "tokenizer"
    schema: int = 1
    action: str = "train"
    data: str
    data_sha256: str
    characters: int
    vocab_size: int
    fingerprint: str
    seconds: float
    out: str


def run(config: TokenizerConfig) -> TrainedTokenizer:
    """Train, and write bpe.json, tokenizer.json and summary.json."""
    folder = Path(config.out)
    if (folder / bpe_file.NAME).exists():
        raise ConfigError(f"--out {folder}: holds a tokenizer, which models may need: choose another folder")
    corpus = load_corpus(config.data)
    texts = list(beginning(corpus.documents, config.max_chars))
    with told_as(ConfigError, f"--out {folder}: cannot be written"):
        folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    tokenizer = train_bpe(texts, config.vocab_size)
    summary = TrainedTokenizer(
        data=config.data,
        data_sha256=corpus.sha256,
        characters=sum(map(len, texts)),
        vocab_size=tokenizer.vocab_size,
        fingerprint=tokenizer.fingerprint,
        seconds=time.perf_counter() - started,
        out=config.out,
    )
    with told_as(RunError, "cannot write the tokenizer"):
        bpe_file.save(folder, tokenizer)
        replace_file(folder / "summary.json", msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
    out(report(summary, tokenizer.tokens))
    return summary


def beginning(documents: Iterable[str], max_chars: int) -> Iterator[str]:
    """The first ``max_chars`` characters of all documents, the last of them cut."""
    for document in documents:
        if max_chars <= 0:
            return
        yield document[:max_chars]
        max_chars -= len(document)


def report(summary: TrainedTokenizer, tokens: tuple[bytes, ...]) -> str:
    """What a person wants to know of it: where it comes from, what it has learnt, and where it is."""
    merged = tokens[len(BYTES) :]
    examples = {"first merges": merged[:10], "last merges": merged[-10:], "longest": sorted(merged, key=len)[-4:]}
    return "\n".join(
        [
            f"{summary.vocab_size:,} tokens from {summary.characters:,} characters of {summary.data} "
            f"in {summary.seconds:.2f} s",
            "",
            *(f"{name:14}{_shown(some)}" for name, some in examples.items()),
            "",
            f"files   {summary.out}",
            f"next    python -m nanochat_np tokenizer eval --tokenizer {summary.out}",
        ]
    )


def _shown(tokens: Sequence[bytes]) -> str:
    return " ".join(repr(token.decode(errors="replace")) for token in tokens)
