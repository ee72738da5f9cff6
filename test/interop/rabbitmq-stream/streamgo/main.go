// rabbitmq-stream-go-client, RabbitMQ's own Go client of the stream protocol.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"anymq.example/interop/cases"
	"github.com/rabbitmq/rabbitmq-stream-go-client/pkg/amqp"
	"github.com/rabbitmq/rabbitmq-stream-go-client/pkg/message"
	"github.com/rabbitmq/rabbitmq-stream-go-client/pkg/stream"
)

var from = stream.OffsetSpecification{}

func connect() *stream.Environment {
	host, portText, err := net.SplitHostPort(os.Getenv("STREAM"))
	cases.Must(err)
	port, err := strconv.Atoi(portText)
	cases.Must(err)
	env, err := stream.NewEnvironment(stream.NewEnvironmentOptions().SetHost(host).SetPort(port).SetUser("guest").SetPassword("guest"))
	cases.Must(err)
	return env
}

func declare(env *stream.Environment) string {
	name := cases.Unique("go-stream")
	cases.Must(env.DeclareStream(name, stream.NewStreamOptions().SetMaxLengthBytes(stream.ByteCapacity{}.GB(1))))
	return name
}

// Publishes all and waits until each is answered; how many were confirmed.
func publish(ctx context.Context, env *stream.Environment, name string, options *stream.ProducerOptions, messages []message.StreamMessage) int {
	producer, err := env.NewProducer(name, options)
	cases.Must(err)
	defer producer.Close()
	confirms := producer.NotifyPublishConfirmation()
	go func() {
		for _, each := range messages {
			cases.Must(producer.Send(each))
		}
	}()
	answered, confirmed := 0, 0
	for answered < len(messages) {
		select {
		case batch := <-confirms:
			for _, status := range batch {
				answered++
				if status.IsConfirmed() {
					confirmed++
				}
			}
		case <-ctx.Done():
			panic(fmt.Sprintf("%d of %d messages were answered", answered, len(messages)))
		}
	}
	return confirmed
}

func numbered(count int) []message.StreamMessage {
	list := make([]message.StreamMessage, count)
	for i := range list {
		list[i] = amqp.NewMessage([]byte(fmt.Sprintf("message %d", i)))
	}
	return list
}

type received struct {
	body   string
	offset int64
	whole  *amqp.Message
}

// Reads until `count` messages came.
func consume(ctx context.Context, env *stream.Environment, name string, options *stream.ConsumerOptions, count int) []received {
	came := make(chan received, 10_000)
	consumer, err := env.NewConsumer(name, func(context stream.ConsumerContext, message *amqp.Message) {
		came <- received{string(message.GetData()), context.Consumer.GetOffset(), message}
	}, options.SetCRCCheck(true))
	cases.Must(err)
	defer consumer.Close()
	return collect(ctx, came, count)
}

func collect(ctx context.Context, came <-chan received, count int) []received {
	var list []received
	for len(list) < count {
		select {
		case one := <-came:
			list = append(list, one)
		case <-ctx.Done():
			panic(fmt.Sprintf("%d of %d messages came", len(list), count))
		}
	}
	return list
}

func ordered(list []received, first int) {
	for i, one := range list {
		cases.Equal(one.body, fmt.Sprintf("message %d", first+i), "body")
		cases.Equal(one.offset, int64(first+i), "offset")
	}
}

func eventually(ctx context.Context, what string, holds func() bool) {
	for !holds() {
		select {
		case <-ctx.Done():
			panic(what + ": did not happen")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func main() {
	cases.Run([]cases.Case{
		{Name: "declares, refuses a second declaration, tells, deletes", Body: func(context.Context) error {
			env := connect()
			defer env.Close()
			name := declare(env)
			// The client takes "already exists" for success, and anything else for an error.
			cases.Must(env.DeclareStream(name, stream.NewStreamOptions().SetMaxLengthBytes(stream.ByteCapacity{}.GB(1))))
			err := env.DeclareStream(name, stream.NewStreamOptions().SetMaxLengthBytes(stream.ByteCapacity{}.GB(2)))
			cases.Equal(errors.Is(err, stream.PreconditionFailed), true, "a declaration with another length")
			exists, err := env.StreamExists(name)
			cases.Must(err)
			cases.Equal(exists, true, "exists")
			cases.Must(env.DeleteStream(name))
			exists, err = env.StreamExists(name)
			cases.Must(err)
			cases.Equal(exists, false, "exists after it was deleted")
			return nil
		}},
		{Name: "publishes with confirms and reads them in order, CRC checked", Body: func(ctx context.Context) error {
			env := connect()
			defer env.Close()
			name := declare(env)
			cases.Equal(publish(ctx, env, name, stream.NewProducerOptions(), numbered(5000)), 5000, "confirmed")
			ordered(consume(ctx, env, name, stream.NewConsumerOptions().SetOffset(from.First()), 5000), 0)
			stats, err := env.StreamStats(name)
			cases.Must(err)
			first, err := stats.FirstOffset()
			cases.Must(err)
			cases.Equal(first, int64(0), "first offset")
			return nil
		}},
		{Name: "carries the parts of a message", Body: func(ctx context.Context) error {
			env := connect()
			defer env.Close()
			name := declare(env)
			sent := amqp.NewMessage([]byte("body"))
			sent.Properties = &amqp.MessageProperties{MessageID: "id", CorrelationID: "correlation", ContentType: "text/plain", Subject: "subject", ReplyTo: "replies", GroupID: "group", CreationTime: time.UnixMilli(1_700_000_123_456)}
			sent.ApplicationProperties = map[string]any{"text": "größe", "int": int32(-70_000), "long": int64(1 << 40), "bool": true, "double": 1.5}
			sent.Annotations = amqp.Annotations{"x-note": "annotated"}
			cases.Equal(publish(ctx, env, name, stream.NewProducerOptions(), []message.StreamMessage{sent}), 1, "confirmed")
			got := consume(ctx, env, name, stream.NewConsumerOptions().SetOffset(from.First()), 1)[0].whole
			cases.Equal(got.ApplicationProperties, sent.ApplicationProperties, "application properties")
			cases.Equal(got.Annotations["x-note"], "annotated", "annotation")
			cases.Equal(got.Properties.MessageID, "id", "message id")
			cases.Equal(got.Properties.ContentType, "text/plain", "content type")
			cases.Equal(got.Properties.CreationTime.UnixMilli(), int64(1_700_000_123_456), "creation time")
			return nil
		}},
		{Name: "starts at an offset, at a time, at the last chunk and at the next", Body: func(ctx context.Context) error {
			env := connect()
			defer env.Close()
			name := declare(env)
			publish(ctx, env, name, stream.NewProducerOptions(), numbered(100))
			ordered(consume(ctx, env, name, stream.NewConsumerOptions().SetOffset(from.Offset(42)), 58), 42)
			between := time.Now().UnixMilli() + 1
			time.Sleep(3 * time.Millisecond) // A time between two publishes has to be one.
			more := numbered(103)[100:]
			publish(ctx, env, name, stream.NewProducerOptions().SetBatchSize(100), more)
			ordered(consume(ctx, env, name, stream.NewConsumerOptions().SetOffset(from.Timestamp(between)), 3), 100)
			last := consume(ctx, env, name, stream.NewConsumerOptions().SetOffset(from.Last()), 1)
			cases.Equal(last[0].offset >= 100, true, "the last chunk is of the second publish")
			came := make(chan received, 10)
			consumer, err := env.NewConsumer(name, func(context stream.ConsumerContext, message *amqp.Message) {
				came <- received{string(message.GetData()), context.Consumer.GetOffset(), message}
			}, stream.NewConsumerOptions().SetOffset(from.Next()))
			cases.Must(err)
			defer consumer.Close()
			publish(ctx, env, name, stream.NewProducerOptions(), numbered(104)[103:])
			ordered(collect(ctx, came, 1), 103)
			return nil
		}},
		{Name: "does not store again what a named producer sends again", Body: func(ctx context.Context) error {
			env := connect()
			defer env.Close()
			name := declare(env)
			batch := func(first, count int) []message.StreamMessage {
				list := numbered(first + count)[first:]
				for i, each := range list {
					// Ids grow with gaps.
					each.SetPublishingId(int64(first+i) * 10)
				}
				return list
			}
			options := func() *stream.ProducerOptions { return stream.NewProducerOptions().SetProducerName("writer") }
			cases.Equal(publish(ctx, env, name, options(), batch(0, 10)), 10, "confirmed")
			cases.Equal(publish(ctx, env, name, options(), batch(5, 10)), 10, "confirmed, half of it again")
			sequence, err := env.QuerySequence("writer", name)
			cases.Must(err)
			cases.Equal(sequence, int64(140), "last publishing id")
			cases.Equal(publish(ctx, env, name, stream.NewProducerOptions(), numbered(16)[15:]), 1, "confirmed without a name")
			ordered(consume(ctx, env, name, stream.NewConsumerOptions().SetOffset(from.First()), 16), 0)
			return nil
		}},
		{Name: "stores offsets by consumer name and goes on there", Body: func(ctx context.Context) error {
			env := connect()
			defer env.Close()
			name := declare(env)
			publish(ctx, env, name, stream.NewProducerOptions(), numbered(20))
			_, err := env.QueryOffset("reader", name)
			cases.Equal(errors.Is(err, stream.OffsetNotFoundError), true, "an offset nobody stored")
			consumer, err := env.NewConsumer(name, func(stream.ConsumerContext, *amqp.Message) {}, stream.NewConsumerOptions().SetConsumerName("reader").SetOffset(from.First()))
			cases.Must(err)
			cases.Must(consumer.StoreCustomOffset(7))
			eventually(ctx, "the stored offset", func() bool {
				offset, err := env.QueryOffset("reader", name)
				return err == nil && offset == 7
			})
			cases.Must(consumer.Close())
			// This client goes on at the stored offset itself.
			ordered(consume(ctx, env, name, stream.NewConsumerOptions().SetConsumerName("reader").SetOffset(from.LastConsumed()), 13), 7)
			return nil
		}},
		{Name: "batches sub-entries with each compression", Body: func(ctx context.Context) error {
			env := connect()
			defer env.Close()
			for title, compression := range map[string]stream.Compression{"none": stream.Compression{}.None(), "gzip": stream.Compression{}.Gzip(), "snappy": stream.Compression{}.Snappy(), "lz4": stream.Compression{}.Lz4(), "zstd": stream.Compression{}.Zstd()} {
				name := declare(env)
				cases.Equal(publish(ctx, env, name, stream.NewProducerOptions().SetSubEntrySize(50).SetCompression(compression), numbered(500)), 500, title)
				ordered(consume(ctx, env, name, stream.NewConsumerOptions().SetOffset(from.First()), 500), 0)
			}
			return nil
		}},
		{Name: "filters on the server", Body: func(ctx context.Context) error {
			env := connect()
			defer env.Close()
			name := declare(env)
			send := func(state string) {
				list := numbered(50)
				for _, each := range list {
					each.(*amqp.AMQP10).ApplicationProperties = map[string]any{"state": state}
				}
				options := stream.NewProducerOptions()
				if state != "" {
					options.SetFilter(stream.NewProducerFilter(func(message message.StreamMessage) string {
						return message.GetApplicationProperties()["state"].(string)
					}))
				}
				cases.Equal(publish(ctx, env, name, options, list), 50, "confirmed")
			}
			send("wanted")
			send("other")
			send("")
			send("wanted")
			// What comes is recorded before the client's own filter: the server must have left the rest out.
			var mutex sync.Mutex
			seen := map[string]int{}
			filter := func(unfiltered bool) *stream.ConsumerFilter {
				return stream.NewConsumerFilter([]string{"wanted"}, unfiltered, func(message *amqp.Message) bool {
					mutex.Lock()
					seen[message.ApplicationProperties["state"].(string)]++
					mutex.Unlock()
					return true
				})
			}
			consume(ctx, env, name, stream.NewConsumerOptions().SetOffset(from.First()).SetFilter(filter(false)), 100)
			cases.Equal(seen, map[string]int{"wanted": 100}, "sent by the server")
			seen = map[string]int{}
			consume(ctx, env, name, stream.NewConsumerOptions().SetOffset(from.First()).SetFilter(filter(true)), 150)
			cases.Equal(seen, map[string]int{"wanted": 100, "": 50}, "sent by the server, unfiltered ones too")
			return nil
		}},
		{Name: "super stream of three: routes by hash and by key, reads all", Body: func(ctx context.Context) error {
			env := connect()
			defer env.Close()
			name := cases.Unique("go-super")
			cases.Must(env.DeclareSuperStream(name, stream.NewPartitionsOptions(3)))
			partitions, err := env.QueryPartitions(name)
			cases.Must(err)
			cases.Equal(partitions, []string{name + "-0", name + "-1", name + "-2"}, "partitions")
			route, err := env.QueryRoute(name, "1")
			cases.Must(err)
			cases.Equal(route, []string{name + "-1"}, "route")
			producer, err := env.NewSuperStreamProducer(name, stream.NewSuperStreamProducerOptions(stream.NewHashRoutingStrategy(func(message message.StreamMessage) string {
				return message.GetMessageProperties().MessageID.(string)
			})))
			cases.Must(err)
			confirms := producer.NotifyPublishConfirmation(1)
			go func() {
				for i := range 300 {
					one := amqp.NewMessage([]byte(fmt.Sprintf("message %d", i)))
					one.Properties = &amqp.MessageProperties{MessageID: fmt.Sprintf("key %d", i)}
					cases.Must(producer.Send(one))
				}
			}()
			confirmed := 0
			used := map[string]bool{}
			for confirmed < 300 {
				select {
				case batch := <-confirms:
					confirmed += len(batch.ConfirmationStatus)
					used[batch.Partition] = true
				case <-ctx.Done():
					panic(fmt.Sprintf("%d of 300 messages were confirmed", confirmed))
				}
			}
			cases.Equal(len(used), 3, "partitions used")
			came := make(chan received, 1000)
			consumer, err := env.NewSuperStreamConsumer(name, func(context stream.ConsumerContext, message *amqp.Message) {
				came <- received{string(message.GetData()), context.Consumer.GetOffset(), message}
			}, stream.NewSuperStreamConsumerOptions().SetOffset(from.First()))
			cases.Must(err)
			bodies := map[string]bool{}
			for _, one := range collect(ctx, came, 300) {
				bodies[one.body] = true
			}
			cases.Equal(len(bodies), 300, "different messages")
			cases.Must(consumer.Close())
			cases.Must(producer.Close())
			cases.Must(env.DeleteSuperStream(name))
			_, err = env.QueryPartitions(name)
			cases.Equal(err != nil, true, "partitions of what was deleted are refused")
			return nil
		}},
		{Name: "single active consumer: one gets all, the other takes over where it stopped", Body: func(ctx context.Context) error {
			env := connect()
			defer env.Close()
			name := declare(env)
			publish(ctx, env, name, stream.NewProducerOptions(), numbered(10))
			came := make(chan string, 1000)
			start := func(who string) *stream.Consumer {
				update := func(streamName string, active bool) stream.OffsetSpecification {
					offset, err := env.QueryOffset("group", streamName)
					if err != nil {
						return from.First()
					}
					return from.Offset(offset + 1)
				}
				consumer, err := env.NewConsumer(name, func(context stream.ConsumerContext, message *amqp.Message) {
					came <- who + ": " + string(message.GetData())
					cases.Must(context.Consumer.StoreOffset())
				}, stream.NewConsumerOptions().SetConsumerName("group").SetSingleActiveConsumer(stream.NewSingleActiveConsumer(update)))
				cases.Must(err)
				return consumer
			}
			expect := func(who string, first, count int) {
				for i := range count {
					select {
					case got := <-came:
						cases.Equal(got, fmt.Sprintf("%s: message %d", who, first+i), "delivery")
					case <-ctx.Done():
						panic(fmt.Sprintf("message %d did not come to %s", first+i, who))
					}
				}
			}
			first := start("first")
			second := start("second")
			expect("first", 0, 10)
			publish(ctx, env, name, stream.NewProducerOptions(), numbered(15)[10:])
			expect("first", 10, 5)
			eventually(ctx, "the stored offset", func() bool {
				offset, err := env.QueryOffset("group", name)
				return err == nil && offset == 14
			})
			cases.Must(first.Close())
			publish(ctx, env, name, stream.NewProducerOptions(), numbered(20)[15:])
			expect("second", 15, 5)
			cases.Must(second.Close())
			return nil
		}},
		{Name: "is told when a stream that it uses goes", Body: func(ctx context.Context) error {
			env := connect()
			defer env.Close()
			name := declare(env)
			producer, err := env.NewProducer(name, stream.NewProducerOptions())
			cases.Must(err)
			producerClosed := producer.NotifyClose()
			consumer, err := env.NewConsumer(name, func(stream.ConsumerContext, *amqp.Message) {}, stream.NewConsumerOptions())
			cases.Must(err)
			consumerClosed := consumer.NotifyClose()
			other := connect()
			defer other.Close()
			cases.Must(other.DeleteStream(name))
			for _, closed := range []stream.ChannelClose{producerClosed, consumerClosed} {
				select {
				case <-closed:
				case <-ctx.Done():
					panic("nobody was told")
				}
			}
			return nil
		}},
		{Name: "is refused what is not there, by the protocol's codes", Body: func(context.Context) error {
			env := connect()
			defer env.Close()
			_, err := env.NewProducer("no such stream", stream.NewProducerOptions())
			cases.Equal(errors.Is(err, stream.StreamDoesNotExist), true, fmt.Sprintf("a producer of no stream: %v", err))
			cases.Equal(errors.Is(env.DeleteStream("no such stream"), stream.StreamDoesNotExist), true, "deleting no stream")
			_, err = env.StreamStats("no such stream")
			cases.Equal(err != nil, true, "statistics of no stream")
			return nil
		}},
	})
}
