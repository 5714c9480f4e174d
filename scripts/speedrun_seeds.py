"""Run `speedrun` with several seeds, one after another, and set their scores side by side.

    python scripts/speedrun_seeds.py --seeds 42,43,44 --work build/speedrun --out results/speedrun

What --work has already is not run again.  Of each seed its report, summary, and settings and environment of every stage
are kept in --out, with README.md and summary.json over all.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from nanochat_np.experiments.table import markdown_table

STAGES = ("pretrain", "midtrain", "sft")
KEPT = (
    "summary.json",
    "report.md",
    *(f"{stage}/{name}.json" for stage in STAGES for name in ("config", "env", "summary")),
)


def main(words: list[str]) -> int:
    usage = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usage.add_argument("--seeds", default="42,43,44", help="with commas (default: %(default)s)")
    usage.add_argument("--items", type=int, default=200, help="questions of each kind (default: %(default)s)")
    usage.add_argument("--work", type=Path, default=Path("build/speedrun"), help="folder of the runs")
    usage.add_argument("--out", type=Path, default=Path("results/speedrun"), help="folder of what is kept")
    args = usage.parse_args(words)
    summaries = {}
    for seed in args.seeds.split(","):
        run = args.work / f"seed_{seed}"
        if not (run / "summary.json").exists():
            code = speedrun(seed, run, args.items)
            if code:
                return code
        summaries[seed] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        keep(run, args.out / f"seed_{seed}")
    (args.out / "summary.json").write_text(json.dumps(summaries, indent=1) + "\n", encoding="utf-8")
    (args.out / "README.md").write_text(readme(summaries, args.items), encoding="utf-8")
    return 0


def speedrun(seed: str, run: Path, items: int) -> int:
    """Its exit code; the seconds of the whole process are written to ``run``/wall.txt."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "nanochat_np", "speedrun", f"--seed={seed}", f"--items={items}", f"--out={run}"]
    code = subprocess.run(
        [*command, "--nochat", "--json", "--quiet"], stdout=subprocess.DEVNULL, check=False
    ).returncode
    if not code:
        (run / "wall.txt").write_text(f"{time.perf_counter() - begin:.1f}\n", encoding="utf-8")
    return code


def keep(run: Path, folder: Path) -> None:
    """What tells how the figures came about."""
    for name in KEPT:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run / name, folder / name)


def readme(summaries: dict[str, Any], items: int) -> str:
    """Scores of the last stage by seed, their mean, and those of the stages before."""
    scores = {seed: summary["scores"] for seed, summary in summaries.items()}
    names = list(next(iter(scores.values()))["sft"])

    def mean(stage: str, name: str) -> float:
        return sum(each[stage][name] for each in scores.values()) / len(scores)

    def shown(name: str, value: float) -> str:
        return f"{value:.4f}" if name == "bpb" else f"{100 * value:.1f} %"

    rows = [
        (
            "held-out text, bits per byte" if name == "bpb" else name,
            *(shown(name, mean(stage, name)) for stage in STAGES),
            *(shown(name, each["sft"][name]) for each in scores.values()),
        )
        for name in names
    ]
    head = ("", *(f"after {stage}, mean" for stage in STAGES), *(f"sft, seed {seed}" for seed in scores))
    parts = list(next(iter(summaries.values()))["seconds"])
    times = [(seed, *(f"{each['seconds'].get(part, 0):.0f}" for part in parts)) for seed, each in summaries.items()]
    command = f"python scripts/speedrun_seeds.py --seeds {','.join(scores)} --items {items}"
    paragraphs = (
        f"# speedrun, {len(scores)} seeds",
        f"`{command}`",
        f"{items} held-out questions of each kind, and the list of 100 hard words in hard-spelling and hard-counting; "
        "greedy. Of a count and of a sum the expression, the calculator's result and the number said have to be right. "
        "What the kinds are: docs/speedrun.md.",
        markdown_table(head, rows),
        "Seconds by part:",
        markdown_table(("seed", *parts), times),
    )
    return "\n\n".join(paragraphs) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
