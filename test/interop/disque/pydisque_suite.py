"""pydisque, the Python client: jobs, retries, counters, pauses, scans, and its threads that wait."""
import os
import threading
import time

from cases import equal, run_cases, unique
from pydisque.client import Client
from redis.exceptions import ResponseError

NODE = os.environ["DISQUE"]


def client():
    made = Client([NODE])
    made.connect()
    return made


def queue():
    return unique("pydisque").encode()


def refused(beginning, call, *arguments, **more):
    try:
        call(*arguments, **more)
    except ResponseError as error:
        assert str(error).startswith(beginning), str(error)
        return
    raise AssertionError(f"no {beginning}")


def jobs():
    own, name = client(), queue()
    first = own.add_job(name, "one", timeout=100, retry=60, ttl=600)
    equal(len(first), 40)
    second = own.add_job(name, b"\x00\xff", timeout=0, asynchronous=True)
    equal(own.qlen(name), 2)
    equal([job for _, _, job in own.qpeek(name, 5)], [b"one", b"\x00\xff"])
    equal(own.get_job([name], timeout=1000, count=2), [(name, first, b"one"), (name, second, b"\x00\xff")])
    equal(own.get_job([name], nohang=True), [])
    other = client()
    other.ack_job(first)
    other.fast_ack(second)
    equal(own.show(first), None)
    equal(own.show(second), None)


def counters():
    own, name = client(), queue()
    job = own.add_job(name, "x", retry=1, ttl=60)
    equal(own.get_job([name], withcounters=True), [(name, job, b"x", 0, 0)])
    own.nack_job(job)
    equal(own.get_job([name], withcounters=True), [(name, job, b"x", 1, 0)])
    equal(own.get_job([name], timeout=10000, withcounters=True), [(name, job, b"x", 1, 1)])
    equal(own.working(job), 1)
    shown = own.show(job, return_dict=True)
    equal((shown[b"state"], shown[b"nacks"], shown[b"body"]), (b"active", 1, b"x"))
    own.del_job(job)
    equal(own.get_job([name], timeout=1500), [])


def delays():
    own, name = client(), queue()
    late = own.add_job(name, "late", delay=1)
    told = own.add_job(name, "told", delay=1000)
    equal(own.qlen(name), 0)
    equal(own.enqueue(told), 1)
    equal(own.get_job([name]), [(name, told, b"told")])
    equal(own.get_job([name], timeout=10000), [(name, late, b"late")])


def moved():
    own, name = client(), queue()
    job = own.add_job(name, "x", maxlen=1)
    refused("MAXLEN Queue is already longer", own.add_job, name, "y", maxlen=1)
    equal(own.dequeue(job), 1)
    equal(own.qlen(name), 0)
    equal(own.enqueue(job), 1)
    equal(own.qlen(name), 1)


def paused():
    own, name = client(), queue()
    equal(own.pause(name, kw_in=True), b"in")
    refused("PAUSED Queue paused in input", own.add_job, name, "x")
    equal(own.pause(name, kw_out=True), b"out")
    job = own.add_job(name, "x")
    equal(own.get_job([name], timeout=50), [])
    got = []
    waiting = threading.Thread(target=lambda: got.extend(client().get_job([name], timeout=20000)))
    waiting.start()
    deadline = time.monotonic() + 10
    while own.qstat(name, return_dict=True)[b"blocked"] != 1:
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.005)
    equal(own.pause(name, kw_none=True), b"none")
    waiting.join(20)
    equal(got, [(name, job, b"x")])


def scans():
    own, name = client(), queue()
    ids = {own.add_job(name, str(at)) for at in range(30)}
    seen, cursor = set(), 0
    while True:
        cursor, found = own.jscan(cursor, count=7, queue=name, state="queued")
        seen.update(found)
        if int(cursor) == 0:
            break
    equal(seen, ids)
    assert name in own.qscan(busyloop=True, minlen=30)[1]
    status = own.qstat(name, return_dict=True)
    equal((status[b"len"], status[b"jobs-in"], status[b"pause"]), (30, 30, b"none"))
    assert own.info()["registered_jobs"] >= 30


run_cases({
    "jobs are added, handed out and acknowledged by id": jobs,
    "retries and negative acknowledgements count": counters,
    "delayed jobs come when their time has come, or when told": delays,
    "jobs leave the queue and come back": moved,
    "a paused queue takes, or gives, nothing": paused,
    "scans find all jobs and queues": scans,
})
