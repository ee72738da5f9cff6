"""paho-mqtt: 3.1.1 and 5.0, each QoS, sessions, retained messages, wills, shared subscriptions and
request/response; over WebSocket with the argument `websocket`."""
import os
import sys
import threading
import time
import uuid
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from cases import run_cases
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

TRANSPORT = "websockets" if sys.argv[1:] == ["websocket"] else "tcp"
URL = urlsplit(os.environ["MQTT_WEBSOCKET"] if TRANSPORT == "websockets" else "tcp://" + os.environ["MQTT"])
HOST, PORT = URL.hostname, URL.port
WAIT = 15


class Client:
    def __init__(self, version, client_id=None, clean=True, expiry=0, will=None):
        self.version = version
        client_id = client_id or f"paho-{uuid.uuid4().hex[:8]}"
        options = {} if version == mqtt.MQTTv5 else {"clean_session": clean}
        self.inner = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=version, transport=TRANSPORT, **options)
        self.messages, self.acks, self.published, self.subscribed = [], {}, set(), {}
        self.present, self.changed, self.up = None, threading.Condition(), False
        self.inner.on_connect = self._on_connect
        self.inner.on_message = lambda _c, _u, message: self._note(lambda: self.messages.append(message))
        self.inner.on_publish = lambda _c, _u, mid, code, _p: self._note(lambda: self.acks.__setitem__(mid, code))
        self.inner.on_subscribe = lambda _c, _u, mid, codes, _p: self._note(lambda: self.subscribed.__setitem__(mid, codes))
        if will:
            self.inner.will_set(*will)
        connect = {}
        if version == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry
            connect = {"clean_start": clean, "properties": properties}
        self.inner.connect(HOST, int(PORT), keepalive=60, **connect)
        self.inner.loop_start()
        self.until(lambda: self.up, "CONNACK")

    def _on_connect(self, _client, _user, flags, code, _properties):
        assert code == 0, code

        def note():
            self.up, self.present = True, flags.session_present

        self._note(note)

    def _note(self, change):
        with self.changed:
            change()
            self.changed.notify_all()

    def until(self, condition, what):
        with self.changed:
            assert self.changed.wait_for(condition, WAIT), f"no {what}"

    def subscribe(self, topic, qos=0, options=None):
        _, mid = self.inner.subscribe(topic, options=options) if options else self.inner.subscribe(topic, qos)
        self.until(lambda: mid in self.subscribed, "SUBACK")
        return self.subscribed[mid][0].value

    def publish(self, topic, payload, qos=1, retain=False, properties=None):
        info = self.inner.publish(topic, payload, qos, retain, properties)
        self.until(lambda: info.mid in self.acks, "acknowledgement")

    def take(self, count):
        self.until(lambda: len(self.messages) >= count, f"{count} messages")
        with self.changed:
            taken, self.messages = self.messages[:count], self.messages[count:]
        return taken

    def close(self):
        self.inner.disconnect()
        self.inner.loop_stop()

    def drop(self):
        """Closes the socket without DISCONNECT."""
        self.inner.loop_stop()
        self.inner.socket().close()


def unique(name):
    return f"paho/{name}/{uuid.uuid4().hex[:8]}"


def each_qos_in_order(version):
    topic = unique("qos")
    for qos in (0, 1, 2):
        client = Client(version)
        assert client.subscribe(topic, qos) == qos
        for i in range(200):
            client.inner.publish(topic, str(i), qos)
        seen = client.take(200)
        assert [int(message.payload) for message in seen] == list(range(200))
        assert all(message.qos == qos and not message.retain for message in seen)
        client.close()


def sessions_keep_messages(version):
    name, topic = f"keeps-{uuid.uuid4().hex[:8]}", unique("keeps")
    first = Client(version, name, clean=False, expiry=600)
    assert not first.present
    first.subscribe(topic, 2)
    first.close()
    sender = Client(version)
    for i in range(50):
        sender.publish(topic, str(i), 1 + i % 2)
    sender.close()
    again = Client(version, name, clean=False, expiry=600)
    assert again.present
    # In order for each QoS: the library shows what has QoS 2 when it is released, and QoS 1 at once.
    numbers = [int(message.payload) for message in again.take(50)]
    assert [n for n in numbers if n % 2 == 0] == list(range(0, 50, 2))
    assert [n for n in numbers if n % 2 == 1] == list(range(1, 50, 2))
    again.close()
    assert not Client(version, name, clean=True).present


def retained_messages(version):
    topic = unique("retained")
    sender = Client(version)
    sender.publish(topic, "old", retain=True)
    sender.publish(topic, "new", retain=True)
    late = Client(version)
    late.subscribe(topic + "/#", 1)
    (message,) = late.take(1)
    assert message.payload == b"new" and message.retain
    sender.publish(topic, "", retain=True)
    (message,) = late.take(1)
    assert message.payload == b"" and not message.retain


def wills(version):
    topic = unique("will")
    watcher = Client(version)
    watcher.subscribe(topic)
    Client(version, will=(topic, "gone", 1)).drop()
    assert watcher.take(1)[0].payload == b"gone"


def request_and_response():
    topic, answers = unique("request"), unique("answers")
    server, client = Client(mqtt.MQTTv5), Client(mqtt.MQTTv5)
    server.subscribe(topic, 1)
    client.subscribe(answers, 1)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = answers
    properties.CorrelationData = b"\x00\xff"
    properties.UserProperty = [("a", "1"), ("a", "2")]
    properties.ContentType = "text/plain"
    client.publish(topic, "ask", properties=properties)
    (request,) = server.take(1)
    assert request.properties.UserProperty == [("a", "1"), ("a", "2")]
    assert request.properties.ContentType == "text/plain"
    reply = Properties(PacketTypes.PUBLISH)
    reply.CorrelationData = request.properties.CorrelationData
    server.publish(request.properties.ResponseTopic, "answer", properties=reply)
    (answer,) = client.take(1)
    assert answer.properties.CorrelationData == b"\x00\xff"


def shared_subscriptions():
    topic = unique("shared")
    members = [Client(mqtt.MQTTv5) for _ in range(2)]
    for member in members:
        assert member.subscribe(f"$share/group/{topic}", 1) == 1
    sender = Client(mqtt.MQTTv5)
    for i in range(100):
        sender.publish(topic, str(i))
    end = time.monotonic() + WAIT
    while sum(len(member.messages) for member in members) < 100 and time.monotonic() < end:
        time.sleep(0.02)
    assert sorted(int(m.payload) for member in members for m in member.messages) == list(range(100))
    assert all(member.messages for member in members)


def no_local():
    topic = unique("local")
    client, other = Client(mqtt.MQTTv5), Client(mqtt.MQTTv5)
    client.subscribe(topic, options=SubscribeOptions(qos=1, noLocal=True))
    client.publish(topic, "own")
    other.publish(topic, "other")
    assert client.take(1)[0].payload == b"other"


VERSIONS = {"3.1.1": mqtt.MQTTv311, "5.0": mqtt.MQTTv5}
in_each = {
    "each QoS in order": each_qos_in_order,
    "sessions keep messages": sessions_keep_messages,
    "retained messages": retained_messages,
    "wills": wills,
}

run_cases({
    **{
        f"{title}, MQTT {name}": lambda case=case, version=version: case(version)
        for title, case in in_each.items()
        for name, version in VERSIONS.items()
    },
    "request and response": request_and_response,
    "shared subscriptions": shared_subscriptions,
    "no local": no_local,
})
