import com.rabbitmq.stream.ByteCapacity;
import com.rabbitmq.stream.Consumer;
import com.rabbitmq.stream.ConsumerBuilder;
import com.rabbitmq.stream.Environment;
import com.rabbitmq.stream.Message;
import com.rabbitmq.stream.NoOffsetException;
import com.rabbitmq.stream.OffsetSpecification;
import com.rabbitmq.stream.Producer;
import com.rabbitmq.stream.ProducerBuilder;
import com.rabbitmq.stream.StreamDoesNotExistException;
import com.rabbitmq.stream.StreamException;
import com.rabbitmq.stream.StreamStats;
import com.rabbitmq.stream.compression.Compression;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import java.util.function.UnaryOperator;

/** RabbitMQ's own Java client of the stream protocol. */
public final class StreamClient {
  record Received(String body, long offset, Message message) {}

  static final String[] SERVER = System.getenv("STREAM").split(":");

  static Environment connect() {
    return Environment.builder().host(SERVER[0]).port(Integer.parseInt(SERVER[1])).build();
  }

  static String declare(Environment environment) {
    String name = Cases.unique("java-stream");
    environment.streamCreator().stream(name).maxLengthBytes(ByteCapacity.GB(1)).create();
    return name;
  }

  static final Function<Integer, String> NUMBERED = number -> "message " + number;

  /** Publishes messages [from, to) and waits until each is confirmed. Ids are their numbers when the producer has a name. */
  static void publish(Environment environment, UnaryOperator<ProducerBuilder> options, int from, int to) throws Exception {
    try (Producer producer = options.apply(environment.producerBuilder()).build()) {
      CountDownLatch confirms = new CountDownLatch(to - from);
      AtomicInteger refused = new AtomicInteger();
      for (int number = from; number < to; number++) {
        Message message = producer.messageBuilder().publishingId(number)
            .properties().messageId(number).messageBuilder()
            .addData(NUMBERED.apply(number).getBytes(StandardCharsets.UTF_8)).build();
        producer.send(message, status -> {
          if (!status.isConfirmed()) refused.incrementAndGet();
          confirms.countDown();
        });
      }
      Cases.check(confirms.await(20, TimeUnit.SECONDS), confirms.getCount() + " confirms are missing");
      Cases.equal(refused.get(), 0, "refused");
    }
  }

  static List<Received> collect(BlockingQueue<Received> came, int count) throws Exception {
    List<Received> list = new ArrayList<>();
    while (list.size() < count) {
      Received one = came.poll(15, TimeUnit.SECONDS);
      Cases.check(one != null, list.size() + " of " + count + " messages came");
      list.add(one);
    }
    return list;
  }

  static List<Received> consume(Environment environment, UnaryOperator<ConsumerBuilder> options, int count) throws Exception {
    BlockingQueue<Received> came = new LinkedBlockingQueue<>();
    try (Consumer consumer = options.apply(environment.consumerBuilder()).messageHandler(into(came)).build()) {
      return collect(came, count);
    }
  }

  static com.rabbitmq.stream.MessageHandler into(BlockingQueue<Received> came) {
    return (context, message) ->
        came.add(new Received(new String(message.getBodyAsBinary(), StandardCharsets.UTF_8), context.offset(), message));
  }

  static void ordered(List<Received> list, int first) {
    for (int index = 0; index < list.size(); index++) {
      Cases.equal(list.get(index).body(), NUMBERED.apply(first + index), "body");
      Cases.equal(list.get(index).offset(), (long) first + index, "offset");
    }
  }

  public static void main(String[] args) {
    new Cases()
        .add("declares, tells whether it exists, deletes", () -> {
          try (Environment environment = connect()) {
            String name = declare(environment);
            Cases.check(environment.streamExists(name), "it exists");
            StreamStats stats = environment.queryStreamStats(name);
            try {
              stats.firstOffset();
              throw new AssertionError("an empty stream has a first offset");
            } catch (NoOffsetException expected) { }
            try {
              environment.streamCreator().stream(name).maxLengthBytes(ByteCapacity.GB(2)).create();
              throw new AssertionError("declared with other arguments");
            } catch (StreamException expected) {
              Cases.check(expected.getMessage().contains("PRECONDITION_FAILED"), expected.getMessage());
            }
            environment.deleteStream(name);
            Cases.check(!environment.streamExists(name), "it exists no more");
          }
        })
        .add("publishes 20 000 with confirms and reads them in order", () -> {
          try (Environment environment = connect()) {
            String name = declare(environment);
            publish(environment, producer -> producer.stream(name), 0, 20_000);
            ordered(consume(environment, consumer -> consumer.stream(name).offset(OffsetSpecification.first()), 20_000), 0);
            StreamStats stats = environment.queryStreamStats(name);
            Cases.equal(stats.firstOffset(), 0L, "first offset");
            Cases.equal(stats.committedOffset(), 19_999L, "committed offset");
          }
        })
        .add("carries the parts of a message", () -> {
          try (Environment environment = connect()) {
            String name = declare(environment);
            try (Producer producer = environment.producerBuilder().stream(name).build()) {
              CountDownLatch confirmed = new CountDownLatch(1);
              producer.send(producer.messageBuilder().addData("body".getBytes(StandardCharsets.UTF_8))
                  .properties().messageId(7L).correlationId("correlation").contentType("text/plain").subject("subject").to("to")
                  .replyTo("replies").userId("me".getBytes(StandardCharsets.UTF_8)).groupId("group").creationTime(1_700_000_123_456L).messageBuilder()
                  .applicationProperties().entry("text", "größe").entry("int", -7).entry("long", 1L << 40).entry("bool", true)
                  .entry("uuid", new java.util.UUID(1, 2)).messageBuilder()
                  .messageAnnotations().entry("x-note", "annotated").messageBuilder().build(), status -> confirmed.countDown());
              Cases.check(confirmed.await(10, TimeUnit.SECONDS), "confirmed");
            }
            Message got = consume(environment, consumer -> consumer.stream(name).offset(OffsetSpecification.first()), 1).get(0).message();
            Cases.equal(got.getProperties().getMessageIdAsLong(), 7L, "message id");
            Cases.equal(got.getProperties().getTo(), "to", "to");
            Cases.equal(got.getProperties().getCreationTime(), 1_700_000_123_456L, "creation time");
            Cases.equal(got.getApplicationProperties(), Map.of("text", "größe", "int", -7, "long", 1L << 40, "bool", true, "uuid", new java.util.UUID(1, 2)), "application properties");
            Cases.equal(got.getMessageAnnotations().get("x-note"), "annotated", "annotation");
          }
        })
        .add("starts at an offset, at a time, at the last chunk and at the next", () -> {
          try (Environment environment = connect()) {
            String name = declare(environment);
            publish(environment, producer -> producer.stream(name), 0, 100);
            ordered(consume(environment, consumer -> consumer.stream(name).offset(OffsetSpecification.offset(42)), 58), 42);
            Thread.sleep(3); // A time between two publishes has to be one.
            long between = System.currentTimeMillis();
            Thread.sleep(3);
            publish(environment, producer -> producer.stream(name), 100, 103);
            ordered(consume(environment, consumer -> consumer.stream(name).offset(OffsetSpecification.timestamp(between)), 3), 100);
            Cases.check(100 <= consume(environment, consumer -> consumer.stream(name).offset(OffsetSpecification.last()), 1).get(0).offset(), "the last chunk is of the second publish");
            BlockingQueue<Received> came = new LinkedBlockingQueue<>();
            try (Consumer consumer = environment.consumerBuilder().stream(name).offset(OffsetSpecification.next()).messageHandler(into(came)).build()) {
              publish(environment, producer -> producer.stream(name), 103, 104);
              ordered(collect(came, 1), 103);
            }
          }
        })
        .add("does not store again what a named producer sends again", () -> {
          try (Environment environment = connect()) {
            String name = declare(environment);
            publish(environment, producer -> producer.stream(name).name("writer"), 0, 10);
            publish(environment, producer -> producer.stream(name).name("writer"), 5, 20);
            try (Producer producer = environment.producerBuilder().stream(name).name("writer").build()) {
              Cases.equal(producer.getLastPublishingId(), 19L, "last publishing id");
            }
            publish(environment, producer -> producer.stream(name), 20, 21);
            ordered(consume(environment, consumer -> consumer.stream(name).offset(OffsetSpecification.first()), 21), 0);
          }
        })
        .add("stores offsets by consumer name and goes on behind them", () -> {
          try (Environment environment = connect()) {
            String name = declare(environment);
            publish(environment, producer -> producer.stream(name), 0, 20);
            BlockingQueue<Received> came = new LinkedBlockingQueue<>();
            try (Consumer consumer = environment.consumerBuilder().stream(name).name("reader").offset(OffsetSpecification.first()).manualTrackingStrategy().builder().messageHandler(into(came)).build()) {
              collect(came, 20);
              try {
                consumer.storedOffset();
                throw new AssertionError("an offset nobody stored");
              } catch (NoOffsetException expected) { }
              consumer.store(7);
              for (int tries = 0; storedOr(consumer, -1) != 7; tries++) {
                Cases.check(tries < 1000, "the offset is not stored");
                Thread.sleep(10);
              }
            }
            ordered(consume(environment, consumer -> consumer.stream(name).name("reader").offset(OffsetSpecification.first()).autoTrackingStrategy().builder(), 12), 8);
          }
        })
        .add("batches sub-entries with each compression", () -> {
          try (Environment environment = connect()) {
            for (Compression compression : Compression.values()) {
              String name = declare(environment);
              publish(environment, producer -> producer.stream(name).subEntrySize(50).compression(compression), 0, 1000);
              ordered(consume(environment, consumer -> consumer.stream(name).offset(OffsetSpecification.first()), 1000), 0);
            }
          }
        })
        .add("filters on the server", () -> {
          try (Environment environment = connect()) {
            String name = declare(environment);
            for (String state : List.of("wanted", "other", "", "wanted")) {
              publish(environment, producer -> state.isEmpty() ? producer.stream(name) : producer.stream(name).filterValue(message -> state), 0, 50);
            }
            // What comes is recorded before the client's own filter: the server must have left the rest out.
            Set<Long> offsets = ConcurrentHashMap.newKeySet();
            consume(environment, consumer -> consumer.stream(name).offset(OffsetSpecification.first()).filter().values("wanted").postFilter(message -> true).builder()
                .flow().strategy(com.rabbitmq.stream.ConsumerFlowStrategy.creditOnChunkArrival()).builder(), 100).forEach(one -> offsets.add(one.offset()));
            Cases.check(offsets.stream().allMatch(offset -> offset < 50 || 150 <= offset), "only what was wanted was sent: " + offsets);
            offsets.clear();
            consume(environment, consumer -> consumer.stream(name).offset(OffsetSpecification.first()).filter().values("wanted").matchUnfiltered().postFilter(message -> true).builder(), 150).forEach(one -> offsets.add(one.offset()));
            Cases.check(offsets.stream().allMatch(offset -> offset < 50 || 100 <= offset), "what has another value was not sent: " + offsets);
          }
        })
        .add("super stream of three: routes by hash and by key, reads all", () -> {
          try (Environment environment = connect()) {
            String name = Cases.unique("java-super");
            environment.streamCreator().name(name).superStream().bindingKeys("amer", "emea", "apac").creator().create();
            publish(environment, producer -> producer.superStream(name).routing(message -> String.valueOf(message.getProperties().getMessageId())).hash().producerBuilder(), 0, 300);
            String[] regions = {"amer", "emea", "apac"};
            publish(environment, producer -> producer.superStream(name).routing(message -> regions[(int) (message.getProperties().getMessageIdAsLong() % 3)]).key().producerBuilder(), 300, 600);
            Set<String> bodies = new HashSet<>();
            consume(environment, consumer -> consumer.superStream(name).offset(OffsetSpecification.first()), 600).forEach(one -> bodies.add(one.body()));
            Cases.equal(bodies.size(), 600, "different messages");
            long byKey = consume(environment, consumer -> consumer.stream(name + "-emea").offset(OffsetSpecification.first()), 100).size();
            Cases.check(byKey == 100, "routed by key");
            environment.deleteSuperStream(name);
            Cases.check(!environment.streamExists(name + "-emea"), "its streams are deleted");
          }
        })
        .add("single active consumer: hands over when it closes", () -> {
          try (Environment environment = connect()) {
            String name = declare(environment);
            BlockingQueue<String> came = new LinkedBlockingQueue<>();
            Function<String, Consumer> start = who -> environment.consumerBuilder().stream(name).name("group").singleActiveConsumer()
                .offset(OffsetSpecification.first()).manualTrackingStrategy().builder()
                .messageHandler((context, message) -> {
                  came.add(who + ": " + new String(message.getBodyAsBinary(), StandardCharsets.UTF_8));
                  context.storeOffset();
                }).build();
            Consumer first = start.apply("first");
            Consumer second = start.apply("second");
            publish(environment, producer -> producer.stream(name), 0, 10);
            for (int number = 0; number < 10; number++) Cases.equal(came.poll(15, TimeUnit.SECONDS), "first: message " + number, "delivery");
            for (int tries = 0; storedOr(first, -1) != 9; tries++) {
              Cases.check(tries < 1000, "the offset is not stored");
              Thread.sleep(10);
            }
            first.close();
            publish(environment, producer -> producer.stream(name), 10, 20);
            for (int number = 10; number < 20; number++) Cases.equal(came.poll(15, TimeUnit.SECONDS), "second: message " + number, "delivery");
            second.close();
          }
        })
        .add("single active consumers share the streams of a super stream", () -> {
          try (Environment environment = connect()) {
            String name = Cases.unique("java-shared");
            environment.streamCreator().name(name).superStream().partitions(3).creator().create();
            Map<String, Set<String>> streams = new ConcurrentHashMap<>();
            Set<String> bodies = ConcurrentHashMap.newKeySet();
            Function<String, Consumer> start = who -> environment.consumerBuilder().superStream(name).name("group").singleActiveConsumer()
                .offset(OffsetSpecification.first()).manualTrackingStrategy().builder()
                .messageHandler((context, message) -> {
                  streams.computeIfAbsent(who, key -> ConcurrentHashMap.newKeySet()).add(context.stream());
                  bodies.add(new String(message.getBodyAsBinary(), StandardCharsets.UTF_8));
                  context.storeOffset();
                }).build();
            List<Consumer> consumers = List.of(start.apply("a"), start.apply("b"), start.apply("c"));
            for (int from = 0, tries = 0; ; from += 90, tries++) {
              streams.clear();
              publish(environment, producer -> producer.superStream(name).routing(message -> String.valueOf(message.getProperties().getMessageId())).hash().producerBuilder(), from, from + 90);
              for (int wait = 0; bodies.size() < from + 90; wait++) {
                Cases.check(wait < 1000, bodies.size() + " of " + (from + 90) + " messages came");
                Thread.sleep(10);
              }
              // Each of three has one of three, once the streams were handed over.
              if (streams.size() == 3 && streams.values().stream().allMatch(each -> each.size() == 1)) break;
              Cases.check(tries < 50, "the streams are not shared out: " + streams);
            }
            for (Consumer consumer : consumers) consumer.close();
            environment.deleteSuperStream(name);
          }
        })
        .add("reads on after its stream was deleted and made again", () -> {
          try (Environment environment = connect(); Environment other = connect()) {
            String name = declare(environment);
            try (Producer producer = environment.producerBuilder().stream(name).build()) {
              other.deleteStream(name);
              for (int tries = 0; ; tries++) {
                try {
                  AtomicInteger code = new AtomicInteger();
                  CountDownLatch done = new CountDownLatch(1);
                  producer.send(producer.messageBuilder().addData(new byte[1]).build(), status -> {
                    code.set(status.getCode());
                    done.countDown();
                  });
                  Cases.check(done.await(10, TimeUnit.SECONDS), "answered");
                  if (code.get() != 1) break;
                } catch (StreamException closed) {
                  break;
                }
                Cases.check(tries < 1000, "the producer goes on");
                Thread.sleep(5);
              }
            }
            environment.streamCreator().stream(name).create();
            publish(environment, producer -> producer.stream(name), 0, 5);
            ordered(consume(environment, consumer -> consumer.stream(name).offset(OffsetSpecification.first()), 5), 0);
          }
        })
        .add("is refused what is not there", () -> {
          try (Environment environment = connect()) {
            try {
              environment.producerBuilder().stream("no such stream").build();
              throw new AssertionError("a producer of no stream");
            } catch (StreamDoesNotExistException expected) { }
            try {
              environment.consumerBuilder().stream("no such stream").messageHandler((context, message) -> { }).build();
              throw new AssertionError("a consumer of no stream");
            } catch (StreamDoesNotExistException expected) { }
          }
        })
        .run();
  }

  static long storedOr(Consumer consumer, long otherwise) {
    try {
      return consumer.storedOffset();
    } catch (NoOffsetException none) {
      return otherwise;
    }
  }
}
