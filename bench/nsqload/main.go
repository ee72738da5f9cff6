// Load on nsqd, AnyMQ or the real one, by go-nsq. nsqload TEST [flags] prints one line of JSON: messages a second, and p50 and p99 in microseconds
// where a latency is measured.
package main

import (
	"flag"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"anymq.example/measure"
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

// Each connection has one publish at a time.
func publish() {
	producers := make([]*nsq.Producer, *conns)
	for i := range producers {
		producer, err := nsq.NewProducer(*server, nsq.NewConfig())
		measure.Must(err)
		producer.SetLoggerLevel(nsq.LogLevelError)
		measure.Must(producer.Ping())
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
					measure.Must(producer.Publish(*topic, bodies[0]))
				} else {
					measure.Must(producer.MultiPublish(*topic, bodies))
				}
				taken = append(taken, time.Since(since))
			}
			lock.Lock()
			all = append(all, taken...)
			lock.Unlock()
		}()
	}
	done.Wait()
	measure.Report(rounds**conns**batch, time.Since(begin), all, nil)
}

// One consumer with so many connections' handlers, and as much in flight as the server allows.
func consume() {
	config := nsq.NewConfig()
	config.MaxInFlight = 2500
	consumer, err := nsq.NewConsumer(*topic, "bench", config)
	measure.Must(err)
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
	measure.Must(consumer.ConnectToNSQD(*server))
	<-all
	taken := time.Since(begin)
	consumer.Stop()
	<-consumer.StopChan
	measure.Report(*count, taken, nil, nil)
}

func main() {
	tests := map[string]func(){"publish": publish, "consume": consume}
	if len(os.Args) < 2 || tests[os.Args[1]] == nil {
		log.Fatal("nsqload publish|consume [flags]")
	}
	measure.Must(flag.CommandLine.Parse(os.Args[2:]))
	time.AfterFunc(*limit, func() { log.Fatal("over ", *limit) })
	tests[os.Args[1]]()
}
