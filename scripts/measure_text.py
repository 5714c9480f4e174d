"""Speed of what comes before training: a tokenizer trained, text encoded, batches packed; one JSON object on stdout.

    python scripts/measure_text.py
    python scripts/measure_text.py --text FOLDER --megabytes 50 --vocab-size 8192

The text is what Python brings (sources of the standard library and of installed packages) or the files below --text, in
order of their names. Encoding is measured in one thread and in all, in 10**6 bytes a second; the loader in tokens a
second over one pass, reading, encoding and packing into rows of 512 tokens, without the thread that prefetches.
"""

import argparse
import hashlib
import itertools
import json
import sys
import sysconfig
import tempfile
from pathlib import Path
from time import perf_counter

from nanochat_np.backend.device import Device
from nanochat_np.data.loader import packed_batches
from nanochat_np.data.split import open_split
from nanochat_np.text.bpe_training import train_bpe
from nanochat_np.train.env_record import env_record

_ROWS, _LENGTH = 8, 512


def main(words: list[str]) -> int:
    usage = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usage.add_argument("--text", type=Path, default=Path(sysconfig.get_path("stdlib")), help="folder of texts")
    usage.add_argument("--megabytes", type=float, default=50, help="of text to train on (default: %(default)s)")
    usage.add_argument("--vocab-size", type=int, default=8192, help="tokens (default: %(default)s)")
    args = usage.parse_args(words)
    texts = read(args.text, int(1e6 * args.megabytes))
    size = sum(len(text.encode()) for text in texts)
    begin = perf_counter()
    tokenizer = train_bpe(texts, args.vocab_size)
    found = {
        "bytes": size,
        "sha256": hashlib.sha256("".join(texts).encode()).hexdigest(),
        "vocab_size": args.vocab_size,
        "train_seconds": perf_counter() - begin,
    }
    begin = perf_counter()
    tokens = sum(len(tokenizer.encode(text)) for text in texts)
    found |= {"tokens": tokens, "encode_mb_per_s_one_thread": size / 1e6 / (perf_counter() - begin)}
    begin = perf_counter()
    tokenizer.encode_batch(texts)
    found["encode_mb_per_s"] = size / 1e6 / (perf_counter() - begin)
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(texts):
            Path(folder, f"{number:06}.txt").write_text(text, encoding="utf-8")
        begin = perf_counter()
        batches = packed_batches(open_split(folder).train, tokenizer, _ROWS, _LENGTH)
        count = sum(batch.inputs.size for batch in itertools.islice(batches, tokens // (_ROWS * _LENGTH)))
        found["loader_tokens_per_s"] = count / (perf_counter() - begin)
    print(json.dumps(found | {"environment": env_record(Device())}, indent=2))
    return 0


def read(folder: Path, most: int) -> list[str]:
    """Texts below the folder, so many bytes of them.  Raises SystemExit where there are fewer."""
    texts, left = [], most
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".py", ".txt", ".md", ".rst"}):
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue
        texts.append(text)
        left -= len(text.encode())
        if left <= 0:
            return texts
    raise SystemExit(f"measure_text: {folder} has {(most - left) / 1e6:.1f} MB of text: give less --megabytes")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
