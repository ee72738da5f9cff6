import com.rabbitmq.stream.AuthenticationFailureException;
import com.rabbitmq.stream.Consumer;
import com.rabbitmq.stream.Environment;
import com.rabbitmq.stream.EnvironmentBuilder;
import com.rabbitmq.stream.Message;
import com.rabbitmq.stream.OffsetSpecification;
import com.rabbitmq.stream.Producer;
import com.rabbitmq.stream.sasl.DefaultSaslConfiguration;
import io.netty.handler.ssl.SslContextBuilder;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** RabbitMQ's Java stream client over TLS: passwords, and a certificate with the mechanism EXTERNAL. */
public final class StreamSecurity {
  static final String FOLDER = System.getenv("TLS");

  public static void main(String[] args) {
    new Cases()
        .add("a password over TLS", () -> roundTrip(builder(null).username("alice").password("alice-secret")))
        .add("a certificate with EXTERNAL", () -> roundTrip(external(builder("alice"))))
        .add("a wrong password is refused", () -> refused(builder(null).username("alice").password("wrong")))
        .add("EXTERNAL without a certificate is refused", () -> refused(external(builder(null))))
        .run();
  }

  /** `certificate`: the client's own; null: none. */
  static EnvironmentBuilder builder(String certificate) throws Exception {
    SslContextBuilder tls = SslContextBuilder.forClient().trustManager(new File(FOLDER, "root.crt"));
    if (certificate != null) tls.keyManager(new File(FOLDER, certificate + ".crt"), new File(FOLDER, certificate + ".key"));
    String[] server = System.getenv("STREAM").split(":");
    return Environment.builder().host(server[0]).port(Integer.parseInt(server[1])).tls().sslContext(tls.build()).environmentBuilder();
  }

  static EnvironmentBuilder external(EnvironmentBuilder builder) {
    return builder.saslConfiguration(DefaultSaslConfiguration.EXTERNAL);
  }

  static void roundTrip(EnvironmentBuilder builder) throws Exception {
    try (Environment environment = builder.build()) {
      String name = Cases.unique("secured");
      environment.streamCreator().stream(name).create();
      try (Producer producer = environment.producerBuilder().stream(name).build()) {
        CountDownLatch confirmed = new CountDownLatch(1);
        Message message = producer.messageBuilder().addData("hello".getBytes(StandardCharsets.UTF_8)).build();
        producer.send(message, status -> { if (status.isConfirmed()) confirmed.countDown(); });
        Cases.check(confirmed.await(15, TimeUnit.SECONDS), "the confirm is missing");
      }
      BlockingQueue<Message> came = new LinkedBlockingQueue<>();
      try (Consumer consumer = environment.consumerBuilder().stream(name).offset(OffsetSpecification.first())
          .messageHandler((context, message) -> came.add(message)).build()) {
        Message message = came.poll(15, TimeUnit.SECONDS);
        Cases.check(message != null, "no message came");
        Cases.equal(new String(message.getBodyAsBinary(), StandardCharsets.UTF_8), "hello", "body");
      }
    }
  }

  static void refused(EnvironmentBuilder builder) throws Exception {
    try (Environment environment = builder.build()) {
      environment.streamExists("any");
      throw new AssertionError("the login was accepted");
    } catch (AuthenticationFailureException | IllegalStateException expected) {
      // The latter where the server does not offer the mechanism.
      Cases.check(String.valueOf(expected).matches("(?s).*(AUTHENTICATION_FAILURE|SASL mechanism|password).*"), String.valueOf(expected));
    }
  }
}
