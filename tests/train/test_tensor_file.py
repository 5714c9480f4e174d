"""What we write, the library of the format reads."""

import hashlib

import numpy as np
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from nanochat_np.train import tensor_file
from nanochat_np.train.tensor_file import write_tensors

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9).filter(
    lambda name: name != "__metadata__"
)
ARRAYS = st.sampled_from(["float32", "float64"]).flatmap(
    lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)


@given(arrays=st.dictionaries(NAMES, ARRAYS, max_size=5))
def test_the_library_reads_it(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("tensors") / "file"
    record = write_tensors(path, arrays)
    content = path.read_bytes()
    assert (record.bytes, record.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    found = safetensors.numpy.load_file(path)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_pieces_and_strides(tmp_path, monkeypatch):
    monkeypatch.setattr(tensor_file, "_PIECE", 7)
    arrays = {"turned": np.arange(60, dtype=np.float32).reshape(6, 10).T, "other": np.arange(3.0)[::-1]}
    record = write_tensors(tmp_path / "file", arrays)
    assert record.bytes == (tmp_path / "file").stat().st_size
    found = safetensors.numpy.load_file(tmp_path / "file")
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
