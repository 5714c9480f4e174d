"""Datasets that are hosted as shards for everyone."""

from dataclasses import dataclass

_HUB = "https://huggingface.co/datasets/karpathy"


@dataclass(frozen=True)
class Hosted:
    """``shards`` files at ``url``, where ``%05d`` stands for their number; number ``validation`` is for validation."""

    url: str
    shards: int
    validation: int


HOSTED = {
    "climbmix": Hosted(f"{_HUB}/climbmix-400b-shuffle/resolve/main/shard_%05d.parquet", 6543, 6542),
    "fineweb-edu": Hosted(f"{_HUB}/fineweb-edu-100b-shuffle/resolve/main/shard_%05d.parquet", 1823, 1822),
}
