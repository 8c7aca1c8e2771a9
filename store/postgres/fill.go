package postgres

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// metaFilling is there while a copy is being made into the database. It comes in the
// same write as the first row of all that Open makes, and goes with the last one of the
// copy: in between, only a copy opens it.
const metaFilling = "filling"

// checkFilling refuses a database that is being filled, where it was not opened for that,
// and one that is not, where it was.
func (s *Store) checkFilling(record []byte) error {
	if record == nil {
		if s.db.o.Fill != "" {
			return fmt.Errorf("%w: the database was used already; a copy goes into a new one only: name another database, or drop this one", store.ErrNotEmpty)
		}
		return nil
	}
	var f store.Filling
	if err := s.codec.Decode(record, store.Meta, metaFilling, &f); err != nil {
		return err
	}
	if s.db.o.Fill == "" {
		return fmt.Errorf("%w (%s); give the same command again and it goes on, or drop the database", store.ErrFilling, f.From)
	}
	if err := f.Check(s.db.o.Fill); err != nil {
		return fmt.Errorf("%w; finish that one, or drop the database", err)
	}
	return nil
}

// Import implements store.Target, in one transaction.
func (s *Store) Import(ctx context.Context, rows []store.Row) error {
	if s.db.o.Fill == "" {
		return errors.New("importing: the store was not opened to be filled")
	}
	_, end, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	var own error // what is wrong with a row, and not with the database
	err = pgx.BeginFunc(ctx, s.db.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, unbounded); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, markHeld, metaFilling).Scan(&there); noRow(err) {
			own = errFilled
			return own
		} else if err != nil {
			return err
		}
		for len(rows) > 0 {
			table := rows[0].Table
			n := slices.IndexFunc(rows, func(r store.Row) bool { return r.Table != table })
			if n < 0 {
				n = len(rows)
			}
			i := &importing{s: s, ctx: ctx, tx: tx, table: table}
			if err := i.rows(rows[:n]); err != nil {
				own = i.own
				return err
			}
			rows = rows[n:]
		}
		return nil
	})
	switch {
	case err == nil:
		s.db.answers()
		return nil
	case own != nil:
		return fmt.Errorf("importing: %w", own)
	}
	if err = taken(err); errors.Is(err, mfa.ErrTaken) {
		return fmt.Errorf("importing: a unique key belongs to somebody else here: %w", err)
	}
	return s.db.wrap(ctx, "importing", &asked{err})
}

// errFilled says that the copy was ended while this one was at it: gateways may serve by
// now, and what was removed there since must not come back (AC-025).
var errFilled = fmt.Errorf("%w: another command has finished the same copy meanwhile; start the gateway", store.ErrNotEmpty)

// markHeld finds the mark and holds it until the transaction ends, so that nobody ends the
// copy in the middle of it.
const markHeld = `SELECT true FROM meta WHERE name = $1 FOR SHARE`

// importing is an import into one table.
type importing struct {
	s     *Store
	ctx   context.Context
	tx    pgx.Tx
	table store.Table
	own   error
}

// wrong ends the import because of a row.
func (i *importing) wrong(err error) error {
	i.own = fmt.Errorf("a row of table %s: %w", i.table, err)
	return i.own
}

// existing says where the rows of a table are found by their names.
var existing = map[store.Table]string{
	store.Users:         `SELECT id, record FROM users WHERE id = ANY ($1::text[])`,
	store.Organizations: `SELECT id, record FROM organizations WHERE id = ANY ($1::text[])`,
	store.Policy:        `SELECT name, record FROM policy WHERE name = ANY ($1::text[])`,
	store.APIKeys:       `SELECT id, record FROM api_keys WHERE id = ANY ($1::text[])`,
	store.Campaigns:     `SELECT organization, record FROM campaigns WHERE organization = ANY ($1::text[])`,
	store.Attempts:      `SELECT key, record FROM attempts WHERE key = ANY ($1::text[])`,
	store.Sessions:      `SELECT id, record FROM sessions WHERE id = ANY ($1::text[])`,
	store.Challenges:    `SELECT id, record FROM challenges WHERE id = ANY ($1::text[])`,
	store.Events:        `SELECT number::text, record FROM events WHERE number = ANY ($1::text[]::bigint[])`,
}

func (i *importing) rows(rows []store.Row) error {
	if i.table == store.Chain {
		for _, r := range rows {
			if err := i.chain(r); err != nil {
				return err
			}
		}
		return nil
	}
	sql, ok := existing[i.table]
	if !ok {
		return i.wrong(fmt.Errorf("it belongs to no place: %w", store.ErrDamaged))
	}
	names := make([]string, len(rows))
	for n, r := range rows {
		var err error
		if names[n], err = i.name(r); err != nil {
			return i.wrong(err)
		}
	}
	have, err := i.have(sql, names)
	if err != nil {
		return err
	}
	var missing []store.Row
	for n, r := range rows {
		kept, ok := have[names[n]]
		switch {
		case !ok:
			missing = append(missing, r)
		case string(kept) != string(r.Data):
			return i.wrong(fmt.Errorf("it says something else here: %w", mfa.ErrTaken))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return i.write(missing)
}

// name returns the name by which the row is kept and sealed here.
func (i *importing) name(r store.Row) (string, error) {
	switch i.table {
	case store.Events:
		number, err := store.EventNumber(r.ID)
		if err != nil || number > 1<<62 {
			return "", fmt.Errorf("it has no number: %w", store.ErrDamaged)
		}
		return eventName(number), nil
	case store.Policy:
		if r.ID == policyName {
			return r.ID, nil
		}
	case store.Campaigns:
		if campaignOf(mfa.OrganizationID(r.ID)) {
			return r.ID, nil
		}
	default:
		if usable(r.ID) {
			return r.ID, nil
		}
	}
	return "", fmt.Errorf("its ID is none: %w", store.ErrDamaged)
}

// have returns what is kept under these names.
func (i *importing) have(sql string, names []string) (map[string]json.RawMessage, error) {
	rows, err := i.tx.Query(i.ctx, sql, names)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[named])
	if err != nil {
		return nil, err
	}
	kept := make(map[string]json.RawMessage, len(list))
	for _, r := range list {
		var data json.RawMessage
		if err := i.s.codec.Decode(r.Record, i.table, r.ID, &data); err != nil {
			return nil, i.wrong(err)
		}
		kept[r.ID] = data
	}
	return kept, nil
}

// read reads the row.
func (i *importing) read(r store.Row, v any) error {
	if len(r.Data) >= maxRecord {
		return i.wrong(mfa.ErrTooLarge)
	}
	if json.Unmarshal(r.Data, v) != nil {
		return i.wrong(store.ErrDamaged) // the decoder's own words could repeat what it read
	}
	return nil
}

// owner refuses a row that says that it is another one's.
func (i *importing) owner(r store.Row, id string) error {
	if r.ID != id {
		return i.wrong(store.ErrDamaged)
	}
	return nil
}

// sealed returns the record of the row.
func (i *importing) sealed(name string, r store.Row) []byte {
	return i.s.codec.Seal(i.table, name, r.Data)
}

// copy writes many rows of a table of the database.
func (i *importing) copy(table string, columns []string, values [][]any) error {
	if len(values) == 0 {
		return nil
	}
	_, err := i.tx.CopyFrom(i.ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(values))
	return err
}

func (i *importing) write(rows []store.Row) error {
	switch i.table {
	case store.Users:
		return i.users(rows)
	case store.Sessions:
		return i.sessions(rows)
	case store.Events:
		return i.events(rows)
	}
	var table string
	var columns []string
	var values [][]any
	for _, r := range rows {
		var line []any
		var err error
		switch i.table {
		case store.Challenges:
			var c store.Challenge
			if err = i.read(r, &c); err == nil {
				err = i.owner(r, c.Challenge.ID)
			}
			x := &c.Challenge
			after := i.s.deleteAfter(x.Expires, store.TakenMargin).Add(store.ImportMargin)
			var at *time.Time
			if c.Taken {
				now := i.s.db.now().UTC()
				at = &now
			}
			table, columns = "challenges", []string{"id", "purpose", "expires", "taken", "delete_after", "record"}
			line = []any{r.ID, shown(string(x.Purpose)), x.Expires, at, after, i.sealed(r.ID, r)}
		case store.Attempts:
			var a mfa.Attempts
			err = i.read(r, &a)
			end := i.s.attemptsEnd(a)
			if end != nil {
				*end = end.Add(store.ImportMargin)
			}
			table, columns = "attempts", []string{"key", "count", "until", "delete_after", "record"}
			line = []any{r.ID, int64(a.Count), orNil(a.Until), end, i.sealed(r.ID, r)}
		case store.Organizations:
			var o mfa.Organization
			if err = i.read(r, &o); err == nil {
				err = i.owner(r, string(o.ID))
			}
			table, columns = "organizations", []string{"id", "name", "record"}
			line = []any{r.ID, shown(o.Name), i.sealed(r.ID, r)}
		case store.Policy:
			err = i.read(r, new(mfa.PolicySettings))
			table, columns = "policy", []string{"name", "record"}
			line = []any{r.ID, i.sealed(r.ID, r)}
		case store.APIKeys:
			var k mfa.APIKey
			if err = i.read(r, &k); err == nil {
				err = i.owner(r, k.ID)
			}
			table, columns = "api_keys", []string{"id", "name", "expires", "record"}
			line = []any{r.ID, shown(k.Name), orNil(k.Expires), i.sealed(r.ID, r)}
		case store.Campaigns:
			var c mfa.Campaign
			if err = i.read(r, &c); err == nil {
				err = i.owner(r, string(c.Organization))
			}
			table, columns = "campaigns", []string{"organization", "record"}
			line = []any{r.ID, i.sealed(r.ID, r)}
		}
		if err != nil {
			return err
		}
		values = append(values, line)
	}
	return i.copy(table, columns, values)
}

func (i *importing) users(rows []store.Row) error {
	var users, keys, facets, terms [][]any
	counts := make(map[countCell]int64)
	for _, r := range rows {
		var u mfa.User
		if err := i.read(r, &u); err != nil {
			return err
		}
		if err := i.owner(r, string(u.ID)); err != nil {
			return err
		}
		if err := checkUser(&u); err != nil {
			return i.wrong(err)
		}
		users = append(users, userColumns(&u, i.sealed(r.ID, r)))
		for _, k := range without(u.UniqueKeys(), nil) {
			keys = append(keys, []any{k, r.ID})
		}
		place := listedAs(&u)
		for _, f := range without(place.facets, nil) {
			facets = append(facets, []any{f, u.Name, r.ID})
		}
		for _, t := range without(place.terms, nil) {
			terms = append(terms, []any{t, r.ID})
		}
		for _, g := range place.groups {
			counts[countCell{g, place.holds, shardOf(u.ID)}]++
		}
	}
	err := i.copy("users", []string{"id", "name", "source", "display_name", "email", "email_verified", "disabled", "admin", "organizations", "factors", "created", "first_sign_in", "record"}, users)
	if err == nil {
		err = i.copy("user_keys", []string{"key", "user_id"}, keys)
	}
	if err == nil {
		err = i.copy("user_facets", []string{"facet", "name", "user_id"}, facets)
	}
	if err == nil {
		err = i.copy("user_terms", []string{"term", "user_id"}, terms)
	}
	if err != nil {
		return err
	}
	return i.count(counts)
}

// countCell is a row of user_counts.
type countCell struct {
	group, factors string
	shard          int16
}

func (i *importing) count(counts map[countCell]int64) error {
	var groups, factors []string
	var shards []int16
	var ns []int64
	for c, n := range counts {
		groups, factors, shards, ns = append(groups, c.group), append(factors, c.factors), append(shards, c.shard), append(ns, n)
	}
	if len(ns) == 0 {
		return nil
	}
	_, err := i.tx.Exec(i.ctx, `INSERT INTO user_counts (grp, factors, shard, n)
		SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::bigint[])
		ON CONFLICT (grp, factors, shard) DO UPDATE SET n = user_counts.n + excluded.n`, groups, factors, shards, ns)
	return err
}

func (i *importing) sessions(rows []store.Row) error {
	var values [][]any
	for _, r := range rows {
		var kept store.Session
		if err := i.read(r, &kept); err != nil {
			return err
		}
		x := &kept.Session
		if err := i.owner(r, string(x.ID)); err != nil {
			return err
		}
		if !usable(string(x.User)) {
			return i.wrong(store.ErrDamaged)
		}
		var ended *time.Time
		if kept.Ended {
			now := i.s.db.now().UTC()
			ended = &now
		}
		values = append(values, []any{
			r.ID, string(x.User), sessionLine(x.User), shown(x.Scope), x.Complete, x.Created, x.LastSeen, x.Expires, ended,
			i.s.deleteAfter(x.Expires, kept.Margin()).Add(store.ImportMargin), i.sealed(r.ID, r),
		})
	}
	return i.copy("sessions", []string{"id", "user_id", "line", "scope", "complete", "created", "last_seen", "expires", "ended", "delete_after", "record"}, values)
}

func (i *importing) events(rows []store.Row) error {
	var values [][]any
	for _, r := range rows {
		var e mfa.Event
		if err := i.read(r, &e); err != nil {
			return err
		}
		number, err := store.EventNumber(r.ID)
		hash, hashErr := hex.DecodeString(e.Hash)
		if err != nil || hashErr != nil || e.Number != 0 && e.Number != number {
			return i.wrong(store.ErrDamaged)
		}
		values = append(values, []any{
			int64(number), e.At, nanoseconds(e.At), shown(string(e.Name)), indexed(string(e.User)), indexed(e.Decision), hash, //nolint:gosec // bounded
			i.sealed(eventName(number), r),
		})
	}
	return i.copy("events", []string{"number", "at", "at_nano", "name", "user_id", "decision", "hash", "record"}, values)
}

// chain keeps how the chain ends, and with it where it begins, unless another row says
// that.
func (i *importing) chain(r store.Row) error {
	switch r.ID {
	case store.ChainCount:
		var n store.EventCount
		if err := i.read(r, &n); err != nil {
			return err
		}
		first, err := json.Marshal(startOf(n))
		if err != nil {
			return err
		}
		wrote, err := i.meta(metaEvents, r.Data, store.EventCount{})
		if err != nil || !wrote {
			return err
		}
		_, err = i.meta(metaStart, first, startOf(store.EventCount{}))
		return err
	case store.ChainStart:
		if err := i.read(r, new(store.EventStart)); err != nil {
			return err
		}
		var record []byte
		if err := i.tx.QueryRow(i.ctx, `SELECT record FROM meta WHERE name = $1`, metaEvents).Scan(&record); err != nil {
			return err
		}
		n, err := i.s.decodeCount(record)
		if err != nil {
			return i.wrong(err)
		}
		_, err = i.meta(metaStart, r.Data, startOf(n))
		return err
	}
	return i.wrong(fmt.Errorf("it belongs to no place: %w", store.ErrDamaged))
}

// meta replaces a row of meta that says what it says at first, and reports whether it did:
// it may say the same already.
func (i *importing) meta(name string, data json.RawMessage, first any) (wrote bool, err error) {
	var record []byte
	if err := i.tx.QueryRow(i.ctx, `SELECT record FROM meta WHERE name = $1 FOR UPDATE`, name).Scan(&record); err != nil {
		return false, err
	}
	var kept json.RawMessage
	if err := i.s.codec.Decode(record, store.Meta, name, &kept); err != nil {
		return false, i.wrong(err)
	}
	initial, err := json.Marshal(first)
	switch {
	case err != nil:
		return false, err
	case string(kept) == string(data):
		return false, nil
	case string(kept) != string(initial):
		return false, i.wrong(fmt.Errorf("it says something else here: %w", mfa.ErrTaken))
	}
	_, err = i.tx.Exec(i.ctx, `UPDATE meta SET record = $2 WHERE name = $1`, name, i.s.codec.Seal(store.Meta, name, data))
	return true, err
}

// Filled implements store.Target.
func (s *Store) Filled(ctx context.Context, list []mfa.Event) error {
	if s.db.o.Fill == "" {
		return errors.New("ending the copy: the store was not opened to be filled")
	}
	err := s.update(ctx, []string{appendLine}, func(w *writing) error {
		there := false
		err := w.ask(func(b *pgx.Batch) {
			b.Queue(`SELECT true FROM meta WHERE name = $1 FOR UPDATE`, metaFilling).QueryRow(func(r pgx.Row) error {
				if err := r.Scan(&there); !noRow(err) {
					return err
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		if !there {
			return errFilled
		}
		if err := w.appendEvents(list); err != nil {
			return err
		}
		w.put(`DELETE FROM meta WHERE name = $1`, metaFilling)
		return nil
	})
	if err != nil {
		return fmt.Errorf("ending the copy: %w", err)
	}
	return nil
}
