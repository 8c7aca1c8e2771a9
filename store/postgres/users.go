package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// User implements mfa.Users.
func (s *Store) User(ctx context.Context, id mfa.UserID) (*mfa.User, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !usable(string(id)) {
		return nil, mfa.ErrNotFound
	}
	record, err := s.record(ctx, `SELECT record FROM users WHERE id = $1`, string(id))
	if err != nil {
		return nil, err
	}
	return s.decodeUser(record, id)
}

func (s *Store) decodeUser(record []byte, id mfa.UserID) (*mfa.User, error) {
	var u mfa.User
	if err := s.decode(record, store.Users, string(id), &u); err != nil {
		return nil, err
	}
	if u.ID != id {
		return nil, fmt.Errorf("reading a user: %w", store.ErrDamaged)
	}
	return &u, nil
}

// UserByKey implements mfa.Users.
func (s *Store) UserByKey(ctx context.Context, key string) (*mfa.User, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if key == "" || len(key) > maxKey || !plain(key) {
		return nil, mfa.ErrNotFound
	}
	var (
		id     *string
		record []byte
	)
	err := s.read(ctx, func(b *pgx.Batch) {
		b.Queue(`SELECT k.user_id, u.record FROM user_keys k LEFT JOIN users u ON u.id = k.user_id WHERE k.key = $1`, key).
			QueryRow(func(r pgx.Row) error {
				id, record = nil, nil
				err := r.Scan(&id, &record)
				if noRow(err) {
					return nil
				}
				return err
			})
	})
	if err != nil {
		return nil, err
	}
	if id == nil {
		return nil, mfa.ErrNotFound
	}
	u, err := s.decodeUser(record, mfa.UserID(*id))
	// An index that leads to nobody, or to somebody without that key, is damage. "Not
	// found" would let the key be taken again, and another's row would sign somebody in
	// as that user (AC-195).
	if errors.Is(err, mfa.ErrNotFound) || err == nil && !slices.Contains(u.UniqueKeys(), key) {
		return nil, fmt.Errorf("looking up a user: the index does not fit: %w", store.ErrDamaged)
	}
	return u, err
}

// CreateUser implements mfa.Users.
func (s *Store) CreateUser(ctx context.Context, u *mfa.User) error {
	if err := checkUser(u); err != nil {
		return fmt.Errorf("creating a user: %w", err)
	}
	return s.update(ctx, nil, func(w *writing) error {
		w.announces(u.ID)
		if err := w.putUser(u, true); err != nil {
			return err
		}
		w.moveKeys(u.ID, nil, u.UniqueKeys())
		w.list(u.ID, listed{}, listedAs(u))
		return nil
	})
}

// checkUser refuses what could not be found again, and what the database cannot hold.
func checkUser(u *mfa.User) error {
	switch {
	case u == nil || !usable(string(u.ID)):
		return errors.New("the ID is empty, too long or not text")
	case len(u.Name) > maxID || !plain(u.Name):
		return errors.New("the name is too long or not text")
	}
	for _, key := range u.UniqueKeys() {
		if len(key) > maxKey || !plain(key) {
			return errors.New("a unique key is too long or not text")
		}
	}
	return nil
}

// putUser writes the record, and its copies for people who look.
func (w *writing) putUser(u *mfa.User, fresh bool) error {
	record, err := w.s.encode(store.Users, string(u.ID), u)
	if err != nil {
		return err
	}
	sql := `UPDATE users SET name = $2, source = $3, display_name = $4, email = $5, email_verified = $6, disabled = $7, admin = $8,
		organizations = $9, factors = $10, created = $11, first_sign_in = $12, record = $13 WHERE id = $1`
	if fresh {
		sql = `INSERT INTO users (id, name, source, display_name, email, email_verified, disabled, admin, organizations, factors, created, first_sign_in, record)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
	}
	w.put(sql, userColumns(u, record)...)
	return nil
}

// userColumns are the values of a row of users, in the order of its columns.
func userColumns(u *mfa.User, record []byte) []any {
	organizations := []string{}
	for _, id := range u.AsSubject().Organizations {
		organizations = append(organizations, shown(string(id)))
	}
	return []any{
		string(u.ID), u.Name, shown(u.Source), shown(u.DisplayName), shown(u.Email), u.EmailVerified, u.Disabled, u.Admin,
		organizations, strings.Fields(u.Enrolled().String()), orNil(u.Created), orNil(u.FirstSignIn), record,
	}
}

// moveKeys gives the user the unique keys in now and takes those away that were only in
// before. One that somebody else has makes the transaction fail (mfa.ErrTaken). They go in
// their order, so that two writers do not wait for each other for ever.
func (w *writing) moveKeys(id mfa.UserID, before, now []string) {
	if lost := without(before, now); len(lost) > 0 {
		w.put(`DELETE FROM user_keys WHERE key = ANY ($1::text[]) AND user_id = $2`, lost, string(id))
	}
	if won := without(now, before); len(won) > 0 {
		w.put(`INSERT INTO user_keys (key, user_id) SELECT k, $2 FROM unnest($1::text[]) AS k ORDER BY k`, won, string(id))
	}
}

// without returns what is in list and not in other, sorted, each once.
func without(list, other []string) []string {
	var left []string
	for _, s := range list {
		if !slices.Contains(other, s) {
			left = append(left, s)
		}
	}
	slices.Sort(left)
	return slices.Compact(left)
}

// UpdateUser implements mfa.Users.
func (s *Store) UpdateUser(ctx context.Context, id mfa.UserID, change func(*mfa.User) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !usable(string(id)) {
		return mfa.ErrNotFound
	}
	return s.update(ctx, []string{userLine(id)}, func(w *writing) error {
		record, err := w.record(`SELECT record FROM users WHERE id = $1 FOR UPDATE`, string(id))
		if err != nil {
			return err
		}
		u, err := s.decodeUser(record, id)
		if err != nil {
			return err
		}
		source, subject, keys, place := u.Source, u.Subject, u.UniqueKeys(), listedAs(u)
		changed, err := changedBy(u, change)
		if err != nil {
			return err
		}
		if u.ID != id || u.Source != source || u.Subject != subject {
			return errors.New("updating a user: a change must leave ID, source and subject alone")
		}
		if !changed {
			return nil
		}
		if err := checkUser(u); err != nil {
			return fmt.Errorf("updating a user: %w", err)
		}
		w.announces(id)
		if err := w.putUser(u, false); err != nil {
			return err
		}
		w.moveKeys(id, keys, u.UniqueKeys())
		w.list(id, place, listedAs(u))
		return nil
	})
}

func userLine(id mfa.UserID) string { return "user:" + string(id) }
