import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.data.dataset import load_dataset, require_window, split_point
from nanochat_np.data.futuristic import TEXT
from nanochat_np.errors import DataError
from nanochat_np.text.character import BOS


@pytest.fixture
def book(tmp_path, monkeypatch):
    """Write files of a folder called ``book``."""
    monkeypatch.chdir(tmp_path)

    def write(**texts):
        (tmp_path / "book").mkdir(exist_ok=True)
        for name, text in texts.items():
            (tmp_path / "book" / f"{name}.txt").write_text(text)
        return "book"

    return write


def test_every_document_begins_with_bos_and_the_tail_is_for_validation(book):
    dataset = load_dataset(book(a="abcab", b="ba"), "classic", 0.25)
    # 9 tokens: BOS abcab BOS ba; 2.25 of them, so 2, are for validation.
    np.testing.assert_array_equal(dataset.train, [BOS, 1, 2, 3, 1, 2, BOS])
    np.testing.assert_array_equal(dataset.val, [2, 1])
    assert dataset.name == "book"
    assert dataset.tokenizer.characters == "abc"
    np.testing.assert_array_equal(dataset.byte_lengths, [0, 1, 1, 1])


def test_arrays_are_int32_and_cannot_be_written(book):
    dataset = load_dataset(book(a="hello world"), "classic", 0.5)
    assert dataset.train.dtype == dataset.val.dtype == np.int32
    assert dataset.val.base is None, "validation must not keep the whole stream alive"
    for array in (dataset.train, dataset.val, dataset.byte_lengths):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@given(st.integers(2, 10**9), st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_split_point(n, val_fraction):
    val_length = n - split_point(n, val_fraction)
    assert 1 <= val_length <= n - 1
    assert val_length in (1, n - 1) or abs(val_length - n * val_fraction) <= 0.5


@pytest.mark.parametrize(
    ("n", "val_fraction", "expected"),
    [(10, 0.25, 7), (10, 0.24, 8), (6, 0.25, 4), (100, 0.1, 90), (2, 1e-9, 1), (2, 0.999, 1), (50, 0.999, 1)],
)
def test_split_point_rounds_halves_up_and_leaves_something_on_both_sides(n, val_fraction, expected):
    assert split_point(n, val_fraction) == expected


def test_futuristic_adds_to_training_alone(book):
    data = book(a="Once upon a time, é.", b="The end of it is near.")
    classic, futuristic = (load_dataset(data, style, 0.2) for style in ("classic", "futuristic"))
    decode = futuristic.tokenizer.decode
    assert decode(futuristic.val) == classic.tokenizer.decode(classic.val)
    assert decode(futuristic.train) == classic.tokenizer.decode(classic.train) + TEXT
    np.testing.assert_array_equal(np.flatnonzero(futuristic.val == BOS), np.flatnonzero(classic.val == BOS))
    assert futuristic.train[classic.train.size] == BOS
    assert set(futuristic.tokenizer.characters) == set(classic.tokenizer.characters) | set(TEXT)
    assert futuristic.byte_lengths.size == futuristic.tokenizer.vocab_size


def test_the_digest_covers_text_and_style_but_not_the_split(book):
    data = book(a="some text")
    first = {(style, f): load_dataset(data, style, f).sha256 for style in ("classic", "futuristic") for f in (0.3, 0.5)}
    assert first["classic", 0.3] == first["classic", 0.5]
    assert first["futuristic", 0.3] == first["futuristic", 0.5]
    book(a="some test")
    assert len({*first.values(), *(load_dataset(data, s, 0.5).sha256 for s in ("classic", "futuristic"))}) == 4


@pytest.mark.parametrize("style", ["classic", "futuristic"])
def test_one_character_is_nothing_to_learn(book, style):
    with pytest.raises(DataError, match="book: has only the character 'a': there is nothing to learn"):
        load_dataset(book(a="aaaa", b="aa"), style, 0.5)


@pytest.mark.parametrize(
    ("text", "val_fraction", "part"),
    [("ab", 0.1, "validation needs 2 tokens and has 1"), ("abcdef", 0.99, "training needs 2 tokens and has 1")],
)
def test_a_side_without_a_pair_is_an_error_about_the_split(book, text, val_fraction, part):
    with pytest.raises(DataError, match=f"book: {part}: use a (larger|smaller) --val-fraction or more text"):
        load_dataset(book(a=text), "classic", val_fraction)


def test_a_window_must_fit_the_training_tokens(book):
    dataset = load_dataset(book(a="abcdefghi"), "classic", 0.2)
    assert dataset.train.size == 8
    require_window(dataset, 7)
    with pytest.raises(DataError, match="training needs 9 tokens and has 8: use a smaller --block-size or more text"):
        require_window(dataset, 8)


def test_bytes_of_the_validation_text(book):
    dataset = load_dataset(book(a="x" * 40 + "é😀"), "classic", math.nextafter(2 / 43, 1))
    assert dataset.byte_lengths[dataset.val].sum() == len("é😀".encode())
