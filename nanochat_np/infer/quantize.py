"""Matrices with fewer bits: bfloat16, or int8 with a factor for each row."""

import numpy as np


def packed(w: np.ndarray, quantize: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes of w (..., O, I) float32 and a factor for each row, (..., O) float32: w ≈ code · factor.

    bfloat16 rounds to nearest, ties to even, in uint16; int8 divides a row by 1/127 of its largest magnitude.
    """
    ones = np.ones(w.shape[:-1], np.float32)
    if quantize == "float32":
        return w, ones
    if quantize == "bfloat16":
        bits = w.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16), ones
    factor = np.abs(w).max(-1) / np.float32(127)
    factor[factor == 0] = 1
    return np.rint(w / factor[..., None]).astype(np.int8), factor


def unpacked(code: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """What `packed` made, as float32 again."""
    values = (code.astype(np.uint32) << 16).view(np.float32) if code.dtype == np.uint16 else code.astype(np.float32)
    return values * factor[..., None]
