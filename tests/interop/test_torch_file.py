"""Files of torch.save: real ones, ones that are put together here, and ones that mean harm."""

import contextlib
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.errors import CheckpointError
from nanochat_np.interop.pickle_writer import Call, Global, Persistent, pickled
from nanochat_np.interop.torch_file import read_torch_file
from nanochat_np.interop.torch_writer import write_torch_file
from tests.strategies import LAYOUTS, few, seeds

FIXTURES = Path(__file__).parent / "fixtures"  # see make.py there
DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def test_every_kind_of_tensor_of_a_real_file():
    found = read_torch_file(FIXTURES / "tensors.pt")
    base = np.arange(24, dtype=np.float32)
    expected = {
        "whole": base,
        "transposed": base.reshape(4, 6).T,
        "part": base[5:9],
        "steps": base.reshape(4, 6)[1:, ::2],
        "expanded": np.full((2, 3), np.float32(3)),
        "scalar": np.float32(1.5),
        "empty": np.zeros((0, 3), np.float32),
        "parameter": np.ones(2, np.float32),
        "bfloat16": np.array([1, -2.5, 2.0**100, np.inf], np.float32),
        "untyped": np.array([1, 65535], np.uint16),
        **{name: np.array([0, 1, 2, 100]).astype(name) for name in DTYPES if name != "float32"},
    }
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name, strict=True)
        assert not found[name].flags.writeable
    assert np.shares_memory(found["whole"], found["steps"])


def test_a_state_dict_with_attributes_keeps_its_names():
    found = read_torch_file(FIXTURES / "compiled.pt")
    assert {name: value.shape for name, value in found.items()} == {
        "_orig_mod.weight": (2, 3),
        "_orig_mod.bias": (2,),
    }


def test_a_file_from_before_the_zip_format_is_told_apart():
    with pytest.raises(CheckpointError, match=r"legacy\.pt: of torch\.save before PyTorch 1\.6"):
        read_torch_file(FIXTURES / "legacy.pt")


@st.composite
def arrays(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    values = np.random.default_rng(draw(seeds)).integers(-3, 100, shape).astype(draw(st.sampled_from(DTYPES)))
    return LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))](values) if values.ndim else values


@few
@given(st.dictionaries(st.text(max_size=6), arrays(), max_size=4))
def test_what_is_written_is_read(tmp_path_factory, named):
    path = tmp_path_factory.getbasetemp() / "arrays.pt"
    write_torch_file(path, named)
    found = read_torch_file(path)
    assert list(found) == list(named)
    for name, value in named.items():
        np.testing.assert_array_equal(found[name], value, strict=True)


def test_the_bytes_are_aligned_and_always_the_same(tmp_path):
    named = {"a": np.arange(3.0), "b" * 77: np.float32([2])}
    paths = [tmp_path / "x.pt", tmp_path / "other.pt"]
    for path in paths:
        write_torch_file(path, named)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes().index(np.arange(3.0).tobytes()) % 64 == 0
    with zipfile.ZipFile(paths[0]) as archive:
        assert archive.testzip() is None
        assert [name.split("/", 1)[1] for name in archive.namelist()] == [
            *("data.pkl", "byteorder", "version", "data/0", "data/1"),
        ]


FLOATS = Global("torch", "FloatStorage")
DEEP = b")" + b"\x85" * 20_000  # a tuple in a tuple in a tuple ...: to hash it takes a C stack frame for each


def tensor(offset=0, shape=(2,), strides=(1,), count=4, storage=FLOATS, key="0", kind="storage"):
    return Call(
        Global("torch._utils", "_rebuild_tensor_v2"),
        (Persistent((kind, storage, key, "cpu", count)), offset, shape, strides, False, None),
    )


def put_together(path, value, data=bytes(16), byteorder=b"little", content=None, compression=zipfile.ZIP_STORED):
    """A file of one storage of 4 floats, 0 unless said."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("model/data.pkl", pickled(value) if content is None else content)
        archive.writestr("model/data/0", data)
        if byteorder:
            archive.writestr("model/byteorder", byteorder)
    return path


def refused(path, *words):
    with pytest.raises(CheckpointError) as caught:
        read_torch_file(path)
    assert str(caught.value).startswith(str(path)), caught.value
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_an_old_file_says_nothing_of_its_byte_order(tmp_path):
    data = np.arange(4, dtype="<f4").tobytes()
    found = read_torch_file(put_together(tmp_path / "m.pt", {"w": tensor(1, (2, 2), (1, 1))}, data, byteorder=None))
    assert found["w"].tolist() == [[1, 2], [2, 3]]


def test_an_untyped_storage_counts_bytes(tmp_path):
    place = Persistent(("storage", Global("torch.storage", "UntypedStorage"), "0", "cpu", 16))
    arguments = (place, 2, (3,), (2,), False, None, Global("torch", "bfloat16"))
    data = (np.arange(8, dtype=np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    value = {"w": Call(Global("torch._utils", "_rebuild_tensor_v3"), arguments)}
    assert read_torch_file(put_together(tmp_path / "m.pt", value, data))["w"].tolist() == [2, 4, 6]


def test_numbers_of_another_byte_order_are_refused(tmp_path):
    refused(put_together(tmp_path / "m.pt", {"w": tensor()}, byteorder=b"big"), "big-endian")


@pytest.mark.parametrize(
    "wrong",
    [
        {"offset": 3},
        {"offset": -1, "shape": (1,)},
        {"shape": (5,)},
        {"shape": (-1,)},
        {"shape": (2, 2), "strides": (3, 1)},
        {"strides": (-1,), "offset": 3},
        {"strides": (1, 1)},
        {"shape": (2**32 + 1, 2), "strides": (2**32, 1)},  # the product passes 2**64 and is small again
        {"shape": (2**62,), "strides": (0,)},
        {"shape": (0, 2**70), "strides": (1, 1)},
        {"shape": ("2",)},
        {"shape": None},
        {"strides": 1},
        {"offset": "0"},
        {"count": 5},
        {"count": 2**60},
        {"count": "4"},
        {"key": "1"},
        {"key": "../data.pkl"},
        {"kind": "file"},
        {"storage": None},
        {"storage": Global("torch._utils", "_rebuild_tensor_v2")},
    ],
)
def test_tensors_that_lie_outside_of_their_storage(tmp_path, wrong):
    refused(put_together(tmp_path / "m.pt", {"w": tensor(**wrong)}), "damaged")


@pytest.mark.parametrize(
    "value", [None, (), tensor(), {"w": {"v": tensor()}}, {"w": None}, {"w": FLOATS}, {1: tensor()}]
)
def test_other_values_are_no_state_dict(tmp_path, value):
    refused(put_together(tmp_path / "m.pt", value), "no state dict")


class Harm:
    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (pickle.dumps(Harm(os.mkdir, "harm"), 2), f"{os.name}.mkdir"),
        (pickle.dumps({"w": Harm(eval, "open('harm', 'w')")}, 4), ".eval"),
        (pickled({"w": Call(Global("torch.hub", "load"), ("x",))}), "torch.hub.load"),
        (pickled({"w": Call(Global("torch", "float8_e4m3fn"))}), "torch.float8_e4m3fn"),
        (pickled({"w": Call(Global("torch._utils", "_rebuild_wrapper_subclass"))}), "_rebuild_wrapper_subclass"),
    ],
)
def test_code_in_a_file_is_named_and_not_run(tmp_path, monkeypatch, harm, named):
    monkeypatch.chdir(tmp_path)
    refused(put_together(tmp_path / "m.pt", None, content=harm), "refused, the pickle asks for", named)
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]


@pytest.mark.parametrize(
    "value",
    [
        Call(Global("collections", "OrderedDict"), ((((1, 2),),),)),  # keys that were not looked at
        Call(FLOATS),
        {"w": Call(Global("torch._utils", "_rebuild_tensor_v2"))},
        {"w": Call(Global("torch._utils", "_rebuild_tensor_v2"), (1, 0, (1,), (1,)))},
        {"w": Call(Global("torch._utils", "_rebuild_tensor_v3"), (1, 0, (1,), (1,), False, None, FLOATS))},
        {"w": Call(Global("torch._utils", "_rebuild_tensor_v3"), (1, 0, (1,), (1,), False, None, "O"))},
        {"w": Persistent(())},
        {"w": Persistent((1, 2, 3, 4, 5))},
    ],
)
def test_calls_that_make_no_sense(tmp_path, value):
    refused(put_together(tmp_path / "m.pt", value), "damaged")


@pytest.mark.parametrize("where", ["type of a tensor", "type of a storage", "size"])
def test_nesting_without_end_is_no_crash(tmp_path, where):
    named = pickled({"w": tensor(storage="HERE") if where == "type of a storage" else tensor(shape="HERE")})
    if where == "type of a tensor":
        arguments = (Persistent(("storage", FLOATS, "0", "cpu", 4)), 0, (1,), (1,), False, None, "HERE")
        named = pickled({"w": Call(Global("torch._utils", "_rebuild_tensor_v3"), arguments)})
    refused(put_together(tmp_path / "m.pt", None, content=named.replace(pickled("HERE")[2:-1], DEEP)), "damaged")


def test_what_is_compressed_is_refused_before_it_grows(tmp_path):
    path = put_together(tmp_path / "m.pt", {"w": tensor()}, bytes(10**6), compression=zipfile.ZIP_DEFLATED)
    refused(path, "is compressed")


@pytest.mark.parametrize("name", ["tensors.pt", "compiled.pt"])
def test_a_file_that_is_cut_anywhere(tmp_path, name):
    whole = (FIXTURES / name).read_bytes()
    path = tmp_path / name
    for length in [*range(0, len(whole), 61), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path)


def test_a_bit_that_has_changed_is_found_or_harmless(tmp_path):
    whole = (FIXTURES / "compiled.pt").read_bytes()
    right = read_torch_file(FIXTURES / "compiled.pt")
    path = tmp_path / "m.pt"
    for position in range(0, len(whole), 9):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << position % 8]) + whole[position + 1 :])
        with contextlib.suppress(CheckpointError):
            for name, value in read_torch_file(path).items():
                np.testing.assert_array_equal(value, right[name])


def test_files_that_are_none(tmp_path):
    for content in (b"", b"PK\x03\x04", b"version https://git-lfs.github.com/spec/v1\n", os.urandom(3000)):
        (tmp_path / "m.pt").write_bytes(content)
        refused(tmp_path / "m.pt", "no file of torch.save")
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("a/b", b"")
    refused(tmp_path / "m.pt", "no data.pkl")
    with pytest.raises(CheckpointError, match=r"cannot read the tensors: No such file .*missing\.pt"):
        read_torch_file(tmp_path / "missing.pt")
