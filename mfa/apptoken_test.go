package mfa_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

const tokenHost = "git.example.com"

// withApps is a world whose gateway takes app tokens at a host.
func withApps(c *mfa.Config) { c.AppHosts = func(string) []string { return []string{tokenHost} } }

func (w *world) token(id mfa.SessionID) (string, *mfa.AppToken) {
	w.t.Helper()
	text, t, err := w.gate.CreateAppToken(w.t.Context(), w.at, id, mfa.AppTokenInput{Name: "laptop", Host: tokenHost})
	must(w.t, err)
	return text, t
}

func (w *world) named(name string) *mfa.User {
	w.t.Helper()
	return as[*mfa.User](w.t)(w.store.UserByKey(w.t.Context(), mfa.SubjectKey(mfa.LocalSource, name)))
}

func TestAppTokenID_Forms(t *testing.T) {
	good := mfa.AppTokenPrefix + "0123456789abcdef_" + strings.Repeat("aZ0-_", 8) + "abc"
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"as it is made":               {good, true},
		"nothing":                     {"", false},
		"the prefix alone":            {mfa.AppTokenPrefix, false},
		"one letter short":            {good[:len(good)-1], false},
		"one letter long":             {good + "a", false},
		"another prefix":              {"sg_" + good[3:], false},
		"prefix in capitals":          {"MFAT_" + good[5:], false},
		"ID in capitals":              {strings.Replace(good, "abcdef", "ABCDEF", 1), false},
		"ID too short":                {mfa.AppTokenPrefix + "0123456789abcde_f" + good[22:], false},
		"a colon in it":               {good[:len(good)-1] + ":", false},
		"padding":                     {good[:len(good)-1] + "=", false},
		"a byte that is no character": {good[:len(good)-1] + "\xff", false},
		"a line break":                {good[:len(good)-1] + "\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			if id, ok := mfa.AppTokenID(c.text); ok != c.want || ok && id != "0123456789abcdef" {
				t.Errorf("got %q %t", id, ok)
			}
		})
	}
}

func TestGate_CreateAppToken(t *testing.T) {
	w := newWorld(t, withApps)
	p, _, out := w.alice()
	id := out.Session.ID
	for name, c := range map[string]struct {
		in   mfa.AppTokenInput
		want error
	}{
		"no name":                   {mfa.AppTokenInput{Host: tokenHost}, mfa.ErrName},
		"a host that takes none":    {mfa.AppTokenInput{Name: "x", Host: "app.example.com"}, mfa.ErrNotAllowed},
		"no host":                   {mfa.AppTokenInput{Name: "x"}, mfa.ErrNotAllowed},
		"longer than a year":        {mfa.AppTokenInput{Name: "x", Host: tokenHost, Life: mfa.MaxAppTokenLife + time.Second}, mfa.ErrLimit},
		"shorter than an hour":      {mfa.AppTokenInput{Name: "x", Host: tokenHost, Life: time.Minute}, mfa.ErrLimit},
		"a life that went negative": {mfa.AppTokenInput{Name: "x", Host: tokenHost, Life: -time.Hour}, mfa.ErrLimit},
	} {
		t.Run(name, func(t *testing.T) {
			text, _, err := w.gate.CreateAppToken(t.Context(), w.at, id, c.in)
			wants(t, err, c.want)
			if text != "" {
				t.Error("a text was returned beside the error")
			}
		})
	}
	text, made := w.token(id)
	if len(text) != mfa.AppTokenLength || made.Hash != nil || made.Name != "laptop" || made.Host != tokenHost || made.Factor != mfa.TOTP || made.Expires != w.clock().Add(mfa.DefaultAppTokenLife) {
		t.Errorf("made %+v, text of %d", made, len(text))
	}
	u := w.named("alice")
	s := as[*mfa.Session](t)(u.AppTokenSession(text, tokenHost, w.clock()))
	if s.ID != "" || s.AppToken != made.ID || s.User != u.ID || !s.Complete || s.Scope != tokenHost {
		t.Errorf("stands for %+v", s)
	}
	if n := u.Notices[len(u.Notices)-1]; n.Kind != mfa.NoticeAppToken || n.Quiet || n.Name != "laptop" {
		t.Errorf("notice %+v", n)
	}
	if w.recorded(mfa.EventAppTokenMade, true) != 1 {
		t.Error("no event")
	}

	t.Run("AC-229 AC-225 the secret is in no record, event or list", func(t *testing.T) {
		secret := text[mfa.AppTokenLength-43:]
		a := as[*mfa.Account](t)(w.gate.Account(t.Context(), w.at, id))
		list := as[[]mfa.AppToken](t)(w.gate.AppTokens(t.Context(), w.at, id))
		admin := as[[]mfa.AppToken](t)(w.gate.As(mfa.OnMachine()).AppTokens(t.Context(), u.ID))
		for what, v := range map[string]any{"record": u, "events": w.events.Named(mfa.EventAppTokenMade), "account": a, "list": list, "administration": admin} {
			body, err := json.Marshal(v)
			must(t, err)
			if strings.Contains(string(body), secret) {
				t.Errorf("the secret is in the %s", what)
			}
		}
		if len(a.AppTokens) != 1 || len(list) != 1 || len(admin) != 1 || a.AppTokens[0].Hash != nil || list[0].Hash != nil || admin[0].Hash != nil {
			t.Error("a list is wrong, or shows what tokens are checked with (AC-131)")
		}
	})
	t.Run("AC-008 the session behind it is none that a flow takes", func(t *testing.T) {
		for _, id := range []mfa.SessionID{s.ID, mfa.SessionID(made.ID), mfa.SessionID(text)} {
			_, err := w.gate.Account(t.Context(), w.at, id)
			wants(t, err, mfa.ErrNoSession)
			_, err = w.gate.Administrator(t.Context(), w.at, id, "", false)
			wants(t, err, mfa.ErrNoSession)
		}
	})
	t.Run("B15 a proof of more than ten minutes ago makes none", func(t *testing.T) {
		w.wait(mfa.ProofLife + time.Minute)
		_, _, err := w.gate.CreateAppToken(t.Context(), w.at, id, mfa.AppTokenInput{Name: "x", Host: tokenHost})
		var proof *mfa.ProofError
		if !errors.As(err, &proof) || !proof.Kinds.Has(mfa.TOTP) {
			t.Fatalf("error %v", err)
		}
		out := as[*mfa.Outcome](t)(w.gate.VerifyTOTP(t.Context(), w.at, id, p.code(w.clock())))
		id = out.Session.ID
		w.token(id)
	})
	t.Run("AC-209 twenty and no more, and those that are over make room", func(t *testing.T) {
		for range mfa.MaxAppTokens - 2 {
			w.token(id)
		}
		_, _, err := w.gate.CreateAppToken(t.Context(), w.at, id, mfa.AppTokenInput{Name: "x", Host: tokenHost})
		wants(t, err, mfa.ErrLimit)
		must(t, w.store.UpdateUser(t.Context(), u.ID, func(u *mfa.User) error {
			u.AppTokens[0].Expires = w.clock()
			return nil
		}))
		w.token(id)
		if n := len(w.named("alice").AppTokens); n != mfa.MaxAppTokens {
			t.Errorf("%d tokens", n)
		}
	})
	t.Run("B33 revoking needs no newer proof and holds at once", func(t *testing.T) {
		w.wait(mfa.ProofLife + time.Minute)
		must(t, w.gate.RevokeAppToken(t.Context(), w.at, id, w.named("alice").AppTokens[0].ID))
		wants(t, w.gate.RevokeAppToken(t.Context(), w.at, id, "0123456789abcdef"), mfa.ErrNotFound)
		if n := len(w.named("alice").AppTokens); n != mfa.MaxAppTokens-1 {
			t.Errorf("%d tokens", n)
		}
		if w.recorded(mfa.EventAppTokenRevoked, true) != 1 || w.recorded(mfa.EventAppTokenRevoked, false) != 1 {
			t.Error("events")
		}
	})
}

// Parallel requests of one person must not get more tokens than there may be: the number is
// counted inside the write.
func TestGate_CreateAppToken_AC209_parallel(t *testing.T) {
	w := newWorld(t, withApps)
	_, _, out := w.alice()
	var wg sync.WaitGroup
	for i := range mfa.MaxAppTokens + 10 {
		wg.Go(func() {
			_, _, _ = w.gate.CreateAppToken(t.Context(), w.at, out.Session.ID, mfa.AppTokenInput{Name: fmt.Sprint(i), Host: tokenHost})
		})
	}
	wg.Wait()
	if n := len(w.named("alice").AppTokens); n != mfa.MaxAppTokens {
		t.Errorf("%d tokens", n)
	}
}

// A thief with the password alone, before its owner has a second factor, makes a token:
// it would go around the factor that the owner sets up tomorrow.
func TestGate_CreateAppToken_RejectsFirstFactorAlone(t *testing.T) {
	w := newWorld(t, withApps)
	w.policy.Optional, w.policy.Prompt = true, mfa.PromptNever
	out := w.invited("bob")
	_, _, err := w.gate.CreateAppToken(t.Context(), w.at, out.Session.ID, mfa.AppTokenInput{Name: "x", Host: tokenHost})
	wants(t, err, mfa.ErrNoFactor)
	if n := len(w.named("bob").AppTokens); n != 0 {
		t.Errorf("%d tokens", n)
	}
}

// AC-021: somebody whose identity source has asked for the second factor makes a token with
// that where it is believed, says when it was, and that is not long ago. Where a second factor
// is required, a token stands on one that is enrolled here: the source's says nothing of the
// day on which the token is used.
func TestGate_CreateAppToken_AC021_Provided(t *testing.T) {
	ago := func(d time.Duration) func(*abroad) mfa.Proof {
		return func(a *abroad) mfa.Proof {
			return mfa.Proof{Kind: mfa.Provided, At: a.clock().Add(-d), PhishingResistant: true}
		}
	}
	for name, c := range map[string]struct {
		provided func(*abroad) mfa.Proof
		require  bool
		want     error
	}{
		"a minute ago":               {ago(time.Minute), false, nil},
		"too long ago":               {ago(mfa.ProofLife + time.Second), false, mfa.ErrNoFactor},
		"in the future":              {ago(-time.Hour), false, mfa.ErrNoFactor},
		"at a time that nobody says": {func(*abroad) mfa.Proof { return mfa.Proof{Kind: mfa.Provided} }, false, mfa.ErrNoFactor},
		"not at all":                 {func(*abroad) mfa.Proof { return mfa.Proof{} }, false, mfa.ErrNoFactor},
		"of another kind":            {func(a *abroad) mfa.Proof { return mfa.Proof{Kind: mfa.Passkey, At: a.clock()} }, false, mfa.ErrNoFactor},
		"a minute ago, and required": {ago(time.Minute), true, mfa.ErrNoFactor},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAbroad(t, withApps)
			a.provider.Put(mfa.Identity{Subject: "S-1", Name: "erin", Provided: c.provided(a)})
			out := a.must(a.comes("S-1"))
			a.policy.Optional = !c.require
			text, made, err := a.gate.CreateAppToken(t.Context(), a.at, out.Session.ID, mfa.AppTokenInput{Name: "x", Host: tokenHost})
			wants(t, err, c.want)
			if n := len(a.user("acme", "S-1").AppTokens); (n == 1) != (c.want == nil) || (text != "") != (c.want == nil) {
				t.Errorf("%d tokens, text of %d", n, len(text))
			}
			if c.want == nil && made.Factor != mfa.Provided {
				t.Errorf("made with %q", made.Factor)
			}
		})
	}
}

func TestGate_CreateAppToken_RejectsOthers(t *testing.T) {
	w := newWorld(t) // takes none anywhere
	_, _, out := w.alice()
	_, _, err := w.gate.CreateAppToken(t.Context(), w.at, out.Session.ID, mfa.AppTokenInput{Name: "x", Host: w.at.Host})
	wants(t, err, mfa.ErrNotAllowed)
	half := as[*mfa.Outcome](t)(w.signIn("alice"))
	_, _, err = w.gate.CreateAppToken(t.Context(), w.at, half.Session.ID, mfa.AppTokenInput{Name: "x", Host: w.at.Host})
	wants(t, err, mfa.ErrNotAllowed)
	wants(t, w.gate.RevokeAppToken(t.Context(), w.at, half.Session.ID, "x"), mfa.ErrNotAllowed)
}

func TestUser_AppTokenSession_RejectsOthers(t *testing.T) {
	w := newWorld(t, withApps)
	_, _, out := w.alice()
	text, made := w.token(out.Session.ID)
	u := w.named("alice")
	last := "A"
	if strings.HasSuffix(text, "A") {
		last = "B"
	}
	for name, c := range map[string]struct {
		text, host string
		at         time.Time
	}{
		"another host":        {text, "app.example.com", w.clock()},
		"the host with a dot": {text, tokenHost + ".", w.clock()},
		"no host":             {text, "", w.clock()},
		"another secret":      {text[:len(text)-2] + "A" + last, tokenHost, w.clock()},
		"another ID":          {strings.Replace(text, made.ID, "0123456789abcdef", 1), tokenHost, w.clock()},
		"its end":             {text, tokenHost, made.Expires},
		"after its end":       {text, tokenHost, made.Expires.Add(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := u.AppTokenSession(c.text, c.host, c.at)
			wants(t, err, mfa.ErrNoSession)
		})
	}
	if _, err := u.AppTokenSession(text, tokenHost, made.Expires.Add(-time.Second)); err != nil {
		t.Errorf("before its end: %v", err)
	}
}

// What ends tokens: whatever an administrator or a new password ends, and not what people
// do to their sessions.
func TestAppTokens_End(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(w *world, id mfa.SessionID) error
		gone bool
	}{
		"sign-out": {func(w *world, id mfa.SessionID) error {
			_, err := w.gate.SignOut(w.t.Context(), w.at, id, "")
			return err
		}, false},
		"end my other sessions": {func(w *world, id mfa.SessionID) error {
			_, err := w.gate.EndOtherSessions(w.t.Context(), w.at, id)
			return err
		}, false},
		"a new password": {func(w *world, id mfa.SessionID) error {
			_, err := w.gate.ChangePassword(w.t.Context(), w.at, id, goodPassword, "another horse battery 9")
			return err
		}, true},
		"an administrator ends the sessions": {func(w *world, _ mfa.SessionID) error {
			return w.gate.As(mfa.OnMachine()).EndSessions(w.t.Context(), w.named("alice").ID, "")
		}, true},
		"an administrator disables the user": {func(w *world, _ mfa.SessionID) error {
			return w.gate.As(mfa.OnMachine()).SetDisabled(w.t.Context(), w.named("alice").ID, true)
		}, true},
		"an administrator removes the factors": {func(w *world, _ mfa.SessionID) error {
			return w.gate.As(mfa.OnMachine()).RemoveFactors(w.t.Context(), w.named("alice").ID, "")
		}, true},
		"an administrator revokes it": {func(w *world, _ mfa.SessionID) error {
			u := w.named("alice")
			return w.gate.As(mfa.OnMachine()).RevokeAppToken(w.t.Context(), u.ID, u.AppTokens[0].ID)
		}, true},
		"an administrator revokes all": {func(w *world, _ mfa.SessionID) error {
			return w.gate.As(mfa.OnMachine()).RevokeAppToken(w.t.Context(), w.named("alice").ID, "")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withApps)
			_, _, out := w.alice()
			text, _ := w.token(out.Session.ID)
			must(t, c.do(w, out.Session.ID))
			_, err := w.named("alice").AppTokenSession(text, tokenHost, w.clock())
			if gone := err != nil; gone != c.gone {
				t.Errorf("gone: %t", gone)
			}
			if _, err := w.store.UserByKey(t.Context(), mfa.AppTokenKey(text[5:21])); (err != nil) != c.gone {
				t.Errorf("the index says %v", err)
			}
		})
	}
}

// AC-224: whoever may not change the user ends no token, and what is no ID is not written
// down: it may be the secret.
func TestAdministration_RevokeAppToken_AC224(t *testing.T) {
	w := newWorld(t, withApps)
	_, _, out := w.alice()
	text, made := w.token(out.Session.ID)
	u := w.named("alice")
	auditor := w.gate.As(mfa.Actor{Powers: mfa.ReadUsers, Name: "auditor"})
	if list, err := auditor.AppTokens(t.Context(), u.ID); err != nil || len(list) != 1 {
		t.Errorf("an auditor sees %v, %v", list, err)
	}
	wants(t, auditor.RevokeAppToken(t.Context(), u.ID, made.ID), mfa.ErrNotAllowed)
	nobody := w.gate.As(mfa.Actor{})
	_, err := nobody.AppTokens(t.Context(), u.ID)
	wants(t, err, mfa.ErrNotAllowed)
	elsewhere := w.gate.As(mfa.Actor{Powers: mfa.ReadUsers | mfa.ChangeUsers, Organization: "acme"})
	_, err = elsewhere.AppTokens(t.Context(), u.ID)
	wants(t, err, mfa.ErrNotFound)
	wants(t, elsewhere.RevokeAppToken(t.Context(), u.ID, made.ID), mfa.ErrNotFound)
	root := w.gate.As(mfa.OnMachine())
	wants(t, root.RevokeAppToken(t.Context(), u.ID, text), mfa.ErrNotFound)
	wants(t, root.RevokeAppToken(t.Context(), u.ID, "0123456789abcdef"), mfa.ErrNotFound)
	for _, e := range w.events.Named(mfa.EventAdmin) {
		if strings.Contains(e.Detail, text[22:]) {
			t.Error("the secret is in the record")
		}
	}
	if len(w.named("alice").AppTokens) != 1 {
		t.Error("it is gone")
	}
}

func TestDecide_AppToken(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	at := &mfa.Place{Host: tokenHost, Scope: tokenHost, RPID: tokenHost}
	require, optional := mfa.DefaultPolicy(), mfa.DefaultPolicy()
	optional.Optional = true
	off := mfa.Policy{Off: true, Optional: true}
	acme := mfa.NewDirectory([]*mfa.Organization{
		{ID: "acme", Name: "Acme"}, {ID: "strict", Fresh: time.Hour}, {ID: "keys", PhishingResistant: true}, {ID: "own", Factors: mfa.KindsOf(mfa.TOTP)}, {ID: "must", Require: true},
	})
	otp := []mfa.Held{{ID: "otp", Kind: mfa.TOTP}}
	codes := []mfa.Held{{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Left: 3}}
	for name, c := range map[string]struct {
		policy  mfa.Policy
		route   mfa.Route
		held    []mfa.Held
		unmade  bool // it was made while 2-step verification was off
		subject func(*mfa.Subject)
		session func(*mfa.Session)
		action  mfa.Action
		reason  mfa.Reason
	}{
		"B29 it stands for require":                  {policy: require, held: otp, action: mfa.Allow},
		"a route that asks for a second factor":      {policy: optional, route: mfa.Route{Need: mfa.Requirement{Required: true}}, held: otp, action: mfa.Allow},
		"nothing is required, and the user has none": {policy: optional, action: mfa.Allow},
		"fresh":                                     {policy: require, route: mfa.Route{Need: mfa.Requirement{Fresh: time.Hour}}, held: otp, reason: mfa.ReasonTokenNotEnough},
		"phishing_resistant":                        {policy: require, route: mfa.Route{Need: mfa.Requirement{PhishingResistant: true}}, held: otp, reason: mfa.ReasonTokenNotEnough},
		"factors, the very one":                     {policy: require, route: mfa.Route{Need: mfa.Requirement{Factors: mfa.KindsOf(mfa.TOTP)}}, held: otp, reason: mfa.ReasonTokenNotEnough},
		"fresh from a membership":                   {policy: require, held: otp, subject: member("strict"), reason: mfa.ReasonTokenNotEnough},
		"phishing_resistant from a membership":      {policy: require, held: otp, subject: member("keys"), reason: mfa.ReasonTokenNotEnough},
		"factors on the organization's route":       {policy: require, route: mfa.Route{Organization: "own"}, held: otp, subject: member("own"), reason: mfa.ReasonTokenNotEnough},
		"factors of a membership elsewhere":         {policy: require, held: otp, subject: member("own"), action: mfa.Allow},
		"B5 a member":                               {policy: require, route: mfa.Route{Organization: "acme"}, held: otp, subject: member("acme"), action: mfa.Allow},
		"B5 no member":                              {policy: require, route: mfa.Route{Organization: "acme"}, held: otp, reason: mfa.ReasonNotMember},
		"B5 no such organization":                   {policy: require, route: mfa.Route{Organization: "none"}, held: otp, reason: mfa.ReasonNotMember},
		"report_only lifts none of it":              {policy: reporting(require), route: mfa.Route{Need: mfa.Requirement{Fresh: time.Hour}}, held: otp, reason: mfa.ReasonTokenNotEnough},
		"the last factor is gone":                   {policy: require, reason: mfa.ReasonTokenNotEnough},
		"only backup codes are left":                {policy: require, held: codes, reason: mfa.ReasonTokenNotEnough},
		"what is left is switched off":              {policy: require, held: []mfa.Held{{ID: "sms", Kind: mfa.SMS}}, reason: mfa.ReasonTokenNotEnough},
		"grace is no factor":                        {policy: gracious(require), reason: mfa.ReasonTokenNotEnough},
		"made while it was off, now required":       {policy: require, held: otp, unmade: true, reason: mfa.ReasonTokenNotEnough},
		"made while it was off, an organization's":  {policy: optional, held: otp, unmade: true, subject: member("must"), reason: mfa.ReasonTokenNotEnough},
		"made while it was off, a factor is set up": {policy: optional, held: otp, unmade: true, reason: mfa.ReasonTokenNotEnough},
		"made while it was off, nothing is asked":   {policy: optional, unmade: true, action: mfa.Allow},
		"made while it was off, opted out":          {policy: optional, held: otp, unmade: true, subject: func(u *mfa.Subject) { u.OptedOut = true }, action: mfa.Allow},
		"2-step verification is off":                {policy: off, unmade: true, action: mfa.Allow, reason: mfa.ReasonOff},
		"2-step verification is off, no member":     {policy: off, route: mfa.Route{Organization: "acme"}, unmade: true, reason: mfa.ReasonNotMember},
		"AC-016 the route takes none":               {policy: require, route: mfa.Route{AppTokens: false}, held: otp, reason: mfa.ReasonTokenNotHere},
		"AC-016 off, and the route takes none":      {policy: off, held: otp, reason: mfa.ReasonTokenNotHere},
		"AC-008 of another host":                    {policy: require, held: otp, session: func(s *mfa.Session) { s.Scope = "app.example.com" }, reason: mfa.ReasonTokenNotHere},
		"disabled":                                  {policy: require, held: otp, subject: func(u *mfa.Subject) { u.Disabled = true }, reason: mfa.ReasonDisabled},
		"B26 another user's":                        {policy: require, held: otp, session: func(s *mfa.Session) { s.User = "bob" }, action: mfa.SignIn, reason: mfa.ReasonOtherUser},
		"its end":                                   {policy: require, held: otp, session: func(s *mfa.Session) { s.Expires = now }, action: mfa.SignIn, reason: mfa.ReasonExpired},
		"of an older generation":                    {policy: require, held: otp, session: func(s *mfa.Session) { s.Generation = 6 }, action: mfa.SignIn, reason: mfa.ReasonExpired},
		"a proof beside it makes it no stronger": {policy: require, route: mfa.Route{Need: mfa.Requirement{Fresh: time.Hour}}, held: otp, session: func(s *mfa.Session) {
			s.Proofs = append(s.Proofs, mfa.Proof{Kind: mfa.TOTP, Credential: "otp", At: now})
		}, reason: mfa.ReasonTokenNotEnough},
		"AC-021 the source's factor, one of ours beside it":  {policy: require, held: otp, session: byTheSource, action: mfa.Allow},
		"AC-021 the source's factor, and nothing here":       {policy: require, session: byTheSource, reason: mfa.ReasonTokenNotEnough},
		"AC-021 … on a route that requires":                  {policy: optional, route: mfa.Route{Need: mfa.Requirement{Required: true}}, session: byTheSource, reason: mfa.ReasonTokenNotEnough},
		"AC-021 … of an organization that requires":          {policy: optional, subject: member("must"), session: byTheSource, reason: mfa.ReasonTokenNotEnough},
		"AC-021 … where nothing is required":                 {policy: optional, session: byTheSource, action: mfa.Allow},
		"AC-021 the session that it never was says Provided": {policy: require, session: func(s *mfa.Session) { s.Provided = mfa.Proof{Kind: mfa.Provided, At: now, PhishingResistant: true} }, reason: mfa.ReasonTokenNotEnough},
		"B2 no policy": {policy: mfa.Policy{}, held: otp, reason: mfa.ReasonNoPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			u := &mfa.Subject{ID: "alice", Generation: 7, EverEnrolled: true, Held: c.held}
			s := &mfa.Session{User: "alice", Scope: tokenHost, Generation: 7, Complete: true, AppToken: "0123456789abcdef", Created: now.Add(-24 * time.Hour), Expires: now.Add(time.Hour), First: mfa.Proof{Kind: mfa.ByAppToken, At: now.Add(-24 * time.Hour)}}
			if !c.unmade {
				s.Proofs = []mfa.Proof{{Kind: mfa.TOTP, At: s.Created, Remembered: true}}
			}
			if c.subject != nil {
				c.subject(u)
			}
			if c.session != nil {
				c.session(s)
			}
			p := c.policy.With(c.route.Need)
			p.Organizations, p.Organization, p.AppTokens = acme, c.route.Organization, !strings.HasPrefix(name, "AC-016")
			d := mfa.Decide(mfa.Input{Policy: &p, Place: at, Session: s, Subject: u}, now)
			if d.Action != c.action || d.Reason != c.reason {
				t.Errorf("%s %s, want %s %s", d.Action, d.Reason, c.action, c.reason)
			}
		})
	}
}

// byTheSource is a token that was made with the second factor of an identity source.
func byTheSource(s *mfa.Session) {
	s.Proofs = []mfa.Proof{{Kind: mfa.Provided, At: s.Created, Remembered: true}}
}

func member(id mfa.OrganizationID) func(*mfa.Subject) {
	return func(u *mfa.Subject) { u.Organizations = append(u.Organizations, id) }
}

func reporting(p mfa.Policy) mfa.Policy { p.ReportOnly = true; return p }
func gracious(p mfa.Policy) mfa.Policy  { p.Grace = 24 * time.Hour; return p }
