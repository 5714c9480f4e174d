"""Compare this package's GPT with recorded numbers of another implementation.

    python scripts/check_golden.py FILE_OR_FOLDER...

A FILE is an .npz of karpathy/nanochat in PyTorch: ``config`` (JSON), ``idx`` and ``targets`` (6, B, T),
``param/NAME``, ``logits``, ``loss`` and ``grad/NAME`` of batch 0, and after six optimizer steps ``step_losses`` and
``after/NAME``. A FOLDER is a Hugging Face NanoChat checkpoint with golden.npz beside it: ``input_ids``, ``logits``,
``loss``, ``grad/NAME``; any other folder means what it holds of both. Prints one JSON line each and exits with 3 if any
limit is passed.
"""

import json
import sys
from pathlib import Path

import numpy as np

import nanochat_np.backend  # noqa: F401  prepares BLAS
from nanochat_np.interop import huggingface
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, shapes
from nanochat_np.optim.groups import MuonAdamW, Rates

LIMITS = {"logits": 2e-5, "loss": 1e-6, "gradients": 1e-4, "step_losses": 1e-4, "parameters": 2e-3}
# A gradient that is 0 in exact arithmetic is recorded as rounding: below this norm it must be as small here.  AdamW
# turns such rounding into whole steps, so backout_lambda of a one-layer model, whose gradient is always 0, is not
# compared after them.
NOISE = 1e-7


def main(paths: list[str]) -> int:
    found = [each for path in paths for each in recordings(Path(path))]
    results = [check(path) for path in found]
    for result in results:
        print(json.dumps(result))
    if not results:
        print(f"error: nothing recorded in {' '.join(paths) or 'no path'}", file=sys.stderr)
    return 0 if results and all(result["ok"] for result in results) else 3


def recordings(path: Path) -> list[Path]:
    """The path itself, or the recordings in a folder that is none."""
    if not path.is_dir() or (path / "golden.npz").exists():
        return [path]
    return sorted([*path.glob("*.npz"), *(folder.parent for folder in path.glob("*/golden.npz"))])


def check(path: Path) -> dict[str, object]:
    """The largest difference of each kind, and whether all are within LIMITS."""
    found = of_folder(path) if path.is_dir() else of_file(path)
    ok = all(value <= LIMITS[name] for name, value in found.items())
    return {"path": str(path), "ok": ok, **found}


def of_file(path: Path) -> dict[str, float]:
    """Differences from a recording of upstream."""
    recorded = np.load(path)
    content = json.loads(str(recorded["config"]))
    rates = content["lr"]
    config = GPTConfig(**{name: value for name, value in content.items() if name in GPTConfig.__struct_fields__})
    weights = {name: recorded[f"param/{name}"].copy() for name in shapes(config)}
    found = forward_and_gradient(config, weights, recorded["idx"][0], recorded["targets"][0], recorded, str)
    silent = {"backout_lambda"} if config.n_layer == 1 else set()
    optimizer = MuonAdamW(
        weights,
        config.n_embd,
        Rates(
            embedding=rates["embedding_lr"],
            unembedding=rates["unembedding_lr"],
            matrix=rates["matrix_lr"],
            scalar=rates["scalar_lr"],
            weight_decay=rates["weight_decay"],
        ),
    )
    losses = []
    for it, (idx, targets) in enumerate(zip(recorded["idx"], recorded["targets"], strict=True)):
        grads = {name: np.zeros_like(value) for name, value in weights.items()}
        loss, cache = gpt.forward(weights, config, idx, targets, grads)
        gpt.backward(cache, grads)
        optimizer.step(grads, lr_multiplier=(it + 1) / 6, momentum=0.85 + 0.02 * it, decay_multiplier=1 - it / 6)
        losses.append(float(loss))
    found["step_losses"] = float(np.abs(np.array(losses) - recorded["step_losses"]).max())
    found["parameters"] = max(
        relative(weights[name], recorded[f"after/{name}"]) for name in weights if name not in silent
    )
    return found


def of_folder(path: Path) -> dict[str, float]:
    """Differences from a recording of transformers."""
    recorded = np.load(path / "golden.npz")
    config = huggingface.read_config(path)
    weights = huggingface.read_weights(path, config)
    ids = recorded["input_ids"]
    targets = np.concatenate([ids[:, 1:], np.full((len(ids), 1), -1)], axis=1)
    return forward_and_gradient(config, weights, ids, targets, recorded, huggingface.hf_name)


def forward_and_gradient(config, weights, idx, targets, recorded, named) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Differences of logits (absolute), loss (relative) and gradients (relative in norm, the worst)."""
    logits = gpt.logits(weights, config, idx)
    grads = {name: np.zeros_like(value) for name, value in weights.items()}
    loss, cache = gpt.forward(weights, config, idx, targets, grads)
    gpt.backward(cache, grads)
    pairs = [(grads[name], recorded[f"grad/{named(name)}"]) for name in weights]
    return {
        "logits": float(np.abs(logits - recorded["logits"].reshape(logits.shape)).max()),
        "loss": float(abs(loss - recorded["loss"]) / abs(recorded["loss"])),
        "gradients": max(relative(ours[: len(theirs)], theirs) for ours, theirs in pairs),
    }


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Norm of the difference over the norm; of what is NOISE, 0 if ours is too and infinity if not."""
    norm = float(np.linalg.norm(theirs))
    if norm < NOISE:
        return 0.0 if np.linalg.norm(ours) < NOISE else float("inf")
    return float(np.linalg.norm(ours - theirs)) / norm


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
