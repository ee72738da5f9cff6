import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DeliverCallback;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentNavigableMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * What Spring AMQP's template and listener containers do on RabbitMQ's Java client: confirms and returns correlated with what was published, requests
 * over direct reply-to and over a temporary queue, and listeners that reject without requeue and retry by dead letters.
 */
public final class SpringStyle {
  static final String CORRELATION = "spring_returned_message_correlation";
  static Connection connection;

  public static void main(String[] arguments) throws Exception {
    connection = factory().newConnection("interop-spring-style");
    new Cases()
        .add("confirms and returns are correlated with what was published", SpringStyle::correlated)
        .add("a nack reaches the publisher of that message", SpringStyle::nack)
        .add("requests over direct reply-to, many at once", SpringStyle::directReplies)
        .add("requests over a temporary reply queue", SpringStyle::temporaryReplies)
        .add("a reply to nobody is returned", SpringStyle::lateReply)
        .add("a listener retries by a dead-letter queue and gives up", SpringStyle::retries)
        .add("passive declarations and counts, as the admin makes them", SpringStyle::admin)
        .run();
  }

  static ConnectionFactory factory() throws Exception {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(System.getenv("AMQP").replaceAll("/$", ""));
    factory.setConnectionTimeout(5000);
    factory.setAutomaticRecoveryEnabled(false);
    return factory;
  }

  /** Confirms by sequence number, as Spring's publisher-callback channel keeps them; a return comes before its confirm. */
  static final class Template {
    final Channel channel;
    final ConcurrentNavigableMap<Long, String> pending = new ConcurrentSkipListMap<>();
    final Map<String, CompletableFuture<Boolean>> confirms = new ConcurrentHashMap<>();
    final Map<String, Integer> returned = new ConcurrentHashMap<>();

    Template(Channel channel) throws IOException {
      this.channel = channel;
      channel.confirmSelect();
      channel.addConfirmListener((tag, multiple) -> done(tag, multiple, true), (tag, multiple) -> done(tag, multiple, false));
      channel.addReturnListener(
          message -> returned.put(message.getProperties().getHeaders().get(CORRELATION).toString(), message.getReplyCode()));
    }

    void done(long tag, boolean multiple, boolean positive) {
      Map<Long, String> which = multiple ? pending.headMap(tag, true) : pending.subMap(tag, true, tag, true);
      for (String id : which.values()) confirms.get(id).complete(positive);
      which.clear();
    }

    synchronized CompletableFuture<Boolean> send(String exchange, String key, String id) throws IOException {
      CompletableFuture<Boolean> confirm = new CompletableFuture<>();
      confirms.put(id, confirm);
      pending.put(channel.getNextPublishSeqNo(), id);
      AMQP.BasicProperties properties =
          new AMQP.BasicProperties.Builder().deliveryMode(2).contentType("text/plain").headers(Map.of(CORRELATION, id)).build();
      channel.basicPublish(exchange, key, true, properties, bytes(id));
      return confirm;
    }
  }

  static void correlated() throws Exception {
    try (Channel channel = connection.createChannel()) {
      Template template = new Template(channel);
      String queue = queue(channel, Map.of());
      for (int i = 0; i < 200; i++) template.send("", i % 10 == 0 ? "nowhere." + queue : queue, "m" + i);
      for (int i = 0; i < 200; i++) {
        Cases.equal(template.confirms.get("m" + i).get(10, TimeUnit.SECONDS), true, "m" + i);
        Cases.equal(template.returned.get("m" + i), i % 10 == 0 ? 312 : null, "return of m" + i);
      }
      Cases.equal(channel.messageCount(queue), 180L, "messages");
    }
  }

  static void nack() throws Exception {
    try (Channel channel = connection.createChannel()) {
      Template template = new Template(channel);
      String queue = queue(channel, Map.of("x-max-length", 2, "x-overflow", "reject-publish"));
      for (int i = 0; i < 4; i++) Cases.equal(template.send("", queue, "n" + i).get(10, TimeUnit.SECONDS), i < 2, "n" + i);
      Cases.equal(template.returned.size(), 0, "returned");
    }
  }

  /** Answers by upper case. */
  static String server(Channel channel) throws IOException {
    String requests = queue(channel, Map.of());
    channel.basicQos(10);
    DeliverCallback answer =
        (tag, request) -> {
          AMQP.BasicProperties properties =
              new AMQP.BasicProperties.Builder().correlationId(request.getProperties().getCorrelationId()).build();
          channel.basicPublish("", request.getProperties().getReplyTo(), properties, bytes(text(request.getBody()).toUpperCase()));
          channel.basicAck(request.getEnvelope().getDeliveryTag(), false);
        };
    channel.basicConsume(requests, false, answer, tag -> {});
    return requests;
  }

  static void ask(Channel channel, String requests, String replyTo, Map<String, CompletableFuture<String>> waiting) throws Exception {
    for (int i = 0; i < 100; i++) {
      waiting.put("c" + i, new CompletableFuture<>());
      AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder().correlationId("c" + i).replyTo(replyTo).build();
      channel.basicPublish("", requests, properties, bytes("q" + i));
    }
    for (int i = 0; i < 100; i++) Cases.equal(waiting.get("c" + i).get(10, TimeUnit.SECONDS), "Q" + i, "reply " + i);
  }

  static DeliverCallback completing(Map<String, CompletableFuture<String>> waiting) {
    return (tag, reply) -> waiting.get(reply.getProperties().getCorrelationId()).complete(text(reply.getBody()));
  }

  static void directReplies() throws Exception {
    try (Channel serving = connection.createChannel();
        Channel asking = connection.createChannel()) {
      Map<String, CompletableFuture<String>> waiting = new ConcurrentHashMap<>();
      asking.basicConsume("amq.rabbitmq.reply-to", true, completing(waiting), tag -> {});
      ask(asking, server(serving), "amq.rabbitmq.reply-to", waiting);
    }
  }

  static void temporaryReplies() throws Exception {
    try (Channel serving = connection.createChannel();
        Channel asking = connection.createChannel()) {
      Map<String, CompletableFuture<String>> waiting = new ConcurrentHashMap<>();
      String replies = asking.queueDeclare().getQueue();
      asking.basicConsume(replies, true, completing(waiting), tag -> {});
      ask(asking, server(serving), replies, waiting);
    }
  }

  static void lateReply() throws Exception {
    String address;
    try (Channel serving = connection.createChannel()) {
      CompletableFuture<String> replyTo = new CompletableFuture<>();
      String requests = queue(serving, Map.of());
      serving.basicConsume(requests, true, (tag, request) -> replyTo.complete(request.getProperties().getReplyTo()), tag -> {});
      try (Channel asking = connection.createChannel()) {
        asking.basicConsume("amq.rabbitmq.reply-to", true, (tag, reply) -> {}, tag -> {});
        AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder().replyTo("amq.rabbitmq.reply-to").build();
        asking.basicPublish("", requests, properties, bytes("x"));
        address = replyTo.get(10, TimeUnit.SECONDS);
        Cases.equal(serving.queueDeclarePassive(address).getConsumerCount(), 1, "the asker listens");
      }
      Template template = new Template(serving);
      Cases.equal(template.send("", address, "late").get(10, TimeUnit.SECONDS), true, "confirm");
      Cases.equal(template.returned.get("late"), 312, "return");
    }
  }

  static void retries() throws Exception {
    try (Channel channel = connection.createChannel()) {
      String parked = queue(channel, Map.of());
      String name = Cases.unique("listener");
      String waiting = queue(channel, Map.of("x-message-ttl", 50, "x-dead-letter-exchange", "", "x-dead-letter-routing-key", name));
      channel.queueDeclare(name, true, false, false, Map.of("x-dead-letter-exchange", "", "x-dead-letter-routing-key", waiting));
      AtomicInteger attempts = new AtomicInteger();
      DeliverCallback listener =
          (tag, message) -> {
            long tagOfMessage = message.getEnvelope().getDeliveryTag();
            attempts.incrementAndGet();
            if (deaths(message.getProperties(), name) < 3) channel.basicReject(tagOfMessage, false);
            else {
              channel.basicPublish("", parked, message.getProperties(), message.getBody());
              channel.basicAck(tagOfMessage, false);
            }
          };
      channel.basicConsume(name, false, listener, tag -> {});
      channel.basicPublish("", name, null, bytes("poison"));
      CountDownLatch arrived = new CountDownLatch(1);
      channel.basicConsume(parked, true, (tag, message) -> arrived.countDown(), tag -> {});
      Cases.equal(arrived.await(10, TimeUnit.SECONDS), true, "given up");
      Cases.equal(attempts.get(), 4, "attempts");
      channel.queueDelete(name);
    }
  }

  static long deaths(AMQP.BasicProperties properties, String queue) {
    Object deaths = properties.getHeaders() == null ? null : properties.getHeaders().get("x-death");
    if (!(deaths instanceof List<?> list)) return 0;
    for (Object entry : list)
      if (entry instanceof Map<?, ?> death && death.get("queue").toString().equals(queue)) return ((Number) death.get("count")).longValue();
    return 0;
  }

  static void admin() throws Exception {
    try (Channel channel = connection.createChannel()) {
      String queue = queue(channel, Map.of("x-queue-type", "quorum"));
      String exchange = Cases.unique("admin");
      channel.exchangeDeclare(exchange, "topic", true, true, Map.of());
      channel.queueBind(queue, exchange, "a.*");
      channel.basicPublish(exchange, "a.b", null, bytes("x"));
      AMQP.Queue.DeclareOk declared = channel.queueDeclarePassive(queue);
      Cases.equal(declared.getMessageCount(), 1, "messages");
      Cases.equal(channel.queuePurge(queue).getMessageCount(), 1, "purged");
      channel.queueUnbind(queue, exchange, "a.*");
      channel.queueDelete(queue);
      try (Channel other = connection.createChannel()) {
        other.exchangeDeclarePassive(exchange);
        throw new AssertionError("an exchange that deletes itself is still there without bindings");
      } catch (IOException expected) {
        Cases.equal(expected.getCause().getMessage().contains("404"), true, "404");
      }
    }
  }

  static String queue(Channel channel, Map<String, Object> arguments) throws IOException {
    String name = Cases.unique("spring");
    Map<String, Object> all = new HashMap<>(arguments);
    all.putIfAbsent("x-expires", 60_000);
    channel.queueDeclare(name, true, false, false, all);
    return name;
  }

  static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  static String text(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8);
  }
}
