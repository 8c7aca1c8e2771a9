package caddymodule

import (
	"context"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// The methods of mfa.Store, each measured under its own name. A function that a caller
// gives to one runs inside the span and inside the time.

func (s *measuredStore) User(ctx context.Context, id mfa.UserID) (u *mfa.User, err error) {
	op := s.begin(ctx, "user")
	u, err = s.openStore.User(op.ctx, id)
	op.end(err, nil)
	return u, err
}

func (s *measuredStore) UserByKey(ctx context.Context, key string) (u *mfa.User, err error) {
	op := s.begin(ctx, "user_by_key")
	u, err = s.openStore.UserByKey(op.ctx, key)
	op.end(err, nil)
	return u, err
}

func (s *measuredStore) CreateUser(ctx context.Context, u *mfa.User) (err error) {
	op := s.begin(ctx, "create_user")
	err = s.openStore.CreateUser(op.ctx, u)
	op.end(err, nil)
	return err
}

func (s *measuredStore) UpdateUser(ctx context.Context, id mfa.UserID, change func(*mfa.User) error) error {
	op := s.begin(ctx, "update_user")
	change, own := watch(change)
	err := s.openStore.UpdateUser(op.ctx, id, change)
	op.end(err, *own)
	return err
}

func (s *measuredStore) ListUsers(ctx context.Context, prefix, after string, limit int) (page []*mfa.User, next string, err error) {
	op := s.begin(ctx, "list_users")
	page, next, err = s.openStore.ListUsers(op.ctx, prefix, after, limit)
	op.end(err, nil)
	return page, next, err
}

func (s *measuredStore) CreateSession(ctx context.Context, v *mfa.Session) (err error) {
	op := s.begin(ctx, "create_session")
	err = s.openStore.CreateSession(op.ctx, v)
	op.end(err, nil)
	return err
}

func (s *measuredStore) Session(ctx context.Context, id mfa.SessionID) (v *mfa.Session, err error) {
	op := s.begin(ctx, "session")
	v, err = s.openStore.Session(op.ctx, id)
	op.end(err, nil)
	return v, err
}

func (s *measuredStore) UpdateSession(ctx context.Context, id mfa.SessionID, change func(*mfa.Session) error) error {
	op := s.begin(ctx, "update_session")
	change, own := watch(change)
	err := s.openStore.UpdateSession(op.ctx, id, change)
	op.end(err, *own)
	return err
}

func (s *measuredStore) ReplaceSession(ctx context.Context, old mfa.SessionID, next *mfa.Session) (err error) {
	op := s.begin(ctx, "replace_session")
	err = s.openStore.ReplaceSession(op.ctx, old, next)
	op.end(err, nil)
	return err
}

func (s *measuredStore) EndSession(ctx context.Context, id mfa.SessionID) (err error) {
	op := s.begin(ctx, "end_session")
	err = s.openStore.EndSession(op.ctx, id)
	op.end(err, nil)
	return err
}

func (s *measuredStore) EndUserSessions(ctx context.Context, user mfa.UserID, keep mfa.SessionID) (err error) {
	op := s.begin(ctx, "end_user_sessions")
	err = s.openStore.EndUserSessions(op.ctx, user, keep)
	op.end(err, nil)
	return err
}

func (s *measuredStore) UserSessions(ctx context.Context, user mfa.UserID) (list []*mfa.Session, err error) {
	op := s.begin(ctx, "user_sessions")
	list, err = s.openStore.UserSessions(op.ctx, user)
	op.end(err, nil)
	return list, err
}

func (s *measuredStore) Touch(ctx context.Context, seen map[mfa.SessionID]time.Time) (err error) {
	op := s.begin(ctx, "touch")
	err = s.openStore.Touch(op.ctx, seen)
	op.end(err, nil)
	return err
}

func (s *measuredStore) PutChallenge(ctx context.Context, c *mfa.Challenge) (err error) {
	op := s.begin(ctx, "put_challenge")
	err = s.openStore.PutChallenge(op.ctx, c)
	op.end(err, nil)
	return err
}

func (s *measuredStore) Challenge(ctx context.Context, id string) (c *mfa.Challenge, err error) {
	op := s.begin(ctx, "challenge")
	c, err = s.openStore.Challenge(op.ctx, id)
	op.end(err, nil)
	return c, err
}

func (s *measuredStore) TakeChallenge(ctx context.Context, id string) (c *mfa.Challenge, err error) {
	op := s.begin(ctx, "take_challenge")
	c, err = s.openStore.TakeChallenge(op.ctx, id)
	op.end(err, nil)
	return c, err
}

func (s *measuredStore) UpdateAttempts(ctx context.Context, keys []string, change func([]mfa.Attempts) error) error {
	op := s.begin(ctx, "update_attempts")
	change, own := watch(change)
	err := s.openStore.UpdateAttempts(op.ctx, keys, change)
	op.end(err, *own)
	return err
}

func (s *measuredStore) Attempts(ctx context.Context, key string) (a mfa.Attempts, err error) {
	op := s.begin(ctx, "attempts")
	a, err = s.openStore.Attempts(op.ctx, key)
	op.end(err, nil)
	return a, err
}

func (s *measuredStore) Organization(ctx context.Context, id mfa.OrganizationID) (o *mfa.Organization, err error) {
	op := s.begin(ctx, "organization")
	o, err = s.openStore.Organization(op.ctx, id)
	op.end(err, nil)
	return o, err
}

func (s *measuredStore) CreateOrganization(ctx context.Context, o *mfa.Organization) (err error) {
	op := s.begin(ctx, "create_organization")
	err = s.openStore.CreateOrganization(op.ctx, o)
	op.end(err, nil)
	return err
}

func (s *measuredStore) UpdateOrganization(ctx context.Context, id mfa.OrganizationID, change func(*mfa.Organization) error) error {
	op := s.begin(ctx, "update_organization")
	change, own := watch(change)
	err := s.openStore.UpdateOrganization(op.ctx, id, change)
	op.end(err, *own)
	return err
}

func (s *measuredStore) RemoveOrganization(ctx context.Context, id mfa.OrganizationID) (err error) {
	op := s.begin(ctx, "remove_organization")
	err = s.openStore.RemoveOrganization(op.ctx, id)
	op.end(err, nil)
	return err
}

func (s *measuredStore) ListOrganizations(ctx context.Context) (list []*mfa.Organization, err error) {
	op := s.begin(ctx, "list_organizations")
	list, err = s.openStore.ListOrganizations(op.ctx)
	op.end(err, nil)
	return list, err
}

func (s *measuredStore) PolicySettings(ctx context.Context) (p mfa.PolicySettings, err error) {
	op := s.begin(ctx, "policy_settings")
	p, err = s.openStore.PolicySettings(op.ctx)
	op.end(err, nil)
	return p, err
}

func (s *measuredStore) UpdatePolicySettings(ctx context.Context, change func(*mfa.PolicySettings) error) error {
	op := s.begin(ctx, "update_policy_settings")
	change, own := watch(change)
	err := s.openStore.UpdatePolicySettings(op.ctx, change)
	op.end(err, *own)
	return err
}

func (s *measuredStore) AppendEvents(ctx context.Context, list []mfa.Event) (err error) {
	op := s.begin(ctx, "append_events")
	err = s.openStore.AppendEvents(op.ctx, list)
	op.end(err, nil)
	return err
}

func (s *measuredStore) Events(ctx context.Context, q mfa.EventQuery, after string, limit int) (page []mfa.Event, next string, err error) {
	op := s.begin(ctx, "events")
	page, next, err = s.openStore.Events(op.ctx, q, after, limit)
	op.end(err, nil)
	return page, next, err
}

var _ openStore = (*measuredStore)(nil)
