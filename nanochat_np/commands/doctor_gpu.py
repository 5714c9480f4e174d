"""The GPU as ``doctor`` sees it: CuPy's wheels, the driver, the devices, and what is missing."""

import re
from importlib import metadata
from pathlib import Path
from typing import Any

from nanochat_np.backend.device import cupy_or_none, find_cuda

DRIVER = Path("/proc/driver/nvidia/version")
FIRST_DRIVER_OF_CUDA_13 = 580


def gpu_section() -> tuple[dict[str, Any], list[str]]:
    """What is there, and advice.  CuPy is imported only where exactly one wheel of it is installed."""
    wheels, driver = cupy_wheels(), driver_version()
    available, reason = find_cuda() if len(wheels) == 1 else (False, "")
    section = {
        "cupy": [f"{name} {version}" for name, version in wheels.items()],
        "driver": driver,
        "devices": _devices() if available else [],
    }
    return section, [] if available else [gpu_advice(wheels, driver, reason)]


def gpu_advice(wheels: dict[str, str], driver: str | None, reason: str) -> str:
    """The one thing to do next; ``reason`` is why the only wheel there is finds no GPU."""
    # CUDA 12 runs on every driver since 525, CUDA 13 needs a newer one.
    newest = driver is None or int(driver.partition(".")[0]) >= FIRST_DRIVER_OF_CUDA_13
    install = f"pip install 'nanochat-np[{'cuda13' if newest else 'cuda12'}]'"
    if len(wheels) > 1:
        names = list(wheels)
        both = f"{' and '.join(names)} are installed together and overwrite each other's files"
        return f"{both}: pip uninstall -y {' '.join(names)} && {install}"
    if wheels:
        return reason
    if driver is None:
        return f"no GPU: runs use the CPU. With an NVIDIA GPU, install its driver, then {install}"
    return f"NVIDIA driver {driver} is there, CuPy is not: {install}"


def cupy_wheels() -> dict[str, str]:
    """Installed distributions of CuPy with their versions; more than one is a broken installation."""
    installed = {found.name.lower(): found.version for found in metadata.distributions()}
    return {name: installed[name] for name in sorted(installed) if re.fullmatch(r"cupy(-(cuda|rocm).*)?", name)}


def driver_version() -> str | None:
    """Version of the NVIDIA kernel driver, or None where there is none (or the system is not Linux)."""
    try:
        text = DRIVER.read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", text)
    return found.group() if found else None


def _devices() -> list[str]:
    cupy = cupy_or_none()
    assert cupy is not None  # find_cuda counted its devices
    runtime = cupy.cuda.runtime
    properties = (runtime.getDeviceProperties(index) for index in range(runtime.getDeviceCount()))
    return [
        f"cuda:{index} {gpu['name'].decode()}, {gpu['totalGlobalMem'] / 2**30:.0f} GiB"
        for index, gpu in enumerate(properties)
    ]
