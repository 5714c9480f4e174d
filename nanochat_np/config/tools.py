"""Tools: doctor, bench."""

from typing import Annotated, Literal

from msgspec import Meta

from nanochat_np.config.common import Common, DeviceName, Folder


class DoctorConfig(Common, frozen=True, kw_only=True):
    """Show devices, BLAS, threads, measured speed and versions, and what to do about what is missing.

    Examples:
      python -m nanochat_np doctor
      python -m nanochat_np doctor --threads 1 --json
    """


class BenchConfig(Common, frozen=True, kw_only=True):
    """Measure speed: steps of the character lab, with the command and the environment beside the figures.

    Examples:
      python -m nanochat_np bench
      python -m nanochat_np bench lab --repeats 9 --device auto
    """

    what: Annotated[Literal["lab"], Meta(description="what to measure", extra={"positional": True})] = "lab"
    repeats: Annotated[int, Meta(ge=1, description="timed repeats of each case; the median is reported")] = 5
    device: DeviceName = "cpu"
    out: Annotated[Folder | None, Meta(description="folder of the result (default: results/bench_lab_TIME)")] = None
