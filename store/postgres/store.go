package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// Store implements mfa.Store.
type Store struct {
	db     *DB
	codec  store.Codec
	locks  *store.Stripes
	doomed store.Doomed

	compared comparison // of the clocks
	recent   recent

	ctx       context.Context // ends with Close
	stop      context.CancelFunc
	work      sync.WaitGroup
	closeOnce sync.Once
}

// Open opens what the keys seal. They must be those of the database (store.ErrDamaged) and
// no newer version may have written to it (store.ErrNewer). The store owns the DB from then
// on, also where Open answers an error.
func (d *DB) Open(keys *seal.Keyset) (*Store, error) {
	s, err := d.open(keys)
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	return s, nil
}

func (d *DB) open(keys *seal.Keyset) (*Store, error) {
	if keys == nil {
		return nil, errors.New("keys are needed")
	}
	s := &Store{db: d, codec: store.NewCodec(keys), locks: store.NewStripes()}
	s.ctx, s.stop = context.WithCancel(context.Background())
	ctx, cancel := context.WithTimeout(s.ctx, startTime)
	defer cancel()
	if err := s.prove(ctx); err != nil {
		s.stop()
		return nil, err
	}
	d.feed.start()
	s.work.Go(s.retryDoomed)
	if !d.o.Still && d.o.Fill == "" {
		s.work.Go(s.keepTidy)
	}
	s.work.Go(s.compareClocks)
	return s, nil
}

// Fresh reports whether this Connect made the installation, which of all nodes that start
// at once is true on one. It is the one moment at which a link for the first administrator
// may be made unasked.
func (s *Store) Fresh() bool { return s.db.fresh }

// Close waits for what is running and closes the store. Closing again does nothing.
// Afterwards every method answers ErrClosed.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		last, cancel := context.WithTimeout(s.ctx, callTime)
		s.endDoomed(last)
		cancel()
		s.stop()
		s.work.Wait()
		s.db.Close()
	})
	return nil
}

// Rows of the table meta.
const (
	metaKeys   = "keys"         // the key set, see Vault; the only one that is not sealed by it
	metaCanary = "canary"       // shows whether the keys are those of this database
	metaEvents = "events"       // how many events there were, and how their chain ends
	metaStart  = "events_start" // where the chain begins
	metaIndex  = "index"        // how users are indexed
)

// canary is what only the right keys read, in the right database.
type canary struct {
	Installation string `json:"installation"`
}

// indexVersion is the version of facets, terms and counters. It grows when Facets, Terms
// or CountedIn of a user change, and what is kept has to be made anew.
const indexVersion = 1

type indexMeta struct {
	Version int `json:"version"`
}

// prove shows that the keys open what is kept, or writes the first rows where there is
// nothing yet: of several nodes that start with keys of their own, one wins, and the others
// are refused.
func (s *Store) prove(ctx context.Context) error {
	records, err := s.metas(ctx)
	if err != nil {
		return err
	}
	if records[metaCanary] == nil {
		if err := s.first(ctx); err != nil {
			return err
		}
		if records, err = s.metas(ctx); err != nil {
			return err
		}
	}
	var c canary
	err = s.codec.Decode(records[metaCanary], store.Meta, metaCanary, &c)
	switch {
	case errors.Is(err, store.ErrDamaged):
		return fmt.Errorf("%w: the keys are not those of this database; restore the key file that belongs to it, or name the database that belongs to these keys", err)
	case err != nil:
		return err
	case c.Installation != s.db.installation:
		return fmt.Errorf("the installation was changed: %w", store.ErrDamaged)
	}
	if err := s.checkFilling(records[metaFilling]); err != nil {
		return err
	}
	var index indexMeta
	if err := s.codec.Decode(records[metaIndex], store.Meta, metaIndex, &index); err != nil {
		return err
	}
	if index.Version > indexVersion {
		return fmt.Errorf("index version %d, this program reads up to %d: %w", index.Version, indexVersion, store.ErrNewer)
	}
	_, err = s.ChainEnds(ctx)
	return err
}

// metas returns the sealed rows of meta.
func (s *Store) metas(ctx context.Context) (map[string][]byte, error) {
	records := make(map[string][]byte)
	err := s.read(ctx, func(b *pgx.Batch) {
		b.Queue(`SELECT name, record FROM meta WHERE name <> $1`, metaKeys).Query(func(rows pgx.Rows) error {
			clear(records)
			var name string
			var record []byte
			_, err := pgx.ForEachRow(rows, []any{&name, &record}, func() error {
				records[name] = append([]byte{}, record...)
				return nil
			})
			return err
		})
	})
	return records, err
}

// first writes the first sealed rows.
func (s *Store) first(ctx context.Context) error {
	used := false
	err := s.read(ctx, func(b *pgx.Batch) {
		b.Queue(`SELECT EXISTS (SELECT FROM users) OR EXISTS (SELECT FROM events) OR EXISTS (SELECT FROM sessions)
			OR EXISTS (SELECT FROM meta WHERE name NOT IN ($1, $2))`, metaKeys, metaCanary).QueryRow(func(r pgx.Row) error { return r.Scan(&used) })
	})
	if err != nil {
		return err
	}
	if used {
		// Another node may have been faster.
		if records, err := s.metas(ctx); err != nil || records[metaCanary] != nil {
			return err
		}
		return fmt.Errorf("the row of meta that proves the keys is missing; restore the newest backup: %w", store.ErrDamaged)
	}
	return s.update(ctx, nil, func(w *writing) error {
		rows := []struct {
			name string
			v    any
		}{
			{metaCanary, canary{s.db.installation}},
			{metaEvents, store.EventCount{}},
			{metaStart, store.EventStart{First: 1}},
			{metaIndex, indexMeta{Version: indexVersion}},
		}
		var won bool
		err := w.ask(func(b *pgx.Batch) {
			record, err := s.codec.Encode(store.Meta, rows[0].name, rows[0].v)
			if err != nil {
				return
			}
			b.Queue(`INSERT INTO meta (name, record) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING RETURNING true`, rows[0].name, record).QueryRow(func(r pgx.Row) error {
				err := r.Scan(&won)
				if noRow(err) {
					return nil
				}
				return err
			})
		})
		if err != nil || !won {
			return err
		}
		if from := s.db.o.Fill; from != "" {
			rows = append(rows, struct {
				name string
				v    any
			}{metaFilling, store.Filling{From: from, Since: s.db.now().UTC()}})
		}
		for _, r := range rows[1:] {
			record, err := s.codec.Encode(store.Meta, r.name, r.v)
			if err != nil {
				return err
			}
			w.put(`INSERT INTO meta (name, record) VALUES ($1, $2)`, r.name, record)
		}
		return nil
	})
}

// tell announces what this node changed, here and then to the others.
func (s *Store) tell(c changes) {
	for _, user := range c.users {
		s.db.told.users.now(string(user))
	}
	if c.organizations {
		s.db.told.policy.now("")
	}
	if len(c.users) > 0 || c.organizations {
		s.db.feed.poke()
	}
}

var _ mfa.Store = (*Store)(nil)
