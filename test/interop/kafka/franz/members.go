package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const memberCount = 2

// members consumes as a group of the kind ("classic", "consumer", "share") until it is killed. It tells, a line each, of how many partitions a member is given (or loses, less than 0),
// of records, and of offsets once they are committed.
func members(kind, topic, group string) {
	ctx := context.Background()
	for member := range memberCount {
		go consumeAs(ctx, member, kind, topic, group)
	}
	select {}
}

func consumeAs(ctx context.Context, member int, kind, topic, group string) {
	moved := func(partitions []int32, sign int) {
		if len(partitions) > 0 {
			fmt.Println("moved", member, sign*len(partitions))
		}
	}
	options := []kgo.Opt{kgo.ConsumeTopics(topic), kgo.RetryTimeout(time.Minute)}
	if kind == "share" {
		readFromTheBeginning(ctx, group)
		options = append(options, kgo.ShareGroup(group))
	} else {
		options = append(options, kgo.ConsumerGroup(group), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) { moved(given[topic], 1) }),
			kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, taken map[string][]int32) { moved(taken[topic], -1) }),
			kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { moved(lost[topic], -1) }))
	}
	if kind == "consumer" {
		options = append(options, kgo.ServerSideBalancer(), kgo.Balancers(kgo.CooperativeStickyBalancer()))
	}
	own := client(options...)
	for {
		fetches := own.PollRecords(ctx, 50)
		committable := map[int32]int64{}
		fetches.EachRecord(func(record *kgo.Record) {
			fmt.Println("got", string(record.Value))
			committable[record.Partition] = record.Offset + 1
			if kind == "share" {
				record.Ack(kgo.AckAccept)
			}
		})
		if kind == "share" || fetches.NumRecords() == 0 {
			continue
		}
		if err := own.CommitRecords(ctx, fetches.Records()...); err != nil {
			fmt.Println("failed", err)
			continue
		}
		for partition, offset := range committable {
			fmt.Println("committed", partition, offset)
		}
	}
}
