package store

import (
	"github.com/secondgate/secondgate/mfa"
)

// Session is what a store keeps of a session: the session, or the fact that it ended,
// which no compaction, no older copy of the row and no backup turns back.
type Session struct {
	Ended   bool        `json:"ended,omitempty"`
	Session mfa.Session `json:"session"`
}

// EndOf returns the fact that the session ended; of the session only what is needed to
// keep it for as long as its token could be shown again.
func EndOf(s *mfa.Session) Session {
	return Session{Ended: true, Session: mfa.Session{ID: s.ID, User: s.User, Expires: s.Expires}}
}

// Challenge is what a store keeps of a challenge: the challenge, or the fact that it was
// taken.
type Challenge struct {
	Taken     bool          `json:"taken,omitempty"`
	Challenge mfa.Challenge `json:"challenge"`
}

// TakingOf returns the fact that the challenge was taken.
func TakingOf(c *mfa.Challenge) Challenge {
	return Challenge{Taken: true, Challenge: mfa.Challenge{ID: c.ID, Expires: c.Expires}}
}

// EventCount says how many events there ever were, and how the chain of them ends.
type EventCount struct {
	Count uint64 `json:"count"`
	// Began is the number of the first event of the chain: those before it are older
	// than the chain. 0: there is none yet.
	Began uint64 `json:"began,omitempty"`
	Head  string `json:"head,omitempty"`
}

// EventStart says where the kept events of the chain begin, once some were forgotten.
type EventStart struct {
	First  uint64 `json:"first"`
	Before string `json:"before,omitempty"`
}
