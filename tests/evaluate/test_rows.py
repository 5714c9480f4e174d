"""Files of benchmarks: found by name, read by line, faults named."""

import gzip
import json

import msgspec
import pytest

from nanochat_np.errors import DataError
from nanochat_np.evaluate.rows import find_rows, read_rows


class Row(msgspec.Struct):
    word: str
    number: int


ROWS = [{"word": "é", "number": 1, "more": None}, {"word": "b", "number": 2}]
EXPECTED = [Row("é", 1), Row("b", 2)]


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_plain_and_gzipped_lines(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines(*ROWS) + b"\n")
    (tmp_path / "a.JSONL.gz").write_bytes(gzip.compress(lines(*ROWS)))
    assert read_rows(tmp_path / "a.jsonl", Row) == read_rows(tmp_path / "a.JSONL.gz", Row) == EXPECTED


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet", Row) == EXPECTED
    parquet.write_table(pyarrow.Table.from_pylist([*ROWS, {"word": "c"}]), tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=r"bad\.parquet: row 3: Expected `int`, got `null`"):
        read_rows(tmp_path / "bad.parquet", Row)
    (tmp_path / "no.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"no\.parquet: cannot be read"):
        read_rows(tmp_path / "no.parquet", Row)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{", "Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"word": "x"}', "missing required field `number`"),
        (b'{"word": 1, "number": 1}', r"Expected `str`, got `int` - at `\$.word`"),
        (b'{"word": "\xff", "number": 1}', "Invalid UTF-8|can't decode"),
    ],
)
def test_a_bad_line_is_named(tmp_path, bad, reason):
    (tmp_path / "a.jsonl").write_bytes(lines(*ROWS) + b"\n" + bad + b"\n")
    with pytest.raises(DataError, match=rf"a\.jsonl: line 4: .*({reason})"):
        read_rows(tmp_path / "a.jsonl", Row)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl", b"\n", "has no rows"),
        ("a.jsonl.gz", b"not gzip", "cannot be unpacked"),
        ("a.jsonl.gz", gzip.compress(lines(*ROWS), mtime=0)[:-9], "cannot be unpacked"),
        ("missing.jsonl", None, "cannot be read: No such file"),
    ],
)
def test_a_bad_file_is_named(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: {reason}"):
        read_rows(tmp_path / name, Row)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["gsm8k.jsonl", "mmlu.jsonl"], ["gsm8k.jsonl"]),
        (["GSM8K.jsonl.gz"], ["GSM8K.jsonl.gz"]),
        (["gsm8k_test.parquet", "gsm8k_train.parquet"], ["gsm8k_test.parquet"]),
        (["gsm8k/main/test-0.parquet", "gsm8k/main/train-0.parquet"], ["gsm8k/main/test-0.parquet"]),
        (["gsm8k/b.jsonl", "gsm8k/a.jsonl", "gsm8k/readme.md"], ["gsm8k/a.jsonl", "gsm8k/b.jsonl"]),
    ],
)
def test_files_are_found(tmp_path, files, found):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in find_rows(tmp_path, "gsm8k")] == found


def test_what_to_download(tmp_path):
    (tmp_path / "gsm8k_train.jsonl").touch()
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=r"has no gsm8k\.jsonl.*: download the test split of main, openai/gsm8k"):
            find_rows(folder, "gsm8k")
