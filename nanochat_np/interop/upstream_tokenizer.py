"""tokenizer.pkl of karpathy/nanochat: a pickle of tiktoken's encoder."""

from pathlib import Path

import msgspec

from nanochat_np.backend.files import told_as, write_synced
from nanochat_np.errors import CheckpointError, DataError
from nanochat_np.interop.huggingface_tokenizer import read_huggingface_tokenizer
from nanochat_np.interop.pickle_writer import Global, Instance, pickled
from nanochat_np.interop.restricted_pickle import RestrictedPickle
from nanochat_np.interop.torch_writer import write_torch_file
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.special import SPECIALS

NAME, SIZES_NAME = "tokenizer.pkl", "token_bytes.pt"
_ENCODING = ("tiktoken.core", "Encoding")


class _State(msgspec.Struct):
    """What an encoder is pickled as."""

    pat_str: str
    mergeable_ranks: dict[bytes, int]
    special_tokens: dict[str, int]


class _Encoding:
    """Stands for the encoder while it is read."""

    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


_READER = RestrictedPickle({_ENCODING: _Encoding})


def open_tokenizer(path: Path) -> BpeTokenizer:
    """The tokenizer at ``path``: a folder or file of ours, nanochat's ``tokenizer.pkl`` or Hugging Face's ``.json``.

    Raises CheckpointError.
    """
    if path.is_dir():
        names = (bpe_file.NAME, NAME, bpe_file.HUGGINGFACE_NAME)
        found = [path / name for name in names if (path / name).exists()]
        if not found:
            raise CheckpointError(f"{path}: holds no tokenizer, which would be {', '.join(names)}")
        path = found[0]
    if path.suffix == ".pkl":
        return read_upstream_tokenizer(path)
    return read_huggingface_tokenizer(path) if path.name == bpe_file.HUGGINGFACE_NAME else bpe_file.load(path)


def read_upstream_tokenizer(path: Path) -> BpeTokenizer:
    """The tokenizer in ``tokenizer.pkl``, with the same ids; nothing of the pickle is run.

    Raises CheckpointError for a file that is damaged, asks for anything but tiktoken's encoder, or has other special
    tokens than nanochat's.
    """
    with told_as(CheckpointError, "cannot read the tokenizer"):
        content = path.read_bytes()
    encoding = _READER.load(content, str(path))
    try:
        state = msgspec.convert(getattr(encoding, "state", None), _State)
        tokenizer = BpeTokenizer(tuple(_in_order(state.mergeable_ranks)), state.pat_str)
        tokenizer.encode("")  # makes its encoder, which checks the pattern
    except (msgspec.ValidationError, DataError, ValueError) as error:
        raise CheckpointError(f"{path}: holds no encoder of nanochat ({error})") from error
    if state.special_tokens != tokenizer.special_ids:
        raise CheckpointError(f"{path}: its special tokens are not {', '.join(SPECIALS)} after the other tokens")
    return tokenizer


def _in_order(ranks: dict[bytes, int]) -> list[bytes]:
    tokens = sorted(ranks, key=lambda token: ranks[token])
    if [ranks[token] for token in tokens] != list(range(len(tokens))):
        raise DataError("the ids of its tokens are not 0, 1, 2, ...")
    return tokens


def write_upstream_tokenizer(folder: Path, tokenizer: BpeTokenizer) -> None:
    """Write ``tokenizer.pkl`` and ``token_bytes.pt``, how many bytes of text each token stands for.  Raises OSError."""
    state = {
        "name": "rustbpe",
        "pat_str": tokenizer.pattern,
        "mergeable_ranks": {token: rank for rank, token in enumerate(tokenizer.tokens)},
        "special_tokens": tokenizer.special_ids,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_synced(folder / NAME, pickled(Instance(Global(*_ENCODING), state)))
    write_torch_file(folder / SIZES_NAME, tokenizer.token_bytes())
