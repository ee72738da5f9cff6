import com.rabbitmq.stream.Consumer;
import com.rabbitmq.stream.Environment;
import com.rabbitmq.stream.Message;
import com.rabbitmq.stream.MessageBuilder;
import com.rabbitmq.stream.OffsetSpecification;
import com.rabbitmq.stream.Producer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.qpid.proton.amqp.Binary;

/** The matrix's stream side: one command a line, one line of JSON back. stream.ts says what of it is what. */
public final class StreamMatrix {
  static Environment environment;

  public static void main(String[] args) throws Exception {
    environment = StreamClient.connect();
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String[] words = line.split(" ");
      String answer;
      try {
        answer = run(words);
      } catch (Throwable cause) {
        answer = "{\"error\":" + quoted(String.valueOf(cause)) + "}";
      }
      System.out.println(answer);
    }
    System.exit(0);
  }

  static String run(String[] words) throws Exception {
    switch (words[0]) {
      case "declare":
        environment.streamCreator().stream(words[1]).create();
        return "{}";
      case "produce":
        send(words[1], producer -> message(producer.messageBuilder()));
        return "{}";
      case "consume":
        return shown(first(words[1]));
      case "forward":
        Message message = first(words[1]);
        send(words[2], producer -> message);
        return "{}";
      default:
        throw new IllegalArgumentException(words[0]);
    }
  }

  static void send(String stream, java.util.function.Function<Producer, Message> make) throws Exception {
    try (Producer producer = environment.producerBuilder().stream(stream).build()) {
      CountDownLatch confirmed = new CountDownLatch(1);
      producer.send(make.apply(producer), status -> { if (status.isConfirmed()) confirmed.countDown(); });
      Cases.check(confirmed.await(15, TimeUnit.SECONDS), "the confirm is missing");
    }
  }

  /** As message.ts has it; what this client's builder cannot write is left out. */
  static Message message(MessageBuilder builder) {
    Map<String, Object> spare = new LinkedHashMap<>();
    spare.put("key", new byte[] {0x6b, 0, (byte) 0xff});
    spare.put("appId", "matrix");
    return builder.addData("{\"matrix\":\"größe\"}".getBytes(StandardCharsets.UTF_8))
        .properties().messageId("message-1").correlationId("correlation-1").replyTo("replies")
        .contentType("application/json").contentEncoding("identity").creationTime(1_700_000_123_000L).messageBuilder()
        .applicationProperties().entry("h-bool", true).entry("h-i8", (byte) -5).entry("h-i16", (short) -300).entry("h-i32", -70_000)
        .entry("h-i64", 1L << 40).entry("h-f32", 1.5f).entry("h-f64", 2.25).entryTimestamp("h-timestamp", 1_700_000_000_000L)
        .entry("h-string", "grüße").entry("h-bytes", new byte[] {0, -1, 7}).messageBuilder()
        .messageAnnotations().entry("x-basic-type", "order.created").entry("x-opt-anymq", spare).messageBuilder()
        .build();
  }

  static Message first(String stream) throws Exception {
    BlockingQueue<Message> came = new LinkedBlockingQueue<>();
    try (Consumer consumer = environment.consumerBuilder().stream(stream).offset(OffsetSpecification.first())
        .messageHandler((context, message) -> came.add(message.copy())).build()) {
      Message message = came.poll(15, TimeUnit.SECONDS);
      Cases.check(message != null, "no message came");
      return message;
    }
  }

  static String shown(Message message) {
    Map<String, Object> shown = new LinkedHashMap<>();
    shown.put("body", message.getBodyAsBinary());
    if (message.getProperties() != null) {
      shown.put("message-id", message.getProperties().getMessageId());
      shown.put("correlation-id", message.getProperties().getCorrelationId());
      shown.put("reply-to", message.getProperties().getReplyTo());
      shown.put("content-type", message.getProperties().getContentType());
      shown.put("content-encoding", message.getProperties().getContentEncoding());
      shown.put("timestamp", message.getProperties().getCreationTime());
    }
    shown.put("headers", message.getApplicationProperties());
    shown.put("annotations", message.getMessageAnnotations());
    return json(shown);
  }

  /** A value with the name of its type; what has no type below is shown by name alone. */
  static String json(Object value) {
    if (value == null) return "null";
    if (value instanceof Map<?, ?> map) {
      StringBuilder text = new StringBuilder("{\"type\":\"map\",\"value\":{");
      String comma = "";
      for (Map.Entry<?, ?> entry : map.entrySet()) {
        text.append(comma).append(quoted(String.valueOf(entry.getKey()))).append(':').append(json(entry.getValue()));
        comma = ",";
      }
      return text.append("}}").toString();
    }
    if (value instanceof Binary binary) {
      byte[] bytes = new byte[binary.getLength()];
      System.arraycopy(binary.getArray(), binary.getArrayOffset(), bytes, 0, bytes.length);
      return json(bytes);
    }
    if (value instanceof byte[] bytes) return typed("bytes", Base64.getEncoder().encodeToString(bytes));
    if (value instanceof Boolean) return typed("bool", value);
    if (value instanceof Float || value instanceof Double) return typed("float", value);
    if (value instanceof Number) return typed("integer", value);
    if (value instanceof Date date) return typed("timestamp", date.getTime());
    if (value instanceof CharSequence || value instanceof org.apache.qpid.proton.amqp.Symbol) return typed("string", value);
    return typed(value.getClass().getSimpleName(), "");
  }

  static String typed(String type, Object value) {
    return "{\"type\":" + quoted(type) + ",\"value\":" + quoted(String.valueOf(value)) + "}";
  }

  static String quoted(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    for (char each : text.toCharArray()) {
      if (each == '"' || each == '\\') quoted.append('\\').append(each);
      else if (each < ' ') quoted.append(String.format("\\u%04x", (int) each));
      else quoted.append(each);
    }
    return quoted.append('"').toString();
  }
}
