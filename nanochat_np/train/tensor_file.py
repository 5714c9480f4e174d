"""Writing arrays in the safetensors format, a piece at a time.

The library's own writer makes all of the file in memory, or writes it where we can neither hash nor sync it: beside
the state of a large model there is no room for the one, and a checkpoint needs the other.  Reading is the library's.
Format: 8 bytes with the length of a JSON header, the header (dtype, shape, offsets), then the arrays, little-endian.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np

from nanochat_np.train.meta import FileRecord

DTYPES = {"float32": "F32", "float64": "F64"}
_PIECE = 1 << 24


def write_tensors(path: Path, arrays: Mapping[str, np.ndarray]) -> FileRecord:
    """Write the arrays by name, float32 or float64, wait until they are on the disk, and return size and hash."""
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # the wider first: all stay aligned
    header, end = {}, 0
    for name in names:
        begin, end = end, end + arrays[name].nbytes
        header[name] = {
            "dtype": DTYPES[arrays[name].dtype.name],
            "shape": arrays[name].shape,
            "data_offsets": (begin, end),
        }
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for content in _contents(text, [arrays[name] for name in names]):
            for start in range(0, len(content), _PIECE):
                piece = content[start : start + _PIECE]
                digest.update(piece)
                file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return FileRecord(bytes=8 + len(text) + end, sha256=digest.hexdigest())


def _contents(header: bytes, arrays: list[np.ndarray]) -> Iterator[memoryview]:
    yield memoryview(len(header).to_bytes(8, "little") + header)
    for array in arrays:
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        yield little.reshape(-1).view(np.uint8).data
