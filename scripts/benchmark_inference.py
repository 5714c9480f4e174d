"""Compare inference with karpathy/nanochat's Engine: the same shapes, prompt and tokens, random weights, taken in turn.

    python scripts/benchmark_inference.py --upstream-dir ~/nanochat --upstream-python ~/venv/bin/python --configs b
    python scripts/benchmark_inference.py --upstream-dir ~/nanochat --upstream-python ~/venv/bin/python --temperature 1

Results: results/benchmark_inference/TIME/ with summary.json and README.md.  Exit codes: 0, 1 usage, 3 a run failed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from karpathy import child, ours, prepare, upstream
from karpathy.arguments import chosen, new_folder, positive, reported
from karpathy.work import SHAPES, Shape

from nanochat_np.errors import RunError
from nanochat_np.experiments.table import markdown_table

# Each of ours, and what it is set beside: weights in fewer bits have no counterpart there.
OURS = {
    "float32": ["--dtype=float32"],
    "bfloat16 weights": ["--dtype=bfloat16", "--quantize=bfloat16"],
    "int8 weights": ["--dtype=bfloat16", "--quantize=int8"],
}
UPSTREAM = {"upstream float32": "float32", "upstream bfloat16": "bfloat16"}
BASE = "upstream float32"


def main(words: list[str]) -> int:
    return reported(benchmark, flags().parse_args(words))


def flags() -> argparse.ArgumentParser:
    usage = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = usage.add_argument
    add("--upstream-dir", type=Path, required=True, help="checkout of karpathy/nanochat")
    add("--upstream-ref", default=prepare.PINNED, help="commit that it must be at (default: %(default).12s)")
    add("--upstream-python", type=Path, required=True, help="Python with PyTorch, tiktoken, rustbpe and pyarrow")
    add("--configs", default="b", help=f"of {'; '.join(map(Shape.describe, SHAPES.values()))} (default: %(default)s)")
    add("--prompt-tokens", type=positive, default=448, help="of the prompt (default: %(default)s)")
    add("--new-tokens", type=positive, default=64, help="to write after it (default: %(default)s)")
    add("--texts", default="1,16", help="how many texts at a time (default: %(default)s)")
    add("--temperature", type=float, default=0.0, help="0 is greedy (default: %(default)s)")
    add("--top-k", type=int, default=0, help="draw among so many; 0 is all (default: %(default)s)")
    add("--repeats", type=positive, default=3, help="processes of each kind, A B C A B C (default: %(default)s)")
    add("--out", type=Path, help="folder of the result (default: results/benchmark_inference/TIME)")
    return usage


def benchmark(args: argparse.Namespace) -> int:
    shapes = [SHAPES[name] for name in chosen("--configs", args.configs, SHAPES)]
    commit = prepare.verified(args.upstream_dir, args.upstream_ref)
    folder = new_folder(args.out or Path("results/benchmark_inference") / time.strftime("%Y%m%d-%H%M%S"))
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for repeat in range(args.repeats):
        for shape in shapes:
            for kind in (*OURS, *UPSTREAM):
                print(f"round {repeat + 1}: ({shape.name}) {kind}", file=sys.stderr)
                measured = _ours(kind, shape, args) if kind in OURS else _upstream(kind, shape, args)
                found.setdefault(shape.name, {}).setdefault(kind, []).append(measured)
    folder.mkdir(parents=True, exist_ok=True)
    summary = {
        "commit": commit,
        "settings": {name: value for name, value in vars(args).items() if not isinstance(value, Path | None)},
        "medians": {name: {kind: medians(runs) for kind, runs in kinds.items()} for name, kinds in found.items()},
        "runs": found,
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(readme(summary), encoding="utf-8")
    print(readme(summary))
    return 0


def medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the processes of one kind."""
    return {
        "prefill_ms": statistics.median(run["prefill_ms"] for run in runs),
        "tokens_per_sec": {
            texts: statistics.median(run["tokens_per_sec"][texts] for run in runs)
            for texts in runs[0]["tokens_per_sec"]
        },
    }


def readme(summary: dict[str, Any]) -> str:
    """A table a model, with ratios to upstream in float32."""
    settings = summary["settings"]
    lines = [
        "# Inference beside karpathy/nanochat",
        "",
        f"`scripts/benchmark_inference.py`: a prompt of {settings['prompt_tokens']} tokens, {settings['new_tokens']} "
        f"written after it, temperature {settings['temperature']:g}, top-k {settings['top_k']}; medians of "
        f"{settings['repeats']} processes of each kind, taken in turn. Upstream is at {summary['commit'][:7]}, as "
        f"it comes. In brackets: how many times the speed of upstream in float32.",
    ]
    for name, kinds in summary["medians"].items():
        base = kinds[BASE]
        head = ("", "prompt", *(f"{count} at a time, tokens/s" for count in base["tokens_per_sec"]))
        rows = [(kind, *_cells(each, base)) for kind, each in kinds.items()]
        lines += ["", f"{SHAPES[name].describe()}:", "", markdown_table(head, rows)]
    return "\n".join(lines) + "\n"


def _cells(each: dict[str, Any], base: dict[str, Any]) -> Iterator[str]:
    yield f"{each['prefill_ms']:.1f} ms ({base['prefill_ms'] / each['prefill_ms']:.2f})"
    for texts, rate in each["tokens_per_sec"].items():
        yield f"{rate:,.0f} ({rate / base['tokens_per_sec'][texts]:.2f})"


def _shape_flags(shape: Shape, args: argparse.Namespace) -> list[str]:
    given = {
        "n-layer": shape.depth,
        "n-head": shape.heads,
        "n-embd": shape.width,
        "max-seq-len": shape.sequence,
        "vocab-size": shape.vocab,
        "prompt-tokens": args.prompt_tokens,
        "new-tokens": args.new_tokens,
        "repeats": 5,
        "texts": args.texts,
        "temperature": args.temperature,
        "top-k": args.top_k,
    }
    return [f"--{name}={value}" for name, value in given.items()]


def _ours(kind: str, shape: Shape, args: argparse.Namespace) -> dict[str, Any]:
    command = [*ours.program("bench", "infer"), *_shape_flags(shape, args), *OURS[kind], "--json", "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        return _output([*command, f"--out={folder}/bench"], child.environment({}), ours.ROOT)


def _upstream(kind: str, shape: Shape, args: argparse.Namespace) -> dict[str, Any]:
    script = str(upstream.DRIVERS / "inference.py")
    variables = {"NANOCHAT_DTYPE": UPSTREAM[kind], "PYTHONPATH": str(args.upstream_dir)}
    command = [str(args.upstream_python), script, *_shape_flags(shape, args)]
    return _output(command, child.environment(variables), args.upstream_dir)


def _output(command: list[str], environment: dict[str, str], folder: Path) -> dict[str, Any]:
    """The JSON of the last line that a process prints.  Raises RunError where it fails."""
    ended = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RunError(f"{command[0]} ended with {ended.returncode}: {ended.stderr.strip().rpartition(chr(10))[2]}")
    measured: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return {name: measured[name] for name in ("prefill_ms", "tokens_per_sec")}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
