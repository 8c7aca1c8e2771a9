package mfa_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// company is a gate with two organizations and somebody in each place.
type company struct {
	*world
	desk mfatest.Desk
	id   map[string]mfa.UserID
}

func newCompany(t *testing.T, change ...configured) *company {
	t.Helper()
	w := newWorld(t, change...)
	w.policy.Organizations = mfa.NewDirectory([]*mfa.Organization{
		{ID: "acme", Domains: []string{"acme.example"}}, {ID: "globex"},
	})
	c := &company{w, mfatest.NewDesk(w.gate), make(map[string]mfa.UserID)}
	for name, in := range map[string]mfa.InviteInput{
		"root":    {Role: mfa.RoleAdmin},
		"root2":   {Role: mfa.RoleAdmin},
		"auditor": {Role: mfa.RoleAuditor},
		"boss":    {Organizations: []mfa.OrganizationID{"acme"}, AdminOf: []mfa.OrganizationID{"acme"}},
		"ann":     {Organizations: []mfa.OrganizationID{"acme"}},
		"both":    {Organizations: []mfa.OrganizationID{"acme", "globex"}},
		"gil":     {Organizations: []mfa.OrganizationID{"globex"}},
		"nobody":  {},
	} {
		in.Name = name
		token := as[string](t)(c.desk.Invite(t.Context(), in))
		out := as[*mfa.Outcome](t)(w.gate.AcceptLink(t.Context(), w.at, mfa.LinkInput{Token: token, Password: goodPassword}))
		c.id[name] = out.Session.User
	}
	return c
}

// as returns the administration as that person may use it.
func (c *company) as(name string, of mfa.OrganizationID) *mfa.Administration {
	c.t.Helper()
	u := as[*mfa.User](c.t)(c.store.User(c.t.Context(), c.id[name]))
	actor := mfa.Actor{Powers: u.PowersOver(of), Organization: of, User: u.ID, Name: u.Name}
	if u.Admin || u.Auditor {
		actor.Organization = ""
	}
	return c.gate.As(actor)
}

// AC-224, B35: who may do what to whom. Every method stands in the table: one that is
// added without a row is not tested, and the API's matrix holds each route against it.
func TestAdministration_AC224_WhoMayDoWhat(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	type method struct {
		name string
		do   func(a *mfa.Administration, id mfa.UserID) error
	}
	second := func(_ any, err error) error { return err }
	reads := []method{
		{"User", func(a *mfa.Administration, id mfa.UserID) error { return second(a.User(ctx, id)) }},
		{"Sessions", func(a *mfa.Administration, id mfa.UserID) error { return second(a.Sessions(ctx, id)) }},
		{"Activity", func(a *mfa.Administration, id mfa.UserID) error {
			_, _, err := a.Activity(ctx, id, "", 10)
			return err
		}},
	}
	changes := []method{
		{"Unlock", func(a *mfa.Administration, id mfa.UserID) error { return a.Unlock(ctx, id) }},
		{"ResetSkip", func(a *mfa.Administration, id mfa.UserID) error { return a.ResetSkip(ctx, id) }},
		{"EndSessions", func(a *mfa.Administration, id mfa.UserID) error { return a.EndSessions(ctx, id, "") }},
		{"RemoveFactors", func(a *mfa.Administration, id mfa.UserID) error { return a.RemoveFactors(ctx, id, "") }},
		{"EnrollmentPass", func(a *mfa.Administration, id mfa.UserID) error {
			_, _, err := a.EnrollmentPass(ctx, id, 0)
			return err
		}},
		{"Bypass", func(a *mfa.Administration, id mfa.UserID) error {
			_, _, err := a.Bypass(ctx, id, 0, "why")
			return err
		}},
		{"SetDisabled", func(a *mfa.Administration, id mfa.UserID) error {
			if err := a.SetDisabled(ctx, id, true); err != nil {
				return err
			}
			return a.SetDisabled(ctx, id, false)
		}},
	}
	for _, tc := range []struct {
		who    string
		of     mfa.OrganizationID
		whom   string
		read   error // nil: they may
		change error
	}{
		{"root", "", "ann", nil, nil},
		{"root", "", "root2", nil, nil},
		{"auditor", "", "ann", nil, mfa.ErrNotAllowed},
		{"boss", "acme", "ann", nil, nil},
		{"boss", "acme", "both", nil, mfa.ErrRole}, // globex trusts the account as well
		{"boss", "acme", "gil", mfa.ErrNotFound, mfa.ErrNotFound},
		{"boss", "acme", "root2", mfa.ErrNotFound, mfa.ErrNotFound},
		{"boss", "globex", "gil", mfa.ErrNotAllowed, mfa.ErrNotAllowed},
		{"boss", "", "ann", mfa.ErrNotAllowed, mfa.ErrNotAllowed},
		{"ann", "acme", "boss", mfa.ErrNotAllowed, mfa.ErrNotAllowed},
		{"nobody", "", "ann", mfa.ErrNotAllowed, mfa.ErrNotAllowed},
	} {
		a := c.as(tc.who, tc.of)
		for _, m := range reads {
			if err := m.do(a, c.id[tc.whom]); !errors.Is(err, tc.read) || tc.read == nil && err != nil {
				t.Errorf("AC-224 %s of %q: %s of %s: %v, want %v", tc.who, tc.of, m.name, tc.whom, err, tc.read)
			}
		}
		for _, m := range changes {
			if err := m.do(a, c.id[tc.whom]); !errors.Is(err, tc.change) || tc.change == nil && err != nil {
				t.Errorf("AC-224 %s of %q: %s of %s: %v, want %v", tc.who, tc.of, m.name, tc.whom, err, tc.change)
			}
		}
	}
	// What is of the whole gateway.
	for _, m := range []struct {
		name    string
		auditor error
		do      func(a *mfa.Administration) error
	}{
		{"Organizations", nil, func(a *mfa.Administration) error { return second(a.Organizations()) }},
		{"Audit", nil, func(a *mfa.Administration) error {
			_, _, err := a.Audit(ctx, mfa.AuditQuery{}, "", 1)
			return err
		}},
		{"VerifyAudit", nil, func(a *mfa.Administration) error { return second(a.VerifyAudit(ctx)) }},
		{"Export", nil, func(a *mfa.Administration) error { return a.Export(ctx, 0, func(mfa.Event) error { return nil }) }},
		{"APIKeys", mfa.ErrNotAllowed, func(a *mfa.Administration) error { return second(a.APIKeys(ctx)) }},
		{"SetOrganization", mfa.ErrNotAllowed, func(a *mfa.Administration) error {
			return a.SetOrganization(ctx, mfa.Organization{ID: "initech"}, false)
		}},
		{"SetRole", mfa.ErrNotAllowed, func(a *mfa.Administration) error { return a.SetRole(ctx, c.id["nobody"], "", nil) }},
		{"CreateAPIKey", mfa.ErrNotAllowed, func(a *mfa.Administration) error {
			_, _, err := a.CreateAPIKey(ctx, mfa.APIKeyInput{Name: "k", Powers: mfa.ReadUsers, Life: time.Hour})
			return err
		}},
	} {
		for who, want := range map[string]error{"root": nil, "auditor": m.auditor, "nobody": mfa.ErrNotAllowed} {
			if err := m.do(c.as(who, "")); !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("AC-224 %s: %s: %v, want %v", who, m.name, err, want)
			}
		}
		err := m.do(c.as("boss", "acme"))
		if m.name == "Organizations" {
			list, _ := c.as("boss", "acme").Organizations()
			if err != nil || len(list) != 1 || list[0].ID != "acme" {
				t.Errorf("AC-224 an organization's administrator sees %d organizations, %v", len(list), err)
			}
		} else if !errors.Is(err, mfa.ErrNotAllowed) {
			t.Errorf("AC-224 an organization's administrator: %s: %v", m.name, err)
		}
	}
}

// AC-224: an organization's administrator reaches into another organization, one way after
// the other.
func TestAdministration_AC224_OrganizationStaysItself(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	boss := c.as("boss", "acme")

	// Lists and searches.
	for what, f := range map[string]mfa.UserFilter{"everybody": {}, "by name": {Search: "gil"}, "without a factor": {NoFactor: true}, "roles": {Facet: mfa.FacetRole}} {
		page, _, err := boss.Users(ctx, f, "", 100)
		must(t, err)
		for _, u := range page {
			if u.Name != "ann" && u.Name != "both" && u.Name != "boss" {
				t.Errorf("a list (%s) shows %s", what, u.Name)
			}
		}
	}
	if _, _, err := boss.Users(ctx, mfa.UserFilter{Organization: "globex"}, "", 100); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("the list of another organization: %v", err)
	}
	if _, err := boss.Find(ctx, "gil"); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("another organization's user by name: %v", err)
	}
	for _, of := range []mfa.OrganizationID{"globex", "none"} {
		if _, err := boss.Coverage(ctx, of); !errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("coverage of %s: %v", of, err)
		}
		if _, err := boss.Forecast(ctx, of, "", 10); !errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("forecast of %s: %v", of, err)
		}
	}
	// Pulling somebody in, to reset them then.
	wants(t, boss.SetMember(ctx, c.id["gil"], "acme", true), mfa.ErrNotAllowed)
	wants(t, boss.SetMember(ctx, c.id["nobody"], "acme", true), mfa.ErrNotAllowed)
	wants(t, boss.SetMember(ctx, c.id["both"], "globex", false), mfa.ErrNotAllowed)
	// Inviting anew somebody whom another organization has invited, to get their link.
	as[string](t)(c.desk.Invite(ctx, mfa.InviteInput{Name: "guest", Organizations: []mfa.OrganizationID{"globex"}}))
	if _, _, err := boss.Invite(ctx, mfa.InviteInput{Name: "guest"}); !errors.Is(err, mfa.ErrNameTaken) {
		t.Errorf("an invitation of another organization was taken over: %v", err)
	}
	as[string](t)(c.desk.Invite(ctx, mfa.InviteInput{Name: "admin2", Role: mfa.RoleAdmin, Organizations: []mfa.OrganizationID{"acme"}}))
	if _, _, err := boss.Invite(ctx, mfa.InviteInput{Name: "admin2"}); !errors.Is(err, mfa.ErrNameTaken) {
		t.Errorf("an administrator's invitation was taken over: %v", err)
	}
	// Making more of somebody than they are.
	if _, _, err := boss.Invite(ctx, mfa.InviteInput{Name: "eve", Role: mfa.RoleAdmin}); !errors.Is(err, mfa.ErrRole) {
		t.Errorf("an administrator was invited: %v", err)
	}
	if _, _, err := boss.Invite(ctx, mfa.InviteInput{Name: "eve", AdminOf: []mfa.OrganizationID{"acme"}}); !errors.Is(err, mfa.ErrRole) {
		t.Errorf("an organization's administrator was invited: %v", err)
	}
	if _, _, err := boss.Invite(ctx, mfa.InviteInput{Name: "eve", Groups: []string{"admins"}}); !errors.Is(err, mfa.ErrNotAllowed) {
		t.Errorf("a group was chosen: %v", err)
	}
	if _, _, err := boss.Invite(ctx, mfa.InviteInput{Name: "eve", Organizations: []mfa.OrganizationID{"globex"}}); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("somebody was invited into another organization: %v", err)
	}
	wants(t, boss.SetRole(ctx, c.id["ann"], "", []mfa.OrganizationID{"acme"}), mfa.ErrNotAllowed)
	if _, err := boss.ResetPassword(ctx, c.id["ann"]); !errors.Is(err, mfa.ErrRole) {
		t.Errorf("a password link: %v", err)
	}
	// What they may: a person of their own, and letting one go.
	_, u, err := boss.Invite(ctx, mfa.InviteInput{Name: "new"})
	must(t, err)
	if len(u.Organizations) != 1 || u.Organizations[0] != "acme" {
		t.Errorf("somebody invited is a member of %v", u.Organizations)
	}
	must(t, boss.SetMember(ctx, c.id["both"], "acme", false))
	if _, err := boss.User(ctx, c.id["both"]); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("somebody who left is seen: %v", err)
	}
}

// An organization's administrator holds what they hold for as long as they have the role,
// and the person is theirs at the moment of the write.
func TestAdministration_AC224_CheckedInTheWrite(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	racing := &racingStore{Store: c.store}
	c2 := &company{world: newWorldOn(t, racing), id: c.id}
	c2.policy.Organizations = c.policy.Organizations
	boss := c2.as("boss", "acme")
	racing.before = func() {
		must(t, c.store.UpdateUser(ctx, c.id["ann"], func(u *mfa.User) error { u.Admin = true; return nil }))
	}
	wants(t, boss.RemoveFactors(ctx, c.id["ann"], ""), mfa.ErrRole)
}

// racingStore lets something happen just before the first write to a user.
type racingStore struct {
	mfa.Store
	once   sync.Once
	before func()
}

func (s *racingStore) UpdateUser(ctx context.Context, id mfa.UserID, change func(*mfa.User) error) error {
	if s.before != nil {
		s.once.Do(s.before)
	}
	return s.Store.UpdateUser(ctx, id, change)
}

// B35: nobody resets themselves here, and the last administrator stays one, also when two
// take each other's role away at one moment.
func TestAdministration_B35_LastAdministrator(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	root := c.as("root", "")
	wants(t, root.RemoveFactors(ctx, c.id["root"], ""), mfa.ErrSelf)
	wants(t, root.SetDisabled(ctx, c.id["root"], true), mfa.ErrSelf)
	wants(t, root.SetRole(ctx, c.id["root"], "", nil), mfa.ErrSelf)
	if _, _, err := root.Bypass(ctx, c.id["root"], 0, "why"); !errors.Is(err, mfa.ErrSelf) {
		t.Errorf("a bypass of one's own: %v", err)
	}

	var wait sync.WaitGroup
	errs := make(chan error, 2)
	for who, whom := range map[string]string{"root": "root2", "root2": "root"} {
		a := c.as(who, "")
		wait.Go(func() { errs <- a.SetRole(ctx, c.id[whom], mfa.RoleNone, nil) })
	}
	wait.Wait()
	first, second := <-errs, <-errs
	if (first == nil) == (second == nil) || first != nil && !errors.Is(first, mfa.ErrLastAdministrator) || second != nil && !errors.Is(second, mfa.ErrLastAdministrator) {
		t.Fatalf("two took each other's role away: %v, %v", first, second)
	}
	last := "root"
	if as[*mfa.User](t)(c.store.User(ctx, c.id["root2"])).Admin {
		last = "root2"
	}
	wants(t, c.desk.SetDisabled(ctx, last, true), mfa.ErrLastAdministrator)
	wants(t, c.desk.SetRole(ctx, c.id[last], mfa.RoleAuditor, nil), mfa.ErrLastAdministrator)
	// Somebody disabled is no way in.
	must(t, c.desk.SetRole(ctx, c.id["ann"], mfa.RoleAdmin, nil))
	must(t, c.desk.SetDisabled(ctx, "ann", true))
	wants(t, c.desk.SetDisabled(ctx, last, true), mfa.ErrLastAdministrator)
}

// AC-231: what cannot be recorded is not done.
func TestAdministration_AC231_NoRecordNoChange(t *testing.T) {
	full := &fullLog{}
	c, ctx := newCompany(t, func(cfg *mfa.Config) { full.Events, cfg.Events = cfg.Events, full }), t.Context()
	full.err = errors.New("the disk is full")
	before := as[*mfa.User](t)(c.store.User(ctx, c.id["ann"]))
	root := c.as("root", "")
	if err := root.SetDisabled(ctx, c.id["ann"], true); !errors.Is(err, full.err) {
		t.Errorf("SetDisabled: %v", err)
	}
	if err := root.RemoveFactors(ctx, c.id["ann"], ""); !errors.Is(err, full.err) {
		t.Errorf("RemoveFactors: %v", err)
	}
	if pass, _, err := root.EnrollmentPass(ctx, c.id["ann"], 0); !errors.Is(err, full.err) || pass != "" {
		t.Errorf("EnrollmentPass: %v", err)
	}
	if key, _, err := root.CreateAPIKey(ctx, mfa.APIKeyInput{Name: "k", Powers: mfa.ReadUsers, Life: time.Hour}); !errors.Is(err, full.err) || key != "" {
		t.Errorf("CreateAPIKey: %v", err)
	}
	if token, _, err := root.Invite(ctx, mfa.InviteInput{Name: "late"}); !errors.Is(err, full.err) || token != "" {
		t.Errorf("Invite: %v", err)
	}
	after := as[*mfa.User](t)(c.store.User(ctx, c.id["ann"]))
	if after.Disabled || after.Generation != before.Generation {
		t.Error("AC-231 something was changed that nobody can be held to")
	}
	if _, err := c.store.UserByKey(ctx, mfa.SubjectKey(mfa.LocalSource, "late")); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("AC-231 an account was made: %v", err)
	}
}

// fullLog keeps nothing once err is set.
type fullLog struct {
	mfa.Events
	err error
}

func (l *fullLog) Keep(ctx context.Context, e mfa.Event) error {
	if l.err != nil {
		return l.err
	}
	l.Record(ctx, e)
	return nil
}

// An event says who did it, to whom, and from where, once for each change.
func TestAdministration_AC231_EventsNameTheActor(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	c.events.Reset()
	a := c.gate.As(mfa.Actor{Powers: c.as("root", "").Actor().Powers, User: c.id["root"], Name: "root", Network: "192.0.2.0/24", Host: "console.example.com"})
	must(t, a.Unlock(ctx, c.id["ann"]))
	must(t, a.EndSessions(ctx, c.id["ann"], ""))
	wants(t, a.EndSessions(ctx, c.id["ann"], "none"), mfa.ErrNotFound)
	list := c.events.Named(mfa.EventAdmin)
	if len(list) != 4 { // the last was tried, and not done
		t.Fatalf("%d events: %+v", len(list), list)
	}
	for _, e := range list {
		if e.Actor != "root" || e.ActorID != c.id["root"] || e.User != c.id["ann"] || e.UserName != "ann" || e.Network != "192.0.2.0/24" || e.Host != "console.example.com" || e.Detail == "" {
			t.Errorf("%+v", e)
		}
	}
	if list[3].OK || list[3].Reason != "not_found" {
		t.Errorf("%+v", list[3])
	}
}

// AC-224: keys are scoped, expire, are revoked, are kept as a hash, and never may more than
// who made them.
func TestAdministration_AC224_APIKeys(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	root := c.as("root", "")
	key, k, err := root.CreateAPIKey(ctx, mfa.APIKeyInput{Name: "deploy", Powers: mfa.ReadUsers | mfa.ChangeUsers, Life: 24 * time.Hour})
	must(t, err)
	if k.Hash != nil || !strings.HasPrefix(key, "sg_"+k.ID+"_") {
		t.Errorf("%q, %+v", key, k)
	}
	kept := as[*mfa.APIKey](t)(c.store.APIKey(ctx, k.ID))
	if len(kept.Hash) == 0 || strings.Contains(string(kept.Hash), key[len("sg_"+k.ID+"_"):]) {
		t.Error("the key is kept as it is")
	}
	actor := as[mfa.Actor](t)(c.gate.KeyActor(ctx, c.at, key))
	a := c.gate.As(actor)
	must(t, a.Unlock(ctx, c.id["ann"]))
	// Whoever may reset an administrator may become one.
	wants(t, a.Unlock(ctx, c.id["root2"]), mfa.ErrRole)
	wants(t, a.SetRole(ctx, c.id["ann"], mfa.RoleAdmin, nil), mfa.ErrNotAllowed)
	wants(t, a.RemoveFactors(ctx, c.id["root"], ""), mfa.ErrRole)
	if _, _, err := a.CreateAPIKey(ctx, mfa.APIKeyInput{Name: "more", Powers: mfa.ReadUsers, Life: time.Hour}); !errors.Is(err, mfa.ErrNotAllowed) {
		t.Errorf("a key made a key: %v", err)
	}
	if list := as[[]*mfa.APIKey](t)(root.APIKeys(ctx)); len(list) != 1 || list[0].Hash != nil || list[0].LastUsed.IsZero() || list[0].LastNetwork == "" {
		t.Errorf("%+v", list)
	}

	for what, bad := range map[string]string{
		"nothing": "", "another text": key[:len(key)-1], "one more": key + "A", "no prefix": key[3:], "another key's": "sg_0000000000000000" + key[len("sg_"+k.ID):],
	} {
		if _, err := c.gate.KeyActor(ctx, c.at, bad); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, in := range map[string]mfa.APIKeyInput{
		"no power": {Name: "x", Life: time.Hour}, "no end": {Name: "x", Powers: mfa.ReadUsers},
		"too long": {Name: "x", Powers: mfa.ReadUsers, Life: 2 * mfa.MaxKeyLife}, "no name": {Powers: mfa.ReadUsers, Life: time.Hour},
		"no such organization": {Name: "x", Powers: mfa.ReadUsers, Organization: "none", Life: time.Hour},
		"policy of one":        {Name: "x", Powers: mfa.ChangePolicy, Organization: "acme", Life: time.Hour},
	} {
		if key, _, err := root.CreateAPIKey(ctx, in); err == nil || key != "" {
			t.Errorf("a key with %s was made", what)
		}
	}
	// An organization's key stays in it.
	of, _, err := root.CreateAPIKey(ctx, mfa.APIKeyInput{Name: "acme", Powers: mfa.ReadUsers, Organization: "acme", Life: time.Hour})
	must(t, err)
	b := c.gate.As(as[mfa.Actor](t)(c.gate.KeyActor(ctx, c.at, of)))
	if _, err := b.User(ctx, c.id["gil"]); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("AC-224 an organization's key sees another's user: %v", err)
	}
	must(t, errOf(b.User(ctx, c.id["ann"])))
	wants(t, b.Unlock(ctx, c.id["ann"]), mfa.ErrNotAllowed)

	// It ends with its maker's role, with its time, and when it is revoked.
	must(t, c.desk.SetRole(ctx, c.id["root"], mfa.RoleAuditor, nil))
	actor = as[mfa.Actor](t)(c.gate.KeyActor(ctx, c.at, key))
	wants(t, c.gate.As(actor).Unlock(ctx, c.id["ann"]), mfa.ErrNotAllowed)
	must(t, c.desk.SetRole(ctx, c.id["root"], mfa.RoleNone, nil))
	_, err = c.gate.KeyActor(ctx, c.at, key)
	wants(t, err, mfa.ErrRejected)
	must(t, c.desk.SetRole(ctx, c.id["root"], mfa.RoleAdmin, nil))
	must(t, errOf(c.gate.KeyActor(ctx, c.at, key)))
	must(t, c.desk.SetDisabled(ctx, "root", true))
	_, err = c.gate.KeyActor(ctx, c.at, key)
	wants(t, err, mfa.ErrRejected)
	must(t, c.desk.SetDisabled(ctx, "root", false))
	must(t, root.RevokeAPIKey(ctx, k.ID))
	_, err = c.gate.KeyActor(ctx, c.at, key)
	wants(t, err, mfa.ErrRejected)
	c.wait(time.Hour)
	_, err = c.gate.KeyActor(ctx, c.at, of)
	wants(t, err, mfa.ErrRejected)
}

func errOf(_ any, err error) error { return err }

// B35: who administrates by a session has proven a second factor in it, whatever the
// policy says, and for a change a short time ago.
func TestGate_Administrator(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	desk := mfatest.NewDesk(w.gate)
	p, _, out := w.alice()
	_, err := w.gate.Administrator(ctx, w.at, out.Session.ID, "", false)
	wants(t, err, mfa.ErrNotOwed) // nobody made her one
	must(t, desk.SetRole(ctx, out.Session.User, mfa.RoleAdmin, nil))
	a := as[*mfa.Administrator](t)(w.gate.Administrator(ctx, w.at, out.Session.ID, "", true))
	if a.Role != mfa.RoleAdmin || !a.Actor.Powers.Has(mfa.ManageRoles) || a.Actor.User != out.Session.User {
		t.Errorf("%+v", a.Actor)
	}
	w.wait(mfa.AdminProofLife + time.Minute)
	as[*mfa.Administrator](t)(w.gate.Administrator(ctx, w.at, out.Session.ID, "", false))
	var proof *mfa.ProofError
	if _, err := w.gate.Administrator(ctx, w.at, out.Session.ID, "", true); !errors.As(err, &proof) || proof.Kinds == 0 {
		t.Errorf("a change with an old proof: %v", err)
	}
	verified, err := w.gate.VerifyTOTP(ctx, w.at, out.Session.ID, p.code(w.clock()))
	must(t, err)
	as[*mfa.Administrator](t)(w.gate.Administrator(ctx, w.at, verified.Session.ID, "", true))

	// report_only opens apps to a password alone, and not this.
	w.policy.ReportOnly = true
	half, err := w.signIn("alice")
	must(t, err)
	if half.Session.Complete {
		if _, err := w.gate.Administrator(ctx, w.at, half.Session.ID, "", false); !errors.As(err, &proof) {
			t.Errorf("report_only: %v", err)
		}
	} else if _, err := w.gate.Administrator(ctx, w.at, half.Session.ID, "", false); !errors.Is(err, mfa.ErrNotAllowed) {
		t.Errorf("a half-done sign-in: %v", err)
	}
	w.policy.ReportOnly = false

	// Who opted out, where nothing is required.
	w.policy.Optional = true
	must(t, w.store.UpdateUser(ctx, out.Session.User, func(u *mfa.User) error { u.OptedOut = true; return nil }))
	w.wait(time.Minute)
	plain, err := w.signIn("alice")
	must(t, err)
	if !plain.Session.Complete {
		t.Fatal("who opted out was asked")
	}
	if _, err := w.gate.Administrator(ctx, w.at, plain.Session.ID, "", false); !errors.As(err, &proof) {
		t.Errorf("a password alone administrates: %v", err)
	}
	// An auditor changes nothing, and a disabled administrator is none.
	must(t, w.store.UpdateUser(ctx, out.Session.User, func(u *mfa.User) error { u.Admin, u.Auditor, u.OptedOut = false, true, false; return nil }))
	b := as[*mfa.Administrator](t)(w.gate.Administrator(ctx, w.at, verified.Session.ID, "", false))
	if b.Actor.Powers.Has(mfa.ChangeUsers) || !b.Actor.Powers.Has(mfa.ReadAudit) {
		t.Errorf("an auditor has %s", b.Actor.Powers)
	}
	must(t, w.store.UpdateUser(ctx, out.Session.User, func(u *mfa.User) error { u.Disabled = true; return nil }))
	_, err = w.gate.Administrator(ctx, w.at, verified.Session.ID, "", false)
	wants(t, err, mfa.ErrDisabled)
}

// The forecast and the coverage count who is there, each once.
func TestAdministration_CoverageAndForecast(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	_, _, out := c.alice()
	// Alice is a member of acme by hand and by a verified address.
	must(t, c.store.UpdateUser(ctx, out.Session.User, func(u *mfa.User) error {
		u.Organizations, u.Email, u.EmailVerified = []mfa.OrganizationID{"acme"}, "alice@acme.example", true
		return nil
	}))
	root := c.as("root", "")
	all := as[*mfa.Coverage](t)(root.Coverage(ctx, ""))
	if all.Users != 9 || all.None != 8 || all.Stopped != 8 || all.Factors[mfa.TOTP] != 1 || all.Factors[mfa.BackupCode] != 1 {
		t.Errorf("%+v", all)
	}
	acme := as[*mfa.Coverage](t)(root.Coverage(ctx, "acme"))
	if acme.Users != 4 || acme.Stopped != 3 { // boss, ann, both, alice
		t.Errorf("%+v", acme)
	}
	must(t, c.desk.SetDisabled(ctx, "ann", true))
	f := as[*mfa.Forecast](t)(root.Forecast(ctx, "acme", "", 1))
	if f.Users != 3 || f.Stopped != 2 || len(f.Page) != 1 || f.Page[0].Name != "boss" || f.Next == "" {
		t.Errorf("%+v", f)
	}
	f = as[*mfa.Forecast](t)(root.Forecast(ctx, "acme", f.Next, 10))
	if len(f.Page) != 1 || f.Page[0].Name != "both" || f.Next != "" {
		t.Errorf("%+v", f)
	}
	if f.Page[0].LastHost != "app.example.com" || f.Page[0].LastSignIn.IsZero() {
		t.Errorf("where and when they were last seen: %+v", f.Page[0])
	}
	// A factor that the policy does not enable stops nobody's way, and helps nobody.
	c.policy.Factors = mfa.KindsOf(mfa.Passkey)
	if all := as[*mfa.Coverage](t)(root.Coverage(ctx, "")); all.None != all.Stopped-1 {
		t.Errorf("%+v", all)
	}
}

// A factor that only an administrator unlocks shows in lists, until one has.
func TestAdministration_LockedUsers(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	locked := func() []mfa.UserInfo {
		page, _, err := c.desk.Users(ctx, mfa.UserFilter{Facet: mfa.FacetLocked}, "", 10)
		must(t, err)
		return page
	}
	for range 200 {
		_, _ = c.gate.SignIn(ctx, c.elsewhere("198.51.100.0/24"), "local", "ann", "wrong")
		c.wait(time.Hour + time.Minute)
	}
	if list := locked(); len(list) != 1 || list[0].Name != "ann" || !list[0].Locked {
		t.Fatalf("%+v", list)
	}
	must(t, c.desk.Unlock(ctx, "ann"))
	if list := locked(); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}
