"""pynsq: Writer and Reader (tornado), by address and by lookup, with requeues, deferred messages and compression."""
import asyncio
import os

import nsq
from cases import equal, run_cases, unique

NSQ = os.environ["NSQ"]
LOOKUP = "http://" + os.environ["NSQLOOKUPD"]
WAIT = 10


def topic():
    return unique("py").replace(".", "-")


def run(body):
    asyncio.run(asyncio.wait_for(body(), WAIT * 2))


async def publish(writer, name, *arguments, **named):
    """Once its connection is there."""
    done = asyncio.get_running_loop().create_future()

    def answered(_connection, data):
        if not done.done():
            done.set_result(data)

    while not writer.conns:
        await asyncio.sleep(0.01)
    getattr(writer, name)(*arguments, callback=answered, **named)
    data = await asyncio.wait_for(done, WAIT)
    if isinstance(data, Exception):
        raise data
    equal(data, b"OK")


def reader(name, channel, handler, **more):
    where = more or {"nsqd_tcp_addresses": [NSQ]}
    where.setdefault("max_in_flight", 50)
    return nsq.Reader(topic=name, channel=channel, message_handler=handler, **where)


async def until(what, holds):
    for _ in range(WAIT * 100):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(what)


def leave(writer, *readers):
    for each in readers:
        each.close()
    for connection in list(writer.conns.values()):
        connection.close()


def channels():
    async def body():
        name, writer = topic(), nsq.Writer([NSQ])
        await publish(writer, "pub", name, b"before")
        heard = {"a": [], "b": []}

        def into(channel):
            def handle(message):
                heard[channel].append(message.body)
                return True

            return handle

        readers = [reader(name, "a", into("a"))]
        await until("the first", lambda: heard["a"] == [b"before"])
        readers.append(reader(name, "b", into("b")))
        await until("the second channel", lambda: all(each.conns for each in readers))
        await publish(writer, "mpub", name, [b"1", b"2", b"3"])
        await publish(writer, "dpub", name, 100, b"later")
        await until("all", lambda: sorted(heard["a"]) == [b"1", b"2", b"3", b"before", b"later"])
        await until("all of b", lambda: {b"1", b"2", b"3", b"later"} <= set(heard["b"]))
        leave(writer, *readers)

    run(body)


def attempts():
    async def body():
        name, writer, seen = topic(), nsq.Writer([NSQ]), []

        def handle(message):
            seen.append(message.attempts)
            if message.attempts < 3:
                message.requeue(delay=0, backoff=False)
                return None
            message.touch()
            return True

        own = reader(name, "c", handle, nsqd_tcp_addresses=[NSQ], requeue_delay=0)
        await publish(writer, "pub", name, b"x")
        await until("three attempts", lambda: seen == [1, 2, 3])
        leave(writer, own)

    run(body)


def lookup():
    async def body():
        name, writer, seen = topic(), nsq.Writer([NSQ]), []
        await publish(writer, "pub", name, b"found")

        def handle(message):
            seen.append(message.body)
            return True

        own = reader(name, "c", handle, lookupd_http_addresses=[LOOKUP], lookupd_poll_interval=1, lookupd_poll_jitter=0.0)
        await until("the message", lambda: seen == [b"found"])
        leave(writer, own)

    run(body)


def deflate():
    async def body():
        name, writer, seen = topic(), nsq.Writer([NSQ], deflate=True, deflate_level=3), []

        def handle(message):
            seen.append(len(message.body))
            return True

        own = reader(name, "c", handle, nsqd_tcp_addresses=[NSQ], deflate=True, deflate_level=3)
        await publish(writer, "pub", name, b"x" * 200_000)
        await until("the message", lambda: seen == [200_000])
        leave(writer, own)

    run(body)


run_cases(
    {
        "publish one, many and later; consume in two channels": channels,
        "given back it comes again, with one attempt more": attempts,
        "found by lookup": lookup,
        "deflate": deflate,
    }
)
