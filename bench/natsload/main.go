// Load on a NATS server, AnyMQ or another, by nats.go. natsload TEST [flags] prints one line of JSON: messages a second, and p50 and p99 in
// microseconds where a latency is measured.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"log"
	"os"
	"strconv"
	"sync"
	"time"

	"anymq.example/measure"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	server = flag.String("server", "127.0.0.1:4222", "host:port")
	conns  = flag.Int("conns", 1, "connections")
	size   = flag.Int("size", 128, "bytes of a payload")
	count  = flag.Int("n", 100_000, "messages in all")
	subs   = flag.Int("subs", 1, "subscribers, each on a connection of its own")
	rate   = flag.Int("rate", 0, "messages a second of all publishers together; 0: as many as can be")
	window = flag.Int("window", 256, "unanswered publishes of a connection")
	stream = flag.String("stream", "BENCH", "stream, and the subject its messages have")
)

func connect() *nats.Conn {
	lost := func(_ *nats.Conn, err error) { log.Fatal("the connection was lost: ", err) }
	connection, err := nats.Connect("nats://"+*server, nats.MaxReconnects(0), nats.DisconnectErrHandler(lost))
	measure.Must(err)
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

// Each message to every subscriber; the latency is from the publish, or from when its turn was at a rate, to the handler. Deliveries are what is counted.
func pubSub() {
	var lock sync.Mutex
	var all []time.Duration
	var done sync.WaitGroup
	for range *subs {
		subscriber := connect()
		latencies := make([]time.Duration, 0, *count)
		done.Add(1)
		subscription, err := subscriber.Subscribe(*stream, func(message *nats.Msg) {
			latencies = append(latencies, time.Duration(time.Now().UnixNano()-int64(binary.LittleEndian.Uint64(message.Data))))
			if len(latencies) == *count / *conns * *conns {
				lock.Lock()
				all = append(all, latencies...)
				lock.Unlock()
				done.Done()
			}
		})
		measure.Must(err)
		measure.Must(subscription.SetPendingLimits(-1, -1))
		measure.Must(subscriber.Flush())
	}
	_, took := each(func(connection *nats.Conn, messages int) []time.Duration {
		begin := time.Now()
		for i := range messages {
			at := time.Now()
			if *rate > 0 {
				// What is late is measured from when it was due.
				at = begin.Add(time.Duration(i) * time.Second * time.Duration(*conns) / time.Duration(*rate))
				time.Sleep(time.Until(at))
			}
			payload := make([]byte, max(8, *size))
			binary.LittleEndian.PutUint64(payload, uint64(at.UnixNano()))
			measure.Must(connection.Publish(*stream, payload))
		}
		measure.Must(connection.Flush())
		done.Wait()
		return nil
	})
	measure.Report(len(all), took, all, nil)
}

func requests() {
	answering := connect()
	_, err := answering.Subscribe(*stream, func(message *nats.Msg) { measure.Must(message.Respond(message.Data)) })
	measure.Must(err)
	measure.Must(answering.Flush())
	latencies, took := each(func(connection *nats.Conn, messages int) []time.Duration {
		taken := make([]time.Duration, 0, messages)
		payload := make([]byte, *size)
		for range messages {
			begin := time.Now()
			_, err := connection.Request(*stream, payload, 10*time.Second)
			measure.Must(err)
			taken = append(taken, time.Since(begin))
		}
		return taken
	})
	measure.Report(len(latencies), took, latencies, nil)
}

func newStream() {
	js, err := jetstream.New(connect())
	measure.Must(err)
	_ = js.DeleteStream(context.Background(), *stream)
	_, err = js.CreateStream(context.Background(), jetstream.StreamConfig{Name: *stream, Subjects: []string{*stream}})
	measure.Must(err)
}

// Publishes that are answered when they are stored, a window of them under way on each connection.
func stored() {
	newStream()
	latencies, took := each(func(connection *nats.Conn, messages int) []time.Duration {
		js, err := jetstream.New(connection, jetstream.WithPublishAsyncMaxPending(*window))
		measure.Must(err)
		var taken []time.Duration
		var lock sync.Mutex
		var done sync.WaitGroup
		payload := make([]byte, *size)
		free := make(chan struct{}, *window)
		for range messages {
			free <- struct{}{}
			begin := time.Now()
			answer, err := js.PublishAsync(*stream, payload)
			measure.Must(err)
			done.Add(1)
			go func() {
				defer done.Done()
				select {
				case <-answer.Ok():
				case err := <-answer.Err():
					measure.Must(err)
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
	measure.Report(len(latencies), took, latencies, nil)
}

// What is in the stream, fetched in batches and acknowledged one by one.
func fetched() {
	js, err := jetstream.New(connect())
	measure.Must(err)
	consumer, err := js.CreateConsumer(context.Background(), *stream, jetstream.ConsumerConfig{
		Durable: "bench" + strconv.Itoa(os.Getpid()), AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 10_000,
	})
	measure.Must(err)
	begin := time.Now()
	got := 0
	for got < *count {
		batch, err := consumer.Fetch(min(*window, *count-got), jetstream.FetchMaxWait(10*time.Second))
		measure.Must(err)
		before := got
		for message := range batch.Messages() {
			measure.Must(message.Ack())
			got++
		}
		measure.Must(batch.Error())
		if got == before {
			log.Fatalf("only %d messages came", got)
		}
	}
	measure.Report(got, time.Since(begin), nil, nil)
}

func main() {
	tests := map[string]func(){"pubsub": pubSub, "requests": requests, "stored": stored, "fetched": fetched}
	if len(os.Args) < 2 || tests[os.Args[1]] == nil {
		log.Fatal("usage: natsload pubsub|requests|stored|fetched [flags]")
	}
	measure.Must(flag.CommandLine.Parse(os.Args[2:]))
	tests[os.Args[1]]()
}
