"""rstream, the Python client of RabbitMQ streams: confirms, deduplication, offsets, sub-entries, raw bytes, filters."""
import asyncio
import os
import time

from cases import equal, run_cases, unique
from rstream import (
    AMQPMessage,
    CompressionType,
    Consumer,
    ConsumerOffsetSpecification,
    FilterConfiguration,
    OffsetNotFound,
    OffsetType,
    Producer,
    RawMessage,
    StreamDoesNotExist,
    amqp_decoder,
)

HOST, PORT = os.environ["STREAM"].split(":")
LOGIN = {"host": HOST, "port": int(PORT), "username": "guest", "password": "guest"}


def case(body, **options):
    def run():
        async def connected():
            async with Producer(**LOGIN, **options) as producer:
                stream = unique("py-stream")
                await producer.create_stream(stream, arguments={"max-length-bytes": 1_000_000_000})
                await body(producer, stream)
                await producer.delete_stream(stream)

        asyncio.run(asyncio.wait_for(connected(), 25))

    return run


async def consume(stream, count, offset=ConsumerOffsetSpecification(OffsetType.FIRST), decoder=amqp_decoder, **options):
    got = []
    consumer = Consumer(**LOGIN)
    await consumer.start()
    came = asyncio.Event()

    def on_message(message, context):
        got.append((message, context.offset))
        if len(got) >= count:
            came.set()

    await consumer.subscribe(stream, on_message, decoder=decoder, offset_specification=offset, **options)
    try:
        await asyncio.wait_for(came.wait(), 10)
    finally:
        await consumer.close()
    return got


def numbered(first, last):
    return [AMQPMessage(body=b"message %d" % number, application_properties={"n": number}) for number in range(first, last)]


def ordered(got, first):
    for index, (message, offset) in enumerate(got):
        equal((bytes(message.body), offset), (b"message %d" % (first + index), first + index))


async def confirms(producer, stream):
    confirmed = set()

    def on_confirm(status):
        if status.is_confirmed:
            confirmed.add(status.message_id)

    ids = await producer.send_batch(stream, numbered(0, 500), on_publish_confirm=on_confirm)
    deadline = time.monotonic() + 10
    while len(confirmed) < 500 and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    equal(confirmed, set(ids), "confirmed")
    got = await consume(stream, 500)
    ordered(got, 0)
    equal(got[7][0].application_properties, {b"n": 7})
    ordered(await consume(stream, 100, ConsumerOffsetSpecification(OffsetType.OFFSET, 400)), 400)


async def deduplicates(producer, stream):
    for first, last in ((0, 10), (5, 15)):
        for number in range(first, last):
            message = AMQPMessage(body=b"message %d" % number)
            message.publishing_id = number
            await producer.send_wait(stream, message, publisher_name="writer")
    ordered(await consume(stream, 15), 0)


async def offsets(producer, stream):
    await producer.send_wait(stream, AMQPMessage(body=b"message 0"))
    consumer = Consumer(**LOGIN)
    await consumer.start()
    try:
        await consumer.query_offset(stream, "reader")
        raise AssertionError("an offset nobody stored")
    except OffsetNotFound:
        pass
    await consumer.store_offset(stream, "reader", 42)
    equal(await consumer.query_offset(stream, "reader"), 42)
    await consumer.close()


async def sub_entries(producer, stream):
    for index, compression in enumerate((CompressionType.No, CompressionType.Gzip)):
        await producer.send_sub_entry(stream, numbered(index * 50, index * 50 + 50), compression_type=compression)
    ordered(await consume(stream, 100), 0)


async def raw(producer, stream):
    bodies = [b"", b"plain", bytes(range(256))]
    for body in bodies:
        await producer.send_wait(stream, RawMessage(body))
    equal([bytes(message) for message, _ in await consume(stream, 3, decoder=None)], bodies)


async def filters(producer, stream):
    for colour in ("red", "blue", "red"):
        message = AMQPMessage(body=colour.encode(), application_properties={"colour": colour})
        await producer.send_wait(stream, message)
    wanted = FilterConfiguration(values_to_filter=["red"], predicate=lambda message: True, match_unfiltered=False)
    equal([bytes(message.body) for message, _ in await consume(stream, 2, filter_input=wanted)], [b"red", b"red"])


async def colour_of(message):
    return message.application_properties["colour"]


async def not_there(producer, stream):
    try:
        await producer.delete_stream("no such stream")
        raise AssertionError("a stream that is not there was deleted")
    except StreamDoesNotExist:
        pass
    equal(await producer.stream_exists("no such stream"), False)
    equal(await producer.stream_exists(stream), True)


run_cases(
    {
        "publishes with confirms and reads from the first and from an offset": case(confirms),
        "does not store again what a named publisher sends again": case(deduplicates),
        "stores and queries offsets": case(offsets),
        "batches sub-entries": case(sub_entries),
        "carries bytes that are no AMQP 1.0": case(raw),
        "filters on the server": case(filters, filter_value_extractor=colour_of),
        "is refused what is not there": case(not_there),
    }
)
