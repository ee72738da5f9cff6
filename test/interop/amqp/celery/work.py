"""A Celery application: what workers and their callers share. BROKER, BACKEND and QUEUE_TYPE choose what the suite varies."""
import os
import time

from celery import Celery
from kombu import Exchange, Queue

QUEUE_TYPE = os.environ.get("QUEUE_TYPE", "classic")
NAME = os.environ.get("QUEUE", "celery-work")

BROKER = os.environ.get("BROKER") or os.environ["AMQP"]

app = Celery("work", broker=BROKER, backend=os.environ.get("BACKEND", "rpc://"))
arguments = {"x-queue-type": "quorum"} if QUEUE_TYPE == "quorum" else {"x-max-priority": 10}
app.conf.update(
    task_default_queue=NAME,
    task_queues=[Queue(NAME, Exchange(NAME, type="topic" if QUEUE_TYPE == "quorum" else "direct"), routing_key=NAME, queue_arguments=arguments)],
    task_default_exchange=NAME,
    task_default_exchange_type="topic" if QUEUE_TYPE == "quorum" else "direct",
    task_default_routing_key=NAME,
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
    task_send_sent_event=True,
    worker_enable_remote_control=True,
    broker_connection_retry_on_startup=True,
    worker_detect_quorum_queues=True,
    result_expires=600,
)
if BROKER.startswith("redis:"):
    # There, what a worker has taken comes again when it has not said that it is done within this time, in seconds.
    app.conf.broker_transport_options = {"visibility_timeout": 3, "priority_steps": list(range(10))}


@app.task
def add(a, b):
    return a + b


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=5)
def flaky(self, failures):
    if self.request.retries < failures:
        raise self.retry(countdown=0.2)
    return self.request.retries


@app.task
def now():
    return time.time()


@app.task
def note(path, text):
    with open(path, "a", encoding="utf8") as file:
        file.write(f"{text}\n")


@app.task(acks_late=True, reject_on_worker_lost=True)
def slow_once(path):
    """Stays in the first worker for ever; the second one finishes at once."""
    with open(path, "a", encoding="utf8") as file:
        file.write("started\n")
    with open(path, encoding="utf8") as file:
        if len(file.readlines()) == 1:
            time.sleep(3600)
    return "second time"


@app.task(acks_late=True)
def refuse():
    from celery.exceptions import Reject

    raise Reject("not wanted", requeue=False)
