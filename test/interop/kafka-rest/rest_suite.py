"""The REST proxy as programs use it (requests), beside confluent-kafka's producers and consumers with their serializers."""
import base64
import os

import requests
from cases import equal, run_cases, unique
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

REST, KAFKA = os.environ["KAFKA_REST"], os.environ["KAFKA"]
registry = SchemaRegistryClient({"url": os.environ["REGISTRY"]})
AVRO = '{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}, {"name": "note", "type": ["null", "string"]}]}'


def ask(method, path, status=200, **more):
    response = requests.request(method, path if path.startswith("http") else REST + path, timeout=20, **more)
    equal(response.status_code, status, response.text)
    return response.json() if response.text else None


def media(kind):
    return f"application/vnd.kafka.{kind}.v2+json"


def make_topic(partitions=1):
    name = unique("rest")
    cluster = ask("GET", "/v3/clusters")["data"][0]["cluster_id"]
    ask("POST", f"/v3/clusters/{cluster}/topics", 201, json={"topic_name": name, "partitions_count": partitions})
    return cluster, name


def consume(topic, count):
    consumer = Consumer({"bootstrap.servers": KAFKA, "group.id": unique("g"), "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    messages = []
    try:
        for _ in range(30):
            message = consumer.poll(1)
            if message is not None:
                assert message.error() is None, message.error()
                messages.append(message)
            if len(messages) == count:
                return messages
    finally:
        consumer.close()
    raise AssertionError(f"{len(messages)} of {count} came")


def instance(topic, kind):
    made = ask("POST", f"/consumers/{unique('group')}", json={"format": kind, "auto.offset.reset": "earliest"})
    ask("POST", made["base_uri"] + "/subscription", 204, json={"topics": [topic]})
    return made["base_uri"]


def binary():
    cluster, topic = make_topic()
    records = [{"key": base64.b64encode(b"k").decode(), "value": base64.b64encode(b"v\x00").decode()}, {"value": None}]
    ask("POST", f"/topics/{topic}", json={"records": records}, headers={"content-type": media("binary")})
    header = {"name": "h", "value": base64.b64encode(b"x").decode()}
    sent = {"value": {"type": "STRING", "data": "third"}, "headers": [header]}
    equal(ask("POST", f"/v3/clusters/{cluster}/topics/{topic}/records", json=sent)["offset"], 2)
    got = consume(topic, 3)
    equal([(m.key(), m.value(), m.headers()) for m in got], [(b"k", b"v\x00", None), (None, None, None), (None, b"third", [("h", b"x")])])


def avro_out():
    _, topic = make_topic()
    order = {"id": 2**60 + 1, "note": {"string": "n"}}
    body = '{"value_schema": %s, "records": [{"value": {"id": 1152921504606846977, "note": {"string": "n"}}}]}' % (
        requests.compat.json.dumps(AVRO)
    )
    ask("POST", f"/topics/{topic}", data=body, headers={"content-type": media("avro")})
    [message] = consume(topic, 1)
    got = AvroDeserializer(registry)(message.value(), SerializationContext(topic, MessageField.VALUE))
    equal(got, {"id": order["id"], "note": "n"})


def avro_in():
    _, topic = make_topic()
    serialize = AvroSerializer(registry, AVRO)
    producer = Producer({"bootstrap.servers": KAFKA})
    for number in range(3):
        value = {"id": number, "note": None if number else "zero"}
        producer.produce(topic, serialize(value, SerializationContext(topic, MessageField.VALUE)))
    equal(producer.flush(10), 0, "left in the queue")
    uri = instance(topic, "avro")
    records = ask("GET", uri + "/records?timeout=5000", headers={"accept": media("avro")})
    equal([r["value"] for r in records], [{"id": 0, "note": {"string": "zero"}}, {"id": 1, "note": None}, {"id": 2, "note": None}])
    ask("DELETE", uri, 204)
    ask("GET", uri + "/records", 404)


run_cases(
    {
        "binary and v3 records to a Kafka consumer": binary,
        "Avro over REST to confluent's deserializer": avro_out,
        "Avro of confluent's serializer over REST": avro_in,
    }
)
