"""An engine that answers from a script, and an application over it, in this process."""

import asyncio
import contextlib
import json
import threading

import httpx
import numpy as np

from nanochat_np.backend.device import Device
from nanochat_np.nn.gpt_config import GPTConfig
from nanochat_np.serve.app import application, service_of
from nanochat_np.serve.service import Settings
from nanochat_np.text import special
from nanochat_np.text.bpe import BYTES, BpeTokenizer
from tests.infer.tiny import weights

TOKENIZER = BpeTokenizer(BYTES)
CONTEXT = 400
CONFIG = GPTConfig(sequence_len=CONTEXT, vocab_size=TOKENIZER.vocab_size, n_layer=2, n_head=2, n_kv_head=1, n_embd=24)
IDS = TOKENIZER.special_ids
END = IDS[special.ASSISTANT_END]


def spelled(*parts):
    """Tokens of texts and of special tokens by name."""
    return [token for part in parts for token in ([IDS[part]] if part in IDS else TOKENIZER.encode(part).tolist())]


class FakeEngine:
    """After a prompt it writes ``answer(prompt)``, tokens, whatever is drawn; its steps can be held up or fail."""

    def __init__(self, answer, slots=4):
        self.config, self.tokenizer, self.device, self.slots = CONFIG, TOKENIZER, Device(), slots
        self.weights = weights("float64")
        self.answer = answer
        self.prompts = []  # texts, each as it stood when a part of it was read
        self.parts = []  # sizes of the parts
        self.error = None
        self._allowed = threading.Semaphore(10**9)
        self._left = {}
        self._text = {}

    def steps_allowed(self, count):
        """From now on so many calls are answered, and others wait."""
        waiting, self._allowed = self._allowed, threading.Semaphore(count)
        waiting.release(1000)

    def begin(self, slot):
        self._text[slot] = []

    def copy(self, source, target):
        self._text[target] = list(self._text[source])
        self._left[target] = list(self._left[source])

    def extend(self, slot, tokens):
        self._wait()
        text = self._text[slot] = [*self._text.get(slot, []), *tokens]
        self.prompts.append(TOKENIZER.decode(text))
        self.parts.append(len(tokens))
        self._left[slot] = [*self.answer(TOKENIZER.decode(text)), END]
        return self._next(slot)

    def step(self, slots, tokens):
        self._wait()
        for slot, token in zip(slots, tokens, strict=True):
            self._text[slot].append(token)
        return np.stack([self._next(slot, token) for slot, token in zip(slots, tokens, strict=True)])

    def _wait(self):
        self._allowed.acquire(timeout=10)
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def _next(self, slot, told=None):
        """Logits for the next token of the script; one that the tool put in is in the script as well."""
        left = self._left[slot]
        if told is not None and left and told == left[0]:
            left.pop(0)
        logits = np.zeros(CONFIG.vocab_size)
        logits[left[0] if left else END] = 60.0
        return logits


@contextlib.asynccontextmanager
async def served(answer=lambda prompt: spelled("hello"), slots=4, **settings):
    """A client of an application over a fake engine; the engine and the service are its attributes."""
    engine = FakeEngine(answer, slots)
    service = service_of(engine, Settings(**{"model": "tiny", "timeout": 20.0} | settings))
    app = application(service)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=20) as client:
            client.engine, client.service, client.app = engine, service, app
            yield client
            engine.steps_allowed(10**9)


def chat(*texts, **fields):
    """The body of a chat request: the texts are the user's and the assistant's in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)]
    return {"model": "tiny", "messages": messages} | fields


def events(text):
    """The contents of a stream of server-sent events, the last of OpenAI's as the string that it is."""
    blocks = text.split("\n\n")
    assert blocks.pop() == ""
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    return [block[6:] if block == "data: [DONE]" else json.loads(block[6:]) for block in blocks]


class Connection:
    """A POST to an application, whose client sees each piece as it is sent, and may go away."""

    def __init__(self, app, path, content, whole=True):
        self.sent = asyncio.Queue()
        self._received = asyncio.Queue()
        self._received.put_nowait(
            {"type": "http.request", "body": json.dumps(content).encode(), "more_body": not whole}
        )
        headers = [(b"content-type", b"application/json"), (b"host", b"test")]
        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
        scope |= {"headers": headers, "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1"}
        scope |= {"scheme": "http", "server": ("test", 80), "client": ("test", 1), "root_path": ""}
        self.task = asyncio.ensure_future(app(scope, self._received.get, self.sent.put))

    async def next(self):
        return await asyncio.wait_for(self.sent.get(), 10)

    async def leave(self):
        self._received.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(self.task, 10)


async def until(condition):
    """Wait for something that another thread does."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)
