"""What runs ran on."""

from typing import Any

from nanochat_np.report.files import EnvFile


def environment(files: dict[str, EnvFile]) -> dict[str, dict[str, str]]:
    """What is known, in words, by what it is of and by stage."""
    found: dict[str, dict[str, str]] = {}
    for stage, env in files.items():
        for name, value in _told(env).items():
            if value:
                found.setdefault(name, {})[stage] = value
    return found


def _told(env: EnvFile) -> dict[str, str | None]:
    blas, gpu = env.blas or {}, env.gpu or {}
    return {
        "device": env.device,
        "GPU": _joined(gpu, "{name}, {memory_bytes:,} bytes, CUDA {cuda}, driver {driver}"),
        "CPU": _joined({"cpu": env.cpu} | blas, "{cpu}, {cpus} CPUs") or env.cpu,
        "system": env.platform,
        "commit": env.git_commit and env.git_commit[:12] + "+" * env.git_commit.endswith("+"),
        "nanochat_np": env.nanochat_np,
        "Python": env.python,
        "NumPy": env.numpy,
        "CuPy": _joined(gpu, "{cupy}"),
        "Numba": env.numba,
        "kernels": env.kernels,
        "BLAS": _joined(blas, "{library} {version}, {kernel}, {threads} threads"),
    }


def _joined(values: dict[str, Any], pattern: str) -> str | None:
    try:
        return pattern.format_map(values)
    except (KeyError, ValueError):
        return None
