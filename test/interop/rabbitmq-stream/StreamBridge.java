import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.stream.Consumer;
import com.rabbitmq.stream.Environment;
import com.rabbitmq.stream.Message;
import com.rabbitmq.stream.OffsetSpecification;
import com.rabbitmq.stream.Producer;
import com.rabbitmq.stream.ProducerBuilder;
import com.rabbitmq.stream.compression.Compression;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** RabbitMQ streams beside AMQP 0-9-1 and Kafka: the same names, each with its own real client. */
public final class StreamBridge {
  static final byte[] BODY = "größe".getBytes(StandardCharsets.UTF_8);

  static Connection amqp() throws Exception {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(System.getenv("AMQP").replaceAll("/$", ""));
    return factory.newConnection();
  }

  static Properties kafka() {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", System.getenv("KAFKA"));
    return properties;
  }

  static void publish(Environment environment, UnaryOperator<ProducerBuilder> options, java.util.function.Function<Producer, List<Message>> messages) throws Exception {
    try (Producer producer = options.apply(environment.producerBuilder()).build()) {
      List<Message> list = messages.apply(producer);
      CountDownLatch confirms = new CountDownLatch(list.size());
      for (Message message : list) producer.send(message, status -> { if (status.isConfirmed()) confirms.countDown(); });
      Cases.check(confirms.await(15, TimeUnit.SECONDS), confirms.getCount() + " confirms are missing");
    }
  }

  static List<Message> consume(Environment environment, String stream, int count) throws Exception {
    BlockingQueue<Message> came = new LinkedBlockingQueue<>();
    List<Message> list = new ArrayList<>();
    try (Consumer consumer = environment.consumerBuilder().stream(stream).offset(OffsetSpecification.first()).messageHandler((context, message) -> came.add(message)).build()) {
      while (list.size() < count) {
        Message message = came.poll(15, TimeUnit.SECONDS);
        Cases.check(message != null, list.size() + " of " + count + " messages came");
        list.add(message);
      }
    }
    return list;
  }

  static List<ConsumerRecord<byte[], byte[]>> records(String topic, int count) {
    List<ConsumerRecord<byte[], byte[]>> list = new ArrayList<>();
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(kafka(), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      TopicPartition partition = new TopicPartition(topic, 0);
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      long until = System.currentTimeMillis() + 15_000;
      while (list.size() < count && System.currentTimeMillis() < until) consumer.poll(Duration.ofMillis(500)).forEach(list::add);
    }
    Cases.equal(list.size(), count, "records");
    return list;
  }

  static String header(ConsumerRecord<byte[], byte[]> record, String name) {
    return record.headers().lastHeader(name) == null ? null : new String(record.headers().lastHeader(name).value(), StandardCharsets.UTF_8);
  }

  public static void main(String[] args) {
    new Cases()
        .add("AMQP → stream: a stream queue declared over AMQP, each part of the message", () -> {
          try (Connection connection = amqp(); Environment environment = StreamClient.connect()) {
            Channel channel = connection.createChannel();
            String name = Cases.unique("bridge");
            channel.queueDeclare(name, true, false, false, Map.of("x-queue-type", "stream", "x-max-age", "1h"));
            channel.confirmSelect();
            Map<String, Object> headers = new HashMap<>(Map.of("text", "größe", "int", -70_000, "long", 1L << 40, "bool", true, "double", 1.5, "bytes", new byte[] {0, -1}, "x-note", "annotated"));
            channel.basicPublish("", name, new AMQP.BasicProperties.Builder().headers(headers).contentType("text/plain").deliveryMode(2).priority(3)
                .correlationId("correlation").replyTo("replies").messageId("id").timestamp(new Date(1_700_000_123_000L)).type("order.created").build(), BODY);
            channel.waitForConfirmsOrDie(10_000);
            Message message = consume(environment, name, 1).get(0);
            Cases.equal(new String(message.getBodyAsBinary(), StandardCharsets.UTF_8), "größe", "body");
            Cases.equal(message.getProperties().getMessageIdAsString(), "id", "message id");
            Cases.equal(message.getProperties().getCorrelationIdAsString(), "correlation", "correlation id");
            Cases.equal(message.getProperties().getReplyTo(), "replies", "reply to");
            Cases.equal(message.getProperties().getContentType(), "text/plain", "content type");
            Cases.equal(message.getProperties().getCreationTime(), 1_700_000_123_000L, "creation time");
            Map<String, Object> properties = message.getApplicationProperties();
            Cases.equal(properties.get("text"), "größe", "text");
            Cases.equal(properties.get("int"), -70_000, "int");
            Cases.equal(properties.get("long"), 1L << 40, "long");
            Cases.equal(properties.get("bool"), true, "bool");
            Cases.equal(properties.get("double"), 1.5, "double");
            Cases.equal(message.getMessageAnnotations().get("x-note"), "annotated", "annotation");
            Cases.equal(message.getMessageAnnotations().get("x-basic-type"), "order.created", "type");
          }
        })
        .add("stream → AMQP: a stream made here is a stream queue there, redeclared by the same arguments", () -> {
          try (Connection connection = amqp(); Environment environment = StreamClient.connect()) {
            String name = Cases.unique("bridge");
            environment.streamCreator().stream(name).maxAge(Duration.ofHours(1)).argument("queue-leader-locator", "balanced").create();
            publish(environment, producer -> producer.stream(name).filterValue(message -> "red"), producer -> List.of(producer.messageBuilder().addData(BODY)
                .properties().messageId("id").correlationId("correlation").contentType("text/plain").creationTime(1_700_000_123_000L).messageBuilder()
                .applicationProperties().entry("text", "größe").entry("int", -70_000).entry("long", 1L << 40).entry("bool", true).messageBuilder()
                .messageAnnotations().entry("x-note", "annotated").messageBuilder().build()));
            Channel channel = connection.createChannel();
            channel.queueDeclare(name, true, false, false, Map.of("x-queue-type", "stream", "x-max-age", "3600s", "x-queue-leader-locator", "balanced"));
            channel.basicQos(10);
            BlockingQueue<Delivery> came = new LinkedBlockingQueue<>();
            channel.basicConsume(name, false, Map.of("x-stream-offset", "first", "x-stream-filter", "red"), (tag, delivery) -> came.add(delivery), tag -> { });
            Delivery delivery = came.poll(15, TimeUnit.SECONDS);
            Cases.check(delivery != null, "no delivery came");
            AMQP.BasicProperties properties = delivery.getProperties();
            Cases.equal(new String(delivery.getBody(), StandardCharsets.UTF_8), "größe", "body");
            Cases.equal(properties.getMessageId(), "id", "message id");
            Cases.equal(properties.getCorrelationId(), "correlation", "correlation id");
            Cases.equal(properties.getContentType(), "text/plain", "content type");
            Cases.equal(properties.getTimestamp(), new Date(1_700_000_123_000L), "timestamp");
            Cases.equal(properties.getHeaders().get("text").toString(), "größe", "text");
            Cases.equal(properties.getHeaders().get("int"), -70_000, "int");
            Cases.equal(properties.getHeaders().get("long"), 1L << 40, "long");
            Cases.equal(properties.getHeaders().get("bool"), true, "bool");
            Cases.equal(properties.getHeaders().get("x-note").toString(), "annotated", "x-note");
            Cases.equal(properties.getHeaders().get("x-stream-offset"), 0L, "offset");
          }
        })
        .add("Kafka → stream: a topic of three partitions is a super stream", () -> {
          try (Environment environment = StreamClient.connect(); Admin admin = Admin.create(kafka());
              KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(compressed(), new ByteArraySerializer(), new ByteArraySerializer())) {
            String name = Cases.unique("bridge");
            admin.createTopics(List.of(new NewTopic(name, 3, (short) 1))).all().get(15, TimeUnit.SECONDS);
            long now = System.currentTimeMillis(); // Older than the topic keeps records, they would be gone.
            for (int number = 0; number < 90; number++) {
              ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(name, number % 3, now, "key".getBytes(StandardCharsets.UTF_8), ("value " + number).getBytes(StandardCharsets.UTF_8));
              record.headers().add("text", "größe".getBytes(StandardCharsets.UTF_8)).add("anymq.correlation-id", "correlation".getBytes(StandardCharsets.UTF_8));
              producer.send(record);
            }
            producer.flush();
            List<Message> part = consume(environment, name + "-1", 30);
            for (int index = 0; index < 30; index++)
              Cases.equal(new String(part.get(index).getBodyAsBinary(), StandardCharsets.UTF_8), "value " + (index * 3 + 1), "body");
            Message message = part.get(0);
            Cases.equal(message.getApplicationProperties().get("text"), "größe", "text");
            Cases.equal(message.getProperties().getCorrelationIdAsString(), "correlation", "correlation id");
            Cases.equal(message.getProperties().getCreationTime(), now, "creation time");
            BlockingQueue<String> all = new LinkedBlockingQueue<>();
            try (Consumer consumer = environment.consumerBuilder().superStream(name).offset(OffsetSpecification.first())
                .messageHandler((context, each) -> all.add(context.stream())).build()) {
              for (int number = 0; number < 90; number++) Cases.check(all.poll(15, TimeUnit.SECONDS) != null, number + " of 90 came");
            }
            publish(environment, options -> options.superStream(name).routing(each -> "2").key().producerBuilder(), options -> List.of(options.messageBuilder().addData(BODY).build()));
            Cases.equal(consume(environment, name + "-2", 31).size(), 31, "records of the partition that its number leads to");
          }
        })
        .add("stream → Kafka: messages and sub-entry batches of each compression, with their parts", () -> {
          try (Environment environment = StreamClient.connect()) {
            for (Compression compression : Compression.values()) {
              String name = Cases.unique("bridge");
              environment.streamCreator().stream(name).create();
              publish(environment, options -> options.stream(name).subEntrySize(10).compression(compression), producer -> {
                List<Message> list = new ArrayList<>();
                for (int number = 0; number < 30; number++)
                  list.add(producer.messageBuilder().addData(("value " + number).getBytes(StandardCharsets.UTF_8)).properties().messageId("id " + number).messageBuilder()
                      .applicationProperties().entry("int", number).messageBuilder().build());
                return list;
              });
              List<ConsumerRecord<byte[], byte[]>> records = records(name, 30);
              for (int number = 0; number < 30; number++) {
                ConsumerRecord<byte[], byte[]> record = records.get(number);
                Cases.equal(record.offset(), (long) number, "offset");
                Cases.equal(new String(record.value(), StandardCharsets.UTF_8), "value " + number, "value");
                Cases.equal(header(record, "int"), String.valueOf(number), "int");
                Cases.equal(header(record, "anymq.message-id"), "id " + number, "message id");
                Cases.equal(header(record, "anymq.types"), "int=i32", "types");
              }
            }
          }
        })
        .add("stored offsets of a stream consumer are a Kafka group's", () -> {
          try (Environment environment = StreamClient.connect(); Admin admin = Admin.create(kafka())) {
            String name = Cases.unique("bridge");
            String group = Cases.unique("group");
            environment.streamCreator().stream(name).create();
            publish(environment, options -> options.stream(name), producer -> {
              List<Message> list = new ArrayList<>();
              for (int number = 0; number < 10; number++) list.add(producer.messageBuilder().addData(BODY).build());
              return list;
            });
            environment.storeOffset(group, name, 6);
            TopicPartition partition = new TopicPartition(name, 0);
            for (int tries = 0; ; tries++) {
              var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(15, TimeUnit.SECONDS);
              if (offsets.get(partition) != null && offsets.get(partition).offset() == 7) break;
              Cases.check(tries < 500, "the group has " + offsets);
              Thread.sleep(10);
            }
          }
        })
        .run();
  }

  static Properties compressed() {
    Properties properties = kafka();
    properties.put("compression.type", "zstd");
    properties.put("linger.ms", "50");
    return properties;
  }
}
