package mfa_test

import (
	"errors"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// AC-224: a link or a pass is worth what whoever made it may do when it is used. An
// organization's administrator keeps one that they made for a member, waits until the
// member is made an administrator or trusted by another organization, or until they
// have lost their own role, and uses it.
func TestAdministration_AC224_SecretsMadeBefore(t *testing.T) {
	organizations := func(of ...mfa.OrganizationID) []mfa.OrganizationID { return of }
	for _, tt := range []struct {
		name  string
		maker string
		then  func(c *company, a *mfa.Administration, id mfa.UserID) error // nil: nothing
		good  bool
	}{
		{"nothing happens", "boss", nil, true},
		{"the member is made an administrator", "boss", func(c *company, a *mfa.Administration, id mfa.UserID) error {
			return a.SetRole(c.t.Context(), id, mfa.RoleAdmin, nil)
		}, false},
		{"… an auditor", "boss", func(c *company, a *mfa.Administration, id mfa.UserID) error {
			return a.SetRole(c.t.Context(), id, mfa.RoleAuditor, nil)
		}, false},
		{"… an administrator of another organization", "boss", func(c *company, a *mfa.Administration, id mfa.UserID) error {
			return a.SetRole(c.t.Context(), id, mfa.RoleNone, organizations("globex"))
		}, false},
		{"… a member of another organization", "boss", func(c *company, a *mfa.Administration, id mfa.UserID) error {
			return a.SetMember(c.t.Context(), id, "globex", true)
		}, false},
		{"… is no member any more", "boss", func(c *company, a *mfa.Administration, id mfa.UserID) error {
			return a.SetMember(c.t.Context(), id, "acme", false)
		}, false},
		{"whoever made it loses the role", "boss", func(c *company, a *mfa.Administration, _ mfa.UserID) error {
			return a.SetRole(c.t.Context(), c.id["boss"], mfa.RoleNone, nil)
		}, false},
		{"an administrator of all who made it loses the role", "root2", func(c *company, a *mfa.Administration, _ mfa.UserID) error {
			return a.SetRole(c.t.Context(), c.id["root2"], mfa.RoleNone, nil)
		}, false},
		{"… is disabled", "root2", func(c *company, a *mfa.Administration, _ mfa.UserID) error {
			return a.SetDisabled(c.t.Context(), c.id["root2"], true)
		}, false},
		{"one of all made it, and the member gets a role", "root2", func(c *company, a *mfa.Administration, id mfa.UserID) error {
			return a.SetRole(c.t.Context(), id, mfa.RoleAdmin, nil)
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, ctx := newCompany(t), t.Context()
			c.policy.Enrollment = mfa.Enrollment{} // it takes a pass
			maker := c.as(tt.maker, "acme")
			then := func(id mfa.UserID) {
				t.Helper()
				if tt.then != nil {
					must(t, tt.then(c, c.as("root", ""), id))
				}
			}
			check := func(what string, err error, bad error) {
				t.Helper()
				if tt.good && err != nil || !tt.good && !errors.Is(err, bad) {
					t.Errorf("AC-224 %s: %v", what, err)
				}
			}
			invite := mfa.InviteInput{Name: "newcomer", Organizations: organizations("acme")}
			link, newcomer, err := maker.Invite(ctx, invite)
			must(t, err)
			ann := c.id["ann"]
			pass, _, err := maker.EnrollmentPass(ctx, ann, 0)
			must(t, err)
			bypass, _, err := maker.Bypass(ctx, ann, 0, "lost")
			must(t, err)
			var reset string
			if tt.maker == "root2" {
				reset = as[string](t)(maker.ResetPassword(ctx, c.id["both"]))
			}
			then(newcomer.ID)
			then(ann)
			if reset != "" {
				then(c.id["both"])
				_, err = c.gate.OpenLink(ctx, c.at, reset)
				check("a link for a new password opens", err, mfa.ErrExpired)
				_, err = c.gate.AcceptLink(ctx, c.at, mfa.LinkInput{Token: reset, Password: goodPassword + "!"})
				check("a link for a new password", err, mfa.ErrExpired)
			}
			_, err = c.gate.OpenLink(ctx, c.at, link)
			check("an invitation opens", err, mfa.ErrExpired)
			_, err = c.gate.AcceptLink(ctx, c.at, mfa.LinkInput{Token: link, Password: goodPassword})
			check("an invitation", err, mfa.ErrExpired)
			in := as[*mfa.Outcome](t)(c.signIn("ann"))
			opened, err := c.gate.UsePass(ctx, c.at, in.Session.ID, pass)
			check("a pass", err, mfa.ErrRejected)
			if err != nil {
				fresh, _, err := c.as("root", "").EnrollmentPass(ctx, ann, 0)
				must(t, err)
				opened = as[*mfa.Outcome](t)(c.gate.UsePass(ctx, c.at, in.Session.ID, fresh))
			}
			c.addPhone(opened.Session.ID)
			in = as[*mfa.Outcome](t)(c.signIn("ann"))
			_, err = c.gate.VerifyBypass(ctx, c.at, in.Session.ID, bypass)
			check("a bypass", err, mfa.ErrRejected)
		})
	}
}

// AC-224: what a key made ends with the key: whoever had it may not be who should have.
func TestAdministration_AC224_SecretsOfAKey(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	c.policy.Enrollment = mfa.Enrollment{}
	for _, revoked := range []bool{false, true} {
		key, k, err := c.as("root", "").CreateAPIKey(ctx, mfa.APIKeyInput{Name: "deploy", Powers: mfa.ReadUsers | mfa.ChangeUsers, Life: time.Hour})
		must(t, err)
		actor := as[mfa.Actor](t)(c.gate.KeyActor(ctx, c.at, key))
		link := as[string](t)(c.gate.As(actor).ResetPassword(ctx, c.id["gil"]))
		pass, _, err := c.gate.As(actor).EnrollmentPass(ctx, c.id["ann"], 0)
		must(t, err)
		if revoked {
			must(t, c.as("root", "").RevokeAPIKey(ctx, k.ID))
		}
		_, err = c.gate.AcceptLink(ctx, c.at, mfa.LinkInput{Token: link, Password: goodPassword})
		if revoked != errors.Is(err, mfa.ErrExpired) {
			t.Errorf("revoked %t: the link: %v", revoked, err)
		}
		in := as[*mfa.Outcome](t)(c.signIn("ann"))
		_, err = c.gate.UsePass(ctx, c.at, in.Session.ID, pass)
		if revoked != errors.Is(err, mfa.ErrRejected) {
			t.Errorf("revoked %t: the pass: %v", revoked, err)
		}
	}
}

// AC-224: a key that a key made lasts no longer than that one and ends with it, over any
// number of steps. Whoever found one could otherwise stay for as long as they like.
func TestAdministration_AC224_KeysOfKeys(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	made := func(a *mfa.Administration, life time.Duration) (*mfa.Administration, *mfa.APIKey, func() error) {
		t.Helper()
		key, k, err := a.CreateAPIKey(ctx, mfa.APIKeyInput{Name: "found", Powers: mfa.ReadUsers | mfa.ManageKeys, Life: life})
		must(t, err)
		use := func() error {
			_, err := c.gate.KeyActor(ctx, c.at, key)
			return err
		}
		return c.gate.As(as[mfa.Actor](t)(c.gate.KeyActor(ctx, c.at, key))), k, use
	}
	first, parent, _ := made(c.as("root", ""), 24*time.Hour)
	_, _, err := first.CreateAPIKey(ctx, mfa.APIKeyInput{Name: "longer", Powers: mfa.ReadUsers, Life: 25 * time.Hour})
	wants(t, err, mfa.ErrLimit)
	second, _, useSecond := made(first, 23*time.Hour)
	_, _, useThird := made(second, 22*time.Hour)
	_, _, other := made(c.as("root", ""), 24*time.Hour)
	must(t, c.as("root", "").RevokeAPIKey(ctx, parent.ID))
	for name, use := range map[string]func() error{"the key of the key": useSecond, "the key of that": useThird} {
		if err := use(); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("AC-224 %s: %v", name, err)
		}
	}
	must(t, other())
}
