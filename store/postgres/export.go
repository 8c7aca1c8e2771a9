package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// exportPart is how many rows an export asks for at a time.
const exportPart = 500

// unbounded lifts the bounds on time for the transaction that it stands in: who reads or
// writes everything takes as long as it takes, and who emits may be slow.
const unbounded = `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0`

// plainTables are the tables of whose rows there is nothing to say but ID and record.
var plainTables = map[store.Table]string{
	store.Users:         `SELECT id, record FROM users WHERE id > $1 ORDER BY id LIMIT $2`,
	store.Organizations: `SELECT id, record FROM organizations WHERE id > $1 ORDER BY id LIMIT $2`,
	store.Policy:        `SELECT name, record FROM policy WHERE name > $1 ORDER BY name LIMIT $2`,
	store.APIKeys:       `SELECT id, record FROM api_keys WHERE id > $1 ORDER BY id LIMIT $2`,
	store.Attempts:      `SELECT key, record FROM attempts WHERE key > $1 ORDER BY key LIMIT $2`,
	store.Challenges:    `SELECT id, record FROM challenges WHERE id > $1 ORDER BY id LIMIT $2`,
	// "" is everybody's, and the first.
	store.Campaigns: `SELECT organization, record FROM campaigns WHERE organization > $1 OR $1 = '' ORDER BY organization LIMIT $2`,
}

// Export implements store.Portable, in one transaction that reads one state: it holds one
// connection until it is done.
func (s *Store) Export(ctx context.Context, emit func(store.Row) error) error {
	_, end, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)() // closing waits for no copy
	x := &exporting{s: s, ctx: ctx, emit: emit}
	err = pgx.BeginTxFunc(ctx, s.db.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		x.tx = tx
		if _, err := tx.Exec(ctx, unbounded); err != nil {
			return err
		}
		return x.all()
	})
	switch {
	case err == nil, x.own:
		return err
	case s.ctx.Err() != nil:
		return ErrClosed
	case errors.Is(err, store.ErrDamaged), errors.Is(err, store.ErrNewer):
		return fmt.Errorf("exporting: %w", err)
	}
	return s.db.wrap(ctx, "exporting", &asked{err})
}

// exporting is an export that is under way.
type exporting struct {
	s    *Store
	ctx  context.Context
	tx   pgx.Tx
	emit func(store.Row) error
	own  bool // it ended with an error of emit
}

func (x *exporting) all() error {
	for _, table := range store.Exported {
		var err error
		switch table {
		case store.Events:
			err = x.events()
		case store.Chain:
			err = x.chain()
		case store.Sessions:
			err = x.sessions()
		default:
			err = x.plain(table)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *exporting) row(table store.Table, id string, data json.RawMessage) error {
	if err := x.ctx.Err(); err != nil {
		return err
	}
	if err := x.emit(store.Row{Table: table, ID: id, Data: data}); err != nil {
		x.own = true
		return err
	}
	return nil
}

// named is a row by its ID.
type named struct {
	ID     string
	Record []byte
}

func (x *exporting) plain(table store.Table) error {
	for after := ""; ; {
		rows, err := x.tx.Query(x.ctx, plainTables[table], after, exportPart)
		if err != nil {
			return err
		}
		part, err := pgx.CollectRows(rows, pgx.RowToStructByPos[named])
		if err != nil {
			return err
		}
		for _, r := range part {
			var data json.RawMessage
			if err := x.s.codec.Decode(r.Record, table, r.ID, &data); err != nil {
				return err
			}
			if err := x.row(table, r.ID, data); err != nil {
				return err
			}
			after = r.ID
		}
		if len(part) < exportPart {
			return nil
		}
	}
}

func (x *exporting) sessions() error {
	for after := ""; ; {
		rows, err := x.tx.Query(x.ctx, `SELECT `+sessionColumns+` FROM sessions WHERE id > $1 ORDER BY id LIMIT $2`, after, exportPart)
		if err != nil {
			return err
		}
		var part []sessionRow
		if err := allSessions(&part)(rows); err != nil {
			return err
		}
		for _, r := range part {
			data, err := x.session(r)
			if err != nil {
				return err
			}
			if err := x.row(store.Sessions, r.id, data); err != nil {
				return err
			}
			after = r.id
		}
		if len(part) < exportPart {
			return nil
		}
	}
}

// session returns the record of a session, with when it was last seen. One whose end could
// not be written has ended as well (AC-191).
func (x *exporting) session(r sessionRow) (json.RawMessage, error) {
	var data json.RawMessage
	if err := x.s.codec.Decode(r.record, store.Sessions, r.id, &data); err != nil {
		return nil, err
	}
	live, err := x.s.session(r, mfa.SessionID(r.id))
	switch {
	case errors.Is(err, mfa.ErrNotFound):
		return data, nil // it ended
	case err != nil:
		return nil, err
	case x.s.doomed.Has(live.ID):
		return json.Marshal(store.EndOf(live))
	}
	var kept store.Session
	if err := json.Unmarshal(data, &kept); err != nil {
		return nil, store.ErrDamaged // the decoder's own words could repeat what it read
	}
	if live.LastSeen.Equal(kept.Session.LastSeen) {
		return data, nil
	}
	kept.Session.LastSeen = live.LastSeen
	return json.Marshal(kept)
}

func (x *exporting) events() error {
	for after := int64(0); ; {
		rows, err := x.tx.Query(x.ctx, `SELECT `+eventColumns+` FROM events WHERE number > $1 ORDER BY number LIMIT $2`, after, exportPart)
		if err != nil {
			return err
		}
		n := 0
		var part []eventRow
		for rows.Next() {
			var r eventRow
			if err := rows.Scan(r.fields()...); err != nil {
				return err
			}
			part = append(part, r)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for i := range part {
			r := &part[i]
			number := uint64(r.number) //nolint:gosec // not negative
			if _, err := x.s.event(r); err != nil {
				return err
			}
			var data json.RawMessage
			if err := x.s.codec.Decode(r.record, store.Events, eventName(number), &data); err != nil {
				return err
			}
			if err := x.row(store.Events, store.EventID(number), data); err != nil {
				return err
			}
			after = r.number
			n++
		}
		if n < exportPart {
			return nil
		}
	}
}

// chain exports how the chain ends and where it begins. What follows from there being no
// events, or from none having been forgotten, is not said: other stores have no row for it.
func (x *exporting) chain() error {
	var count, start []byte
	err := x.tx.QueryRow(x.ctx, `SELECT (SELECT record FROM meta WHERE name = $1), (SELECT record FROM meta WHERE name = $2)`, metaEvents, metaStart).Scan(&count, &start)
	if err != nil {
		return err
	}
	n, err := x.s.decodeCount(count)
	if err != nil {
		return err
	}
	var from store.EventStart
	if err := x.s.decodeMeta(start, metaStart, &from); err != nil {
		return err
	}
	for _, r := range []struct {
		id, name string
		record   []byte
		said     bool
	}{
		{store.ChainCount, metaEvents, count, n == store.EventCount{}},
		{store.ChainStart, metaStart, start, from == startOf(n)},
	} {
		if r.said {
			continue
		}
		var data json.RawMessage
		if err := x.s.codec.Decode(r.record, store.Meta, r.name, &data); err != nil {
			return err
		}
		if err := x.row(store.Chain, r.id, data); err != nil {
			return err
		}
	}
	return nil
}

// startOf returns where the chain begins while nothing of it was forgotten.
func startOf(n store.EventCount) store.EventStart {
	if n.Began == 0 {
		return store.EventStart{First: n.Count + 1}
	}
	return store.EventStart{First: n.Began}
}

var _ store.Target = (*Store)(nil)
