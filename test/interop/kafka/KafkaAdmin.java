import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AccessControlEntryFilter;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ClusterAuthorizationException;
import org.apache.kafka.common.errors.DelegationTokenDisabledException;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.errors.ThrottlingQuotaExceededException;
import org.apache.kafka.common.errors.TopicAuthorizationException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.serialization.StringSerializer;

/** Apache Kafka's own administration client, as tools and consoles use it, against a broker with users. */
public final class KafkaAdmin {
  public static void main(String[] arguments) {
    new Cases()
        .add("the cluster as a console asks for it", KafkaAdmin::cluster)
        .add("topics: created with configs, described with rights, grown, deleted by id", KafkaAdmin::topics)
        .add("configs: sources and synonyms, lists appended to, refusals with their reason", KafkaAdmin::configs)
        .add("records deleted, offsets by each kind of place", KafkaAdmin::offsets)
        .add("access control: allowed, denied, found and deleted", KafkaAdmin::acls)
        .add("credentials made by the client log their user in", KafkaAdmin::scram)
        .add("quotas set, found and enforced", KafkaAdmin::quotas)
        .add("a quota of time keeps a producer silent", KafkaAdmin::quotaOfTime)
        .add("a quota of partitions made refuses, and the client tries again", KafkaAdmin::quotaOfMutations)
        .add("a quota of connections for an address", KafkaAdmin::quotaOfConnections)
        .add("elections, reassignments, log directories, quorum, features, tokens", KafkaAdmin::nodes)
        .run();
  }

  static Admin admin() {
    return Admin.create(KafkaSecurity.login("PLAIN", "admin", "admin-secret", true));
  }

  static Map<String, Object> alice() {
    return KafkaSecurity.login("PLAIN", "alice", "alice-secret", true);
  }

  static void cluster() throws Exception {
    try (Admin admin = admin()) {
      var cluster = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
      Cases.equal(cluster.nodes().get().size(), 1, "nodes");
      Cases.equal(cluster.controller().get().id(), cluster.nodes().get().iterator().next().id(), "controller");
      Cases.check(cluster.authorizedOperations().get().contains(AclOperation.ALTER), "an administrator may alter the cluster");
      ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
      Collection<ConfigEntry> entries = admin.describeConfigs(List.of(broker)).all().get().get(broker).entries();
      Cases.check(entries.stream().anyMatch(entry -> entry.name().equals("message.max.bytes")), "broker configs are shown");
      Cases.check(admin.listConfigResources().all().get().contains(broker), "the broker is a resource with configs");
      Cases.check(!admin.listGroups().all().isCompletedExceptionally(), "groups are listed");
      try (Admin user = Admin.create(alice())) {
        Cases.check(fails(ClusterAuthorizationException.class, user.describeConfigs(List.of(broker)).all()::get), "broker configs are not for everybody");
      }
    }
  }

  static void topics() throws Exception {
    String name = Cases.unique("admin.topics");
    try (Admin admin = admin()) {
      NewTopic topic = new NewTopic(name, Optional.of(2), Optional.empty()).configs(Map.of("retention.ms", "60000", "compression.type", "zstd"));
      var created = admin.createTopics(List.of(topic));
      Cases.equal(created.config(name).get().get("retention.ms").value(), "60000", "the config in the answer");
      Cases.equal(created.numPartitions(name).get(), 2, "partitions in the answer");
      TopicDescription described = admin.describeTopics(TopicCollection.ofTopicNames(List.of(name)), new DescribeTopicsOptions().includeAuthorizedOperations(true)).allTopicNames().get().get(name);
      Cases.check(described.authorizedOperations().contains(AclOperation.DELETE), "an administrator may delete it");
      Cases.equal(described.topicId(), created.topicId(name).get(), "topic id");
      admin.createPartitions(Map.of(name, NewPartitions.increaseTo(5))).all().get();
      Cases.equal(admin.describeTopics(TopicCollection.ofTopicIds(List.of(described.topicId()))).allTopicIds().get().get(described.topicId()).partitions().size(), 5, "partitions after growing");
      Cases.check(fails(InvalidTopicException.class, admin.createTopics(List.of(new NewTopic(name.replace('.', '_'), 1, (short) 1))).all()::get), "a name that collides is refused");
      admin.deleteTopics(TopicCollection.ofTopicIds(List.of(described.topicId()))).all().get();
      Cases.check(!admin.listTopics().names().get().contains(name), "it is gone");
    }
  }

  static void configs() throws Exception {
    String name = Cases.unique("admin.configs");
    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, name);
    try (Admin admin = admin()) {
      admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all().get();
      alter(admin, resource, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
      alter(admin, resource, "max.message.bytes", "2000000", AlterConfigOp.OpType.SET);
      var options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
      var config = admin.describeConfigs(List.of(resource), options).all().get().get(resource);
      Cases.equal(Set.of(config.get("cleanup.policy").value().split(",")), Set.of("delete", "compact"), "the list");
      ConfigEntry entry = config.get("max.message.bytes");
      Cases.equal(entry.source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
      Cases.equal(entry.synonyms().stream().map(ConfigEntry.ConfigSynonym::name).collect(Collectors.toList()), List.of("max.message.bytes", "message.max.bytes"), "synonyms");
      Cases.check(entry.documentation() != null && !entry.documentation().isEmpty(), "documentation");
      alter(admin, resource, "max.message.bytes", "", AlterConfigOp.OpType.DELETE);
      Cases.equal(admin.describeConfigs(List.of(resource)).all().get().get(resource).get("max.message.bytes").isDefault(), true, "default again");
      Cases.check(fails(InvalidConfigurationException.class, () -> alter(admin, resource, "min.insync.replicas", "2", AlterConfigOp.OpType.SET)), "what has one value only is refused");
    }
  }

  static void alter(Admin admin, ConfigResource resource, String name, String value, AlterConfigOp.OpType type) throws Exception {
    admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry(name, value), type)))).all().get();
  }

  static void offsets() throws Exception {
    String name = Cases.unique("admin.offsets");
    TopicPartition partition = new TopicPartition(name, 0);
    try (Admin admin = admin(); KafkaProducer<String, String> producer = producer(alice())) {
      admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all().get();
      long now = System.currentTimeMillis();
      for (int i = 0; i < 10; i++) producer.send(new ProducerRecord<>(name, 0, now + i, "k", "v" + i)).get();
      Cases.equal(admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(partition).get().lowWatermark(), 4L, "low watermark");
      Cases.equal(at(admin, partition, OffsetSpec.earliest()), 4L, "earliest");
      Cases.equal(at(admin, partition, OffsetSpec.latest()), 10L, "latest");
      Cases.equal(at(admin, partition, OffsetSpec.maxTimestamp()), 9L, "newest time");
      Cases.equal(at(admin, partition, OffsetSpec.forTimestamp(now + 6)), 6L, "by time");
      Cases.check(admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers().size() == 1, "who wrote");
    }
  }

  static long at(Admin admin, TopicPartition partition, OffsetSpec spec) throws Exception {
    return admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get().offset();
  }

  static void acls() throws Exception {
    String prefix = Cases.unique("admin.acl");
    String denied = prefix + ".denied";
    AclBinding deny = new AclBinding(new ResourcePattern(ResourceType.TOPIC, denied, PatternType.LITERAL), new AccessControlEntry("User:alice", "*", AclOperation.WRITE, AclPermissionType.DENY));
    AclBinding allow = new AclBinding(new ResourcePattern(ResourceType.TOPIC, prefix, PatternType.PREFIXED), new AccessControlEntry("User:*", "*", AclOperation.READ, AclPermissionType.ALLOW));
    AclBinding elsewhere = new AclBinding(deny.pattern(), new AccessControlEntry("User:alice", "10.0.0.1", AclOperation.WRITE, AclPermissionType.DENY));
    AclBinding here = new AclBinding(deny.pattern(), new AccessControlEntry("User:alice", "127.0.0.1", AclOperation.WRITE, AclPermissionType.DENY));
    AclBinding byName = new AclBinding(deny.pattern(), new AccessControlEntry("User:alice", "client.example", AclOperation.READ, AclPermissionType.ALLOW));
    try (Admin admin = admin(); Admin user = Admin.create(alice()); KafkaProducer<String, String> producer = producer(alice())) {
      admin.createTopics(List.of(new NewTopic(denied, 1, (short) 1))).all().get();
      producer.send(new ProducerRecord<>(denied, "v")).get();
      admin.createAcls(List.of(deny, allow)).all().get();
      Cases.check(fails(TopicAuthorizationException.class, producer.send(new ProducerRecord<>(denied, "v"))::get), "a denied write is refused");
      AclBindingFilter all = new AclBindingFilter(deny.pattern().toFilter(), new AccessControlEntry("User:alice", "*", AclOperation.WRITE, AclPermissionType.DENY).toFilter());
      Cases.equal(List.copyOf(admin.describeAcls(all).values().get()), List.of(deny), "found by its filter");
      Cases.check(fails(ClusterAuthorizationException.class, user.createAcls(List.of(allow)).all()::get), "only administrators make rules");
      Cases.equal(admin.deleteAcls(List.of(all)).all().get().size(), 1, "deleted");
      producer.send(new ProducerRecord<>(denied, "v")).get();
      admin.createAcls(List.of(elsewhere)).all().get();
      producer.send(new ProducerRecord<>(denied, "v")).get();
      admin.createAcls(List.of(here)).all().get();
      Cases.check(fails(TopicAuthorizationException.class, producer.send(new ProducerRecord<>(denied, "v"))::get), "a write from this host is refused");
      AclBindingFilter byHost = new AclBindingFilter(deny.pattern().toFilter(), new AccessControlEntryFilter(null, "10.0.0.1", AclOperation.ANY, AclPermissionType.ANY));
      Cases.equal(List.copyOf(admin.deleteAcls(List.of(byHost)).all().get()), List.of(elsewhere), "found by its host");
      Cases.equal(List.copyOf(admin.deleteAcls(List.of(here.toFilter())).all().get()), List.of(here), "the other one stayed");
      Cases.check(fails(InvalidRequestException.class, admin.createAcls(List.of(byName)).all()::get), "hosts by name are refused");
    }
  }

  static void scram() throws Exception {
    String user = Cases.unique("scram");
    var info = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096);
    try (Admin admin = admin()) {
      admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(user, info, "a secret"))).all().get();
      Cases.equal(admin.describeUserScramCredentials(List.of(user)).description(user).get().credentialInfos(), List.of(info), "described");
      Cases.check(admin.describeUserScramCredentials().users().get().contains("admin"), "listed");
      for (String mechanism : List.of("SCRAM-SHA-512", "PLAIN")) {
        try (Admin own = Admin.create(KafkaSecurity.login(mechanism, user, "a secret", true))) {
          own.listTopics().names().get();
        }
      }
      admin.alterUserScramCredentials(List.of(new UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512))).all().get();
      try (Admin own = Admin.create(KafkaSecurity.login("SCRAM-SHA-512", user, "a secret", true))) {
        Cases.check(fails(SaslAuthenticationException.class, own.listTopics().names()::get), "a deleted credential is refused");
      }
    }
  }

  static void quotas() throws Exception {
    String client = Cases.unique("metered");
    ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, client));
    String topic = Cases.unique("admin.quota");
    try (Admin admin = admin()) {
      admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
      admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 20_000.0))))).all().get();
      var filter = ClientQuotaFilter.containsOnly(List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.CLIENT_ID, client)));
      Cases.equal(admin.describeClientQuotas(filter).entities().get(), Map.of(entity, Map.of("producer_byte_rate", 20_000.0)), "described");
      Map<String, Object> settings = alice();
      settings.put("client.id", client);
      settings.put("linger.ms", 0);
      try (KafkaProducer<String, String> producer = producer(settings)) {
        String value = "v".repeat(15_000);
        for (int i = 0; i < 3; i++) producer.send(new ProducerRecord<>(topic, value)).get();
        double throttled = producer.metrics().entrySet().stream().filter(each -> each.getKey().name().equals("produce-throttle-time-max")).mapToDouble(each -> (double) each.getValue().metricValue()).max().orElse(0);
        Cases.check(throttled > 0, "the producer was throttled");
      }
      admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", null))))).all().get();
      Cases.check(admin.describeClientQuotas(filter).entities().get().isEmpty(), "removed");
    }
  }

  static void quota(Admin admin, ClientQuotaEntity entity, String key, Double value) throws Exception {
    admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op(key, value))))).all().get();
  }

  static void quotaOfTime() throws Exception {
    String client = Cases.unique("timed");
    ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, client));
    String topic = Cases.unique("admin.timed");
    Map<String, Object> settings = alice();
    settings.put("client.id", client);
    settings.put("linger.ms", 0);
    try (Admin admin = admin(); KafkaProducer<String, String> producer = producer(settings)) {
      admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
      quota(admin, entity, "request_percentage", 0.01);
      for (int i = 0; i < 2; i++) producer.send(new ProducerRecord<>(topic, "v".repeat(1_000))).get();
      double throttled = producer.metrics().entrySet().stream().filter(each -> each.getKey().name().equals("produce-throttle-time-max")).mapToDouble(each -> (double) each.getValue().metricValue()).max().orElse(0);
      quota(admin, entity, "request_percentage", null);
      Cases.check(throttled > 0, "the producer was throttled");
    }
  }

  static void quotaOfMutations() throws Exception {
    String client = Cases.unique("mutating");
    ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, client));
    Map<String, Object> settings = alice();
    settings.put("client.id", client);
    try (Admin admin = admin(); Admin mutating = Admin.create(settings)) {
      quota(admin, entity, "controller_mutation_rate", 1.0);
      NewTopic large = new NewTopic(Cases.unique("admin.mutated"), 12, (short) 1);
      NewTopic small = new NewTopic(Cases.unique("admin.mutated"), 1, (short) 1);
      var once = new CreateTopicsOptions().retryOnQuotaViolation(false);
      mutating.createTopics(List.of(large), once).all().get();
      Cases.check(fails(ThrottlingQuotaExceededException.class, mutating.createTopics(List.of(small), once).all()::get), "refused beyond the quota");
      mutating.createTopics(List.of(small)).all().get();
      quota(admin, entity, "controller_mutation_rate", null);
    }
  }

  static void quotaOfConnections() throws Exception {
    ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.IP, "10.11.12.13"));
    try (Admin admin = admin()) {
      quota(admin, entity, "connection_creation_rate", 2.0);
      var filter = ClientQuotaFilter.containsOnly(List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.IP, "10.11.12.13")));
      Cases.equal(admin.describeClientQuotas(filter).entities().get(), Map.of(entity, Map.of("connection_creation_rate", 2.0)), "described");
      quota(admin, entity, "connection_creation_rate", null);
      Cases.check(admin.describeClientQuotas(filter).entities().get().isEmpty(), "removed");
      Cases.check(fails(InvalidRequestException.class, admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1.0))))).all()::get), "an address has no byte rates");
    }
  }

  static void nodes() throws Exception {
    String topic = Cases.unique("admin.nodes");
    TopicPartition partition = new TopicPartition(topic, 0);
    try (Admin admin = admin()) {
      admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
      Cases.check(admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions().get().get(partition).get() instanceof ElectionNotNeededException, "no election is needed");
      Cases.check(admin.listPartitionReassignments().reassignments().get().isEmpty(), "nothing is moved");
      var directories = admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1);
      Cases.check(directories.values().stream().anyMatch(directory -> directory.replicaInfos().containsKey(partition)), "the partition is in a log directory");
      Cases.equal(admin.describeMetadataQuorum().quorumInfo().get().leaderId(), 1, "the quorum's leader");
      Cases.check(admin.describeFeatures().featureMetadata().get() != null, "features");
      Cases.check(fails(DelegationTokenDisabledException.class, admin.createDelegationToken().delegationToken()::get), "delegation tokens are disabled");
    }
  }

  static KafkaProducer<String, String> producer(Map<String, Object> settings) {
    return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
  }

  interface Action { void run() throws Exception; }

  static boolean fails(Class<? extends Exception> expected, Action action) throws Exception {
    try {
      action.run();
      return false;
    } catch (ExecutionException cause) {
      if (expected.isInstance(cause.getCause())) return true;
      throw cause;
    }
  }
}
