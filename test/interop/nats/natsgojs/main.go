// nats.go, its package jetstream: streams, publishes with an answer, consumers, key-value buckets and object stores.
package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"anymq.example/interop/cases"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const wait = 5 * time.Second

// A case with a connection, which is closed after it, and a name of its own.
func with(body func(ctx context.Context, js jetstream.JetStream, name string)) func(context.Context) error {
	return func(ctx context.Context) error {
		connection, err := nats.Connect("nats://" + os.Getenv("NATS"))
		cases.Must(err)
		defer connection.Close()
		js, err := jetstream.New(connection)
		cases.Must(err)
		body(ctx, js, strings.ReplaceAll(cases.Unique("GO"), ".", "_"))
		return nil
	}
}

func must[T any](value T, err error) T {
	cases.Must(err)
	return value
}

func main() {
	cases.Run([]cases.Case{
		{Name: "streams and publishes", Body: with(func(ctx context.Context, js jetstream.JetStream, name string) {
			stream := must(js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}}))
			ack := must(js.Publish(ctx, name+".a", []byte("one"), jetstream.WithMsgID("x")))
			cases.Equal(ack.Sequence, uint64(1), "sequence")
			cases.Equal(must(js.Publish(ctx, name+".a", []byte("one"), jetstream.WithMsgID("x"))).Duplicate, true, "repetition")
			_, err := js.Publish(ctx, name+".a", nil, jetstream.WithExpectLastSequence(7))
			var refused *jetstream.APIError
			cases.Equal(errors.As(err, &refused) && refused.ErrorCode == 10071, true, "wrong last sequence")
			for i := 0; i < 100; i++ {
				must(js.PublishAsync(name+".b", []byte(strconv.Itoa(i))))
			}
			select {
			case <-js.PublishAsyncComplete():
			case <-time.After(wait):
				panic("not all publishes were answered")
			}
			info := must(stream.Info(ctx, jetstream.WithSubjectFilter(">")))
			cases.Equal(info.State.Msgs, uint64(101), "messages")
			cases.Equal(info.State.Subjects[name+".b"], uint64(100), "messages of a subject")
			cases.Equal(string(must(stream.GetLastMsgForSubject(ctx, name+".b")).Data), "99", "last message")
			cases.Must(stream.DeleteMsg(ctx, 1))
			_, err = stream.GetMsg(ctx, 1)
			cases.Equal(errors.Is(err, jetstream.ErrMsgNotFound), true, "no message")
			cases.Must(stream.Purge(ctx, jetstream.WithPurgeKeep(3)))
			cases.Equal(must(stream.Info(ctx)).State.Msgs, uint64(3), "messages kept")
			cases.Must(js.DeleteStream(ctx, name))
			_, err = js.Stream(ctx, name)
			cases.Equal(errors.Is(err, jetstream.ErrStreamNotFound), true, "no stream")
		})},
		{Name: "consumers: fetch, consume, messages, acknowledgements", Body: with(func(ctx context.Context, js jetstream.JetStream, name string) {
			stream := must(js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}}))
			consumer := must(stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "d", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 5}))
			for i := 0; i < 100; i++ {
				must(js.Publish(ctx, name, []byte(strconv.Itoa(i))))
			}
			batch := must(consumer.Fetch(10, jetstream.FetchMaxWait(wait)))
			next := 0
			for message := range batch.Messages() {
				cases.Equal(string(message.Data()), strconv.Itoa(next), "data")
				cases.Must(message.DoubleAck(ctx))
				next++
			}
			cases.Must(batch.Error())
			first := must(consumer.Next(jetstream.FetchMaxWait(wait)))
			cases.Must(first.Nak())
			second := must(consumer.Next(jetstream.FetchMaxWait(wait)))
			cases.Equal(must(second.Metadata()).NumDelivered, uint64(2), "deliveries")
			cases.Must(second.InProgress())
			cases.Must(second.Term())
			messages := must(consumer.Messages(jetstream.PullMaxMessages(1)))
			for i := 11; i < 50; i++ {
				message := must(messages.Next())
				cases.Equal(string(message.Data()), strconv.Itoa(i), "data")
				cases.Must(message.Ack())
			}
			messages.Stop()
			got := make(chan string, 100)
			consuming := must(consumer.Consume(func(message jetstream.Msg) {
				got <- string(message.Data())
				_ = message.Ack()
			}))
			defer consuming.Stop()
			seen := map[string]bool{}
			for len(seen) < 50 {
				select {
				case text := <-got:
					seen[text] = true
				case <-time.After(wait):
					panic("only " + strconv.Itoa(len(seen)) + " messages came")
				}
			}
			names := stream.ConsumerNames(ctx)
			cases.Equal(<-names.Name(), "d", "consumer")
		})},
		{Name: "ordered consumers, and a consumer that pauses", Body: with(func(ctx context.Context, js jetstream.JetStream, name string) {
			stream := must(js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".*"}}))
			for i := 0; i < 20; i++ {
				must(js.Publish(ctx, name+"."+strconv.Itoa(i%2), []byte(strconv.Itoa(i))))
			}
			ordered := must(stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{name + ".1"}}))
			batch := must(ordered.Fetch(10, jetstream.FetchMaxWait(wait)))
			next := 1
			for message := range batch.Messages() {
				cases.Equal(string(message.Data()), strconv.Itoa(next), "data")
				next += 2
			}
			cases.Equal(next, 21, "all of them")
			consumer := must(stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "d", AckPolicy: jetstream.AckExplicitPolicy}))
			cases.Equal(must(stream.PauseConsumer(ctx, "d", time.Now().Add(time.Hour))).Paused, true, "paused")
			_, err := consumer.Next(jetstream.FetchMaxWait(300 * time.Millisecond))
			cases.Equal(errors.Is(err, nats.ErrTimeout), true, "nothing comes")
			cases.Equal(must(stream.ResumeConsumer(ctx, "d")).Paused, false, "resumed")
			must(consumer.Next(jetstream.FetchMaxWait(wait)))
		})},
		{Name: "a key-value bucket", Body: with(func(ctx context.Context, js jetstream.JetStream, name string) {
			bucket := must(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, History: 5}))
			first := must(bucket.Create(ctx, "key", []byte("1")))
			_, err := bucket.Create(ctx, "key", []byte("x"))
			cases.Equal(errors.Is(err, jetstream.ErrKeyExists), true, "the key exists")
			must(bucket.Update(ctx, "key", []byte("2"), first))
			must(bucket.PutString(ctx, "other", "o"))
			cases.Equal(string(must(bucket.Get(ctx, "key")).Value()), "2", "value")
			cases.Equal(string(must(bucket.GetRevision(ctx, "key", first)).Value()), "1", "earlier value")
			cases.Equal(len(must(bucket.Keys(ctx))), 2, "keys")
			cases.Equal(len(must(bucket.History(ctx, "key"))), 2, "history")
			watcher := must(bucket.WatchAll(ctx))
			keys := []string{}
			for entry := range watcher.Updates() {
				if entry == nil {
					break
				}
				keys = append(keys, entry.Key())
			}
			cases.Equal(keys, []string{"key", "other"}, "what is there")
			cases.Must(bucket.Delete(ctx, "other"))
			cases.Equal((<-watcher.Updates()).Operation(), jetstream.KeyValueDelete, "deletion")
			cases.Must(watcher.Stop())
			_, err = bucket.Get(ctx, "other")
			cases.Equal(errors.Is(err, jetstream.ErrKeyNotFound), true, "no key")
			cases.Must(bucket.PurgeDeletes(ctx))
			cases.Must(js.DeleteKeyValue(ctx, name))
		})},
		{Name: "an object store", Body: with(func(ctx context.Context, js jetstream.JetStream, name string) {
			store := must(js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: name}))
			content := bytes.Repeat([]byte("0123456789"), 40_000)
			info := must(store.PutBytes(ctx, "object", content))
			cases.Equal(info.Chunks, uint32(4), "chunks")
			cases.Equal(bytes.Equal(must(store.GetBytes(ctx, "object")), content), true, "content")
			cases.Equal(len(must(store.List(ctx))), 1, "objects")
			cases.Must(store.Delete(ctx, "object"))
			cases.Must(js.DeleteObjectStore(ctx, name))
		})},
	})
}
