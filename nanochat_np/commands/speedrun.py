"""``speedrun``: from nothing to a model to talk to."""

import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from nanochat_np.backend.device import select_device
from nanochat_np.backend.files import replace_file, told_as
from nanochat_np.command_line.console import out, tell
from nanochat_np.commands import chat, eval, fine_tune, pretrain
from nanochat_np.config import ChatConfig, EvalConfig, SpeedrunConfig
from nanochat_np.errors import ConfigError, DataError, RunError
from nanochat_np.evaluate.summary import EvalSummary
from nanochat_np.experiments import recipe
from nanochat_np.report.write import write_report
from nanochat_np.text import bpe_file
from nanochat_np.train.run_folder import new_path

EVALUATION, SUMMARY, REPORT = "eval", "summary.json", "report.html"
_NONE: frozenset[str] = frozenset()


class SpeedrunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """``seconds`` by part, of those that this call did; ``scores`` by stage and benchmark, see `eval`.

    ``report`` is the page on all of it, see `report.record`.
    """

    command: str = "speedrun"
    schema: int = 1
    seed: int
    device: str
    seconds: dict[str, float]
    scores: dict[str, dict[str, float | None]]
    report: str
    out: str


def run(config: SpeedrunConfig, given: frozenset[str]) -> SpeedrunSummary:
    """Each part in a folder of its own; what is done is not done again with ``--resume``."""
    folder = Path(config.out).expanduser() if config.out else None
    if config.resume and folder is None:
        raise ConfigError("--resume: name the folder to go on with, with --out")
    if folder is not None and folder.exists() and any(folder.iterdir()) and not config.resume:
        raise ConfigError(f"--out {folder}: is not empty: go on with --resume, or choose another folder")
    device = select_device(config.device)
    folder = folder or new_path("speedrun")
    seconds: dict[str, float] = {}

    def part(name: str, done: Path, work: Callable[[], object]) -> None:
        if not done.exists():
            if not config.quiet:
                tell(f"\n{name}")
            begin = time.perf_counter()
            work()
            seconds[name] = time.perf_counter() - begin

    stages = recipe.stages(config, folder)
    tokenizer = folder / recipe.TOKENIZER
    part("tokenizer", tokenizer / bpe_file.NAME, lambda: bpe_file.save(tokenizer, recipe.train_tokenizer()))
    first, *later = stages
    part("pretrain", Path(str(first.out)) / SUMMARY, partial(pretrain.run, first, _NONE))
    for stage in later:
        part(Path(str(stage.out)).name, Path(str(stage.out)) / SUMMARY, partial(fine_tune.run, stage, _NONE))
    evaluation = EvalConfig(
        checkpoint=tuple(str(stage.out) for stage in stages),
        benchmarks=("generated", "bpb"),
        data=recipe.TEXT,
        max_problems=config.items,
        max_new_tokens=recipe.ANSWER_TOKENS,
        batch_size=32,
        device=config.device,
        quiet=config.quiet,
        out=str(folder / EVALUATION),
    )
    part(EVALUATION, folder / EVALUATION / SUMMARY, partial(_evaluate, evaluation))
    summary = SpeedrunSummary(
        seed=config.seed,
        device=device.name,
        seconds=seconds,
        scores=_scores(folder / EVALUATION / SUMMARY),
        report=str(folder / REPORT),
        out=str(folder),
    )
    with told_as(RunError, f"cannot write {folder / SUMMARY}"):
        replace_file(folder / SUMMARY, msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
    write_report(folder, folder, None)
    out(f"\n{sum(seconds.values()):.0f} s in all; the report is {folder / REPORT}, and report.md beside it")
    out(f"next    python -m nanochat_np chat --checkpoint {folder / 'sft'}")
    if config.chat and not config.json and sys.stdin.isatty() and sys.stdout.isatty():
        chat.run(ChatConfig(checkpoint=str(folder / "sft"), device=config.device), _NONE)
    return summary


def _evaluate(config: EvalConfig) -> None:
    """All stages at once; what an evaluation that was stopped has left goes."""
    shutil.rmtree(Path(str(config.out)), ignore_errors=True)
    eval.run(config, _NONE)


def _scores(path: Path) -> dict[str, dict[str, float | None]]:
    """Of each stage by benchmark, from the summary of the evaluation.  Raises DataError where it is damaged."""
    try:
        summary = msgspec.json.decode(path.read_bytes(), type=EvalSummary)
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}): remove {path.parent} and go on with --resume") from None
    return {
        Path(model.source).name: {name: result.score for name, result in model.results.items()}
        for model in summary.models.values()
    }
