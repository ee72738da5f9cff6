import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;

/** Apache Kafka's own consumer in groups, by the classic protocol and by the consumer protocol (KIP-848). */
public final class KafkaGroups {
  public static void main(String[] arguments) {
    Cases cases = new Cases();
    for (String protocol : List.of("classic", "consumer")) {
      cases.add(protocol + ": members share the partitions, take over from who leaves, and read everything once", () -> share(protocol))
          .add(protocol + ": a static member that restarts has what it had, and nobody else notices", () -> staticMember(protocol))
          .add(protocol + ": a pattern finds topics that are there and topics that come", () -> pattern(protocol))
          .add(protocol + ": offsets committed by a member are where the next goes on", () -> resume(protocol));
    }
    cases.add("classic: a cooperative rebalance takes away only what moves", KafkaGroups::cooperative)
        .add("consumer: the range assignor when members ask for it", KafkaGroups::range)
        .add("a group migrates from the classic protocol to the consumer protocol and back", KafkaGroups::migrate)
        .add("admin lists, describes and deletes groups, and changes and deletes their offsets", KafkaGroups::admin)
        .run();
  }

  // ---------------------------------------------------------------------------------------------------------------- cases

  static void share(String protocol) throws Exception {
    String topic = KafkaClients.create(Cases.unique("groups.share"), 6);
    String group = Cases.unique("groups");
    try (Member first = new Member(protocol, group, topic)) {
      first.until(6);
      try (Member second = new Member(protocol, group, topic); Member third = new Member(protocol, group, topic)) {
        together(List.of(first, second, third), 2);
        KafkaClients.produce(topic, 300);
        Set<String> values = new HashSet<>();
        int records = 0;
        while (values.size() < 300) {
          for (Member member : List.of(first, second, third)) {
            for (var record : member.consumer.poll(Duration.ofMillis(20))) {
              values.add(KafkaClients.text(record.value()));
              records++;
            }
          }
        }
        Cases.equal(records, 300, "records, each once");
        for (Member member : List.of(first, second, third)) member.consumer.commitSync();
      }
      first.until(6);
    }
  }

  static void staticMember(String protocol) throws Exception {
    String topic = KafkaClients.create(Cases.unique("groups.static"), 4);
    String group = Cases.unique("groups");
    try (Member other = new Member(protocol, group, topic, "group.instance.id", "other")) {
      Set<TopicPartition> had;
      Member restarting = new Member(protocol, group, topic, "group.instance.id", "restarting");
      together(List.of(other, restarting), 2);
      had = Set.copyOf(restarting.consumer.assignment());
      int before = other.changes;
      restarting.close();
      try (Member again = new Member(protocol, group, topic, "group.instance.id", "restarting")) {
        while (again.consumer.assignment().size() < 2) {
          again.consumer.poll(Duration.ofMillis(50));
          other.consumer.poll(Duration.ofMillis(50));
        }
        Cases.equal(Set.copyOf(again.consumer.assignment()), had, "partitions after the restart");
        for (int i = 0; i < 10; i++) other.consumer.poll(Duration.ofMillis(50));
        Cases.equal(other.changes, before, "rebalances that the other saw");
      }
    }
  }

  static void pattern(String protocol) throws Exception {
    String prefix = Cases.unique("groups.pattern");
    KafkaClients.create(prefix + ".a", 1);
    KafkaClients.create("not." + prefix, 1);
    try (Member member = new Member(protocol, Cases.unique("groups"), null, "metadata.max.age.ms", "500")) {
      if (protocol.equals("classic")) member.consumer.subscribe(Pattern.compile(Pattern.quote(prefix) + "\\..*"));
      else member.consumer.subscribe(new SubscriptionPattern(prefix.replace(".", "\\.") + "\\..*"));
      member.until(1);
      KafkaClients.create(prefix + ".b", 2);
      member.until(3);
      Cases.check(member.consumer.assignment().stream().allMatch(partition -> partition.topic().startsWith(prefix)), "only topics that match");
    }
  }

  static void resume(String protocol) throws Exception {
    String topic = KafkaClients.create(Cases.unique("groups.resume"), 1);
    String group = Cases.unique("groups");
    KafkaClients.produce(topic, 100);
    try (Member first = new Member(protocol, group, topic, "max.poll.records", "30")) {
      int got = 0;
      while (got < 30) got += first.consumer.poll(Duration.ofMillis(100)).count();
      first.consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(got, "so far")));
    }
    try (Member second = new Member(protocol, group, topic)) {
      List<Long> offsets = new ArrayList<>();
      while (offsets.size() < 70) second.consumer.poll(Duration.ofMillis(100)).forEach(record -> offsets.add(record.offset()));
      Cases.equal(offsets.get(0), 30L, "the first offset");
      Cases.equal(second.consumer.committed(Set.of(new TopicPartition(topic, 0))).get(new TopicPartition(topic, 0)).metadata(), "so far", "metadata");
      second.consumer.commitSync();
    }
  }

  static void cooperative() throws Exception {
    String topic = KafkaClients.create(Cases.unique("groups.cooperative"), 6);
    String group = Cases.unique("groups");
    String[] options = {"partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"};
    try (Member first = new Member("classic", group, topic, options)) {
      first.until(6);
      try (Member second = new Member("classic", group, topic, options)) {
        together(List.of(first, second), 3);
        Cases.equal(first.revoked, 3, "partitions taken from the first");
      }
    }
  }

  static void range() throws Exception {
    String topic = KafkaClients.create(Cases.unique("groups.range"), 4);
    String group = Cases.unique("groups");
    String[] options = {"group.remote.assignor", "range"};
    try (Member first = new Member("consumer", group, topic, options); Member second = new Member("consumer", group, topic, options); Admin admin = KafkaClients.admin()) {
      together(List.of(first, second), 2);
      Set<Integer> partitions = new HashSet<>();
      first.consumer.assignment().forEach(partition -> partitions.add(partition.partition()));
      Cases.check(partitions.equals(Set.of(0, 1)) || partitions.equals(Set.of(2, 3)), "contiguous: " + partitions);
      Cases.equal(admin.describeConsumerGroups(List.of(group)).all().get().get(group).partitionAssignor(), "range", "assignor");
    }
  }

  static void migrate() throws Exception {
    String topic = KafkaClients.create(Cases.unique("groups.migrate"), 4);
    String group = Cases.unique("groups");
    try (Admin admin = KafkaClients.admin()) {
      Member old = new Member("classic", group, topic);
      old.until(4);
      Cases.equal(describe(admin, group).type(), GroupType.CLASSIC, "type before");
      Member fresh = new Member("consumer", group, topic);
      together(List.of(old, fresh), 2);
      Cases.equal(describe(admin, group).type(), GroupType.CONSUMER, "type while both are in");
      KafkaClients.produce(topic, 100);
      Set<String> values = new HashSet<>();
      while (values.size() < 100) {
        for (Member member : List.of(old, fresh)) {
          member.consumer.poll(Duration.ofMillis(20)).forEach(record -> values.add(KafkaClients.text(record.value())));
          member.consumer.commitSync();
        }
      }
      old.close();
      fresh.until(4);
      Member back = new Member("classic", group, topic);
      together(List.of(back, fresh), 2);
      fresh.close();
      back.until(4);
      Cases.equal(describe(admin, group).type(), GroupType.CLASSIC, "type at the end");
      back.close();
    }
  }

  static void admin() throws Exception {
    String topic = KafkaClients.create(Cases.unique("groups.admin"), 2);
    String group = Cases.unique("groups");
    TopicPartition zero = new TopicPartition(topic, 0);
    try (Admin admin = KafkaClients.admin()) {
      try (Member member = new Member("consumer", group, topic)) {
        member.until(2);
        member.consumer.commitSync(Map.of(zero, new OffsetAndMetadata(0)));
        ConsumerGroupDescription described = describe(admin, group);
        Cases.equal(described.groupState(), GroupState.STABLE, "state");
        Cases.equal(described.members().iterator().next().assignment().topicPartitions().size(), 2, "assigned");
        Cases.check(listed(admin, new ListGroupsOptions().withTypes(Set.of(GroupType.CONSUMER)), group), "listed by type");
        Cases.check(!listed(admin, new ListGroupsOptions().withTypes(Set.of(GroupType.CLASSIC)), group), "not listed as another type");
        Cases.check(!listed(admin, new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY)), group), "not listed as empty");
        Cases.check(KafkaClients.failsWith(GroupNotEmptyException.class, admin.deleteConsumerGroups(List.of(group)).all()::get), "a group with members is not deleted");
        Cases.check(KafkaClients.failsWith(GroupSubscribedToTopicException.class, admin.deleteConsumerGroupOffsets(group, Set.of(zero)).all()::get), "offsets in use are not deleted");
      }
      Cases.equal(describe(admin, group).groupState(), GroupState.EMPTY, "state without members");
      admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(7, "moved"))).all().get();
      Cases.equal(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(zero).offset(), 7L, "offset");
      admin.deleteConsumerGroupOffsets(group, Set.of(zero)).all().get();
      Cases.equal(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(zero), null, "offset after deleting");
      admin.deleteConsumerGroups(List.of(group)).all().get();
      Cases.check(KafkaClients.failsWith(GroupIdNotFoundException.class, admin.deleteConsumerGroups(List.of(group)).all()::get), "deleting twice");
      Cases.check(KafkaClients.failsWith(GroupIdNotFoundException.class, admin.describeConsumerGroups(List.of(group)).all()::get), "describing what is gone");
    }
  }

  // ------------------------------------------------------------------------------------------------------------- helpers

  /** A consumer in a group that counts what was given to it and taken from it. */
  static final class Member implements AutoCloseable, ConsumerRebalanceListener {
    final KafkaConsumer<byte[], byte[]> consumer;
    int changes = 0;
    int revoked = 0;

    Member(String protocol, String group, String topic, String... options) {
      Map<String, String> all = new HashMap<>();
      all.put("group.protocol", protocol);
      if (protocol.equals("classic")) {
        all.put("heartbeat.interval.ms", "200");
        all.put("session.timeout.ms", "6000");
      }
      for (int i = 0; i < options.length; i += 2) all.put(options[i], options[i + 1]);
      consumer = KafkaClients.consumer(group, all);
      if (topic != null) consumer.subscribe(List.of(topic), this);
    }

    @Override public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
      changes++;
    }

    @Override public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
      changes++;
      revoked += partitions.size();
    }

    void until(int partitions) {
      while (consumer.assignment().size() != partitions) consumer.poll(Duration.ofMillis(50));
    }

    @Override public void close() {
      consumer.close();
    }
  }

  /** Polls all until each has as many partitions. */
  static void together(List<Member> members, int partitions) {
    while (members.stream().anyMatch(member -> member.consumer.assignment().size() != partitions)) {
      for (Member member : members) member.consumer.poll(Duration.ofMillis(20));
    }
  }

  static ConsumerGroupDescription describe(Admin admin, String group) throws ExecutionException, InterruptedException {
    return admin.describeConsumerGroups(List.of(group)).all().get().get(group);
  }

  static boolean listed(Admin admin, ListGroupsOptions options, String group) throws Exception {
    for (GroupListing listing : admin.listGroups(options).all().get()) if (listing.groupId().equals(group)) return true;
    return false;
  }
}
