package postgres

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

const (
	// lookAt is how many events one page looks at. A filter that matches next to nothing
	// must not read a million of them in one call.
	lookAt = 4096
	// appendLine is where those wait who append: in other lines somebody who signs in
	// could stand behind.
	appendLine = "events"
)

// nanoseconds are those since 1970; a time outside of what they can say is the nearest one
// that they can.
func nanoseconds(at time.Time) int64 {
	switch {
	case at.Before(time.Unix(0, 0)):
		return 0
	case at.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return at.UnixNano()
}

// indexed returns an ID as events are found by it. What cannot be one of ours is none, and
// nobody looks for it.
func indexed(id string) string {
	if !usable(id) {
		return ""
	}
	return id
}

func eventName(number uint64) string { return strconv.FormatUint(number, 10) }

// eventRows are the columns of events that are written together.
type eventRows struct {
	numbers, nanos          []int64
	times                   []time.Time
	names, users, decisions []string
	hashes, records         [][]byte
}

// AppendEvents implements mfa.EventLog. The end of the chain is a row that one writer at a
// time has, on whatever node: no restart and no clock gives a number twice.
func (s *Store) AppendEvents(ctx context.Context, list []mfa.Event) error {
	if err := ctx.Err(); err != nil || len(list) == 0 {
		return err
	}
	return s.update(ctx, []string{appendLine}, func(w *writing) error { return w.appendEvents(list) })
}

func (w *writing) appendEvents(list []mfa.Event) error {
	if len(list) == 0 {
		return nil
	}
	record, err := w.record(`SELECT record FROM meta WHERE name = $1 FOR UPDATE`, metaEvents)
	if err != nil {
		return err
	}
	n, err := w.s.decodeCount(record)
	if err != nil {
		return err
	}
	if n.Began == 0 {
		n.Began = n.Count + 1
	}
	var rows eventRows
	for i := range list {
		n.Count++
		e, err := list[i].Chained(n.Count, n.Head)
		if err != nil {
			return err
		}
		n.Head = e.Hash
		if err := rows.add(w.s, &e); err != nil {
			return err
		}
	}
	if record, err = w.s.encode(store.Meta, metaEvents, n); err != nil {
		return err
	}
	rows.put(w)
	w.put(`UPDATE meta SET record = $2 WHERE name = $1`, metaEvents, record)
	return nil
}

func (r *eventRows) add(s *Store, e *mfa.Event) error {
	record, err := s.encode(store.Events, eventName(e.Number), e)
	if err != nil {
		return err
	}
	hash, err := hex.DecodeString(e.Hash)
	if err != nil {
		return err
	}
	r.numbers, r.nanos, r.times = append(r.numbers, int64(e.Number)), append(r.nanos, nanoseconds(e.At)), append(r.times, e.At) //nolint:gosec // no store has that many
	r.names, r.users, r.decisions = append(r.names, shown(string(e.Name))), append(r.users, indexed(string(e.User))), append(r.decisions, indexed(e.Decision))
	r.hashes, r.records = append(r.hashes, hash), append(r.records, record)
	return nil
}

func (r *eventRows) put(w *writing) {
	w.put(`INSERT INTO events (number, at, at_nano, name, user_id, decision, hash, record)
		SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::bytea[])`,
		r.numbers, r.times, r.nanos, r.names, r.users, r.decisions, r.hashes, r.records)
}

// fits reports whether the columns by which an event is found say what its record does. One
// from before there was a chain, which came in a copy, knows no number; its record is bound
// to it all the same.
func (r *eventRow) fits(e *mfa.Event) bool {
	return (e.Number == uint64(r.number) || e.Number == 0) && nanoseconds(e.At) == r.nano && indexed(string(e.User)) == r.user && indexed(e.Decision) == r.decision //nolint:gosec // not negative
}

// eventRow is a row of events.
type eventRow struct {
	number, nano   int64
	user, decision string
	record         []byte
}

const eventColumns = `number, at_nano, user_id, decision, record`

func (r *eventRow) fields() []any { return []any{&r.number, &r.nano, &r.user, &r.decision, &r.record} }

// event reads the record of the row.
func (s *Store) event(r *eventRow) (mfa.Event, error) {
	var e mfa.Event
	if err := s.codec.Decode(r.record, store.Events, eventName(uint64(r.number)), &e); err != nil { //nolint:gosec // not negative
		return e, err
	}
	if !r.fits(&e) {
		return e, fmt.Errorf("the index does not fit: %w", store.ErrDamaged)
	}
	return e, nil
}

// askEvents asks for rows of events.
func (s *Store) askEvents(ctx context.Context, sql string, args ...any) (list []eventRow, err error) {
	err = s.read(ctx, func(b *pgx.Batch) {
		b.Queue(sql, args...).Query(func(rows pgx.Rows) error {
			list = nil
			for rows.Next() {
				var r eventRow
				if err := rows.Scan(r.fields()...); err != nil {
					return err
				}
				list = append(list, r)
			}
			return rows.Err()
		})
	})
	return list, err
}

// moment is the place of an event in lists: its time, and its number, which keeps apart and
// in order what shares a nanosecond.
type moment struct{ nano, number int64 }

const momentSize = 16

// parseMoment reads a cursor.
func parseMoment(cursor string) (m moment, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) != momentSize {
		return m, mfa.ErrCursor
	}
	nano, number := binary.BigEndian.Uint64(raw), binary.BigEndian.Uint64(raw[8:])
	if nano > math.MaxInt64 || number > math.MaxInt64 {
		return m, mfa.ErrCursor
	}
	return moment{int64(nano), int64(number)}, nil
}

func (m moment) cursor() string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(m.nano))                                         //nolint:gosec // not negative
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(raw, uint64(m.number))) //nolint:gosec // not negative
}

func (m moment) before(o moment) bool {
	return m.nano < o.nano || m.nano == o.nano && m.number < o.number
}

// Events implements mfa.EventLog. The cursor is the moment of the last event that was
// looked at.
func (s *Store) Events(ctx context.Context, q mfa.EventQuery, after string, limit int) ([]mfa.Event, string, error) {
	if err := ctx.Err(); err != nil || limit < 1 {
		return nil, "", err
	}
	column, id := "", ""
	switch { // the events of one decision are fewer than those of one user
	case q.Decision != "":
		column, id = "decision", q.Decision
	case q.User != "":
		column, id = "user_id", string(q.User)
	}
	if column != "" && !usable(id) {
		return nil, "", nil
	}
	from := moment{math.MaxInt64, math.MaxInt64}
	if !q.Until.IsZero() {
		from = moment{nanoseconds(q.Until), 0} // before all of that moment: numbers begin at 1
	}
	if after != "" {
		cursor, err := parseMoment(after)
		if err != nil {
			return nil, "", fmt.Errorf("listing events: %w", err)
		}
		if cursor.before(from) {
			from = cursor
		}
	}
	since := nanoseconds(s.db.now().Add(-s.db.o.KeepEvents))
	if !q.Since.IsZero() {
		since = max(since, nanoseconds(q.Since))
	}
	sql := `SELECT ` + eventColumns + ` FROM events WHERE (at_nano, number) < ($1, $2) AND at_nano >= $3 AND $4::text IS NOT NULL
		ORDER BY at_nano DESC, number DESC LIMIT $5`
	if column != "" {
		// The condition of the index, too, or a plan for any value would not use it.
		sql = `SELECT ` + eventColumns + ` FROM events WHERE ` + column + ` = $4 AND ` + column + ` <> '' AND (at_nano, number) < ($1, $2) AND at_nano >= $3
			ORDER BY at_nano DESC, number DESC LIMIT $5`
	}
	var page []mfa.Event
	for looked, part := 0, min(limit+1, lookAt); looked < lookAt; part = min(4*part, lookAt-looked) {
		rows, err := s.askEvents(ctx, sql, from.nano, from.number, since, id, part)
		if err != nil {
			return nil, "", err
		}
		for i := range rows {
			e, err := s.event(&rows[i])
			if err != nil {
				return nil, "", fmt.Errorf("listing events: %w", err)
			}
			if matches(q, &e) {
				// Whether there is another page is only known here.
				if len(page) == limit {
					return page, from.cursor(), nil
				}
				page = append(page, e)
			}
			from = moment{rows[i].nano, rows[i].number}
			looked++
		}
		if len(rows) < part {
			return page, "", nil
		}
	}
	// Whether anything stands behind.
	rows, err := s.askEvents(ctx, sql, from.nano, from.number, since, id, 1)
	if err != nil || len(rows) == 0 {
		return page, "", err
	}
	return page, from.cursor(), nil
}

// matches reports whether the query asks for the event. Its times are a matter of where the
// event stands.
func matches(q mfa.EventQuery, e *mfa.Event) bool {
	return (q.User == "" || e.User == q.User) && (q.Name == "" || e.Name == q.Name) && (q.Decision == "" || e.Decision == q.Decision)
}
