import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's own Java client: admin, producer with each codec, consumer alone and in a group. */
public final class KafkaClients {
  static final String SERVER = System.getenv("KAFKA");

  public static void main(String[] arguments) {
    Cases cases = new Cases()
        .add("admin creates, describes, lists, refuses twice and deletes a topic", KafkaClients::adminTopics)
        .add("admin reads and changes a topic's configuration", KafkaClients::adminConfigs);
    for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
      cases.add("produce and consume with codec " + codec, () -> codec(codec));
    }
    cases.add("idempotent producer: contiguous offsets, nothing twice", KafkaClients::idempotent)
        .add("a topic comes into being when first produced to", KafkaClients::autoCreate)
        .add("null keys, null values and empty values stay apart", KafkaClients::nulls)
        .add("a group's consumer commits and the next resumes there", KafkaClients::commitAndResume)
        .add("two consumers of a group share the partitions, and one takes over", KafkaClients::rebalance)
        .add("offsets by time, beginning, end and seek", KafkaClients::offsets)
        .add("a record above max.message.bytes is refused", KafkaClients::tooLarge)
        .run();
  }

  // ---------------------------------------------------------------------------------------------------------------- cases

  static void adminTopics() throws Exception {
    String topic = Cases.unique("java.admin");
    try (Admin admin = admin()) {
      admin.createTopics(List.of(new NewTopic(topic, 3, (short) 1))).all().get();
      TopicDescription described = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
      Cases.equal(described.partitions().size(), 3, "partitions");
      Cases.check(described.partitions().get(0).leader() != null, "partition 0 has a leader");
      Cases.check(admin.listTopics().names().get().contains(topic), "the topic is listed");
      Cases.check(failsWith(TopicExistsException.class, admin.createTopics(List.of(new NewTopic(topic, 3, (short) 1))).all()::get), "creating twice is refused");
      Cases.check(!admin.describeCluster().nodes().get().isEmpty(), "the cluster has a node");
      admin.deleteTopics(List.of(topic)).all().get();
      Cases.check(failsWith(UnknownTopicOrPartitionException.class, admin.describeTopics(List.of(topic)).allTopicNames()::get), "a deleted topic is unknown");
      Cases.check(failsWith(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of(topic)).all()::get), "deleting twice is refused");
    }
  }

  static void adminConfigs() throws Exception {
    String topic = Cases.unique("java.config");
    try (Admin admin = admin()) {
      admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1).configs(Map.of("retention.ms", "3600000")))).all().get();
      ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
      Config config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
      Cases.equal(config.get("retention.ms").value(), "3600000", "retention.ms");
      Cases.equal(config.get("cleanup.policy").value(), "delete", "cleanup.policy");
      admin.deleteTopics(List.of(topic)).all().get();
    }
  }

  static void codec(String codec) throws Exception {
    String topic = create(Cases.unique("java." + codec), 2);
    int count = 400;
    long before = System.currentTimeMillis();
    try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("compression.type", codec, "linger.ms", "20", "acks", "all"))) {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, i % 2, before + i, bytes("key-" + i), bytes(("value-" + i + " ").repeat(20)));
        record.headers().add("n", bytes("" + i)).add("n", bytes("again")).add(new RecordHeader("null", (byte[]) null));
        sent.add(producer.send(record));
      }
      for (int i = 0; i < count; i++) Cases.equal(sent.get(i).get().offset(), (long) (i / 2), "offset of record " + i);
    }
    List<ConsumerRecord<byte[], byte[]>> read = readAll(topic, 2, count);
    int[] next = {0, 1};
    for (ConsumerRecord<byte[], byte[]> record : read) {
      int i = next[record.partition()];
      next[record.partition()] += 2;
      Cases.equal(text(record.key()), "key-" + i, "key in order");
      Cases.equal(text(record.value()), ("value-" + i + " ").repeat(20), "value");
      Cases.equal(record.offset(), (long) (i / 2), "offset");
      Cases.equal(record.timestamp(), before + i, "timestamp");
      Cases.equal(record.headers().toArray().length, 3, "headers");
      Cases.equal(text(record.headers().toArray()[0].value()), "" + i, "first header");
      Cases.equal(text(record.headers().toArray()[1].value()), "again", "a header's name may come twice");
      Cases.equal(record.headers().toArray()[2].value(), null, "null header");
    }
  }

  static void idempotent() throws Exception {
    String topic = create(Cases.unique("java.idempotent"), 1);
    int count = 3000;
    try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("enable.idempotence", "true", "acks", "all", "batch.size", "2000", "max.in.flight.requests.per.connection", "5"))) {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      for (int i = 0; i < count; i++) sent.add(producer.send(new ProducerRecord<>(topic, bytes("k"), bytes("" + i))));
      for (int i = 0; i < count; i++) Cases.equal(sent.get(i).get().offset(), (long) i, "offset of record " + i);
    }
    List<ConsumerRecord<byte[], byte[]>> read = readAll(topic, 1, count);
    for (int i = 0; i < count; i++) Cases.equal(text(read.get(i).value()), "" + i, "record at " + i);
  }

  static void autoCreate() throws Exception {
    String topic = Cases.unique("java.auto");
    try (KafkaProducer<byte[], byte[]> producer = producer(Map.of())) {
      producer.send(new ProducerRecord<>(topic, bytes("a"), bytes("b"))).get();
    }
    Cases.equal(readAll(topic, 1, 1).size(), 1, "records");
  }

  static void nulls() throws Exception {
    String topic = create(Cases.unique("java.nulls"), 1);
    try (KafkaProducer<byte[], byte[]> producer = producer(Map.of())) {
      producer.send(new ProducerRecord<>(topic, 0, null, bytes("no key"))).get();
      producer.send(new ProducerRecord<>(topic, 0, bytes("tombstone"), null)).get();
      producer.send(new ProducerRecord<>(topic, 0, bytes(""), bytes(""))).get();
    }
    List<ConsumerRecord<byte[], byte[]>> read = readAll(topic, 1, 3);
    Cases.equal(read.get(0).key(), null, "key");
    Cases.equal(read.get(1).value(), null, "tombstone");
    Cases.equal(read.get(2).key().length, 0, "empty key");
    Cases.equal(read.get(2).value().length, 0, "empty value");
  }

  static void commitAndResume() throws Exception {
    String topic = create(Cases.unique("java.resume"), 1);
    String group = Cases.unique("java.group");
    produce(topic, 100);
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(group, Map.of("max.poll.records", "40"))) {
      consumer.subscribe(List.of(topic));
      int got = 0;
      while (got < 40) got += consumer.poll(Duration.ofMillis(500)).count();
      Cases.equal(got, 40, "records in the first poll");
      consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(40, "forty")));
    }
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(group, Map.of())) {
      TopicPartition partition = new TopicPartition(topic, 0);
      OffsetAndMetadata committed = consumer.committed(Set.of(partition)).get(partition);
      Cases.equal(committed.offset(), 40L, "committed offset");
      Cases.equal(committed.metadata(), "forty", "committed metadata");
      consumer.subscribe(List.of(topic));
      List<Long> offsets = new ArrayList<>();
      while (offsets.size() < 60) consumer.poll(Duration.ofMillis(500)).forEach(record -> offsets.add(record.offset()));
      Cases.equal(offsets.get(0), 40L, "first offset after resuming");
      Cases.equal(offsets.size(), 60, "records after resuming");
      consumer.commitSync();
    }
    try (Admin admin = admin()) {
      Cases.equal(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(new TopicPartition(topic, 0)).offset(), 100L, "the group's offset");
    }
  }

  static void rebalance() throws Exception {
    String topic = create(Cases.unique("java.rebalance"), 4);
    String group = Cases.unique("java.group");
    Map<String, String> quick = Map.of("heartbeat.interval.ms", "200", "session.timeout.ms", "6000");
    try (KafkaConsumer<byte[], byte[]> first = consumer(group, quick)) {
      first.subscribe(List.of(topic));
      while (first.assignment().size() < 4) first.poll(Duration.ofMillis(100));
      try (KafkaConsumer<byte[], byte[]> second = consumer(group, quick)) {
        second.subscribe(List.of(topic));
        while (first.assignment().size() != 2 || second.assignment().size() != 2) {
          first.poll(Duration.ofMillis(50));
          second.poll(Duration.ofMillis(50));
        }
        Set<TopicPartition> both = new HashSet<>(first.assignment());
        both.addAll(second.assignment());
        Cases.equal(both.size(), 4, "partitions of both together");
        produce(topic, 200);
        Set<String> values = new HashSet<>();
        while (values.size() < 200) {
          first.poll(Duration.ofMillis(50)).forEach(record -> values.add(text(record.value())));
          second.poll(Duration.ofMillis(50)).forEach(record -> values.add(text(record.value())));
        }
        first.commitSync();
        second.commitSync();
      }
      while (first.assignment().size() < 4) first.poll(Duration.ofMillis(100));
    }
  }

  static void offsets() throws Exception {
    String topic = create(Cases.unique("java.offsets"), 1);
    long base = System.currentTimeMillis() - 100_000;
    try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("batch.size", "200"))) {
      for (int i = 0; i < 50; i++) producer.send(new ProducerRecord<>(topic, 0, base + i * 1000L, null, bytes("" + i)));
      producer.flush();
    }
    TopicPartition partition = new TopicPartition(topic, 0);
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(null, Map.of())) {
      Cases.equal(consumer.beginningOffsets(List.of(partition)).get(partition), 0L, "beginning");
      Cases.equal(consumer.endOffsets(List.of(partition)).get(partition), 50L, "end");
      OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, base + 20_500)).get(partition);
      Cases.equal(found.offset(), 21L, "offset for a time");
      Cases.equal(found.timestamp(), base + 21_000, "timestamp for a time");
      Cases.equal(consumer.offsetsForTimes(Map.of(partition, base + 1_000_000)).get(partition), null, "no record as late as that");
      consumer.assign(List.of(partition));
      consumer.seek(partition, 37);
      List<ConsumerRecord<byte[], byte[]>> read = new ArrayList<>();
      while (read.size() < 13) consumer.poll(Duration.ofMillis(500)).forEach(read::add);
      Cases.equal(text(read.get(0).value()), "37", "first record after the seek");
      consumer.seekToEnd(List.of(partition));
      Cases.equal(consumer.position(partition), 50L, "position at the end");
    }
  }

  static void tooLarge() throws Exception {
    String topic = Cases.unique("java.large");
    try (Admin admin = admin()) {
      admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1).configs(Map.of("max.message.bytes", "2000")))).all().get();
    }
    try (KafkaProducer<byte[], byte[]> producer = producer(Map.of())) {
      Cases.check(failsWith(RecordTooLargeException.class, producer.send(new ProducerRecord<>(topic, null, new byte[5000]))::get), "5,000 bytes are refused");
      producer.send(new ProducerRecord<>(topic, null, new byte[500])).get();
    }
  }

  // ------------------------------------------------------------------------------------------------------------- helpers

  interface Call { Object run() throws Exception; }

  static boolean failsWith(Class<? extends Throwable> kind, Call call) throws Exception {
    try {
      call.run();
      return false;
    } catch (ExecutionException error) {
      if (kind.isInstance(error.getCause())) return true;
      throw error;
    }
  }

  static Admin admin() {
    return Admin.create(Map.of("bootstrap.servers", SERVER, "default.api.timeout.ms", "15000", "request.timeout.ms", "10000"));
  }

  static String create(String topic, int partitions) throws Exception {
    try (Admin admin = admin()) {
      admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
    }
    return topic;
  }

  static KafkaProducer<byte[], byte[]> producer(Map<String, String> options) {
    Map<String, Object> all = new HashMap<>(options);
    all.put("bootstrap.servers", SERVER);
    all.putIfAbsent("delivery.timeout.ms", "20000");
    all.putIfAbsent("request.timeout.ms", "10000");
    return new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer());
  }

  static KafkaConsumer<byte[], byte[]> consumer(String group, Map<String, String> options) {
    Properties all = new Properties();
    all.putAll(options);
    all.put("bootstrap.servers", SERVER);
    all.put("auto.offset.reset", "earliest");
    all.put("enable.auto.commit", "false");
    all.put("default.api.timeout.ms", "15000");
    if (group != null) all.put("group.id", group);
    return new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  static void produce(String topic, int count) throws Exception {
    try (KafkaProducer<byte[], byte[]> producer = producer(Map.of())) {
      for (int i = 0; i < count; i++) producer.send(new ProducerRecord<>(topic, bytes("k" + i), bytes("" + i)));
      producer.flush();
    }
  }

  static List<ConsumerRecord<byte[], byte[]>> readAll(String topic, int partitions, int count) {
    List<ConsumerRecord<byte[], byte[]>> read = new ArrayList<>();
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(null, Map.of())) {
      Collection<TopicPartition> all = new ArrayList<>();
      for (int i = 0; i < partitions; i++) all.add(new TopicPartition(topic, i));
      consumer.assign(all);
      consumer.seekToBeginning(all);
      while (read.size() < count) consumer.poll(Duration.ofMillis(500)).forEach(read::add);
      consumer.poll(Duration.ofMillis(100)).forEach(read::add);
    }
    Cases.equal(read.size(), count, "records read");
    return read;
  }

  static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  static String text(byte[] bytes) {
    return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
  }
}
