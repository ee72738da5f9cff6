"""boto3, the Python SDK: queues and topics as applications use them. With `signed`: against users, whose requests have to be signed."""
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from cases import equal, run_cases, unique

SIGNED = "signed" in sys.argv


def client(service, key="alice", secret="alice-signs", region="eu-west-1"):
    config = Config(retries={"max_attempts": 1}, read_timeout=25)
    return boto3.client(service, endpoint_url=os.environ["SQS"], region_name=region, aws_access_key_id=key,
                        aws_secret_access_key=secret, config=config)


sqs = client("sqs")
sns = client("sns")


def name(suffix=""):
    return unique("boto").replace(".", "-") + suffix


def queue(suffix="", **attributes):
    if suffix == ".fifo":
        attributes["FifoQueue"] = "true"
    return sqs.create_queue(QueueName=name(suffix), Attributes=attributes)["QueueUrl"]


def arn(url):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def receive(url, count=1, wait=5, **more):
    """Until `count` messages have come."""
    found = []
    deadline = time.monotonic() + 15
    while len(found) < count and time.monotonic() < deadline:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait, AttributeNames=["All"],
                                     MessageAttributeNames=["All"], **more)
        found += answer.get("Messages", [])
    equal(len(found), count, "messages")
    return found


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        equal(error.response["Error"]["Code"], code)
        return error
    raise AssertionError(f"not refused with {code}")


def messages():
    url = queue()
    attributes = {
        "text": {"DataType": "String", "StringValue": "grüße"},
        "number": {"DataType": "Number", "StringValue": "3.5"},
        "bytes": {"DataType": "Binary.png", "BinaryValue": bytes([0, 255])},
    }
    # boto3 compares the digest of what it sends, and of what it gets, with the broker's.
    sent = sqs.send_message(QueueUrl=url, MessageBody="größe", MessageAttributes=attributes)
    [message] = receive(url)
    equal(message["MessageId"], sent["MessageId"])
    equal(message["Body"], "größe")
    equal(message["MessageAttributes"], attributes)
    equal(message["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"])
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    equal(sqs.receive_message(QueueUrl=url).get("Messages"), None)


def resources():
    """The other interface of boto3, over the same calls."""
    if SIGNED:
        return
    resource = boto3.resource("sqs", endpoint_url=os.environ["SQS"], region_name="us-east-1", aws_access_key_id="a",
                              aws_secret_access_key="b")
    made = resource.create_queue(QueueName=name())
    made.send_messages(Entries=[{"Id": str(index), "MessageBody": str(index)} for index in range(10)])
    got = made.receive_messages(MaxNumberOfMessages=10)
    equal(sorted(message.body for message in got), [str(index) for index in range(10)])
    made.delete_messages(Entries=[{"Id": str(index), "ReceiptHandle": each.receipt_handle} for index, each in enumerate(got)])
    equal(resource.get_queue_by_name(QueueName=made.url.split("/")[-1]).url, made.url)
    made.delete()


def visibility_and_long_poll():
    url = queue(VisibilityTimeout="30")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: receive(url, wait=20))
        sqs.send_message(QueueUrl=url, MessageBody="job")
        [first] = waiting.result(15)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    [second] = receive(url)
    equal(second["Attributes"]["ApproximateReceiveCount"], "2")
    refused("AWS.SimpleQueueService.MessageNotInflight", sqs.change_message_visibility, QueueUrl=url,
            ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=1)


def workers():
    """Competing consumers on connections of their own: each message to one of them."""
    url = queue()
    for batch in range(10):
        entries = [{"Id": str(index), "MessageBody": f"{batch}-{index}"} for index in range(10)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    seen = []
    lock = threading.Lock()

    def work():
        own = client("sqs")
        while True:
            got = own.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
            if not got:
                return
            entries = [{"Id": str(index), "ReceiptHandle": each["ReceiptHandle"]} for index, each in enumerate(got)]
            equal(own.delete_message_batch(QueueUrl=url, Entries=entries).get("Failed"), None)
            with lock:
                seen.extend(each["Body"] for each in got)

    with ThreadPoolExecutor(5) as pool:
        for done in [pool.submit(work) for _ in range(5)]:
            done.result(20)
    equal(sorted(seen), sorted(f"{batch}-{index}" for batch in range(10) for index in range(10)))


def fifo():
    url = queue(".fifo", ContentBasedDeduplication="true")
    numbers = [sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group)["SequenceNumber"]
               for group, body in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "1")]]
    equal(numbers[3], numbers[0])
    got = receive(url, 3)
    equal([each["Body"] for each in got if each["Attributes"]["MessageGroupId"] == "a"], ["1", "3"])
    for each in got:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])


def dead_letters_and_redrive():
    dead = queue()
    policy = json.dumps({"deadLetterTargetArn": arn(dead), "maxReceiveCount": 1})
    url = queue(RedrivePolicy=policy)
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    [message] = receive(url)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    [buried] = receive(dead, VisibilityTimeout=0)
    equal(buried["Attributes"]["DeadLetterQueueSourceArn"], arn(url))
    equal(sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"], [url])
    handle = sqs.start_message_move_task(SourceArn=arn(dead))["TaskHandle"]
    [again] = receive(url)
    equal(again["Body"], "poison")
    [task] = sqs.list_message_move_tasks(SourceArn=arn(dead))["Results"]
    equal(task["ApproximateNumberOfMessagesMoved"], 1)
    refused("ResourceNotFoundException", sqs.cancel_message_move_task, TaskHandle=handle)


def errors():
    url = queue()
    refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName=name())
    try:
        sqs.get_queue_url(QueueName=name())
    except sqs.exceptions.QueueDoesNotExist:
        pass
    refused("QueueAlreadyExists", sqs.create_queue, QueueName=url.split("/")[-1], Attributes={"DelaySeconds": "1"})
    refused("InvalidAttributeValue", sqs.set_queue_attributes, QueueUrl=url, Attributes={"VisibilityTimeout": "-1"})
    refused("AWS.SimpleQueueService.EmptyBatchRequest", sqs.send_message_batch, QueueUrl=url, Entries=[])
    refused("InvalidParameterValue", sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=11)
    try:
        sqs.delete_message(QueueUrl=url, ReceiptHandle="nonsense")
    except sqs.exceptions.ReceiptHandleIsInvalid:
        pass
    sqs.purge_queue(QueueUrl=url)
    try:
        sqs.purge_queue(QueueUrl=url)
    except sqs.exceptions.PurgeQueueInProgress:
        pass


def lists_and_tags():
    prefix = name()
    urls = [sqs.create_queue(QueueName=f"{prefix}-{index}", tags={"n": str(index)})["QueueUrl"] for index in range(5)]
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 2})
    equal([url for page in pages for url in page.get("QueueUrls", [])], urls)
    sqs.tag_queue(QueueUrl=urls[0], Tags={"more": "x"})
    sqs.untag_queue(QueueUrl=urls[0], TagKeys=["n"])
    equal(sqs.list_queue_tags(QueueUrl=urls[0])["Tags"], {"more": "x"})


def fan_out():
    topic = sns.create_topic(Name=name())["TopicArn"]
    dead = queue()
    everything, large, raw = queue(), queue(), queue()
    redrive = json.dumps({"deadLetterTargetArn": arn(dead)})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn(everything))
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn(large),
                  Attributes={"FilterPolicy": json.dumps({"amount": [{"numeric": [">=", 100]}]})})
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn(raw), ReturnSubscriptionArn=True,
                                 Attributes={"RawMessageDelivery": "true", "RedrivePolicy": redrive,
                                             "FilterPolicyScope": "MessageBody",
                                             "FilterPolicy": json.dumps({"kind": [{"anything-but": "noise"}]})})["SubscriptionArn"]
    for amount, kind in [(5, "order"), (100, "noise"), (200, "order")]:
        sns.publish(TopicArn=topic, Message=json.dumps({"kind": kind, "amount": amount}), Subject="s",
                    MessageAttributes={"amount": {"DataType": "Number", "StringValue": str(amount)}})
    amounts = lambda found: sorted(json.loads(text)["amount"] for text in found)
    wrapped = [json.loads(each["Body"]) for each in receive(everything, 3)]
    equal(amounts(each["Message"] for each in wrapped), [5, 100, 200])
    equal({each["Subject"] for each in wrapped}, {"s"})
    equal(amounts(json.loads(each["Body"])["Message"] for each in receive(large, 2)), [100, 200])
    got = receive(raw, 2)
    equal(amounts(each["Body"] for each in got), [5, 200])
    equal({each["MessageAttributes"]["amount"]["DataType"] for each in got}, {"Number"})
    sqs.delete_queue(QueueUrl=raw)
    sns.publish(TopicArn=topic, Message='{"kind":"late","amount":0}')
    equal(receive(dead)[0]["Body"], '{"kind":"late","amount":0}')
    equal(sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]["RedrivePolicy"], redrive)
    sns.unsubscribe(SubscriptionArn=subscription)
    listed = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic).build_full_result()["Subscriptions"]
    equal(len(listed), 2)
    sns.delete_topic(TopicArn=topic)
    refused("NotFound", sns.publish, TopicArn=topic, Message="x")


def fifo_fan_out():
    topic = sns.create_topic(Name=name(".fifo"), Attributes={"FifoTopic": "true"})["TopicArn"]
    url = queue(".fifo")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn(url), Attributes={"RawMessageDelivery": "true"})
    entries = [{"Id": str(index), "Message": str(index), "MessageGroupId": "g", "MessageDeduplicationId": str(index % 5)}
               for index in range(10)]
    answer = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    equal(len(answer["Successful"]), 10)
    equal([each["Body"] for each in receive(url, 5)], ["0", "1", "2", "3", "4"])


def wrong_signatures():
    if not SIGNED:
        return
    refused("SignatureDoesNotMatch", client("sqs", secret="wrong").list_queues)
    refused("InvalidClientTokenId", client("sqs", key="nobody").list_queues)
    refused("SignatureDoesNotMatch", client("sns", secret="wrong").list_topics)


run_cases({
    "messages with attributes and digests": messages,
    "queues as resources": resources,
    "visibility timeouts and long polling": visibility_and_long_poll,
    "five workers take a hundred messages once each": workers,
    "FIFO queues": fifo,
    "dead letters, and moving them back": dead_letters_and_redrive,
    "errors are the SDK's exceptions": errors,
    "lists in pages, and tags": lists_and_tags,
    "a topic fans out to queues by filters, raw and wrapped, with dead letters": fan_out,
    "a FIFO topic to a FIFO queue": fifo_fan_out,
    "wrong signatures are refused": wrong_signatures,
})
