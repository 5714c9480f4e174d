from tests.train.conftest import lab, tmp_path

__all__ = ["lab", "tmp_path"]
