"""What comes before training: tokenizer, data."""

from typing import Annotated, Literal

from msgspec import Meta

from nanochat_np.config.common import Common, Count, Folder


class TokenizerConfig(Common, frozen=True, kw_only=True):
    """Train a byte-level BPE tokenizer, compare it with others, or turn text into token ids and back.

    Examples:
      python -m nanochat_np tokenizer train --data stdlib --vocab-size 4096
      python -m nanochat_np tokenizer eval
      python -m nanochat_np tokenizer encode --text "Once upon a time"
      python -m nanochat_np tokenizer decode --ids 79,110,332
    """

    action: Annotated[
        Literal["train", "eval", "encode", "decode"] | None,
        Meta(description="train, eval, encode or decode", extra={"positional": True}),
    ] = None
    data: Annotated[
        str, Meta(description="train, eval: a built-in text (see train --help), or the path of a UTF-8 file or folder")
    ] = "stdlib"
    max_chars: Annotated[
        int, Meta(ge=1, description="train, eval: read at most so many characters of the text, from its beginning")
    ] = 2_000_000_000
    vocab_size: Annotated[
        int, Meta(ge=265, description="train: tokens, of which 256 are the bytes and 9 are special")
    ] = 4096
    out: Annotated[Folder, Meta(description="train: folder of the result")] = "results/tokenizer"
    tokenizer: Annotated[
        Folder, Meta(description="eval, encode, decode: folder of a tokenizer, or nanochat's tokenizer.pkl")
    ] = "results/tokenizer"
    text: Annotated[str | None, Meta(description="encode: the text")] = None
    file: Annotated[Folder | None, Meta(description="encode: a UTF-8 file with the text")] = None
    ids: Annotated[tuple[Count, ...] | None, Meta(description="decode: token ids, separated by commas")] = None


class DataConfig(Common, frozen=True, kw_only=True):
    """Prepare text as shards for pretraining, download shards, or count what is in data.

    Examples:
      python -m nanochat_np data prepare --data my_texts --out shards
      python -m nanochat_np data download climbmix --shards 8
      python -m nanochat_np data stats shards
    """

    action: Annotated[
        Literal["prepare", "download", "stats"] | None,
        Meta(description="prepare, download or stats", extra={"positional": True}),
    ] = None
    data: Annotated[
        Folder | None,
        Meta(
            description="prepare, stats: a built-in text (see train --help), climbmix or fineweb-edu once downloaded, "
            "or the path of a parquet, JSONL or text file or of a folder of them; download: climbmix, fineweb-edu, or "
            "an address, in whose last part %05d may stand for the number of a shard",
            extra={"positional": True},
        ),
    ] = None
    out: Annotated[
        Folder | None,
        Meta(description="prepare: folder of the shards; download: likewise (default: the cache folder)"),
    ] = None
    text_field: Annotated[
        str, Meta(description="prepare, stats: parquet column or field of JSON objects that has the text")
    ] = "text"
    piece_bytes: Annotated[
        int, Meta(ge=16, description="prepare, stats: cut plain text into documents of at most so many bytes")
    ] = 2000
    shard_characters: Annotated[int, Meta(ge=1, description="prepare: characters a shard")] = 250_000_000
    val_fraction: Annotated[float, Meta(gt=0, lt=1, description="prepare: share of the documents for validation")] = (
        0.05
    )
    val_documents: Annotated[int, Meta(ge=1, description="prepare: documents for validation, at most")] = 20_000
    shards: Annotated[int, Meta(ge=1, description="download: shards to train on, besides the one for validation")] = 8
    workers: Annotated[int, Meta(ge=1, le=64, description="download: files at a time")] = 4
