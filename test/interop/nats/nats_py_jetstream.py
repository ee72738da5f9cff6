"""nats-py: streams, publishes with an answer, pull and push subscriptions, key-value buckets and object stores."""
import asyncio
import os

import nats
from cases import equal, run_cases, unique
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
from nats.js.errors import BadRequestError, KeyWrongLastSequenceError, NotFoundError

SERVER = f"nats://{os.environ['NATS']}"


def case(body):
    """A case with a connection, which is closed after it."""

    async def run():
        connection = await nats.connect(SERVER, allow_reconnect=False)
        try:
            await body(connection.jetstream(), unique("PY").replace(".", "_"))
        finally:
            await connection.close()

    return lambda: asyncio.run(run())


@case
async def streams(js, name):
    await js.add_stream(name=name, subjects=[f"{name}.>"])
    first = await js.publish(f"{name}.a", b"one")
    equal((first.stream, first.seq), (name, 1), "answer")
    await js.publish(f"{name}.a", b"two", headers={"Nats-Msg-Id": "x"})
    again = await js.publish(f"{name}.a", b"two", headers={"Nats-Msg-Id": "x"})
    equal((again.seq, again.duplicate), (2, True), "repetition")
    try:
        await js.publish(f"{name}.a", b"no", headers={"Nats-Expected-Last-Sequence": "1"})
        raise AssertionError("it was taken")
    except BadRequestError as refused:
        equal(refused.err_code, 10071, "error")
    info = await js.stream_info(name)
    equal((info.state.messages, info.state.last_seq), (2, 2), "state")
    message = await js.get_last_msg(name, f"{name}.a")
    equal((message.seq, message.data), (2, b"two"), "last message")
    equal(await js.find_stream_name_by_subject(f"{name}.a"), name, "stream of the subject")
    await js.purge_stream(name)
    equal((await js.stream_info(name)).state.messages, 0, "after the purge")
    await js.delete_stream(name)
    try:
        await js.stream_info(name)
        raise AssertionError("it is there")
    except NotFoundError as missing:
        equal(missing.err_code, 10059, "error")


@case
async def pulling(js, name):
    await js.add_stream(name=name, subjects=[name], retention=RetentionPolicy.WORK_QUEUE)
    for i in range(50):
        await js.publish(name, str(i).encode())
    subscription = await js.pull_subscribe(name, durable="d")
    got = []
    while len(got) < 50:
        for message in await subscription.fetch(20, timeout=5):
            got.append(message.data)
            await message.ack_sync()
    equal(got, [str(i).encode() for i in range(50)], "messages")
    try:
        await subscription.fetch(1, timeout=0.2)
        raise AssertionError("there is one more")
    except nats.errors.TimeoutError:
        pass
    equal((await js.stream_info(name)).state.messages, 0, "what is left")


@case
async def redelivery(js, name):
    await js.add_stream(name=name, subjects=[name])
    await js.publish(name, b"x")
    config = ConsumerConfig(ack_wait=0.2, max_deliver=3, ack_policy=AckPolicy.EXPLICIT)
    subscription = await js.pull_subscribe(name, durable="d", config=config)
    for deliveries in (1, 2, 3):
        [message] = await subscription.fetch(1, timeout=5)
        equal(message.metadata.num_delivered, deliveries, "deliveries")
        if deliveries == 1:
            await message.nak()
    await message.term()
    equal((await subscription.consumer_info()).num_ack_pending, 0, "what is not acknowledged")


@case
async def pushing(js, name):
    await js.add_stream(name=name, subjects=[name])
    for i in range(100):
        await js.publish(name, str(i).encode())
    durable = await js.subscribe(name, durable="p", manual_ack=True)
    for i in range(100):
        message = await durable.next_msg(5)
        equal((message.data, message.metadata.sequence.stream), (str(i).encode(), i + 1), "message")
        await message.ack()
    ordered = await js.subscribe(name, ordered_consumer=True)
    for i in range(100):
        equal((await ordered.next_msg(5)).data, str(i).encode(), "in order")


@case
async def key_value(js, name):
    bucket = await js.create_key_value(bucket=name, history=5)
    first = await bucket.put("key", b"1")
    equal(await bucket.update("key", b"2", last=first), first + 1, "revision")
    try:
        await bucket.create("key", b"x")
        raise AssertionError("it was made again")
    except KeyWrongLastSequenceError:
        pass
    equal((await bucket.get("key")).value, b"2", "value")
    await bucket.put("other", b"o")
    equal(sorted(await bucket.keys()), ["key", "other"], "keys")
    equal([entry.value for entry in await bucket.history("key")], [b"1", b"2"], "history")
    watcher = await bucket.watchall()
    seen = []
    while (entry := await watcher.updates(timeout=5)) is not None:
        seen.append(entry.key)
    equal(seen, ["key", "other"], "what is there")
    await bucket.delete("key")
    equal((await watcher.updates(timeout=5)).operation, "DEL", "deletion")
    await watcher.stop()
    await bucket.purge("other")
    await js.delete_key_value(name)


@case
async def objects(js, name):
    store = await js.create_object_store(bucket=name)
    content = bytes(range(256)) * 2000
    info = await store.put("object", content)
    equal((info.size, info.chunks), (len(content), 4), "info")
    equal((await store.get("object")).data, content, "content")
    await store.delete("object")
    await js.delete_object_store(name)


run_cases(
    {
        "streams and publishes": streams,
        "pulling from a work queue": pulling,
        "redelivery": redelivery,
        "push and ordered subscriptions": pushing,
        "a key-value bucket": key_value,
        "an object store": objects,
    }
)
