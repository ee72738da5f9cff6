import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.quota.ClientQuotaFilter;

/** What web consoles for Kafka (kafka-ui, AKHQ and their like) ask: the pages of a cluster, its brokers, topics, messages and groups, and their buttons. */
public final class KafkaConsole {
  public static void main(String[] arguments) {
    new Cases()
        .add("the cluster's page: nodes, version, features, what there is", KafkaConsole::cluster)
        .add("the broker's page: configs and directories; changing a config that is fixed is refused", KafkaConsole::brokers)
        .add("the topics' page: partitions, configs and sizes of all at once, changed, grown, emptied, made anew", KafkaConsole::topics)
        .add("the messages' page: from the beginning, the end, an offset and a time", KafkaConsole::messages)
        .add("the groups' page: states, members, lag, offsets moved and deleted", KafkaConsole::groups)
        .run();
  }

  static Admin admin() {
    return Admin.create(Map.of("bootstrap.servers", KafkaClients.SERVER, "client.id", "console", "request.timeout.ms", "10000"));
  }

  static void cluster() throws Exception {
    try (Admin admin = admin()) {
      var cluster = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
      Collection<Node> nodes = cluster.nodes().get();
      Cases.equal(nodes.size(), 1, "nodes");
      Cases.equal(cluster.controller().get(), nodes.iterator().next(), "controller");
      Cases.check(!cluster.clusterId().get().isEmpty(), "the cluster has an id");
      // A console takes the version from here, and which of its pages to show from who may do what.
      Cases.check(admin.describeFeatures().featureMetadata().get().finalizedFeatures().get("metadata.version").maxVersionLevel() >= 20, "metadata.version");
      try {
        admin.describeAcls(AclBindingFilter.ANY).values().get();
        throw new AssertionError("rules without an authorizer");
      } catch (ExecutionException cause) {
        Cases.check(cause.getCause() instanceof SecurityDisabledException, "said so: " + cause.getCause());
      }
      admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get();
      admin.describeUserScramCredentials().all().get();
      admin.listTransactions().all().get();
      Cases.check(admin.describeMetadataQuorum().quorumInfo().get().voters().size() == 1, "one voter");
    }
  }

  static void brokers() throws Exception {
    try (Admin admin = admin()) {
      int id = admin.describeCluster().nodes().get().iterator().next().id();
      ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, String.valueOf(id));
      var config = admin.describeConfigs(List.of(broker), new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all().get().get(broker);
      Cases.equal(config.get("delete.topic.enable").value(), "true", "the button that deletes topics is shown");
      for (ConfigEntry entry : config.entries()) Cases.check(entry.value() != null || entry.isSensitive() || entry.type() != null, "a value of " + entry.name());
      for (String fixed : List.of("node.id", "broker.id")) {
        var set = List.of(new AlterConfigOp(new ConfigEntry(fixed, "7"), AlterConfigOp.OpType.SET));
        refused(InvalidRequestException.class, admin.incrementalAlterConfigs(Map.of(broker, set)).all()::get);
      }
      var directories = admin.describeLogDirs(List.of(id)).allDescriptions().get().get(id);
      Cases.equal(directories.size(), 1, "log directories");
    }
  }

  static void topics() throws Exception {
    String name = Cases.unique("console");
    try (Admin admin = admin()) {
      admin.createTopics(List.of(new NewTopic(name, Optional.of(2), Optional.empty()).configs(Map.of("retention.ms", "60000")))).all().get();
      KafkaClients.produce(name, 40);
      Set<String> names = admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get();
      Map<String, TopicDescription> described = admin.describeTopics(names, new DescribeTopicsOptions().includeAuthorizedOperations(true)).allTopicNames().get();
      Cases.equal(described.get(name).partitions().size(), 2, "partitions");
      Cases.equal(described.get(name).partitions().get(0).isr().size(), 1, "replicas in step");
      List<ConfigResource> resources = names.stream().map(each -> new ConfigResource(ConfigResource.Type.TOPIC, each)).collect(Collectors.toList());
      var configs = admin.describeConfigs(resources, new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all().get();
      Cases.equal(configs.size(), names.size(), "configs of all topics");
      var own = new ConfigResource(ConfigResource.Type.TOPIC, name);
      Cases.equal(configs.get(own).get("retention.ms").source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "what was set");
      List<TopicPartition> partitions = List.of(new TopicPartition(name, 0), new TopicPartition(name, 1));
      Cases.equal(sum(ends(admin, partitions, OffsetSpec.latest())) - sum(ends(admin, partitions, OffsetSpec.earliest())), 40L, "messages");
      int id = admin.describeCluster().nodes().get().iterator().next().id();
      var replicas = admin.describeLogDirs(List.of(id)).allDescriptions().get().get(id).values().iterator().next().replicaInfos();
      Cases.check(replicas.get(partitions.get(0)).size() + replicas.get(partitions.get(1)).size() > 0, "bytes");
      admin.incrementalAlterConfigs(Map.of(own, List.of(
          new AlterConfigOp(new ConfigEntry("retention.ms", null), AlterConfigOp.OpType.DELETE),
          new AlterConfigOp(new ConfigEntry("retention.bytes", "1000000"), AlterConfigOp.OpType.SET)))).all().get();
      until("the changed config", () -> {
        var changed = admin.describeConfigs(List.of(own)).all().get().get(own);
        return changed.get("retention.bytes").value().equals("1000000") && changed.get("retention.ms").isDefault();
      });
      admin.createPartitions(Map.of(name, NewPartitions.increaseTo(3))).all().get();
      until("three partitions", () -> admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().size() == 3);
      // The factor of replication is changed by moving each partition, here to where it is.
      admin.alterPartitionReassignments(Map.of(partitions.get(0), Optional.of(new NewPartitionReassignment(List.of(id))))).all().get();
      Cases.check(admin.listPartitionReassignments().reassignments().get().isEmpty(), "nothing moves");
      Map<TopicPartition, RecordsToDelete> all = new HashMap<>();
      ends(admin, partitions, OffsetSpec.latest()).forEach((partition, end) -> all.put(partition, RecordsToDelete.beforeOffset(end)));
      admin.deleteRecords(all).all().get();
      until("no messages", () -> ends(admin, partitions, OffsetSpec.latest()).equals(ends(admin, partitions, OffsetSpec.earliest())));
      admin.deleteTopics(List.of(name)).all().get();
      until("made anew", () -> {
        try {
          admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all().get();
          return true;
        } catch (ExecutionException cause) {
          if (cause.getCause() instanceof TopicExistsException) return false;
          throw cause;
        }
      });
    }
  }

  static void messages() throws Exception {
    String name = Cases.unique("console.messages");
    try (Admin admin = admin(); KafkaConsumer<byte[], byte[]> consumer = KafkaClients.consumer(null, Map.of("max.poll.records", "7"))) {
      admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all().get();
      KafkaClients.produce(name, 30);
      TopicPartition partition = new TopicPartition(name, 0);
      consumer.assign(List.of(partition));
      Cases.equal(consumer.beginningOffsets(List.of(partition)), Map.of(partition, 0L), "beginning");
      Cases.equal(consumer.endOffsets(List.of(partition)), Map.of(partition, 30L), "end");
      consumer.seekToBeginning(List.of(partition));
      List<Long> times = new ArrayList<>();
      while (times.size() < 30) consumer.poll(Duration.ofMillis(200)).forEach(record -> times.add(record.timestamp()));
      consumer.seek(partition, 25);
      Cases.equal(consumer.poll(Duration.ofSeconds(5)).iterator().next().offset(), 25L, "from an offset");
      long found = consumer.offsetsForTimes(Map.of(partition, times.get(12))).get(partition).offset();
      Cases.check(found <= 12 && times.get((int) found).equals(times.get(12)), "from a time: " + found);
      consumer.seekToEnd(List.of(partition));
      Cases.equal(consumer.position(partition), 30L, "from the end");
    }
  }

  static void groups() throws Exception {
    String name = Cases.unique("console.groups");
    String group = Cases.unique("console.g");
    TopicPartition partition = new TopicPartition(name, 0);
    try (Admin admin = admin()) {
      admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all().get();
      KafkaClients.produce(name, 30);
      try (KafkaConsumer<byte[], byte[]> consumer = KafkaClients.consumer(group, Map.of())) {
        consumer.subscribe(List.of(name));
        int seen = 0;
        while (seen < 30) seen += consumer.poll(Duration.ofMillis(200)).count();
        consumer.commitSync(Map.of(partition, new OffsetAndMetadata(20)));
        Cases.check(admin.listGroups().all().get().stream().map(GroupListing::groupId).anyMatch(group::equals), "listed");
        ConsumerGroupDescription described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        Cases.equal(described.groupState(), GroupState.STABLE, "state");
        Cases.equal(described.members().iterator().next().assignment().topicPartitions(), Set.of(partition), "who reads what");
        Cases.equal(30 - committed(admin, group, partition), 10L, "lag");
      }
      until("an empty group", () -> admin.describeConsumerGroups(List.of(group)).all().get().get(group).groupState() == GroupState.EMPTY);
      admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(5))).all().get();
      Cases.equal(committed(admin, group, partition), 5L, "moved");
      admin.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get();
      Cases.check(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(partition) == null, "deleted");
      admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(5))).all().get();
      admin.deleteConsumerGroups(List.of(group)).all().get();
      Cases.check(admin.listGroups().all().get().stream().map(GroupListing::groupId).noneMatch(group::equals), "gone");
    }
  }

  static long committed(Admin admin, String group, TopicPartition partition) throws Exception {
    return admin.listConsumerGroupOffsets(Map.of(group, new ListConsumerGroupOffsetsSpec())).partitionsToOffsetAndMetadata(group).get().get(partition).offset();
  }

  static Map<TopicPartition, Long> ends(Admin admin, List<TopicPartition> partitions, OffsetSpec spec) throws Exception {
    Map<TopicPartition, Long> found = new HashMap<>();
    Map<TopicPartition, OffsetSpec> asked = partitions.stream().collect(Collectors.toMap(each -> each, each -> spec));
    admin.listOffsets(asked).all().get().forEach((partition, at) -> found.put(partition, at.offset()));
    return found;
  }

  static long sum(Map<TopicPartition, Long> offsets) {
    return offsets.values().stream().mapToLong(Long::longValue).sum();
  }

  interface Condition { boolean holds() throws Exception; }

  /** A cluster of several nodes answers before each of them knows. */
  static void until(String what, Condition condition) throws Exception {
    long deadline = System.nanoTime() + 15_000_000_000L;
    while (!condition.holds()) {
      Cases.check(System.nanoTime() < deadline, what + ": not in time");
      Thread.sleep(10);
    }
  }

  static void refused(Class<? extends Exception> expected, KafkaAdmin.Action action) throws Exception {
    Cases.check(KafkaAdmin.fails(expected, action), "it was not refused");
  }
}
