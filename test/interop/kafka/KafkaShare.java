import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ShareGroupDescription;
import org.apache.kafka.clients.admin.SharePartitionOffsetInfo;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Apache Kafka's own share consumer (KIP-932): a topic as a queue. */
public final class KafkaShare {
  public static void main(String[] arguments) {
    new Cases()
        .add("implicit: members of one group share a partition, each record once", KafkaShare::implicit)
        .add("explicit: accepted and rejected records are gone, released ones come again and count", KafkaShare::explicit)
        .add("single records of a compressed batch are acknowledged one by one", KafkaShare::compressed)
        .add("a renewed lock holds, and the record is accepted under it", KafkaShare::renew)
        .add("a record is delivered as often as the group's limit says", KafkaShare::limit)
        .add("what a member had goes to another when it leaves", KafkaShare::leave)
        .add("record_limit: a poll gives no more than it may", KafkaShare::recordLimit)
        .add("a new group begins where share.auto.offset.reset says", KafkaShare::reset)
        .add("admin describes, lists, moves and deletes share groups, and sets their configs", KafkaShare::admin)
        .run();
  }

  // ---------------------------------------------------------------------------------------------------------------- cases

  static void implicit() throws Exception {
    String topic = KafkaClients.create(Cases.unique("share.implicit"), 1);
    String group = group("share.auto.offset.reset", "earliest");
    KafkaClients.produce(topic, 500);
    try (KafkaShareConsumer<byte[], byte[]> first = consumer(group, topic, "max.poll.records", "50"); KafkaShareConsumer<byte[], byte[]> second = consumer(group, topic, "max.poll.records", "50")) {
      List<String> values = new ArrayList<>();
      int[] got = {0, 0};
      while (values.size() < 500) {
        for (int i = 0; i < 2; i++) {
          for (var record : (i == 0 ? first : second).poll(Duration.ofMillis(200))) {
            values.add(KafkaClients.text(record.value()));
            got[i]++;
          }
        }
      }
      first.commitSync();
      second.commitSync();
      Cases.equal(new HashSet<>(values).size(), 500, "values, each once");
      Cases.check(got[0] > 0 && got[1] > 0, "both got some: " + got[0] + ", " + got[1]);
    }
  }

  static void explicit() throws Exception {
    String topic = KafkaClients.create(Cases.unique("share.explicit"), 1);
    String group = group("share.auto.offset.reset", "earliest");
    KafkaClients.produce(topic, 9);
    try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(group, topic, "share.acknowledgement.mode", "explicit")) {
      Map<Long, Short> first = take(consumer, 9, record -> switch ((int) record.offset() % 3) {
        case 0 -> AcknowledgeType.ACCEPT;
        case 1 -> AcknowledgeType.RELEASE;
        default -> AcknowledgeType.REJECT;
      });
      Cases.equal(first.get(0L), (short) 1, "the first delivery");
      Map<Long, Short> again = take(consumer, 3, record -> AcknowledgeType.ACCEPT);
      Cases.equal(again, Map.of(1L, (short) 2, 4L, (short) 2, 7L, (short) 2), "released records, with their count");
      Cases.equal(consumer.poll(Duration.ofMillis(500)).count(), 0, "records left");
    }
  }

  static void compressed() throws Exception {
    String topic = KafkaClients.create(Cases.unique("share.compressed"), 1);
    String group = group("share.auto.offset.reset", "earliest");
    try (KafkaProducer<byte[], byte[]> producer = KafkaClients.producer(Map.of("compression.type", "zstd", "linger.ms", "100"))) {
      for (int i = 0; i < 20; i++) producer.send(new ProducerRecord<>(topic, 0, null, KafkaClients.bytes("value-" + i)));
      producer.flush();
    }
    try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(group, topic, "share.acknowledgement.mode", "explicit")) {
      take(consumer, 20, record -> record.offset() % 2 == 0 ? AcknowledgeType.ACCEPT : AcknowledgeType.RELEASE);
      Set<Long> odd = take(consumer, 10, record -> {
        if (!KafkaClients.text(record.value()).equals("value-" + record.offset())) throw new AssertionError("value at " + record.offset());
        return AcknowledgeType.ACCEPT;
      }).keySet();
      Cases.check(odd.stream().allMatch(offset -> offset % 2 == 1), "only what was released comes again: " + odd);
    }
  }

  static void renew() throws Exception {
    String topic = KafkaClients.create(Cases.unique("share.renew"), 1);
    String group = group("share.auto.offset.reset", "earliest");
    KafkaClients.produce(topic, 2);
    List<String> failures = new ArrayList<>();
    try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(group, topic, "share.acknowledgement.mode", "explicit")) {
      consumer.setAcknowledgementCommitCallback((offsets, error) -> {
        if (error != null) failures.add(error.toString());
      });
      int renewed = 0;
      int accepted = 0;
      Set<Long> seen = new HashSet<>();
      while (accepted < 2) {
        for (var record : consumer.poll(Duration.ofMillis(500))) {
          if (seen.add(record.offset())) {
            consumer.acknowledge(record, AcknowledgeType.RENEW);
            renewed++;
          } else {
            Cases.equal(record.deliveryCount().orElse((short) -1), (short) 1, "still the first delivery");
            consumer.acknowledge(record, AcknowledgeType.ACCEPT);
            accepted++;
          }
        }
        consumer.commitSync();
      }
      Cases.equal(renewed, 2, "locks renewed");
      Cases.equal(failures, List.of(), "failed acknowledgements");
    }
  }

  static void limit() throws Exception {
    String topic = KafkaClients.create(Cases.unique("share.limit"), 1);
    String group = group("share.auto.offset.reset", "earliest", "share.delivery.count.limit", "2");
    KafkaClients.produce(topic, 1);
    try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(group, topic, "share.acknowledgement.mode", "explicit")) {
      for (short delivery = 1; delivery <= 2; delivery++)
        Cases.equal(take(consumer, 1, record -> AcknowledgeType.RELEASE), Map.of(0L, delivery), "delivery");
      Cases.equal(consumer.poll(Duration.ofMillis(500)).count(), 0, "deliveries beyond the limit");
    }
  }

  static void leave() throws Exception {
    String topic = KafkaClients.create(Cases.unique("share.leave"), 1);
    String group = group("share.auto.offset.reset", "earliest");
    KafkaClients.produce(topic, 5);
    try (KafkaShareConsumer<byte[], byte[]> first = consumer(group, topic, "share.acknowledgement.mode", "explicit")) {
      int got = 0;
      while (got < 5) for (var record : first.poll(Duration.ofMillis(500))) {
        got++;
        first.acknowledge(record, AcknowledgeType.RELEASE);
      }
    }
    try (KafkaShareConsumer<byte[], byte[]> second = consumer(group, topic, "share.acknowledgement.mode", "explicit")) {
      Cases.equal(take(second, 5, record -> AcknowledgeType.ACCEPT).size(), 5, "records of who left");
    }
  }

  static void recordLimit() throws Exception {
    String topic = KafkaClients.create(Cases.unique("share.records"), 2);
    String group = group("share.auto.offset.reset", "earliest");
    KafkaClients.produce(topic, 100);
    try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(group, topic, "share.acquire.mode", "record_limit", "max.poll.records", "7")) {
      int got = 0;
      while (got < 100) {
        int count = consumer.poll(Duration.ofMillis(500)).count();
        Cases.check(count <= 7, count + " records in a poll");
        got += count;
      }
      Cases.equal(got, 100, "records");
    }
  }

  static void reset() throws Exception {
    String topic = KafkaClients.create(Cases.unique("share.reset"), 1);
    KafkaClients.produce(topic, 3);
    try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(Cases.unique("share"), topic)) {
      // Until it has its partition: records before that are not for a group that begins at the end.
      List<String> values = new ArrayList<>();
      for (int i = 0; values.isEmpty(); i++) {
        if (i > 0 && i % 3 == 0) KafkaClients.produce(topic, 1);
        consumer.poll(Duration.ofMillis(300)).forEach(record -> values.add("" + record.offset()));
      }
      Cases.check(Long.parseLong(values.get(0)) >= 3, "begins after what was there: " + values);
    }
    try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(group("share.auto.offset.reset", "by_duration:PT1H"), topic)) {
      List<Long> offsets = new ArrayList<>();
      while (offsets.isEmpty()) consumer.poll(Duration.ofMillis(500)).forEach(record -> offsets.add(record.offset()));
      Cases.equal(offsets.get(0), 0L, "the first record, of an hour ago");
    }
  }

  static void admin() throws Exception {
    String topic = KafkaClients.create(Cases.unique("share.admin"), 2);
    TopicPartition zero = new TopicPartition(topic, 0);
    String group = group("share.auto.offset.reset", "earliest");
    try (KafkaProducer<byte[], byte[]> producer = KafkaClients.producer(Map.of())) {
      for (int i = 0; i < 10; i++) producer.send(new ProducerRecord<>(topic, 0, null, KafkaClients.bytes("" + i)));
      producer.flush();
    }
    try (Admin admin = KafkaClients.admin()) {
      Cases.check(KafkaClients.failsWith(InvalidConfigurationException.class, () -> configure(admin, group, "share.delivery.count.limit", "1000")), "a limit beyond its bounds is refused");
      try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(group, topic)) {
        int got = 0;
        while (got < 10) got += consumer.poll(Duration.ofMillis(500)).count();
        consumer.commitSync();
        ShareGroupDescription described = admin.describeShareGroups(List.of(group)).all().get().get(group);
        Cases.equal(described.groupState(), GroupState.STABLE, "state");
        Cases.equal(described.members().iterator().next().assignment().topicPartitions().size(), 2, "assigned");
        Cases.check(admin.listGroups(new ListGroupsOptions().withTypes(Set.of(GroupType.SHARE))).all().get().stream().anyMatch(listing -> listing.groupId().equals(group)), "listed by type");
        Cases.check(KafkaClients.failsWith(GroupNotEmptyException.class, admin.deleteShareGroups(List.of(group)).all()::get), "a group with members is not deleted");
      }
        admin.alterShareGroupOffsets(group, Map.of(zero, 4L)).all().get();
      Cases.equal(offset(admin, group, zero), 4L, "offset after moving");
      try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(group, topic, "share.acknowledgement.mode", "explicit")) {
        Cases.equal(take(consumer, 6, record -> AcknowledgeType.ACCEPT).keySet().iterator().next(), 4L, "first record after moving");
      }
      admin.deleteShareGroupOffsets(group, Set.of(topic)).all().get();
      admin.deleteShareGroups(List.of(group)).all().get();
      Cases.check(admin.listGroups().all().get().stream().noneMatch(listing -> listing.groupId().equals(group)), "a deleted group is not listed");
    }
  }

  // ------------------------------------------------------------------------------------------------------------- helpers

  /** A new group's name, with these configs. */
  static String group(String... configs) throws Exception {
    String group = Cases.unique("share");
    try (Admin admin = KafkaClients.admin()) {
      for (int i = 0; i < configs.length; i += 2) configure(admin, group, configs[i], configs[i + 1]);
    }
    return group;
  }

  static Object configure(Admin admin, String group, String name, String value) throws Exception {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
    return admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET)))).all().get();
  }

  static KafkaShareConsumer<byte[], byte[]> consumer(String group, String topic, String... options) {
    Properties all = new Properties();
    all.put("bootstrap.servers", KafkaClients.SERVER);
    all.put("group.id", group);
    for (int i = 0; i < options.length; i += 2) all.put(options[i], options[i + 1]);
    KafkaShareConsumer<byte[], byte[]> consumer = new KafkaShareConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    consumer.subscribe(List.of(topic));
    return consumer;
  }

  /** Acknowledges so many records each as `decide` says; their delivery counts by offset. */
  static Map<Long, Short> take(KafkaShareConsumer<byte[], byte[]> consumer, int count, Function<ConsumerRecord<byte[], byte[]>, AcknowledgeType> decide) {
    Map<Long, Short> counts = new TreeMap<>();
    int taken = 0;
    while (taken < count) {
      for (var record : consumer.poll(Duration.ofMillis(500))) {
        if (taken++ >= count) throw new AssertionError("more than " + count + " records");
        counts.put(record.offset(), record.deliveryCount().orElse((short) -1));
        consumer.acknowledge(record, decide.apply(record));
      }
      consumer.commitSync();
    }
    return counts;
  }

  static Long offset(Admin admin, String group, TopicPartition partition) throws Exception {
    SharePartitionOffsetInfo info = admin.listShareGroupOffsets(Map.of(group, new ListShareGroupOffsetsSpec().topicPartitions(List.of(partition)))).partitionsToOffsetInfo(group).get().get(partition);
    return info == null ? null : info.startOffset();
  }
}
