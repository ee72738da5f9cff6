// loadgen puts load on a broker by raw frames of its protocol, so that the client is never the slow side.
// loadgen TEST [flags] prints one line of JSON: messages, seconds, rate, and p50 and p99 in microseconds where a latency is measured.
package main

import (
	"flag"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"anymq.example/measure"
)

var (
	addr   = flag.String("addr", "", "host:port")
	conns  = flag.Int("conns", 1, "connections that publish")
	subs   = flag.Int("subs", 1, "subscribers, each of which gets everything")
	size   = flag.Int("size", 128, "payload bytes, at least 8")
	n      = flag.Int("n", 100000, "messages in all, or connections")
	qos    = flag.Int("qos", 0, "MQTT QoS")
	window = flag.Int("window", 100, "unconfirmed messages a connection")
	rate   = flag.Int("rate", 0, "messages a second in all, 0: as fast as it goes")
	hold   = flag.Duration("hold", 5*time.Second, "how long idle connections stay before the memory is read")
	pid    = flag.Int("pid", 0, "the broker's process, for its memory")
	limit  = flag.Duration("limit", 120*time.Second, "give up by then")
)

var tests = map[string]func(){
	"beanstalkd-put":  beanstalkdPut,
	"beanstalkd-work": beanstalkdWork,
	"mqtt":            mqttPublish,
	"mqtt-idle":       mqttIdle,
}

func main() {
	if len(os.Args) < 2 {
		log.Fatal("loadgen TEST [flags]")
	}
	measure.Must(flag.CommandLine.Parse(os.Args[2:]))
	test, ok := tests[os.Args[1]]
	if !ok {
		log.Fatal("no test ", os.Args[1])
	}
	time.AfterFunc(*limit, func() { log.Fatal("over ", *limit, ", done so far ", received.Load()) })
	test()
}

var received atomic.Int64

type latencies struct {
	mutex sync.Mutex
	all   []time.Duration
}

func (l *latencies) add(some []time.Duration) {
	l.mutex.Lock()
	l.all = append(l.all, some...)
	l.mutex.Unlock()
}

// share is what part i of parts has of a total.
func share(total, parts, i int) int {
	if i < total%parts {
		return total/parts + 1
	}
	return total / parts
}

// pace sleeps so that message i of a connection keeps to the wanted rate.
func pace(begin time.Time, i int) {
	if *rate == 0 {
		return
	}
	due := begin.Add(time.Duration(float64(i) * float64(time.Second) * float64(*conns) / float64(*rate)))
	time.Sleep(time.Until(due))
}

// workers runs work in count goroutines, and returns when all are back.
func workers(count int, work func(i int)) {
	var group sync.WaitGroup
	for i := range count {
		group.Add(1)
		go func() { defer group.Done(); work(i) }()
	}
	group.Wait()
}
