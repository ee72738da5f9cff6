"""aio-pika, the asyncio client: confirms and returns, its RPC and work-queue patterns, retries by dead-lettering, streams, transactions."""
import asyncio
import os

import aio_pika
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.exceptions import ChannelPreconditionFailed, DeliveryError, PublishError, QueueEmpty
from aio_pika.patterns import RPC, Master
from cases import equal, run_cases, unique

URL = os.environ["AMQP"]


def case(body):
    def run():
        async def connected():
            connection = await aio_pika.connect_robust(URL)
            async with connection:
                await body(connection)

        asyncio.run(asyncio.wait_for(connected(), 25))

    return run


async def confirms_and_returns(connection):
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    queue = await channel.declare_queue(unique("aio"), arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    await channel.default_exchange.publish(Message(b"x", delivery_mode=DeliveryMode.PERSISTENT), queue.name)
    try:
        await channel.default_exchange.publish(Message(b"too much"), queue.name)
        raise AssertionError("a full queue took a message")
    except DeliveryError as error:
        assert not isinstance(error, PublishError), error
    try:
        await channel.default_exchange.publish(Message(b"lost"), unique("nowhere"), mandatory=True)
        raise AssertionError("an unroutable message was not returned")
    except PublishError as error:
        equal(error.frame.name, "Basic.Return")
    message = await queue.get()
    equal(message.body, b"x")
    await message.ack()
    try:
        await queue.get()
        raise AssertionError("the queue is not empty")
    except QueueEmpty:
        pass
    await queue.delete()


async def rpc(connection):
    channel = await connection.channel()
    server = await RPC.create(channel)
    name = unique("multiply")

    async def multiply(*, x, y):
        return x * y

    await server.register(name, multiply, auto_delete=True)
    client = await RPC.create(await connection.channel())
    equal(await asyncio.gather(*(client.call(name, {"x": i, "y": 2}) for i in range(50))), [2 * i for i in range(50)])


async def direct_reply_to(connection):
    channel = await connection.channel()
    requests = await channel.declare_queue(unique("requests"), auto_delete=True)
    replies = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
    answers = asyncio.Queue()
    await replies.consume(answers.put, no_ack=True)

    async def answer(message):
        async with message.process():
            await channel.default_exchange.publish(Message(message.body.upper(), correlation_id=message.correlation_id), message.reply_to)

    await requests.consume(answer)
    await channel.default_exchange.publish(Message(b"hello", correlation_id="7", reply_to="amq.rabbitmq.reply-to"), requests.name)
    message = await answers.get()
    equal((message.body, message.correlation_id), (b"HELLO", "7"))


async def work_queue(connection):
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=5)
    master = Master(channel)
    name = unique("work")
    done = []
    all_done = asyncio.Event()

    async def work(*, number):
        done.append(number)
        if len(done) == 100:
            all_done.set()

    worker = await master.create_worker(name, work, auto_delete=True)
    for number in range(100):
        await master.create_task(name, kwargs={"number": number})
    await all_done.wait()
    equal(done, list(range(100)))
    await worker.close()


async def retries_by_dead_letters(connection):
    channel = await connection.channel()
    name = unique("retry")
    again = await channel.declare_exchange(f"{name}.again", ExchangeType.FANOUT, auto_delete=True)
    waiting = await channel.declare_queue(
        f"{name}.wait", arguments={"x-message-ttl": 100, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": name}
    )
    await waiting.bind(again)
    queue = await channel.declare_queue(name, arguments={"x-dead-letter-exchange": again.name})
    await channel.default_exchange.publish(Message(b"x", headers={"mine": [1, {"a": True}]}), name)
    async with queue.iterator() as messages:
        async for message in messages:
            deaths = message.headers.get("x-death", [])
            if len(deaths) == 2 and deaths[0]["count"] == 2:
                equal([(each["queue"], each["reason"], each["count"]) for each in deaths], [(f"{name}.wait", "expired", 2), (name, "rejected", 2)])
                equal(message.headers["x-first-death-reason"], "rejected")
                equal(message.headers["mine"], [1, {"a": True}])
                await message.ack()
                break
            await message.reject()
    for each in (queue, waiting):
        await each.delete(if_unused=False, if_empty=False)


async def stream(connection):
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=10)
    queue = await channel.declare_queue(unique("stream"), durable=True, arguments={"x-queue-type": "stream"})
    for number in range(30):
        await channel.default_exchange.publish(Message(str(number).encode()), queue.name)
    got = []
    async with queue.iterator(arguments={"x-stream-offset": 10}) as messages:
        async for message in messages:
            got.append((int(message.body), message.headers["x-stream-offset"]))
            await message.ack()
            if len(got) == 20:
                break
    equal(got, [(number, number) for number in range(10, 30)])
    await queue.delete(if_unused=False, if_empty=False)


async def transactions(connection):
    channel = await connection.channel(publisher_confirms=False)
    queue = await channel.declare_queue(unique("tx"), auto_delete=True)
    async with channel.transaction():
        await channel.default_exchange.publish(Message(b"kept"), queue.name)
    transaction = channel.transaction()
    await transaction.select()
    await channel.default_exchange.publish(Message(b"dropped"), queue.name)
    await transaction.rollback()
    message = await queue.get(no_ack=True)
    equal(message.body, b"kept")
    equal(await queue.get(no_ack=True, fail=False), None)
    await queue.delete(if_unused=False, if_empty=False)


async def refusal(connection):
    channel = await connection.channel()
    queue = await channel.declare_queue(unique("aio"), auto_delete=True)
    try:
        await channel.declare_queue(queue.name, auto_delete=False)
        raise AssertionError("it was declared otherwise")
    except ChannelPreconditionFailed as error:
        assert "inequivalent arg 'auto_delete'" in str(error), error


run_cases(
    {
        "confirms, nacks and returns": case(confirms_and_returns),
        "RPC": case(rpc),
        "direct reply-to": case(direct_reply_to),
        "work queue": case(work_queue),
        "retries by dead letters": case(retries_by_dead_letters),
        "stream": case(stream),
        "transactions": case(transactions),
        "refusal": case(refusal),
    }
)
