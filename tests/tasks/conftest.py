import pytest

from nanochat_np.data import corpus
from nanochat_np.tasks import words


@pytest.fixture(autouse=True, scope="session")
def _fewer_words():
    """Those of the reference text alone: to read the library's sources takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "load_corpus", lambda name: corpus.load_corpus("pydocs"))
        words.english.cache_clear()
        yield
    words.english.cache_clear()
