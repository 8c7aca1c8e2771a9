package store

import (
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// DefaultKeepEvents is how long events are kept where nothing else is said.
const DefaultKeepEvents = 90 * 24 * time.Hour

// How much longer a row stays than what it says is good for. It is expired by then: whoever
// reads it judges that by the clock.
const (
	ChallengeMargin = time.Hour
	TakenMargin     = 2 * time.Hour // of the fact that a challenge was taken
	// ImportMargin comes on top for the rows of a copy, so that they are still there when
	// it is compared.
	ImportMargin = 24 * time.Hour

	sessionMargin  = 24 * time.Hour
	halfDoneMargin = time.Hour // of a session that had only its first factor
	endedMargin    = 48 * time.Hour
)

// Margin returns how much longer the row stays than the session. The fact that one ended
// stays a day longer than the session's row could have, so that it can never be the first of
// the two to go.
func (s Session) Margin() time.Duration {
	switch {
	case s.Ended:
		return endedMargin
	case !s.Session.Complete:
		return halfDoneMargin
	}
	return sessionMargin
}

// AttemptsMargin returns until when counters are good for something, and how much longer
// they stay. High ones stay for ever: behind them may stand a lock that only an
// administrator opens, and time must not open it.
func AttemptsMargin(a mfa.Attempts) (until time.Time, margin time.Duration, forever bool) {
	const day = 24 * time.Hour
	switch {
	case !a.Forget.IsZero():
		// The budget of a window: whoever comes from many networks must not leave a row
		// for each.
		return a.Forget, time.Minute, false
	case a.Count < 5:
		return a.Until, 30 * day, false
	case a.Count < 20:
		return a.Until, 400 * day, false
	}
	return time.Time{}, 0, true
}
