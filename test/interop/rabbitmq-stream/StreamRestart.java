import com.rabbitmq.stream.BackOffDelayPolicy;
import com.rabbitmq.stream.Constants;
import com.rabbitmq.stream.Consumer;
import com.rabbitmq.stream.Environment;
import com.rabbitmq.stream.OffsetSpecification;
import com.rabbitmq.stream.Producer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.BitSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/** A producer with a name and a consumer go on by themselves while the broker is killed and started again (restart.ts does that). */
public final class StreamRestart {
  static final int COUNT = 60_000;

  static Environment connect() {
    String[] server = System.getenv("STREAM").split(":");
    BackOffDelayPolicy often = BackOffDelayPolicy.fixed(Duration.ofMillis(200));
    return Environment.builder().host(server[0]).port(Integer.parseInt(server[1]))
        .recoveryBackOffDelayPolicy(often).topologyUpdateBackOffDelayPolicy(often).build();
  }

  public static void main(String[] args) {
    new Cases().add("goes on after kill -9 and restarts: all confirmed, nothing lost, nothing twice, in order", () -> {
      try (Environment environment = connect()) {
        String name = Cases.unique("java-restart");
        environment.streamCreator().stream(name).create();
        AtomicLong next = new AtomicLong();
        AtomicInteger wrong = new AtomicInteger();
        CountDownLatch consumed = new CountDownLatch(COUNT);
        Consumer consumer = environment.consumerBuilder().stream(name).offset(OffsetSpecification.first())
            .messageHandler((context, message) -> {
              long number = Long.parseLong(new String(message.getBodyAsBinary(), StandardCharsets.UTF_8));
              if (context.offset() != number) wrong.incrementAndGet();
              // A consumer that comes back may see again what it had: nothing may be missing between.
              if (number < next.get()) return;
              if (number != next.getAndIncrement()) wrong.incrementAndGet();
              consumed.countDown();
            }).build();
        Producer producer = environment.producerBuilder().stream(name).name("writer").confirmTimeout(Duration.ZERO).build();
        BitSet confirmed = new BitSet(COUNT);
        CountDownLatch confirms = new CountDownLatch(COUNT);
        for (int number = 0; number < COUNT; number++) {
          int id = number;
          // While the producer recovers the client refuses a message at once, and it has to be sent again.
          AtomicBoolean refused = new AtomicBoolean();
          do {
            if (refused.getAndSet(false)) Thread.sleep(5);
            producer.send(producer.messageBuilder().publishingId(number)
                .addData(String.valueOf(number).getBytes(StandardCharsets.UTF_8)).build(), status -> {
              if (status.getCode() == Constants.CODE_PRODUCER_NOT_AVAILABLE) refused.set(true);
              if (!status.isConfirmed()) return;
              synchronized (confirmed) { confirmed.set(id); }
              confirms.countDown();
            });
          } while (refused.get());
          // Told to whoever kills the broker: a third is sent, two thirds are.
          if (number == COUNT / 3 || number == 2 * COUNT / 3) {
            System.out.println("{\"say\":\"kill\"}");
            System.out.flush();
          }
          if (number % 1000 == 0) Thread.sleep(10); // Spreads the sending over the kills.
        }
        Cases.check(confirms.await(60, TimeUnit.SECONDS), confirms.getCount() + " of " + COUNT + " are not confirmed");
        Cases.equal(confirmed.cardinality(), COUNT, "confirmed");
        Cases.check(consumed.await(60, TimeUnit.SECONDS), consumed.getCount() + " of " + COUNT + " were not consumed");
        Cases.equal(wrong.get(), 0, "consumed out of order");
        Cases.equal(producer.getLastPublishingId(), (long) COUNT - 1, "last publishing id");
        Cases.equal(environment.queryStreamStats(name).committedOffset(), (long) COUNT - 1, "last offset: nothing is there twice");
        producer.close();
        consumer.close();
      }
    }).run();
  }
}
