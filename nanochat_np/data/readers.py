"""From what the user names to files of documents."""

import os
from pathlib import Path

from nanochat_np.data.corpus import BUILTINS, load_corpus
from nanochat_np.data.documents import DocumentFile, Memory
from nanochat_np.data.files import TEXT_SUFFIXES, files_below
from nanochat_np.data.hosted import HOSTED
from nanochat_np.data.jsonl import JsonlFile
from nanochat_np.data.parquet import ParquetFile
from nanochat_np.data.shakespeare import cache_folder
from nanochat_np.data.text_files import PIECE_BYTES, TextFiles, cut
from nanochat_np.errors import DataError

SUFFIXES = (".parquet", ".jsonl", *TEXT_SUFFIXES)


def location(spec: str) -> Path:
    """The path that ``spec`` names: that of a hosted dataset is its folder in the cache."""
    return cache_folder() / spec if spec in HOSTED else Path(os.path.expanduser(spec))


def document_files(spec: str, field: str = "text", piece_bytes: int = PIECE_BYTES) -> list[DocumentFile]:
    """The files of documents of a built-in corpus (see ``load_corpus``), a hosted dataset, a file or a folder.

    A folder, with those below it but for hidden ones, is read as what it has of parquet, JSONL and text, the first of
    these; parquet and JSONL files come in the order of their names, and all the text is one file. ``field`` is the
    name of the parquet column or of the field of each JSON object. Text is cut into documents (see `TextFiles`).

    Raises DataError for what is not there, cannot be read or has nothing in it.
    """
    path = location(spec)
    if spec in HOSTED and not path.exists():
        raise DataError(f"--data {spec}: is not in {path}: run python -m nanochat_np data download {spec}")
    if spec in BUILTINS or spec.startswith("stories:") or not path.exists():
        texts = load_corpus(spec).documents
        return [Memory(spec, [piece for text in texts for piece in cut(text, piece_bytes)])]
    try:
        files = _in_folder(path, field, piece_bytes) if path.is_dir() else [_file(path, path.name, field, piece_bytes)]
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read: {error.strerror}") from None
    for file in files:
        if file.size == 0:
            raise DataError(f"{path / file.name if path.is_dir() else path}: is empty: remove it, or put text in it")
    return files


def _in_folder(folder: Path, field: str, piece_bytes: int) -> list[DocumentFile]:
    for suffix in (".parquet", ".jsonl"):
        paths = files_below(folder, (suffix,))
        if paths:
            return [_file(path, path.relative_to(folder).as_posix(), field, piece_bytes) for path in paths]
    texts = files_below(folder, TEXT_SUFFIXES)
    if not texts:
        raise DataError(f"{folder}: no data in this folder: it needs a file that ends in {', '.join(SUFFIXES)}")
    return [TextFiles(folder.name, texts, piece_bytes)]


def _file(path: Path, name: str, field: str, piece_bytes: int) -> DocumentFile:
    """The reader of a file, by the end of its name; what has another is text."""
    if not path.is_file():
        raise DataError(f"{path}: is not a regular file: give a file or a folder of files")
    match path.suffix.lower():
        case ".parquet":
            return ParquetFile(path, name, field)
        case ".jsonl":
            return JsonlFile(path, name, field)
    return TextFiles(name, [path], piece_bytes)
