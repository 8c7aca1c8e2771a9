package badger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// fillingRow is there while a copy is being made into the store. It comes in the same write
// as the anchor and goes with the last one: in between, only a copy opens the store.
var fillingRow = row{store.Meta, "filling"}

// importPart is how many rows one write of a copy holds at most; where that is too much for
// Badger, it is cut in two.
const importPart = 64

// checkFilling refuses a store that is being filled, where it was not opened for that, and
// one that is not, where it was.
func (s *Store) checkFilling() error {
	var f store.Filling
	err := s.view(s.ctx, func(txn *badger.Txn) error { return s.read(txn, fillingRow, &f) })
	switch {
	case errors.Is(err, mfa.ErrNotFound):
		if s.fill != "" {
			return fmt.Errorf("%w: %s; a copy goes into a new store only: move %s and %s away, or name another folder", store.ErrNotEmpty, s.dir, s.dir, s.markerPath)
		}
		return nil
	case err != nil:
		return fmt.Errorf("reading whether a copy is under way: %w", err)
	case s.fill == "":
		return fmt.Errorf("%w (%s); give the same command again and it goes on, or move %s and %s away", store.ErrFilling, f.From, s.dir, s.markerPath)
	}
	if err := f.Check(s.fill); err != nil {
		return fmt.Errorf("%w; finish that one, or move %s and %s away", err, s.dir, s.markerPath)
	}
	return nil
}

// Import implements store.Target.
func (s *Store) Import(ctx context.Context, rows []store.Row) error {
	if s.fill == "" {
		return errors.New("importing: the store was not opened to be filled")
	}
	for part := range slices.Chunk(rows, importPart) {
		if err := s.importSome(ctx, part); err != nil {
			return fmt.Errorf("importing: %w", err)
		}
	}
	return nil
}

func (s *Store) importSome(ctx context.Context, rows []store.Row) error {
	var names []string
	for _, r := range rows {
		if r.Table == store.Users {
			names = append(names, shardLock(mfa.UserID(r.ID)))
		}
	}
	err := s.update(ctx, names, func(w *writing) error {
		for _, r := range rows {
			if err := w.importRow(r); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, mfa.ErrTooLarge) && len(rows) > 1 {
		half := len(rows) / 2
		if err := s.importSome(ctx, rows[:half]); err != nil {
			return err
		}
		return s.importSome(ctx, rows[half:])
	}
	return err
}

// importRow keeps one row with all that follows from it.
func (w *writing) importRow(r store.Row) error {
	at, ok := placeOf(r)
	if !ok {
		return fmt.Errorf("a row of table %s: it belongs to no place: %w", r.Table, store.ErrDamaged)
	}
	var kept json.RawMessage
	switch err := w.read(at, &kept); {
	case err == nil && string(kept) == string(r.Data):
		return nil
	case err == nil:
		return fmt.Errorf("a row of table %s says something else here: %w", r.Table, mfa.ErrTaken)
	case !errors.Is(err, mfa.ErrNotFound):
		return err
	}
	life, err := w.follow(r)
	if err != nil {
		return fmt.Errorf("a row of table %s: %w", r.Table, err)
	}
	return w.set(at.key(), w.s.codec.Seal(at.table, at.id, r.Data), life)
}

// placeOf returns where the row stands here.
func placeOf(r store.Row) (row, bool) {
	switch r.Table {
	case store.Chain:
		for id, at := range chainRows() {
			if id == r.ID {
				return at, true
			}
		}
		return row{}, false
	case store.Policy:
		return policyRow, r.ID == policyRow.id
	case store.Campaigns:
		return row{r.Table, r.ID}, r.ID == "" || usable(r.ID)
	case store.Events:
		var e mfa.Event
		number, err := store.EventNumber(r.ID)
		if err != nil || json.Unmarshal(r.Data, &e) != nil || e.Number != 0 && e.Number != number {
			return row{}, false
		}
		return momentOf(e.At, number).row(), true
	}
	return row{r.Table, r.ID}, slices.Contains(store.Exported, r.Table) && usable(r.ID)
}

// follow writes what follows from the row, and returns how long it stays.
func (w *writing) follow(r store.Row) (time.Duration, error) {
	var err error
	read := func(v any) bool {
		if json.Unmarshal(r.Data, v) != nil {
			err = store.ErrDamaged // the decoder's own words could repeat what it read
		}
		return err == nil
	}
	owner := func(id string) error {
		if err == nil && id != r.ID {
			err = store.ErrDamaged
		}
		return err
	}
	switch r.Table {
	case store.Users:
		var u mfa.User
		if read(&u); owner(string(u.ID)) != nil {
			return 0, err
		}
		return 0, w.followUser(&u)
	case store.Sessions:
		var kept store.Session
		if read(&kept); owner(string(kept.Session.ID)) != nil {
			return 0, err
		}
		return w.followSession(&kept)
	case store.Challenges:
		var c store.Challenge
		read(&c)
		return w.s.life(c.Challenge.Expires, store.TakenMargin) + store.ImportMargin, owner(c.Challenge.ID)
	case store.Attempts:
		var a mfa.Attempts
		read(&a)
		life := w.s.attemptsLife(a)
		if life > 0 {
			life += store.ImportMargin
		}
		return life, err
	case store.Events:
		var e mfa.Event
		if !read(&e) {
			return 0, err
		}
		return 0, w.followEvent(r.ID, &e)
	case store.Organizations:
		var o mfa.Organization
		read(&o)
		return 0, owner(string(o.ID))
	case store.APIKeys:
		var k mfa.APIKey
		read(&k)
		return 0, owner(k.ID)
	case store.Campaigns:
		var c mfa.Campaign
		read(&c)
		return 0, owner(string(c.Organization))
	case store.Policy:
		read(new(mfa.PolicySettings))
	case store.Chain:
		if r.ID == store.ChainStart {
			read(new(store.EventStart))
		} else {
			read(new(store.EventCount))
		}
	}
	return 0, err
}

func (w *writing) followUser(u *mfa.User) error {
	if err := checkUser(u); err != nil {
		return err
	}
	if err := w.moveKeys(u.ID, nil, u.UniqueKeys()); err != nil {
		return err
	}
	return w.list(u.ID, listed{}, listedAs(u))
}

func (w *writing) followSession(kept *store.Session) (time.Duration, error) {
	life := w.s.life(kept.Session.Expires, kept.Margin()) + store.ImportMargin
	switch {
	case kept.Ended:
		return life, nil
	case !usable(string(kept.Session.User)):
		return 0, store.ErrDamaged
	}
	return life, w.set(sessionIndex(&kept.Session), nil, life)
}

func (w *writing) followEvent(id string, e *mfa.Event) error {
	number, err := store.EventNumber(id)
	if err != nil {
		return err
	}
	m := momentOf(e.At, number)
	if e.Number != 0 {
		if err := w.number(number, m, e.Hash); err != nil {
			return store.ErrDamaged
		}
	}
	for _, name := range m.indexes(e) {
		if err := w.set(name, nil, 0); err != nil {
			return err
		}
	}
	return nil
}

// Filled implements store.Target.
func (s *Store) Filled(ctx context.Context, list []mfa.Event) error {
	if s.fill == "" {
		return errors.New("ending the copy: the store was not opened to be filled")
	}
	err := s.update(ctx, nil, func(w *writing) error {
		if err := w.appendEvents(list); err != nil {
			return err
		}
		return w.remove(fillingRow.key())
	})
	if err != nil {
		return fmt.Errorf("ending the copy: %w", err)
	}
	return nil
}
