import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AlreadyClosedException;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** RabbitMQ's Java client. */
public final class AmqpClient {
  static Connection connection;

  public static void main(String[] arguments) throws Exception {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(System.getenv("AMQP").replaceAll("/$", ""));
    factory.setConnectionTimeout(5000);
    factory.setRequestedHeartbeat(10);
    factory.setAutomaticRecoveryEnabled(false);
    connection = factory.newConnection("interop-java");
    new Cases()
        .add("publish with confirms, consume with prefetch, acknowledge in groups", AmqpClient::confirms)
        .add("mandatory is returned with 312", AmqpClient::mandatory)
        .add("properties and headers of every type", AmqpClient::headers)
        .add("nack, requeue, dead letter with x-death", AmqpClient::deadLetters)
        .add("expiration per message and per queue", AmqpClient::ttl)
        .add("exchanges of four types", AmqpClient::exchanges)
        .add("tx: publishes and acknowledgements", AmqpClient::transactions)
        .add("maximum length with dead letters", AmqpClient::maxLength)
        .add("errors close the channel", AmqpClient::errors)
        .add("prefetch of the channel and of the consumer", AmqpClient::prefetch)
        .run();
  }

  static void confirms() throws Exception {
    try (Channel channel = connection.createChannel()) {
      String queue = declare(channel, Map.of());
      channel.confirmSelect();
      for (int i = 0; i < 500; i++) channel.basicPublish("", queue, persistent(), bytes("" + i));
      channel.waitForConfirmsOrDie(10_000);
      channel.basicQos(50);
      Collector collector = new Collector(channel);
      channel.basicConsume(queue, false, collector);
      for (int i = 0; i < 500; i++) {
        Received received = collector.next();
        Cases.equal(text(received.body), "" + i, "order");
        if (i % 25 == 24) channel.basicAck(received.envelope.getDeliveryTag(), true);
      }
      Cases.equal(channel.messageCount(queue), 0L, "left");
      Cases.equal(channel.consumerCount(queue), 1L, "consumers");
    }
  }

  static void mandatory() throws Exception {
    try (Channel channel = connection.createChannel()) {
      channel.confirmSelect();
      BlockingQueue<Integer> returns = new LinkedBlockingQueue<>();
      channel.addReturnListener(returned -> returns.add(returned.getReplyCode()));
      channel.basicPublish("", Cases.unique("nowhere"), true, persistent(), bytes("x"));
      channel.waitForConfirmsOrDie(10_000);
      Cases.equal(returns.poll(5, TimeUnit.SECONDS), 312, "reply code");
    }
  }

  static void headers() throws Exception {
    try (Channel channel = connection.createChannel()) {
      String queue = declare(channel, Map.of());
      Map<String, Object> headers = new HashMap<>();
      headers.put("boolean", true);
      headers.put("byte", (byte) -7);
      headers.put("short", (short) -300);
      headers.put("int", -70_000);
      headers.put("long", 1L << 40);
      headers.put("float", 1.5f);
      headers.put("double", 2.25);
      headers.put("decimal", new java.math.BigDecimal("3.14"));
      headers.put("bytes", new byte[] {0, -1});
      headers.put("date", new Date(1_700_000_000_000L));
      headers.put("null", null);
      headers.put("list", List.of(1, 2L));
      headers.put("map", Map.of("a", 1));
      AMQP.BasicProperties sent = new AMQP.BasicProperties("a/b", "gzip", headers, 2, 5, "corr", "reply", "60000", "id", new Date(1_700_000_001_000L), "type", null, "app", null);
      channel.basicPublish("", queue, sent, bytes("body"));
      AMQP.BasicProperties got = get(channel, queue, true).getProps();
      for (Map.Entry<String, Object> header : headers.entrySet()) {
        Object value = got.getHeaders().get(header.getKey());
        if (header.getValue() instanceof byte[] raw) Cases.check(java.util.Arrays.equals(raw, (byte[]) value), "bytes");
        else Cases.equal(value, header.getValue(), header.getKey());
      }
      Cases.equal(List.of(got.getContentType(), got.getContentEncoding(), got.getDeliveryMode(), got.getPriority(), got.getCorrelationId(), got.getReplyTo(), got.getExpiration(), got.getMessageId(), got.getTimestamp(), got.getType(), got.getAppId()),
          List.of("a/b", "gzip", 2, 5, "corr", "reply", "60000", "id", new Date(1_700_000_001_000L), "type", "app"), "properties");
    }
  }

  static void deadLetters() throws Exception {
    try (Channel channel = connection.createChannel()) {
      String dead = declare(channel, Map.of());
      String queue = declare(channel, Map.of("x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead));
      channel.basicPublish("", queue, persistent(), bytes("poison"));
      channel.basicNack(get(channel, queue, false).getEnvelope().getDeliveryTag(), false, true);
      GetResponse again = get(channel, queue, false);
      Cases.check(again.getEnvelope().isRedeliver(), "redelivered");
      channel.basicNack(again.getEnvelope().getDeliveryTag(), false, false);
      Map<String, Object> headers = get(channel, dead, true).getProps().getHeaders();
      @SuppressWarnings("unchecked")
      Map<String, Object> death = ((List<Map<String, Object>>) headers.get("x-death")).get(0);
      Cases.equal(death.get("reason").toString(), "rejected", "reason");
      Cases.equal(death.get("queue").toString(), queue, "queue");
      Cases.equal(death.get("count"), 1L, "count");
      Cases.check(death.get("time") instanceof Date, "time");
      Cases.equal(death.get("routing-keys").toString(), "[" + queue + "]", "routing keys");
    }
  }

  static void ttl() throws Exception {
    try (Channel channel = connection.createChannel()) {
      String dead = declare(channel, Map.of());
      String own = declare(channel, Map.of("x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead));
      channel.basicPublish("", own, new AMQP.BasicProperties.Builder().expiration("50").build(), bytes("own"));
      Cases.equal(text(get(channel, dead, true).getBody()), "own", "expired by its own time");
      String queue = declare(channel, Map.of("x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead, "x-message-ttl", 50));
      channel.basicPublish("", queue, persistent(), bytes("queue"));
      Cases.equal(text(get(channel, dead, true).getBody()), "queue", "expired by the queue's time");
    }
  }

  static void exchanges() throws Exception {
    try (Channel channel = connection.createChannel()) {
      for (String kind : List.of("direct", "fanout", "topic", "headers")) {
        String exchange = Cases.unique("java." + kind);
        channel.exchangeDeclare(exchange, kind, true, false, null);
        String queue = declare(channel, Map.of());
        channel.queueBind(queue, exchange, kind.equals("topic") ? "#.end" : "k", kind.equals("headers") ? Map.of("x-match", "all", "n", 1) : null);
        channel.basicPublish(exchange, kind.equals("topic") ? "any.words.end" : "k", new AMQP.BasicProperties.Builder().headers(Map.of("n", 1)).build(), bytes("hit"));
        if (!kind.equals("fanout")) channel.basicPublish(exchange, "end.not", new AMQP.BasicProperties.Builder().headers(Map.of("n", 2)).build(), bytes("miss"));
        Cases.equal(text(get(channel, queue, true).getBody()), "hit", kind);
        Cases.equal(channel.basicGet(queue, true), null, kind + " delivers no more");
        channel.exchangeDelete(exchange);
      }
    }
  }

  static void transactions() throws Exception {
    try (Channel channel = connection.createChannel(); Channel watcher = connection.createChannel()) {
      String queue = declare(channel, Map.of());
      channel.txSelect();
      channel.basicPublish("", queue, persistent(), bytes("one"));
      Cases.equal(watcher.basicGet(queue, true), null, "invisible before the commit");
      channel.txCommit();
      GetResponse got = get(channel, queue, false);
      channel.basicAck(got.getEnvelope().getDeliveryTag(), false);
      channel.txRollback();
      channel.basicNack(got.getEnvelope().getDeliveryTag(), false, true);
      channel.txCommit();
      Cases.equal(text(get(watcher, queue, true).getBody()), "one", "an acknowledgement rolled back");
    }
  }

  static void maxLength() throws Exception {
    try (Channel channel = connection.createChannel()) {
      String dead = declare(channel, Map.of());
      String queue = declare(channel, Map.of("x-max-length", 3, "x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead));
      for (int i = 0; i < 5; i++) channel.basicPublish("", queue, persistent(), bytes("" + i));
      Cases.equal(text(get(channel, dead, true).getBody()), "0", "the head is dropped first");
      Cases.equal(text(get(channel, dead, true).getBody()), "1", "then the next");
      Cases.equal(channel.messageCount(queue), 3L, "left");
    }
  }

  static void errors() throws Exception {
    expect(404, channel -> channel.queueDeclarePassive(Cases.unique("missing")));
    expect(404, channel -> channel.basicConsume(Cases.unique("missing"), new Collector(channel)));
    expect(406, channel -> {
      String queue = declare(channel, Map.of());
      channel.queueDeclare(queue, true, false, false, Map.of("x-max-length", 9));
    });
    expect(406, channel -> {
      channel.txSelect();
      channel.confirmSelect();
    });
  }

  static void prefetch() throws Exception {
    try (Channel channel = connection.createChannel()) {
      String queue = declare(channel, Map.of());
      for (int i = 0; i < 20; i++) channel.basicPublish("", queue, persistent(), bytes("" + i));
      channel.basicQos(3);
      Collector first = new Collector(channel);
      channel.basicConsume(queue, false, first);
      channel.basicQos(5);
      Collector second = new Collector(channel);
      channel.basicConsume(queue, false, second);
      List<Received> held = new ArrayList<>();
      for (int i = 0; i < 3; i++) held.add(first.next());
      for (int i = 0; i < 5; i++) second.next();
      Cases.equal(first.received.poll(200, TimeUnit.MILLISECONDS), null, "no fourth for the first");
      Cases.equal(second.received.poll(), null, "no sixth for the second");
      channel.basicAck(held.get(0).envelope.getDeliveryTag(), false);
      first.next();
    }
  }

  // ------------------------------------------------------------------------------------------------------------- helpers

  interface Provoke { void run(Channel channel) throws Exception; }

  static void expect(int code, Provoke provoke) throws Exception {
    Channel channel = connection.createChannel();
    try {
      provoke.run(channel);
      channel.basicQos(1);
    } catch (IOException | AlreadyClosedException error) {
      Throwable cause = error instanceof AlreadyClosedException ? error : error.getCause();
      AMQP.Channel.Close close = (AMQP.Channel.Close) ((ShutdownSignalException) cause).getReason();
      Cases.equal(close.getReplyCode(), code, close.getReplyText());
      return;
    }
    throw new AssertionError("no error " + code);
  }

  static final class Received {
    Envelope envelope;
    byte[] body;
  }

  static final class Collector extends DefaultConsumer {
    final BlockingQueue<Received> received = new LinkedBlockingQueue<>();

    Collector(Channel channel) { super(channel); }

    @Override
    public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body) {
      Received one = new Received();
      one.envelope = envelope;
      one.body = body;
      received.add(one);
    }

    Received next() throws InterruptedException {
      Received one = received.poll(10, TimeUnit.SECONDS);
      Cases.check(one != null, "no delivery within 10 s");
      return one;
    }
  }

  static AMQP.BasicProperties persistent() {
    return new AMQP.BasicProperties.Builder().deliveryMode(2).build();
  }

  static String declare(Channel channel, Map<String, Object> arguments) throws IOException {
    Map<String, Object> all = new HashMap<>(arguments);
    all.put("x-expires", 120_000);
    return channel.queueDeclare(Cases.unique("java"), true, false, false, all).getQueue();
  }

  static GetResponse get(Channel channel, String queue, boolean autoAck) throws Exception {
    long deadline = System.nanoTime() + 10_000_000_000L;
    while (System.nanoTime() < deadline) {
      GetResponse response = channel.basicGet(queue, autoAck);
      if (response != null) return response;
      Thread.sleep(10);
    }
    throw new AssertionError("nothing in " + queue);
  }

  static byte[] bytes(String text) { return text.getBytes(StandardCharsets.UTF_8); }

  static String text(byte[] bytes) { return new String(bytes, StandardCharsets.UTF_8); }
}
