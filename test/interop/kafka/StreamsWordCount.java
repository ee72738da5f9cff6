import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Kafka Streams with exactly_once_v2: words are counted, and every count is written as it changes. Once each: the counts of a word are 1, 2, 3 and so on,
 * without a gap or a repetition, though the program ends in the midst of it and begins again without what it had on its disk.
 */
public final class StreamsWordCount {
  static final int PARTITIONS = 2;
  static final int LINES = 600;
  static final String[] WORDS = {"one", "fish", "two", "red", "blue", "old", "new"};

  public static void main(String[] arguments) {
    new Cases()
        .add("word count, exactly once, through a restart and a lost disk", StreamsWordCount::restart)
        .add("two instances share the work, exactly once, and one goes", StreamsWordCount::twoInstances)
        .run();
  }

  static void restart() throws Exception {
    String application = Cases.unique("streams");
    String in = KafkaClients.create(application + ".in", PARTITIONS);
    String out = KafkaClients.create(application + ".out", PARTITIONS);
    Path disk = Files.createTempDirectory("streams");
    Map<String, Long> expected = new TreeMap<>();
    KafkaStreams first = start(application, in, out, disk);
    produce(in, 0, expected);
    await(out, 200);
    first.close(Duration.ofSeconds(10));
    delete(disk);
    KafkaStreams second = start(application, in, out, disk);
    produce(in, LINES, expected);
    check(out, expected);
    second.close(Duration.ofSeconds(10));
    delete(disk);
  }

  static void twoInstances() throws Exception {
    String application = Cases.unique("streams");
    String in = KafkaClients.create(application + ".in", PARTITIONS);
    String out = KafkaClients.create(application + ".out", PARTITIONS);
    Path[] disks = {Files.createTempDirectory("streams"), Files.createTempDirectory("streams")};
    Map<String, Long> expected = new TreeMap<>();
    KafkaStreams first = start(application, in, out, disks[0]);
    produce(in, 0, expected);
    KafkaStreams second = start(application, in, out, disks[1]);
    await(out, 200);
    produce(in, LINES, expected);
    first.close(Duration.ofSeconds(10));
    check(out, expected);
    second.close(Duration.ofSeconds(10));
    for (Path disk : disks) delete(disk);
  }

  static KafkaStreams start(String application, String in, String out, Path disk) throws Exception {
    Properties options = new Properties();
    options.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
    options.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, KafkaClients.SERVER);
    options.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    options.put(StreamsConfig.STATE_DIR_CONFIG, disk.toString());
    options.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 50);
    options.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
    options.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    options.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    options.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
    options.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), 300);
    options.put(StreamsConfig.consumerPrefix("session.timeout.ms"), 6000);
    StreamsBuilder builder = new StreamsBuilder();
    builder.<String, String>stream(in)
        .flatMapValues(line -> List.of(line.split(" ")))
        .groupBy((key, word) -> word)
        .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counts"))
        .toStream()
        .mapValues(String::valueOf)
        .to(out);
    KafkaStreams streams = new KafkaStreams(builder.build(), options);
    streams.start();
    return streams;
  }

  static void produce(String in, int from, Map<String, Long> expected) throws Exception {
    try (KafkaProducer<byte[], byte[]> producer = KafkaClients.producer(Map.of())) {
      for (int i = from; i < from + LINES; i++) {
        List<String> words = new ArrayList<>();
        for (int w = 0; w <= i % 3; w++) words.add(WORDS[(i + w * w) % WORDS.length]);
        for (String word : words) expected.merge(word, 1L, Long::sum);
        producer.send(new ProducerRecord<>(in, i % PARTITIONS, null, KafkaClients.bytes(String.join(" ", words))));
      }
    }
  }

  /** Until so many counts are committed. */
  static void await(String out, int count) throws Exception {
    while (KafkaTransactions.endOffsets(out, PARTITIONS, "read_committed").stream().mapToLong(Long::longValue).sum() < count) Thread.sleep(50);
  }

  static void check(String out, Map<String, Long> expected) {
    long total = expected.values().stream().mapToLong(Long::longValue).sum();
    Map<String, Long> last = new HashMap<>();
    long read = 0;
    try (KafkaConsumer<byte[], byte[]> consumer = KafkaClients.consumer(null, Map.of("isolation.level", "read_committed"))) {
      List<TopicPartition> all = KafkaTransactions.all(out, PARTITIONS);
      consumer.assign(all);
      consumer.seekToBeginning(all);
      while (read < total) {
        for (var record : consumer.poll(Duration.ofMillis(200))) {
          String word = KafkaClients.text(record.key());
          long count = Long.parseLong(KafkaClients.text(record.value()));
          Cases.equal(count, last.getOrDefault(word, 0L) + 1, "the next count of " + word);
          last.put(word, count);
          read++;
        }
      }
      consumer.poll(Duration.ofMillis(300)).forEach(record -> Cases.check(false, "a count too many: " + KafkaClients.text(record.key())));
    }
    Cases.equal(new TreeMap<>(last), expected, "counts");
  }

  static void delete(Path folder) throws Exception {
    try (var files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) Files.deleteIfExists(file);
    }
  }
}
