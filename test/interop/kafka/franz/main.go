// franz-go: the newest protocol versions, idempotent by default.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"anymq.example/interop/cases"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var server = os.Getenv("KAFKA")

func client(options ...kgo.Opt) *kgo.Client {
	made, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(server), kgo.RecordDeliveryTimeout(20 * time.Second)}, options...)...)
	cases.Must(err)
	return made
}

func create(ctx context.Context, partitions int32) string {
	own := client()
	defer own.Close()
	topic := cases.Unique("franz")
	_, err := kadm.NewClient(own).CreateTopic(ctx, partitions, 1, nil, topic)
	cases.Must(err)
	return topic
}

func produce(ctx context.Context, topic string, count int, options ...kgo.Opt) {
	own := client(options...)
	defer own.Close()
	records := make([]*kgo.Record, count)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Key: []byte("k" + strconv.Itoa(i%9)), Value: []byte(strconv.Itoa(i)),
			Headers: []kgo.RecordHeader{{Key: "i", Value: []byte(strconv.Itoa(i))}, {Key: "nil", Value: nil}}}
	}
	cases.Must(own.ProduceSync(ctx, records...).FirstErr())
}

func consume(ctx context.Context, own *kgo.Client, count int) []*kgo.Record {
	var all []*kgo.Record
	for len(all) < count {
		fetches := own.PollFetches(ctx)
		cases.Must(ctx.Err())
		for _, failed := range fetches.Errors() {
			panic(failed.Err)
		}
		all = append(all, fetches.Records()...)
	}
	cases.Equal(len(all), count, "records")
	return all
}

func transactSession(ctx context.Context) error {
	source, target, group := create(ctx, 2), create(ctx, 2), cases.Unique("franz.g")
	produce(ctx, source, 200, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(server), kgo.TransactionalID(cases.Unique("franz.txn")), kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(source), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(), kgo.DefaultProduceTopic(target), kgo.RecordDeliveryTimeout(20*time.Second))
	cases.Must(err)
	defer session.Close()
	done := 0
	for round := 0; done < 200; round++ {
		fetches := session.PollRecords(ctx, 30)
		cases.Must(ctx.Err())
		for _, failed := range fetches.Errors() {
			panic(failed.Err)
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		cases.Must(session.Begin())
		produced := kgo.AbortingFirstErrPromise(session.Client())
		fetches.EachRecord(func(record *kgo.Record) {
			session.Produce(ctx, kgo.StringRecord(string(record.Value)+"!"), produced.Promise())
		})
		commit := kgo.TransactionEndTry(round%3 != 1 && produced.Err() == nil)
		committed, err := session.End(ctx, commit)
		cases.Must(err)
		cases.Equal(committed, bool(commit), "ended as it was wanted")
		if committed {
			done += fetches.NumRecords()
		}
	}
	cases.Equal(done, 200, "records that were committed")
	own := client(kgo.ConsumeTopics(target), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer own.Close()
	seen := map[string]bool{}
	for _, record := range consume(ctx, own, 200) {
		cases.Equal(seen[string(record.Value)], false, "seen before: "+string(record.Value))
		seen[string(record.Value)] = true
	}
	return nil
}

type clients []*kgo.Client

func (all clients) close() {
	for _, own := range all {
		own.Close()
	}
}

// pollTwo lets two members poll until they have got, together, the 200 records that it produces.
func pollTwo(ctx context.Context, topic string, options []kgo.Opt) clients {
	var members clients
	got := make(chan struct{}, 1000)
	for range 2 {
		own := client(options...)
		members = append(members, own)
		go func() {
			for ctx.Err() == nil {
				fetches := own.PollFetches(ctx)
				fetches.EachRecord(func(*kgo.Record) { got <- struct{}{} })
				if fetches.IsClientClosed() {
					return
				}
			}
		}()
	}
	produce(ctx, topic, 200, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	for range 200 {
		select {
		case <-got:
		case <-ctx.Done():
			panic(ctx.Err())
		}
	}
	return members
}

// KIP-848: the broker assigns.
func nextGeneration(ctx context.Context) error {
	topic, group := create(ctx, 4), cases.Unique("franz.g")
	options := []kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ServerSideBalancer(), kgo.Balancers(kgo.CooperativeStickyBalancer())}
	defer pollTwo(ctx, topic, options).close()
	own := client()
	defer own.Close()
	request := kmsg.NewPtrConsumerGroupDescribeRequest()
	request.Groups = []string{group}
	described, err := request.RequestWith(ctx, own)
	cases.Must(err)
	cases.Equal(len(described.Groups[0].Members), 2, "members of the consumer protocol")
	return nil
}

// readFromTheBeginning is said of a share group before its first member joins.
func readFromTheBeginning(ctx context.Context, group string) {
	setup := client()
	defer setup.Close()
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = "share.auto.offset.reset", kmsg.StringPtr("earliest")
	resource.Configs = append(resource.Configs, config)
	request.Resources = append(request.Resources, resource)
	_, err := request.RequestWith(ctx, setup)
	cases.Must(err)
}

// KIP-932: a topic as a queue.
func shareGroup(ctx context.Context) error {
	topic, group := create(ctx, 1), cases.Unique("franz.share")
	readFromTheBeginning(ctx, group)
	produce(ctx, topic, 9)
	own := client(kgo.ConsumeTopics(topic), kgo.ShareGroup(group))
	defer own.Close()
	deliveries := map[int64]int{}
	for settled := 0; settled < 9; {
		fetches := own.PollFetches(ctx)
		cases.Must(ctx.Err())
		fetches.EachRecord(func(record *kgo.Record) {
			deliveries[record.Offset]++
			switch {
			case record.Offset%3 == 0:
				record.Ack(kgo.AckAccept)
			case record.Offset%3 == 1:
				record.Ack(kgo.AckReject)
			case deliveries[record.Offset] == 1:
				record.Ack(kgo.AckRelease)
				return
			default:
				record.Ack(kgo.AckAccept)
			}
			settled++
		})
	}
	for offset := range int64(9) {
		want := 1
		if offset%3 == 2 {
			want = 2
		}
		cases.Equal(deliveries[offset], want, "deliveries of "+strconv.FormatInt(offset, 10))
	}
	return nil
}

func main() {
	if len(os.Args) == 5 && os.Args[1] == "members" {
		members(os.Args[2], os.Args[3], os.Args[4])
	}
	cases.Run([]cases.Case{
		{Name: "admin creates, describes and deletes a topic", Body: func(ctx context.Context) error {
			own := client()
			defer own.Close()
			admin := kadm.NewClient(own)
			topic := create(ctx, 3)
			listed, err := admin.ListTopics(ctx, topic)
			cases.Must(err)
			cases.Equal(len(listed[topic].Partitions), 3, "partitions")
			_, err = admin.CreateTopic(ctx, 3, 1, nil, topic)
			cases.Equal(errors.Is(err, kerr.TopicAlreadyExists), true, fmt.Sprintf("creating twice is refused: %v", err))
			_, err = admin.DeleteTopic(ctx, topic)
			cases.Must(err)
			return nil
		}},
		{Name: "idempotent produce with each codec, consume in order", Body: func(ctx context.Context) error {
			for _, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
				topic := create(ctx, 1)
				produce(ctx, topic, 500, kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(5*time.Millisecond))
				own := client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
				for i, record := range consume(ctx, own, 500) {
					cases.Equal(record.Offset, int64(i), "offset")
					cases.Equal(string(record.Value), strconv.Itoa(i), "value")
					cases.Equal(string(record.Key), "k"+strconv.Itoa(i%9), "key")
					cases.Equal(len(record.Headers), 2, "headers")
					cases.Equal(string(record.Headers[0].Value), strconv.Itoa(i), "header")
					cases.Equal(record.Headers[1].Value == nil, true, "null header")
				}
				own.Close()
			}
			return nil
		}},
		{Name: "commit and resume in a group", Body: func(ctx context.Context) error {
			topic, group := create(ctx, 1), cases.Unique("franz.g")
			produce(ctx, topic, 100)
			options := []kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
			first := client(options...)
			records := consume(ctx, first, 100)
			cases.Must(first.CommitRecords(ctx, records[:60]...))
			first.Close()
			second := client(options...)
			resumed := consume(ctx, second, 40)
			cases.Equal(resumed[0].Offset, int64(60), "first offset after resuming")
			second.Close()
			own := client()
			defer own.Close()
			offsets, err := kadm.NewClient(own).FetchOffsets(ctx, group)
			cases.Must(err)
			at, found := offsets.Lookup(topic, 0)
			cases.Equal(found, true, "the group has an offset")
			cases.Equal(at.At, int64(60), "committed offset")
			return nil
		}},
		{Name: "two members share four partitions", Body: func(ctx context.Context) error {
			topic, group := create(ctx, 4), cases.Unique("franz.g")
			options := []kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
				kgo.HeartbeatInterval(200 * time.Millisecond), kgo.SessionTimeout(6 * time.Second), kgo.Balancers(kgo.RangeBalancer())}
			pollTwo(ctx, topic, options).close()
			return nil
		}},
		{Name: "a transact session consumes, transforms and produces; what it aborts is consumed again", Body: transactSession},
		{Name: "the consumer protocol: two members share four partitions", Body: nextGeneration},
		{Name: "a share group: accepted, rejected and released records", Body: shareGroup},
		{Name: "offsets by listing and by time", Body: func(ctx context.Context) error {
			topic := create(ctx, 1)
			produce(ctx, topic, 30)
			own := client()
			defer own.Close()
			admin := kadm.NewClient(own)
			start, err := admin.ListStartOffsets(ctx, topic)
			cases.Must(err)
			end, err := admin.ListEndOffsets(ctx, topic)
			cases.Must(err)
			first, _ := start.Lookup(topic, 0)
			last, _ := end.Lookup(topic, 0)
			cases.Equal([]int64{first.Offset, last.Offset}, []int64{0, 30}, "offsets")
			return nil
		}},
	})
}
