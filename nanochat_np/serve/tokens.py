"""The tokenizer over HTTP, as vLLM has it and lm-eval asks for it."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from nanochat_np.serve import body
from nanochat_np.serve.plan import require_tokens
from nanochat_np.serve.protocol import DetokenizeRequest, TokenizeRequest
from nanochat_np.serve.service import Service
from nanochat_np.text import special


class Tokens:
    """Endpoints that need no engine."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def info(self, _: Request) -> Response:
        """GET /tokenizer_info."""
        return _json({"tokenizer_class": "nanochat", "bos_token": special.BOS, "eos_token": special.ASSISTANT_END})

    async def tokenize(self, request: Request) -> Response:
        """POST /tokenize.  The name of a control token is that token where it stands alone, and text where not."""
        record = body.decode(await body.read(request), TokenizeRequest)
        tokenizer = self._service.tokenizer
        if record.prompt in tokenizer.special_ids:
            ids = [tokenizer.special_ids[record.prompt]]
        else:
            ids = (await self._service.prepared(tokenizer.encode, record.prompt)).tolist()
        if record.add_special_tokens:
            ids.insert(0, tokenizer.bos)
        return _json({"tokens": ids, "count": len(ids), "max_model_len": self._service.context})

    async def detokenize(self, request: Request) -> Response:
        """POST /detokenize."""
        record = body.decode(await body.read(request), DetokenizeRequest)
        require_tokens(self._service.tokenizer, record.tokens, "tokens")
        return _json({"prompt": self._service.tokenizer.decode(record.tokens)})


def _json(content: dict[str, object]) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
