"""Documents from text, JSONL and parquet: what is read, from where on, and what is refused."""

import json
import os
import random
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanochat_np.data import records
from nanochat_np.data.counting import Counts, count
from nanochat_np.data.documents import Memory, Portion
from nanochat_np.data.jsonl import JsonlFile
from nanochat_np.data.parquet import ParquetFile, parquet_writer
from nanochat_np.data.readers import document_files
from nanochat_np.data.text_files import TextFiles, cut
from nanochat_np.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write_bytes(name, data):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return write_bytes


def documents(file):
    return [text for group in file.groups() for text in file.read(group)]


def read(path, **options):
    """All documents of what a path names."""
    return [text for file in document_files(str(path), **options) for text in documents(file)]


def refusal(path, **options):
    with pytest.raises(DataError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def table(path, texts, group=3, column="text", **options):
    """A parquet file as others write them."""
    pq.write_table(pa.table({"id": range(len(texts)), column: texts}), path, row_group_size=group, **options)
    return path


def assert_any_group_may_be_the_first(file):
    groups = list(file.groups())
    assert groups == sorted(set(groups))
    for number, group in enumerate(groups):
        assert list(file.groups(group)) == groups[number:]


# -- plain text


def test_a_line_with_the_separator_ends_a_document(write):
    end = b"<|endoftext|>"
    path = write("a.txt", b"one\n\nmore\n%s\r\ntwo\n%s\n \n%s\n %s\n%s see\n" % (end, end, end, end, end))
    assert read(path) == ["one\n\nmore\n", "two\n", " <|endoftext|>\n<|endoftext|> see\n"]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("one two\nthree four\nfive six\nseven", ["one two\n", "three four\n", "five six\nseven"]),
        ("a" * 16 + "\nb", ["a" * 15, "a\nb"]),  # a line of 17 bytes
        ("a" * 15 + "\nb", ["a" * 15 + "\n", "b"]),
        ("1234567\n1234567\nb", ["1234567\n1234567\n", "b"]),
        ("one two three four five\n", ["one two three ", "four five\n"]),
        ("aaa" + "é" * 8, ["aaa" + "é" * 6, "éé"]),  # of 16 bytes the last is half an é
        ("aa" + "é" * 8, ["aa" + "é" * 6, "éé"]),
    ],
)
def test_long_documents_are_cut_at_lines_then_words_then_characters(write, text, pieces):
    assert cut(text, 16) == pieces
    assert read(write("text.txt", text.encode()), piece_bytes=16) == pieces


blank_separated = st.lists(
    st.one_of(st.text(st.sampled_from("ab é😀\n\r"), max_size=60), st.just("\n<|endoftext|>\n"))
).map("".join)


@settings(max_examples=20)
@given(blank_separated, st.integers(16, 40))
def test_pieces_are_the_text_and_none_is_too_long(text, piece_bytes):
    pieces = cut(text, piece_bytes)
    assert all(len(piece.encode()) <= piece_bytes and piece.strip() for piece in pieces)
    lines = [line for line in text.split("\n") if line.rstrip("\r") != "<|endoftext|>"]
    assert "".join("".join(pieces).split()) == "".join("".join(lines).split())


@settings(max_examples=20)
@given(st.lists(blank_separated, min_size=1, max_size=3), st.integers(1, 3))
def test_text_may_be_read_from_any_group_on(tmp_path_factory, texts, group_documents):
    folder = tmp_path_factory.mktemp("texts")
    paths = [folder / str(number) for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text.encode())
    file = TextFiles("texts", paths, piece_bytes=16)
    file.group_documents = group_documents
    assert_any_group_may_be_the_first(file)
    assert documents(file) == [piece for text in texts for piece in cut(text, 16)]


def test_only_a_mark_at_the_very_beginning_of_a_file_is_dropped(write):
    write("texts/a.txt", b"\xef\xbb\xbfone\n<|endoftext|>\n\xef\xbb\xbftwo")
    path = write("texts/b.txt", b"\xef\xbb\xbfthree").parent
    assert read(path) == ["one\n", "\ufefftwo", "three"]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"\xffone", "not UTF-8 at byte offset 40"),
        (b"o\0ne", "NUL at byte offset 41"),
        (b"\x80" * 40, "not UTF-8 at byte offset 40"),
    ],
)
def test_text_that_is_none_is_named_by_file_and_byte(write, data, named):
    write("texts/a.txt", b"good")
    bad = write("texts/b.txt", b"good " * 8 + data)
    assert f"{bad}: {named}" in refusal(bad.parent, piece_bytes=16)


# -- JSON Lines


def test_jsonl_is_read_line_by_line(write):
    lines = [b"\xef\xbb\xbf" + b'{"text": "one"}', b"", b'{"id": [1, {}], "text": "two\\n\\u00e9 \\u0000"}\r', b"  "]
    assert read(write("a.jsonl", b"\n".join([*lines, b'{"text": ""}']))) == ["one", "two\né \0", ""]


def test_the_field_may_have_another_name(write):
    path = write("a.jsonl", b'{"text": 1, "the content": "yes"}')
    assert read(path, field="the content") == ["yes"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "cut', "malformed"),
        (b"text", "malformed"),
        (b'{"text": "a"} {"text": "b"}', "trailing"),
        (b'["text"]', "Expected `object`, got `array`"),
        (b'{"content": "a"}', "missing required field `text`"),
        (b'{"text": null}', "Expected `str`, got `null`"),
        (b'{"text": "\xff"}', "utf-8"),
        (b'{"text": "\\ud800"}', "truncated"),
        (b'{"a": ' + b"[" * 100_000, "recursion"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(write, line, reason):
    path = write("a.jsonl", b'\n{"text": "a"}\n\n' + line + b"\n")
    message = refusal(path)
    assert message.startswith(f"{path}: line 4: ")
    assert reason in message


@settings(max_examples=20)
@given(st.lists(st.text(max_size=5)), st.integers(1, 3), st.integers(1, 100))
def test_jsonl_may_be_read_from_any_group_on(tmp_path_factory, texts, group_documents, group_bytes):
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    path.write_bytes(b"\n\n".join(json.dumps({"text": text}).encode() for text in texts))
    file = JsonlFile(path, path.name)
    file.group_documents = group_documents
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "GROUP_BYTES", group_bytes)
        assert_any_group_may_be_the_first(file)
        assert documents(file) == texts
        assert all(len(file.read(group)) <= min(group_documents, 1 + group_bytes // 12) for group in file.groups())


# -- parquet


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_parquet_is_read_by_row_groups(tmp_path, kind):
    texts = ["one", "", "three é", "four", "five"]
    path = table(tmp_path / "a.parquet", pa.array(texts, kind), group=2)
    file = ParquetFile(path, "a")
    assert [file.read(group) for group in file.groups()] == [texts[:2], texts[2:4], texts[4:]]
    assert_any_group_may_be_the_first(file)
    assert read(path) == texts


def test_the_column_may_have_another_name(tmp_path):
    path = table(tmp_path / "a.parquet", ["one"], column="content")
    assert read(path, field="content") == ["one"]
    assert refusal(path) == f"{path}: has no column text of strings: it has content"
    assert "has no column id of strings" in refusal(path, field="id")


def test_a_row_without_text_is_named(tmp_path):
    path = table(tmp_path / "a.parquet", ["one", "two", "three", "four", None])
    assert refusal(path) == f"{path}: row group 1: row 1 has no text"


def test_a_table_without_rows_is_refused(tmp_path):
    path = table(tmp_path / "a.parquet", pa.array([], pa.string()))
    assert "a.parquet: has no rows" in refusal(path)


@pytest.mark.parametrize("data", [b"PAR1", b"<html>not found</html>" * 100, b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_what_is_no_parquet_file_is_named(write, data):
    path = write("a.parquet", data)
    assert refusal(path).startswith(f"{path}: cannot be read: ")


def test_a_damaged_row_group_is_named_and_the_others_are_read(write):
    path = write("a.parquet", b"")
    texts = [[f"{group}{row}" * 50 for row in range(8)] for group in range(3)]
    with open(path, "wb") as opened, parquet_writer(opened) as write_group:
        for group in texts:
            write_group(group)
    data = bytearray(path.read_bytes())
    chunk = pq.read_metadata(path).row_group(1).column(0)
    data[chunk.data_page_offset + chunk.total_compressed_size - 1] ^= 1
    path.write_bytes(data)
    file = ParquetFile(path, "a")
    assert [file.read(0), file.read(2)] == [texts[0], texts[2]]
    assert refusal(path).startswith(f"{path}: row group 1: cannot be read: ")


def test_a_byte_changed_anywhere_is_refused_or_harmless(write):
    path = write("a.parquet", b"")
    with open(path, "wb") as opened, parquet_writer(opened) as write_group:
        write_group([f"row {row} " * 9 for row in range(8)])
    good, whole = read(path), path.read_bytes()
    header = [(place, bit) for place in range(4, 24) for bit in range(8)]  # of the page: no checksum covers it
    draw, refused = random.Random(0), 0
    for place, bit in [*header, *((draw.randrange(len(whole)), draw.randrange(8)) for _ in range(100))]:
        data = bytearray(whole)
        data[place] ^= 1 << bit
        path.write_bytes(data)
        try:
            assert read(path) == good
        except DataError:
            refused += 1
    assert refused > 50


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    path = table(tmp_path / "a.parquet", ["one"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'nanochat-np[data]'" in refusal(path)


# -- what a path names


def test_a_folder_is_read_as_the_first_kind_that_it_has(write, tmp_path):
    write("README.md", b"text")
    assert read(tmp_path) == ["text"]
    write("b/1.jsonl", b'{"text": "of b"}')
    write("a.JSONL", b'{"text": "of a"}')
    write(".hidden.jsonl", b"{")
    assert [file.name for file in document_files(str(tmp_path))] == ["a.JSONL", "b/1.jsonl"]
    assert read(tmp_path) == ["of a", "of b"]
    table(tmp_path / "z.parquet", ["of z"])
    assert read(tmp_path) == ["of z"]


def test_a_file_of_any_other_name_is_text(write):
    assert read(write("NOTES", b"some")) == ["some"]


def test_built_in_texts_are_cut_like_files():
    (file,) = document_files("stories:5000", piece_bytes=300)
    assert max(len(text) for text in documents(file)) <= 300
    assert sum(len(text) for text in documents(file)) == 5000


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.txt", "folder/a.txt"])
def test_an_empty_file_is_refused(write, name):
    path = write(name, b"")
    assert "is empty" in refusal(path.parent if "/" in name else path)


def test_what_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("NANOCHAT_NP_DATA", str(tmp_path))
    assert "no such file or folder" in refusal(tmp_path / "nothing")
    assert "did you mean stories?" in refusal("storys")
    assert "no data in this folder" in refusal(tmp_path)
    assert f"{tmp_path}/climbmix: run python -m nanochat_np data download climbmix" in refusal("climbmix")
    (tmp_path / "climbmix").mkdir()
    table(tmp_path / "climbmix" / "a.parquet", ["one"])
    assert read("climbmix") == ["one"]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    assert "is not a regular file" in refusal(tmp_path / "pipe.txt")


def test_a_file_that_vanishes_is_named(write):
    for name in ("a.txt", "a.jsonl"):
        path = write(name, b'{"text": "a"}')
        (file,) = document_files(str(path))
        path.unlink()
        with pytest.raises(DataError, match=rf"{path}: cannot be read: No such file"):
            documents(file)


# -- portions and counts


@given(st.lists(st.integers(0, 100), min_size=1), st.integers(1, 45))
def test_each_document_is_in_one_of_the_two_portions(numbers, group_documents):
    file = Memory("numbers", [str(number) for number in numbers], group_documents)
    assert_any_group_may_be_the_first(file)
    train, validation = Portion(file, validation=False), Portion(file, validation=True)
    for group in file.groups():
        held_out = validation.read(group)
        assert held_out == file.read(group)[::20]
        assert sorted(train.read(group) + held_out) == sorted(file.read(group))
    assert list(train.groups()) == list(validation.groups()) == list(file.groups())


def test_counts_are_of_characters_and_bytes():
    counts = count(Memory("some", ["é" * n for n in range(1, 101)], group_documents=7))
    assert (counts.documents, counts.characters, counts.bytes) == (100, 5050, 10100)
    assert counts.percentiles() == {1: 1, 10: 10, 25: 25, 50: 50, 75: 75, 90: 90, 99: 99, 100: 100}
    more = Counts()
    more.add(["", "abc"])
    assert more.percentiles() == {1: 0, 10: 0, 25: 0, 50: 0, 75: 3, 90: 3, 99: 3, 100: 3}
    more.include(counts)
    assert (more.documents, more.characters, more.bytes) == (102, 5053, 10103)
