"""
A Celery application as people run it: workers of their own, results, retries, delays, chords, priorities, events, remote control.
With the argument `redis` its broker and its results are on Redis's port.
"""
import datetime
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
FOLDER = tempfile.mkdtemp(prefix="anymq-celery-")
os.environ["QUEUE"] = f"celery-{os.getpid()}"
ON_REDIS = sys.argv[1:] == ["redis"]
if ON_REDIS:
    os.environ["BROKER"] = os.environ["BACKEND"] = f"redis://{os.environ['REDIS']}/0"
os.environ.setdefault("BACKEND", "rpc://")
# The rpc back end is one caller's, and refuses chords.
SHARED = os.environ["BACKEND"] if ON_REDIS else f"file://{FOLDER}"

from celery import chain, group  # noqa: E402
from celery.exceptions import TaskRevokedError  # noqa: E402
import work  # noqa: E402
from cases import equal, run_cases  # noqa: E402

workers = []


def worker(name, **env):
    """Starts a worker in a process group of its own; it is ended with the suite."""
    log = open(os.path.join(FOLDER, f"{name}.log"), "wb")
    command = [sys.executable, "-m", "celery", "-A", "work", "worker", "--pool", "threads", "-c", "4", "-n", f"{name}-{os.getpid()}@here", "-l", "info"]
    process = subprocess.Popen(command + env.pop("extra", []), cwd=HERE, env={**os.environ, **env}, stdout=log, stderr=log, start_new_session=True)
    process.log = log.name
    workers.append(process)
    return process


def ready(process, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with open(process.log, encoding="utf8", errors="replace") as file:
            if " ready." in file.read():
                return process
        if process.poll() is not None:
            break
        time.sleep(0.05)
    with open(process.log, encoding="utf8", errors="replace") as file:
        raise AssertionError(f"the worker did not start:\n{file.read()[-3000:]}")


def end(process, how=signal.SIGTERM):
    if process.poll() is None:
        os.killpg(process.pid, how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf8") as file:
        return file.read().split("\n")[:-1]


def until(holds, seconds=15):
    deadline = time.monotonic() + seconds
    while not holds():
        if deadline < time.monotonic():
            raise AssertionError("it did not happen in time")
        time.sleep(0.02)


def priorities():
    """Sent before any worker runs, so that the queue decides the order. One worker thread takes one at a time."""
    path = os.path.join(FOLDER, "priorities")
    for text, priority in [("low", 0), ("middle", 5), ("high", 9), ("low 2", 0), ("high 2", 9)]:
        work.note.apply_async((path, text), priority=priority)
    process = worker("ranked", extra=["-c", "1"])
    until(lambda: len(lines(path)) == 5, 25)
    end(process)
    # On Redis, Celery takes 0 for the most urgent.
    equal(lines(path), ["low", "low 2", "middle", "high", "high 2"] if ON_REDIS else ["high", "high 2", "middle", "low", "low 2"])
    ready(worker("main"))


def results():
    equal(work.add.delay(2, 3).get(timeout=10), 5)
    equal(group(work.add.s(i, i) for i in range(20)).apply_async().get(timeout=10), [2 * i for i in range(20)])
    equal(chain(work.add.s(1, 2), work.add.s(4), work.add.s(8)).apply_async().get(timeout=10), 15)


def retries():
    equal(work.flaky.delay(3).get(timeout=15), 3)


def countdown_and_eta():
    started = time.time()
    delayed = work.now.apply_async(countdown=1.5)
    timed = work.now.apply_async(eta=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2))
    assert delayed.get(timeout=10) - started >= 1.4
    assert timed.get(timeout=10) - started >= 1.9


def refused(result, seconds=15):
    try:
        result.get(timeout=seconds)
    except TaskRevokedError:
        return
    raise AssertionError("it ran")


def expired():
    refused(work.now.apply_async(countdown=0.5, expires=0.1))


def late_acknowledgement():
    path = os.path.join(FOLDER, "late")
    # The main worker may not take it: it goes to a queue of its own.
    env = {"BACKEND": SHARED, "QUEUE": f"{os.environ['QUEUE']}-late"}
    first = ready(worker("first", **env))
    task = in_program(f"import work\nprint(work.slow_once.delay({path!r}).id)", **env)
    until(lambda: lines(path) == ["started"])
    end(first, signal.SIGKILL)
    if ON_REDIS:
        # A worker looks for what others left when it starts, and then no more for a long time: it has to be free by then.
        time.sleep(work.app.conf.broker_transport_options["visibility_timeout"] + 0.5)
    ready(worker("second", **env))
    equal(in_program(f"import work\nprint(work.app.AsyncResult({task!r}).get(timeout=22))", **env), "second time")
    equal(lines(path), ["started", "started"])


def rejected():
    work.refuse.delay()
    equal(work.add.delay(1, 1).get(timeout=10), 2)


def events():
    seen = []
    with work.app.connection() as connection:
        receiver = work.app.events.Receiver(connection, handlers={"*": lambda event: seen.append(event["type"])})

        def capture():
            try:
                receiver.capture(limit=None, timeout=8, wakeup=True)
            except Exception:  # noqa: BLE001  the time is over
                pass

        threading.Thread(target=capture, daemon=True).start()
        until(lambda: "worker-heartbeat" in seen)
        work.add.delay(4, 4).get(timeout=10)
        until(lambda: {"task-sent", "task-received", "task-started", "task-succeeded"} <= set(seen))
        receiver.should_stop = True


def remote_control():
    # Replies come to a queue of the asker; every worker answers.
    name = f"main-{os.getpid()}@here"
    replies = work.app.control.inspect(timeout=3, destination=[name])
    equal(replies.ping(), {name: {"ok": "pong"}})
    assert "work.add" in replies.registered()[name]
    queues = replies.active_queues()[name]
    equal([queue["name"] for queue in queues], [os.environ["QUEUE"]])


def revoked():
    result = work.now.apply_async(countdown=3)
    # It must have reached a worker, which then forgets it.
    inspect = work.app.control.inspect(timeout=1, destination=[f"main-{os.getpid()}@here"])
    until(lambda: any(result.id == each["request"]["id"] for tasks in (inspect.scheduled() or {}).values() for each in tasks))
    result.revoke()
    refused(result)


def in_program(body, **env):
    """Runs a few lines with the application set up otherwise, in a process of their own."""
    process = subprocess.run([sys.executable, "-c", body], cwd=HERE, env={**os.environ, **env}, capture_output=True, text=True, timeout=28)
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout.strip()


def chords():
    env = {"BACKEND": SHARED, "QUEUE": f"{os.environ['QUEUE']}-chord"}
    ready(worker("chords", **env))
    body = "import work\nfrom celery import chord\nprint(chord((work.add.s(i, i) for i in range(10)), work.total.s()).apply_async().get(timeout=20))"
    equal(in_program(body, **env), "90")


def quorum_queues_and_native_delay():
    """With quorum queues Celery delays by a ladder of queues with TTLs that dead-letter into topic exchanges."""
    env = {"QUEUE_TYPE": "quorum", "QUEUE": f"{os.environ['QUEUE']}-quorum"}
    ready(worker("quorum", **env))
    body = "import time, work\ns = time.time()\nr = work.now.apply_async(countdown=3)\nprint(work.add.delay(1, 2).get(timeout=10), 2.9 <= r.get(timeout=20) - s < 12)"
    equal(in_program(body, **env), "3 True")


cases = {
    "priorities are the queue's": priorities,
    "results, groups and chains": results,
    "retries": retries,
    "countdown and eta": countdown_and_eta,
    "an expired task is revoked": expired,
    "acks_late: a killed worker's task goes to the next": late_acknowledgement,
    "a task that is rejected": rejected,
    "events": events,
    "remote control": remote_control,
    "a revoked task": revoked,
    "chords": chords,
    "quorum queues with native delayed delivery": quorum_queues_and_native_delay,
}
if ON_REDIS:
    del cases["quorum queues with native delayed delivery"]

def at_end():
    for process in workers:
        end(process, signal.SIGKILL)
    shutil.rmtree(FOLDER, ignore_errors=True)


# Celery's rpc back end gives each thread a reply queue of its own and listens to the first one's: all callers are one thread here.
caller = ThreadPoolExecutor(max_workers=1)
run_cases({name: (lambda body=body: caller.submit(body).result(28)) for name, body in cases.items()}, at_end)
