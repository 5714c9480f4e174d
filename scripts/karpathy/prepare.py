"""What both sides need before they can run: upstream's checkout and Python, and one set of data and tokenizers."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from karpathy import child
from karpathy.ours import ROOT, program
from karpathy.upstream import DRIVERS
from karpathy.work import Command, Shape, Task
from nanochat_np.errors import ConfigError, DataError, RunError
from nanochat_np.text import bpe_file

REPOSITORY = "https://github.com/karpathy/nanochat.git"
PINNED = "92d63d4e8bb4df75c3b71618f31ddde2378b2bcd"
_PROBE = """
import importlib.util, json, platform
import filelock, pyarrow, requests, rustbpe, tiktoken, torch, yaml
print(json.dumps({
    "python": platform.python_version(),
    "torch": torch.__version__,
    "tiktoken": tiktoken.__version__,
    "cuda": torch.cuda.is_available(),
    "threads": torch.get_num_threads(),
    "stand_ins": [name for name in ("wandb",) if importlib.util.find_spec(name) is None],
}))
"""
_PACKAGES = ("torch", "tiktoken", "rustbpe", "pyarrow", "requests", "pyyaml", "filelock", "psutil", "setuptools")
_SAMPLE = "def main():\n    print('Hello, wörld 12345!')  # été 2026\n\n\n\t語 🙂 it's <|bos|> 3.14\n"


class Upstream(NamedTuple):
    """The other side: its checkout at ``commit``, the Python to run it, and what `probe` says of that."""

    checkout: Path
    python: Path
    commit: str
    versions: dict[str, Any]


def verified(checkout: Path, ref: str) -> str:
    """The commit of upstream's checkout.  Raises ConfigError unless it is ``ref``, with no file changed."""
    if not (checkout / "scripts" / "base_train.py").exists():
        raise ConfigError(f"--upstream-dir {checkout}: no checkout of karpathy/nanochat; leave it out to clone one")
    commit = _git(checkout, "rev-parse", "HEAD")
    if not commit.startswith(ref):
        cure = f"git -C {checkout} checkout {ref}, or give --upstream-ref {commit[:12]}"
        raise ConfigError(f"--upstream-dir {checkout}: is at {commit[:12]}, not at {ref[:12]}: {cure}")
    changed = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    if changed:
        raise ConfigError(f"--upstream-dir {checkout}: files differ from the commit: {' '.join(changed.split())}")
    return commit


def clone(target: Path, ref: str) -> Path:
    """Clone upstream at ``ref``.  Raises DataError without a network."""
    if not target.exists():
        beside = target.with_name(f".{target.name}.part")
        shutil.rmtree(beside, ignore_errors=True)
        _must(["git", "clone", "--quiet", "--no-checkout", REPOSITORY, str(beside)], "cannot clone upstream")
        _must(["git", "-C", str(beside), "checkout", "--quiet", "--detach", ref], f"upstream has no commit {ref}")
        beside.rename(target)
    return target


def make_venv(folder: Path) -> Path:
    """A virtual environment with what upstream's training script imports; returns its Python."""
    python = folder / "bin" / "python"
    if not python.exists():
        _must([sys.executable, "-m", "venv", str(folder)], "cannot make a virtual environment")
        _must([str(python), "-m", "pip", "install", "--quiet", *_PACKAGES], "cannot install PyTorch")
    return python


def probe(python: Path, checkout: Path) -> dict[str, Any]:
    """Versions in upstream's Python, and ``stand_ins``: what is missing there and is imported but never used.

    (The training script imports wandb before it knows that nothing is to be logged.)  Raises ConfigError where
    something is missing that is used.
    """
    try:
        done = subprocess.run([str(python), "-c", _PROBE], cwd=checkout, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"--upstream-python {python}: {error}") from None
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise ConfigError(f"--upstream-python {python}: {reason}: install it there, or use --make-venv")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def environment() -> dict[str, Any]:
    """What our runs find, as env.json has it: told by a child that begins as they do."""
    code = (
        "import msgspec; from nanochat_np.backend.device import Device; "
        "from nanochat_np.train.env_record import env_record; print(msgspec.json.encode(env_record(Device())).decode())"
    )
    found: dict[str, Any] = json.loads(_must([sys.executable, "-c", code], "cannot look at this machine", cwd=ROOT))
    return found


def data_commands(text: str, shapes: list[Shape], task: Task) -> list[list[str]]:
    """Our commands that make shards and tokenizers, those that are not there yet."""
    commands = []
    if not task.shards.exists():
        commands.append(program("data", "prepare", f"--data={text}", f"--out={task.shards}", "--quiet"))
    for shape in {shape.vocab: shape for shape in shapes}.values():
        folder = task.tokenizer(shape)
        if not (folder / bpe_file.NAME).exists():
            flags = (f"--data={text}", f"--vocab-size={shape.vocab}", f"--out={folder}", "--quiet")
            commands.append(program("tokenizer", "train", *flags))
    return commands


def data(text: str, shapes: list[Shape], task: Task) -> None:
    """Shards and tokenizers of ``text`` in the work folder, which belongs to that text from then on.

    Raises ConfigError where the folder holds another.
    """
    if Path(text).exists():
        text = str(Path(text).resolve())  # the commands below run elsewhere
    task.work.mkdir(parents=True, exist_ok=True)
    told = task.work / "text.txt"
    if told.exists() and told.read_text(encoding="utf-8") != text:
        raise ConfigError(f"--work {task.work}: was made of --text {told.read_text(encoding='utf-8')}: choose another")
    told.write_text(text, encoding="utf-8")
    for arguments in data_commands(text, shapes, task):
        _must(arguments, "cannot prepare the data", cwd=ROOT)


def stand_ins(names: list[str], task: Task) -> None:
    """Empty modules of these names, where upstream's environment finds them last."""
    folder = task.work / "stand_ins"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"{name}.py").touch()


def base_dirs(shapes: list[Shape], task: Task, upstream: Upstream) -> None:
    """Upstream's folder for each vocabulary: the same shards, by link, and the same tokenizer.

    Raises DataError where upstream's encoder gives other ids than ours.
    """
    for shape in {shape.vocab: shape for shape in shapes}.values():
        _base_dir(shape, task, upstream)


def _base_dir(shape: Shape, task: Task, upstream: Upstream) -> None:
    folder = task.base_dir(shape)
    shards = folder / "base_data_climbmix"
    shards.mkdir(parents=True, exist_ok=True)
    for shard in task.shards.glob("*.parquet"):  # the validation shard is the last by name, as upstream takes it
        link = shards / shard.name
        link.unlink(missing_ok=True)
        link.symlink_to(shard.resolve())
    bpe = task.tokenizer(shape) / bpe_file.NAME
    driver = [str(upstream.python), str(DRIVERS / "tokenizer_files.py"), str(bpe), str(folder / "tokenizer")]
    (folder / "tokenizer").mkdir(exist_ok=True)
    printed = _must(
        driver, "cannot make upstream's tokenizer", cwd=upstream.checkout, path=upstream.checkout, text=_SAMPLE
    )
    theirs = json.loads(re.findall(r"^\[.*\]$", printed, re.MULTILINE)[-1])
    if theirs != bpe_file.load(task.tokenizer(shape)).encode(_SAMPLE).tolist():
        raise DataError(f"{bpe}: upstream's encoder gives other token ids than ours")


def _must(arguments: list[str], problem: str, cwd: Path | None = None, path: Path | None = None, text: str = "") -> str:
    """What a command prints.  Raises RunError with the end of its stderr where it fails."""
    variables = {} if path is None else {"PYTHONPATH": str(path)}
    try:
        done = subprocess.run(
            arguments,
            cwd=cwd,
            env=child.environment(variables),
            input=text.encode(),
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise RunError(f"{problem}: {error}") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise RunError(f"{problem}: {' / '.join(lines[-3:]) or f'exit code {done.returncode}'}")
    return done.stdout.decode()


def _git(checkout: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"--upstream-dir {checkout}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def preview(command: list[str]) -> str:
    """As one would type it."""
    return child.shown(Command(command, {}, ROOT))
