"""confluent-kafka, the Python face of librdkafka."""
import os
import time

from cases import equal, run_cases, unique
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

SERVER = os.environ["KAFKA"]


def admin():
    return AdminClient({"bootstrap.servers": SERVER})


def create(name, partitions=1):
    # The client must outlive its futures.
    own = admin()
    for future in own.create_topics([NewTopic(name, partitions, 1)]).values():
        future.result(15)
    return name


def produce(topic, count, **options):
    failures, offsets = [], []

    def reported(error, message):
        (failures if error else offsets).append(error or message.offset())

    producer = Producer({"bootstrap.servers": SERVER, "linger.ms": 5, **options})
    for i in range(count):
        producer.produce(topic, key=f"k{i % 7}", value=f"v{i}", headers=[("i", str(i)), ("null", None), ("raw", b"\x00\xff")], on_delivery=reported)
    equal(producer.flush(20), 0, "records left after flush")
    equal(failures, [], "failures")
    equal(len(offsets), count, "delivered")
    return offsets


def consumer(group, **options):
    return Consumer({"bootstrap.servers": SERVER, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False, **options})


def take(client, count, seconds=20):
    messages, deadline = [], time.monotonic() + seconds
    while len(messages) < count and time.monotonic() < deadline:
        for message in client.consume(count - len(messages), 0.5):
            if message.error():
                raise AssertionError(message.error())
            messages.append(message)
    equal(len(messages), count, "messages")
    return messages


def admin_topics():
    name = create(unique("confluent.admin"), 3)
    own = admin()
    found = own.list_topics(timeout=10).topics
    equal(len(found[name].partitions), 3, "partitions")
    for future in own.delete_topics([name]).values():
        future.result(15)
    # A later Metadata request may not show it; asking for it by name could create it again.
    equal(name in own.list_topics(timeout=10).topics, False, "listed after deletion")


def codecs():
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        topic = create(unique("confluent." + codec))
        equal(produce(topic, 200, **{"compression.type": codec}), list(range(200)), "offsets")
        client = consumer(unique("g"))
        client.subscribe([topic])
        messages = take(client, 200)
        for i, message in enumerate(messages):
            equal(message.value(), f"v{i}".encode(), "value")
            equal(message.key(), f"k{i % 7}".encode(), "key")
            equal(message.headers(), [("i", str(i).encode()), ("null", None), ("raw", b"\x00\xff")], "headers")
        client.close()


def idempotent():
    topic = create(unique("confluent.idempotent"))
    equal(produce(topic, 3000, **{"enable.idempotence": True, "batch.num.messages": 50}), list(range(3000)), "offsets")


def resume():
    topic, group = create(unique("confluent.resume")), unique("g")
    produce(topic, 100)
    client = consumer(group)
    client.subscribe([topic])
    messages = take(client, 30)
    client.commit(message=messages[-1], asynchronous=False)
    client.close()
    client = consumer(group)
    equal(client.committed([TopicPartition(topic, 0)], timeout=10)[0].offset, 30, "committed")
    client.subscribe([topic])
    equal([m.offset() for m in take(client, 70)], list(range(30, 100)), "offsets after resuming")
    client.close()


def group_of_two():
    topic, group = create(unique("confluent.group"), 4), unique("g")
    produce(topic, 400)
    clients = [consumer(group, **{"session.timeout.ms": 6000, "heartbeat.interval.ms": 300}) for _ in range(2)]
    for client in clients:
        client.subscribe([topic])
    seen, deadline = set(), time.monotonic() + 25
    while time.monotonic() < deadline:
        for client in clients:
            for message in client.consume(100, 0.1):
                equal(message.error(), None, "error")
                seen.add((message.partition(), message.offset()))
        if len(seen) == 400 and all(len(c.assignment()) == 2 for c in clients):
            break
    equal(len(seen), 400, "records")
    equal([len(c.assignment()) for c in clients], [2, 2], "partitions each")
    for client in clients:
        client.close()


def watermarks_and_seek():
    topic = create(unique("confluent.seek"))
    produce(topic, 20)
    client = consumer(unique("g"))
    equal(client.get_watermark_offsets(TopicPartition(topic, 0), timeout=10), (0, 20), "watermarks")
    client.assign([TopicPartition(topic, 0, 15)])
    equal([m.offset() for m in take(client, 5)], [15, 16, 17, 18, 19], "offsets")
    client.seek(TopicPartition(topic, 0, 3))
    equal(take(client, 1)[0].offset(), 3, "offset after seek")
    client.close()


def read_to_end(topic, **options):
    """What partition 0 has, up to where the client is told that it ends."""
    client = consumer(unique("g"), **{"enable.partition.eof": True, **options})
    client.assign([TopicPartition(topic, 0, 0)])
    messages, deadline = [], time.monotonic() + 15
    while time.monotonic() < deadline:
        message = client.poll(0.5)
        if message is None:
            continue
        if message.error():
            equal(message.error().code(), KafkaError._PARTITION_EOF, "error")
            client.close()
            return messages
        messages.append(message)
    raise AssertionError(f"the end of {topic} did not come; got {len(messages)} messages")


def end_of_partition():
    topic = create(unique("confluent.eof"))
    produce(topic, 3)
    equal([message.offset() for message in read_to_end(topic)], [0, 1, 2], "offsets before the end")


def transactional(name, **options):
    producer = Producer({"bootstrap.servers": SERVER, "transactional.id": name, **options})
    producer.init_transactions(15)
    return producer


def committed(topic):
    return [message.value().decode() for message in read_to_end(topic, **{"isolation.level": "read_committed"})]


def commit_and_abort():
    topic = create(unique("confluent.txn"))
    producer = transactional(unique("txn"), **{"batch.num.messages": 7, "compression.type": "lz4"})
    expected = []
    for round in range(10):
        producer.begin_transaction()
        values = [f"r{round}.{i}" for i in range(20)]
        for value in values:
            producer.produce(topic, value=value)
        if round % 3 == 1:
            producer.flush(10)
            producer.abort_transaction(15)
        else:
            producer.commit_transaction(15)
            expected += values
    equal(committed(topic), expected, "committed")


def fencing():
    topic, name = create(unique("confluent.fence")), unique("txn")
    first = transactional(name)
    first.begin_transaction()
    first.produce(topic, value="first")
    first.flush(10)
    second = transactional(name)
    try:
        first.commit_transaction(15)
        raise AssertionError("the first could commit")
    except KafkaException as refused:
        equal(refused.args[0].fatal(), True, "fatal")
        equal(refused.args[0].code(), KafkaError._FENCED, "error")
    second.begin_transaction()
    second.produce(topic, value="second")
    second.commit_transaction(15)
    equal(committed(topic), ["second"], "committed")


def transform():
    source, target, group = create(unique("confluent.in")), create(unique("confluent.out")), unique("g")
    produce(source, 60)
    client = consumer(group, **{"isolation.level": "read_committed"})
    client.subscribe([source])
    producer = transactional(unique("txn"))
    done = 0
    while done < 60:
        messages = take(client, 20)
        producer.begin_transaction()
        for message in messages:
            producer.produce(target, value=message.value() + b"!")
        producer.send_offsets_to_transaction(client.position(client.assignment()), client.consumer_group_metadata(), 15)
        producer.commit_transaction(15)
        done += len(messages)
        equal(client.committed([TopicPartition(source, 0)], timeout=10)[0].offset, done, "committed offset")
    client.close()
    equal(committed(target), [f"v{i}!" for i in range(60)], "committed")


def consumer_protocol():
    topic, group = create(unique("confluent.848"), 4), unique("g")
    options = {"group.protocol": "consumer"}
    first, second = consumer(group, **options), consumer(group, **options)
    for client in (first, second):
        client.subscribe([topic])
    deadline = time.monotonic() + 25
    while (len(first.assignment()), len(second.assignment())) != (2, 2) and time.monotonic() < deadline:
        for client in (first, second):
            client.poll(0.1)
    equal((len(first.assignment()), len(second.assignment())), (2, 2), "partitions of each")
    produce(topic, 100)
    values = []
    while len(values) < 100 and time.monotonic() < deadline:
        for client in (first, second):
            values += [message.value() for message in client.consume(50, 0.2) if not message.error()]
    equal(len(set(values)), 100, "values")
    first.commit(asynchronous=False)
    second.commit(asynchronous=False)
    first.close()
    second.close()


run_cases({
    "the consumer protocol: a group of two shares four partitions": consumer_protocol,
    "admin creates, lists and deletes a topic": admin_topics,
    "all codecs both ways": codecs,
    "idempotent producer": idempotent,
    "commit and resume": resume,
    "a group of two shares four partitions": group_of_two,
    "watermarks, assign and seek": watermarks_and_seek,
    "end of partition is told": end_of_partition,
    "transactions are committed and aborted": commit_and_abort,
    "a second producer with the same transactional id fences the first": fencing,
    "consume, transform, produce in transactions": transform,
})
