// amqp091-go, RabbitMQ's own Go client.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"anymq.example/interop/cases"
	amqp "github.com/rabbitmq/amqp091-go"
)

var server = os.Getenv("AMQP")

type session struct {
	*amqp.Channel
	connection *amqp.Connection
}

func open() session {
	connection, err := amqp.DialConfig(server, amqp.Config{Properties: amqp.Table{"connection_name": "interop-go"}, Heartbeat: 10 * time.Second, Dial: amqp.DefaultDial(5 * time.Second)})
	cases.Must(err)
	channel, err := connection.Channel()
	cases.Must(err)
	return session{channel, connection}
}

func (s session) close() { _ = s.connection.Close() }

func (s session) queue(arguments amqp.Table) string {
	name := cases.Unique("go")
	_, err := s.QueueDeclare(name, true, false, false, false, arguments)
	cases.Must(err)
	return name
}

func (s session) publish(ctx context.Context, exchange, key string, message amqp.Publishing) {
	cases.Must(s.PublishWithContext(ctx, exchange, key, false, false, message))
}

func receive(ctx context.Context, deliveries <-chan amqp.Delivery) amqp.Delivery {
	select {
	case delivery, ok := <-deliveries:
		if !ok {
			panic("the consumer's channel was closed")
		}
		return delivery
	case <-ctx.Done():
		panic("no delivery came")
	}
}

func (s session) get(name string) (amqp.Delivery, bool) {
	delivery, ok, err := s.Get(name, true)
	cases.Must(err)
	return delivery, ok
}

func text(body string) amqp.Publishing {
	return amqp.Publishing{Body: []byte(body), DeliveryMode: amqp.Persistent}
}

func main() {
	cases.Run([]cases.Case{
		{Name: "publish with confirms, consume with prefetch, acknowledge", Body: func(ctx context.Context) error {
			s := open()
			defer s.close()
			cases.Must(s.Confirm(false))
			name := s.queue(nil)
			var confirmations []*amqp.DeferredConfirmation
			for i := range 500 {
				confirmation, err := s.PublishWithDeferredConfirmWithContext(ctx, "", name, false, false, text(fmt.Sprint(i)))
				cases.Must(err)
				confirmations = append(confirmations, confirmation)
			}
			for _, confirmation := range confirmations {
				ok, err := confirmation.WaitContext(ctx)
				cases.Must(err)
				cases.Equal(ok, true, "confirmed")
			}
			cases.Must(s.Qos(20, 0, false))
			deliveries, err := s.Consume(name, "", false, false, false, false, nil)
			cases.Must(err)
			for i := range 500 {
				delivery := receive(ctx, deliveries)
				cases.Equal(string(delivery.Body), fmt.Sprint(i), "order")
				if i%10 == 9 {
					cases.Must(delivery.Ack(true))
				}
			}
			state, err := s.QueueDeclarePassive(name, true, false, false, false, nil)
			cases.Must(err)
			cases.Equal([]int{state.Messages, state.Consumers}, []int{0, 1}, "messages and consumers")
			return nil
		}},
		{Name: "mandatory: returned with 312, then confirmed", Body: func(ctx context.Context) error {
			s := open()
			defer s.close()
			cases.Must(s.Confirm(false))
			returns := s.NotifyReturn(make(chan amqp.Return, 1))
			confirmation, err := s.PublishWithDeferredConfirmWithContext(ctx, "", cases.Unique("nowhere"), true, false, text("lost"))
			cases.Must(err)
			ok, err := confirmation.WaitContext(ctx)
			cases.Must(err)
			cases.Equal(ok, true, "confirmed")
			returned := <-returns
			cases.Equal([]any{returned.ReplyCode, string(returned.Body)}, []any{uint16(312), "lost"}, "return")
			return nil
		}},
		{Name: "headers of every type come back", Body: func(ctx context.Context) error {
			s := open()
			defer s.close()
			name := s.queue(nil)
			headers := amqp.Table{"bool": true, "int8": int8(-3), "byte": byte(200), "int16": int16(-300), "int32": int32(-70000), "int64": int64(1) << 40, "float32": float32(1.5),
				"float64": 2.25, "decimal": amqp.Decimal{Scale: 2, Value: 314}, "string": "häder", "bytes": []byte{0, 255}, "time": time.Unix(1700000000, 0), "nil": nil,
				"array": []any{int32(1), "two", amqp.Table{"three": int32(3)}}, "table": amqp.Table{"inner": amqp.Table{"deep": "yes"}}}
			s.publish(ctx, "", name, amqp.Publishing{Headers: headers, ContentType: "a/b", ContentEncoding: "x", DeliveryMode: 2, Priority: 3, CorrelationId: "c", ReplyTo: "r", Expiration: "60000",
				MessageId: "m", Timestamp: time.Unix(1700000001, 0), Type: "t", AppId: "a", Body: []byte("b")})
			delivery, ok := s.get(name)
			cases.Equal(ok, true, "a message is there")
			for key, want := range headers {
				if at, isTime := want.(time.Time); isTime {
					cases.Equal(delivery.Headers[key].(time.Time).Unix(), at.Unix(), key)
					continue
				}
				cases.Equal(delivery.Headers[key], want, key)
			}
			cases.Equal([]any{delivery.ContentType, delivery.ContentEncoding, delivery.Priority, delivery.CorrelationId, delivery.ReplyTo, delivery.Expiration, delivery.MessageId, delivery.Timestamp.Unix(), delivery.Type, delivery.AppId},
				[]any{"a/b", "x", byte(3), "c", "r", "60000", "m", int64(1700000001), "t", "a"}, "properties")
			return nil
		}},
		{Name: "reject dead-letters with x-death", Body: func(ctx context.Context) error {
			s := open()
			defer s.close()
			dead := s.queue(nil)
			name := s.queue(amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
			s.publish(ctx, "", name, text("poison"))
			deliveries, err := s.Consume(name, "", false, false, false, false, nil)
			cases.Must(err)
			cases.Must(receive(ctx, deliveries).Nack(false, true))
			again := receive(ctx, deliveries)
			cases.Equal(again.Redelivered, true, "redelivered")
			cases.Must(again.Reject(false))
			fromDead, err := s.Consume(dead, "", true, false, false, false, nil)
			cases.Must(err)
			delivery := receive(ctx, fromDead)
			death := delivery.Headers["x-death"].([]any)[0].(amqp.Table)
			cases.Equal([]any{death["reason"], death["queue"], death["count"], death["exchange"]}, []any{"rejected", name, int64(1), ""}, "x-death")
			return nil
		}},
		{Name: "exchanges: direct, fanout, topic, headers, exchange to exchange", Body: func(ctx context.Context) error {
			s := open()
			defer s.close()
			for _, kind := range []string{"direct", "fanout", "topic", "headers"} {
				exchange, outer := cases.Unique("go."+kind), cases.Unique("go.outer")
				cases.Must(s.ExchangeDeclare(exchange, kind, true, false, false, false, nil))
				cases.Must(s.ExchangeDeclare(outer, "fanout", true, false, false, false, nil))
				cases.Must(s.ExchangeBind(exchange, "", outer, false, nil))
				name := s.queue(nil)
				arguments := amqp.Table{}
				if kind == "headers" {
					arguments = amqp.Table{"x-match": "all", "a": int32(1), "b": "two"}
				}
				key := map[string]string{"direct": "k", "fanout": "", "topic": "a.*.#", "headers": ""}[kind]
				cases.Must(s.QueueBind(name, key, exchange, false, arguments))
				hit := text("hit")
				hit.Headers = amqp.Table{"a": int32(1), "b": "two", "c": true}
				hitKey := map[string]string{"direct": "k", "fanout": "any", "topic": "a.b.c.d", "headers": ""}[kind]
				s.publish(ctx, exchange, hitKey, hit)
				miss := text("miss")
				miss.Headers = amqp.Table{"a": int32(1)}
				s.publish(ctx, exchange, "a", miss)
				expected := 1
				if kind == "fanout" {
					expected = 2
				}
				for range expected {
					_, ok := s.get(name)
					cases.Equal(ok, true, kind)
				}
				_, ok := s.get(name)
				cases.Equal(ok, false, kind+" delivers no more")
				if kind == "headers" {
					continue
				}
				s.publish(ctx, outer, hitKey, hit)
				_, ok = s.get(name)
				cases.Equal(ok, kind != "nothing", "through the outer exchange to "+kind)
			}
			return nil
		}},
		{Name: "transactions: rollback, then commit", Body: func(ctx context.Context) error {
			s := open()
			defer s.close()
			name := s.queue(nil)
			cases.Must(s.Tx())
			s.publish(ctx, "", name, text("never"))
			cases.Must(s.TxRollback())
			s.publish(ctx, "", name, text("now"))
			watcher := open()
			defer watcher.close()
			_, ok := watcher.get(name)
			cases.Equal(ok, false, "invisible before the commit")
			cases.Must(s.TxCommit())
			delivery, ok := watcher.get(name)
			cases.Equal([]any{ok, string(delivery.Body)}, []any{true, "now"}, "after the commit")
			return nil
		}},
		{Name: "errors close the channel with the right code", Body: func(ctx context.Context) error {
			expect := func(code int, err error) {
				var failure *amqp.Error
				cases.Equal(errors.As(err, &failure), true, fmt.Sprintf("an AMQP error: %v", err))
				cases.Equal(failure.Code, code, failure.Reason)
			}
			one := open()
			defer one.close()
			_, err := one.QueueDeclarePassive(cases.Unique("missing"), true, false, false, false, nil)
			expect(404, err)
			two := open()
			defer two.close()
			name := two.queue(nil)
			_, err = two.QueueDeclare(name, false, false, false, false, nil)
			expect(406, err)
			three := open()
			defer three.close()
			closed := three.NotifyClose(make(chan *amqp.Error, 1))
			three.publish(ctx, cases.Unique("missing"), "k", text("x"))
			select {
			case failure := <-closed:
				cases.Equal(failure.Code, 404, failure.Reason)
			case <-ctx.Done():
				panic("publishing to a missing exchange: the channel stays open")
			}
			return nil
		}},
		{Name: "a deleted queue cancels its consumer", Body: func(ctx context.Context) error {
			s := open()
			defer s.close()
			name := s.queue(nil)
			cancelled := s.NotifyCancel(make(chan string, 1))
			_, err := s.Consume(name, "the-tag", true, false, false, false, nil)
			cases.Must(err)
			other := open()
			defer other.close()
			_, err = other.QueueDelete(name, false, false, false)
			cases.Must(err)
			select {
			case tag := <-cancelled:
				cases.Equal(tag, "the-tag", "tag")
			case <-ctx.Done():
				panic("no basic.cancel")
			}
			return nil
		}},
		{Name: "a body of several frames", Body: func(ctx context.Context) error {
			s := open()
			defer s.close()
			name := s.queue(nil)
			body := make([]byte, 700_000)
			for i := range body {
				body[i] = byte(i * 7)
			}
			s.publish(ctx, "", name, amqp.Publishing{Body: body})
			var delivery amqp.Delivery
			for ok := false; !ok && ctx.Err() == nil; {
				delivery, ok = s.get(name)
			}
			cases.Equal(string(delivery.Body) == string(body), true, "the same bytes")
			return nil
		}},
	})
}
