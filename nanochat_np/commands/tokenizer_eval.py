"""``tokenizer eval``: bytes per token of a tokenizer on texts of many kinds, beside others."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from nanochat_np.command_line.console import out
from nanochat_np.commands.tokenizer_train import beginning
from nanochat_np.config import TokenizerConfig
from nanochat_np.data.corpus import load_corpus
from nanochat_np.interop.upstream_tokenizer import open_tokenizer
from nanochat_np.text.counters import Count, counters
from nanochat_np.text.samples import SAMPLES


class TextFigures(msgspec.Struct, frozen=True):
    """Bytes per token by tokenizer, ``this`` and others; None for one that is not available offline."""

    name: str
    bytes: int
    bytes_per_token: dict[str, float | None]


class ComparedTokenizer(msgspec.Struct, frozen=True, kw_only=True):
    """``texts``: the data first, then the samples."""

    command: str = "tokenizer"
    schema: int = 1
    action: str = "eval"
    tokenizer: str
    fingerprint: str
    vocab_size: int
    data: str
    texts: list[TextFigures]


def run(config: TokenizerConfig) -> ComparedTokenizer:
    """Compare, and print a table."""
    tokenizer = open_tokenizer(Path(config.tokenizer))
    documents = tuple(beginning(load_corpus(config.data).documents, config.max_chars))
    counts = counters(tokenizer)
    texts = [(config.data, documents), *((name, (text,)) for name, text in SAMPLES.items())]
    summary = ComparedTokenizer(
        tokenizer=config.tokenizer,
        fingerprint=tokenizer.fingerprint,
        vocab_size=tokenizer.vocab_size,
        data=config.data,
        texts=[_figures(name, documents, counts) for name, documents in texts],
    )
    out(report(summary))
    return summary


def _figures(name: str, documents: Sequence[str], counts: Mapping[str, Count | None]) -> TextFigures:
    size = sum(len(document.encode()) for document in documents)
    return TextFigures(
        name, size, {known: count and size / sum(map(count, documents)) for known, count in counts.items()}
    )


def report(summary: ComparedTokenizer) -> str:
    """A row for each text, a column for each tokenizer."""
    rows = summary.texts
    columns = list(rows[0].bytes_per_token)
    width = max(len(row.name) for row in rows) + 2
    lines = [
        f"bytes per token of {summary.tokenizer} ({summary.vocab_size:,} tokens) and of others; more is better",
        "",
        f"{'':{width}}{'size':>12}{''.join(f'{name:>9}' for name in columns)}",
    ]
    for row in rows:
        cells = (f"{'-' if value is None else f'{value:.2f}':>9}" for value in row.bytes_per_token.values())
        lines.append(f"{row.name:{width}}{row.bytes:12,}{''.join(cells)}")
    missing = [name for name, value in rows[0].bytes_per_token.items() if value is None]
    return "\n".join(lines + ["", f"not available offline: {', '.join(missing)}"] * bool(missing))
