"""Kombu, as programs beside Celery use it: simple queues, pools with returns and confirms, consumers that requeue, headers and compression."""
import os
import socket

from kombu import Connection, Consumer, Exchange, Queue, binding
from kombu.pools import producers
from cases import equal, run_cases, unique

URL = os.environ["AMQP"]


def simple_queue():
    with Connection(URL) as connection, connection.SimpleQueue(unique("simple")) as queue:
        for number in range(10):
            queue.put({"number": number})
        equal(queue.qsize(), 10)
        got = []
        for _ in range(10):
            message = queue.get(timeout=5)
            got.append(message.payload["number"])
            message.ack()
        equal(got, list(range(10)))


def drain(connection, queues, handle, enough):
    got = []

    def on_message(body, message):
        got.append((body, message))
        handle(message, len(got))

    with Consumer(connection, queues, callbacks=[on_message], accept=["json"]):
        while len(got) < enough:
            connection.drain_events(timeout=5)
        try:
            connection.drain_events(timeout=0.2)
            raise AssertionError("more came than was expected")
        except socket.timeout:
            pass
    return got


def pooled_producers():
    returned = []
    name = unique("pool")
    exchange = Exchange(name, type="topic", durable=True)
    queue = Queue(name, [binding(exchange, routing_key="a.#"), binding(exchange, routing_key="*.b")])
    with Connection(URL, transport_options={"confirm_publish": True}) as connection:
        with producers[connection].acquire(block=True) as producer:
            producer.publish({"n": 1}, exchange=exchange, routing_key="a.b", declare=[queue], serializer="json", compression="zlib", headers={"h": [1, "x"]}, priority=3)
            producer.channel.events["basic_return"].add(lambda exception, exchange, routing_key, message: returned.append((exception.reply_code, routing_key)))
            producer.publish({"n": 2}, exchange=exchange, routing_key="c", mandatory=True)
            producer.publish({"n": 3}, exchange=exchange, routing_key="c.b", expiration=30)
        (first, message), (third, _) = drain(connection, [queue], lambda message, _: message.ack(), 2)
        equal((first, third), ({"n": 1}, {"n": 3}))
        equal((message.headers["h"], message.properties["priority"]), ([1, "x"], 3))
        queue(connection).delete()
        exchange(connection).delete()
    equal(returned, [(312, "c")])


def requeue_and_reject():
    name = unique("requeue")
    dead = Queue(f"{name}.dead")
    queue = Queue(name, queue_arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name})
    with Connection(URL) as connection:
        with producers[connection].acquire(block=True) as producer:
            producer.publish("x", exchange="", routing_key=name, declare=[queue, dead], serializer="json")
        got = drain(connection, [queue], lambda message, count: message.requeue() if count == 1 else message.reject(), 2)
        equal([message.delivery_info["redelivered"] for _, message in got], [False, True])
        [(_, message)] = drain(connection, [dead], lambda message, _: message.ack(), 1)
        equal(message.headers["x-death"][0]["reason"], "rejected")
        queue(connection).delete()
        dead(connection).delete()


def virtual_host_and_login():
    with Connection(URL) as connection:
        connection.ensure_connection(max_retries=1)
        info = connection.connection.server_properties
        equal(info["product"], "RabbitMQ")
        assert info["capabilities"]["consumer_cancel_notify"] and info["capabilities"]["connection.blocked"]


run_cases(
    {
        "simple queue": simple_queue,
        "pooled producers with confirms and returns": pooled_producers,
        "requeue and reject": requeue_and_reject,
        "server properties": virtual_host_and_login,
    }
)
