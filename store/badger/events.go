package badger

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

const (
	// lookAt is how many events one page looks at. A filter that matches next to
	// nothing must not read a million of them in one call.
	lookAt = 4096
	// Old events are removed so often, and for the first time when the start is
	// over; so many bytes of row names in one write, which is less than Badger's
	// limits on bytes and on rows.
	forgetEvery = time.Hour
	forgetFirst = time.Minute
	forgetBytes = 48 << 10
)

var (
	eventCountRow = row{store.Meta, "events"}
	eventStartRow = row{store.Meta, "events_start"}
)

// moment is the place of an event: its time in nanoseconds, and its number among
// all events that were ever appended, which keeps apart and in order what shares a
// nanosecond, or has the time of an older event because the clock was set back.
// Both are counted down, so that the newest stands first.
type moment string

const momentSize = 16

func momentOf(at time.Time, number uint64) moment {
	b := make([]byte, 0, momentSize)
	b = binary.BigEndian.AppendUint64(b, ^nanoseconds(at))
	b = binary.BigEndian.AppendUint64(b, ^number)
	return moment(b)
}

// behind is where the events of that time and all later ones are over: numbers
// begin at 1.
func behind(at time.Time) moment { return momentOf(at, 0) }

// nanoseconds are those since 1970; a time outside of what they can say is the
// nearest one that they can.
func nanoseconds(at time.Time) uint64 {
	switch {
	case at.Before(time.Unix(0, 0)):
		return 0
	case at.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return uint64(at.UnixNano()) //nolint:gosec // not negative, see above
}

// parseMoment reads a cursor.
func parseMoment(cursor string) (moment, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) != momentSize {
		return "", mfa.ErrCursor
	}
	return moment(raw), nil
}

func (m moment) cursor() string { return base64.RawURLEncoding.EncodeToString([]byte(m)) }
func (m moment) row() row       { return row{store.Events, string(m)} }

// indexes returns the names of the rows that lead to the event at m. What cannot
// stand in a name is no ID of ours, and nobody looks for it.
func (m moment) indexes(e *mfa.Event) [][]byte {
	var list [][]byte
	if usable(string(e.User)) {
		list = append(list, []byte(userEvents(e.User)+string(m)))
	}
	if usable(e.Decision) {
		list = append(list, []byte(decisionEvents(e.Decision)+string(m)))
	}
	return list
}

func userEvents(id mfa.UserID) string { return userPrefix + string(id) + separator }
func decisionEvents(id string) string { return decisionPrefix + id + separator }

// AppendEvents implements mfa.EventLog.
func (s *Store) AppendEvents(ctx context.Context, list []mfa.Event) error {
	if len(list) == 0 {
		return nil
	}
	// A line of its own: in the others, somebody who signs in could stand behind.
	select {
	case s.appending <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.appending }()
	return s.keep(ctx, nil, s.space.checkEvents, func(w *writing) error { return w.appendEvents(list) })
}

func (w *writing) appendEvents(list []mfa.Event) error {
	if len(list) == 0 {
		return nil
	}
	// The number is kept in the same write: no restart and no clock gives a number
	// twice, and so one event the place of another.
	n, err := w.s.readCount(w.Txn)
	if err != nil {
		return err
	}
	if n.Began == 0 {
		n.Began = n.Count + 1
	}
	for i := range list {
		n.Count++
		e, err := list[i].Chained(n.Count, n.Head)
		if err != nil {
			return err
		}
		n.Head = e.Hash
		m := momentOf(e.At, n.Count)
		// Badger's own expiry would leave them on the disk: it removes what expired only
		// when something new comes to stand next to it, and nothing ever does so to the
		// past. See keepForgetting.
		if err := w.put(m.row(), &e, 0); err != nil {
			return err
		}
		if err := w.number(n.Count, m, e.Hash); err != nil {
			return err
		}
		for _, name := range m.indexes(&e) {
			if err := w.set(name, nil, 0); err != nil {
				return err
			}
		}
	}
	return w.put(eventCountRow, n, 0)
}

// Events implements mfa.EventLog. The cursor is the moment of the last event that
// was looked at.
func (s *Store) Events(ctx context.Context, q mfa.EventQuery, after string, limit int) ([]mfa.Event, string, error) {
	if limit < 1 {
		return nil, "", nil
	}
	prefix, ok := eventRows(q)
	if !ok {
		return nil, "", nil
	}
	var from moment
	if !q.Until.IsZero() {
		from = behind(q.Until)
	}
	if after != "" {
		cursor, err := parseMoment(after)
		if err != nil {
			return nil, "", fmt.Errorf("listing events: %w", err)
		}
		from = max(from, cursor)
	}
	to := s.forgotten()
	if !q.Since.IsZero() {
		to = min(to, behind(q.Since))
	}
	var (
		page   []mfa.Event
		next   string
		last   moment
		looked int
	)
	err := s.view(ctx, func(txn *badger.Txn) error {
		return scan(txn, prefix, string(from), func(rest string) (bool, error) {
			m := moment(rest)
			if m > to {
				return false, nil
			}
			if looked == lookAt {
				next = last.cursor()
				return false, nil
			}
			looked++
			if err := ctx.Err(); err != nil {
				return false, err
			}
			var e mfa.Event
			if err := s.readEvent(txn, m, q, &e); err != nil {
				return false, fmt.Errorf("listing events: %w", err)
			}
			if matches(q, &e) {
				// Whether there is another page is only known here.
				if len(page) == limit {
					next = last.cursor()
					return false, nil
				}
				page = append(page, e)
			}
			last = m
			return true, nil
		})
	})
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}

// eventRows returns where the rows stand that answer the query, and whether there
// can be any. The events of one decision are fewer than those of one user.
func eventRows(q mfa.EventQuery) (prefix string, ok bool) {
	switch {
	case q.Decision != "":
		return decisionEvents(q.Decision), usable(q.Decision)
	case q.User != "":
		return userEvents(q.User), usable(string(q.User))
	}
	return prefixes[store.Events], true
}

// readEvent reads the event that a row led to.
func (s *Store) readEvent(txn *badger.Txn, m moment, q mfa.EventQuery, e *mfa.Event) error {
	err := s.read(txn, m.row(), e)
	// An index that leads to nothing, or to somebody else's, is damage.
	wrong := q.Decision != "" && e.Decision != q.Decision || q.Decision == "" && q.User != "" && e.User != q.User
	if errors.Is(err, mfa.ErrNotFound) || err == nil && wrong {
		return fmt.Errorf("the index does not fit: %w", store.ErrDamaged)
	}
	return err
}

// matches reports whether the query asks for the event. Its times are a matter of
// where the event stands.
func matches(q mfa.EventQuery, e *mfa.Event) bool {
	return (q.User == "" || e.User == q.User) && (q.Name == "" || e.Name == q.Name) && (q.Decision == "" || e.Decision == q.Decision)
}

// forgotten is the moment behind which events are too old to be returned.
func (s *Store) forgotten() moment { return behind(s.now().Add(-s.keepEvents)) }

// keepForgetting removes old events until the store is closed.
func (s *Store) keepForgetting() {
	next := time.NewTimer(forgetFirst)
	defer next.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-next.C:
		}
		if err := s.forget(s.ctx); err != nil && s.ctx.Err() == nil {
			s.log.Warn("store: old events were not removed; it is tried again", "error", err)
		}
		next.Reset(forgetEvery)
	}
}
