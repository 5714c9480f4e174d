"""What follows from the flags of pretraining, shown by ``--dry-run``."""

from pathlib import Path

import pytest

from nanochat_np.backend.device import Device
from nanochat_np.commands import pretrain

# What upstream at 92d63d4 prints with its defaults (sequence 2048, vocabulary 32768, SSSL, aspect 64, head 128, ratio
# 12), by running it: depth, width, heads | wte, value embeddings, head, matrices, scalars, total | parameters that
# scale | FLOPs a token | tokens, log2 of the batch, multiplier of the rates, weight decay, steps.
UPSTREAM = """
2 128 1 4194304 4194304 4194304 393228 30 12976170 4587532 3.145750e+07 55050384 17 0.5000 3.36000 420
4 256 2 8388608 16777216 8388608 3145776 34 36700242 11534384 8.021650e+07 138412608 18 0.7071 1.88990 528
6 384 3 12582912 37748736 12582912 10616940 38 73531538 23199852 1.675108e+08 278398224 18 0.7071 0.93961 1062
8 512 4 16777216 67108864 16777216 25166016 42 125829354 41943232 2.956997e+08 503318784 18 0.7071 0.51972 1920
10 640 5 20971520 104857600 20971520 49152300 46 195952986 70123820 4.954541e+08 841485840 19 1.0000 0.43963 1605
12 768 6 25165824 150994944 25165824 84935088 50 286261730 110100912 7.596960e+08 1321210944 19 1.0000 0.28000 2520
16 1024 8 33554432 268435456 33554432 201327360 58 536871738 234881792 1.585452e+09 2818581504 19 1.0000 0.13125 5376
20 1280 10 41943040 419430400 41943040 393217200 66 896533746 435160240 2.886213e+09 5221922880 20 1.4142 0.10019 4980
24 1536 12 50331648 603979776 50331648 679478976 74 1384122122 729810624 4.775226e+09 8757727488 20 1.4142 0.05974 8352
26 1664 13 54525952 708837376 54525952 863897580 78 1681786938 918423532 5.991051e+09 11021082384 20 1.4142 0.04747 10510
32 2048 16 67108864 1073741824 67108864 1610615808 90 2818575450 1677724672 1.077099e+10 20132696064 21 2.0000 0.03675 9600
"""  # noqa: E501
FLAGS = ("--data=climbmix", "--max-seq-len=2048", "--device-batch-size=32", "--device=cpu")


@pytest.mark.parametrize("line", UPSTREAM.split("\n")[1:-1], ids=lambda line: f"d{line.split()[0]}")
def test_the_derived_table_is_upstreams_to_the_last_digit(lab, line):
    depth = line.split()[0]
    found = lab("pretrain", "--dry-run", "--json", *FLAGS, f"--depth={depth}").summary
    numbers = [
        *(found["depth"], found["n_embd"], found["n_head"], *found["parameters"].values(), found["scaling_params"]),
        *(f"{found['flops_per_token']:.6e}", found["target_tokens"], found["total_batch_size"].bit_length() - 1),
        *(f"{found['rate_multiplier']:.4f}", f"{found['weight_decay']:.5f}", found["num_iterations"]),
    ]
    assert " ".join(map(str, numbers)) == line
    assert 2 ** (found["total_batch_size"].bit_length() - 1) == found["total_batch_size"]
    assert found["accumulation"] * 32 * 2048 == found["total_batch_size"]


def test_what_a_person_reads(lab):
    table = lab("pretrain", "--dry-run", *FLAGS, "--depth=12").out
    for text in ("286,261,730", "110,100,912", "7.596960e+08", "524,288 tokens: 8 passes of 32 rows", "0.28000"):
        assert text in table
    assert not Path("results").exists()


def derived(lab, *flags):
    result = lab("pretrain", "--dry-run", "--json", "--device=cpu", *flags)
    assert result.code == 0, result
    return result.summary


def test_the_length_of_a_run(lab):
    assert derived(lab)["num_iterations"] == 300
    assert derived(lab, "--num-iterations=7")["num_iterations"] == 7
    flops = derived(lab, "--data=climbmix", "--target-flops=1e15", "--total-batch-size=8192")
    assert flops["num_iterations"] == round(1e15 / (flops["flops_per_token"] * 8192))
    ratio = derived(lab, "--data=climbmix", "--target-param-data-ratio=3")
    assert ratio["target_tokens"] == 3 * ratio["scaling_params"]
    assert ratio["num_iterations"] == ratio["target_tokens"] // ratio["total_batch_size"]


@pytest.mark.parametrize(
    ("flags", "multiplier"),
    [
        ((), 6 * (4096 / 2**19) ** 0.5),
        (("--rate-scale=2",), 2 * (4096 / 2**19) ** 0.5),
        (("--data=climbmix", "--total-batch-size=4096", "--device-batch-size=8"), (4096 / 2**19) ** 0.5),
        (("--device-batch-size=8", "--total-batch-size=4096"), (4096 / 2**19) ** 0.5),
    ],
)
def test_a_small_text_has_larger_rates(lab, flags, multiplier):
    result = lab("pretrain", "--dry-run", "--json", "--depth=4", *flags)
    assert result.summary["rate_multiplier"] == pytest.approx(multiplier)


def test_rates_are_positive(lab):
    assert "--rate-scale 0: must be more than 0" in lab("pretrain", "--dry-run", "--rate-scale=0").error(1)


def test_a_gpu_trains_in_float32_so_far(lab, monkeypatch):
    monkeypatch.setattr(pretrain, "select_device", lambda name: Device(0))
    line = lab("pretrain", "--dry-run", "--data=climbmix", "--dtype=bfloat16", "--device=cuda").error(1)
    assert "--dtype bfloat16: a GPU multiplies in float32 so far" in line


def test_a_derived_batch_is_a_multiple_of_a_pass(lab):
    found = derived(lab, "--data=climbmix", "--max-seq-len=500", "--device-batch-size=7")
    assert found["total_batch_size"] == 3500 * found["accumulation"]
    assert abs(found["total_batch_size"] - 2**18) <= 3500 / 2


def test_the_two_architectures(lab):
    current, classic = derived(lab), derived(lab, "--architecture=classic")
    assert current["windows"] == [128, 128, 128, 512]
    assert classic["windows"] == [512] * 4
    assert classic["parameters"]["value_embeds"] == classic["parameters"]["scalars"] == 0
    assert derived(lab, "--n-kv-head=1")["n_kv_head"] == 1


def test_configurations_that_come_with_the_project(lab):
    folder = Path(__file__).parents[2] / "scripts/configs"
    paths = sorted(folder.glob("*.toml"))
    assert {path.stem for path in paths} >= {"d4", "d12", "d20"}
    for path in paths:
        assert derived(lab, f"--config={path}")["depth"] == int(path.stem[1:])
    twelve = derived(lab, f"--config={folder / 'd12.toml'}")
    assert (twelve["num_iterations"], twelve["total_batch_size"]) == (2520, 2**19)


def test_a_dry_run_needs_the_size_of_the_vocabulary(lab):
    assert "--vocab-size" in lab("pretrain", "--dry-run", "--tokenizer=somewhere").error(1)
    assert derived(lab, "--tokenizer=somewhere", "--vocab-size=500")["vocab_size"] == 500
