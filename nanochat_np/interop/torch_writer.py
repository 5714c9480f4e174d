"""Writing files of torch.save (`interop.torch_file`) without PyTorch."""

import math
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nanochat_np.interop.pickle_writer import Call, Global, Persistent, pickled
from nanochat_np.interop.torch_file import STORAGES

_STORAGE_OF = {dtype: storage for storage, dtype in STORAGES.items()}
_FOLDER = "archive"
_HEADER = 30  # bytes before the name of a record
_ALIGNMENT, _PADDING = 64, 0x4246  # the latter is PyTorch's label of what fills up


def write_torch_file(path: Path, tensors: np.ndarray | Mapping[str, np.ndarray]) -> None:
    """Write arrays by name, or one alone, so that ``torch.load`` reads them, with ``weights_only`` too.

    The same arrays make the same bytes.  Raises OSError.
    """
    arrays = [tensors] if isinstance(tensors, np.ndarray) else list(tensors.values())
    described = [_described(str(key), array) for key, array in enumerate(arrays)]
    value = described[0] if isinstance(tensors, np.ndarray) else dict(zip(tensors, described, strict=True))
    with open(path, "wb") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in (("data.pkl", pickled(value)), ("byteorder", b"little"), ("version", b"3\n")):
                _write_record(archive, file, name, content)
            for key, array in enumerate(arrays):
                little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
                _write_record(archive, file, f"data/{key}", little.reshape(-1).view(np.uint8).data)
        file.flush()
        os.fsync(file.fileno())


def _described(key: str, array: np.ndarray) -> Call:
    """The tensor that lies alone and without gaps in the storage of that key."""
    strides = tuple(math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim))
    storage = Persistent(("storage", Global("torch", _STORAGE_OF[array.dtype.name]), key, "cpu", array.size))
    hooks = Call(Global("collections", "OrderedDict"))
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), (storage, 0, array.shape, strides, False, hooks))


def _write_record(archive: zipfile.ZipFile, file: BinaryIO, name: str, content: bytes | memoryview) -> None:
    """A record whose content begins at a multiple of 64 bytes, for programs that map the file into memory."""
    record = zipfile.ZipInfo(f"{_FOLDER}/{name}")
    record.file_size = len(content)
    begin = file.tell() + _HEADER + len(record.filename) + 4
    padding = -begin % _ALIGNMENT
    record.extra = struct.pack("<HH", _PADDING, padding) + bytes(padding)
    with archive.open(record, "w") as target:
        target.write(content)
