"""Keys and values of the positions already read, so that the next token costs one position and not all of them."""

from nanochat_np.backend.arrays import Array
from nanochat_np.backend.device import Device
from nanochat_np.nn.model import ModelConfig


class KVCache:
    """Room for one window: k and v (L, 1, H, T, D).  ``length`` positions are filled."""

    def __init__(self, config: ModelConfig, device: Device, dtype: str | type) -> None:
        shape = (config.n_layer, 1, config.n_head, config.block_size, config.n_embd // config.n_head)
        self._k, self._v = device.xp.zeros(shape, dtype), device.xp.zeros(shape, dtype)
        self._last_layer = config.n_layer - 1
        self.length = 0

    def append(self, layer: int, k: Array, v: Array) -> tuple[Array, Array]:
        """Add the keys and values (1, H, T, D) of new positions; returns those of all positions so far, (1, H, S, D).

        The last layer's call ends the positions: ``length`` grows by T.
        """
        end = self.length + k.shape[2]
        self._k[layer][:, :, self.length : end] = k
        self._v[layer][:, :, self.length : end] = v
        if layer == self._last_layer:
            self.length = end
        return self._k[layer][:, :, :end], self._v[layer][:, :, :end]
