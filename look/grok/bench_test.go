package grok

import (
	"slices"
	"testing"
	"time"
)

// benchmarkEpoch is one full-batch epoch, the update included. Besides the mean
// it reports the quickest epoch, which other work on the machine disturbs
// least, and the median.
func benchmarkEpoch(b *testing.B, group string, width int) {
	t, err := NewTrainer(cogsSettings(group, width, 1))
	if err != nil {
		b.Fatal(err)
	}
	var times []time.Duration
	for b.Loop() {
		began := time.Now()
		if _, err := t.Step(); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	b.ReportMetric(times[0].Seconds()*1e3, "min-ms")
	b.ReportMetric(times[len(times)/2].Seconds()*1e3, "median-ms")
}

// The names are those that scripts/bench/grok.sh asks for.
func BenchmarkEpoch11x128(b *testing.B)  { benchmarkEpoch(b, "Z11", 128) }
func BenchmarkEpoch23x512(b *testing.B)  { benchmarkEpoch(b, "Z23", 512) }
func BenchmarkEpoch71x512(b *testing.B)  { benchmarkEpoch(b, "Z71", 512) }
func BenchmarkEpoch127x512(b *testing.B) { benchmarkEpoch(b, "Z127", 512) }
