// Load on a NATS server, AnyMQ or another, by nats.go. natsload TEST [flags] prints one line of JSON: messages a second, and p50 and p99 in
// microseconds where a latency is measured.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	server = flag.String("server", "127.0.0.1:4222", "host:port")
	conns  = flag.Int("conns", 1, "connections")
	size   = flag.Int("size", 128, "bytes of a payload")
	count  = flag.Int("n", 100_000, "messages in all")
	window = flag.Int("window", 256, "unanswered publishes of a connection")
	stream = flag.String("stream", "BENCH", "stream, and the subject its messages have")
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func connect() *nats.Conn {
	connection, err := nats.Connect("nats://"+*server, nats.MaxReconnects(0))
	must(err)
	return connection
}

// Runs the body on so many connections at once, each with its share of the messages.
func each(body func(connection *nats.Conn, messages int) []time.Duration) ([]time.Duration, time.Duration) {
	var all []time.Duration
	var lock sync.Mutex
	var done sync.WaitGroup
	connections := make([]*nats.Conn, *conns)
	for i := range connections {
		connections[i] = connect()
	}
	begin := time.Now()
	for _, connection := range connections {
		done.Add(1)
		go func() {
			defer done.Done()
			taken := body(connection, *count / *conns)
			lock.Lock()
			all = append(all, taken...)
			lock.Unlock()
		}()
	}
	done.Wait()
	return all, time.Since(begin)
}

func report(messages int, took time.Duration, latencies []time.Duration) {
	figures := map[string]any{"messages": messages, "perSecond": float64(messages) / took.Seconds()}
	if len(latencies) > 0 {
		slices.Sort(latencies)
		at := func(part float64) float64 { return float64(latencies[int(part*float64(len(latencies)-1))].Microseconds()) }
		figures["p50"], figures["p99"] = at(0.5), at(0.99)
	}
	text, err := json.Marshal(figures)
	must(err)
	fmt.Println(string(text))
}

// One publisher, one subscriber; the latency is from the publish to the handler.
func pubSub() {
	subscriber := connect()
	latencies := make([]time.Duration, 0, *count)
	done := make(chan struct{})
	subscription, err := subscriber.Subscribe(*stream, func(message *nats.Msg) {
		latencies = append(latencies, time.Duration(time.Now().UnixNano()-int64(binary.LittleEndian.Uint64(message.Data))))
		if len(latencies) == *count {
			close(done)
		}
	})
	must(err)
	must(subscription.SetPendingLimits(-1, -1))
	must(subscriber.Flush())
	publisher := connect()
	begin := time.Now()
	for range *count {
		payload := make([]byte, max(8, *size))
		binary.LittleEndian.PutUint64(payload, uint64(time.Now().UnixNano()))
		must(publisher.Publish(*stream, payload))
	}
	must(publisher.Flush())
	<-done
	report(*count, time.Since(begin), latencies)
}

func requests() {
	answering := connect()
	_, err := answering.Subscribe(*stream, func(message *nats.Msg) { must(message.Respond(message.Data)) })
	must(err)
	must(answering.Flush())
	latencies, took := each(func(connection *nats.Conn, messages int) []time.Duration {
		taken := make([]time.Duration, 0, messages)
		payload := make([]byte, *size)
		for range messages {
			begin := time.Now()
			_, err := connection.Request(*stream, payload, 10*time.Second)
			must(err)
			taken = append(taken, time.Since(begin))
		}
		return taken
	})
	report(len(latencies), took, latencies)
}

func newStream() {
	js, err := jetstream.New(connect())
	must(err)
	_ = js.DeleteStream(context.Background(), *stream)
	_, err = js.CreateStream(context.Background(), jetstream.StreamConfig{Name: *stream, Subjects: []string{*stream}})
	must(err)
}

// Publishes that are answered when they are stored, a window of them under way on each connection.
func stored() {
	newStream()
	latencies, took := each(func(connection *nats.Conn, messages int) []time.Duration {
		js, err := jetstream.New(connection, jetstream.WithPublishAsyncMaxPending(*window))
		must(err)
		var taken []time.Duration
		var lock sync.Mutex
		var done sync.WaitGroup
		payload := make([]byte, *size)
		free := make(chan struct{}, *window)
		for range messages {
			free <- struct{}{}
			begin := time.Now()
			answer, err := js.PublishAsync(*stream, payload)
			must(err)
			done.Add(1)
			go func() {
				defer done.Done()
				select {
				case <-answer.Ok():
				case err := <-answer.Err():
					must(err)
				}
				lock.Lock()
				taken = append(taken, time.Since(begin))
				lock.Unlock()
				<-free
			}()
		}
		done.Wait()
		return taken
	})
	report(len(latencies), took, latencies)
}

// What is in the stream, fetched in batches and acknowledged one by one.
func fetched() {
	js, err := jetstream.New(connect())
	must(err)
	consumer, err := js.CreateConsumer(context.Background(), *stream, jetstream.ConsumerConfig{
		Durable: "bench" + strconv.Itoa(os.Getpid()), AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 10_000,
	})
	must(err)
	begin := time.Now()
	got := 0
	for got < *count {
		batch, err := consumer.Fetch(min(*window, *count-got), jetstream.FetchMaxWait(10*time.Second))
		must(err)
		before := got
		for message := range batch.Messages() {
			must(message.Ack())
			got++
		}
		must(batch.Error())
		if got == before {
			log.Fatalf("only %d messages came", got)
		}
	}
	report(got, time.Since(begin), nil)
}

func main() {
	tests := map[string]func(){"pubsub": pubSub, "requests": requests, "stored": stored, "fetched": fetched}
	if len(os.Args) < 2 || tests[os.Args[1]] == nil {
		log.Fatal("usage: natsload pubsub|requests|stored|fetched [flags]")
	}
	must(flag.CommandLine.Parse(os.Args[2:]))
	tests[os.Args[1]]()
}
