"""A BPE tokenizer as a file: bpe.json, and beside it tokenizer.json for programs that read Hugging Face's format."""

from pathlib import Path

import msgspec

from nanochat_np.backend.files import replace_file, told_as
from nanochat_np.errors import CheckpointError, DataError
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.huggingface import tokenizer_json
from nanochat_np.text.special import SPECIALS

FORMAT = 1  # of bpe.json; a reader refuses what is newer than itself
NAME, HUGGINGFACE_NAME = "bpe.json", "tokenizer.json"


class _Version(msgspec.Struct):
    format: int


class _File(msgspec.Struct, kw_only=True):
    """The content: each character of a token is one byte (Latin-1); ``fingerprint`` is that of the tokenizer."""

    format: int = FORMAT
    type: str = "byte-level BPE"
    fingerprint: str
    pattern: str
    special_tokens: tuple[str, ...] = SPECIALS
    tokens: tuple[str, ...]


def encoded(tokenizer: BpeTokenizer) -> bytes:
    """The content of bpe.json."""
    tokens = tuple(token.decode("latin-1") for token in tokenizer.tokens)
    content = _File(fingerprint=tokenizer.fingerprint, pattern=tokenizer.pattern, tokens=tokens)
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def save(folder: Path, tokenizer: BpeTokenizer) -> None:
    """Write both files, each whole or not at all.  Raises OSError, and DataError for tokens that are no merges."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / HUGGINGFACE_NAME, tokenizer_json(tokenizer) + b"\n")
    replace_file(folder / NAME, encoded(tokenizer))


def load(path: Path) -> BpeTokenizer:
    """The tokenizer in a folder, or in the file itself.  Raises CheckpointError that names the file and its fault."""
    with told_as(CheckpointError, "cannot read the tokenizer"):
        file = path / NAME if path.is_dir() else path
        content = file.read_bytes()
    try:
        version = msgspec.json.decode(content, type=_Version).format
        if version > FORMAT:
            raise CheckpointError(f"{file}: format {version} is newer than this program's {FORMAT}: update nanochat-np")
        found = msgspec.json.decode(content, type=_File)
        tokenizer = BpeTokenizer(tuple(token.encode("latin-1") for token in found.tokens), found.pattern)
    except (msgspec.DecodeError, UnicodeError, DataError) as error:
        raise CheckpointError(f"{file}: is no tokenizer ({error})") from error
    if found.special_tokens != SPECIALS:
        raise CheckpointError(f"{file}: its special tokens are not this program's: {', '.join(found.special_tokens)}")
    if tokenizer.fingerprint != found.fingerprint:
        raise CheckpointError(f"{file}: damaged, its tokens are not those that were written")
    return tokenizer
