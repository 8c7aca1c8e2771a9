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

func (s *measuredStore) ListUsers(ctx context.Context, q mfa.UserQuery, after string, limit int) (page []*mfa.User, next string, err error) {
	op := s.begin(ctx, "list_users")
	page, next, err = s.openStore.ListUsers(op.ctx, q, after, limit)
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

func (s *measuredStore) CountUsers(ctx context.Context, facets ...mfa.Facet) (n map[mfa.Kinds]int, err error) {
	op := s.begin(ctx, "count_users")
	n, err = s.openStore.CountUsers(op.ctx, facets...)
	op.end(err, nil)
	return n, err
}

func (s *measuredStore) EventsInOrder(ctx context.Context, from uint64, limit int) (list []mfa.Event, err error) {
	op := s.begin(ctx, "events_in_order")
	list, err = s.openStore.EventsInOrder(op.ctx, from, limit)
	op.end(err, nil)
	return list, err
}

func (s *measuredStore) ChainEnds(ctx context.Context) (ends mfa.ChainEnds, err error) {
	op := s.begin(ctx, "chain_ends")
	ends, err = s.openStore.ChainEnds(op.ctx)
	op.end(err, nil)
	return ends, err
}

func (s *measuredStore) APIKey(ctx context.Context, id string) (k *mfa.APIKey, err error) {
	op := s.begin(ctx, "api_key")
	k, err = s.openStore.APIKey(op.ctx, id)
	op.end(err, nil)
	return k, err
}

func (s *measuredStore) CreateAPIKey(ctx context.Context, k *mfa.APIKey) (err error) {
	op := s.begin(ctx, "create_api_key")
	err = s.openStore.CreateAPIKey(op.ctx, k)
	op.end(err, nil)
	return err
}

func (s *measuredStore) UpdateAPIKey(ctx context.Context, id string, change func(*mfa.APIKey) error) error {
	op := s.begin(ctx, "update_api_key")
	change, own := watch(change)
	err := s.openStore.UpdateAPIKey(op.ctx, id, change)
	op.end(err, *own)
	return err
}

func (s *measuredStore) RemoveAPIKey(ctx context.Context, id string) (err error) {
	op := s.begin(ctx, "remove_api_key")
	err = s.openStore.RemoveAPIKey(op.ctx, id)
	op.end(err, nil)
	return err
}

func (s *measuredStore) ListAPIKeys(ctx context.Context) (list []*mfa.APIKey, err error) {
	op := s.begin(ctx, "list_api_keys")
	list, err = s.openStore.ListAPIKeys(op.ctx)
	op.end(err, nil)
	return list, err
}

func (s *measuredStore) Campaign(ctx context.Context, of mfa.OrganizationID) (c *mfa.Campaign, err error) {
	op := s.begin(ctx, "campaign")
	c, err = s.openStore.Campaign(op.ctx, of)
	op.end(err, nil)
	return c, err
}

func (s *measuredStore) UpdateCampaign(ctx context.Context, of mfa.OrganizationID, change func(*mfa.Campaign) error) error {
	op := s.begin(ctx, "update_campaign")
	change, own := watch(change)
	err := s.openStore.UpdateCampaign(op.ctx, of, change)
	op.end(err, *own)
	return err
}

func (s *measuredStore) RemoveCampaign(ctx context.Context, of mfa.OrganizationID) (err error) {
	op := s.begin(ctx, "remove_campaign")
	err = s.openStore.RemoveCampaign(op.ctx, of)
	op.end(err, nil)
	return err
}

func (s *measuredStore) ListCampaigns(ctx context.Context) (list []*mfa.Campaign, err error) {
	op := s.begin(ctx, "list_campaigns")
	list, err = s.openStore.ListCampaigns(op.ctx)
	op.end(err, nil)
	return list, err
}

// Exclusively measures how long the lock is held, too.
func (s *measuredStore) Exclusively(ctx context.Context, name string, work func(context.Context) error) error {
	op := s.begin(ctx, "exclusively")
	var own error
	err := s.openStore.Exclusively(op.ctx, name, func(ctx context.Context) error {
		own = work(ctx)
		return own
	})
	op.end(err, own)
	return err
}

var _ openStore = (*measuredStore)(nil)
