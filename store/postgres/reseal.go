package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// metaReseal says how far sealing anew has come.
const metaReseal = "reseal"

// resealed is a table with records, as sealing anew goes through it.
type resealed struct {
	table store.Table
	name  string // in the database
	key   string // the column that names the record
	kind  string // its type
	but   string // a row that is left out
}

// resealOrder is the order in which they are sealed anew. The first holds what shows at
// each start whether the keys are the right ones: with an old key set put back, nothing
// opens.
var resealOrder = []resealed{
	{store.Meta, "meta", "name", "text", metaKeys},
	{store.Policy, "policy", "name", "text", ""},
	{store.Organizations, "organizations", "id", "text", ""},
	{store.APIKeys, "api_keys", "id", "text", ""},
	{store.Campaigns, "campaigns", "organization", "text", ""},
	{store.Users, "users", "id", "text", ""},
	{store.Attempts, "attempts", "key", "text", ""},
	{store.Challenges, "challenges", "id", "text", ""},
	{store.Sessions, "sessions", "id", "text", ""},
	{store.Events, "events", "number", "bigint", ""},
}

// resealRows is how many records one write seals anew at most.
const resealRows = 64

// keyed is a record with what names it in its table.
type keyed struct {
	key    string
	record []byte
}

// Reseal implements store.Resealer. The cursor is the table and the record's name in it.
func (s *Store) Reseal(ctx context.Context, after string, limit int) (store.ResealStep, error) {
	at, key, err := parseResealed(after)
	if err != nil {
		return store.ResealStep{}, err
	}
	var step store.ResealStep
	for ; at < len(resealOrder); at++ {
		t := resealOrder[at]
		list, err := s.recordsBehind(ctx, t, key, min(limit, 4*resealRows))
		if err != nil {
			return store.ResealStep{}, fmt.Errorf("sealing records anew: %w", err)
		}
		if len(list) == 0 {
			key = ""
			continue
		}
		done, err := s.resealSome(ctx, t, list)
		if err != nil {
			return store.ResealStep{}, fmt.Errorf("sealing records anew: %w", err)
		}
		done.Next = t.name + "/" + list[done.Looked-1].key
		return done, nil
	}
	return step, nil
}

// parseResealed reads a cursor: which table, and behind which record of it.
func parseResealed(after string) (at int, key string, err error) {
	if after == "" {
		return 0, "", nil
	}
	name, key, _ := strings.Cut(after, "/")
	for i, t := range resealOrder {
		if t.name == name {
			return i, key, nil
		}
	}
	return 0, "", mfa.ErrCursor
}

func (s *Store) recordsBehind(ctx context.Context, t resealed, key string, limit int) (list []keyed, err error) {
	where, args := "TRUE", []any{limit}
	if key != "" {
		where, args = t.key+" > $2::"+t.kind, append(args, key)
		if t.kind == "bigint" {
			n, err := strconv.ParseInt(key, 10, 64)
			if err != nil {
				return nil, mfa.ErrCursor
			}
			args[1] = n
		}
	}
	sql := `SELECT ` + t.key + `::text, record FROM ` + t.name + ` WHERE ` + where + ` ORDER BY ` + t.key + ` LIMIT $1`
	err = s.read(ctx, func(b *pgx.Batch) {
		b.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
			list, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (k keyed, err error) {
				return k, r.Scan(&k.key, &k.record)
			})
			return err
		})
	})
	return list, err
}

// resealSome seals anew what is not sealed with the primary key, of as many of the list as
// one write takes. A record that somebody else has written meanwhile stays as they wrote it:
// the comparison is in the write, so that nothing has to be locked before.
func (s *Store) resealSome(ctx context.Context, t resealed, list []keyed) (store.ResealStep, error) {
	var step store.ResealStep
	type change struct {
		key       any
		old, next []byte
	}
	var changes []change
	for _, k := range list {
		if len(changes) == resealRows {
			break
		}
		step.Looked++
		if k.key == t.but || s.codec.Current(k.record) {
			continue
		}
		row, key := k.key, any(k.key)
		if t.kind == "bigint" {
			n, err := strconv.ParseUint(k.key, 10, 63)
			if err != nil {
				return step, store.ErrDamaged
			}
			row, key = eventName(n), int64(n)
		}
		next, err := s.codec.Reseal(k.record, t.table, row)
		if errors.Is(err, store.ErrDamaged) {
			step.Damaged++ // one of them must not keep all others from it
			continue
		}
		if err != nil {
			return step, err
		}
		changes = append(changes, change{key, bytes.Clone(k.record), next})
	}
	if len(changes) == 0 {
		return step, nil
	}
	step.Sealed = len(changes)
	return step, s.update(ctx, nil, func(w *writing) error {
		for _, c := range changes {
			w.put(`UPDATE `+t.name+` SET record = $2 WHERE `+t.key+` = $1 AND record = $3`, c.key, c.next, c.old)
		}
		return nil
	})
}

// CountRecords implements store.Resealer. It is the estimate that the database keeps.
func (s *Store) CountRecords(ctx context.Context) (n int, err error) {
	var names []string
	for _, t := range resealOrder {
		names = append(names, t.name)
	}
	err = s.read(ctx, func(b *pgx.Batch) {
		b.Queue(`SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint FROM pg_class c
			JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema() WHERE c.relname = ANY ($1::text[]) AND c.relkind IN ('r', 'p')`, names).
			QueryRow(func(r pgx.Row) error { return r.Scan(&n) })
	})
	return n, err
}

// ResealProgress implements store.Resealer.
func (s *Store) ResealProgress(ctx context.Context) (store.ResealProgress, error) {
	var p store.ResealProgress
	record, err := s.record(ctx, `SELECT record FROM meta WHERE name = $1`, metaReseal)
	if err != nil || record == nil {
		return p, err
	}
	err = s.codec.Decode(record, store.Meta, metaReseal, &p)
	return p, err
}

// KeepResealProgress implements store.Resealer.
func (s *Store) KeepResealProgress(ctx context.Context, p store.ResealProgress) error {
	record, err := s.encode(store.Meta, metaReseal, p)
	if err != nil {
		return err
	}
	return s.update(ctx, nil, func(w *writing) error {
		w.put(`INSERT INTO meta (name, record) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET record = excluded.record`, metaReseal, record)
		return nil
	})
}

var _ store.Resealer = (*Store)(nil)
