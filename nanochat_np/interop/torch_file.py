"""Reading files of torch.save without PyTorch.

Such a file is a zip archive of uncompressed records in one folder: ``data.pkl``, a pickle of the values in which a
tensor says in which storage it lies, where and with which strides; ``data/KEY``, the bytes of a storage; ``byteorder``
and ``version``.  Several tensors may lie in one storage.
"""

import struct
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nanochat_np.backend.files import told_as
from nanochat_np.errors import CheckpointError
from nanochat_np.interop import bfloat16
from nanochat_np.interop.restricted_pickle import RestrictedPickle

_BEFORE_ZIP = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"  # a pickled number, with which torch.save once began
_SIZES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    **dict.fromkeys(("int64", "uint64"), 8),
    **dict.fromkeys(("int32", "uint32"), 4),
    **dict.fromkeys(("int16", "uint16"), 2),
    **dict.fromkeys(("int8", "uint8", "bool"), 1),
}
STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
# What zipfile, NumPy and the functions below raise for content that makes no sense.
_DAMAGED = (zipfile.BadZipFile, struct.error, EOFError, LookupError, OverflowError, RuntimeError, TypeError, ValueError)


class _Storage(NamedTuple):
    key: str
    dtype: str
    bytes: int


class _Tensor(NamedTuple):
    """Offset and strides count elements."""

    storage: _Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name; bfloat16 as float32.

    The arrays are read-only, and views of one another where the tensors are.  Raises CheckpointError for a file that is
    damaged, of another machine's byte order, asks for anything but tensors, or holds anything but a dict of them.
    """
    with told_as(CheckpointError, "cannot read the tensors"), open(path, "rb") as file:
        if file.read(len(_BEFORE_ZIP)) == _BEFORE_ZIP:
            raise CheckpointError(f"{path}: of torch.save before PyTorch 1.6: load it there and save it again")
        try:
            with zipfile.ZipFile(file) as archive:
                return _Reader(archive, str(path)).arrays()
        except _DAMAGED as error:
            raise CheckpointError(f"{path}: damaged, or no file of torch.save ({error})") from error


class _Reader:
    """One open archive."""

    def __init__(self, archive: zipfile.ZipFile, source: str) -> None:
        self._archive, self._source = archive, source
        folders = [name.removesuffix("data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(folders) != 1:
            raise ValueError("it has no data.pkl")
        self._folder = folders[0]

    def arrays(self) -> dict[str, np.ndarray]:
        if self._folder + "byteorder" in self._archive.namelist() and self._record("byteorder") != b"little":
            raise CheckpointError(f"{self._source}: its numbers are big-endian: save it again on another machine")
        reader = RestrictedPickle(_CONSTRUCTORS, self._storage)
        tensors = reader.load(self._record("data.pkl"), f"{self._source}/data.pkl")
        if type(tensors) is not dict or {*map(type, tensors)} - {str} or {*map(type, tensors.values())} - {_Tensor}:
            raise CheckpointError(f"{self._source}: holds no state dict of a model, by name a tensor")
        values: dict[tuple[_Storage, str], np.ndarray] = {}
        arrays = {}
        for name, tensor in tensors.items():
            place = tensor.storage, tensor.dtype
            if place not in values:
                values[place] = self._values(*place)
            arrays[name] = _view(values[place], tensor)
        return arrays

    def _storage(self, key: Any) -> _Storage:
        kind, dtype, name, _, count = key
        if kind != "storage" or (type(dtype), type(name), type(count)) != (str, str, int):
            raise TypeError("what lies outside is no storage")
        return _Storage(name, dtype, _SIZES[dtype] * count)

    def _values(self, storage: _Storage, dtype: str) -> np.ndarray:
        content = self._record(f"data/{storage.key}")
        if len(content) != storage.bytes:
            raise ValueError(f"data/{storage.key} has {len(content)} bytes, its tensors say {storage.bytes}")
        if dtype == "bfloat16":
            return bfloat16.float32_of(content)
        return np.frombuffer(content, np.dtype(dtype).newbyteorder("<"))

    def _record(self, name: str) -> bytes:
        record = self._archive.getinfo(self._folder + name)
        # What is compressed may become of any size.
        if record.compress_type != zipfile.ZIP_STORED or record.compress_size != record.file_size:
            raise ValueError(f"{name} is compressed")
        content = self._archive.read(record)
        if len(content) != record.file_size:
            raise ValueError(f"{name} is cut short")
        return content


def _view(values: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """The tensor in its storage."""
    _, _, offset, shape, strides = tensor
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    # In NumPy's own check the product may pass 2**63 and begin anew.
    if min((offset, *shape, *strides)) < 0 or (0 not in shape and last >= values.size):
        raise ValueError("a tensor lies outside of its storage")
    steps = [stride * values.itemsize for stride in strides]
    view: np.ndarray = np.ndarray(shape, values.dtype, values, offset * values.itemsize, steps)
    view.flags.writeable = False
    return view


def _state_dict(*arguments: Any) -> dict[str, Any]:
    if arguments:
        raise TypeError("an OrderedDict is made with arguments")
    return {}


def _tensor(storage: Any, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if type(storage) is not _Storage:
        raise TypeError("a tensor without a storage")
    return _Tensor(storage, storage.dtype, offset, shape, strides)


def _typed_tensor(
    storage: Any, offset: int, shape: Any, strides: Any, requires_grad: Any, hooks: Any, dtype: Any, *_: Any
) -> _Tensor:
    if type(dtype) is not str or dtype not in _SIZES:
        raise TypeError("a tensor of an unknown type")
    return _tensor(storage, offset, shape, strides)._replace(dtype=dtype)


def _parameter(tensor: _Tensor, *_: Any) -> _Tensor:
    return tensor


_CONSTRUCTORS = {
    ("collections", "OrderedDict"): _state_dict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _typed_tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.storage", "UntypedStorage"): "uint8",
    **{("torch", storage): dtype for storage, dtype in STORAGES.items()},
    **{("torch", dtype): dtype for dtype in _SIZES},
}
