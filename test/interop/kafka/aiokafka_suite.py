"""aiokafka, a client of its own in pure Python. `security` as the argument: logins, against a broker with users."""
import asyncio
import os
import ssl
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import ProducerFenced, TopicAlreadyExistsError, for_code
from cases import equal, run_cases, unique

SERVER = os.environ["KAFKA"]


async def create(name, partitions=1, **options):
    admin = AIOKafkaAdminClient(bootstrap_servers=SERVER, **options)
    await admin.start()
    try:
        check(await admin.create_topics([NewTopic(name, partitions, 1)]))
    finally:
        await admin.close()
    return name


def check(response):
    """Raises the first error of a response of the admin client, which raises none of these itself."""
    for _, code, *_ in response.topic_errors:
        if code:
            raise for_code(code)


class Producing:
    """A started producer, for `async with`."""

    def __init__(self, **options):
        self.client = AIOKafkaProducer(bootstrap_servers=SERVER, **options)

    async def __aenter__(self):
        await self.client.start()
        return self.client

    async def __aexit__(self, *_):
        await self.client.stop()


class Consuming:
    """A started consumer, for `async with`."""

    def __init__(self, *topics, **options):
        self.client = AIOKafkaConsumer(
            *topics, bootstrap_servers=SERVER, **{"auto_offset_reset": "earliest", "enable_auto_commit": False, **options}
        )

    async def __aenter__(self):
        await self.client.start()
        return self.client

    async def __aexit__(self, *_):
        await self.client.stop()


async def produce(topic, count, partitions=1, **options):
    async with Producing(**options) as producer:
        sent = [
            await producer.send(topic, f"v{i}".encode(), key=f"k{i % 7}".encode(), partition=i % partitions, headers=headers(i))
            for i in range(count)
        ]
        return [(await each).offset for each in sent]


def headers(i):
    return [("i", str(i).encode()), ("raw", b"\x00\xff")]


async def take(consumer, count):
    return [await consumer.getone() for _ in range(count)]


async def admin_calls():
    name = unique("aiokafka.admin")
    admin = AIOKafkaAdminClient(bootstrap_servers=SERVER)
    await admin.start()
    try:
        check(await admin.create_topics([NewTopic(name, 2, 1, topic_configs={"retention.ms": "60000"})]))
        try:
            check(await admin.create_topics([NewTopic(name, 2, 1)]))
            raise AssertionError("a topic was created twice")
        except TopicAlreadyExistsError:
            pass
        await admin.create_partitions({name: NewPartitions(total_count=3)})
        (described,) = await admin.describe_topics([name])
        equal(sorted(each["partition"] for each in described["partitions"]), [0, 1, 2], "partitions")
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "70000"})])
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": None})])
        equal([(each[0], each[1]) for each in response.resources[0][4]], [("retention.ms", "70000")], "configs")
        await produce(name, 30, 3)
        deleted = await admin.delete_records({TopicPartition(name, 1): RecordsToDelete(before_offset=4)})
        equal(deleted, {TopicPartition(name, 1): 4}, "low watermark after deletion")
        group = unique("aiokafka.g")
        async with Consuming(name, group_id=group) as consumer:
            await take(consumer, 26)
            await consumer.commit()
            (described,) = await admin.describe_consumer_groups([group])
            equal([(each[0], each[2]) for each in described.groups], [(0, "Stable")], "error and state")
        offsets = await admin.list_consumer_group_offsets(group)
        equal({at.partition: each.offset for at, each in offsets.items()}, {0: 10, 1: 10, 2: 10}, "committed offsets")
        equal(group in [each[0] for each in await admin.list_consumer_groups()], True, "the group is listed")
        equal((await admin.delete_topics([name])).topic_error_codes, [(name, 0)], "deleted")
        equal(name in await admin.list_topics(), False, "listed after deletion")
    finally:
        await admin.close()


async def codecs():
    for codec in [None, "gzip", "snappy", "lz4", "zstd"]:
        topic = await create(unique(f"aiokafka.{codec}"))
        equal(await produce(topic, 200, compression_type=codec, linger_ms=5), list(range(200)), "offsets")
        async with Consuming(topic) as consumer:
            for i, record in enumerate(await take(consumer, 200)):
                equal(record.value, f"v{i}".encode(), "value")
                equal(record.key, f"k{i % 7}".encode(), "key")
                equal(list(record.headers), headers(i), "headers")
                equal(record.offset, i, "offset")


async def idempotent():
    topic = await create(unique("aiokafka.idempotent"))
    offsets = await produce(topic, 1000, enable_idempotence=True, max_batch_size=2000)
    equal(offsets, list(range(1000)), "offsets")


async def resume():
    topic, group = await create(unique("aiokafka.resume")), unique("aiokafka.g")
    await produce(topic, 100)
    async with Consuming(topic, group_id=group) as consumer:
        await take(consumer, 30)
        await consumer.commit({TopicPartition(topic, 0): (30, "noted")})
    async with Consuming(topic, group_id=group) as consumer:
        equal([each.offset for each in await take(consumer, 70)], list(range(30, 100)), "offsets after resuming")
        equal(await consumer.committed(TopicPartition(topic, 0)), 30, "committed")


class Watching(ConsumerRebalanceListener):
    """Tells how many partitions its consumer has."""

    def __init__(self):
        self.changed = asyncio.Condition()
        self.count = 0

    async def on_partitions_revoked(self, _):
        pass

    async def on_partitions_assigned(self, assigned):
        async with self.changed:
            self.count = len(assigned)
            self.changed.notify_all()

    async def until(self, count):
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(lambda: self.count == count), 20)


async def group_of_two():
    topic, group = await create(unique("aiokafka.group"), 4), unique("aiokafka.g")
    watching = [Watching(), Watching()]
    options = {"group_id": group, "heartbeat_interval_ms": 200, "session_timeout_ms": 6000, "metadata_max_age_ms": 500}
    async with Consuming(**options) as first:
        first.subscribe([topic], listener=watching[0])
        await watching[0].until(4)
        async with Consuming(**options) as second:
            second.subscribe([topic], listener=watching[1])
            await asyncio.gather(watching[0].until(2), watching[1].until(2))
            await produce(topic, 80, 4)
            seen = sum(await asyncio.gather(take(first, 40), take(second, 40)), [])
            equal(len({(each.partition, each.offset) for each in seen}), 80, "records")
            await asyncio.gather(first.commit(), second.commit())
        await watching[0].until(4)
        await produce(topic, 40, 4)
        seen = await take(first, 40)
        equal(sorted({each.partition for each in seen}), [0, 1, 2, 3], "partitions after the other left")
        equal(min(each.offset for each in seen), 20, "nothing is read again")


async def offsets_and_times():
    topic = await create(unique("aiokafka.offsets"))
    at = TopicPartition(topic, 0)
    async with Producing() as producer:
        for i in range(20):
            await producer.send_and_wait(topic, str(i).encode(), timestamp_ms=1_000_000 + i * 1000)
    async with Consuming() as consumer:
        consumer.assign([at])
        equal(await consumer.beginning_offsets([at]), {at: 0}, "beginning")
        equal(await consumer.end_offsets([at]), {at: 20}, "end")
        found = await consumer.offsets_for_times({at: 1_007_500})
        equal((found[at].offset, found[at].timestamp), (8, 1_008_000), "by time")
        consumer.seek(at, 15)
        equal([each.offset for each in await take(consumer, 5)], [15, 16, 17, 18, 19], "after seek")


async def committed(topic):
    async with Consuming(isolation_level="read_committed") as consumer:
        at = TopicPartition(topic, 0)
        consumer.assign([at])
        end = (await consumer.end_offsets([at]))[at]
        values = []
        while await consumer.position(at) < end:
            found = await consumer.getmany(at, timeout_ms=200)
            values += [each.value.decode() for each in found.get(at, [])]
        return values


async def commit_and_abort():
    topic, expected = await create(unique("aiokafka.txn")), []
    async with Producing(transactional_id=unique("aiokafka.txn"), compression_type="lz4") as producer:
        for round in range(6):
            await producer.begin_transaction()
            values = [f"r{round}.{i}" for i in range(20)]
            for value in values:
                await producer.send_and_wait(topic, value.encode())
            if round % 3 == 1:
                await producer.abort_transaction()
            else:
                await producer.commit_transaction()
                expected += values
    equal(await committed(topic), expected, "committed")


async def fencing():
    topic, name = await create(unique("aiokafka.fence")), unique("aiokafka.txn")
    async with Producing(transactional_id=name) as first:
        await first.begin_transaction()
        await first.send_and_wait(topic, b"first")
        async with Producing(transactional_id=name) as second:
            try:
                await first.commit_transaction()
                raise AssertionError("the first could commit")
            except ProducerFenced:
                pass
            async with second.transaction():
                await second.send_and_wait(topic, b"second")
    equal(await committed(topic), ["second"], "committed")


async def transform():
    source, target, group = await create(unique("aiokafka.in")), await create(unique("aiokafka.out")), unique("aiokafka.g")
    await produce(source, 60)
    at = TopicPartition(source, 0)
    async with Consuming(source, group_id=group, isolation_level="read_committed") as consumer:
        async with Producing(transactional_id=unique("aiokafka.txn")) as producer:
            for done in (20, 40, 60):
                async with producer.transaction():
                    for record in await take(consumer, 20):
                        await producer.send(target, record.value + b"!")
                    await producer.send_offsets_to_transaction({at: done}, group)
                while await consumer.committed(at) != done:
                    await asyncio.sleep(0.01)
    equal(await committed(target), [f"v{i}!" for i in range(60)], "committed")


def login(mechanism, user, secret, over_tls):
    options = {"sasl_mechanism": mechanism, "sasl_plain_username": user, "sasl_plain_password": secret}
    if not over_tls:
        return {"security_protocol": "SASL_PLAINTEXT", **options}
    context = ssl.create_default_context(cafile=os.path.join(os.environ["TLS"], "root.crt"))
    return {"security_protocol": "SASL_SSL", "ssl_context": context, **options}


async def logins():
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]:
        for over_tls in [False, True]:
            options = login(mechanism, "alice", "alice-secret", over_tls)
            topic = await create(unique("aiokafka.login"), **options)
            await produce(topic, 3, **options)
            async with Consuming(topic, group_id=unique("aiokafka.g"), **options) as consumer:
                equal([each.value for each in await take(consumer, 3)], [b"v0", b"v1", b"v2"], "values")


async def refused():
    consumer = AIOKafkaConsumer(bootstrap_servers=SERVER, **login("SCRAM-SHA-256", "alice", "wrong", False))
    try:
        await consumer.start()
        raise AssertionError("a wrong password was taken")
    except Exception as cause:
        equal("connect" in str(cause).lower() or "authentication" in str(cause).lower(), True, f"said: {cause}")
    finally:
        await consumer.stop()


def each(cases):
    return {name: (lambda body=body: asyncio.run(body())) for name, body in cases.items()}


run_cases(
    each(
        {
            "logins: PLAIN and SCRAM, in plain text and over TLS": logins,
            "a wrong password is refused": refused,
        }
        if "security" in sys.argv
        else {
            "admin: topics, partitions, configs, records, groups, offsets": admin_calls,
            "all codecs both ways": codecs,
            "idempotent producer": idempotent,
            "commit and resume": resume,
            "a group of two shares four partitions, and the one that stays gets all": group_of_two,
            "offsets by place and time, seek": offsets_and_times,
            "transactions are committed and aborted": commit_and_abort,
            "a second producer with the same transactional id fences the first": fencing,
            "consume, transform, produce in transactions": transform,
        }
    )
)
