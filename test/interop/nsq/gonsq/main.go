// go-nsq: publishing in every way, channels, requeues and attempts, lookup, compression.
package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"anymq.example/interop/cases"
	"github.com/nsqio/go-nsq"
)

const wait = 10 * time.Second

func topic() string { return strings.ReplaceAll(cases.Unique("go"), ".", "-") }

func producer(config *nsq.Config) *nsq.Producer {
	made, err := nsq.NewProducer(os.Getenv("NSQ"), config)
	cases.Must(err)
	made.SetLoggerLevel(nsq.LogLevelMax)
	return made
}

// Hands every message to `handle` until it is stopped.
func consume(of, channel string, config *nsq.Config, lookup bool, handle nsq.HandlerFunc) *nsq.Consumer {
	made, err := nsq.NewConsumer(of, channel, config)
	cases.Must(err)
	made.SetLoggerLevel(nsq.LogLevelMax)
	made.AddHandler(handle)
	if lookup {
		cases.Must(made.ConnectToNSQLookupd(os.Getenv("NSQLOOKUPD")))
	} else {
		cases.Must(made.ConnectToNSQD(os.Getenv("NSQ")))
	}
	return made
}

func next(messages <-chan string) string {
	select {
	case body := <-messages:
		return body
	case <-time.After(wait):
		panic("no message came")
	}
}

func collect(messages <-chan string, count int) []string {
	bodies := make([]string, count)
	for i := range bodies {
		bodies[i] = next(messages)
	}
	sort.Strings(bodies)
	return bodies
}

func stop(consumer *nsq.Consumer) {
	consumer.Stop()
	<-consumer.StopChan
}

func config(change func(*nsq.Config)) *nsq.Config {
	made := nsq.NewConfig()
	made.MaxInFlight = 100
	made.LookupdPollInterval = 50 * time.Millisecond
	change(made)
	return made
}

func plain(*nsq.Config) {}

func roundTrip(change func(*nsq.Config)) {
	name := topic()
	bodies := make(chan string, 1000)
	own := producer(config(change))
	defer own.Stop()
	cases.Must(own.Publish(name, []byte(strings.Repeat("x", 300_000))))
	consumer := consume(name, "c", config(change), false, func(message *nsq.Message) error {
		bodies <- string(message.Body)
		return nil
	})
	cases.Equal(len(next(bodies)), 300_000, "bytes")
	for i := 0; i < 500; i++ {
		cases.Must(own.PublishAsync(name, []byte(strconv.Itoa(i)), nil))
	}
	cases.Equal(len(collect(bodies, 500)), 500, "messages")
	stop(consumer)
}

func main() {
	cases.Run([]cases.Case{
		{Name: "every channel gets every message; its consumers share them", Body: func(ctx context.Context) error {
			name := topic()
			own := producer(config(plain))
			defer own.Stop()
			cases.Must(own.Publish(name, []byte("0")))
			var channels [2]chan string
			var consumers []*nsq.Consumer
			for i := range channels {
				channels[i] = make(chan string, 1000)
				// The second channel begins after the first message.
				for each := 0; each < 2; each++ {
					to := channels[i]
					consumers = append(consumers, consume(name, fmt.Sprint("c", i), config(plain), false, func(message *nsq.Message) error {
						to <- string(message.Body)
						return nil
					}))
				}
			}
			batch := make([][]byte, 200)
			for i := range batch {
				batch[i] = []byte(fmt.Sprintf("%03d", i+1))
			}
			cases.Must(own.MultiPublish(name, batch))
			first, second := collect(channels[0], 201), collect(channels[1], 200)
			cases.Equal(first[0], "0", "first")
			for i := range batch {
				cases.Equal(first[i+1], string(batch[i]), "of the first channel")
				cases.Equal(second[i], string(batch[i]), "of the second channel")
			}
			for _, each := range consumers {
				stop(each)
			}
			return nil
		}},
		{Name: "given back, with one attempt more each time; touched; deferred", Body: func(ctx context.Context) error {
			name := topic()
			own := producer(config(plain))
			defer own.Stop()
			done := make(chan string, 10)
			short := func(of *nsq.Config) { of.MsgTimeout = time.Second; of.BackoffStrategy = none{} }
			consumer := consume(name, "c", config(short), false, func(message *nsq.Message) error {
				if message.Attempts < 4 {
					message.RequeueWithoutBackoff(time.Duration(message.Attempts) * time.Millisecond)
					return nil
				}
				// Longer than its timeout.
				for i := 0; i < 3; i++ {
					time.Sleep(500 * time.Millisecond)
					message.Touch()
				}
				done <- fmt.Sprint(string(message.Body), " ", message.Attempts)
				return nil
			})
			cases.Must(own.DeferredPublish(name, 300*time.Millisecond, []byte("later")))
			since := time.Now()
			cases.Equal(next(done), "later 4", "body and attempts")
			if time.Since(since) < 300*time.Millisecond {
				panic("it came before its time")
			}
			stop(consumer)
			return nil
		}},
		{Name: "found by lookup, as soon as the topic is there", Body: func(ctx context.Context) error {
			name := topic()
			bodies := make(chan string, 10)
			consumer := consume(name, "c", config(plain), true, func(message *nsq.Message) error {
				bodies <- string(message.Body)
				return nil
			})
			own := producer(config(plain))
			defer own.Stop()
			cases.Must(own.Publish(name, []byte("found")))
			cases.Equal(next(bodies), "found", "body")
			stop(consumer)
			return nil
		}},
		{Name: "snappy", Body: func(ctx context.Context) error {
			roundTrip(func(of *nsq.Config) { of.Snappy = true })
			return nil
		}},
		{Name: "deflate", Body: func(ctx context.Context) error {
			roundTrip(func(of *nsq.Config) { of.Deflate = true; of.DeflateLevel = 2 })
			return nil
		}},
		{Name: "a topic and a channel that nobody keeps", Body: func(ctx context.Context) error {
			name := topic() + "#ephemeral"
			bodies := make(chan string, 10)
			consumer := consume(name, "c#ephemeral", config(plain), false, func(message *nsq.Message) error {
				bodies <- string(message.Body)
				return nil
			})
			own := producer(config(plain))
			defer own.Stop()
			cases.Must(own.Publish(name, []byte("heard")))
			cases.Equal(next(bodies), "heard", "body")
			stop(consumer)
			return nil
		}},
		{Name: "refused in its own words", Body: func(ctx context.Context) error {
			own := producer(config(plain))
			defer own.Stop()
			err := own.Publish("topic!", []byte("x"))
			if err == nil || !strings.HasPrefix(err.Error(), "E_BAD_TOPIC PUB topic name") {
				return fmt.Errorf("not refused: %v", err)
			}
			return nil
		}},
	})
}

type none struct{}

func (none) Calculate(int) time.Duration { return 0 }
