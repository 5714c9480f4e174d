"""Flags that both scripts take, and what they name."""

import argparse
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from karpathy import prepare
from karpathy.work import SHAPES, Shape, Task
from nanochat_np.errors import ConfigError, NanochatError


def parser(description: str | None, steps: int) -> argparse.ArgumentParser:
    """A parser with the common flags; ``steps`` is the default of that flag."""
    usage = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = usage.add_argument
    add("--upstream-dir", type=Path, help="checkout of karpathy/nanochat (default: one is cloned into --work)")
    add("--upstream-ref", default=prepare.PINNED, help="commit that the checkout must be at (default: %(default).12s)")
    add("--upstream-python", type=Path, help="Python with PyTorch, tiktoken, rustbpe and pyarrow")
    add("--make-venv", action="store_true", help="make such an environment in --work; downloads PyTorch")
    add("--configs", default="a,b", help=f"of {'; '.join(map(Shape.describe, SHAPES.values()))} (default: %(default)s)")
    add("--steps", type=positive, default=steps, help="training steps of a run (default: %(default)s)")
    add("--warmup-steps", type=positive, default=40, help="of the rates (default: %(default)s, upstream's)")
    add("--text", default="stdlib", help="text of the data and the tokenizers: a built-in one or a path")
    add("--threads", type=positive, help="CPU threads of either side (default: as each chooses)")
    add("--upstream-timeout", type=float, default=3600, help="seconds for a run of upstream's (default: %(default)s)")
    add("--work", type=Path, default=Path("build/benchmark_karpathy"), help="folder of what is prepared once")
    add("--out", type=Path, help="folder of the result (default: results/NAME/TIME)")
    return usage


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: takes a whole number from 1 on")
    return int(text)


def chosen(flag: str, text: str, known: Collection[str]) -> list[str]:
    """The names in a list of a flag.  Raises ConfigError for one that is not ``known``."""
    names = list(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in known:
            raise ConfigError(f"{flag} {text}: {name!r} is none of {', '.join(known)}")
    return names


def upstream(args: argparse.Namespace, task: Task) -> prepare.Upstream:
    """Upstream's checkout, verified, and its Python, with all that it needs."""
    if not (args.upstream_python or args.make_venv):
        raise ConfigError("give --upstream-python, a Python with PyTorch, or --make-venv to install one")
    checkout = args.upstream_dir or prepare.clone(task.work / "nanochat", args.upstream_ref)
    commit = prepare.verified(checkout, args.upstream_ref)
    # Links stay as they are: an environment is known by where its python lies.
    python = args.upstream_python or prepare.make_venv(task.work / "venv")
    versions = prepare.probe(python.absolute(), checkout)
    prepare.stand_ins(versions["stand_ins"], task)
    return prepare.Upstream(checkout.resolve(), python.absolute(), commit, versions)


def new_folder(out: Path) -> Path:
    """The folder of the result.  Raises ConfigError where something is in it."""
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"--out {out}: exists already: choose a new folder")
    return out.resolve()


def reported(work: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """The exit code of ``work``, with a line on stderr where it raises an error meant for the user."""
    try:
        return work(args)
    except NanochatError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; what was measured so far is in the output folder", file=sys.stderr)
        return 130
