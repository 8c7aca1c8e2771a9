package mfa_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/secondgate/secondgate/identity/local"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/backupcode"
	"github.com/secondgate/secondgate/mfa/factor/otpcode"
	"github.com/secondgate/secondgate/mfa/factor/passkey"
	"github.com/secondgate/secondgate/mfa/factor/totp"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// nowhere has both channels and delivers nothing.
type nowhere struct{}

func (nowhere) Channels() mfa.Kinds                     { return mfa.KindsOf(mfa.Email, mfa.SMS) }
func (nowhere) Send(context.Context, *mfa.Letter) error { return nil }
func (nowhere) Queue(*mfa.Letter) bool                  { return true }

// gateThatSends is a gate on the world's store that sends codes to numbers of those
// countries, or, with none, sends nothing.
func (w *world) gateThatSends(countries ...string) *mfa.Gate {
	w.t.Helper()
	source := as[*local.Source](w.t)(local.New(local.Config{Users: w.store, Hasher: sharedHasher()}))
	cfg := mfa.Config{
		Store: w.store, Sources: []mfa.Source{{Password: source}}, Passwords: source,
		TOTP: totp.New(), Codes: backupcode.New(sharedHasher()), Passkeys: passkey.New(passkey.Config{Now: w.clock}),
		Events: &w.events, Policy: func() *mfa.Policy { return &w.policy }, Now: w.clock,
	}
	if len(countries) > 0 {
		codes := as[*otpcode.Factor](w.t)(otpcode.New(otpcode.Config{Countries: countries}))
		cfg.SentCodes, cfg.Post = codes, nowhere{}
	}
	return as[*mfa.Gate](w.t)(mfa.NewGate(cfg))
}

// An invitation keeps a number, in the one way that numbers are kept. It is not
// verified, and so it signs nobody in (rule B38).
func TestGate_Invite_Phone(t *testing.T) {
	w := newWorld(t)
	sends, silent := w.gateThatSends("DE"), w.gateThatSends()
	for _, test := range []struct {
		name  string
		gate  *mfa.Gate
		typed string
		want  string
		err   error
	}{
		{"national", sends, "0151 12345678", "+4915112345678", nil},
		{"international", sends, "+49 (0)151-12345678", "+4915112345678", nil},
		{"none", sends, " ", "", nil},
		{"no number", sends, "hello", "", mfa.ErrName},
		{"another country", sends, "+12025550123", "", mfa.ErrCountry},
		{"nothing is sent", silent, "+1 202 555-0123", "+12025550123", nil},
		{"nothing is sent, national", silent, "0151 12345678", "", mfa.ErrName},
		{"nothing is sent, no number", silent, "+12 34 five", "", mfa.ErrName},
		{"nothing is sent, too short", silent, "+123", "", mfa.ErrName},
		{"nothing is sent, no country begins so", silent, "+0123456789", "", mfa.ErrName},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := "u" + mfa.NewDecisionID()
			_, err := mfatest.NewDesk(test.gate).Invite(t.Context(), mfa.InviteInput{Name: name, Phone: test.typed})
			wants(t, err, test.err)
			info, err := mfatest.NewDesk(test.gate).UserInfo(t.Context(), name)
			if test.err != nil {
				wants(t, err, mfa.ErrNotFound)
				return
			}
			if err != nil || info.Phone != test.want || info.PhoneVerified {
				t.Errorf("%+v, %v", info, err)
			}
		})
	}
}

// Invited again, what is new replaces what was said before, and a number that was
// proven is proven no more when it is another one.
func TestGate_Invite_PhoneAgain(t *testing.T) {
	w := newWorld(t)
	g := w.gateThatSends("DE")
	invite := func(phone string) *mfa.UserInfo {
		as[string](t)(mfatest.NewDesk(g).Invite(t.Context(), mfa.InviteInput{Name: "alice", Phone: phone}))
		return as[*mfa.UserInfo](t)(mfatest.NewDesk(g).UserInfo(t.Context(), "alice"))
	}
	info := invite("+4915112345678")
	must(t, w.store.UpdateUser(t.Context(), info.ID, func(u *mfa.User) error { u.PhoneVerified = true; return nil }))
	for _, same := range []string{"", "0151 12345678"} {
		if info := invite(same); info.Phone != "+4915112345678" || !info.PhoneVerified {
			t.Errorf("%q: %+v", same, info)
		}
	}
	if info := invite("+4915187654321"); info.Phone != "+4915187654321" || info.PhoneVerified {
		t.Errorf("%+v", info)
	}
}

// What administrators see of a user: organizations by hand and by address, and the
// browsers that stand for a second factor now.
func TestGate_UserInfo_MembershipsAndDevices(t *testing.T) {
	w := newWorld(t)
	w.policy.RememberDevice = 24 * time.Hour
	w.policy.Organizations = mfa.NewDirectory([]*mfa.Organization{
		{ID: "acme", Enrollment: &mfa.Enrollment{Confirm: true}}, {ID: "beta", Domains: []string{"example.com"}}, {ID: "gamma"},
	})
	as[string](t)(mfatest.NewDesk(w.gate).Invite(t.Context(), mfa.InviteInput{
		Name: "alice", Email: "alice@example.com", Organizations: []mfa.OrganizationID{"acme", "gamma", "acme"},
	}))
	info := as[*mfa.UserInfo](t)(mfatest.NewDesk(w.gate).UserInfo(t.Context(), "alice"))
	if !slices.Equal(info.Organizations, []mfa.OrganizationID{"acme", "gamma"}) || info.ByAddress != nil || info.Remembered != 0 {
		t.Errorf("%+v", info)
	}
	if info.Enrollment != (mfa.Enrollment{Confirm: true}) {
		t.Errorf("enrollment %+v", info.Enrollment)
	}
	must(t, w.store.UpdateUser(t.Context(), info.ID, func(u *mfa.User) error {
		u.EmailVerified = true
		for _, ago := range []time.Duration{time.Hour, 23 * time.Hour, 25 * time.Hour} {
			u.Remembered = append(u.Remembered, mfa.RememberedDevice{Proven: w.clock().Add(-ago)})
		}
		return nil
	}))
	info = as[*mfa.UserInfo](t)(mfatest.NewDesk(w.gate).UserInfo(t.Context(), "alice"))
	if !slices.Equal(info.ByAddress, []mfa.OrganizationID{"beta"}) || info.Remembered != 2 {
		t.Errorf("%+v", info)
	}
	w.policy.RememberDevice = 0
	if info := as[*mfa.UserInfo](t)(mfatest.NewDesk(w.gate).UserInfo(t.Context(), "alice")); info.Remembered != 0 {
		t.Error("what is not offered any more is counted")
	}
	_, err := mfatest.NewDesk(w.gate).Invite(t.Context(), mfa.InviteInput{Name: "bob", Organizations: []mfa.OrganizationID{"nosuch"}})
	wants(t, err, mfa.ErrNotFound)
}

// An organization that the configuration declares is changed there.
func TestGate_RemoveOrganization_RejectsTheDeclared(t *testing.T) {
	w := newWorld(t)
	w.policy.Organizations = mfa.NewDirectory([]*mfa.Organization{{ID: "acme", Declared: true}})
	err := mfatest.NewDesk(w.gate).RemoveOrganization(t.Context(), "acme")
	wants(t, err, mfa.ErrNotAllowed)
	if want := "organization acme: not allowed: the configuration declares it; change it there"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	wants(t, mfatest.NewDesk(w.gate).SetOrganization(t.Context(), mfa.Organization{ID: "acme"}, false), mfa.ErrNotAllowed)
	err = mfatest.NewDesk(w.gate).RemoveOrganization(t.Context(), "beta")
	wants(t, err, mfa.ErrNotFound)
	if want := "organization beta: not found"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	var wrong *mfa.OrganizationError
	if err := mfatest.NewDesk(w.gate).SetOrganization(t.Context(), mfa.Organization{ID: "No Name"}, false); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
	if list := w.events.Named(mfa.EventAdmin); len(list) != 4 || list[3].Reason != "invalid" || list[0].Reason != "not_allowed" {
		t.Errorf("recorded: %+v", list)
	}
}
