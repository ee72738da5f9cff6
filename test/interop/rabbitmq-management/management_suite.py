"""Python programs that live on the management API: amqpstorm's client of it, and the broker page of Celery's Flower."""
import asyncio
import os
import time
from urllib.parse import urlparse

from amqpstorm import AMQPConnectionError, Connection
from amqpstorm.management import ApiError, ManagementApi
from cases import equal, run_cases, unique
from flower.utils.broker import Broker

MANAGEMENT = urlparse(os.environ["MANAGEMENT"])
AMQP = urlparse(os.environ["AMQP"])
api = ManagementApi(f"http://{MANAGEMENT.hostname}:{MANAGEMENT.port}", "guest", "guest")


def until(what, holds, seconds=15):
    deadline = time.monotonic() + seconds
    while not holds():
        if deadline < time.monotonic():
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def queues_exchanges_and_bindings():
    queue, exchange = unique("storm.q"), unique("storm.x")
    api.queue.declare(queue, durable=True, arguments={"x-message-ttl": 60000})
    api.exchange.declare(exchange, exchange_type="topic", durable=True)
    api.queue.bind(queue=queue, exchange=exchange, routing_key="a.*", virtual_host="/", arguments=None)
    equal(api.queue.get(queue)["arguments"], {"x-message-ttl": 60000}, "arguments")
    equal([each["source"] for each in api.queue.bindings(queue)], ["", exchange], "bindings")
    equal(api.exchange.get(exchange)["type"], "topic", "type")
    equal(len(api.exchange.bindings(exchange)), 1, "bindings of the exchange")
    api.queue.unbind(queue=queue, exchange=exchange, routing_key="a.*", virtual_host="/")
    equal(len(api.queue.bindings(queue)), 1, "after unbind")
    found = api.queue.list(name=queue, use_regex=False, show_all=False)
    equal([each["name"] for each in found], [queue], "list by name")
    try:
        api.queue.declare(queue, durable=False)
        raise AssertionError("a different declaration was accepted")
    except ApiError as error:
        equal(error.error_code, 400, "code of the refusal")
    api.queue.delete(queue)
    api.exchange.delete(exchange)
    try:
        api.queue.get(queue)
        raise AssertionError("a deleted queue is there")
    except ApiError as error:
        equal(error.error_code, 404, "code of what is not there")


def messages():
    queue = unique("storm.m")
    api.queue.declare(queue)
    properties = {"content_type": "text/plain", "headers": {"k": [1, "a"]}, "delivery_mode": 2}
    equal(api.basic.publish("hello", queue, properties=properties), {"routed": True}, "publish")
    equal(api.basic.publish("x", unique("nowhere")), {"routed": False}, "publish to nobody")
    message = api.basic.get(queue, requeue=True, to_dict=True)[0]
    equal([message["payload"], message["properties"]], ["hello", properties], "message")
    api.queue.purge(queue)
    equal(api.basic.get(queue), [], "after purge")
    api.queue.delete(queue)


def connections_and_channels():
    queue = unique("storm.c")
    connection = Connection(AMQP.hostname, "guest", "guest", port=AMQP.port, client_properties={"connection_name": queue})
    channel = connection.channel()
    channel.queue.declare(queue)
    channel.basic.qos(3)
    channel.basic.consume(lambda message: None, queue, consumer_tag="storm")

    def mine():
        return [each for each in api.connection.list() if each.get("client_properties", {}).get("connection_name") == queue]

    until("my connection is listed", lambda: len(mine()) == 1)
    name = mine()[0]["name"]
    until("its consumer is shown", lambda: len(api.queue.get(queue).get("consumer_details", [])) == 1)
    equal(api.connection.get(name)["user"], "guest", "user")
    until("its prefetch is shown", lambda: api.channel.get(f"{name} (1)")["prefetch_count"] == 3)
    equal(api.queue.get(queue)["consumer_details"][0]["consumer_tag"], "storm", "consumer")
    api.connection.close(name, reason="enough")

    def told():
        try:
            connection.check_for_errors()
            return None
        except AMQPConnectionError as error:
            return error.error_code

    until("the client is told", lambda: told() == 320)
    api.queue.delete(queue)


def the_broker():
    equal(api.whoami()["tags"], ["administrator"], "tags")
    overview = api.overview()
    for field in ["rabbitmq_version", "cluster_name", "object_totals", "queue_totals", "listeners"]:
        assert field in overview, field
    node = api.nodes()[0]
    equal(api.node(node["name"])["running"], True, "node")
    equal(api.aliveness_test(), {"status": "ok"}, "aliveness")
    equal(api.healthchecks.get(), {"status": "ok"}, "health")
    vhost = unique("storm.v")
    api.virtual_host.create(vhost)
    equal(api.virtual_host.get(vhost)["name"], vhost, "vhost")
    api.virtual_host.delete(vhost)


def flower():
    vhost = unique("flower")
    api.virtual_host.create(vhost)
    if api.user.list():
        api.user.set_permission("guest", vhost, ".*", ".*", ".*")
    api.queue.declare("celery", durable=True, virtual_host=vhost)
    api.queue.declare("other", durable=True, virtual_host=vhost)
    api.basic.publish("task", "celery", virtual_host=vhost)

    async def asked():
        http_api = f"http://guest:guest@{MANAGEMENT.hostname}:{MANAGEMENT.port}/api/"
        broker = Broker(f"amqp://guest:guest@{AMQP.hostname}:{AMQP.port}/{vhost}", http_api=http_api)
        return await broker.queues(["celery"])

    def shown():
        queues = asyncio.run(asked())
        # The fields of Flower's broker page; a real RabbitMQ has them a moment later.
        return [(each["name"], each.get("messages"), each.get("messages_ready"), each.get("consumers")) for each in queues]

    until("flower sees the queue", lambda: shown() == [("celery", 1, 1, 0)])
    api.virtual_host.delete(vhost)


run_cases({
    "amqpstorm: queues, exchanges and bindings": queues_exchanges_and_bindings,
    "amqpstorm: messages": messages,
    "amqpstorm: connections and channels": connections_and_channels,
    "amqpstorm: the broker": the_broker,
    "Flower's broker page": flower,
})
