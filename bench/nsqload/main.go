// Load on nsqd, AnyMQ or the real one, by go-nsq. nsqload TEST [flags] prints one line of JSON: messages a second, and p50 and p99 in microseconds
// where a latency is measured.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nsqio/go-nsq"
)

var (
	server = flag.String("server", "127.0.0.1:4150", "host:port of nsqd")
	topic  = flag.String("topic", "bench", "topic")
	conns  = flag.Int("conns", 1, "connections")
	size   = flag.Int("size", 200, "bytes of a message")
	count  = flag.Int("n", 100_000, "messages in all")
	batch  = flag.Int("batch", 1, "messages of a publish; 1: PUB, else MPUB")
	limit  = flag.Duration("limit", 120*time.Second, "give up by then")
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// Each connection has one publish at a time.
func publish() {
	producers := make([]*nsq.Producer, *conns)
	for i := range producers {
		producer, err := nsq.NewProducer(*server, nsq.NewConfig())
		must(err)
		producer.SetLoggerLevel(nsq.LogLevelError)
		must(producer.Ping())
		producers[i] = producer
	}
	bodies := make([][]byte, *batch)
	for i := range bodies {
		bodies[i] = make([]byte, *size)
	}
	var lock sync.Mutex
	var done sync.WaitGroup
	var all []time.Duration
	rounds := *count / *conns / *batch
	begin := time.Now()
	for _, producer := range producers {
		done.Add(1)
		go func() {
			defer done.Done()
			taken := make([]time.Duration, 0, rounds)
			for range rounds {
				since := time.Now()
				if *batch == 1 {
					must(producer.Publish(*topic, bodies[0]))
				} else {
					must(producer.MultiPublish(*topic, bodies))
				}
				taken = append(taken, time.Since(since))
			}
			lock.Lock()
			all = append(all, taken...)
			lock.Unlock()
		}()
	}
	done.Wait()
	report(rounds**conns**batch, time.Since(begin), all)
}

// One consumer with so many connections' handlers, and as much in flight as the server allows.
func consume() {
	config := nsq.NewConfig()
	config.MaxInFlight = 2500
	consumer, err := nsq.NewConsumer(*topic, "bench", config)
	must(err)
	consumer.SetLoggerLevel(nsq.LogLevelError)
	var came atomic.Int64
	all := make(chan struct{})
	consumer.AddConcurrentHandlers(nsq.HandlerFunc(func(*nsq.Message) error {
		if came.Add(1) == int64(*count) {
			close(all)
		}
		return nil
	}), *conns)
	begin := time.Now()
	must(consumer.ConnectToNSQD(*server))
	<-all
	taken := time.Since(begin)
	consumer.Stop()
	<-consumer.StopChan
	report(*count, taken, nil)
}

func report(messages int, taken time.Duration, latencies []time.Duration) {
	line := map[string]float64{"perSecond": float64(messages) / taken.Seconds()}
	if len(latencies) > 0 {
		slices.Sort(latencies)
		at := func(share float64) float64 {
			return float64(latencies[int(share*float64(len(latencies)-1))].Microseconds())
		}
		line["p50"], line["p99"] = at(0.5), at(0.99)
	}
	text, err := json.Marshal(line)
	must(err)
	fmt.Println(string(text))
}

func main() {
	tests := map[string]func(){"publish": publish, "consume": consume}
	if len(os.Args) < 2 || tests[os.Args[1]] == nil {
		log.Fatal("nsqload publish|consume [flags]")
	}
	must(flag.CommandLine.Parse(os.Args[2:]))
	time.AfterFunc(*limit, func() { log.Fatal("over ", *limit) })
	tests[os.Args[1]]()
}
