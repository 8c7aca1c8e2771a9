package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/archive"
)

// Rows yields the rows of a store in the order of store.Exported, or an error as the last
// thing. It may be asked for them more than once.
type Rows = iter.Seq2[store.Row, error]

// errEnough ends an export whose rows nobody wants any more.
var errEnough = errors.New("enough")

// Store yields the rows of a store as it is when they are asked for.
func Store(ctx context.Context, s store.Portable) Rows {
	return func(yield func(store.Row, error) bool) {
		err := s.Export(ctx, func(r store.Row) error {
			if !yield(r, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(store.Row{}, err)
		}
	}
}

// Archive yields the rows of a backup, which unlock opens. It begins with the file anew each
// time.
func Archive(ctx context.Context, path string, unlock func(*archive.Reader) error) Rows {
	return func(yield func(store.Row, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(store.Row{}, err)
			return
		}
		defer f.Close()
		r, err := archive.NewReader(f)
		if err == nil {
			defer r.Close()
			err = unlock(r)
		}
		for err == nil {
			var row store.Row
			if row, err = r.Next(); err != nil {
				break
			}
			if !yield(row, nil) {
				return
			}
			err = ctx.Err()
		}
		if !errors.Is(err, io.EOF) {
			yield(store.Row{}, err)
		}
	}
}

// SignedOut yields the same rows with everything ended that may have been ended since they
// were written: sessions, whatever could be taken once, and browsers that stand for a
// second factor. An old backup would bring back the session of a thief that was ended, the
// link that was used, the browser that was lost (AC-025).
func SignedOut(rows Rows) Rows {
	return func(yield func(store.Row, error) bool) {
		for r, err := range rows {
			if err == nil {
				r, err = signedOut(r)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func signedOut(r store.Row) (store.Row, error) {
	var v any
	var err error
	switch r.Table {
	case store.Users:
		var u mfa.User
		if err = json.Unmarshal(r.Data, &u); err == nil && len(u.Remembered) > 0 {
			u.Remembered = nil
			v = &u
		}
	case store.Sessions:
		var s store.Session
		if err = json.Unmarshal(r.Data, &s); err == nil && !s.Ended {
			v = store.EndOf(&s.Session)
		}
	case store.Challenges:
		var c store.Challenge
		if err = json.Unmarshal(r.Data, &c); err == nil && !c.Taken {
			v = store.TakingOf(&c.Challenge)
		}
	}
	if err != nil {
		// The decoder's own words could repeat what it read.
		return r, fmt.Errorf("a row of table %s: %w", r.Table, store.ErrDamaged)
	}
	if v == nil {
		return r, nil
	}
	r.Data, err = json.Marshal(v)
	return r, err
}
