"""``doctor``: what this machine and this installation can do, and what to do about what is missing."""

import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import nanochat_np
from nanochat_np.backend import environment
from nanochat_np.command_line.console import out
from nanochat_np.commands.doctor_gpu import gpu_section
from nanochat_np.commands.doctor_kernels import kernels_section, speed_section
from nanochat_np.commands.doctor_plan import plan_section
from nanochat_np.config import DoctorConfig
from nanochat_np.errors import ConfigError
from nanochat_np.execute import strongest_layer

Section = dict[str, Any]
GIB = 2**30
# Instruction sets that decide the speed of products and of compiled loops, on x86-64 and on ARM.
FEATURES = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "sve2", "bf16")


def run(config: DoctorConfig, given: frozenset[str]) -> Section:
    """Print the report; returns it: sections of name and value, and ``advice``, a list of lines."""
    if "depth" in given and not config.plan:
        raise ConfigError("--depth is of --plan: give both, or leave it out")
    if config.plan:
        plan = plan_section(config.depth)
        short = plan["of_a_step_mib"] > plan["available_mib"]
        remedy = ["this is more than there is: lower --depth or --device-batch-size, or use --recompute"] * short
        out(report({"memory": plan}, remedy))
        return {"command": "doctor", "memory": plan, "advice": remedy}
    versions, cpu, blas = _versions(), _cpu(), environment.report()
    numba, numba_advice = _numba()
    gpu, gpu_advice = gpu_section()
    sections = {"versions": versions, "cpu": cpu, "blas": blas, "numba": numba, "kernels": kernels_section()}
    code, code_advice = _generated_code()
    sections |= {"speed": speed_section(), "gpu": gpu, "generated_code": code}
    advice = [*blas_advice(blas, environment.cpu_info()), *numba_advice, *gpu_advice, *code_advice]
    out(report(sections, advice))
    return {"command": "doctor", **sections, "advice": advice}


def report(sections: dict[str, Section], advice: list[str]) -> str:
    """Sections of aligned names and values, then the advice."""
    width = max(len(name) for section in sections.values() for name in section) + 2
    lines = []
    for title, section in sections.items():
        lines.append(title.replace("_", " "))
        lines += [f"  {name.replace('_', ' '):{width}}{_shown(value)}" for name, value in section.items()]
    lines.append("advice" if advice else "advice: none, all is well")
    return "\n".join([*lines, *(f"  - {line}" for line in advice)])


def blas_advice(blas: Section, cpu: dict[str, str]) -> list[str]:
    """Advice where variables of the user, or a wrong guess of OpenBLAS, hold back BLAS."""
    advice = []
    if blas["kernel"] in ("Haswell", "Zen") and environment.has_avx512(cpu):
        name = environment.KERNEL_VARIABLE
        cure = f"unset {name}" if name in blas["set_by_user"] else f"export {name}=SkylakeX"
        advice.append(f"BLAS runs its AVX2 kernel ({blas['kernel']}) on a CPU with AVX-512, at half the speed: {cure}")
    if blas["threads"] is not None and blas["threads"] < blas["cpus"]:
        names = ", ".join(sorted(blas["set_by_user"].keys() & environment.THREAD_VARIABLES.keys()))
        if names:
            advice.append(f"BLAS uses {blas['threads']} of {blas['cpus']} CPUs: unset {names}, or give --threads")
    return advice


def _versions() -> Section:
    return {
        "nanochat_np": nanochat_np.__version__,
        "python": f"{platform.python_version()} {platform.python_implementation()}",
        "executable": sys.executable,
        "system": platform.platform(),
        "numpy": np.__version__,
    }


def _cpu() -> Section:
    cpu, memory = environment.cpu_info(), psutil.virtual_memory()
    known = {*cpu.get("flags", "").split(), *cpu.get("Features", "").split()}
    return {
        "model": cpu.get("model name") or platform.processor() or platform.machine(),
        "features": [feature for feature in FEATURES if feature in known],
        "cpus_usable": environment.available_cpus(),
        "cores": psutil.cpu_count(logical=False),
        "memory_gib": round(memory.total / GIB, 1),
        "memory_available_gib": round(memory.available / GIB, 1),
    }


def _numba() -> tuple[Section, list[str]]:
    try:
        from nanochat_np.backend import jit  # noqa: F401  (chooses the cache folder)
    except ImportError as error:
        cure = f"Numba does not import ({error}), loops run in NumPy, several times slower: pip install numba"
        return {"version": None}, [cure]
    import numba

    folder = Path(numba.config.CACHE_DIR)
    section = {
        "version": numba.__version__,
        "threads": numba.config.NUMBA_NUM_THREADS,
        "cache_folder": str(folder),
        "cache_writable": os.access(folder, os.W_OK),
    }
    if not section["cache_writable"] or folder.is_relative_to(tempfile.gettempdir()):
        problem = f"compiled loops are not kept ({folder}), every run compiles them again"
        return section, [f"{problem}: set NUMBA_CACHE_DIR to a folder that can be written"]
    return section, []


def _generated_code() -> tuple[Section, list[str]]:
    layer = strongest_layer()
    cure = "nothing keeps code that a model wrote from your files and the network (HumanEval): install bubblewrap"
    return {"run_in": layer}, [cure] if layer == "limits" and sys.platform == "linux" else []


def _shown(value: Any) -> str:
    match value:
        case None:
            return "not found"
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{name}={item}" for name, item in value.items()) or "none"
        case list():
            return ", ".join(map(str, value)) or "none"
    return str(value)
