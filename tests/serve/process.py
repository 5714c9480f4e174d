"""``serve`` in a process of its own, over a GPT that has learnt nothing."""

import contextlib
import os
import re
import signal
import subprocess
import sys

import msgspec

from nanochat_np.text import bpe_file
from nanochat_np.train import checkpoint
from nanochat_np.train.checkpoint import Checkpoint
from nanochat_np.train.meta import GPTMeta
from tests.infer.tiny import CONFIG, TOKENIZER, weights

NEVER_ENDS = {str(TOKENIZER.special_ids[name]): -100 for name in ("<|bos|>", "<|assistant_end|>")}  # as logit_bias


def save_model(path, sequence_len=4096):
    """A run with one checkpoint."""
    meta = GPTMeta(
        step=1,
        dtype="float32",
        train_seconds=0,
        stage="pretrain",
        model=msgspec.structs.replace(CONFIG, sequence_len=sequence_len),
        tokenizer=TOKENIZER.fingerprint,
    )
    texts = {bpe_file.NAME: bpe_file.encoded(TOKENIZER)}
    checkpoint.save(path / "checkpoints", Checkpoint(meta=meta, weights=weights("float32"), state={}, texts=texts))
    return path


class Process:
    """``url`` is where it listens."""

    def __init__(self, path, *flags):
        environment = os.environ | {"NANOCHAT_NP_KERNELS": "numpy", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "nanochat_np", "serve", f"--checkpoint={path}", "--port=0", "--device=cpu"]
        self.popen = subprocess.Popen(
            [*command, *flags], stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )
        self.url = ""
        for line in self.popen.stderr:
            if found := re.search(r"http://\S+", line):
                self.url = found[0]
                break

    def end(self, timeout=30):
        """Its exit code and the rest of what it said."""
        _, said = self.popen.communicate(timeout=timeout)
        return self.popen.returncode, said


@contextlib.contextmanager
def serving(path, *flags):
    process = Process(path, *flags)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.popen.pid, signal.SIGKILL)  # and its workers
        process.popen.communicate()
