package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
)

const (
	resealBatch = 512
	// settle is how long whoever sealed with the key that was the primary one until just
	// now may still take to write it.
	settle = 2 * time.Minute
	// minOverlap is the least that a key goes on verifying: an assertion and the list of
	// keys that an app keeps are over by then, whatever the sessions' own life.
	minOverlap = 20 * time.Minute
	keepEvery  = time.Second
)

// Rotation carries the change of the keys on, whoever began it: all of what it knows stands
// in the key set and in the store, so that any node goes on where another one stopped.
//
//	pending → (every node has it) → primary → (all records sealed anew, no token of the
//	one before lives) → the one before is removed
//
// It is safe for concurrent use; of several nodes one at a time works.
type Rotation struct {
	Keys  *seal.Keyset
	Store Resealer
	Locks mfa.Locks
	// Wait is how long a new key waits, so that every node knows it before anything is made
	// with it. 0 where there is one node.
	Wait time.Duration
	// Poll is how often the vault is looked at; 0: 30 s.
	Poll time.Duration
	// Life returns how long a token lives at most.
	Life   func() time.Duration
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: nobody is told

	wake chan struct{}
}

// NewRotation returns r, ready for use.
func NewRotation(r Rotation) *Rotation {
	if r.Poll == 0 {
		r.Poll = 30 * time.Second
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.Logger == nil {
		r.Logger = slog.New(slog.DiscardHandler)
	}
	r.wake = make(chan struct{}, 1)
	return &r
}

// Begin adds a new key. seal.ErrRotating where one waits already.
func (r *Rotation) Begin(ctx context.Context) (id string, err error) {
	id, err = r.Keys.Begin(ctx, r.Now())
	r.Wake()
	return id, err
}

// Wake has Run look at the vault at once.
func (r *Rotation) Wake() { signal(r.wake) }

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// RotationStatus is where the keys stand.
type RotationStatus struct {
	Keys []KeyStatus `json:"keys"`
	// Stage is "idle", "waiting" (for every node to have the new key), "sealing" (records
	// anew), or "overlap" (the key before still verifies what it signed).
	Stage    string         `json:"stage"`
	Progress ResealProgress `json:"progress,omitzero"`
}

// KeyStatus is a key, and when it goes.
type KeyStatus struct {
	seal.KeyInfo
	Until time.Time `json:"until,omitzero"` // not removed before; zero: it stays
}

// Status returns where the keys stand.
func (r *Rotation) Status(ctx context.Context) (*RotationStatus, error) {
	p, err := r.Store.ResealProgress(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading how far the sealing is: %w", err)
	}
	s := &RotationStatus{Stage: "idle"}
	keys := r.Keys.Keys()
	for _, k := range keys {
		st := KeyStatus{KeyInfo: k}
		switch k.Status {
		case seal.Pending:
			s.Stage = "waiting"
		case seal.DecryptOnly, seal.Retired:
			st.Until = r.until(k)
			if s.Stage == "idle" {
				s.Stage = "overlap"
			}
		}
		s.Keys = append(s.Keys, st)
	}
	if len(keys) > 1 && p.Key == keys[0].ID {
		s.Progress = p
	}
	if s.Stage == "overlap" && s.Progress.Finished.IsZero() {
		s.Stage = "sealing"
	}
	return s, nil
}

// until returns when the key may be removed at the earliest: nothing that it signed can be
// good by then, and whoever sealed with it has written that.
func (r *Rotation) until(k seal.KeyInfo) time.Time {
	if k.Status == seal.Retired {
		return k.Since.Add(settle)
	}
	return k.Since.Add(max(r.Life(), minOverlap) + settle)
}

// Run carries on what there is to do until ctx ends, and takes what other nodes made of the
// keys.
func (r *Rotation) Run(ctx context.Context) {
	changed := make(chan struct{}, 1)
	remove := r.Keys.OnChange(func() { signal(changed) })
	defer remove()
	// The vault is followed beside the work, which may take hours: a key that was stolen
	// must not go on signing here until all records are sealed anew (AC-197).
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() {
		r.repeat(ctx, r.wake, func(ctx context.Context) (time.Duration, error) { return r.Poll, r.Keys.Refresh(ctx) })
	})
	r.repeat(ctx, changed, r.round)
}

// repeat calls fn until ctx ends: when there is something to wake it, and after as long as
// it says.
func (r *Rotation) repeat(ctx context.Context, wake <-chan struct{}, fn func(context.Context) (time.Duration, error)) {
	tick := time.NewTimer(0)
	defer tick.Stop()
	var failing string
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-wake:
		}
		next, err := fn(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil, errors.Is(err, mfa.ErrBusy): // another node is at it
			failing = ""
		case err.Error() != failing: // once, and not at each look
			failing = err.Error()
			r.Logger.Error("keys: what is to be done with them could not be done; it is tried again", "error", err)
		}
		tick.Reset(next)
	}
}

// round does what there is to do now. It returns when to look again.
func (r *Rotation) round(ctx context.Context) (time.Duration, error) {
	if !r.due() {
		return r.Poll, nil
	}
	wait := r.Poll
	err := r.Locks.Exclusively(ctx, "rotation of the keys", func(ctx context.Context) error {
		for {
			began := time.Now()
			again, err := r.Step(ctx)
			if err != nil {
				return err
			}
			if again > 0 {
				wait = min(again, r.Poll)
				return nil
			}
			// As long as it took: who serves has at least half of the disk.
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(min(time.Since(began), time.Second)):
			}
		}
	})
	return wait, err
}

// due reports whether there is more than one key.
func (r *Rotation) due() bool { return len(r.Keys.Keys()) > 1 }

// Step does the next piece of work. It returns how long there is nothing to do from now on;
// 0: there is more.
func (r *Rotation) Step(ctx context.Context) (time.Duration, error) {
	keys, now := r.Keys.Keys(), r.Now()
	for _, k := range keys {
		if k.Status != seal.Pending {
			continue
		}
		if wait := k.Since.Add(r.Wait).Sub(now); r.Wait > 0 && wait > 0 {
			return wait, nil
		}
		if err := r.Keys.Promote(ctx, k.ID, now); err != nil {
			return 0, fmt.Errorf("making the new key the primary one: %w", err)
		}
		r.Logger.Info("keys: a new key seals and signs from now on", "key", k.ID)
		return 0, nil
	}
	if len(keys) < 2 {
		return time.Hour, nil
	}
	p, err := r.Store.ResealProgress(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading how far the sealing is: %w", err)
	}
	switch {
	case p.Key != keys[0].ID:
		return 0, r.beginPass(ctx, keys[0].ID)
	case p.Finished.IsZero():
		return 0, r.pass(ctx, p)
	}
	return r.remove(ctx, keys[1:], p)
}

// remove removes the first key that is over. Before it goes, all records are looked at once
// more: another node may have sealed one with it after they were looked at.
func (r *Rotation) remove(ctx context.Context, old []seal.KeyInfo, p ResealProgress) (time.Duration, error) {
	now := r.Now()
	wait := time.Hour
	for _, k := range old {
		until := r.until(k)
		if left := until.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		if p.Began.Before(k.Since.Add(settle)) {
			return 0, r.beginPass(ctx, p.Key)
		}
		if err := r.Keys.Remove(ctx, k.ID); err != nil && !errors.Is(err, seal.ErrNoKey) {
			return 0, fmt.Errorf("removing a key: %w", err)
		}
		r.Logger.Info("keys: an old key is removed: nothing is sealed with it, and no token of it lives", "key", k.ID)
		return 0, nil
	}
	return wait, nil
}

func (r *Rotation) beginPass(ctx context.Context, primary string) error {
	n, err := r.Store.CountRecords(ctx)
	if err != nil {
		return fmt.Errorf("counting records: %w", err)
	}
	return r.Store.KeepResealProgress(ctx, ResealProgress{Key: primary, Began: r.Now(), Total: n})
}

// pass goes on with a pass for a moment.
func (r *Rotation) pass(ctx context.Context, p ResealProgress) error {
	for began := time.Now(); ; {
		step, err := r.Store.Reseal(ctx, p.After, resealBatch)
		if err != nil {
			return err // it says what it was doing
		}
		p.After = step.Next
		p.Looked, p.Sealed, p.Damaged = p.Looked+step.Looked, p.Sealed+step.Sealed, p.Damaged+step.Damaged
		if step.Next == "" {
			p.Finished = r.Now()
			p.Total = p.Looked
			if p.Damaged > 0 {
				r.Logger.Error("keys: records that no key opens stay as they are; restore the newest backup", "count", p.Damaged)
			}
			r.Logger.Info("keys: all records are sealed with the new key", "looked", p.Looked, "sealed", p.Sealed)
		}
		if step.Next == "" || time.Since(began) > keepEvery {
			return r.Store.KeepResealProgress(ctx, p)
		}
	}
}

// Finish does what can be done now: until the new key is the primary one and all records
// are sealed with it. told is called now and then.
func (r *Rotation) Finish(ctx context.Context, told func(*RotationStatus)) error {
	return r.Locks.Exclusively(ctx, "rotation of the keys", func(ctx context.Context) error {
		for {
			wait, err := r.Step(ctx)
			if err != nil {
				return err
			}
			s, err := r.Status(ctx)
			if err != nil {
				return err
			}
			told(s)
			if s.Stage == "idle" || s.Stage == "overlap" {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(wait):
			}
		}
	})
}
