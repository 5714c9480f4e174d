"""Speed of a server as its users meet it, over loopback; one JSON object on stdout.

    python -m nanochat_np serve --checkpoint FOLDER --port 8000 &
    python scripts/measure_serve.py --url http://127.0.0.1:8000 --users 1,10,20 --requests 5

So many users at a time ask one question after the other and read the answer as a stream.  Times are in seconds on the
client's side: to the first piece of text from the moment the request is sent, and to GET /health in between, which says
whether the server still listens while it computes.  Tokens a second are of each stream, after its first piece, and of
all streams together.  Needs httpx.
"""

import argparse
import asyncio
import json
import sys
from time import perf_counter
from typing import Any

import httpx

WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "seven",
    "wizards",
    "count",
    "stars",
)


def main(words: list[str]) -> int:
    usage = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usage.add_argument("--url", default="http://127.0.0.1:8000", help="of the server (default: %(default)s)")
    usage.add_argument("--users", default="1,10", help="at a time, a round for each number (default: %(default)s)")
    usage.add_argument("--requests", type=int, default=5, help="of each user (default: %(default)s)")
    usage.add_argument("--words", type=int, default=60, help="of a question (default: %(default)s)")
    usage.add_argument("--max-tokens", type=int, default=100, help="of an answer (default: %(default)s)")
    args = usage.parse_args(words)
    rounds = [asyncio.run(measured(args, int(users))) for users in args.users.split(",")]
    print(json.dumps({"words": args.words, "max_tokens": args.max_tokens, "rounds": rounds}))
    return 0


async def measured(args: argparse.Namespace, users: int) -> dict[str, Any]:
    """A round of so many users, after one request that is not counted."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=args.url, timeout=600, limits=limits) as client:
        model = (await client.get("/v1/models")).json()["data"][0]["id"]
        await answered(client, model, args, -1)
        begin = perf_counter()
        waits: list[float] = []
        health = asyncio.ensure_future(ask_for_health(client, waits))
        answers = await asyncio.gather(*(user(client, model, args, number) for number in range(users)))
        seconds = perf_counter() - begin
        health.cancel()
    all_answers = [answer for of_user in answers for answer in of_user]
    return {
        "users": users,
        "requests": len(all_answers),
        "seconds": round(seconds, 3),
        "first_piece": percentiles([first for first, _, _ in all_answers]),
        "stream_tokens_per_sec": percentiles([tokens / rest for _, rest, tokens in all_answers if rest > 0]),
        "tokens_per_sec": round(sum(tokens + 1 for _, _, tokens in all_answers) / seconds, 1),
        "health": percentiles(waits),
    }


async def ask_for_health(client: httpx.AsyncClient, waits: list[float]) -> None:
    """Again and again, until cancelled."""
    while True:
        begin = perf_counter()
        (await client.get("/health")).raise_for_status()
        waits.append(perf_counter() - begin)
        await asyncio.sleep(0.02)


async def user(client: httpx.AsyncClient, model: str, args: argparse.Namespace, number: int) -> list[Any]:
    return [await answered(client, model, args, number * args.requests + turn) for turn in range(args.requests)]


async def answered(client: httpx.AsyncClient, model: str, args: argparse.Namespace, number: int) -> tuple[float, ...]:
    """Seconds to the first piece, seconds after it, and tokens after it."""
    text = f"{number} " + " ".join(WORDS[(number + 7 * place) % len(WORDS)] for place in range(args.words))
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": args.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    begin = perf_counter()
    first, tokens = 0.0, 0
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if '"content":"' in line and '"role"' not in line:
                first = first or perf_counter()
            elif '"total_tokens"' in line:
                tokens = json.loads(line[6:])["usage"]["completion_tokens"]
    end = perf_counter()
    return (first or end) - begin, end - (first or end), max(0, tokens - 1)


def percentiles(values: list[float]) -> dict[str, float] | None:
    """Some of them, and the greatest."""
    ordered = sorted(values)
    if not ordered:
        return None
    last = len(ordered) - 1
    at = {f"p{percent}": ordered[min(last, percent * len(ordered) // 100)] for percent in (1, 5, 50, 95, 99)}
    return {name: round(value, 4) for name, value in at.items()} | {"max": round(ordered[-1], 4)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
