"""nats-py: publish and subscribe, wildcards, queue groups, requests, headers, drain."""
import asyncio
import os

import nats
from cases import equal, run_cases, unique
from nats.errors import NoRespondersError

SERVER = f"nats://{os.environ['NATS']}"


def case(count):
    """A case with so many connections, which are closed after it."""

    def decorate(body):
        async def run():
            connections = [await nats.connect(SERVER, allow_reconnect=False) for _ in range(count)]
            try:
                await body(*connections)
            finally:
                for connection in connections:
                    await connection.close()

        return lambda: asyncio.run(run())

    return decorate


@case(2)
async def in_order(publisher, subscriber):
    subject = unique("py")
    subscription = await subscriber.subscribe(subject)
    await subscriber.flush()
    for i in range(500):
        await publisher.publish(subject, str(i).encode())
    for i in range(500):
        equal((await subscription.next_msg(5)).data, str(i).encode(), "data")


@case(1)
async def wildcards(connection):
    subject = unique("py")
    many = await connection.subscribe(f"{subject}.>")
    single = await connection.subscribe(f"{subject}.*.c")
    for end in ["", ".a", ".b.c"]:
        await connection.publish(subject + end)
    equal([(await many.next_msg(5)).subject for _ in range(2)], [subject + ".a", subject + ".b.c"], "more words")
    equal((await single.next_msg(5)).subject, subject + ".b.c", "one word")


@case(3)
async def queue_groups(a, b, publisher):
    subject = unique("py")
    heard = []

    async def hear(message):
        heard.append(message.data)

    for connection in (a, b):
        await connection.subscribe(subject, queue="workers", cb=hear)
        await connection.flush()
    for i in range(100):
        await publisher.publish(subject, str(i).encode())
    await publisher.flush()
    for connection in (a, b):
        await connection.drain()
    equal(sorted(heard), sorted(str(i).encode() for i in range(100)), "every message once")


@case(2)
async def requests(asking, answering):
    subject = unique("py")

    async def answer(message):
        await message.respond(b"re: " + message.data)

    await answering.subscribe(subject, cb=answer)
    await answering.flush()
    for i in range(20):
        equal((await asking.request(subject, str(i).encode(), timeout=5)).data, f"re: {i}".encode(), "answer")
    try:
        await asking.request(unique("nobody"), b"", timeout=5)
    except NoRespondersError:
        return
    raise AssertionError("somebody answered")


@case(2)
async def with_headers(publisher, subscriber):
    subject = unique("py")
    subscription = await subscriber.subscribe(subject)
    await subscriber.flush()
    await publisher.publish(subject, b"x", headers={"Colour": "blue"})
    equal((await subscription.next_msg(5)).headers, {"Colour": "blue"}, "headers")


@case(1)
async def unsubscribe_after(connection):
    subject = unique("py")
    subscription = await connection.subscribe(subject)
    await subscription.unsubscribe(limit=2)
    for i in range(3):
        await connection.publish(subject, str(i).encode())
    await connection.flush()
    equal([(await subscription.next_msg(5)).data for _ in range(2)], [b"0", b"1"], "two messages")


run_cases(
    {
        "publish and subscribe, in order": in_order,
        "wildcards": wildcards,
        "queue groups": queue_groups,
        "requests, with and without responders": requests,
        "headers": with_headers,
        "unsubscribe after so many": unsubscribe_after,
    }
)
