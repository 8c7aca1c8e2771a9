package mfa_test

import (
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

const day = 24 * time.Hour

func TestDuration(t *testing.T) {
	for words, want := range map[string]time.Duration{
		"0": 0, "14d": 14 * day, "1d12h": day + 12*time.Hour, "1d12h30m15s": day + 12*time.Hour + 30*time.Minute + 15*time.Second,
		"1.5d": 36 * time.Hour, "36h": 36 * time.Hour, "1h30m": 90 * time.Minute, "90s": 90 * time.Second, "0d": 0, "36500d": 36500 * day,
	} {
		if got, err := mfa.ParseDuration(words); got != want || err != nil {
			t.Errorf("%q is %v, %v, want %v", words, got, err, want)
		}
	}
	// What wraps around, or is no number, must not become a short time, or a long one.
	for _, words := range []string{
		"", "d", "soon", "1", "-1h", "-1d", "1d-1h", "1h1d", "1d1d", "NaNd", "Infd", "1e300d", "36501d", "9999999999h", "36500d2562047h", "1 d", "0x1pd",
		"1111111111111111111111111111111111111111111111111111111111111111h",
	} {
		if got, err := mfa.ParseDuration(words); err == nil {
			t.Errorf("%q is %v", words, got)
		}
	}
}

func TestDurationWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 14 * day: "14d", 36 * time.Hour: "36h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", time.Hour: "1h",
		90 * time.Second: "1m30s", 10 * time.Second: "10s", time.Hour + time.Second: "1h0m1s",
	} {
		if got := mfa.DurationWords(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
		if back, err := mfa.ParseDuration(want); back != d || err != nil {
			t.Errorf("%q is %v, %v", want, back, err)
		}
	}
}
