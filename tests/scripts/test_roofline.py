"""The roofline's script on a tiny model: every kernel of a step has a line, and counts belong together."""

import json

import numpy as np
import pytest
import roofline

TINY = [
    "--n-layer=1",
    "--n-head=1",
    "--n-embd=32",
    "--max-seq-len=16",
    "--batch-size=1",
    "--vocab-size=40",
    "--steps=1",
]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_kernel_of_a_step_has_a_line(tmp_path, dtype):
    assert roofline.main([*TINY, f"--dtype={dtype}", f"--out={tmp_path}"]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    found = {each["kernel"]: each for each in summary["kernels"]}
    assert {"blockwise_attention_backward", "adamw_rows_update", "polar_express", "mix_norm"} <= set(found)
    assert all(each["milliseconds"] > 0 and each["megabytes"] > 0 for each in found.values())
    assert sum(each["milliseconds"] for each in found.values()) < summary["step_milliseconds"]
    readme = (tmp_path / "README.md").read_text()
    assert all(f"| {name} |" in readme for name in found)
    assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")


def test_operations_and_bytes():
    x, y, out = np.ones((8, 16), "f4"), np.ones((16, 4), "f4"), np.zeros((8, 4), "f4")
    assert roofline.operations("matrix_product", (x, y, out), out) == 2 * 8 * 16 * 4
    assert roofline.traffic("matrix_product", (x, y, out, False, None), out) == 4 * (8 * 16 + 16 * 4 + 8 * 4)
    assert roofline.traffic("matrix_product", (x, y, out, True, None), out) == 4 * (8 * 16 + 16 * 4 + 2 * 8 * 4)
    table, idx, rows = np.ones((1000, 16), "f4"), np.zeros(5, "i8"), np.ones((1, 5, 16), "f4")
    assert roofline.traffic("embedding_norm", (table, idx, 1e-5), rows) == 4 * 2 * 5 * 16 + 8 * 5
    q = np.ones((1, 2, 6, 4), "f4")
    assert roofline.operations("blockwise_attention", (q, q, q, None), None) == 4 * 2 * 4 * 21
    assert roofline.operations("blockwise_attention", (q, q, q, 1), None) == 4 * 2 * 4 * (1 + 5 * 2)
