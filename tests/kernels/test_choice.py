"""Who computes on the CPU: chosen by a variable for the process (the flag: tests/train/test_kernels_flag.py)."""

import pytest

from nanochat_np import kernels
from nanochat_np.commands.doctor_kernels import kernels_section
from nanochat_np.errors import ConfigError
from nanochat_np.kernels import ceiling

pytestmark = pytest.mark.usefixtures("kernels_as_before")


def test_the_variable(monkeypatch):
    monkeypatch.setenv(kernels.VARIABLE, "numpy")
    kernels.obey_environment()
    assert not kernels.in_use()
    assert kernels_section() == {"in_use": "numpy", "why": "asked for"}
    monkeypatch.setenv(kernels.VARIABLE, "fast")
    with pytest.raises(ConfigError, match="NANOCHAT_NP_KERNELS=fast: takes auto, numba, numpy"):
        kernels.obey_environment()


def test_numba_is_asked_for_where_it_is_not(monkeypatch):
    monkeypatch.setenv(kernels.VARIABLE, "numba")
    monkeypatch.setattr(kernels, "can_compile", lambda: False)
    with pytest.raises(ConfigError, match="pip install numba"):
        kernels.obey_environment()


@pytest.mark.slow
def test_ceilings():
    assert ceiling.in_cache_gflops("float32") > 1
    assert ceiling.in_cache_gflops("bfloat16") > 1
    assert ceiling.copy_gigabytes(1 << 20) > 0.1
