"""Counters and histograms for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_FIRST_TOKEN = (0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_REQUEST = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """What a server counts.  Each has a registry of its own, so that several can live in one process."""

    def __init__(self) -> None:
        self.answered = 0  # requests
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("nanochat_requests", "Requests", ["path", "status"], registry=registry)
        self.tokens = Counter("nanochat_generated_tokens", "Tokens of answers", registry=registry)
        self.prompt_tokens = Counter("nanochat_prompt_tokens", "Tokens of prompts", registry=registry)
        self.seconds = Histogram(
            "nanochat_request_seconds", "Whole requests", ["path"], buckets=_REQUEST, registry=registry
        )
        self.first_token = Histogram(
            "nanochat_first_token_seconds",
            "From the submission of a prompt to the first piece of its answer",
            buckets=_FIRST_TOKEN,
            registry=registry,
        )
        self.active = Gauge("nanochat_active_generations", "Generations that have a slot", registry=registry)
        self.waiting = Gauge("nanochat_waiting_requests", "Requests that wait for a slot", registry=registry)
        self.cache_hits = Gauge("nanochat_cache_hits", "Answers out of the cache", registry=registry)
        self.cache_misses = Gauge("nanochat_cache_misses", "Answers that it did not have", registry=registry)

    def request(self, path: str, status: str, seconds: float) -> None:
        """Count a request that is over."""
        self.answered += 1
        self.requests.labels(path, status).inc()
        self.seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)
