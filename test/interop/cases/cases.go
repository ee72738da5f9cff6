// Package cases runs a client program's cases and reports each as one line of JSON, which run.ts turns into a test.
package cases

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
)

type Case struct {
	Name string
	Body func(ctx context.Context) error
}

func Run(list []Case) {
	limit := 30 * time.Second
	if ms, err := strconv.Atoi(os.Getenv("CASE_MS")); err == nil {
		limit = time.Duration(ms) * time.Millisecond
	}
	out := json.NewEncoder(os.Stdout)
	for _, one := range list {
		if only := os.Getenv("CASE"); only != "" && !strings.Contains(one.Name, only) {
			continue
		}
		started := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		done := make(chan error, 1)
		go func() {
			defer func() {
				if cause := recover(); cause != nil {
					done <- fmt.Errorf("%v", cause)
				}
			}()
			done <- one.Body(ctx)
		}()
		var err error
		select {
		case err = <-done:
		case <-ctx.Done():
			err = fmt.Errorf("not done within %v", limit)
		}
		cancel()
		line := map[string]any{"case": one.Name, "ok": err == nil, "ms": time.Since(started).Milliseconds()}
		if err != nil {
			line["error"] = err.Error()
		}
		_ = out.Encode(line)
	}
	_ = out.Encode(map[string]any{"done": true})
	os.Exit(0)
}

func Unique(prefix string) string {
	return fmt.Sprintf("%s.%d.%06d", prefix, os.Getpid(), rand.Intn(1000000))
}

// Must panics with err, which fails the case that runs.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

func Equal(got, want any, what string) {
	if !reflect.DeepEqual(got, want) {
		panic(fmt.Sprintf("%s: got %v, expected %v", what, got, want))
	}
}
