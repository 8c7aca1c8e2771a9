package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// batch is how many sessions one write moves forward or ends.
const batch = 256

// sessionLines is how many rows session_lines has.
const sessionLines = 4096

// sessionLine is which of them is the user's.
func sessionLine(id mfa.UserID) int16 { return int16(hash(id) % sessionLines) } //nolint:gosec // bounded

// sessionRow is a row of sessions.
type sessionRow struct {
	id, user string
	seen     time.Time
	ended    bool
	record   []byte
}

const sessionColumns = `id, user_id, last_seen, ended IS NOT NULL, record`

func (r *sessionRow) fields() []any { return []any{&r.id, &r.user, &r.seen, &r.ended, &r.record} }

// oneSession returns what takes one row; it is left without a record where there is none.
func oneSession(row *sessionRow) func(pgx.Row) error {
	return func(r pgx.Row) error {
		*row = sessionRow{}
		err := r.Scan(row.fields()...)
		if noRow(err) {
			return nil
		}
		return err
	}
}

// allSessions returns what takes all rows.
func allSessions(list *[]sessionRow) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		*list = nil
		for rows.Next() {
			var r sessionRow
			if err := rows.Scan(r.fields()...); err != nil {
				return err
			}
			*list = append(*list, r)
		}
		return rows.Err()
	}
}

// session reads a row; mfa.ErrNotFound for one that ended. The record decides. The columns
// beside it are what sessions are found by: one that does not say the same would keep the
// session out of the reach of who ends all of a user's, or put it among somebody else's
// (AC-195).
func (s *Store) session(row sessionRow, id mfa.SessionID) (*mfa.Session, error) {
	var r store.Session
	if err := s.decode(row.record, store.Sessions, string(id), &r); err != nil {
		return nil, err
	}
	x := &r.Session
	switch {
	case x.ID != id || string(x.User) != row.user:
		return nil, fmt.Errorf("reading a session: %w", store.ErrDamaged)
	case r.Ended:
		return nil, mfa.ErrNotFound
	case row.ended:
		return nil, fmt.Errorf("reading a session: its row says that it ended: %w", store.ErrDamaged)
	}
	// When it was last seen is written without the record. It is believed as far as that
	// keeps a session no longer than its own end.
	if seen := row.seen.UTC(); seen.After(x.LastSeen) {
		x.LastSeen = seen
		if x.LastSeen.After(x.Expires) {
			x.LastSeen = x.Expires
		}
	}
	return x, nil
}

// liveSession is session for everybody but who writes an end: one whose end could not be
// written has ended as well.
func (s *Store) liveSession(row sessionRow, id mfa.SessionID) (*mfa.Session, error) {
	if s.doomed.Has(id) {
		return nil, mfa.ErrNotFound
	}
	return s.session(row, id)
}

// Session implements mfa.Sessions.
func (s *Store) Session(ctx context.Context, id mfa.SessionID) (*mfa.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !usable(string(id)) || s.doomed.Has(id) {
		return nil, mfa.ErrNotFound
	}
	var row sessionRow
	err := s.read(ctx, func(b *pgx.Batch) {
		b.Queue(`SELECT `+sessionColumns+` FROM sessions WHERE id = $1`, string(id)).QueryRow(oneSession(&row))
	})
	if err != nil {
		return nil, err
	}
	session, err := s.liveSession(row, id)
	if err == nil {
		s.recent.note(id, session.User)
	}
	return session, err
}

// CreateSession implements mfa.Sessions.
func (s *Store) CreateSession(ctx context.Context, session *mfa.Session) error {
	if err := checkSession(session); err != nil {
		return fmt.Errorf("creating a session: %w", err)
	}
	return s.update(ctx, []string{userLine(session.User)}, func(w *writing) error {
		var surplus []sessionRow
		err := w.ask(func(b *pgx.Batch) {
			standInLine(b, session.User)
			askSurplus(b, session, "", &surplus)
		})
		if err != nil {
			return err
		}
		if err := w.endRows(surplus); err != nil {
			return err
		}
		return w.putSession(session, true)
	})
}

func checkSession(session *mfa.Session) error {
	if session == nil || !usable(string(session.ID)) || !usable(string(session.User)) {
		return errors.New("the ID or the user's is empty, too long or not text")
	}
	return nil
}

// standInLine waits until nobody else changes which sessions that user has.
func standInLine(b *pgx.Batch, user mfa.UserID) {
	b.Queue(`SELECT line FROM session_lines WHERE line = $1 FOR UPDATE`, sessionLine(user))
}

// standInLineOf is standInLine for the user of that session.
func standInLineOf(b *pgx.Batch, id mfa.SessionID) {
	b.Queue(`SELECT line FROM session_lines WHERE line = (SELECT line FROM sessions WHERE id = $1) FOR UPDATE`, string(id))
}

// askSurplus asks for the user's least recently seen sessions of the same kind, those that
// have to end so that there is room for this one: whoever has a password must not fill the
// store with sign-ins that were begun. But for two: this one, and one that ends anyway.
func askSurplus(b *pgx.Batch, session *mfa.Session, ends mfa.SessionID, surplus *[]sessionRow) {
	room := mfa.MaxSessions
	if !session.Complete {
		room = mfa.MaxHalfDone
	}
	b.Queue(`SELECT `+sessionColumns+` FROM sessions WHERE user_id = $1 AND ended IS NULL AND complete = $2 AND id <> $3 AND id <> $4
		ORDER BY last_seen DESC, id DESC OFFSET $5 FOR UPDATE`, string(session.User), session.Complete, string(session.ID), string(ends), room-1).
		Query(allSessions(surplus))
}

// putSession writes the session's row.
func (w *writing) putSession(session *mfa.Session, fresh bool) error {
	kept := store.Session{Session: *session}
	record, err := w.s.encode(store.Sessions, string(session.ID), kept)
	if err != nil {
		return err
	}
	w.announces(session.User)
	sql := `UPDATE sessions SET user_id = $2, line = $3, scope = $4, complete = $5, created = $6, last_seen = $7, expires = $8,
		delete_after = $9, record = $10 WHERE id = $1`
	if fresh {
		sql = `INSERT INTO sessions (id, user_id, line, scope, complete, created, last_seen, expires, delete_after, record)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	}
	w.put(sql, string(session.ID), string(session.User), sessionLine(session.User), shown(session.Scope), session.Complete,
		session.Created, session.LastSeen, session.Expires, w.s.deleteAfter(session.Expires, kept.Margin()), record)
	return nil
}

// endRows ends the sessions of these rows.
func (w *writing) endRows(rows []sessionRow) error {
	for _, row := range rows {
		if err := w.end(row); err != nil {
			return err
		}
	}
	return nil
}

// end ends the session of a row; one that ended already stays so. What is wrong with the row
// must not keep the session alive, nor those behind it that are to end as well (AC-191,
// AC-195).
func (w *writing) end(row sessionRow) error {
	session, err := w.s.session(row, mfa.SessionID(row.id))
	switch {
	case errors.Is(err, store.ErrDamaged):
		w.s.db.log.Error("store: a session whose row is damaged was ended", "error", err)
		w.announces("") // whose it was, nobody can say
		session = &mfa.Session{ID: mfa.SessionID(row.id), User: mfa.UserID(row.user), Expires: w.s.db.now()}
	case errors.Is(err, mfa.ErrNotFound) && !row.ended:
		// The column was changed: among the rows of those that go on it would be looked
		// at again and again.
		w.put(`UPDATE sessions SET ended = $2 WHERE id = $1`, row.id, w.s.db.now().UTC())
		return nil
	case errors.Is(err, mfa.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return w.endSession(session)
}

// endSession writes the fact in the place of the session.
func (w *writing) endSession(session *mfa.Session) error {
	fact := store.EndOf(session)
	record, err := w.s.encode(store.Sessions, string(session.ID), fact)
	if err != nil {
		return err
	}
	w.announces(session.User)
	w.put(`UPDATE sessions SET ended = $2, delete_after = $3, record = $4 WHERE id = $1`,
		string(session.ID), w.s.db.now().UTC(), w.s.deleteAfter(session.Expires, fact.Margin()), record)
	return nil
}

// lockSession locks the session and its user's line.
func (w *writing) lockSession(id mfa.SessionID) (row sessionRow, err error) {
	err = w.ask(func(b *pgx.Batch) {
		standInLineOf(b, id)
		b.Queue(`SELECT `+sessionColumns+` FROM sessions WHERE id = $1 FOR UPDATE`, string(id)).QueryRow(oneSession(&row))
	})
	return row, err
}

func sessionName(id mfa.SessionID) string { return "session:" + string(id) }

// UpdateSession implements mfa.Sessions.
func (s *Store) UpdateSession(ctx context.Context, id mfa.SessionID, change func(*mfa.Session) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !usable(string(id)) {
		return mfa.ErrNotFound
	}
	return s.update(ctx, []string{sessionName(id)}, func(w *writing) error {
		row, err := w.lockSession(id)
		if err != nil {
			return err
		}
		session, err := s.liveSession(row, id)
		if err != nil {
			return err
		}
		user, complete := session.User, session.Complete
		if err := change(session); err != nil {
			return err
		}
		if session.ID != id || session.User != user {
			return errors.New("updating a session: a change must leave ID and user alone")
		}
		if session.Complete && !complete {
			var surplus []sessionRow
			if err := w.ask(func(b *pgx.Batch) { askSurplus(b, session, "", &surplus) }); err != nil {
				return err
			}
			if err := w.endRows(surplus); err != nil {
				return err
			}
		}
		return w.putSession(session, false)
	})
}

// ReplaceSession implements mfa.Sessions.
func (s *Store) ReplaceSession(ctx context.Context, old mfa.SessionID, next *mfa.Session) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkSession(next); err != nil {
		return fmt.Errorf("replacing a session: %w", err)
	}
	if !usable(string(old)) {
		return mfa.ErrNotFound
	}
	return s.update(ctx, []string{sessionName(old), userLine(next.User)}, func(w *writing) error {
		var row sessionRow
		var surplus []sessionRow
		err := w.ask(func(b *pgx.Batch) {
			// The lines of both users, in their order.
			b.Queue(`SELECT line FROM session_lines WHERE line = $2 OR line = (SELECT line FROM sessions WHERE id = $1) ORDER BY line FOR UPDATE`,
				string(old), sessionLine(next.User))
			b.Queue(`SELECT `+sessionColumns+` FROM sessions WHERE id = $1 FOR UPDATE`, string(old)).QueryRow(oneSession(&row))
			askSurplus(b, next, old, &surplus)
		})
		if err != nil {
			return err
		}
		session, err := s.liveSession(row, old)
		if err != nil {
			return err
		}
		if err := w.endSession(session); err != nil {
			return err
		}
		if err := w.endRows(surplus); err != nil {
			return err
		}
		return w.putSession(next, true)
	})
}

// EndSession implements mfa.Sessions. Where the end could not be written, the session is
// worth nothing here all the same, and it is tried again (AC-191).
func (s *Store) EndSession(ctx context.Context, id mfa.SessionID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !usable(string(id)) {
		return nil
	}
	if err := s.writeEnd(ctx, id); err != nil {
		s.doom(id)
		return err
	}
	return nil
}

func (s *Store) writeEnd(ctx context.Context, id mfa.SessionID) error {
	return s.update(ctx, []string{sessionName(id)}, func(w *writing) error {
		row, err := w.lockSession(id)
		if err != nil {
			return err
		}
		if row.record == nil {
			return nil
		}
		return w.end(row)
	})
}

// EndUserSessions implements mfa.Sessions. One write ends so many as fit; the user's line
// is left in between.
func (s *Store) EndUserSessions(ctx context.Context, user mfa.UserID, keep mfa.SessionID) error {
	if err := ctx.Err(); err != nil {
		return err // nothing is begun for a caller who has gone
	}
	if !usable(string(user)) {
		return nil
	}
	err := s.writeEnds(ctx, user, keep)
	if err == nil {
		return nil
	}
	// Not with the request's own time, which may be what ran out.
	left, readErr := s.UserSessions(context.WithoutCancel(ctx), user)
	// They are looked up anew, and where they cannot be read either, none of them goes on
	// from a cache (AC-191).
	defer s.db.told.users.now(string(user))
	if readErr != nil {
		return err
	}
	for _, session := range left {
		if session.ID != keep {
			s.doomed.Add(session.ID, user)
		}
	}
	return err
}

func (s *Store) writeEnds(ctx context.Context, user mfa.UserID, keep mfa.SessionID) error {
	for {
		var rows []sessionRow
		err := s.update(ctx, []string{userLine(user)}, func(w *writing) error {
			err := w.ask(func(b *pgx.Batch) {
				standInLine(b, user)
				b.Queue(`SELECT `+sessionColumns+` FROM sessions WHERE user_id = $1 AND ended IS NULL AND id <> $2
					ORDER BY id LIMIT $3 FOR UPDATE`, string(user), string(keep), batch).Query(allSessions(&rows))
			})
			if err != nil {
				return err
			}
			return w.endRows(rows)
		})
		if err != nil || len(rows) < batch {
			return err
		}
	}
}

// UserSessions implements mfa.Sessions.
func (s *Store) UserSessions(ctx context.Context, user mfa.UserID) ([]*mfa.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !usable(string(user)) {
		return nil, nil
	}
	var rows []sessionRow
	err := s.read(ctx, func(b *pgx.Batch) {
		b.Queue(`SELECT `+sessionColumns+` FROM sessions WHERE user_id = $1 AND ended IS NULL ORDER BY id`, string(user)).Query(allSessions(&rows))
	})
	if err != nil {
		return nil, err
	}
	var all []*mfa.Session
	for _, row := range rows {
		session, err := s.liveSession(row, mfa.SessionID(row.id))
		switch {
		case errors.Is(err, mfa.ErrNotFound):
			continue
		case err != nil:
			return nil, fmt.Errorf("listing sessions: %w", err)
		}
		all = append(all, session)
	}
	slices.SortStableFunc(all, func(a, b *mfa.Session) int { return b.Created.Compare(a.Created) })
	return all, nil
}

// Touch implements mfa.Sessions. It writes a column and no record, so that it cannot bring
// back what another change took away.
func (s *Store) Touch(ctx context.Context, seen map[mfa.SessionID]time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ids := make([]string, 0, len(seen))
	for id := range seen {
		if usable(string(id)) && !s.doomed.Has(id) {
			ids = append(ids, string(id))
		}
	}
	slices.Sort(ids) // rows are locked in one order
	for part := range slices.Chunk(ids, batch) {
		times := make([]time.Time, len(part))
		for i, id := range part {
			times[i] = seen[mfa.SessionID(id)]
		}
		err := s.update(ctx, nil, func(w *writing) error {
			w.put(`UPDATE sessions SET last_seen = v.seen
				FROM (SELECT s.id, t.seen FROM unnest($1::text[], $2::timestamptz[]) AS t (id, seen) JOIN sessions s ON s.id = t.id
					WHERE s.ended IS NULL AND s.last_seen < t.seen ORDER BY s.id FOR UPDATE OF s) AS v
				WHERE sessions.id = v.id`, part, times)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
