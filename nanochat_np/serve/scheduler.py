"""Who generates when: one thread owns the engine, requests come to it through a queue.

Continuous batching: after each step the generations that ended leave, and waiting ones take their slots.  A request of
many generations gets a slot for one of them at a time, in turn with the others that wait.
"""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from nanochat_np.infer.batch import Batch
from nanochat_np.infer.generation import Generation, Logprobs
from nanochat_np.serve.failure import ApiError

log = logging.getLogger(__name__)
T = TypeVar("T")


class News(NamedTuple):
    """What a step did for one generation of a job."""

    choice: int
    tokens: list[int]
    logprobs: list[Logprobs]
    finish_reason: str | None


class Job:
    """The generations of a request.  ``news`` is for the event loop that submitted it."""

    def __init__(self, generations: Sequence[Generation]) -> None:
        self.generations = generations
        self.todo = deque(generations)
        self._told = dict.fromkeys(map(id, generations), 0)
        self._index = {id(generation): index for index, generation in enumerate(generations)}
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()
        self._news: list[News] = []
        self._error: BaseException | None = None

    async def news(self) -> list[News]:
        """What happened since the last call, once something has.  Raises the engine's error."""
        await self._came.wait()
        if self._error is not None:
            raise self._error
        self._came.clear()
        news, self._news = self._news, []
        return news

    def of(self, generation: Generation) -> News:
        """What is new about a generation; for the engine's thread."""
        told = self._told[id(generation)]
        self._told[id(generation)] = end = len(generation.tokens)
        logprobs = generation.logprobs[told:end]
        return News(self._index[id(generation)], generation.tokens[told:end], logprobs, generation.finish_reason)

    def tell(self, news: list[News], error: BaseException | None = None) -> None:
        """Bring news to the event loop; for any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
            self._loop.call_soon_threadsafe(self._take, news, error)

    def _take(self, news: list[News], error: BaseException | None) -> None:
        self._news += news
        self._error = self._error or error
        self._came.set()


class Scheduler:
    """A queue of jobs before a batch of ``slots`` generations, which a thread of its own steps.

    ``new_batch`` makes a batch with no generation in it, in the beginning and after an error.
    """

    def __init__(self, new_batch: Callable[[], Batch], slots: int, max_queue: int) -> None:
        self.slots, self.max_queue = slots, max_queue
        self.generated = 0  # tokens
        self._new_batch = new_batch
        self._change = threading.Condition()
        self._queue: deque[Job] = deque()
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._running: dict[int, tuple[Generation, Job]] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the step it is in; what still runs or waits fails with 503."""
        with self._change:
            self._stopping = True
            self._change.notify()
        self._thread.join()
        self._fail(_stopping(), [*self._queue])
        for _, future in self._calls:
            future.cancel()

    @property
    def active(self) -> int:
        """Generations that go on."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Jobs that wait for a slot, and calls."""
        return len(self._queue) + len(self._calls)

    @property
    def alive(self) -> bool:
        """Whether there is a thread to do the work."""
        return self._thread.is_alive()

    def submit(self, generations: Sequence[Generation]) -> Job:
        """Queue a job; for the event loop.  Raises ApiError 429 where too many wait."""
        job = Job(generations)
        with self._change:
            self._require_room()
            self._queue.append(job)
            self._change.notify()
        return job

    def call(self, function: Callable[[], T]) -> "asyncio.Future[T]":
        """Run a function between steps, for it needs the engine; for the event loop.  Raises as `submit` does."""
        future: Future[T] = Future()
        with self._change:
            self._require_room()
            self._calls.append((function, future))
            self._change.notify()
        return asyncio.wrap_future(future)

    def cancel(self, job: Job) -> None:
        """Forget a job: it leaves the queue now, and its slots with the next step.  Nothing happens if it is over."""
        with self._change:
            with contextlib.suppress(ValueError):
                self._queue.remove(job)
            job.todo.clear()
        for generation in job.generations:
            if generation.finish_reason is None:
                generation.cancel()

    def _require_room(self) -> None:
        if self._stopping or not self.alive:
            raise _stopping()
        if self.waiting >= self.max_queue:
            raise ApiError(429, f"{self.max_queue} requests are waiting already: try again later", code="queue_full")

    def _run(self) -> None:
        batch = self._new_batch()
        while self._wait_for_work(batch):
            try:
                self._work(batch)
            except Exception as error:
                log.exception("the engine failed; its requests are answered with an error, and it goes on with others")
                self._fail(error)
                batch = self._new_batch()

    def _wait_for_work(self, batch: Batch) -> bool:
        """Whether there is any; False when it is time to stop."""
        with self._change:
            self._change.wait_for(lambda: self._stopping or self._queue or self._calls or not batch.idle)
            return not self._stopping

    def _work(self, batch: Batch) -> None:
        with self._change:
            calls, self._calls = self._calls, deque()
            admitted = self._admitted(self.slots - batch.active - batch.waiting)
        for function, future in calls:
            _run_call(function, future)
        for generation in admitted:
            batch.add(generation)
        if not batch.idle:
            self._tell(batch.step())

    def _admitted(self, free: int) -> list[Generation]:
        """The next generations, taken from the jobs in turn."""
        admitted: list[Generation] = []
        while self._queue and len(admitted) < free:
            job = self._queue.popleft()
            generation = job.todo.popleft()
            admitted.append(generation)
            self._running[id(generation)] = generation, job
            if job.todo:
                self._queue.append(job)
        return admitted

    def _tell(self, touched: list[Generation]) -> None:
        by_job: dict[Job, list[News]] = {}
        for generation in touched:
            _, job = self._running[id(generation)]
            news = job.of(generation)
            self.generated += len(news.tokens)
            by_job.setdefault(job, []).append(news)
            if generation.finish_reason is not None:
                del self._running[id(generation)]
        for job, all_news in by_job.items():
            job.tell(all_news)

    def _fail(self, error: BaseException, others: Sequence[Job] = ()) -> None:
        """The generations in the batch end with an error, and so do their jobs, all of them, and ``others``."""
        jobs = {job for _, job in self._running.values()} | set(others)
        self._running.clear()
        for job in jobs:
            self.cancel(job)
            job.tell([], error)


def _stopping() -> ApiError:
    return ApiError(503, "the server is shutting down", code="shutting_down")


def _run_call(function: Callable[[], Any], future: Future[Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except Exception as error:
        future.set_exception(error)
