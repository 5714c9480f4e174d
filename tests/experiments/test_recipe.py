"""The recipe of the speedrun: three stages on one schedule."""

import pytest

from nanochat_np.config import SpeedrunConfig
from nanochat_np.experiments import recipe
from nanochat_np.optim.groups import lr_multiplier


def test_each_stage_goes_on_at_the_rates_where_the_last_one_ended(tmp_path):
    _, midtrain, sft = recipe.stages(SpeedrunConfig(seed=3), tmp_path)
    steps, total = recipe.STEPS, sum(recipe.STEPS.values())
    found = [1.0] * steps["pretrain"]
    for config in (midtrain, sft):
        arguments = config.num_iterations, config.warmup_steps, config.warmdown_ratio, config.final_lr_frac
        found += [config.init_lr_frac * lr_multiplier(step, *arguments) for step in range(config.num_iterations)]
    assert len(found) == total
    half = total // 2
    expected = [min(1.0, (total - step) / (total - half)) for step in range(total)]
    assert found == pytest.approx(expected, abs=2e-3)


def test_stages_follow_each_other_with_one_seed(tmp_path):
    pretrain, midtrain, sft = recipe.stages(SpeedrunConfig(seed=3, device="cpu"), tmp_path)
    assert (midtrain.base, sft.base) == (pretrain.out, midtrain.out)
    assert {config.seed for config in (pretrain, midtrain, sft)} == {3}
    assert len({config.out for config in (pretrain, midtrain, sft)}) == 3
    assert pretrain.tokenizer == str(tmp_path / recipe.TOKENIZER)
