"""Shards as written, and which of them is for validation."""

import json
import os

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanochat_np.data.parquet import parquet_writer
from nanochat_np.data.shards import write_shards
from nanochat_np.data.split import open_split, read_split
from nanochat_np.errors import DataError


def shards(texts, folder, **changes):
    options = {"shard_characters": 30, "val_fraction": 0.05, "val_documents": 100, "group_documents": 4}
    return write_shards(texts, folder, **(options | changes))


def column(path):
    return pq.read_table(path).column("text").to_pylist()


def numbered(n):
    return [f"{number:03}" for number in range(n)]


def documents(files):
    return [text for file in files for group in file.groups() for text in file.read(group)]


# -- the format


def test_the_format_is_that_of_upstream(tmp_path):
    shards(numbered(2500), tmp_path / "out", shard_characters=10**9, val_documents=10**6, group_documents=1024)
    path = tmp_path / "out" / "shard_00000.parquet"
    file = pq.ParquetFile(path)
    assert [(field.name, str(field.type)) for field in file.schema_arrow] == [("text", "string")]
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    assert [group.num_rows for group in groups] == [1024, 1024, 2500 - 125 - 2048]
    for group in groups:
        text = group.column(0)
        assert text.compression == "ZSTD"
        assert not text.is_stats_set
        assert not text.has_dictionary_page
        assert set(text.encodings) <= {"PLAIN", "RLE"}
    assert column(path) == [text for i, text in enumerate(numbered(2500)) if i % 20]
    options = {"use_dictionary": False, "write_statistics": False, "write_page_checksum": True}
    pq.write_table(file.read(), tmp_path / "peer", 1024, compression="zstd", compression_level=3, **options)
    peer = pq.read_metadata(tmp_path / "peer").row_group(0).column(0)
    assert groups[0].column(0).total_compressed_size == peer.total_compressed_size


def test_a_shard_ends_with_the_row_group_that_has_the_characters(tmp_path):
    """40 documents to train on: 12 characters a row group."""
    written = shards(numbered(43), tmp_path / "out", shard_characters=36)
    names = ["shard_00000.parquet", "shard_00001.parquet", "shard_00002.parquet", "shard_00003.parquet"]
    assert sorted(os.listdir(tmp_path / "out")) == [*names, "split.json", "validation.parquet"]
    assert [len(column(tmp_path / "out" / name)) for name in names] == [12, 12, 12, 4]
    assert vars(written) == {
        "shards": 4,
        "train_documents": 40,
        "train_characters": 120,
        "val_documents": 3,
        "val_characters": 9,
    }
    assert column(tmp_path / "out" / "validation.parquet") == ["000", "020", "040"]


@settings(max_examples=10)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=2, max_size=40),
    st.integers(1, 40),
    st.floats(0.01, 0.5),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_every_document_is_in_one_part_in_its_order(tmp_path_factory, texts, characters, fraction, most, group):
    texts = [f"{number:02} {text}" for number, text in enumerate(texts)]
    folder = tmp_path_factory.mktemp("shards") / "out"
    written = shards(
        texts, folder, shard_characters=characters, val_fraction=fraction, val_documents=most, group_documents=group
    )
    split = open_split(str(folder))
    train, validation = documents(split.train), documents(split.validation)
    assert train == sorted(train)
    assert validation == sorted(validation)
    assert sorted(train + validation) == texts
    assert len(split.train) == written.shards
    assert (len(train), len(validation)) == (written.train_documents, written.val_documents)
    assert 1 <= len(validation) <= min(most, len(texts) * fraction + 1)


# -- whole or not there


def test_one_document_is_too_few(tmp_path):
    for texts in ([], ["one"]):
        with pytest.raises(DataError, match=f"{len(texts)} documents: one is needed to train on and one to validate"):
            shards(texts, tmp_path / "out")
        assert not list(tmp_path.iterdir())


def test_what_is_cut_short_leaves_nothing(tmp_path):
    def failing():
        yield from numbered(30)
        assert list(tmp_path.glob(".out.*/shard_00000.parquet"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shards(failing(), tmp_path / "out")
    assert not list(tmp_path.iterdir())


# -- which shard is for validation


@pytest.fixture
def write(tmp_path):
    def write_texts(name, texts):
        with open(tmp_path / name, "wb") as file, parquet_writer(file) as write_group:
            write_group(texts)

    return write_texts


def names(split):
    return [file.name for file in split.train], [file.name for file in split.validation]


def test_without_a_record_it_is_the_last_by_name_for_ever(write, tmp_path):
    for name in ("b.parquet", "a.parquet", "c.parquet"):
        write(name, [name])
    first = (["a.parquet", "b.parquet"], ["c.parquet"])
    assert names(open_split(str(tmp_path))) == first
    assert read_split(tmp_path) == "c.parquet"
    write("d.parquet", ["d"])
    assert names(open_split(str(tmp_path))) == (["a.parquet", "b.parquet", "d.parquet"], ["c.parquet"])


def test_jsonl_shards_are_split_likewise(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(json.dumps({"text": name}))
    assert names(open_split(str(tmp_path))) == (["a.jsonl"], ["b.jsonl"])
    assert read_split(tmp_path) == "b.jsonl"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_split_and_left_alone(write, tmp_path):
    for name in ("a.parquet", "b.parquet"):
        write(name, [name])
    tmp_path.chmod(0o500)
    assert names(open_split(str(tmp_path))) == (["a.parquet"], ["b.parquet"])
    assert read_split(tmp_path) is None


def test_other_errors_of_the_record_are_not_hidden(write, tmp_path, monkeypatch):
    for name in ("a.parquet", "b.parquet"):
        write(name, [name])

    def failing(*args):
        raise OSError(number, "said the system")

    monkeypatch.setattr(os, "fsync", failing)
    number = 28
    with pytest.raises(OSError, match="said the system"):
        open_split(str(tmp_path))
    number = 30  # read-only
    assert names(open_split(str(tmp_path))) == (["a.parquet"], ["b.parquet"])
    assert sorted(os.listdir(tmp_path)) == ["a.parquet", "b.parquet"]


def test_a_validation_shard_that_is_missing_is_not_replaced_by_another(write, tmp_path):
    write("a.parquet", ["a"])
    write("b.parquet", ["b"])
    (tmp_path / "split.json").write_text('{"validation": "z.parquet"}')
    with pytest.raises(DataError, match=r"z\.parquet: the validation shard is not there"):
        open_split(str(tmp_path))


def test_the_validation_shard_alone_is_nothing_to_train_on(write, tmp_path):
    write("a.parquet", ["a"])
    (tmp_path / "split.json").write_text('{"validation": "a.parquet"}')
    with pytest.raises(DataError, match=r"has the validation shard a\.parquet only"):
        open_split(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "damaged"),
        ("\xff", "damaged"),
        ('{"name": "a"}', "damaged"),
        ('{"validation": "a", "format": 2}', "newer"),
    ],
)
def test_a_record_that_cannot_be_read_is_named(write, tmp_path, content, message):
    write("a.parquet", ["a"])
    (tmp_path / "split.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=rf"split\.json: .*{message}"):
        open_split(str(tmp_path))


@pytest.mark.parametrize("as_folder", [False, True])
def test_of_a_single_file_every_20th_document_is_for_validation(write, tmp_path, as_folder):
    write("a.parquet", numbered(41))
    split = open_split(str(tmp_path if as_folder else tmp_path / "a.parquet"))
    assert documents(split.validation) == ["000", "020", "040"]
    assert documents(split.train) == [text for i, text in enumerate(numbered(41)) if i % 20]
    assert read_split(tmp_path) is None


def test_of_text_too(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"{number}\n<|endoftext|>\n" * 10)
    split = open_split(str(tmp_path))
    assert documents(split.validation) == ["0\n", "2\n"]
    assert len(documents(split.train)) == 28
    assert documents(open_split("stories:9000").validation)
