import collections
import contextlib
import io
import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.errors import CheckpointError
from nanochat_np.interop.restricted_pickle import RestrictedPickle
from tests.strategies import few

PLAIN = RestrictedPickle({})

keys = st.text(max_size=5) | st.binary(max_size=5) | st.integers()
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=300),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)


@few
@given(values, st.sampled_from([3, 4, 5]))
def test_numbers_texts_and_containers_are_read(value, protocol):
    found = PLAIN.load(pickle.dumps(value, protocol), "file")
    assert found == value
    assert repr(found) == repr(value)  # 1, 1.0 and True are equal


def test_a_container_that_is_shared_stays_shared():
    inner = [1]
    found = PLAIN.load(pickle.dumps({"a": inner, "b": (inner, inner)}, 2), "file")
    found["a"].append(2)
    assert found == {"a": [1, 2], "b": ([1, 2], [1, 2])}
    inner.append(inner)
    found = PLAIN.load(pickle.dumps(inner), "file")
    assert found[1] is found


class Call:
    """Pickled as a call: what a pickle that means harm looks like."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("harm", "asked"),
    [
        (Call(os.system, "touch harm"), f"{os.name}.system"),
        (Call(eval, "open('harm', 'w')"), r"(builtins|__builtin__)\.eval"),
        (Call(getattr, "x", "y"), r"\.getattr"),
        (Call(open, "harm", "w"), r"(io|_io)\.open"),
        ([1, {"a": (Call(print, "harm"),)}], r"\.print"),
        (np.zeros(2), r"numpy\._core"),
        (collections.OrderedDict(a=1), r"collections\.OrderedDict"),
        (len, r"\.len"),
        ({1, 2}, "."),
    ],
)
def test_what_is_not_on_the_list_is_named_and_not_run(harm, asked, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=f"model.pt: refused, the pickle .*{asked}") as caught:
        PLAIN.load(pickle.dumps(harm, protocol), "model.pt")
    assert not list(tmp_path.iterdir())
    assert "\n" not in str(caught.value)


class Thing:
    """A class that a list may hold."""

    state = None

    def __init__(self, *arguments):
        self.arguments = arguments

    def __setstate__(self, state):
        self.state = state

    def __call__(self):
        raise AssertionError("was called")


class Other:
    """What a function on the list returns, whose class is not on it."""

    def __setstate__(self, state):
        raise AssertionError("was given a state")


LISTED = {
    ("tests.interop.test_restricted_pickle", "Thing"): Thing,
    ("builtins", "len"): len,
    ("torch", "f32"): "<f4",
    ("m", "other"): lambda: Other(),
}
READER = RestrictedPickle(LISTED)


def program(*instructions):
    return b"\x80\x04" + b"".join(instructions) + b"."


def named(module, name):
    return b"".join(b"\x8c" + struct.pack("B", len(part)) + part.encode() for part in (module, name)) + b"\x93"


THING, LEN, F32 = (
    named("tests.interop.test_restricted_pickle", "Thing"),
    named("builtins", "len"),
    named("torch", "f32"),
)
EMPTY_TUPLE, EMPTY_DICT, EMPTY_LIST, ONE, MARK, TUPLE1, REDUCE, NEWOBJ, BUILD = (
    *(b")", b"}", b"]", b"K\x01", b"(", b"\x85", b"R", b"\x81", b"b"),
)


def test_what_is_on_the_list_is_called():
    found = READER.load(program(THING, ONE, TUPLE1, REDUCE, EMPTY_DICT, BUILD), "file")
    assert (type(found), found.arguments, found.state) == (Thing, (1,), {})
    assert READER.load(program(THING, EMPTY_TUPLE, NEWOBJ), "file").arguments == ()
    assert READER.load(program(LEN, EMPTY_LIST, TUPLE1, REDUCE), "file") == 0
    assert READER.load(program(F32), "file") == "<f4"


def test_attributes_of_a_dict_are_left_out():
    reader = RestrictedPickle({("collections", "OrderedDict"): dict})
    state_dict = collections.OrderedDict(weight=1, bias=2)
    state_dict._metadata = collections.OrderedDict(version=1)
    for protocol in (2, 4):
        assert reader.load(pickle.dumps(state_dict, protocol), "file") == {"weight": 1, "bias": 2}


def test_what_lies_outside_is_asked_for_by_its_key():
    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", str(value.dtype), 3) if isinstance(value, np.ndarray) else None

    file = io.BytesIO()
    Pickler(file, 2).dump({"weight": np.zeros(3)})
    reader = RestrictedPickle({}, persistent=lambda key: f"array {key}")
    assert reader.load(file.getvalue(), "file") == {"weight": "array ('storage', 'float64', 3)"}
    with pytest.raises(CheckpointError, match="BINPERSID"):
        PLAIN.load(file.getvalue(), "file")


@pytest.mark.parametrize(
    "content",
    [
        program(LEN, EMPTY_DICT, BUILD),  # attributes of a function
        program(THING, EMPTY_DICT, BUILD),  # and of a class
        program(THING, b"N", b"\x8c\x05state", ONE, b"s", BUILD),
        program(EMPTY_LIST, EMPTY_DICT, BUILD),
        program(named("m", "other"), EMPTY_TUPLE, REDUCE, EMPTY_DICT, BUILD),
        program(THING, EMPTY_TUPLE, REDUCE, EMPTY_TUPLE, REDUCE),  # a call of what was made
        program(EMPTY_LIST, EMPTY_TUPLE, REDUCE),
        program(ONE, EMPTY_TUPLE, NEWOBJ),
        program(LEN, EMPTY_LIST, EMPTY_LIST, b"a", REDUCE),  # arguments that are no tuple
        program(LEN, ONE, TUPLE1, REDUCE),
        program(F32, EMPTY_TUPLE, REDUCE),
        program(EMPTY_LIST, EMPTY_DICT, b"\x93"),  # a name that is no text
        program(EMPTY_DICT, EMPTY_TUPLE, ONE, b"s"),  # a key whose hash may be deep
        program(EMPTY_DICT, EMPTY_LIST, ONE, b"s"),
        program(EMPTY_DICT, MARK, ONE, b"u"),  # a key without a value
        program(EMPTY_DICT, ONE, b"a"),
        program(EMPTY_LIST, ONE, ONE, b"s"),
        program(THING, ONE, b"a"),
        program(b"h\x05"),  # from a memo that is empty
        program(b"\x94"),
        program(b"t"),
        program(),
        b"",
        b"not a pickle",
        pickle.dumps([1, 2, 3])[:-1],
        b"cos\nsystem\n(S'true'\ntR.",
    ],
)
def test_a_pickle_that_is_made_up_is_refused(content):
    with pytest.raises(CheckpointError, match=r"^file: (refused, |damaged pickle)"):
        READER.load(content, "file")


@given(
    st.binary(max_size=40)
    | st.lists(st.sampled_from(list(b")}](tab\x85\x86Rs\x81u\x94h\x00K\x93N.")), max_size=30).map(bytes)
)
def test_any_bytes_are_read_or_refused(content):
    with contextlib.suppress(CheckpointError):
        READER.load(b"\x80\x04" + content, "file")


def test_nesting_without_end_is_no_crash():
    deep = program(EMPTY_TUPLE, TUPLE1 * 20_000)
    assert type(READER.load(deep, "file")) is tuple
    with pytest.raises(CheckpointError, match="keys other than"):
        READER.load(program(EMPTY_DICT, EMPTY_TUPLE, TUPLE1 * 20_000, ONE, b"s"), "file")
