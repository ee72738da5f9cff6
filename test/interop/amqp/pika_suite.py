"""pika, the Python client that most RabbitMQ tutorials use."""
import datetime
import os
import time

import pika
from cases import equal, run_cases, unique
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError

PARAMETERS = pika.URLParameters(os.environ["AMQP"] + "?heartbeat=10&blocked_connection_timeout=10")


def opened(test):
    def body():
        connection = pika.BlockingConnection(PARAMETERS)
        channel = connection.channel()
        test(channel)
        if connection.is_open:
            connection.close()
    return body


def declare(channel, **arguments):
    name = unique("pika")
    channel.queue_declare(name, durable=True, arguments={"x-expires": 120000, **arguments})
    return name


def get(channel, queue, seconds=10, auto_ack=True):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        method, properties, body = channel.basic_get(queue, auto_ack=auto_ack)
        if method:
            return method, properties, body
        time.sleep(0.01)
    raise AssertionError(f"nothing in {queue}")


@opened
def confirms_and_prefetch(channel):
    channel.confirm_delivery()
    queue = declare(channel)
    for i in range(100):
        channel.basic_publish("", queue, str(i), pika.BasicProperties(delivery_mode=2))
    channel.basic_qos(prefetch_count=5)
    got = []
    for method, _, body in channel.consume(queue, inactivity_timeout=10):
        if method is None:
            raise AssertionError(f"only {len(got)} deliveries came")
        got.append(int(body))
        channel.basic_ack(method.delivery_tag)
        if len(got) == 100:
            break
    channel.cancel()
    equal(got, list(range(100)), "order")
    equal(channel.queue_declare(queue, passive=True).method.message_count, 0, "left")


@opened
def mandatory(channel):
    channel.confirm_delivery()
    try:
        channel.basic_publish("", unique("nowhere"), b"x", mandatory=True)
    except UnroutableError as error:
        equal(error.messages[0].method.reply_code, 312, "reply code")
    else:
        raise AssertionError("an unroutable mandatory message was not returned")


@opened
def properties_and_headers(channel):
    queue = declare(channel)
    at = datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)
    headers = {"int": 7, "long": 1 << 40, "negative": -5, "text": "grüße", "yes": True, "none": None, "when": at, "list": [1, "two", False, [3]], "dict": {"a": {"b": 1}}, "bytes": b"\x00\xff"}
    properties = pika.BasicProperties(content_type="a/b", content_encoding="gzip", headers=headers, delivery_mode=2, priority=4, correlation_id="c", reply_to="r", expiration="100000",
                                      message_id="m", timestamp=1700000000, type="t", app_id="app")
    channel.basic_publish("", queue, b"body", properties)
    _, back, body = get(channel, queue)
    equal(body, b"body", "body")
    for name in ["content_type", "content_encoding", "delivery_mode", "priority", "correlation_id", "reply_to", "expiration", "message_id", "timestamp", "type", "app_id"]:
        equal(getattr(back, name), getattr(properties, name), name)
    equal(back.headers, headers, "headers")


@opened
def nack_and_dead_letter(channel):
    dead = declare(channel)
    queue = declare(channel, **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    channel.basic_publish("", queue, b"poison")
    method, _, _ = get(channel, queue, auto_ack=False)
    channel.basic_nack(method.delivery_tag, requeue=True)
    method, _, _ = get(channel, queue, auto_ack=False)
    equal(method.redelivered, True, "redelivered")
    channel.basic_reject(method.delivery_tag, requeue=False)
    _, properties, body = get(channel, dead)
    equal(body, b"poison", "body")
    death = properties.headers["x-death"][0]
    equal((death["reason"], death["queue"], death["count"]), ("rejected", queue, 1), "x-death")


@opened
def ttl(channel):
    dead = declare(channel)
    queue = declare(channel, **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead, "x-message-ttl": 100})
    channel.basic_publish("", queue, b"old")
    _, properties, _ = get(channel, dead)
    equal(properties.headers["x-death"][0]["reason"], "expired", "reason")
    equal(channel.queue_declare(queue, passive=True).method.message_count, 0, "left")


@opened
def exchanges(channel):
    for kind, key, hit in [("direct", "k", "k"), ("fanout", "", "any"), ("topic", "a.#", "a.b.c"), ("headers", "", "")]:
        name = unique("pika." + kind)
        channel.exchange_declare(name, kind, durable=True)
        queue = declare(channel)
        channel.queue_bind(queue, name, key, arguments={"x-match": "all", "h": "1"} if kind == "headers" else None)
        channel.basic_publish(name, hit, b"hit", pika.BasicProperties(headers={"h": "1", "other": 2}))
        if kind != "fanout":
            channel.basic_publish(name, "b", b"miss", pika.BasicProperties(headers={"h": "2"}))
        equal(get(channel, queue)[2], b"hit", kind)
        equal(channel.basic_get(queue)[0], None, kind + " delivers no more")
        channel.exchange_delete(name)


@opened
def transactions(channel):
    queue = declare(channel)
    channel.tx_select()
    channel.basic_publish("", queue, b"never")
    channel.tx_rollback()
    channel.basic_publish("", queue, b"now")
    channel.tx_commit()
    equal(get(channel, queue)[2], b"now", "committed")
    equal(channel.basic_get(queue, auto_ack=True)[0], None, "rolled back")
    channel.tx_commit()


@opened
def recover(channel):
    queue = declare(channel)
    channel.basic_publish("", queue, b"x")
    get(channel, queue, auto_ack=False)
    channel.basic_recover(requeue=True)
    method, _, _ = get(channel, queue)
    equal(method.redelivered, True, "redelivered")


@opened
def refused_publish(channel):
    channel.confirm_delivery()
    queue = declare(channel, **{"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.basic_publish("", queue, b"1")
    try:
        channel.basic_publish("", queue, b"2")
    except NackError:
        return
    raise AssertionError("a full queue took a message")


@opened
def errors(channel):
    for code, provoke in [
        (404, lambda c: c.queue_declare(unique("missing"), passive=True)),
        (404, lambda c: c.queue_bind(declare(c), unique("missing"), "k")),
        (403, lambda c: c.queue_declare("amq." + unique("reserved"))),
        (406, lambda c: (c.exchange_declare("amq.topic", "direct", durable=True))),
    ]:
        other = channel.connection.channel()
        try:
            provoke(other)
        except ChannelClosedByBroker as error:
            equal(error.reply_code, code, error.reply_text)
        else:
            raise AssertionError(f"no {code}")
    equal(channel.is_open, True, "the other channel stays open")


@opened
def single_active_consumer(channel):
    queue = declare(channel, **{"x-single-active-consumer": True})
    got = {"first": 0, "second": 0}

    def count(name):
        def on_message(c, method, _properties, _body):
            got[name] += 1
            c.basic_ack(method.delivery_tag)
        return on_message

    first = channel.basic_consume(queue, count("first"))
    channel.basic_consume(queue, count("second"))
    for _ in range(10):
        channel.basic_publish("", queue, b"x")
    deadline = time.monotonic() + 10
    while sum(got.values()) < 10 and time.monotonic() < deadline:
        channel.connection.process_data_events(0.05)
    equal(got, {"first": 10, "second": 0}, "deliveries")
    channel.basic_cancel(first)
    for _ in range(10):
        channel.basic_publish("", queue, b"x")
    while sum(got.values()) < 20 and time.monotonic() < deadline:
        channel.connection.process_data_events(0.05)
    equal(got, {"first": 10, "second": 10}, "deliveries after the first consumer left")


run_cases({
    "publish with confirms, consume with prefetch": confirms_and_prefetch,
    "mandatory is returned": mandatory,
    "properties and headers of every type": properties_and_headers,
    "nack, requeue, reject, dead letter": nack_and_dead_letter,
    "x-message-ttl": ttl,
    "exchanges of four types": exchanges,
    "transactions": transactions,
    "basic.recover": recover,
    "reject-publish nacks": refused_publish,
    "errors": errors,
    "single active consumer": single_active_consumer,
})
