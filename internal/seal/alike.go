package seal

import (
	"context"
	"time"
)

// Alike runs work in one of the Hasher's slots, as Verify would run, and reports what it
// reports. Where work says no, the answer comes no sooner than that of a Hash of this
// Hasher would: how long a wrong password took must not tell a hash of another kind from
// ours (AC-115). Errors are ErrBusy, or that of the context; ok is then false.
//
// work must bound its own cost: the slot bounds how many run, not what one takes.
func (h *Hasher) Alike(ctx context.Context, work func() bool) (ok bool, err error) {
	if h.took.Load() == 0 {
		// Nothing was hashed yet in this process, so that nobody knows how long it takes.
		if _, err := h.Key(ctx, []byte("a password"), make([]byte, saltSize), h.params); err != nil {
			return false, err
		}
	}
	if err := h.acquire(ctx); err != nil {
		return false, err
	}
	defer func() { <-h.slots }()
	began := time.Now()
	if work() {
		return true, nil
	}
	rest := time.NewTimer(time.Duration(h.took.Load()) - time.Since(began))
	defer rest.Stop()
	select {
	case <-rest.C:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// measured keeps how long a hash at the Hasher's own cost takes, smoothed, so that one that
// met a busy moment does not decide alone.
func (h *Hasher) measured(p Params, took time.Duration) {
	if p != h.params {
		return
	}
	if was := h.took.Load(); was > 0 {
		took = (3*time.Duration(was) + took) / 4
	}
	h.took.Store(int64(max(took, 1)))
}
