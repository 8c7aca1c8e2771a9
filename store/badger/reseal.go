package badger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// resealRow says how far sealing anew has come.
var resealRow = row{store.Meta, "reseal"}

// resealOrder are the tables with records, in the order in which they are sealed anew. The
// first holds the anchor, which shows at each start whether the keys are the right ones:
// with an old key file put back, nothing opens.
var resealOrder = []store.Table{
	store.Meta, store.Policy, store.Organizations, store.APIKeys, store.Campaigns, store.Users, store.UniqueKeys,
	store.Attempts, store.Challenges, store.Sessions, store.Counters, store.Events,
}

// Several small writes rather than one: whoever has one of the rows to themselves meanwhile
// is waited for, and waits.
const (
	resealRows  = 32
	resealBytes = 48 << 10
)

// oldRecord is a record that another key than the primary one sealed.
type oldRecord struct {
	row
	lock string // the name under which others change it; "": none
}

// Reseal implements store.Resealer. The cursor is the row's name in hex.
func (s *Store) Reseal(ctx context.Context, after string, limit int) (store.ResealStep, error) {
	from, err := hex.DecodeString(after)
	if err != nil {
		return store.ResealStep{}, mfa.ErrCursor
	}
	var step store.ResealStep
	var old []oldRecord
	last, size := "", 0
	err = s.view(ctx, func(txn *badger.Txn) error {
		return s.records(txn, string(from), func(r row, item *badger.Item) (bool, error) {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			add := 0
			if err := item.Value(func(record []byte) error {
				if !s.codec.Current(record) {
					add = len(record)
				}
				return nil
			}); err != nil {
				return false, err
			}
			if step.Looked >= limit || add > 0 && len(old) > 0 && (len(old) >= resealRows || size+add > resealBytes) {
				step.Next = hex.EncodeToString([]byte(last))
				return false, nil
			}
			last = prefixes[r.table] + r.id
			step.Looked++
			if add == 0 {
				return true, nil
			}
			return true, item.Value(func(record []byte) error {
				lock, err := s.lockOf(r, record)
				if errors.Is(err, store.ErrDamaged) {
					step.Damaged++
					return nil
				}
				old, size = append(old, oldRecord{r, lock}), size+add
				return err
			})
		})
	})
	if err != nil {
		return store.ResealStep{}, fmt.Errorf("sealing records anew: %w", err)
	}
	if len(old) == 0 {
		return step, nil
	}
	var names []string
	for _, o := range old {
		if o.lock != "" {
			names = append(names, o.lock)
		}
	}
	var sealed, damaged int
	err = s.update(ctx, names, func(w *writing) (err error) {
		// What it says stays the same, so nothing has to be anchored for it.
		w.quiet, sealed, damaged = true, 0, 0
		for _, o := range old {
			done, err := w.reseal(o.row)
			switch {
			case errors.Is(err, store.ErrDamaged):
				damaged++ // one of them must not keep all others from it
			case err != nil:
				return err
			case done:
				sealed++
			}
		}
		return nil
	})
	if err != nil {
		return store.ResealStep{}, fmt.Errorf("sealing records anew: %w", err)
	}
	step.Sealed, step.Damaged = sealed, step.Damaged+damaged
	return step, nil
}

// reseal seals the record anew where it is still there and still sealed with another key.
// It keeps the moment at which it goes.
func (w *writing) reseal(r row) (done bool, err error) {
	item, err := w.Get(r.key())
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil // it went meanwhile
	}
	if err != nil {
		return false, fmt.Errorf("reading from the store: %w", err)
	}
	record, err := item.ValueCopy(nil)
	if err != nil {
		return false, fmt.Errorf("reading from the store: %w", err)
	}
	if w.s.codec.Current(record) {
		return false, nil
	}
	if record, err = w.s.codec.Reseal(record, r.table, r.id); err != nil {
		return false, err
	}
	e := badger.NewEntry(r.key(), record)
	e.ExpiresAt = item.ExpiresAt()
	if err := w.SetEntry(e); err != nil {
		return false, fmt.Errorf("writing to the store: %w", err)
	}
	w.wrote = true
	return true, nil
}

// records calls fn with every record behind the row of that name, in the order of
// resealOrder.
func (s *Store) records(txn *badger.Txn, after string, fn func(row, *badger.Item) (more bool, err error)) error {
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false // they stand beside the names
	begin := 0
	if after != "" {
		begin = slices.IndexFunc(resealOrder, func(t store.Table) bool { return len(after) >= 2 && prefixes[t] == after[:2] })
		if begin < 0 {
			return mfa.ErrCursor
		}
	}
	for _, t := range resealOrder[begin:] {
		more, err := s.recordsOf(txn, t, after, opts, fn)
		if err != nil || !more {
			return err
		}
		after = ""
	}
	return nil
}

func (s *Store) recordsOf(txn *badger.Txn, t store.Table, after string, opts badger.IteratorOptions, fn func(row, *badger.Item) (bool, error)) (more bool, err error) {
	opts.Prefix = []byte(prefixes[t])
	it := txn.NewIterator(opts)
	defer it.Close()
	from := prefixes[t]
	if after != "" {
		from = after
	}
	for it.Seek([]byte(from)); it.Valid(); it.Next() {
		key := string(it.Item().Key())
		if key == after {
			continue
		}
		if more, err := fn(row{t, key[len(prefixes[t]):]}, it.Item()); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// lockOf returns the name under which others change the record. Whose it is stands in some
// records alone.
func (s *Store) lockOf(r row, record []byte) (string, error) {
	switch r.table {
	case store.Users:
		return userLock(mfa.UserID(r.id)), nil
	case store.UniqueKeys:
		var h holder
		err := s.codec.Decode(record, r.table, r.id, &h)
		return userLock(h.User), err
	case store.Sessions:
		var of store.Session
		err := s.codec.Decode(record, r.table, r.id, &of)
		return userLock(of.Session.User), err
	case store.Attempts:
		return attemptsLock(r.id), nil
	case store.Challenges:
		return challengeLock(r.id), nil
	case store.Organizations:
		return organizationLock(mfa.OrganizationID(r.id)), nil
	case store.Policy:
		return policyLock, nil
	case store.APIKeys:
		return apiKeyLock(r.id), nil
	case store.Campaigns:
		return campaignLock(mfa.OrganizationID(r.id)), nil
	case store.Counters:
		return "counters:" + strconv.Itoa(int(r.id[len(r.id)-1])), nil
	}
	// Events are never changed, and who writes a row of Meta tries again where we came in
	// between.
	return "", s.codec.Decode(record, r.table, r.id, new(any))
}

// CountRecords implements store.Resealer.
func (s *Store) CountRecords(ctx context.Context) (int, error) {
	n := 0
	err := s.view(ctx, func(txn *badger.Txn) error {
		return s.records(txn, "", func(row, *badger.Item) (bool, error) {
			n++
			return true, ctx.Err()
		})
	})
	return n, err
}

// ResealProgress implements store.Resealer.
func (s *Store) ResealProgress(ctx context.Context) (store.ResealProgress, error) {
	var p store.ResealProgress
	err := s.view(ctx, func(txn *badger.Txn) error { return s.read(txn, resealRow, &p) })
	if errors.Is(err, mfa.ErrNotFound) {
		return store.ResealProgress{}, nil
	}
	return p, err
}

// KeepResealProgress implements store.Resealer.
func (s *Store) KeepResealProgress(ctx context.Context, p store.ResealProgress) error {
	return s.update(ctx, nil, func(w *writing) error {
		w.quiet = true
		return w.put(resealRow, p, 0)
	})
}

var _ store.Resealer = (*Store)(nil)
