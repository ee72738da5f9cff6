// nats.go: publish and subscribe, wildcards, queue groups, requests, headers, drain.
package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"anymq.example/interop/cases"
	"github.com/nats-io/nats.go"
)

const wait = 5 * time.Second

func connect(options ...nats.Option) *nats.Conn {
	connection, err := nats.Connect("nats://"+os.Getenv("NATS"), options...)
	cases.Must(err)
	return connection
}

func next(subscription *nats.Subscription) *nats.Msg {
	message, err := subscription.NextMsg(wait)
	cases.Must(err)
	return message
}

func main() {
	cases.Run([]cases.Case{
		{Name: "publish and subscribe, in order", Body: func(ctx context.Context) error {
			publisher, subscriber := connect(), connect()
			defer publisher.Close()
			defer subscriber.Close()
			subject := cases.Unique("go")
			subscription, err := subscriber.SubscribeSync(subject)
			cases.Must(err)
			cases.Must(subscriber.Flush())
			for i := 0; i < 1000; i++ {
				cases.Must(publisher.Publish(subject, []byte(strconv.Itoa(i))))
			}
			cases.Must(publisher.Flush())
			for i := 0; i < 1000; i++ {
				cases.Equal(string(next(subscription).Data), strconv.Itoa(i), "data")
			}
			return nil
		}},
		{Name: "wildcards and queue groups", Body: func(ctx context.Context) error {
			own := connect()
			defer own.Close()
			subject := cases.Unique("go")
			var heard atomic.Int64
			for i := 0; i < 3; i++ {
				_, err := own.QueueSubscribe(subject+".*", "workers", func(*nats.Msg) { heard.Add(1) })
				cases.Must(err)
			}
			all, err := own.SubscribeSync(subject + ".>")
			cases.Must(err)
			for i := 0; i < 100; i++ {
				cases.Must(own.Publish(subject+".a", nil))
			}
			for i := 0; i < 100; i++ {
				cases.Equal(next(all).Subject, subject+".a", "subject")
			}
			cases.Must(own.Drain())
			for !own.IsClosed() {
				time.Sleep(time.Millisecond)
			}
			cases.Equal(heard.Load(), int64(100), "heard by the group")
			return nil
		}},
		{Name: "requests, with and without responders", Body: func(ctx context.Context) error {
			asking, answering := connect(), connect()
			defer asking.Close()
			defer answering.Close()
			subject := cases.Unique("go")
			_, err := answering.Subscribe(subject, func(message *nats.Msg) { cases.Must(message.Respond(message.Data)) })
			cases.Must(err)
			cases.Must(answering.Flush())
			for i := 0; i < 50; i++ {
				answer, err := asking.Request(subject, []byte(strconv.Itoa(i)), wait)
				cases.Must(err)
				cases.Equal(string(answer.Data), strconv.Itoa(i), "answer")
			}
			_, err = asking.Request(cases.Unique("nobody"), nil, wait)
			cases.Equal(errors.Is(err, nats.ErrNoResponders), true, "no responders")
			return nil
		}},
		{Name: "headers", Body: func(ctx context.Context) error {
			own := connect()
			defer own.Close()
			subject := cases.Unique("go")
			subscription, err := own.SubscribeSync(subject)
			cases.Must(err)
			message := nats.NewMsg(subject)
			message.Header.Add("Colour", "blue")
			message.Header.Add("Colour", "green")
			message.Data = []byte("x")
			cases.Must(own.PublishMsg(message))
			cases.Equal(next(subscription).Header.Values("Colour"), []string{"blue", "green"}, "headers")
			return nil
		}},
		{Name: "auto-unsubscribe, and no echo", Body: func(ctx context.Context) error {
			own, silent := connect(), connect(nats.NoEcho())
			defer own.Close()
			defer silent.Close()
			subject := cases.Unique("go")
			limited, err := own.SubscribeSync(subject)
			cases.Must(err)
			cases.Must(limited.AutoUnsubscribe(2))
			cases.Must(own.Flush())
			deaf, err := silent.SubscribeSync(subject)
			cases.Must(err)
			for i := 0; i < 3; i++ {
				cases.Must(silent.Publish(subject, []byte(strconv.Itoa(i))))
			}
			cases.Must(silent.Flush())
			cases.Equal(string(next(limited).Data)+string(next(limited).Data), "01", "two messages")
			_, err = limited.NextMsg(wait)
			cases.Equal(errors.Is(err, nats.ErrMaxMessages), true, "no third")
			pending, _, err := deaf.Pending()
			cases.Must(err)
			cases.Equal(pending, 0, "own messages")
			return nil
		}},
	})
}
