"""Memory that grows while the work repeats is a leak; it is better to stop than to be killed."""

from nanochat_np.errors import MemoryDrift

_MIB = 2**20


class MemoryDriftGuard:
    """Compares memory with a baseline that is fixed once: the most seen in the first ``window`` observations.

    A baseline that slides with the observations would never see a slow leak.
    """

    def __init__(self, ratio: float, window: int) -> None:
        """Allow ``ratio`` times the baseline; 0 switches the guard off."""
        self._ratio, self._window = ratio, window
        self.restart()

    def restart(self) -> None:
        """Take a new baseline: something has begun that may rightly need more memory."""
        self._seen = 0
        self.baseline = 0

    def observe(self, n_bytes: int) -> None:
        """Take one observation.  Raises MemoryDrift where it is above the allowance."""
        if not self._ratio:
            return
        if self._seen < self._window:
            self._seen += 1
            self.baseline = max(self.baseline, n_bytes)
        elif n_bytes > self._ratio * self.baseline:
            raise MemoryDrift(
                f"memory drift: {n_bytes / _MIB:.0f} MiB is {n_bytes / self.baseline:.2f} times the baseline of "
                f"{self.baseline / _MIB:.0f} MiB, --memory-guard-ratio allows {self._ratio:g}"
            )
