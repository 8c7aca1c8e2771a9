package mfa_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// AC-224: whoever was invited with groups, and never came, is not invited again by an
// organization's administrator: the link would open an account with what they may not
// give.
func TestAdministration_AC224_InvitedWithGroups(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	boss := c.as("boss", "acme")
	as[string](t)(c.desk.Invite(ctx, mfa.InviteInput{Name: "payer", Groups: []string{"payroll"}, Organizations: []mfa.OrganizationID{"acme"}}))
	if _, _, err := boss.Invite(ctx, mfa.InviteInput{Name: "payer"}); !errors.Is(err, mfa.ErrRole) {
		t.Errorf("%v", err)
	}
	// In the write as well: the groups may have come since.
	_, u, err := boss.Invite(ctx, mfa.InviteInput{Name: "new"})
	must(t, err)
	link, _, err := boss.Invite(ctx, mfa.InviteInput{Name: "new"})
	must(t, err)
	c.change(u.ID, func(u *mfa.User) { u.Groups = []string{"payroll"} })
	if _, err := c.gate.AcceptLink(ctx, c.at, mfa.LinkInput{Token: link, Password: goodPassword}); !errors.Is(err, mfa.ErrExpired) {
		t.Errorf("a link from before: %v", err)
	}
}

// AC-224, B5: of its members an organization's administrator sees what is of it, and not
// in which others they are, or who administrates those.
func TestAdministration_AC224_NoOtherOrganizationIsSeen(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	c.policy.Organizations = mfa.NewDirectory([]*mfa.Organization{
		{ID: "acme"}, {ID: "globex", Domains: []string{"globex.example"}},
	})
	boss, root := c.as("boss", "acme"), c.as("root", "")
	c.change(c.id["both"], func(u *mfa.User) {
		u.Email, u.EmailVerified, u.AdminOf = "both@globex.example", true, []mfa.OrganizationID{"globex"}
	})
	must(t, root.SetMember(ctx, c.id["both"], "globex", false))
	must(t, root.SetMember(ctx, c.id["both"], "globex", true))
	check := func(what string, u *mfa.UserInfo) {
		t.Helper()
		for _, list := range [][]mfa.OrganizationID{u.Organizations, u.ByAddress, u.AdminOf} {
			if slices.Contains(list, "globex") {
				t.Errorf("AC-224 %s shows another organization: %+v", what, u)
			}
		}
		if !u.Beyond {
			t.Errorf("%s does not say that it takes an administrator of all", what)
		}
		if !slices.Contains(u.Organizations, "acme") {
			t.Errorf("%s does not show its own: %v", what, u.Organizations)
		}
	}
	check("User", as[*mfa.UserInfo](t)(boss.User(ctx, c.id["both"])))
	check("Find", as[*mfa.UserInfo](t)(boss.Find(ctx, "both")))
	list, _, err := boss.Users(ctx, mfa.UserFilter{Search: "both"}, "", 10)
	must(t, err)
	if len(list) != 1 {
		t.Fatalf("%d", len(list))
	}
	check("Users", &list[0])
	forecast := as[*mfa.Forecast](t)(boss.Forecast(ctx, "", "", 10))
	for i := range forecast.Page {
		if forecast.Page[i].Name == "both" {
			check("Forecast", &forecast.Page[i])
		}
	}
	if u := as[*mfa.UserInfo](t)(root.User(ctx, c.id["both"])); !slices.Contains(u.Organizations, "globex") || len(u.ByAddress) != 1 || len(u.AdminOf) != 1 {
		t.Errorf("an administrator of all sees less: %+v", u)
	}
}

// AC-224: the same holds of what happened to a member.
func TestAdministration_AC224_ActivityWithinAnOrganization(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	root := c.gate.As(mfa.Actor{Powers: c.as("root", "").Actor().Powers, User: c.id["root"], Name: "root", Network: "198.51.100.0/24", Host: "console.example.com"})
	both := c.id["both"]
	must(t, root.SetMember(ctx, both, "globex", false))
	must(t, root.SetMember(ctx, both, "globex", true))
	must(t, root.SetRole(ctx, both, mfa.RoleNone, []mfa.OrganizationID{"globex"}))
	must(t, root.Unlock(ctx, both))
	c.keepEvents(c.events.Named(mfa.EventAdmin)...)
	page, _, err := c.as("boss", "acme").Activity(ctx, both, "", 100)
	must(t, err)
	unlocked := false
	for _, e := range page {
		if strings.Contains(e.Detail, "globex") || e.Network != "" || e.Host != "" {
			t.Errorf("AC-224: %+v", e)
		}
		unlocked = unlocked || e.Detail == "unlock" && e.Actor == "root"
	}
	if !unlocked {
		t.Errorf("%+v", page)
	}
	page, _, err = root.Activity(ctx, both, "", 100)
	must(t, err)
	if !slices.ContainsFunc(page, func(e mfa.Event) bool { return strings.Contains(e.Detail, "globex") && e.Network != "" }) {
		t.Errorf("an administrator of all sees less: %+v", page)
	}
}

// AC-128, B27: the mailbox that signed in is no second factor for the console either, where
// the policy only reports.
func TestGate_AC128_AdministratorWithOneChannel(t *testing.T) {
	w := newWorld(t)
	w.policy.Factors, w.policy.ReportOnly = mfa.KindsOf(mfa.Email, mfa.TOTP), true
	ctx := t.Context()
	id := w.invited("root").Session.User
	w.change(id, func(u *mfa.User) { u.Admin, u.Email, u.EmailVerified = true, alicesMail, true })
	wait := as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, w.at, alicesMail))
	in, _, err := w.gate.FinishWaiting(ctx, w.at, wait.ID, w.post.Code(alicesMail))
	w.wantsNext(in, err, mfa.Allow, mfa.ReasonReportOnly)
	out, _, err := w.gate.SetUpAddress(ctx, w.at, in.Session.ID, mfa.Email, mfa.AddressInput{Typed: alicesMail}, false)
	must(t, err)
	for _, change := range []bool{false, true} {
		if _, err := w.gate.Administrator(ctx, w.at, out.Session.ID, "", change); err == nil {
			t.Errorf("change %t: a mailbox alone administrates", change)
		}
	}
}

// AC-133: a reason is one line of the record, whoever asks for it.
func TestAdministration_AC133_AReasonIsOneLine(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	for why, want := range map[string]string{
		" lost the phone ":               "bypass: lost the phone",
		"a\nb\x1b[2J\u202ec\xffd\u2028e": "bypass: a b [2J c\ufffdd e",
		strings.Repeat("é", 150):         "bypass: " + strings.Repeat("é", 100),
		"":                               "bypass:",
	} {
		c.events.Reset()
		_, _, err := c.as("root", "").Bypass(ctx, c.id["ann"], 0, why)
		must(t, err)
		if e := c.events.Named(mfa.EventAdmin); len(e) != 1 || e[0].Detail != want {
			t.Errorf("%q: %q", why, e[0].Detail)
		}
	}
}
