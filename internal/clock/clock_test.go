package clock_test

import (
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/clock"
)

func TestNow_IsTheTime(t *testing.T) {
	if off := time.Since(clock.Now()).Abs(); off > time.Minute {
		t.Errorf("the clock is off by %s", off)
	}
}
