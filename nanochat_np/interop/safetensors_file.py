"""Reading safetensors, bfloat16 too, for which the library's arrays of NumPy have no type."""

from pathlib import Path

import msgspec
import numpy as np
import safetensors

from nanochat_np.backend.files import told_as
from nanochat_np.errors import CheckpointError
from nanochat_np.interop import bfloat16


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name; bfloat16 as float32.  Raises CheckpointError for one that cannot be read."""
    with told_as(CheckpointError, "cannot read the tensors"):
        try:
            with safetensors.safe_open(path, "numpy") as file:  # which checks all that the head says
                half = [name for name in file.keys() if file.get_slice(name).get_dtype() == "BF16"]  # noqa: SIM118
                others = {name: file.get_tensor(name) for name in file.keys() if name not in half}  # noqa: SIM118
        except (safetensors.SafetensorError, TypeError) as error:
            raise CheckpointError(f"{path}: cannot be read ({error})") from error
        return others | _bfloat16(path, half)


def _bfloat16(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    arrays = {}
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        head = msgspec.json.decode(file.read(size))
        for name in names:
            begin, end = head[name]["data_offsets"]
            file.seek(8 + size + begin)
            arrays[name] = bfloat16.float32_of(file.read(end - begin)).reshape(head[name]["shape"])
    return arrays
