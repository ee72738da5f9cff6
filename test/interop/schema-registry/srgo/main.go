// franz-go's registry client and wire format, with records that go through Kafka.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"anymq.example/interop/cases"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

type order struct {
	ID int `json:"id"`
}

const (
	first  = `{"type":"object","properties":{"id":{"type":"integer"}},"additionalProperties":false}`
	wider  = `{"type":"object","properties":{"id":{"type":"integer"},"note":{"type":"string"}},"additionalProperties":false}`
	narrow = `{"type":"object","properties":{"id":{"type":"string"}},"additionalProperties":false}`
)

func schema(text string) sr.Schema { return sr.Schema{Schema: text, Type: sr.TypeJSON} }

func fail(format string, values ...any) error { return fmt.Errorf(format, values...) }

func main() {
	registry, err := sr.NewClient(sr.URLs(os.Getenv("REGISTRY")))
	cases.Must(err)
	cases.Run([]cases.Case{
		{Name: "subjects, versions, ids and compatibility", Body: func(ctx context.Context) error {
			subject := cases.Unique("go") + "-value"
			made, err := registry.CreateSchema(ctx, subject, schema(first))
			cases.Must(err)
			if made.Version != 1 || made.Subject != subject {
				return fail("made %+v", made)
			}
			known, err := registry.LookupSchema(ctx, subject, schema(first))
			cases.Must(err)
			if known.ID != made.ID {
				return fail("found %d, not %d", known.ID, made.ID)
			}
			for text, compatible := range map[string]bool{wider: true, narrow: false} {
				result, err := registry.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), subject, -1, schema(text))
				cases.Must(err)
				if result.Is != compatible || (len(result.Messages) > 0) == compatible {
					return fail("compatibility of %s: %+v", text, result)
				}
			}
			_, err = registry.CreateSchema(ctx, subject, schema(narrow))
			var refused *sr.ResponseError
			if !errors.As(err, &refused) || refused.StatusCode != 409 {
				return fail("not refused: %v", err)
			}
			for _, result := range registry.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatNone}, subject) {
				cases.Must(result.Err)
			}
			_, err = registry.CreateSchema(ctx, subject, schema(narrow))
			cases.Must(err)
			versions, err := registry.SubjectVersions(ctx, subject)
			cases.Must(err)
			if len(versions) != 2 {
				return fail("versions %v", versions)
			}
			_, err = registry.DeleteSubject(ctx, subject, sr.SoftDelete)
			cases.Must(err)
			_, err = registry.DeleteSubject(ctx, subject, sr.HardDelete)
			cases.Must(err)
			if _, err = registry.SubjectVersions(ctx, subject); !errors.As(err, &refused) || refused.ErrorCode != 40401 {
				return fail("still there: %v", err)
			}
			return nil
		}},
		{Name: "records in the wire format through Kafka", Body: func(ctx context.Context) error {
			topic := cases.Unique("go")
			made, err := registry.CreateSchema(ctx, topic+"-value", schema(first))
			cases.Must(err)
			serde := sr.NewSerde()
			serde.Register(made.ID, order{}, sr.EncodeFn(json.Marshal), sr.DecodeFn(json.Unmarshal))
			client, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("KAFKA")), kgo.ConsumeTopics(topic), kgo.AllowAutoTopicCreation())
			cases.Must(err)
			defer client.Close()
			cases.Must(client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: serde.MustEncode(order{ID: 5})}).FirstErr())
			fetches := client.PollFetches(ctx)
			cases.Must(fetches.Err())
			var got order
			cases.Must(serde.Decode(fetches.Records()[0].Value, &got))
			if got.ID != 5 {
				return fail("got %+v", got)
			}
			return nil
		}},
	})
}
