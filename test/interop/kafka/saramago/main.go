// sarama: a Go client with protocol versions and a group protocol of its own choosing. `security` as the argument: logins, against a broker with users.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"anymq.example/interop/cases"
	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

var servers = []string{os.Getenv("KAFKA")}

func configured(change func(*sarama.Config)) *sarama.Config {
	config := sarama.NewConfig()
	config.ClientID = "interop"
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	if change != nil {
		change(config)
	}
	return config
}

func create(partitions int32, change func(*sarama.Config)) string {
	admin, err := sarama.NewClusterAdmin(servers, configured(change))
	cases.Must(err)
	defer admin.Close()
	topic := cases.Unique("sarama")
	cases.Must(admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
	return topic
}

// produce sends v0, v1, ... to the partitions in turn and gives their offsets.
func produce(topic string, count int, partitions int, change func(*sarama.Config)) []int64 {
	producer, err := sarama.NewSyncProducer(servers, configured(func(config *sarama.Config) {
		config.Producer.Partitioner = sarama.NewManualPartitioner
		if change != nil {
			change(config)
		}
	}))
	cases.Must(err)
	defer producer.Close()
	messages := make([]*sarama.ProducerMessage, count)
	for i := range messages {
		messages[i] = message(topic, i)
		messages[i].Partition = int32(i % partitions)
	}
	cases.Must(producer.SendMessages(messages))
	offsets := make([]int64, count)
	for i, sent := range messages {
		offsets[i] = sent.Offset
	}
	return offsets
}

func message(topic string, i int) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder("k" + strconv.Itoa(i%7)), Value: sarama.StringEncoder("v" + strconv.Itoa(i)),
		Headers: []sarama.RecordHeader{{Key: []byte("i"), Value: []byte(strconv.Itoa(i))}, {Key: []byte("raw"), Value: []byte{0, 255}}}}
}

// read gives the first records of partition 0.
func read(ctx context.Context, topic string, count int, change func(*sarama.Config)) []*sarama.ConsumerMessage {
	consumer, err := sarama.NewConsumer(servers, configured(change))
	cases.Must(err)
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	cases.Must(err)
	defer partition.Close()
	var all []*sarama.ConsumerMessage
	for len(all) < count {
		select {
		case record := <-partition.Messages():
			all = append(all, record)
		case <-ctx.Done():
			panic(fmt.Sprintf("%d of %d records came", len(all), count))
		}
	}
	return all
}

// member is one of a group: it tells of its partitions whenever it gets some, and of each record.
type member struct {
	group   sarama.ConsumerGroup
	changed chan int
	records chan *sarama.ConsumerMessage
	lock    sync.Mutex
	session sarama.ConsumerGroupSession
	end     context.CancelFunc
	ended   chan struct{}
}

func (own *member) Setup(session sarama.ConsumerGroupSession) error {
	own.lock.Lock()
	own.session = session
	own.lock.Unlock()
	count := 0
	for _, partitions := range session.Claims() {
		count += len(partitions)
	}
	own.changed <- count
	return nil
}

func (own *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (own *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case record, open := <-claim.Messages():
			if !open {
				return nil
			}
			own.records <- record
		case <-session.Context().Done():
			return nil
		}
	}
}

func join(ctx context.Context, topic, name string, change func(*sarama.Config)) *member {
	group, err := sarama.NewConsumerGroup(servers, name, configured(func(config *sarama.Config) {
		config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
		config.Consumer.Group.Session.Timeout = 6 * time.Second
		if change != nil {
			change(config)
		}
	}))
	cases.Must(err)
	own := &member{group: group, changed: make(chan int, 100), records: make(chan *sarama.ConsumerMessage, 1000), ended: make(chan struct{})}
	ctx, own.end = context.WithCancel(ctx)
	go func() {
		defer close(own.ended)
		for ctx.Err() == nil {
			if err := group.Consume(ctx, []string{topic}, own); err != nil {
				return
			}
		}
	}()
	return own
}

// until waits until it has so many partitions.
func (own *member) until(ctx context.Context, partitions int) {
	for {
		select {
		case count := <-own.changed:
			if count == partitions {
				return
			}
		case <-ctx.Done():
			panic(fmt.Sprintf("it did not get %d partitions", partitions))
		}
	}
}

func (own *member) take(ctx context.Context, count int) []*sarama.ConsumerMessage {
	var all []*sarama.ConsumerMessage
	for len(all) < count {
		select {
		case record := <-own.records:
			all = append(all, record)
		case <-ctx.Done():
			panic(fmt.Sprintf("%d of %d records came", len(all), count))
		}
	}
	return all
}

// commit marks offsets as the next to read, and stores them.
func (own *member) commit(topic string, partition int32, offset int64) {
	own.lock.Lock()
	defer own.lock.Unlock()
	own.session.MarkOffset(topic, partition, offset, "noted")
	own.session.Commit()
}

func (own *member) leave() {
	own.end()
	<-own.ended
	cases.Must(own.group.Close())
}

// until asks again until it holds; a change shows in a real cluster a moment after it was answered.
func until(ctx context.Context, what string, holds func() bool) {
	for !holds() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			panic(what + ": not in time")
		}
	}
}

func adminCalls(ctx context.Context) error {
	admin, err := sarama.NewClusterAdmin(servers, configured(nil))
	cases.Must(err)
	defer admin.Close()
	topic, group := create(2, nil), cases.Unique("sarama.g")
	cases.Equal(errors.Is(admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1}, false), sarama.ErrTopicAlreadyExists), true, "creating twice is refused")
	cases.Must(admin.CreatePartitions(topic, 3, nil, false))
	until(ctx, "three partitions", func() bool {
		described, err := admin.DescribeTopics([]string{topic})
		cases.Must(err)
		return len(described[0].Partitions) == 3
	})
	kept := "70000"
	cases.Must(admin.IncrementalAlterConfig(sarama.TopicResource, topic,
		map[string]sarama.IncrementalAlterConfigsEntry{"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &kept}}, false))
	configs, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}})
	cases.Must(err)
	cases.Equal(configs[0].Value, kept, "retention.ms")
	produce(topic, 30, 3, nil)
	cases.Must(admin.DeleteRecords(topic, map[int32]int64{1: 4}))
	own := join(ctx, topic, group, nil)
	own.take(ctx, 26)
	for partition := range int32(3) {
		own.commit(topic, partition, 10)
	}
	groups, err := admin.DescribeConsumerGroups([]string{group})
	cases.Must(err)
	cases.Equal([]any{groups[0].State, len(groups[0].Members)}, []any{"Stable", 1}, "state and members")
	own.leave()
	offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0, 1, 2}})
	cases.Must(err)
	for partition := range int32(3) {
		block := offsets.GetBlock(topic, partition)
		cases.Equal([]any{block.Offset, block.Metadata}, []any{int64(10), "noted"}, "committed")
	}
	cases.Must(admin.DeleteConsumerGroup(group))
	listed, err := admin.ListConsumerGroups()
	cases.Must(err)
	_, found := listed[group]
	cases.Equal(found, false, "listed after deletion")
	brokers, _, err := admin.DescribeCluster()
	cases.Must(err)
	cases.Equal(len(brokers), 1, "brokers")
	directories, err := admin.DescribeLogDirs([]int32{brokers[0].ID()})
	cases.Must(err)
	cases.Equal(len(directories[brokers[0].ID()]), 1, "log directories")
	cases.Must(admin.DeleteTopic(topic))
	return nil
}

func codecs(ctx context.Context) error {
	for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		topic := create(1, nil)
		produce(topic, 200, 1, func(config *sarama.Config) { config.Producer.Compression = codec })
		for i, record := range read(ctx, topic, 200, nil) {
			cases.Equal([]any{record.Offset, string(record.Key), string(record.Value)}, []any{int64(i), "k" + strconv.Itoa(i%7), "v" + strconv.Itoa(i)}, "record")
			cases.Equal(len(record.Headers), 2, "headers")
			cases.Equal([]string{string(record.Headers[0].Value), string(record.Headers[1].Value)}, []string{strconv.Itoa(i), "\x00\xff"}, "headers")
		}
	}
	return nil
}

// The oldest version that speaks of record batches, and some between: other requests are sent for each.
func olderVersions(ctx context.Context) error {
	for _, version := range []sarama.KafkaVersion{sarama.V0_11_0_0, sarama.V1_1_0_0, sarama.V2_4_0_0, sarama.V3_6_0_0} {
		change := func(config *sarama.Config) { config.Version = version }
		topic := create(2, change)
		produce(topic, 40, 2, change)
		own := join(ctx, topic, cases.Unique("sarama.g"), change)
		own.until(ctx, 2)
		cases.Equal(len(own.take(ctx, 40)), 40, "records with "+version.String())
		own.leave()
	}
	return nil
}

func idempotent(context.Context) error {
	topic := create(1, nil)
	offsets := produce(topic, 1000, 1, func(config *sarama.Config) {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
		config.Producer.Flush.MaxMessages = 50
	})
	for i, offset := range offsets {
		cases.Equal(offset, int64(i), "offset")
	}
	return nil
}

func resume(ctx context.Context) error {
	topic, group := create(1, nil), cases.Unique("sarama.g")
	produce(topic, 100, 1, nil)
	first := join(ctx, topic, group, nil)
	first.take(ctx, 100)
	first.commit(topic, 0, 30)
	first.leave()
	second := join(ctx, topic, group, nil)
	defer second.leave()
	cases.Equal(second.take(ctx, 70)[0].Offset, int64(30), "first offset after resuming")
	return nil
}

func groupOfTwo(strategy sarama.BalanceStrategy) func(context.Context) error {
	return func(ctx context.Context) error {
		change := func(config *sarama.Config) {
			config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
		}
		topic, group := create(4, nil), cases.Unique("sarama.g")
		first := join(ctx, topic, group, change)
		first.until(ctx, 4)
		second := join(ctx, topic, group, change)
		first.until(ctx, 2)
		second.until(ctx, 2)
		produce(topic, 80, 4, nil)
		first.take(ctx, 40)
		second.take(ctx, 40)
		for partition := range int32(4) {
			first.commit(topic, partition, 20)
			second.commit(topic, partition, 20)
		}
		second.leave()
		first.until(ctx, 4)
		produce(topic, 40, 4, nil)
		for _, record := range first.take(ctx, 40) {
			cases.Equal(record.Offset >= 20, true, fmt.Sprintf("nothing is read again, but %d/%d was", record.Partition, record.Offset))
		}
		first.leave()
		return nil
	}
}

func transactional(topic string) sarama.SyncProducer {
	producer, err := sarama.NewSyncProducer(servers, configured(func(config *sarama.Config) {
		config.Producer.Idempotent = true
		config.Producer.Transaction.ID = cases.Unique("sarama.txn")
		config.Net.MaxOpenRequests = 1
	}))
	cases.Must(err)
	return producer
}

func committedOnly(config *sarama.Config) { config.Consumer.IsolationLevel = sarama.ReadCommitted }

func commitAndAbort(ctx context.Context) error {
	topic := create(1, nil)
	producer := transactional(topic)
	defer producer.Close()
	var want []string
	for round := range 6 {
		cases.Must(producer.BeginTxn())
		for i := range 10 {
			value := fmt.Sprintf("r%d.%d", round, i)
			_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)})
			cases.Must(err)
			if round%3 != 1 {
				want = append(want, value)
			}
		}
		if round%3 == 1 {
			cases.Must(producer.AbortTxn())
		} else {
			cases.Must(producer.CommitTxn())
		}
	}
	var got []string
	for _, record := range read(ctx, topic, len(want), committedOnly) {
		got = append(got, string(record.Value))
	}
	cases.Equal(got, want, "committed")
	return nil
}

func transform(ctx context.Context) error {
	source, target, group := create(1, nil), create(1, nil), cases.Unique("sarama.g")
	produce(source, 60, 1, nil)
	own := join(ctx, source, group, committedOnly)
	defer own.leave()
	producer := transactional(target)
	defer producer.Close()
	for range 3 {
		cases.Must(producer.BeginTxn())
		for _, record := range own.take(ctx, 20) {
			_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: target, Value: sarama.StringEncoder(string(record.Value) + "!")})
			cases.Must(err)
			cases.Must(producer.AddMessageToTxn(record, group, nil))
		}
		cases.Must(producer.CommitTxn())
	}
	for i, record := range read(ctx, target, 60, committedOnly) {
		cases.Equal(string(record.Value), "v"+strconv.Itoa(i)+"!", "committed")
	}
	admin, err := sarama.NewClusterAdmin(servers, configured(nil))
	cases.Must(err)
	defer admin.Close()
	until(ctx, "the offset of the last transaction", func() bool {
		offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{source: {0}})
		cases.Must(err)
		return offsets.GetBlock(source, 0).Offset == 60
	})
	return nil
}

func offsetsByTime(context.Context) error {
	topic := create(1, nil)
	producer, err := sarama.NewSyncProducer(servers, configured(nil))
	cases.Must(err)
	defer producer.Close()
	for i := range 20 {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v"), Timestamp: time.UnixMilli(1_000_000 + int64(i)*1000)})
		cases.Must(err)
	}
	client, err := sarama.NewClient(servers, configured(nil))
	cases.Must(err)
	defer client.Close()
	for at, want := range map[int64]int64{sarama.OffsetOldest: 0, sarama.OffsetNewest: 20, 1_007_500: 8} {
		got, err := client.GetOffset(topic, 0, at)
		cases.Must(err)
		cases.Equal(got, want, fmt.Sprintf("offset at %d", at))
	}
	return nil
}

// conversation is what sarama asks its users to bring for SCRAM.
type conversation struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

func (own *conversation) Begin(user, password, authorization string) error {
	client, err := own.hash.NewClient(user, password, authorization)
	if err == nil {
		own.ClientConversation = client.NewConversation()
	}
	return err
}

func login(mechanism sarama.SASLMechanism, password string, overTLS bool) func(*sarama.Config) {
	return func(config *sarama.Config) {
		config.Net.SASL.Enable = true
		config.Net.SASL.Mechanism = mechanism
		config.Net.SASL.User, config.Net.SASL.Password = "alice", password
		config.Metadata.Retry.Max = 0
		switch mechanism {
		case sarama.SASLTypeSCRAMSHA256:
			config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{hash: scram.SHA256} }
		case sarama.SASLTypeSCRAMSHA512:
			config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{hash: scram.SHA512} }
		}
		if !overTLS {
			return
		}
		root, err := os.ReadFile(os.Getenv("TLS") + "/root.crt")
		cases.Must(err)
		trusted := x509.NewCertPool()
		cases.Equal(trusted.AppendCertsFromPEM(root), true, "the root was read")
		config.Net.TLS.Enable, config.Net.TLS.Config = true, &tls.Config{RootCAs: trusted}
	}
}

func logins(ctx context.Context) error {
	for _, mechanism := range []sarama.SASLMechanism{sarama.SASLTypePlaintext, sarama.SASLTypeSCRAMSHA256, sarama.SASLTypeSCRAMSHA512} {
		for _, overTLS := range []bool{false, true} {
			change := login(mechanism, "alice-secret", overTLS)
			topic := create(1, change)
			produce(topic, 3, 1, change)
			cases.Equal(string(read(ctx, topic, 3, change)[2].Value), "v2", "value")
		}
	}
	return nil
}

func refused(context.Context) error {
	for _, mechanism := range []sarama.SASLMechanism{sarama.SASLTypePlaintext, sarama.SASLTypeSCRAMSHA256} {
		client, err := sarama.NewClient(servers, configured(login(mechanism, "wrong", false)))
		if err == nil {
			client.Close()
		}
		cases.Equal(errors.Is(err, sarama.ErrSASLAuthenticationFailed), true, fmt.Sprintf("refused by the right error, not %v", err))
	}
	return nil
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "security" {
		cases.Run([]cases.Case{
			{Name: "logins: PLAIN and SCRAM, in plain text and over TLS", Body: logins},
			{Name: "a wrong password is refused", Body: refused},
		})
	}
	cases.Run([]cases.Case{
		{Name: "admin: topics, partitions, configs, records, groups, log directories", Body: adminCalls},
		{Name: "all codecs both ways", Body: codecs},
		{Name: "as clients of Kafka 0.11, 1.1, 2.4 and 3.6", Body: olderVersions},
		{Name: "idempotent producer", Body: idempotent},
		{Name: "commit and resume", Body: resume},
		{Name: "a group of two shares four partitions (range)", Body: groupOfTwo(sarama.NewBalanceStrategyRange())},
		{Name: "a group of two shares four partitions (sticky)", Body: groupOfTwo(sarama.NewBalanceStrategySticky())},
		{Name: "transactions are committed and aborted", Body: commitAndAbort},
		{Name: "consume, transform, produce in transactions", Body: transform},
		{Name: "offsets by place and time", Body: offsetsByTime},
	})
}
