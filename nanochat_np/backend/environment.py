"""The process before NumPy loads: which OpenBLAS kernel, and one budget of threads for BLAS and Numba together.

OpenBLAS and Numba read their variables once, when they are loaded, so this module imports neither.  A variable that
the user has set is left alone, with one exception: ``NANOCHAT_NP_THREADS`` (``--threads`` sets it) is a budget asked
of this program, and overrides the general variables, which a child process inherits from its parent in any case.
"""

import ctypes
import functools
import itertools
import math
import os
import sys
from pathlib import Path
from typing import Any

from nanochat_np.errors import ConfigError

BUDGET_VARIABLE = "NANOCHAT_NP_THREADS"
# What reads each variable; once that is loaded, to set the variable would only mislead whoever reads it.
THREAD_VARIABLES = {
    "OPENBLAS_NUM_THREADS": "numpy",
    "OMP_NUM_THREADS": "numpy",
    "MKL_NUM_THREADS": "numpy",
    "NUMBA_NUM_THREADS": "numba",
}
KERNEL_VARIABLE = "OPENBLAS_CORETYPE"
# How long threads without work spin.  OpenBLAS's do for 2**28 cycles (0.1 s) after a product and slow the next Numba
# loop up to three-fold; 2**10 cycles are over before that loop begins.  Those of Numba's OpenMP may wait a little, as
# to wake a sleeping one takes as long as a small product; 2000 rounds are over before a BLAS product suffers.
SPIN = {"OPENBLAS_THREAD_TIMEOUT": ("numpy", "10"), "GOMP_SPINCOUNT": ("numba", "2000")}
# Operations of a product, 2·M·N·K, from which two threads were faster than one (measured: even at 3e8, 1.95x at 2e9).
WORTH_SHARING = 5e8

AVX512 = frozenset({"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"})
PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")

_set_here: dict[str, str] = {}
_set_by_user: dict[str, str] = {}
_numpy_came_first = False


def prepare() -> None:
    """Set the variables that OpenBLAS, OpenMP, MKL and Numba read when they load.

    Without effect on a library that is loaded already, so it runs before ``import numpy``; a second call changes
    nothing.  Raises ConfigError where ``NANOCHAT_NP_THREADS`` is not a whole number of at least 1.
    """
    global _numpy_came_first
    if not _set_here and not _set_by_user:
        names = (KERNEL_VARIABLE, *SPIN, *THREAD_VARIABLES)
        _set_by_user.update({name: os.environ[name] for name in names if name in os.environ})
        _numpy_came_first = "numpy" in sys.modules
    asked = _asked_budget()
    budget = str(asked or _usual_budget())
    for name, library in THREAD_VARIABLES.items():
        if library not in sys.modules and (asked or name not in os.environ):
            _set(name, budget)
    for name, (library, value) in SPIN.items():
        if library not in sys.modules and name not in os.environ:
            _set(name, value)
    if "numpy" not in sys.modules and KERNEL_VARIABLE not in os.environ and _openblas_may_miss_avx512():
        _set(KERNEL_VARIABLE, "SkylakeX")


def available_cpus() -> int:
    """CPUs that this process may use: its affinity, or the CPU quota of its control group where that is smaller."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, math.ceil(min(_quotas(), default=affinity))))


def cpu_info() -> dict[str, str]:
    """Fields of the first processor in ``/proc/cpuinfo``; empty where there is no such file."""
    try:
        with (PROC / "cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            first = itertools.takewhile(str.strip, lines)  # an empty line ends a processor; a server has hundreds
            fields = (line.partition(":") for line in first)
            return {name.strip(): value.strip() for name, _, value in fields}
    except OSError:
        return {}


def has_avx512(cpu: dict[str, str]) -> bool:
    """Whether the CPU has all that OpenBLAS's AVX-512 kernel, SkylakeX, is compiled for."""
    return set(cpu.get("flags", "").split()) >= AVX512


def use_blas_threads_for(operations: float) -> None:
    """Let NumPy's OpenBLAS use the budget, or one thread where a step's largest product is too small to share.

    ``operations`` are that product's, 2·M·N·K.  Workers sleep between products (see SPIN), and to wake them takes
    longer than half of a small product; on a busy machine it waits for a CPU as well, and steps take three times as
    long.
    Does nothing for another BLAS.
    """
    library = _loaded_openblas()
    if library is not None:
        budget = int(os.environ.get("OPENBLAS_NUM_THREADS") or available_cpus())
        _openblas_function(library, "set_num_threads")(budget if operations >= WORTH_SHARING else 1)


def report() -> dict[str, Any]:
    """The BLAS in use and what this module set: for ``env.json`` and ``doctor``.  Loads NumPy.

    ``kernel`` is OpenBLAS's name of its kernel ("Haswell" is AVX2, "SkylakeX" AVX-512); it and ``threads`` are None for
    another BLAS and where loaded libraries cannot be listed (outside Linux).
    """
    import numpy

    blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    library = _loaded_openblas()
    return {
        "library": blas["name"],
        "version": blas["version"],
        "kernel": None if library is None else _openblas_text(library, "get_corename"),
        "threads": None if library is None else _openblas_function(library, "get_num_threads")(),
        "cpus": available_cpus(),
        "set_here": dict(_set_here),
        "set_by_user": {name: value for name, value in _set_by_user.items() if name not in _set_here},
        "numpy_came_first": _numpy_came_first,
    }


def _set(name: str, value: str) -> None:
    _set_here[name] = os.environ[name] = value


def _asked_budget() -> int | None:
    text = os.environ.get(BUDGET_VARIABLE)
    if not text:
        return None
    if not (text.isdecimal() and int(text)):
        raise ConfigError(f"environment variable {BUDGET_VARIABLE}={text}: expected a whole number, 1 or more")
    return int(text)


def _usual_budget() -> int:
    """``OMP_NUM_THREADS``, which OpenBLAS and MKL obey where their own variables are not set; else the CPUs."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]  # "4,2" has a number for each level of nesting
    return int(first) if first.isdecimal() and int(first) else available_cpus()


def _openblas_may_miss_avx512() -> bool:
    """Whether this is an AMD CPU with AVX-512 of a family that OpenBLAS up to 0.3.31 does not list (Zen 5 and later).

    OpenBLAS then decides by a probe of features, which is right nearly always and has been seen to fail (OpenBLAS
    issue 6029); the price is half the speed or worse.  Intel's CPUs are listed, and known by their features.
    """
    cpu = cpu_info()
    unlisted = cpu.get("vendor_id") == "AuthenticAMD" and int(cpu.get("cpu family", 0)) >= 26
    return unlisted and has_avx512(cpu)


def _quotas() -> list[float]:
    """CPU quotas, in CPUs, of this process's control groups and of the groups around them (cgroup v2 and v1)."""
    quotas = []
    for line in _read(PROC / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = CGROUP / "cpu" if controllers else CGROUP
        group = mount / path.lstrip("/")
        # A container sees the path that its group has on the host; what applies to it is then at the mount itself.
        for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(mount))):
            limit = _read(folder / "cpu.max") or " ".join(
                _read(folder / f"cpu.cfs_{part}_us") for part in ("quota", "period")
            )
            match limit.split():
                case [quota, period] if quota.isdecimal():  # "max" and -1 are no limit
                    quotas.append(int(quota) / int(period))
    return quotas


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


@functools.cache
def _loaded_openblas() -> ctypes.CDLL | None:
    """NumPy's OpenBLAS where several are loaded (SciPy brings its own).  To be asked once NumPy is loaded."""
    paths = {line.split()[-1] for line in _read(PROC / "self/maps").splitlines() if "openblas" in line}
    for path in sorted(paths, key=lambda path: "numpy" not in path):
        return ctypes.CDLL(path)
    return None


def _openblas_function(library: ctypes.CDLL, name: str) -> Any:
    """The C function ``name``, which wheels of NumPy rename ``scipy_openblas_<name>64_``."""
    candidates = (f"{prefix}openblas_{name}{suffix}" for prefix in ("scipy_", "") for suffix in ("64_", "", "_64_"))
    return next(getattr(library, symbol) for symbol in candidates if hasattr(library, symbol))


def _openblas_text(library: ctypes.CDLL, name: str) -> str:
    function = _openblas_function(library, name)
    function.restype = ctypes.c_char_p
    return str(function().decode())
