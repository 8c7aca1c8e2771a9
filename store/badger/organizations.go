package badger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

func organizationRow(id mfa.OrganizationID) row     { return row{store.Organizations, string(id)} }
func organizationLock(id mfa.OrganizationID) string { return "organization:" + string(id) }

// Organization implements mfa.Organizations.
func (s *Store) Organization(ctx context.Context, id mfa.OrganizationID) (*mfa.Organization, error) {
	var o mfa.Organization
	err := s.view(ctx, func(txn *badger.Txn) error { return s.readOrganization(txn, id, &o) })
	if err != nil {
		return nil, err
	}
	return &o, nil
}

func (s *Store) readOrganization(txn *badger.Txn, id mfa.OrganizationID, o *mfa.Organization) error {
	if err := s.read(txn, organizationRow(id), o); err != nil {
		return err
	}
	if o.ID != id {
		return fmt.Errorf("reading an organization: %w", store.ErrDamaged)
	}
	return nil
}

// CreateOrganization implements mfa.Organizations.
func (s *Store) CreateOrganization(ctx context.Context, o *mfa.Organization) error {
	if o == nil {
		return errors.New("creating an organization: there is none")
	}
	if _, err := mfa.ParseOrganizationID(string(o.ID)); err != nil {
		return fmt.Errorf("creating an organization: %w", err)
	}
	return s.update(ctx, []string{organizationLock(o.ID)}, func(w *writing) error {
		taken, err := w.taken(organizationRow(o.ID))
		if err != nil {
			return err
		}
		if taken {
			return mfa.ErrTaken
		}
		w.changed.organizations = true
		return w.put(organizationRow(o.ID), o, 0)
	})
}

// UpdateOrganization implements mfa.Organizations.
func (s *Store) UpdateOrganization(ctx context.Context, id mfa.OrganizationID, change func(*mfa.Organization) error) error {
	return s.update(ctx, []string{organizationLock(id)}, func(w *writing) error {
		var o mfa.Organization
		if err := s.readOrganization(w.Txn, id, &o); err != nil {
			return err
		}
		before, err := json.Marshal(&o)
		if err != nil {
			return fmt.Errorf("updating an organization: %w", err)
		}
		if err := change(&o); err != nil {
			return err
		}
		if o.ID != id {
			return errors.New("updating an organization: a change must leave the ID alone")
		}
		after, err := json.Marshal(&o)
		if err != nil {
			return fmt.Errorf("updating an organization: %w", err)
		}
		if bytes.Equal(before, after) {
			return nil
		}
		w.changed.organizations = true
		return w.put(organizationRow(id), &o, 0)
	})
}

// RemoveOrganization implements mfa.Organizations.
func (s *Store) RemoveOrganization(ctx context.Context, id mfa.OrganizationID) error {
	if _, err := mfa.ParseOrganizationID(string(id)); err != nil {
		return mfa.ErrNotFound
	}
	return s.update(ctx, []string{organizationLock(id)}, func(w *writing) error {
		// It is not read: one whose record is damaged can be removed, too.
		there, err := w.taken(organizationRow(id))
		if err != nil {
			return err
		}
		if !there {
			return mfa.ErrNotFound
		}
		w.changed.organizations = true
		return w.remove(organizationRow(id).key())
	})
}

// ListOrganizations implements mfa.Organizations. One that cannot be read fails
// the whole list: left out, it would ask nothing of its members.
func (s *Store) ListOrganizations(ctx context.Context) ([]*mfa.Organization, error) {
	var list []*mfa.Organization
	err := s.view(ctx, func(txn *badger.Txn) error {
		return scan(txn, prefixes[store.Organizations], "", func(id string) (bool, error) {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			var o mfa.Organization
			if err := s.readOrganization(txn, mfa.OrganizationID(id), &o); err != nil {
				return false, fmt.Errorf("listing organizations: %w", err)
			}
			list = append(list, &o)
			return true, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// OnOrganizationChange implements mfa.Organizations.
func (s *Store) OnOrganizationChange(fn func()) (remove func()) {
	added := &fn // functions cannot be compared, where they stand can
	s.listenMu.Lock()
	defer s.listenMu.Unlock()
	s.organizationListeners = append(slices.Clip(s.organizationListeners), added)
	return func() {
		s.listenMu.Lock()
		defer s.listenMu.Unlock()
		// A new slice, like above: announcements that are under way keep theirs.
		s.organizationListeners = slices.DeleteFunc(slices.Clone(s.organizationListeners), func(l *func()) bool { return l == added })
	}
}

func (s *Store) announceOrganizations() {
	s.listenMu.RLock()
	listeners := s.organizationListeners
	s.listenMu.RUnlock()
	for _, fn := range listeners {
		(*fn)()
	}
}
