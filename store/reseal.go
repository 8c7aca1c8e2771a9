package store

import (
	"context"
	"time"
)

// Resealer is a store whose records can be sealed anew while it is used.
type Resealer interface {
	// Reseal looks at up to limit records behind after ("": from the first one on), seals
	// those anew that another key than the primary one sealed, and announces nothing: what
	// they say stays the same. What was sealed is durable when it returns. The first ones
	// are those that show at the next start whether the keys are the right ones.
	Reseal(ctx context.Context, after string, limit int) (ResealStep, error)
	// CountRecords returns about how many there are, for a progress bar.
	CountRecords(ctx context.Context) (int, error)
	// ResealProgress returns what was kept last, the zero value where nothing was.
	ResealProgress(ctx context.Context) (ResealProgress, error)
	// KeepResealProgress keeps how far it is, so that it goes on from there after a
	// restart, on whatever node.
	KeepResealProgress(ctx context.Context, p ResealProgress) error
}

// ResealStep is what one call of Reseal did.
type ResealStep struct {
	Next    string // where to go on; "": that was the last record
	Looked  int
	Sealed  int
	Damaged int // cannot be read with any key, and stay as they are
}

// ResealProgress says how far a pass over all records is.
type ResealProgress struct {
	Key      string    `json:"key"` // the primary one, which the pass seals with
	After    string    `json:"after,omitempty"`
	Began    time.Time `json:"began"`
	Finished time.Time `json:"finished,omitzero"`
	Total    int       `json:"total"`
	Looked   int       `json:"looked"`
	Sealed   int       `json:"sealed"`
	Damaged  int       `json:"damaged,omitempty"`
}
