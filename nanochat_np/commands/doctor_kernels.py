"""What ``doctor`` tells of the compiled kernels: which run, why, and how near they come to what the CPU can do."""

import importlib
from typing import Any

from nanochat_np import kernels
from nanochat_np.ops.matmul import WORTH_PACKING
from nanochat_np.ops.peak import gemm_gflops

Section = dict[str, Any]


def kernels_section() -> Section:
    """Which products and attention run here, and by which of the CPU's features."""
    if not kernels.in_use():
        why = "asked for" if kernels.can_compile() else "Numba does not import"
        return {"in_use": "numpy", "why": why}
    target = importlib.import_module("nanochat_np.kernels.target")
    tile, features = target.tile(), target.features()
    pairs = "pairs by AVX512-BF16" if target.bfloat16_kind() == "bfloat16_dot" else "pairs by shifts and float32"
    found = sorted(features & target.FEATURES_OF_TILES)
    return {
        "in_use": "numba",
        "why": f"Numba compiles for {', '.join(found) or 'none of the features that tiles are made for'}",
        "float32_products": _tiles(tile) if target.has_fast_tile() else "NumPy's: no tile of ours is faster here",
        "bfloat16_products": f"{_tiles(tile)}, {pairs}",
        "small_products": f"NumPy's, below {WORTH_PACKING:,} multiplications",
        "attention": "head by head, from the same tiles",
    }


def speed_section() -> Section:
    """10⁹ operations and bytes a second: products of 1024³, and what was measured as the most that this CPU does."""
    with kernels.reference_only():
        found = {f"numpy_{dtype}_gflops": gemm_gflops(dtype) for dtype in ("float32", "float64")}
    if kernels.in_use():
        ceiling = importlib.import_module("nanochat_np.kernels.ceiling")
        for dtype in ("float32", "bfloat16"):
            found[f"{dtype}_gflops"] = gemm_gflops(dtype)
            found[f"{dtype}_gflops_in_cache"] = ceiling.in_cache_gflops(dtype)
        found["memory_copy_gb_per_s"] = ceiling.copy_gigabytes()
    return {name: round(value, 1) for name, value in found.items()}


def _tiles(tile: Any) -> str:
    return f"compiled, tiles of {tile.rows} x {tile.columns}"
