"""Packing against a plain oracle and by hand; positions; the thread that works ahead."""

import itertools
import json
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.data.documents import Memory
from nanochat_np.data.jsonl import JsonlFile
from nanochat_np.data.loader import packed_batches
from nanochat_np.data.prefetch import prefetched
from nanochat_np.errors import CheckpointError, DataError


class Bytes:
    """A token a byte; BOS is 256."""

    bos = 256

    def encode_batch(self, texts):
        return [list(text.encode()) for text in texts]


TOKENIZER = Bytes()


def memory(*groups, name="memory"):
    """A file of groups of one size, but for the last."""
    return Memory(name, [text for group in groups for text in group], group_documents=max(map(len, groups)))


def take(batches, n):
    return list(itertools.islice(batches, n))


def rows_of(batches):
    """The rows, from inputs and the last target; what both hold must agree."""
    for batch in batches:
        np.testing.assert_array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    return np.concatenate([np.hstack([batch.inputs, batch.targets[:, -1:]]) for batch in batches]).tolist()


def texts_of(row):
    """The row as the documents it is made of."""
    return bytes(token if token < 256 else ord("|") for token in row).decode()


# -- by hand


def test_rows_by_hand():
    """Which documents wait, by their lengths with BOS, and which is taken, at every placement.

    row 1, room 8: 5 3 9 3      takes 5
           room 3: 3 9 3 2 9    takes the first 3, after the list 2 9 has come
    row 2, room 8: 9 3 2 9      takes 3
           room 5: 9 2 9 5 3    takes 5 of the second epoch
    row 3, room 8: 9 2 9 3      takes 3
           room 5: 9 2 9 9 3    takes 3
           room 2: 9 2 9 9      takes 2
    row 4, room 8: 9 9 9 2 9    takes 2 of the second epoch
           room 6: 9 9 9 9      nothing fits: 6 tokens of the first
    """
    documents = ["abcd", "ab", "stuvwxyz", "no", "a", "klmnopqr"]
    batches = packed_batches([memory(documents)], TOKENIZER, 1, 7, waiting_documents=4, list_documents=2)
    rows = [texts_of(row) for row in rows_of(take(batches, 4))]
    assert rows == ["|abcd|ab", "|no|abcd", "|ab|no|a", "|a|stuvw"]


def test_the_shortest_is_cropped_where_none_fits_and_its_rest_is_lost():
    documents = ["abcdefgh", "ijklmn", "opqrst", "uvwxyz.."]  # 9 7 7 9
    batches = packed_batches(
        [memory(documents)], TOKENIZER, batch_size=2, sequence_length=4, waiting_documents=1, list_documents=4
    )
    first, second = take(batches, 2)
    assert [texts_of(row) for row in rows_of([first])] == ["|ijkl", "|opqr"]
    assert [texts_of(row) for row in rows_of([second])] == ["|abcd", "|uvwx"]


def test_a_row_is_filled_to_the_last_token_and_bos_is_a_target():
    batches = packed_batches([memory(["ab", "c"])], TOKENIZER, 1, 4, waiting_documents=2, list_documents=2)
    batch = next(batches)
    assert batch.inputs.tolist() == [[256, 97, 98, 256]]
    assert batch.targets.tolist() == [[97, 98, 256, 99]]


def test_a_thousand_documents_wait_before_every_placement_and_come_in_lists_of_128():
    """Each document fills a row, so that every row is one placement."""
    files = [Memory("memory", ["abc"] * 4000)]

    def place_after(placements):
        return next(packed_batches(files, TOKENIZER, batch_size=placements, sequence_length=3)).position.place

    assert place_after(1) == (1, 0, 0, 896)  # 8 · 128 = 1024
    assert place_after(25) == (1, 0, 0, 896)  # 1000 wait before the 25th
    assert place_after(26) == (1, 0, 1, 0)


# -- against an oracle

groups = st.lists(st.lists(st.text("abc", max_size=12), min_size=1, max_size=5), min_size=1, max_size=4)
corpora = st.lists(groups, min_size=1, max_size=3)


class Oracle:
    """The loader as its rules say it, with no thought for speed."""

    def __init__(self, files, rank, world_size, waiting, length):
        self.documents = self.read(files, rank, world_size, length)
        self.at_least = waiting
        self.waiting = []

    @staticmethod
    def read(files, rank, world_size, length):
        while True:
            for file in files:
                for texts in file[rank::world_size]:
                    for start in range(0, len(texts), length):
                        yield [[256, *text.encode()] for text in texts[start : start + length]]

    def row(self, capacity):
        row = []
        while len(row) < capacity:
            while len(self.waiting) < self.at_least:
                self.waiting += next(self.documents)
            room = capacity - len(row)
            lengths = [len(document) for document in self.waiting]
            fitting = [length for length in lengths if length <= room]
            chosen = self.waiting.pop(lengths.index(max(fitting) if fitting else min(lengths)))
            row += chosen[:room]
        return row


def as_files(corpus):
    """Groups of any sizes: a file a group would not do, since groups are dealt out file by file."""
    return [Grouped(f"file {number}", texts) for number, texts in enumerate(corpus)]


class Grouped:
    def __init__(self, name, texts):
        self.name, self.texts = name, texts
        self.size = len(str(texts))

    def groups(self, first=0):
        return iter(range(first, len(self.texts)))

    def read(self, group):
        return list(self.texts[group])


@given(
    corpora,
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 7),
    st.integers(1, 4),
    st.sampled_from([(0, 1), (0, 2), (1, 2), (2, 3)]),
)
def test_rows_are_those_of_the_oracle(corpus, batch_size, length, waiting, list_documents, process):
    rank, world_size = process
    batches = packed_batches(
        as_files(corpus),
        TOKENIZER,
        batch_size,
        length,
        rank=rank,
        world_size=world_size,
        waiting_documents=waiting,
        list_documents=list_documents,
    )
    if all(len(file) <= rank for file in corpus):
        with pytest.raises(DataError, match=f"no documents for process {rank} of {world_size}"):
            next(batches)
        return
    oracle = Oracle(corpus, rank, world_size, waiting, list_documents)
    expected = [oracle.row(length + 1) for _ in range(4 * batch_size)]
    assert rows_of(take(batches, 4)) == expected


@given(corpora, st.integers(1, 9), st.integers(1, 7), st.integers(1, 4), st.integers(0, 1), st.integers(1, 6))
def test_what_follows_a_position_follows_again(corpus, length, waiting, list_documents, rank, stop):
    def batches(state=None):
        return packed_batches(
            as_files(corpus),
            TOKENIZER,
            2,
            length,
            rank=rank,
            world_size=2,
            state=state,
            waiting_documents=waiting,
            list_documents=list_documents,
        )

    if all(len(file) <= rank for file in corpus):
        return
    through = take(batches(), stop + 4)
    state = json.loads(json.dumps(through[stop - 1].position.state()))
    resumed = take(batches(state), 4)
    assert rows_of(resumed) == rows_of(through[stop:])
    assert [batch.position.state() for batch in resumed] == [batch.position.state() for batch in through[stop:]]


# -- positions


@pytest.fixture
def files(tmp_path):
    """Two JSONL files, of groups of 2."""

    def write(name, texts):
        path = tmp_path / name
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        file = JsonlFile(path, name)
        file.group_documents = 2
        return file

    return [write("a.jsonl", ["one", "two", "three"]), write("b.jsonl", ["four", "five", "six", "seven"])]


def small(files, state=None, **options):
    return packed_batches(files, TOKENIZER, 2, 6, state=state, waiting_documents=3, list_documents=2, **options)


def test_a_position_is_small_and_plain(files):
    position = take(small(files), 3)[-1].position
    state = position.state()
    assert json.loads(json.dumps(state)) == state
    assert state["files"] == [["b.jsonl", files[1].size]]  # only those that it speaks of
    assert len(state["waiting"]) == len(position.waiting) <= 4
    assert position.epoch == position.place.epoch == 2


def test_files_that_came_since_change_nothing_before_their_turn():
    """The new shard comes before the old one by name, so that the old one has another number now."""
    old, new = Memory("b", [f"{n:02}" for n in range(40)]), Memory("a", ["new"] * 4)
    through = take(small([old]), 4)
    resumed = small([new, old], through[0].position.state())
    assert rows_of(take(resumed, 3)) == rows_of(through[1:])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda state: state["files"][0].__setitem__(1, 7), DataError, "a.jsonl: has 50 bytes and had 7"),
        (lambda state: state["files"][0].__setitem__(0, "c"), DataError, "c: is not in the data any more"),
        (lambda state: state["waiting"][0].__setitem__(2, 99), DataError, "jsonl: has changed since"),
        (lambda state: state["waiting"][0].__setitem__(0, 99), CheckpointError, "the position in the data is damaged"),
        (lambda state: state["place"].pop(), CheckpointError, "the position in the data is damaged"),
        (lambda state: state.pop("rank"), CheckpointError, "the position in the data is damaged"),
        (lambda state: state.update(world_size=2), CheckpointError, "that of process 0 of 2, this is 0 of 1"),
    ],
)
def test_a_position_that_does_not_fit_is_refused(files, change, error, message):
    state = take(small(files), 2)[-1].position.state()
    change(state)
    with pytest.raises(error, match=message):
        next(small(files, state))


def test_no_documents_are_an_error():
    with pytest.raises(DataError, match="empty: no documents: give more text"):
        next(small([Memory("empty", [])]))


def test_arrays_are_contiguous_and_fresh():
    batches = small([memory(["abc", "de"])])
    first = next(batches)
    kept = first.inputs.copy()
    next(batches)
    for array in (first.inputs, first.targets):
        assert array.dtype == np.int32
        assert array.shape == (2, 6)
        assert array.flags.c_contiguous
        assert array.flags.owndata
    np.testing.assert_array_equal(first.inputs, kept)


def test_tokens_may_come_as_arrays():
    class Arrays(Bytes):
        def encode_batch(self, texts):
            return [np.array(list(text.encode()), dtype=np.uint32) for text in texts]

    texts = memory(["abc", "", "defghijk"])
    lists, arrays = (next(packed_batches([texts], tokenizer, 2, 5)) for tokenizer in (TOKENIZER, Arrays()))
    np.testing.assert_array_equal(lists.inputs, arrays.inputs)


# -- the thread


def others():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def numbers(made, end=None, closed=None):
    try:
        for number in itertools.count():
            if number == end:
                raise DataError("no more")
            made.append(number)
            yield number
    finally:
        if closed is not None:
            closed.append(threading.current_thread().name)


def test_items_come_in_order_and_only_so_many_ahead():
    made, closed = [], []
    with prefetched(numbers(made, closed=closed), depth=3) as items:
        assert take(items, 100) == list(range(100))
        assert len(others()) == 1
        assert len(made) <= 100 + 4  # three that wait, and one in hand
    assert closed == ["prefetch"]
    assert not others()


def test_an_error_comes_after_the_items_before_it_and_then_nothing():
    with prefetched(numbers([], end=2), depth=8) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(DataError, match="no more"):
            next(items)
        assert list(items) == []
    assert not others()


def test_an_end_is_an_end():
    with prefetched((number for number in range(3)), depth=1) as items:
        assert list(items) == [0, 1, 2]
    assert not others()


def test_an_error_of_the_reader_ends_the_thread():
    with pytest.raises(ZeroDivisionError), prefetched(numbers([]), depth=1):
        raise ZeroDivisionError
    assert not others()


def test_batches_made_ahead_are_the_same_and_leave_the_position_of_those_that_were_read(files):
    plain = take(small(files), 6)
    with prefetched(small(files), depth=4) as batches:
        ahead = take(batches, 3)
    assert rows_of(ahead) == rows_of(plain[:3])
    assert rows_of(take(small(files, ahead[-1].position.state()), 3)) == rows_of(plain[3:])
