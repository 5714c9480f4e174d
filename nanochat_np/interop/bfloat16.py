"""bfloat16, which NumPy has no type for: the upper half of a float32."""

import numpy as np
import numpy.typing as npt


def float32_of(content: bytes | npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The numbers (n,) of 2n bytes, little-endian, exactly."""
    return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
