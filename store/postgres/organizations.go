package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// Organization implements mfa.Organizations.
func (s *Store) Organization(ctx context.Context, id mfa.OrganizationID) (*mfa.Organization, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !usable(string(id)) {
		return nil, mfa.ErrNotFound
	}
	record, err := s.record(ctx, `SELECT record FROM organizations WHERE id = $1`, string(id))
	if err != nil {
		return nil, err
	}
	return s.decodeOrganization(record, id)
}

func (s *Store) decodeOrganization(record []byte, id mfa.OrganizationID) (*mfa.Organization, error) {
	var o mfa.Organization
	if err := s.decode(record, store.Organizations, string(id), &o); err != nil {
		return nil, err
	}
	if o.ID != id {
		return nil, fmt.Errorf("reading an organization: %w", store.ErrDamaged)
	}
	return &o, nil
}

// CreateOrganization implements mfa.Organizations.
func (s *Store) CreateOrganization(ctx context.Context, o *mfa.Organization) error {
	if o == nil {
		return errors.New("creating an organization: there is none")
	}
	if _, err := mfa.ParseOrganizationID(string(o.ID)); err != nil {
		return fmt.Errorf("creating an organization: %w", err)
	}
	record, err := s.encode(store.Organizations, string(o.ID), o)
	if err != nil {
		return err
	}
	return s.update(ctx, nil, func(w *writing) error {
		w.changed.organizations = true
		w.put(`INSERT INTO organizations (id, name, record) VALUES ($1, $2, $3)`, string(o.ID), shown(o.Name), record)
		return nil
	})
}

// UpdateOrganization implements mfa.Organizations.
func (s *Store) UpdateOrganization(ctx context.Context, id mfa.OrganizationID, change func(*mfa.Organization) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !usable(string(id)) {
		return mfa.ErrNotFound
	}
	return s.update(ctx, nil, func(w *writing) error {
		record, err := w.record(`SELECT record FROM organizations WHERE id = $1 FOR UPDATE`, string(id))
		if err != nil {
			return err
		}
		o, err := s.decodeOrganization(record, id)
		if err != nil {
			return err
		}
		changed, err := changedBy(o, change)
		if err != nil {
			return err
		}
		if o.ID != id {
			return errors.New("updating an organization: a change must leave the ID alone")
		}
		if !changed {
			return nil
		}
		if record, err = s.encode(store.Organizations, string(id), o); err != nil {
			return err
		}
		w.changed.organizations = true
		w.put(`UPDATE organizations SET name = $2, record = $3 WHERE id = $1`, string(id), shown(o.Name), record)
		return nil
	})
}

// RemoveOrganization implements mfa.Organizations. The record is not read: one that is
// damaged can be removed, too.
func (s *Store) RemoveOrganization(ctx context.Context, id mfa.OrganizationID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := mfa.ParseOrganizationID(string(id)); err != nil {
		return mfa.ErrNotFound
	}
	return s.update(ctx, nil, func(w *writing) error {
		w.changed.organizations = true
		return w.remove("organizations", "id", string(id))
	})
}

// remove removes a row, or answers mfa.ErrNotFound.
func (w *writing) remove(table, column, id string) error {
	record, err := w.record(`SELECT record FROM `+table+` WHERE `+column+` = $1 FOR UPDATE`, id)
	if err != nil {
		return err
	}
	if record == nil {
		return mfa.ErrNotFound
	}
	w.put(`DELETE FROM `+table+` WHERE `+column+` = $1`, id)
	return nil
}

// ListOrganizations implements mfa.Organizations. One that cannot be read fails the whole
// list: left out, it would ask nothing of its members.
func (s *Store) ListOrganizations(ctx context.Context) ([]*mfa.Organization, error) {
	list, err := all(ctx, s, `SELECT id, record FROM organizations ORDER BY id`, func(id string, record []byte) (*mfa.Organization, error) {
		return s.decodeOrganization(record, mfa.OrganizationID(id))
	})
	if err != nil {
		return nil, fmt.Errorf("listing organizations: %w", err)
	}
	return list, nil
}

// all reads every row of a small table.
func all[T any](ctx context.Context, s *Store, sql string, decode func(id string, record []byte) (*T, error)) ([]*T, error) {
	type row struct {
		id     string
		record []byte
	}
	var rows []row
	err := s.read(ctx, func(b *pgx.Batch) {
		b.Queue(sql).Query(func(found pgx.Rows) (err error) {
			rows = nil
			for found.Next() {
				var r row
				if err := found.Scan(&r.id, &r.record); err != nil {
					return err
				}
				rows = append(rows, r)
			}
			return found.Err()
		})
	})
	if err != nil {
		return nil, err
	}
	var list []*T
	for _, r := range rows {
		v, err := decode(r.id, r.record)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}
