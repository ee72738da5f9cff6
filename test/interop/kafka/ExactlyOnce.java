import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * Consumes one topic and produces to another in transactions, until as many records went through as it is told. Whatever fails, it begins anew with what is
 * committed, as a program would after a crash. Tells what it committed, a line for each transaction.
 */
public final class ExactlyOnce {
  public static void main(String[] arguments) {
    String in = arguments[0];
    String out = arguments[1];
    long count = Long.parseLong(arguments[2]);
    for (long done = 0; done < count;) {
      try {
        done = run(in, out, count);
      } catch (RuntimeException error) {
        System.out.println("failed " + error.getClass().getSimpleName() + ": " + error.getMessage());
      }
    }
    System.out.println("done");
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }

  static long run(String in, String out, long count) {
    Map<String, String> reading = Map.of("isolation.level", "read_committed", "max.poll.records", "7", "session.timeout.ms", "6000", "heartbeat.interval.ms", "500");
    Map<String, String> writing = Map.of("transactional.id", in + ".worker", "transaction.timeout.ms", "10000", "max.block.ms", "15000");
    try (KafkaConsumer<byte[], byte[]> consumer = KafkaClients.consumer(in + ".group", reading);
        KafkaProducer<byte[], byte[]> producer = KafkaClients.producer(writing)) {
      producer.initTransactions();
      consumer.subscribe(List.of(in));
      for (;;) {
        ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
        if (records.isEmpty()) {
          long done = committed(consumer);
          if (done >= count) return done;
          continue;
        }
        producer.beginTransaction();
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        records.forEach(record -> {
          producer.send(new ProducerRecord<>(out, record.partition(), record.key(), record.value()));
          offsets.put(new TopicPartition(in, record.partition()), new OffsetAndMetadata(record.offset() + 1));
        });
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
        producer.commitTransaction();
        System.out.println("committed " + records.count());
      }
    }
  }

  static long committed(KafkaConsumer<byte[], byte[]> consumer) {
    long sum = 0;
    for (OffsetAndMetadata each : consumer.committed(consumer.assignment()).values()) if (each != null) sum += each.offset();
    return sum;
  }
}
