"""Rows of a benchmark's files: JSON Lines, plain or gzipped, and parquet; a bad one is named by file and line."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nanochat_np.data import parquet
from nanochat_np.data.files import readable
from nanochat_np.errors import DataError

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
Row = TypeVar("Row")


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """The rows of a file as records, which may have more columns than ``kind`` says.

    Raises DataError that names the file, the line (the row, of parquet) and what is wrong with it; and for a file
    without rows.
    """
    rows = _parquet(path, kind) if path.name.lower().endswith(".parquet") else _lines(path, kind)
    if not rows:
        raise DataError(f"{path}: has no rows: download it again")
    return rows


def find_rows(folder: Path, name: str) -> list[Path]:
    """The files of a benchmark in ``folder``.

    They are one file NAME or NAME_test with one of SUFFIXES, or those in a folder NAME, of which those that begin with
    "test" win: so the Hub lays them out.  Upper case and hyphens in place of underscores are as good.  Raises DataError
    where there is none, with what to download.
    """
    wanted = (name, f"{name}_test")
    with readable(folder):
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in entries:
        if path.is_file() and _stem(path) in wanted:
            return [path]
    for path in entries:
        if path.is_dir() and _plain(path.name) == name:
            files = [file for file in sorted(path.rglob("*")) if _stem(file) is not None]
            found = [file for file in files if file.name.lower().startswith("test")] or files
            if found:
                return found
    raise DataError(f"{folder}: has no {name}.jsonl, {name}.jsonl.gz or {name}.parquet: download {SOURCES[name]}")


SOURCES = {
    "arc_easy": "the test split of ARC-Easy, allenai/ai2_arc on the Hugging Face Hub",
    "arc_challenge": "the test split of ARC-Challenge, allenai/ai2_arc on the Hugging Face Hub",
    "mmlu": "the test split of all, cais/mmlu on the Hugging Face Hub",
    "gsm8k": "the test split of main, openai/gsm8k on the Hugging Face Hub",
    "humaneval": "the test split of openai/openai_humaneval on the Hugging Face Hub, or HumanEval.jsonl.gz",
}


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _stem(path: Path) -> str | None:
    """The name without its suffix, None where it has another one."""
    name = _plain(path.name)
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), None)


def _lines(path: Path, kind: type[Row]) -> list[Row]:
    decoder = msgspec.json.Decoder(kind)
    rows = []
    for number, line in enumerate(_opened(path), 1):
        if not line.strip():
            continue
        try:
            rows.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DataError(f"{path}: line {number}: {_reason(error)}: mend or remove this line") from None
    return rows


def _opened(path: Path) -> Iterator[bytes]:
    with readable(path):
        try:
            with gzip.open(path) if path.name.lower().endswith(".gz") else open(path, "rb") as file:
                yield from file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path}: cannot be unpacked ({error}): download it again") from None


def _parquet(path: Path, kind: type[Row]) -> list[Row]:
    rows = []
    for number, row in enumerate(parquet.rows(path), 1):
        try:
            rows.append(msgspec.convert(row, kind))
        except msgspec.ValidationError as error:
            raise DataError(f"{path}: row {number}: {_reason(error)}: download the file again") from None
    return rows


def _reason(error: Any) -> str:
    return str(error).replace(" - at `$`", "")
