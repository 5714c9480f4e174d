from tests.train.conftest import lab

__all__ = ["lab"]
