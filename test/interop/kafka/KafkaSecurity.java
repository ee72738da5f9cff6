import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Apache Kafka's Java client with TLS, certificates and SASL, against a broker with users. */
public final class KafkaSecurity {
  static final String SERVER = System.getenv("KAFKA");
  static final String FOLDER = System.getenv("TLS");

  public static void main(String[] arguments) {
    Cases cases = new Cases();
    for (String mechanism : List.of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")) {
      cases.add(mechanism + " over TLS", () -> roundTrip(login(mechanism, "alice", "alice-secret", true)));
    }
    cases.add("SCRAM in plain text on the same port", () -> roundTrip(login("SCRAM-SHA-256", "alice", "alice-secret", false)))
        .add("a certificate as the login", () -> roundTrip(certificate("alice")))
        .add("a wrong password is refused", KafkaSecurity::wrongPassword)
        .run();
  }

  static void roundTrip(Map<String, Object> security) throws Exception {
    String topic = Cases.unique("java.secured");
    try (Admin admin = Admin.create(security)) {
      admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
    }
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(security, new StringSerializer(), new StringSerializer())) {
      producer.send(new ProducerRecord<>(topic, "key", "hello")).get();
    }
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(security, new StringDeserializer(), new StringDeserializer())) {
      TopicPartition partition = new TopicPartition(topic, 0);
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      for (;;) {
        var records = consumer.poll(Duration.ofMillis(200));
        if (records.isEmpty()) continue;
        Cases.equal(records.iterator().next().value(), "hello", "value");
        return;
      }
    }
  }

  static void wrongPassword() throws Exception {
    try (Admin admin = Admin.create(login("PLAIN", "alice", "wrong", true))) {
      admin.listTopics().names().get();
      throw new AssertionError("a wrong password was accepted");
    } catch (ExecutionException cause) {
      Cases.check(cause.getCause() instanceof SaslAuthenticationException, "a login error, not " + cause.getCause());
    }
  }

  static Map<String, Object> login(String mechanism, String user, String password, boolean tls) {
    Map<String, Object> settings = base(tls ? "SASL_SSL" : "SASL_PLAINTEXT");
    String module = mechanism.equals("PLAIN") ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
    settings.put("sasl.mechanism", mechanism);
    settings.put("sasl.jaas.config", "org.apache.kafka.common.security." + module + " required username=\"" + user + "\" password=\"" + password + "\";");
    return settings;
  }

  static Map<String, Object> certificate(String name) throws Exception {
    Map<String, Object> settings = base("SSL");
    settings.put("ssl.keystore.type", "PEM");
    settings.put("ssl.keystore.certificate.chain", Files.readString(Path.of(FOLDER, name + ".crt"), StandardCharsets.UTF_8));
    settings.put("ssl.keystore.key", Files.readString(Path.of(FOLDER, name + ".key"), StandardCharsets.UTF_8));
    return settings;
  }

  static Map<String, Object> base(String protocol) {
    Map<String, Object> settings = new HashMap<>();
    settings.put("bootstrap.servers", SERVER);
    settings.put("security.protocol", protocol);
    settings.put("ssl.truststore.type", "PEM");
    settings.put("ssl.truststore.location", FOLDER + "/root.crt");
    return settings;
  }
}
