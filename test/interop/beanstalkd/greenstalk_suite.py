"""greenstalk, the Python client: tubes, priorities, delays, burying, statistics."""
import os
import threading
import time

import greenstalk
from cases import equal, run_cases, unique

HOST, PORT = os.environ["BEANSTALKD"].rsplit(":", 1)


def client(tube, **more):
    return greenstalk.Client((HOST, int(PORT)), use=tube, watch=tube, **more)


def tube():
    return unique("green")


def reserve_none(of):
    try:
        job = of.reserve(timeout=0)
    except greenstalk.TimedOutError:
        return
    raise AssertionError(f"there is a job: {job.body}")


def refused(error, call, *arguments):
    try:
        call(*arguments)
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


def jobs():
    with client(tube()) as own:
        ids = [own.put(body, priority=priority) for body, priority in [("third", 2**32 - 1), ("first", 0), ("second", 5)]]
        equal(ids, sorted(ids))
        for body in ["first", "second", "third"]:
            job = own.reserve(timeout=5)
            equal(job.body, body)
            own.delete(job)
        reserve_none(own)
        refused(greenstalk.NotFoundError, own.delete, ids[0])


def delays_and_kicks():
    with client(tube()) as own:
        own.put("late", delay=1)
        reserve_none(own)
        equal(own.peek_delayed().body, "late")
        job = own.reserve(timeout=5)
        own.release(job, delay=1000)
        equal(own.stats_job(job)["state"], "delayed")
        equal(own.kick(10), 1)
        job = own.reserve(timeout=5)
        own.bury(job)
        equal(own.peek_buried().id, job.id)
        own.kick_job(job)
        equal(own.reserve_job(job.id).body, "late")


def time_to_run():
    with client(tube()) as own:
        own.put("slow", ttr=1)
        job = own.reserve(timeout=5)
        refused(greenstalk.DeadlineSoonError, own.reserve, 5)
        deadline = time.monotonic() + 5
        while own.stats_job(job)["state"] != "ready" and time.monotonic() < deadline:
            time.sleep(0.02)
        equal(own.stats_job(job)["timeouts"], 1)


def workers():
    name = tube()
    seen = []
    lock = threading.Lock()

    def work():
        with client(name) as own:
            while True:
                try:
                    job = own.reserve(timeout=1)
                except greenstalk.TimedOutError:
                    return
                own.delete(job)
                with lock:
                    seen.append(job.body)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    with client(name) as own:
        for number in range(200):
            own.put(str(number))
    for thread in threads:
        thread.join(20)
    equal(sorted(seen, key=int), [str(number) for number in range(200)])


def tubes_and_statistics():
    name = tube()
    with client(name) as own:
        own.put("x", priority=1)
        equal(own.using(), name)
        equal(own.watching(), [name])
        own.watch("other")
        equal(own.ignore("other"), 1)
        refused(greenstalk.NotIgnoredError, own.ignore, name)
        assert name in own.tubes()
        stats = own.stats_tube(name)
        equal([stats["name"], stats["current-jobs-ready"], stats["current-jobs-urgent"]], [name, 1, 1])
        own.pause_tube(name, 1)
        reserve_none(own)
        equal(own.reserve(timeout=5).body, "x")
        assert own.stats()["current-connections"] >= 1
        refused(greenstalk.JobTooBigError, own.put, "x" * 70000)
        refused(greenstalk.NotFoundError, own.stats_tube, "nobody")


run_cases({
    "jobs by priority": jobs,
    "delays, burying and kicking": delays_and_kicks,
    "time to run": time_to_run,
    "four workers take two hundred jobs once each": workers,
    "tubes, pauses and statistics": tubes_and_statistics,
})
