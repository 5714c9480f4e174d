"""A corpus by name or path: the documents of ``--data``."""

import difflib
import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nanochat_np.data.files import read_path
from nanochat_np.data.shakespeare import shakespeare
from nanochat_np.data.stdlib_docs import stdlib_docs
from nanochat_np.data.stories import DEFAULT_CHARACTERS, stories
from nanochat_np.errors import ConfigError, DataError

BUILTINS = ("pydocs", "stdlib", "stories", "shakespeare")


@dataclass(frozen=True)
class Corpus:
    """``documents``, none empty and none with a NUL character, under the ``name`` that the user gave."""

    name: str
    documents: tuple[str, ...]

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the UTF-8 bytes of the documents with a NUL byte between two.

        No document has a NUL, so the separation is unambiguous; one document has the digest of its plain bytes,
        what ``sha256sum FILE`` prints.
        """
        return hashlib.sha256("\0".join(self.documents).encode()).hexdigest()


def load_corpus(spec: str) -> Corpus:
    """The corpus that ``spec`` names.

    - ``pydocs``: the topics of the interpreter's own documentation, so they differ between Python versions;
    - ``stdlib``: the same topics and the docstrings of the standard library, together over 2 MB;
    - ``stories`` or ``stories:CHARACTERS``: generated children's stories;
    - ``shakespeare``: the tiny Shakespeare file, downloaded once;
    - else the path of a UTF-8 file, which is one document, or of a folder, in which each text file is one.

    A name above wins over a file that is called so (``./stories`` is always the file). Raises ConfigError for a
    CHARACTERS that is no number above 0, DataError for all else that cannot be read.
    """
    return Corpus(spec, _documents(spec))


def _documents(spec: str) -> tuple[str, ...]:
    if spec == "pydocs":
        return _pydocs()
    if spec == "stdlib":
        return (*_pydocs(), *stdlib_docs())
    if spec == "shakespeare":
        return (shakespeare(),)
    if spec == "stories":
        return stories(DEFAULT_CHARACTERS)
    if spec.startswith("stories:"):
        return stories(_characters(spec))
    if not spec:
        raise DataError(_nothing_called(spec))
    try:
        return read_path(Path(os.path.expanduser(spec)))
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(_nothing_called(spec)) from None
    except OSError as error:
        raise DataError(f"{error.filename or spec}: cannot be read: {error.strerror}") from None


def _pydocs() -> tuple[str, ...]:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError("pydocs: this Python comes without its documentation topics: use --data stories") from None
    return tuple(topics[name] for name in sorted(topics))


def _characters(spec: str) -> int:
    digits = spec.removeprefix("stories:")
    # Nine digits: no machine needs a longer story, and an absurd number fails here rather than after an hour.
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 9 and int(digits) > 0):
        raise ConfigError(f"--data {spec}: after stories: comes how many characters, from 1 to 999999999")
    return int(digits)


def _nothing_called(spec: str) -> str:
    near = difflib.get_close_matches(spec.partition(":")[0].lower(), BUILTINS, n=1)
    suggestion = f"did you mean {near[0]}? " if near else ""
    return (
        f"--data {spec!r}: no such file or folder, nor a built-in corpus: {suggestion}"
        f"built in are {', '.join(BUILTINS)} and stories:CHARACTERS"
    )
