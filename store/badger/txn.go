package badger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

const (
	tries = 8
	// Longer row names are nobody's: they come from outside.
	maxRow = 4 << 10
	// What is larger would go to Badger's value log, whose clean-up has brought
	// deleted rows back in past versions.
	valueThreshold = 256 << 10
)

// begin opens one operation; done ends it. Close waits for all of them: Badger
// reads from memory maps, and a read after they are gone ends the process.
func (s *Store) begin(ctx context.Context) (done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.use.RLock()
	if s.closed {
		s.use.RUnlock()
		return nil, ErrClosed
	}
	if d := s.damage.Load(); d != nil {
		s.use.RUnlock()
		return nil, d
	}
	if s.stuck.Load() {
		s.use.RUnlock()
		return nil, ErrStuck
	}
	return s.use.RUnlock, nil
}

// view runs fn on one consistent state of the store.
func (s *Store) view(ctx context.Context, fn func(*badger.Txn) error) error {
	done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	return fn(txn)
}

// update runs fn, and keeps all it wrote or nothing. What it wrote is on disk
// when update returns. Callers with one of the names in common run one after the
// other; where a change comes in between all the same, fn runs again. fn says what
// is announced once it is kept; a transaction that wrote nothing is neither kept
// nor announced.
func (s *Store) update(ctx context.Context, names []string, fn func(*writing) error) error {
	return s.keep(ctx, names, s.space.check, fn)
}

// takeAway is update for what only ends something: it goes on for as long as there
// is any room, because a disk that somebody fills must not keep a stolen session
// alive (AC-188, AC-191).
func (s *Store) takeAway(ctx context.Context, names []string, fn func(*writing) error) error {
	return s.keep(ctx, names, s.space.checkReserve, fn)
}

// keep is update where room says that there is room for it.
func (s *Store) keep(ctx context.Context, names []string, room func() error, fn func(*writing) error) error {
	changed, err := s.commit(ctx, names, room, fn)
	// Listeners run without any lock of ours: they may read the store.
	for _, user := range changed.users {
		s.announce(user)
	}
	if changed.organizations {
		s.announceOrganizations()
	}
	return err
}

// changes are what listeners are told of.
type changes struct {
	users         []mfa.UserID
	organizations bool
}

// writing is a transaction that writes.
type writing struct {
	*badger.Txn
	s       *Store
	held    []string // the names that it has to itself
	wrote   bool
	quiet   bool // what it writes is not a change that has to be anchored
	changed changes
}

func (s *Store) commit(ctx context.Context, names []string, room func() error, fn func(*writing) error) (changed changes, err error) {
	done, err := s.begin(ctx)
	if err != nil {
		return changes{}, err
	}
	defer done()
	if err := room(); err != nil {
		return changes{}, err
	}
	unlock, err := s.locks.Lock(ctx, names...)
	if err != nil {
		return changes{}, err
	}
	defer func() { unlock() }()
	for try := 0; try < tries; {
		if try > 0 {
			if err := pause(ctx, try); err != nil {
				return changes{}, err
			}
		}
		changed, err = s.attempt(names, fn)
		var need *needsLock
		switch {
		case errors.As(err, &need):
			// All are taken anew, in their one order: who waits for one and holds
			// another would wait for ever.
			unlock()
			names = append(slices.Clone(names), need.name)
			if unlock, err = s.locks.Lock(ctx, names...); err != nil {
				unlock = func() {}
				return changes{}, err
			}
		case errors.Is(err, badger.ErrConflict):
			try++
		default:
			return changed, err
		}
	}
	return changes{}, fmt.Errorf("writing to the store: other changes came in between %d times: %w", tries, err)
}

// needsLock stops a transaction that has to have another name to itself first.
type needsLock struct{ name string }

func (e *needsLock) Error() string { return "another lock is needed first: " + e.name }

// hold makes sure that nobody else writes under that name meanwhile. Where it
// answers an error, the transaction has to end with it, and runs again.
func (w *writing) hold(name string) error {
	if slices.Contains(w.held, name) {
		return nil
	}
	return &needsLock{name}
}

func (s *Store) attempt(names []string, fn func(*writing) error) (changes, error) {
	w := &writing{Txn: s.db.NewTransaction(true), s: s, held: names}
	defer w.Discard()
	if err := fn(w); err != nil {
		return changes{}, err
	}
	if !w.wrote {
		return changes{}, nil
	}
	if !w.quiet {
		s.dirty.Store(true)
	}
	err := w.Commit()
	switch {
	case err == nil:
		return w.changed, nil
	case errors.Is(err, badger.ErrConflict):
		return changes{}, err
	}
	if strings.Contains(err.Error(), "cannot create new mem table") {
		// Badger is left with nothing to write to, and would end the process at
		// the next read: from here on it is asked nothing more.
		s.stuck.Store(true)
		s.log.Error("store: no new table could be made; nobody can sign in until the gateway is started again", "error", err)
	}
	// Nobody can tell whether it was kept. Announcing a change that was not made
	// costs a look; missing one would let an ended session live on in a cache.
	return w.changed, fmt.Errorf("writing to the store: %w", err)
}

// pause waits a little longer each time, and never as long as the next caller.
func pause(ctx context.Context, try int) error {
	var b [1]byte
	_, _ = rand.Read(b[:])
	t := time.NewTimer(time.Duration(try) * time.Duration(256+int(b[0])) * 2 * time.Microsecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// row is one place in the store.
type row struct {
	table store.Table
	id    string
}

var prefixes = map[store.Table]string{
	store.Users: "u/", store.UniqueKeys: "k/", store.Sessions: "s/",
	store.Challenges: "c/", store.Attempts: "a/", store.Meta: "m/",
	store.Organizations: "o/", store.Policy: "p/", store.Events: "e/",
	store.APIKeys: "r/", store.Campaigns: "v/", store.Counters: "g/",
}

const (
	namePrefix     = "n/"
	sessionPrefix  = "x/"
	userPrefix     = "y/"
	decisionPrefix = "d/"
	facetPrefix    = "f/"
	termPrefix     = "t/"
	numberPrefix   = "i/"
	separator      = "\x00"
)

func (r row) key() []byte { return []byte(prefixes[r.table] + r.id) }

// read reads the record of r into v, or answers mfa.ErrNotFound.
func (s *Store) read(txn *badger.Txn, r row, v any) error {
	if len(r.id) > maxRow {
		return mfa.ErrNotFound
	}
	item, err := txn.Get(r.key())
	if errors.Is(err, badger.ErrKeyNotFound) {
		return mfa.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("reading from the store: %w", err)
	}
	var inner error
	err = item.Value(func(record []byte) error {
		inner = s.codec.Decode(record, r.table, r.id, v)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading from the store: %w", err)
	}
	return inner
}

// read is Store.read.
func (w *writing) read(r row, v any) error { return w.s.read(w.Txn, r, v) }

// taken reports whether there is anything at r.
func (w *writing) taken(r row) (bool, error) {
	_, err := w.Get(r.key())
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading from the store: %w", err)
	}
	return true, nil
}

// put keeps v at r, for as long as life says; 0 is for ever.
func (w *writing) put(r row, v any, life time.Duration) error {
	record, err := w.s.codec.Encode(r.table, r.id, v)
	if err != nil {
		return err
	}
	return w.set(r.key(), record, life)
}

func (w *writing) set(key, value []byte, life time.Duration) error {
	if len(key) > maxRow || len(value) >= valueThreshold {
		return fmt.Errorf("writing to the store: a record of %d bytes under a name of %d: %w", len(value), len(key), mfa.ErrTooLarge)
	}
	e := badger.NewEntry(key, value)
	if life > 0 {
		e = e.WithTTL(life)
	}
	err := w.SetEntry(e)
	if errors.Is(err, badger.ErrTxnTooBig) {
		err = mfa.ErrTooLarge
	}
	if err != nil {
		return fmt.Errorf("writing to the store: %w", err)
	}
	w.wrote = true
	return nil
}

func (w *writing) remove(key []byte) error {
	if err := w.Delete(key); err != nil {
		return fmt.Errorf("writing to the store: %w", err)
	}
	w.wrote = true
	return nil
}

// announces adds a user whose change is announced.
func (w *writing) announces(id mfa.UserID) {
	if !slices.Contains(w.changed.users, id) {
		w.changed.users = append(w.changed.users, id)
	}
}

// scan calls fn with what follows prefix in each key that has it, in order,
// beginning after the given one ("" for the first), until fn says to stop.
func scan(txn *badger.Txn, prefix, after string, fn func(rest string) (more bool, err error)) error {
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false
	opts.Prefix = []byte(prefix)
	it := txn.NewIterator(opts)
	defer it.Close()
	for it.Seek([]byte(prefix + after)); it.Valid(); it.Next() {
		rest := string(it.Item().Key()[len(prefix):])
		if rest == after && after != "" {
			continue
		}
		if more, err := fn(rest); err != nil || !more {
			return err
		}
	}
	return nil
}

// usable reports whether id can stand in a key.
func usable(id string) bool {
	if id == "" || len(id) > maxRow/4 {
		return false
	}
	for i := range len(id) {
		if id[i] == separator[0] {
			return false
		}
	}
	return true
}

// life is how long a row is kept that expires then. Badger counts by the
// system's clock, the records by the store's; only the distance counts, so that
// a row never goes early. Expiry itself is judged by the callers.
func (s *Store) life(expires time.Time, margin time.Duration) time.Duration {
	const longest = 100 * 365 * 24 * time.Hour // the sum must not overflow
	return min(max(expires.Sub(s.now()), 0), longest) + margin
}
