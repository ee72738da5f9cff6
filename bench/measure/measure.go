// What the load generators beside this have in common: the one line of JSON that they print, and giving up.
package measure

import (
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"slices"
	"time"
)

// Must gives up where nothing can be measured.
func Must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// Report prints messages a second, p50 and p99 in microseconds where there are latencies, and what else is given.
func Report(messages int, took time.Duration, latencies []time.Duration, more map[string]any) {
	figures := map[string]any{"messages": messages, "seconds": took.Seconds(), "perSecond": float64(messages) / took.Seconds()}
	if len(latencies) > 0 {
		slices.Sort(latencies)
		at := func(part float64) float64 {
			return float64(latencies[int(part*float64(len(latencies)-1))].Nanoseconds()) / 1000
		}
		figures["p50Us"], figures["p99Us"] = at(0.5), at(0.99)
	}
	maps.Copy(figures, more)
	text, err := json.Marshal(figures)
	Must(err)
	fmt.Println(string(text))
}
