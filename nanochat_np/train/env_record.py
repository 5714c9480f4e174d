"""env.json: what a figure depends on besides the settings of its run."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import nanochat_np
from nanochat_np import kernels
from nanochat_np.backend import environment
from nanochat_np.backend.device import Device


def env_record(device: Device, data: str = "", dataset_sha256: str = "") -> dict[str, Any]:
    """Versions, BLAS and threads, CPU, GPU, commit, data."""
    return {
        "nanochat_np": nanochat_np.__version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "numpy": np.__version__,
        "numba": _version("numba"),
        "kernels": "numba" if kernels.in_use() else "numpy",
        "blas": environment.report(),
        "cpu": environment.cpu_info().get("model name") or platform.processor(),
        "device": device.name,
        "gpu": _gpu(device),
        "data": data,
        "dataset_sha256": dataset_sha256,
    }


def _gpu(device: Device) -> dict[str, Any] | None:
    if device.index is None:
        return None
    cupy = device.xp
    properties = cupy.cuda.runtime.getDeviceProperties(device.index)
    return {
        "name": properties["name"].decode(),
        "memory_bytes": properties["totalGlobalMem"],
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "cuda": cupy.cuda.runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Commit of the source tree, with "+" where files differ from it; None for an installed package."""
    root = Path(nanochat_np.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
