"""The numbers that follow from a depth are those that upstream prints."""

import pytest

from nanochat_np.errors import ConfigError
from nanochat_np.nn.gpt_scaling import horizon, of_depth

# depth: width, heads, scaling parameters, tokens, log2 of the batch, rate multiplier, weight decay, steps
# (upstream at 92d63d4 with its defaults: sequence 2048, vocabulary 32768, SSSL, aspect 64, head 128, ratio 12).
UPSTREAM = {
    2: (128, 1, 4_587_532, 55_050_384, 17, 0.5000, 3.36000, 420),
    4: (256, 2, 11_534_384, 138_412_608, 18, 0.7071, 1.88990, 528),
    6: (384, 3, 23_199_852, 278_398_224, 18, 0.7071, 0.93961, 1062),
    8: (512, 4, 41_943_232, 503_318_784, 18, 0.7071, 0.51972, 1920),
    10: (640, 5, 70_123_820, 841_485_840, 19, 1.0000, 0.43963, 1605),
    12: (768, 6, 110_100_912, 1_321_210_944, 19, 1.0000, 0.28000, 2520),
    16: (1024, 8, 234_881_792, 2_818_581_504, 19, 1.0000, 0.13125, 5376),
    20: (1280, 10, 435_160_240, 5_221_922_880, 20, 1.4142, 0.10019, 4980),
    24: (1536, 12, 729_810_624, 8_757_727_488, 20, 1.4142, 0.05974, 8352),
    26: (1664, 13, 918_423_532, 11_021_082_384, 20, 1.4142, 0.04747, 10510),
    32: (2048, 16, 1_677_724_672, 20_132_696_064, 21, 2.0000, 0.03675, 9600),
}


@pytest.mark.parametrize("depth", UPSTREAM)
def test_the_table_of_upstream(depth):
    width, heads, count, tokens, log_batch, multiplier, decay, steps = UPSTREAM[depth]
    config = of_depth(depth)
    found = horizon(config, of_depth(12))
    assert (config.n_embd, config.n_head, config.n_kv_head, config.n_layer) == (width, heads, heads, depth)
    assert (found.scaling_params, found.target_tokens, found.total_batch_size) == (count, tokens, 2**log_batch)
    assert found.iterations == steps
    assert round(found.rate_multiplier, 4) == multiplier
    assert round(found.weight_decay, 5) == decay


def test_the_length_can_be_given_in_steps_or_operations():
    config, reference = of_depth(4), of_depth(12)
    assert horizon(config, reference, iterations=7).iterations == 7
    bought = horizon(config, reference, target_flops=1e15)
    assert bought.iterations == round(1e15 / (bought.flops_per_token * bought.total_batch_size))
    assert horizon(config, reference, total_batch_size=4096).total_batch_size == 4096


def test_heads_are_whole():
    config = of_depth(5, aspect_ratio=64, head_dim=128)
    assert (config.n_embd, config.n_head) == (384, 3)


def test_a_batch_larger_than_the_horizon_is_refused():
    with pytest.raises(ConfigError, match="--total-batch-size"):
        horizon(of_depth(2), of_depth(12), total_batch_size=2**40)
