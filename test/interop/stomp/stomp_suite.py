"""stomp.py, the Python client of ActiveMQ's and RabbitMQ's users, in each version of the protocol."""
import os
import queue
import threading

import stomp
from cases import equal, run_cases, unique

HOST, PORT = os.environ["STOMP"].rsplit(":", 1)
CONNECTIONS = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}


class Listener(stomp.ConnectionListener):
    def __init__(self):
        self.frames = queue.Queue()
        self.receipts = queue.Queue()
        self.errors = queue.Queue()
        self.disconnected = threading.Event()

    def on_message(self, frame):
        self.frames.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)

    def on_disconnected(self):
        self.disconnected.set()

    def next(self, seconds=10):
        return self.frames.get(timeout=seconds)


def connected(version="1.2", **options):
    heartbeats = {} if version == "1.0" else {"heartbeats": options.pop("heartbeats", (0, 0))}
    connection = CONNECTIONS[version]([(HOST, int(PORT))], **heartbeats)
    listener = Listener()
    connection.set_listener("", listener)
    connection.connect(wait=True, **options)
    return connection, listener


def send(connection, listener, destination, body, **headers):
    receipt = unique("receipt")
    connection.send(destination, body, headers={"receipt": receipt, "persistent": "true", **headers})
    equal(listener.receipts.get(timeout=10), receipt, "receipt")


def queue_in(version):
    def body():
        connection, listener = connected(version)
        destination = f"/queue/{unique('stomp')}"
        for i in range(20):
            send(connection, listener, destination, f"body {i}", colour="blue")
        connection.subscribe(destination, id="1", ack="auto" if version == "1.0" else "client-individual")
        for i in range(20):
            frame = listener.next()
            equal((frame.body, frame.headers["colour"], frame.headers["destination"]), (f"body {i}", "blue", destination), "message")
            if version == "1.1":
                connection.ack(frame.headers["message-id"], 1)
            elif version == "1.2":
                connection.ack(frame.headers["ack"])
        connection.disconnect()
    return body


def cumulative_and_nack():
    connection, listener = connected()
    destination = f"/queue/{unique('stomp')}"
    for i in range(4):
        send(connection, listener, destination, str(i))
    connection.subscribe(destination, id="1", ack="client")
    frames = [listener.next() for _ in range(4)]
    connection.ack(frames[2].headers["ack"])
    connection.nack(frames[3].headers["ack"])
    again = listener.next()
    equal((again.body, again.headers["redelivered"]), ("3", "true"), "came back")
    connection.disconnect()


def topics():
    connection, listener = connected()
    name = unique("stomp")
    connection.subscribe(f"/topic/{name}.*.temp", id="1", headers={"receipt": "ready"})
    equal(listener.receipts.get(timeout=10), "ready", "subscribed")
    send(connection, listener, f"/topic/{name}.7.temp", "21")
    send(connection, listener, f"/topic/{name}.7.wind", "5")
    send(connection, listener, f"/topic/{name}.8.temp", "22")
    equal([listener.next().body for _ in range(2)], ["21", "22"], "bodies")
    connection.disconnect()


def transactions():
    connection, listener = connected()
    destination = f"/queue/{unique('stomp')}"
    for end in ("abort", "commit"):
        transaction = connection.begin()
        connection.send(destination, end, transaction=transaction)
        getattr(connection, end)(transaction)
    connection.subscribe(destination, id="1")
    equal(listener.next().body, "commit", "body")
    assert listener.frames.empty()
    connection.disconnect()


def large_message():
    connection, listener = connected()
    destination = f"/queue/{unique('stomp')}"
    large = "x" * 3_000_000
    send(connection, listener, destination, large)
    connection.subscribe(destination, id="1")
    equal(len(listener.next(20).body), len(large), "length")
    connection.disconnect()


def heartbeats():
    connection, listener = connected(heartbeats=(1000, 1000))
    assert not listener.disconnected.wait(4), "the connection ended"
    send(connection, listener, f"/queue/{unique('stomp')}", "still here")
    connection.disconnect()


def durable_subscriptions():
    dialects = {
        "RabbitMQ": ({}, {"durable": "true", "auto-delete": "false"}),
        "ActiveMQ": ({"client-id": unique("client")}, {"activemq.subscriptionName": "watch"}),
    }
    for name, (login, headers) in dialects.items():
        topic, subscription = f"/topic/{unique('durable')}.x", unique("watch")
        connect = lambda: connected(headers=login)
        connection, listener = connect()
        connection.subscribe(topic, id=subscription, headers={**headers, "receipt": "ready"})
        equal(listener.receipts.get(timeout=10), "ready", name)
        connection.disconnect()
        sender, sent = connected()
        send(sender, sent, topic, f"meanwhile, {name}")
        connection, listener = connect()
        connection.subscribe(topic, id=subscription, headers=headers)
        equal(listener.next().body, f"meanwhile, {name}", "what was missed")
        connection.unsubscribe(subscription, headers=headers)
        connection.disconnect()
        sender.disconnect()


def selectors():
    connection, listener = connected()
    topic = f"/topic/{unique('stomp')}"
    connection.subscribe(topic, id="1", headers={"selector": "price = '50' AND colour LIKE 'r%'", "receipt": "ready"})
    equal(listener.receipts.get(timeout=10), "ready", "subscribed")
    send(connection, listener, topic, "cheap", price="5", colour="red")
    send(connection, listener, topic, "blue", price="50", colour="blue")
    send(connection, listener, topic, "wanted", price="50", colour="red")
    equal(listener.next().body, "wanted", "body")
    queue_name = f"/queue/{unique('stomp')}"
    for i, colour in enumerate(("blue", "red", "blue")):
        send(connection, listener, queue_name, str(i), colour=colour)
    connection.subscribe(queue_name, id="red", headers={"selector": "colour = 'red'"})
    equal(listener.next().body, "1", "the red one")
    connection.subscribe(queue_name, id="any")
    equal([listener.next().body for _ in range(2)], ["0", "2"], "the others")
    connection.disconnect()


def request_and_reply():
    server, requests = connected()
    client, answers = connected()
    questions = f"/queue/{unique('questions')}"
    server.subscribe(questions, id="1")
    send(client, answers, questions, "how many?", **{"reply-to": "/temp-queue/mine", "correlation-id": "7"})
    request = requests.next()
    send(server, requests, request.headers["reply-to"], "42", **{"correlation-id": request.headers["correlation-id"]})
    answer = answers.next()
    equal((answer.body, answer.headers["correlation-id"], answer.headers["subscription"]), ("42", "7", "/temp-queue/mine"), "answer")
    server.disconnect()
    client.disconnect()


def streams():
    connection, listener = connected()
    stream = f"/queue/{unique('stream')}"
    for i in range(5):
        send(connection, listener, stream, str(i), **{"x-queue-type": "stream"})
    for again in ("first time", "second time"):
        headers = {"x-stream-offset": "offset=2", "prefetch-count": "10", "x-queue-type": "stream"}
        connection.subscribe(stream, id=again, ack="client-individual", headers=headers)
        frames = [listener.next() for _ in range(3)]
        equal([(frame.body, frame.headers["x-stream-offset"]) for frame in frames], [("2", "2"), ("3", "3"), ("4", "4")], again)
        connection.unsubscribe(again)
    connection.disconnect()


def schedules():
    connection, listener = connected()
    destination = f"/queue/{unique('stomp')}"
    connection.subscribe(destination, id="1", ack="auto")
    every = {"AMQ_SCHEDULED_DELAY": "50", "AMQ_SCHEDULED_PERIOD": "20", "AMQ_SCHEDULED_REPEAT": "-1"}
    send(connection, listener, destination, "tick", **every)
    ids = {listener.next().headers["scheduledJobId"] for _ in range(3)}
    equal(len(ids), 1, "ids")
    management = {"AMQ_SCHEDULER_ACTION": "REMOVE", "scheduledJobId": ids.pop()}
    send(connection, listener, "/topic/ActiveMQ.Scheduler.Management", "", **management)
    send(connection, listener, destination, "last")
    while listener.next().body != "last":
        pass
    assert listener.frames.empty()
    connection.disconnect()


def errors():
    connection, listener = connected()
    connection.send("/nowhere/at/all", "x")
    equal(listener.errors.get(timeout=10).headers["message"], "Unknown destination", "message")
    assert listener.disconnected.wait(10)


run_cases({
    **{f"a queue, STOMP {version}": queue_in(version) for version in CONNECTIONS},
    "cumulative acknowledgement and nack": cumulative_and_nack,
    "topics with a wildcard": topics,
    "transactions": transactions,
    "a message of 3 MB": large_message,
    "durable subscriptions, of RabbitMQ and of ActiveMQ": durable_subscriptions,
    "selectors": selectors,
    "request and reply": request_and_reply,
    "streams": streams,
    "repeated schedules": schedules,
    "heart-beats keep an idle connection": heartbeats,
    "an error ends the connection and says why": errors,
})
