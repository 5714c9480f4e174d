"""The other side: karpathy/nanochat's own training script, as a user runs it, and what it prints."""

import re
from pathlib import Path

from karpathy.work import EAGER, TUNED, Command, Figures, Run, Shape, Task, of_steps, step_flags, training_flags

DRIVERS = Path(__file__).resolve().parent / "drivers"
SEED = 42  # that upstream sets itself, before anything is drawn
_STEP = re.compile(r"^step (\d+)/\d+ .*\| loss: ([-\d.naif]+) .*\| tok/sec: ([\d,]+) ", re.MULTILINE)
_VALIDATION = re.compile(r"^Step \d+ \| Validation bpb: ([-\d.naif]+)", re.MULTILINE)
_SMOOTHING = 0.9  # of the loss that upstream prints
# Nothing is compiled then, the optimizer's two functions neither.
_EAGER = {"TORCH_COMPILE_DISABLE": "1", "TORCHDYNAMO_DISABLE": "1"}
# Compiled, and the C library's allocator keeps what is freed: no new pages to clear at every step.
_TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}


def pretrain(run: Run, task: Task, python: Path, checkout: Path) -> Command:
    """The training run.  For another seed than upstream's own a driver sets it, and runs the same script."""
    flags = training_flags(run.shape, task) | {
        "sample-every": -1,
        "core-metric-every": -1,
        "save-every": -1,
        "device-type": task.device.partition(":")[0],
        "model-tag": run.label,
    }
    given = [f"--{flag}={value}" for flag, value in flags.items()]
    script = ["-m", "scripts.base_train"] if run.seed == SEED else [str(DRIVERS / "seeded.py"), str(run.seed)]
    return Command([str(python), *script, *given], variables(run, task, checkout), checkout)


def recorded(shape: Shape, task: Task, python: Path, checkout: Path, folder: Path, nudge: float) -> Command:
    """A training run, eager and in float32, whose weights, batches and losses go into ``folder``; see the driver."""
    run = Run(side="upstream", mode=EAGER, dtype="float32", shape=shape, seed=SEED, repeat=1)
    usual = pretrain(run, task, python, checkout)
    given = [word for word in usual.arguments if word.startswith("--") and not word.startswith("--eval-every")]
    driver = [str(python), str(DRIVERS / "record.py"), str(folder), str(nudge)]
    return Command([*driver, *given, "--eval-every=-1"], usual.variables, usual.folder)


def speed(run: Run, task: Task, python: Path, checkout: Path) -> Command:
    """Steps on random tokens with upstream's model and optimizer."""
    flags = step_flags(run.shape, task) | {"device": task.device.partition(":")[0]}
    given = [f"--{flag}={value}" for flag, value in flags.items()]
    return Command([str(python), str(DRIVERS / "steps.py"), *given], variables(run, task, checkout), checkout)


def variables(run: Run, task: Task, checkout: Path) -> dict[str, str]:
    """What upstream reads from its environment, with its checkout and stand-ins for what is not installed."""
    return {
        "NANOCHAT_BASE_DIR": str(task.base_dir(run.shape)),
        "NANOCHAT_DTYPE": run.dtype,
        "PYTHONPATH": f"{checkout}:{task.work / 'stand_ins'}",
        **{EAGER: _EAGER, TUNED: _TUNED}.get(run.mode, {}),
        **({} if task.threads is None else {"OMP_NUM_THREADS": str(task.threads)}),
    }


def has_begun(output: Path) -> bool:
    """Whether a training step has been reported."""
    return output.exists() and _STEP.search(output.read_text(encoding="utf-8", errors="replace")) is not None


def trained(output: Path) -> Figures:
    """What the script has printed.  Raises ValueError where there are no steps."""
    text = output.read_text(encoding="utf-8", errors="replace")
    steps = _STEP.findall(text)
    validations = _VALIDATION.findall(text)
    if not steps:
        raise ValueError(f"{output}: reports no steps")
    rates = [float(rate.replace(",", "")) for _, _, rate in steps]
    losses = unsmoothed([float(loss) for _, loss, _ in steps])
    return of_steps(rates, losses, float(validations[-1]) if validations else None)


def unsmoothed(printed: list[float]) -> list[float]:
    """The loss of each step, of the means that upstream prints: running, with weights 0.9ᵏ, from step 0 on.

    With s the running sum and d = s/(1 − 0.9ᵗ) what is printed after t steps, the loss is (s − 0.9 s')/0.1.  Printing
    rounds to six digits, which leaves an error of up to 2e-5.
    """
    sums = [mean * (1 - _SMOOTHING ** (t + 1)) for t, mean in enumerate(printed)]
    before = [0.0, *sums]
    return [(s - _SMOOTHING * s0) / (1 - _SMOOTHING) for s, s0 in zip(sums, before, strict=False)]
