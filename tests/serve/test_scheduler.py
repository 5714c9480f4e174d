"""Who gets a slot, who has to wait, who is sent away, and who goes."""

import asyncio

import pytest

from tests.serve.fake import Connection, chat, served, spelled, until

pytestmark = pytest.mark.anyio
PATH = "/v1/chat/completions"


def endless(_):
    return spelled("x" * 300)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_gives_its_slot_free(stream):
    async with served(endless, slots=1) as client:
        client.engine.steps_allowed(3)
        connection = Connection(client.app, PATH, chat("hi", stream=stream))
        await until(lambda: client.service.scheduler.active == 1)
        if stream:
            await connection.next()
        await connection.leave()
        client.engine.steps_allowed(10**6)
        await until(lambda: client.service.scheduler.active == 0)
        assert client.service.scheduler.generated < 300
        assert (await client.post(PATH, json=chat("hi", max_tokens=2))).status_code == 200


async def test_a_client_that_goes_away_gives_its_place_in_the_queue_free():
    async with served(endless, slots=1) as client:
        scheduler = client.service.scheduler
        client.engine.steps_allowed(2)
        running = Connection(client.app, PATH, chat("hi", stream=True))
        await until(lambda: scheduler.active == 1)
        waiting = Connection(client.app, PATH, chat("hi"))
        await until(lambda: scheduler.waiting == 1)
        await waiting.leave()
        assert scheduler.waiting == 0
        await running.leave()


async def test_who_finds_the_queue_full_is_sent_away():
    async with served(endless, slots=1, max_queue=2) as client:
        client.engine.steps_allowed(2)
        first = Connection(client.app, PATH, chat("hi"))
        await until(lambda: client.service.scheduler.active == 1)
        others = [Connection(client.app, PATH, chat("hi", max_tokens=1)) for _ in range(2)]
        await until(lambda: client.service.scheduler.waiting == 2)
        response = await client.post(PATH, json=chat("hi"))
        assert (response.status_code, response.json()["error"]["code"]) == (429, "queue_full")
        assert response.headers["retry-after"] == "1"
        assert (await client.get("/health")).status_code == 200
        client.engine.steps_allowed(10**6)
        await asyncio.wait_for(asyncio.gather(*(each.task for each in (first, *others))), 10)
        assert [(await each.next())["status"] for each in (first, *others)] == [200] * 3


async def test_a_request_of_many_answers_takes_turns_with_others():
    async with served(lambda prompt: spelled("ab" if "one" in prompt else "x" * 30), slots=1) as client:
        client.engine.steps_allowed(0)
        many = Connection(client.app, PATH, chat("many", n=5))
        await until(lambda: client.service.scheduler.active == 1)
        one = Connection(client.app, PATH, chat("one"))
        await until(lambda: client.service.scheduler.waiting == 2)
        client.engine.steps_allowed(10**6)
        await asyncio.wait_for(asyncio.gather(many.task, one.task), 10)
        # When the second came, the next answer of the first had its place in the queue already.
        order = ["one" if "one" in prompt else "many" for prompt in client.engine.prompts]
    assert order == ["many", "many", "one", "many", "many", "many"]


async def test_answers_are_those_of_a_client_that_is_alone():
    def answer(prompt):
        return spelled(prompt[::-1])

    async with served(answer, slots=3) as client:
        alone = [(await client.post(PATH, json=chat(f"question {i}", temperature=0))).json() for i in range(20)]
        client.service.cache.invalidate(None)
        together = await asyncio.gather(
            *(client.post(PATH, json=chat(f"question {i}", temperature=0)) for i in range(20))
        )
    assert [each.json()["choices"] for each in together] == [each["choices"] for each in alone]


async def test_what_still_waits_when_the_server_stops_is_told():
    async with served(endless, slots=1) as client:
        client.engine.steps_allowed(1)
        connections = [Connection(client.app, PATH, chat("hi", stream=False)) for _ in range(2)]
        await until(lambda: client.service.scheduler.waiting == 1)
        threading_stop = asyncio.get_running_loop().run_in_executor(None, client.service.scheduler.stop)
        client.engine.steps_allowed(10**6)
        await threading_stop
        for connection in connections:
            assert (await connection.next())["status"] == 503
        assert (await client.get("/health")).status_code == 503
        assert (await client.post(PATH, json=chat("hi"))).json()["error"]["code"] == "shutting_down"
