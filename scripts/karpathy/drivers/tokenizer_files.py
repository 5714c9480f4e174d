"""Make upstream's tokenizer files of a bpe.json: run by upstream's Python, in its checkout.

    python tokenizer_files.py BPE_JSON FOLDER < TEXT

Writes tokenizer.pkl and token_bytes.pt, and prints the token ids of TEXT as JSON, to be compared with ours.
"""

import json
import sys
from pathlib import Path

import tiktoken
import torch
from nanochat.tokenizer import SPECIAL_TOKENS, RustBPETokenizer

source, folder = map(Path, sys.argv[1:])
content = json.loads(source.read_text(encoding="utf-8"))
tokens = [token.encode("latin-1") for token in content["tokens"]]
assert content["special_tokens"] == SPECIAL_TOKENS, "other special tokens than upstream's"
encoding = tiktoken.Encoding(
    name="rustbpe",
    pat_str=content["pattern"],
    mergeable_ranks={token: rank for rank, token in enumerate(tokens)},
    special_tokens={name: len(tokens) + i for i, name in enumerate(SPECIAL_TOKENS)},
)
tokenizer = RustBPETokenizer(encoding, SPECIAL_TOKENS[0])
tokenizer.save(str(folder))
sizes = [*map(len, tokens), *(0 for _ in SPECIAL_TOKENS)]
torch.save(torch.tensor(sizes, dtype=torch.int32), folder / "token_bytes.pt")
print(json.dumps(tokenizer.encode(sys.stdin.buffer.read().decode("utf-8"))))
