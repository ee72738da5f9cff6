"""confluent-kafka's serializers of Avro, JSON Schema and Protocol Buffers, and its registry client, with records that go through Kafka."""
import os

from cases import equal, run_cases, unique
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

KAFKA = os.environ["KAFKA"]
registry = SchemaRegistryClient({"url": os.environ["REGISTRY"]})
admin = AdminClient({"bootstrap.servers": KAFKA})
F = descriptor_pb2.FieldDescriptorProto


def make_topic(**configs):
    name = unique("schemas")
    for future in admin.create_topics([NewTopic(name, 1, 1, config=configs)]).values():
        future.result(10)
    return name


def through_kafka(topic, serializer, deserializer, value):
    context = SerializationContext(topic, MessageField.VALUE)
    producer = Producer({"bootstrap.servers": KAFKA})
    failed = []
    producer.produce(topic, serializer(value, context), on_delivery=lambda error, _: failed.append(error) if error else None)
    equal(producer.flush(10), 0, "left in the queue")
    equal(failed, [], "failed")
    consumer = Consumer({"bootstrap.servers": KAFKA, "group.id": unique("g"), "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        for _ in range(20):
            message = consumer.poll(1)
            if message is not None:
                assert message.error() is None, message.error()
                return deserializer(message.value(), context)
    finally:
        consumer.close()
    raise AssertionError("no message came")


AVRO = """{"type": "record", "name": "User", "namespace": "shop", "fields": [
    {"name": "name", "type": "string"}, {"name": "age", "type": ["null", "int"], "default": null}]}"""


def avro():
    topic = make_topic()
    value = {"name": "Ada", "age": 36}
    equal(through_kafka(topic, AvroSerializer(registry, AVRO), AvroDeserializer(registry), value), value)
    registered = registry.get_latest_version(f"{topic}-value")
    equal((registered.version, registered.schema.schema_type), (1, "AVRO"))


def avro_evolves():
    topic = make_topic()
    newer = AVRO.replace('"default": null}', '"default": null}, {"name": "city", "type": "string", "default": "?"}')
    serializer = AvroSerializer(registry, AVRO)
    reader = AvroDeserializer(registry, newer)
    equal(through_kafka(topic, serializer, reader, {"name": "Ada", "age": None}), {"name": "Ada", "age": None, "city": "?"})
    assert registry.test_compatibility(f"{topic}-value", Schema(newer, "AVRO"))
    needy = AVRO.replace('"default": null}', '"default": null}, {"name": "city", "type": "string"}')
    assert not registry.test_compatibility(f"{topic}-value", Schema(needy, "AVRO"))
    try:
        registry.register_schema(f"{topic}-value", Schema(needy, "AVRO"))
        raise AssertionError("registered what is incompatible")
    except SchemaRegistryError as error:
        equal((error.http_status_code, error.error_code), (409, 409))


JSON = """{"type": "object", "title": "Order", "properties": {"id": {"type": "integer"}, "note": {"type": "string"}},
    "required": ["id"], "additionalProperties": false}"""


def json_schema():
    topic = make_topic()
    value = {"id": 5, "note": "fünf"}
    equal(through_kafka(topic, JSONSerializer(JSON, registry), JSONDeserializer(JSON, schema_registry_client=registry), value), value)
    equal(registry.get_latest_version(f"{topic}-value").schema.schema_type, "JSON")


def messages(*files):
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def proto_files():
    word = unique("p").replace(".", "_").replace("-", "_")
    inner = descriptor_pb2.FileDescriptorProto(name=f"{word}/inner.proto", package=word, syntax="proto3")
    line = inner.message_type.add(name="Line")
    line.field.add(name="count", number=1, type=F.TYPE_INT32, label=F.LABEL_OPTIONAL)
    outer = descriptor_pb2.FileDescriptorProto(name=f"{word}/outer.proto", package=word, syntax="proto3", dependency=[inner.name])
    outer.message_type.add(name="First")
    order = outer.message_type.add(name="Order")
    order.field.add(name="id", number=1, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL)
    order.field.add(name="lines", number=2, type=F.TYPE_MESSAGE, label=F.LABEL_REPEATED, type_name=f".{word}.Line")
    return word, messages(inner, outer)


def protobuf():
    topic = make_topic()
    word, message = proto_files()
    Order, Line = message(f"{word}.Order"), message(f"{word}.Line")
    order = Order(id="a", lines=[Line(count=3)])
    serializer = ProtobufSerializer(Order, registry, {"use.deprecated.format": False})
    got = through_kafka(topic, serializer, ProtobufDeserializer(Order, {"use.deprecated.format": False}, registry), order)
    equal(got, order)
    registered = registry.get_latest_version(f"{topic}-value")
    equal([each.name for each in registered.schema.references], [f"{word}/inner.proto"])
    assert "message Order {" in registered.schema.schema_str, registered.schema.schema_str
    equal(registry.get_latest_version(f"{word}/inner.proto").version, 1)


def send(topic, *values, headers=None, compression="none"):
    producer = Producer({"bootstrap.servers": KAFKA, "compression.type": compression, "linger.ms": 50})
    outcomes = []
    for value in values:
        producer.produce(topic, value, headers=headers, on_delivery=lambda error, _: outcomes.append(error and error.name()))
    equal(producer.flush(10), 0, "left in the queue")
    return outcomes


def receive(topic, count):
    consumer = Consumer({"bootstrap.servers": KAFKA, "group.id": unique("g"), "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    values = []
    try:
        for _ in range(40):
            message = consumer.poll(0.5)
            if message is not None:
                assert message.error() is None, message.error()
                values.append(message.value())
            if len(values) == count:
                return values
    finally:
        consumer.close()
    raise AssertionError(f"{values}: {count} were to come")


def validation():
    topic = make_topic(**{"confluent.value.schema.validation": "true"})
    value = AvroSerializer(registry, AVRO)({"name": "Ada", "age": 36}, SerializationContext(topic, MessageField.VALUE))
    equal(send(topic, value, value, compression="zstd"), [None, None])
    for compression in ("none", "gzip", "lz4", "snappy", "zstd"):
        equal(set(send(topic, b"no schema", compression=compression)), {"INVALID_RECORD"}, compression)
    equal(receive(topic, 2), [value, value])


def delays():
    topic = make_topic(**{"anymq.delay.headers": "true"})
    equal(send(topic, b"later", headers={"anymq.delay-ms": "1500"}, compression="lz4"), [None])
    equal(send(topic, b"now"), [None])
    equal(receive(topic, 2), [b"now", b"later"])
    topic = make_topic(**{"anymq.delay.ms": "500"})
    equal(send(topic, b"a", b"b"), [None, None])
    equal(receive(topic, 2), [b"a", b"b"])


def client():
    subject = unique("subject")
    id1 = registry.register_schema(subject, Schema('"string"', "AVRO"))
    equal(registry.lookup_schema(subject, Schema('{"type": "string"}', "AVRO")).version, 1)
    equal(registry.get_schema(id1).schema_str, '"string"')
    assert subject in registry.get_subjects()
    registry.set_compatibility(subject, "NONE")
    equal(registry.get_compatibility(subject), "NONE")
    registry.register_schema(subject, Schema('"int"', "AVRO"))
    equal(registry.get_versions(subject), [1, 2])
    equal(registry.get_version(subject, 2).schema.schema_str, '"int"')
    holder = unique("holder")
    named = '{"type": "record", "name": "Named", "fields": []}'
    inner = unique("inner")
    registry.register_schema(inner, Schema(named, "AVRO"))
    outer = Schema('{"type": "array", "items": "Named"}', "AVRO", [SchemaReference("Named", inner, 1)])
    outer_id = registry.register_schema(holder, outer)
    equal(registry.get_referenced_by(inner, 1), [outer_id])
    equal(registry.delete_version(subject, 2), 2)
    equal(registry.delete_subject(subject), [1])
    equal(sorted(registry.delete_subject(subject, permanent=True)), [1, 2])
    for gone in (lambda: registry.get_versions(subject), lambda: registry.get_latest_version(subject)):
        try:
            gone()
            raise AssertionError("still there")
        except SchemaRegistryError as error:
            equal((error.http_status_code, error.error_code), (404, 40401))


run_cases(
    {
        "Avro records through Kafka": avro,
        "an Avro schema evolves, and what is incompatible is refused": avro_evolves,
        "JSON Schema records through Kafka": json_schema,
        "Protocol Buffers with an import through Kafka": protobuf,
        "a topic that asks for schemas refuses others, however compressed": validation,
        "records that are delayed by their headers, and by their topic": delays,
        "registry client: subjects, versions, levels, references, deletion": client,
    }
)
