//go:build !testclock

package clock

import "time"

// Movable reports whether tests can move this build's clock.
const Movable = false

// Now returns the current time.
func Now() time.Time { return time.Now() }
