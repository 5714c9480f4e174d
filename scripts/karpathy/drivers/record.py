"""Record upstream's training from its first weights on: run by upstream's Python, in its checkout.

    python record.py FOLDER NUDGE [flags of scripts.base_train]

The training script is upstream's own.  Beside its usual output FOLDER has weights.npz, the parameters before the first
step; batches.npz, the ids that every step saw; and losses.json, each step's loss, with the model's settings.
Before the first step every parameter is multiplied by 1 + NUDGE·z with a normal z of its own: 0 leaves upstream as it
is, and 1e-7, about the rounding of float32, shows by how much two runs of upstream itself come apart.  Nothing must be
compiled (TORCH_COMPILE_DISABLE=1), or the losses of steps would not pass through here.
"""

import json
import runpy
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from nanochat.gpt import GPT

folder, nudge = Path(sys.argv.pop(1)), float(sys.argv.pop(1))
inputs, targets, losses, settings = [], [], [], {}
init_weights, forward = GPT.init_weights, GPT.forward


def recorded_init(self):
    init_weights(self)
    generator = torch.Generator().manual_seed(0)
    if nudge:
        for p in self.parameters():
            p.data *= 1 + nudge * torch.randn(p.shape, generator=generator)
    np.savez(folder / "weights.npz", **{name: p.detach().float().numpy() for name, p in self.named_parameters()})
    settings.update(asdict(self.config))


def recorded_forward(self, idx, targets_=None, *rest, **named):
    result = forward(self, idx, targets_, *rest, **named)
    if self.training and targets_ is not None:
        inputs.append(idx.numpy().astype(np.int32))
        targets.append(targets_.numpy().astype(np.int32))
        losses.append(result.item())
    return result


GPT.init_weights, GPT.forward = recorded_init, recorded_forward
runpy.run_module("scripts.base_train", run_name="__main__", alter_sys=True)
np.savez(folder / "batches.npz", inputs=np.stack(inputs), targets=np.stack(targets))
(folder / "losses.json").write_text(json.dumps({"config": settings, "losses": losses}), encoding="utf-8")
