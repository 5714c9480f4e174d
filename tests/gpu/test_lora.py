"""LoRA on a GPU: the weights of the CPU."""

import numpy as np

from nanochat_np.backend import to_numpy
from nanochat_np.optim.lora import Adapter, LoRA


def test_steps_are_those_of_the_cpu(device):
    rng = np.random.default_rng(0)
    weights, grads = ({"w": rng.standard_normal((6, 5)), "frozen": rng.standard_normal((3, 2))} for _ in range(2))
    adapter = Adapter(names=("w",), rank=2, alpha=4.0, lr=0.1, seed=0)
    cpu = {name: values.copy() for name, values in weights.items()}
    with device.active():
        gpu, of_gpu = ({name: device.array(x) for name, x in arrays.items()} for arrays in (weights, grads))
        for on, g in ((cpu, grads), (gpu, of_gpu)):
            lora = LoRA(on, adapter)
            for _ in range(2):
                lora.step(lora.gradient(g), 1.0, 0.9, 1.0)
        assert (cpu["w"] != weights["w"]).all()
        for name, values in cpu.items():
            np.testing.assert_allclose(to_numpy(gpu[name]), values, rtol=1e-10)
