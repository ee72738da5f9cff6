import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Transactions of Apache Kafka's own Java client, at both levels of transaction.version. */
public final class KafkaTransactions {
  public static void main(String[] arguments) {
    Cases cases = new Cases();
    for (short level : new short[] {2, 1}) {
      String way = " (transaction.version " + level + ")";
      cases.add("the feature is set" + way, () -> setLevel(level))
          .add("committed records are seen together, and not before" + way, KafkaTransactions::commit)
          .add("aborted records are never seen by who reads what is committed" + way, KafkaTransactions::abort)
          .add("many batches in many partitions, commits and aborts in turn" + way, KafkaTransactions::many)
          .add("a second producer with the same id fences the first" + way, KafkaTransactions::fencing)
          .add("a transaction that lasts too long is aborted" + way, KafkaTransactions::timeout)
          .add("consume, transform, produce: offsets go with the records" + way, () -> transform("classic"))
          .add("the same in a group of the consumer protocol" + way, () -> transform("consumer"))
          .add("offsets of a member that was replaced are refused" + way, KafkaTransactions::staleMember);
    }
    cases.add("the feature is set back", () -> setLevel((short) 2))
        .add("admin lists, describes, fences and aborts", KafkaTransactions::admin)
        .run();
  }

  static void setLevel(short level) throws Exception {
    try (Admin admin = KafkaClients.admin()) {
      short now = admin.describeFeatures().featureMetadata().get().finalizedFeatures().get("transaction.version").maxVersionLevel();
      if (now == level) return;
      FeatureUpdate.UpgradeType type = level < now ? FeatureUpdate.UpgradeType.SAFE_DOWNGRADE : FeatureUpdate.UpgradeType.UPGRADE;
      admin.updateFeatures(Map.of("transaction.version", new FeatureUpdate(level, type)), new UpdateFeaturesOptions()).all().get();
      Cases.equal(admin.describeFeatures().featureMetadata().get().finalizedFeatures().get("transaction.version").maxVersionLevel(), level, "level");
    }
  }

  static void commit() throws Exception {
    String topic = KafkaClients.create(Cases.unique("txn.commit"), 2);
    try (KafkaProducer<byte[], byte[]> producer = producer(Cases.unique("txn"))) {
      producer.initTransactions();
      producer.beginTransaction();
      for (int i = 0; i < 10; i++) send(producer, topic, i % 2, "a" + i);
      producer.flush();
      Cases.equal(endOffsets(topic, 2, "read_committed"), List.of(0L, 0L), "end while it is open");
      Cases.equal(endOffsets(topic, 2, "read_uncommitted"), List.of(5L, 5L), "end of all while it is open");
      producer.commitTransaction();
      Cases.equal(values(topic, 2).size(), 10, "records after the commit");
      Cases.equal(endOffsets(topic, 2, "read_committed"), List.of(6L, 6L), "end with the marker");
    }
  }

  static void abort() throws Exception {
    String topic = KafkaClients.create(Cases.unique("txn.abort"), 1);
    try (KafkaProducer<byte[], byte[]> producer = producer(Cases.unique("txn"))) {
      producer.initTransactions();
      for (int round = 0; round < 4; round++) {
        producer.beginTransaction();
        for (int i = 0; i < 3; i++) send(producer, topic, 0, "r" + round + "." + i);
        producer.flush();
        if (round % 2 == 0) producer.abortTransaction();
        else producer.commitTransaction();
      }
      // Nothing was written: still a transaction.
      producer.beginTransaction();
      producer.abortTransaction();
      producer.beginTransaction();
      producer.commitTransaction();
    }
    Cases.equal(values(topic, 1), List.of("r1.0", "r1.1", "r1.2", "r3.0", "r3.1", "r3.2"), "committed");
  }

  static void many() throws Exception {
    String topic = KafkaClients.create(Cases.unique("txn.many"), 4);
    String plain = Cases.unique("plain");
    List<String> expected = new ArrayList<>();
    Map<String, String> options = Map.of("batch.size", "500", "compression.type", "zstd", "max.in.flight.requests.per.connection", "5");
    try (KafkaProducer<byte[], byte[]> producer = producer(Cases.unique("txn"), options);
        KafkaProducer<byte[], byte[]> beside = KafkaClients.producer(Map.of())) {
      producer.initTransactions();
      for (int round = 0; round < 20; round++) {
        producer.beginTransaction();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int i = 0; i < 100; i++) sent.add(send(producer, topic, i % 4, "r" + round + "." + i));
        send(beside, topic, round % 4, plain + round).get();
        if (round % 3 == 2) producer.abortTransaction();
        else {
          producer.commitTransaction();
          for (Future<RecordMetadata> each : sent) each.get();
          for (int i = 0; i < 100; i++) expected.add("r" + round + "." + i);
        }
        expected.add(plain + round);
      }
    }
    List<String> found = values(topic, 4);
    found.sort(null);
    expected.sort(null);
    Cases.equal(found, expected, "committed");
  }

  static void fencing() throws Exception {
    String topic = KafkaClients.create(Cases.unique("txn.fence"), 1);
    String id = Cases.unique("txn");
    try (KafkaProducer<byte[], byte[]> first = producer(id); KafkaProducer<byte[], byte[]> second = producer(id)) {
      first.initTransactions();
      first.beginTransaction();
      send(first, topic, 0, "first").get();
      second.initTransactions();
      second.beginTransaction();
      send(second, topic, 0, "second").get();
      Cases.check(fails(ProducerFencedException.class, first::commitTransaction), "the first can not commit");
      second.commitTransaction();
    }
    Cases.equal(values(topic, 1), List.of("second"), "committed");
  }

  static void timeout() throws Exception {
    String topic = KafkaClients.create(Cases.unique("txn.timeout"), 1);
    String id = Cases.unique("txn");
    try (KafkaProducer<byte[], byte[]> producer = producer(id, Map.of("transaction.timeout.ms", "1000")); Admin admin = KafkaClients.admin()) {
      producer.initTransactions();
      producer.beginTransaction();
      send(producer, topic, 0, "late").get();
      while (admin.describeTransactions(List.of(id)).description(id).get().state() != TransactionState.COMPLETE_ABORT) Thread.sleep(50);
      Cases.check(fails(InvalidProducerEpochException.class, () -> send(producer, topic, 0, "later").get()), "the producer is told");
    }
    try (KafkaProducer<byte[], byte[]> producer = producer(id)) {
      producer.initTransactions();
      producer.beginTransaction();
      send(producer, topic, 0, "again");
      producer.commitTransaction();
    }
    Cases.equal(values(topic, 1), List.of("again"), "committed");
  }

  static void transform(String protocol) throws Exception {
    String in = KafkaClients.create(Cases.unique("txn.in"), 1);
    String out = KafkaClients.create(Cases.unique("txn.out"), 1);
    String group = Cases.unique("txn.group");
    KafkaClients.produce(in, 50);
    TopicPartition partition = new TopicPartition(in, 0);
    try (KafkaProducer<byte[], byte[]> producer = producer(Cases.unique("txn"));
        KafkaConsumer<byte[], byte[]> consumer = KafkaClients.consumer(group, Map.of("isolation.level", "read_committed", "max.poll.records", "10", "group.protocol", protocol))) {
      producer.initTransactions();
      consumer.subscribe(List.of(in));
      int done = 0;
      for (int round = 0; done < 50; round++) {
        ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(500));
        if (records.isEmpty()) continue;
        producer.beginTransaction();
        long next = 0;
        for (ConsumerRecord<byte[], byte[]> record : records) {
          send(producer, out, 0, KafkaClients.text(record.value()) + "!");
          next = record.offset() + 1;
        }
        producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(next)), consumer.groupMetadata());
        if (round % 2 == 0) {
          // Undone, records and offsets alike: what is committed says where to go on.
          producer.abortTransaction();
          OffsetAndMetadata committed = consumer.committed(Set.of(partition)).get(partition);
          Cases.equal(committed == null ? 0L : committed.offset(), (long) done, "offset after the abort");
          consumer.seek(partition, done);
        } else {
          producer.commitTransaction();
          done += records.count();
          Cases.equal(consumer.committed(Set.of(partition)).get(partition).offset(), (long) done, "offset after the commit");
        }
      }
    }
    List<String> expected = new ArrayList<>();
    for (int i = 0; i < 50; i++) expected.add(i + "!");
    Cases.equal(values(out, 1), expected, "committed");
  }

  static void staleMember() throws Exception {
    String in = KafkaClients.create(Cases.unique("txn.in"), 1);
    KafkaClients.produce(in, 1);
    try (KafkaProducer<byte[], byte[]> producer = producer(Cases.unique("txn"));
        KafkaConsumer<byte[], byte[]> consumer = KafkaClients.consumer(Cases.unique("txn.group"), Map.of())) {
      producer.initTransactions();
      consumer.subscribe(List.of(in));
      while (consumer.poll(Duration.ofMillis(200)).isEmpty());
      var metadata = consumer.groupMetadata();
      consumer.unsubscribe();
      producer.beginTransaction();
      Cases.check(fails(CommitFailedException.class, () -> producer.sendOffsetsToTransaction(Map.of(new TopicPartition(in, 0), new OffsetAndMetadata(1)), metadata)), "refused");
      producer.abortTransaction();
    }
  }

  static void admin() throws Exception {
    String topic = KafkaClients.create(Cases.unique("txn.admin"), 1);
    TopicPartition partition = new TopicPartition(topic, 0);
    String id = Cases.unique("txn");
    try (Admin admin = KafkaClients.admin(); KafkaProducer<byte[], byte[]> producer = producer(id)) {
      producer.initTransactions();
      producer.beginTransaction();
      send(producer, topic, 0, "held").get();
      TransactionDescription described = admin.describeTransactions(List.of(id)).description(id).get();
      Cases.equal(described.state(), TransactionState.ONGOING, "state");
      Cases.check(described.topicPartitions().contains(partition), "its partition");
      Collection<TransactionListing> listed = admin.listTransactions(new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING)).filterOnTransactionalIdPattern(java.util.regex.Pattern.quote(id))).all().get();
      Cases.equal(listed.stream().map(TransactionListing::transactionalId).toList(), List.of(id), "listed");
      ProducerState state = admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers().get(0);
      Cases.equal(state.currentTransactionStartOffset().getAsLong(), 0L, "start of the transaction");
      admin.abortTransaction(new AbortTransactionSpec(partition, state.producerId(), (short) state.producerEpoch(), state.coordinatorEpoch().orElse(0))).all().get();
      Cases.check(admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers().get(0).currentTransactionStartOffset().isEmpty(), "nothing is open any more");
      Cases.equal(values(topic, 1), List.of(), "committed");
    }
    try (Admin admin = KafkaClients.admin(); KafkaProducer<byte[], byte[]> producer = producer(id)) {
      producer.initTransactions();
      producer.beginTransaction();
      send(producer, topic, 0, "fenced").get();
      admin.fenceProducers(List.of(id)).all().get();
      Cases.check(fails(ProducerFencedException.class, producer::commitTransaction), "the producer is fenced");
      Cases.equal(values(topic, 1), List.of(), "committed");
    }
  }

  // ------------------------------------------------------------------------------------------------------------- helpers

  interface Call { void run() throws Exception; }

  static boolean fails(Class<? extends Throwable> kind, Call call) throws Exception {
    try {
      call.run();
      return false;
    } catch (ExecutionException | KafkaException error) {
      for (Throwable cause = error; cause != null; cause = cause.getCause()) if (kind.isInstance(cause)) return true;
      throw error;
    }
  }

  static KafkaProducer<byte[], byte[]> producer(String id) {
    return producer(id, Map.of());
  }

  static KafkaProducer<byte[], byte[]> producer(String id, Map<String, String> options) {
    Map<String, String> all = new HashMap<>(options);
    all.put("transactional.id", id);
    return KafkaClients.producer(all);
  }

  static Future<RecordMetadata> send(KafkaProducer<byte[], byte[]> producer, String topic, int partition, String value) {
    return producer.send(new ProducerRecord<>(topic, partition, null, KafkaClients.bytes(value)));
  }

  static List<Long> endOffsets(String topic, int partitions, String isolation) {
    try (KafkaConsumer<byte[], byte[]> consumer = KafkaClients.consumer(null, Map.of("isolation.level", isolation))) {
      Map<TopicPartition, Long> ends = consumer.endOffsets(all(topic, partitions));
      return all(topic, partitions).stream().map(ends::get).toList();
    }
  }

  /** All that is committed. */
  static List<String> values(String topic, int partitions) {
    List<String> values = new ArrayList<>();
    try (KafkaConsumer<byte[], byte[]> consumer = KafkaClients.consumer(null, Map.of("isolation.level", "read_committed"))) {
      List<TopicPartition> all = all(topic, partitions);
      consumer.assign(all);
      consumer.seekToBeginning(all);
      Map<TopicPartition, Long> ends = consumer.endOffsets(all);
      while (all.stream().anyMatch(each -> consumer.position(each) < ends.get(each)))
        consumer.poll(Duration.ofMillis(200)).forEach(record -> values.add(KafkaClients.text(record.value())));
    }
    return values;
  }

  static List<TopicPartition> all(String topic, int partitions) {
    List<TopicPartition> all = new ArrayList<>();
    for (int i = 0; i < partitions; i++) all.add(new TopicPartition(topic, i));
    return all;
  }
}
