"""The official client of OpenAI against a real server on this machine."""

import threading

import pytest

from nanochat_np.serve.app import application, service_of
from nanochat_np.serve.service import Settings
from tests.serve.fake import FakeEngine, spelled
from tests.serve.live import listening

pytestmark = pytest.mark.interop
HI = [{"role": "user", "content": "hi"}]


@pytest.fixture
def engine():
    return FakeEngine(lambda prompt: spelled("hello"))


@pytest.fixture
def client(engine):
    import openai

    service = service_of(engine, Settings(model="tiny", api_key="secret"))
    with listening(application(service)) as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="secret", max_retries=0) as client:
            yield client
        engine.steps_allowed(10**9)


def test_answers_in_both_modes(client):
    whole = client.chat.completions.create(model="tiny", messages=HI, n=2, seed=1)
    assert [choice.message.content for choice in whole.choices] == ["hello", "hello"]
    assert whole.usage.total_tokens == 16
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model="tiny", messages=HI, stream=True, stream_options=options))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "hello"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == 5
    stopped = client.chat.completions.create(model="tiny", messages=HI, stop=["l"])
    assert stopped.choices[0].message.content == "he"


def test_probabilities(client):
    answer = client.chat.completions.create(model="tiny", messages=HI, logprobs=True, top_logprobs=2)
    content = answer.choices[0].logprobs.content
    assert [entry.token for entry in content] == list("hello")
    assert content[0].top_logprobs[0].token == "h"
    text = client.completions.create(model="tiny", prompt="ab", logprobs=1, max_tokens=2)
    assert text.choices[0].logprobs.tokens == ["h", "e"]


def test_models(client):
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "nanochat"


def test_errors_have_their_classes(client, engine):
    import openai

    def refused(kind, **fields):
        with pytest.raises(kind) as caught:
            client.chat.completions.create(**{"model": "tiny", "messages": HI} | fields)
        return caught.value

    assert refused(openai.NotFoundError, model="other").code == "model_not_found"
    assert refused(openai.BadRequestError, temperature=3).param == "temperature"
    assert refused(openai.BadRequestError, tools=[]).param == "tools"
    engine.error = MemoryError()
    assert refused(openai.InternalServerError).code == "out_of_memory"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()
    engine.steps_allowed(0)
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).chat.completions.create(model="tiny", messages=HI)


def test_a_stream_that_is_closed_early_gives_its_slot_free(client, engine):
    engine.steps_allowed(2)
    stream = client.chat.completions.create(model="tiny", messages=HI, stream=True)
    next(iter(stream))
    stream.close()
    threading.Timer(0.2, engine.steps_allowed, (10**9,)).start()
    assert client.chat.completions.create(model="tiny", messages=HI).choices[0].message.content == "hello"
