"""Upstream's training script with another seed than its own 42: run by upstream's Python, in its checkout.

python seeded.py SEED [flags of scripts.base_train]
"""

import runpy
import sys

import torch

seed = int(sys.argv.pop(1))
set_seed = torch.manual_seed
torch.manual_seed = lambda own: set_seed(seed)
runpy.run_module("scripts.base_train", run_name="__main__", alter_sys=True)
