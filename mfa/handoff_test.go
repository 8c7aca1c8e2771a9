package mfa_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// portalPlace is where alice signs in; app is of the portal's domain, and shop of another.
func portalWorld(t *testing.T) (w *world, app, shop *mfa.Place) {
	t.Helper()
	w = newWorld(t)
	w.at = &mfa.Place{
		Origin: "https://auth.example.com", Host: "auth.example.com", Scope: "auth.example.com", RPID: "example.com",
		Agent: "Firefox on Linux", Network: "192.0.2.0/24",
	}
	app = &mfa.Place{Origin: "https://app.example.com", Host: "app.example.com", Scope: "example.com", RPID: "example.com", Network: "192.0.2.0/24"}
	shop = &mfa.Place{Origin: "https://shop.test", Host: "shop.test", Scope: "shop.test", RPID: "example.com", Agent: "Firefox on Linux", Network: "192.0.2.0/24"}
	return w, app, shop
}

func TestGate_HandOn(t *testing.T) {
	w, app, _ := portalWorld(t)
	ctx := t.Context()
	phone, _, signedIn := w.alice()
	w.wait(time.Hour)
	out := as[*mfa.Outcome](t)(w.gate.HandOn(ctx, w.at, signedIn.Session.ID, app.Scope, ""))
	s, from := out.Session, as[*mfa.Session](t)(w.store.Session(ctx, signedIn.Session.ID))
	if !out.Changed || s.ID == from.ID || s.Scope != "example.com" || !s.Complete || s.User != from.User || s.Generation != from.Generation {
		t.Fatalf("handed on %+v", s)
	}
	if s.Family == "" || s.Family != from.Line || s.Line == from.Line || s.Line == "" {
		t.Errorf("the family is %q, the lines %q and %q", s.Family, s.Line, from.Line)
	}
	if !s.Created.Equal(from.Created) || !s.Expires.Equal(from.Expires) {
		t.Errorf("it lives from %s to %s, and the portal's from %s to %s", s.Created, s.Expires, from.Created, from.Expires)
	}
	if !slices.Equal(s.Proofs, from.Proofs) || s.First != from.First {
		t.Errorf("its proofs are %+v, the portal's %+v", s.Proofs, from.Proofs)
	}
	w.wantsNext(&as[*mfa.State](t)(w.gate.State(ctx, app, s.ID)).Outcome, nil, mfa.Allow, "")
	if _, err := w.gate.State(ctx, w.at, s.ID); !errors.Is(err, mfa.ErrNoSession) {
		t.Errorf("AC-007: the domain's session is good at the portal: %v", err)
	}
	if _, err := w.gate.State(ctx, app, from.ID); !errors.Is(err, mfa.ErrNoSession) {
		t.Errorf("AC-007: the portal's session is good at the domain: %v", err)
	}

	same := as[*mfa.Outcome](t)(w.gate.HandOn(ctx, w.at, from.ID, app.Scope, s.ID))
	if same.Changed || same.Session.ID != s.ID {
		t.Error("a session that follows already was made anew")
	}

	// A newer proof at the portal goes on, and the session before it is dead.
	better := as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, from.ID, phone.code(w.clock())))
	next := as[*mfa.Outcome](t)(w.gate.HandOn(ctx, w.at, better.Session.ID, app.Scope, s.ID))
	if !next.Changed || !slices.Equal(next.Session.Proofs, better.Session.Proofs) || next.Session.Family != s.Family {
		t.Errorf("the newer one is %+v", next.Session)
	}
	if _, err := w.store.Session(ctx, s.ID); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("AC-012: the one before is there: %v", err)
	}
	if n := w.recorded(mfa.EventHandOff, true); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

// Somebody else was signed in at the domain in this browser. After alice signed in at the
// portal their session must not go on behind her back.
func TestGate_HandOn_AC012_ReplacesSomebodyElse(t *testing.T) {
	w, app, _ := portalWorld(t)
	ctx := t.Context()
	_, _, alice := w.alice()
	bobs := w.invited("bob")
	_, bobs = w.addPhone(bobs.Session.ID)
	_, bobs = w.addCodes(bobs.Session.ID)
	old := as[*mfa.Outcome](t)(w.gate.HandOn(ctx, w.at, bobs.Session.ID, app.Scope, "")).Session
	out := as[*mfa.Outcome](t)(w.gate.HandOn(ctx, w.at, alice.Session.ID, app.Scope, old.ID))
	if !out.Changed || out.Session.User != alice.Session.User {
		t.Errorf("handed on %+v", out)
	}
	if _, err := w.store.Session(ctx, old.ID); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("bob's session is there: %v", err)
	}
}

// Alice went away from a shared computer without signing out, and bob signs in at the portal
// in the same browser. What that browser holds of alice at other hosts is over.
func TestGate_SignIn_AC012_EndsTheFamilyOfSomebodyElse(t *testing.T) {
	w, app, shop := portalWorld(t)
	ctx := t.Context()
	phone, _, alice := w.alice()
	w.invited("bob")
	handedOn := func(from mfa.SessionID) []mfa.SessionID {
		own := mfa.NewHandOffSecret()
		code := as[string](t)(w.gate.BeginHandOff(ctx, w.at, from, mfa.HandOff{Origin: shop.Origin, Mark: mfa.HandOffMark(own)}))
		return []mfa.SessionID{
			as[*mfa.Outcome](t)(w.gate.FinishHandOff(ctx, shop, code, own)).Session.ID,
			as[*mfa.Outcome](t)(w.gate.HandOn(ctx, w.at, from, app.Scope, "")).Session.ID,
		}
	}
	elsewhere := as[*mfa.Outcome](t)(w.signIn("alice")) // another browser
	elsewhere = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, elsewhere.Session.ID, phone.code(w.clock())))
	held := handedOn(alice.Session.ID)
	at := *w.at
	at.Replaces = alice.Session.ID
	as[*mfa.Outcome](t)(w.gate.SignIn(ctx, &at, "local", "bob", goodPassword))
	for _, id := range append(held, alice.Session.ID) {
		if _, err := w.store.Session(ctx, id); !errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("a session of alice is there: %v", err)
		}
	}
	if _, err := w.store.Session(ctx, elsewhere.Session.ID); err != nil {
		t.Errorf("alice's other browser is signed out: %v", err)
	}

	// Whoever signs in again themselves keeps what they have elsewhere.
	held = handedOn(elsewhere.Session.ID)
	at.Replaces = elsewhere.Session.ID
	again := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, &at, "local", "alice", goodPassword))
	for _, id := range held {
		if _, err := w.store.Session(ctx, id); err != nil {
			t.Errorf("signing in again ended another host's: %v", err)
		}
	}
	// … and means it when they sign out (AC-014).
	as[string](t)(w.gate.SignOut(ctx, w.at, again.Session.ID, ""))
	for _, id := range held {
		if _, err := w.store.Session(ctx, id); !errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("after signing out another host is open: %v", err)
		}
	}
}

// Signing out at any host ends the portal's session and all others of the family.
func TestGate_SignOut_AC014_EndsTheFamily(t *testing.T) {
	for _, where := range []string{"portal", "app", "shop"} {
		w, app, shop := portalWorld(t)
		ctx := t.Context()
		_, _, alice := w.alice()
		own := mfa.NewHandOffSecret()
		code := as[string](t)(w.gate.BeginHandOff(ctx, w.at, alice.Session.ID, mfa.HandOff{Origin: shop.Origin, Mark: mfa.HandOffMark(own)}))
		ids := map[string]mfa.SessionID{
			"portal": alice.Session.ID,
			"shop":   as[*mfa.Outcome](t)(w.gate.FinishHandOff(ctx, shop, code, own)).Session.ID,
			"app":    as[*mfa.Outcome](t)(w.gate.HandOn(ctx, w.at, alice.Session.ID, app.Scope, "")).Session.ID,
		}
		at := map[string]*mfa.Place{"portal": w.at, "app": app, "shop": shop}[where]
		as[string](t)(w.gate.SignOut(ctx, at, ids[where], ""))
		for name, id := range ids {
			if _, err := w.store.Session(ctx, id); !errors.Is(err, mfa.ErrNotFound) {
				t.Errorf("out at the %s, the %s is open: %v", where, name, err)
			}
		}
	}
}

func TestGate_HandOn_AC015_Rejects(t *testing.T) {
	w, app, shop := portalWorld(t)
	ctx := t.Context()
	_, _, alice := w.alice()
	half := as[*mfa.Outcome](t)(w.signIn("alice"))
	for name, c := range map[string]struct {
		at    *mfa.Place
		id    mfa.SessionID
		scope string
		want  error
	}{
		"a half-done sign-in":       {w.at, half.Session.ID, app.Scope, mfa.ErrNotAllowed},
		"a session of another host": {shop, alice.Session.ID, app.Scope, mfa.ErrNoSession},
		"a session that is none":    {w.at, "x", app.Scope, mfa.ErrNoSession},
		"none":                      {w.at, "", app.Scope, mfa.ErrNoSession},
		"to the portal itself":      {w.at, alice.Session.ID, w.at.Scope, mfa.ErrNotAllowed},
		"to nowhere":                {w.at, alice.Session.ID, "", mfa.ErrNotAllowed},
		"AC-007: with the app's session to itself": {app, alice.Session.ID, app.Scope, mfa.ErrNoSession},
	} {
		if _, err := w.gate.HandOn(ctx, c.at, c.id, c.scope, ""); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	w.wait(13 * time.Hour)
	if _, err := w.gate.HandOn(ctx, w.at, alice.Session.ID, app.Scope, ""); !errors.Is(err, mfa.ErrNoSession) {
		t.Errorf("after its end: %v", err)
	}
}

func TestGate_HandOff(t *testing.T) {
	w, _, shop := portalWorld(t)
	ctx := t.Context()
	_, _, alice := w.alice()
	secret := mfa.NewHandOffSecret()
	code := as[string](t)(w.gate.BeginHandOff(ctx, w.at, alice.Session.ID, mfa.HandOff{Origin: shop.Origin, Mark: mfa.HandOffMark(secret)}))
	w.wait(mfa.HandOffLife - time.Second)
	out := as[*mfa.Outcome](t)(w.gate.FinishHandOff(ctx, shop, code, secret))
	s := out.Session
	if !out.Changed || s.Scope != shop.Scope || !s.Complete || s.User != alice.Session.User || s.Family != alice.Session.Line || !s.Expires.Equal(alice.Session.Expires) {
		t.Errorf("arrived as %+v", s)
	}
	w.wantsNext(&as[*mfa.State](t)(w.gate.State(ctx, shop, s.ID)).Outcome, nil, mfa.Allow, "")
	if n := w.recorded(mfa.EventHandOff, true); n != 1 {
		t.Errorf("%d events", n)
	}
}

// AC-219: the address of a hand-off stands in histories and logs. Whoever finds one, guesses
// one, or brings it elsewhere, gets nothing, and has spent it.
func TestGate_HandOff_AC219_AC007_StolenIsWorthNothing(t *testing.T) {
	w, app, shop := portalWorld(t)
	ctx := t.Context()
	phone, _, alice := w.alice()
	other := *shop
	other.Origin, other.Host, other.Scope = "https://other.test", "other.test", "other.test"
	plain := *shop
	plain.Origin = "http://shop.test"
	portal := func() mfa.SessionID { return alice.Session.ID }
	for _, c := range []struct {
		name   string
		at     *mfa.Place
		before func()
		secret func(own string) string
		want   error
	}{
		{name: "in another browser", at: shop, secret: func(string) string { return mfa.NewHandOffSecret() }, want: mfa.ErrRejected},
		{name: "in a browser that holds nothing", at: shop, secret: func(string) string { return "" }, want: mfa.ErrRejected},
		{name: "with the mark, which the portal saw", at: shop, secret: mfa.HandOffMark, want: mfa.ErrRejected},
		{name: "at another host", at: &other, want: mfa.ErrRejected},
		{name: "at a host of the domain", at: app, want: mfa.ErrRejected},
		{name: "at the portal", at: w.at, want: mfa.ErrRejected},
		{name: "without TLS", at: &plain, want: mfa.ErrRejected},
		{name: "late", at: shop, before: func() { w.wait(mfa.HandOffLife) }, want: mfa.ErrExpired},
		{name: "after a newer proof at the portal", at: shop, before: func() {
			alice = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, portal(), phone.code(w.clock())))
		}, want: mfa.ErrRejected},
		{name: "after signing out at the portal", at: shop, before: func() { must(t, w.store.EndSession(ctx, portal())) }, want: mfa.ErrRejected},
	} {
		w.wait(time.Minute)
		t.Run(c.name, func(t *testing.T) {
			own := mfa.NewHandOffSecret()
			code := as[string](t)(w.gate.BeginHandOff(ctx, w.at, portal(), mfa.HandOff{Origin: shop.Origin, Mark: mfa.HandOffMark(own)}))
			secret := own
			if c.secret != nil {
				secret = c.secret(own)
			}
			if c.before != nil {
				c.before()
			}
			out, err := w.gate.FinishHandOff(ctx, c.at, code, secret)
			if !errors.Is(err, c.want) || out != nil {
				t.Errorf("%v, %v; want %v", out, err, c.want)
			}
			if out, err := w.gate.FinishHandOff(ctx, shop, code, own); !errors.Is(err, mfa.ErrExpired) || out != nil {
				t.Errorf("it was not spent: %v, %v", out, err)
			}
			list := as[[]*mfa.Session](t)(w.store.UserSessions(ctx, alice.Session.User))
			if slices.ContainsFunc(list, func(s *mfa.Session) bool { return s.Scope != w.at.Scope }) {
				t.Error("a session was made")
			}
		})
	}
	for _, code := range []string{"", "x", mfa.NewHandOffSecret(), mfa.NewHandOffSecret() + "\n"} {
		if _, err := w.gate.FinishHandOff(ctx, shop, code, mfa.NewHandOffSecret()); !errors.Is(err, mfa.ErrExpired) {
			t.Errorf("guessing %q: %v", code, err)
		}
	}
}

func TestGate_HandOff_AC219_UserIsGone(t *testing.T) {
	w, _, shop := portalWorld(t)
	ctx := t.Context()
	_, _, alice := w.alice()
	for name, change := range map[string]func(*mfa.User){
		"disabled":     func(u *mfa.User) { u.Disabled = true },
		"a generation": func(u *mfa.User) { u.Disabled = false; u.Generation++ },
	} {
		must(t, w.store.UpdateUser(ctx, alice.Session.User, func(u *mfa.User) error { u.Disabled, u.Generation = false, alice.Session.Generation; return nil }))
		own := mfa.NewHandOffSecret()
		code := as[string](t)(w.gate.BeginHandOff(ctx, w.at, alice.Session.ID, mfa.HandOff{Origin: shop.Origin, Mark: mfa.HandOffMark(own)}))
		must(t, w.store.UpdateUser(ctx, alice.Session.User, func(u *mfa.User) error { change(u); return nil }))
		if _, err := w.gate.FinishHandOff(ctx, shop, code, own); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A link that leads to a code must not be a code: another kind of challenge opens no host,
// and a code opens nothing else (AC-008).
func TestGate_HandOff_AC008_OtherKinds(t *testing.T) {
	w, _, shop := portalWorld(t)
	ctx := t.Context()
	token := as[string](t)(w.gate.SetupLink(ctx))
	_, _, alice := w.alice()
	own := mfa.NewHandOffSecret()
	if _, err := w.gate.FinishHandOff(ctx, shop, token, own); !errors.Is(err, mfa.ErrExpired) {
		t.Errorf("a link as a code: %v", err)
	}
	code := as[string](t)(w.gate.BeginHandOff(ctx, w.at, alice.Session.ID, mfa.HandOff{Origin: shop.Origin, Mark: mfa.HandOffMark(own)}))
	if _, err := w.gate.OpenLink(ctx, shop, code); !errors.Is(err, mfa.ErrExpired) {
		t.Errorf("a code as a link: %v", err)
	}
}

func TestGate_BeginHandOff_AC015_Rejects(t *testing.T) {
	w, _, shop := portalWorld(t)
	ctx := t.Context()
	_, _, alice := w.alice()
	half := as[*mfa.Outcome](t)(w.signIn("alice"))
	asked := *w.at
	w.wait(10 * time.Minute)
	asked.Asked = mfa.Requirement{Fresh: 5 * time.Minute}
	mark := mfa.HandOffMark(mfa.NewHandOffSecret())
	for name, c := range map[string]struct {
		at   *mfa.Place
		id   mfa.SessionID
		to   mfa.HandOff
		want error
	}{
		"a half-done sign-in":                   {w.at, half.Session.ID, mfa.HandOff{Origin: shop.Origin, Mark: mark}, mfa.ErrExpired},
		"a proof that is too old for the host":  {&asked, alice.Session.ID, mfa.HandOff{Origin: shop.Origin, Mark: mark}, mfa.ErrNotAllowed},
		"nowhere":                               {w.at, alice.Session.ID, mfa.HandOff{Mark: mark}, mfa.ErrNotAllowed},
		"the portal itself":                     {w.at, alice.Session.ID, mfa.HandOff{Origin: w.at.Origin, Mark: mark}, mfa.ErrNotAllowed},
		"without a mark":                        {w.at, alice.Session.ID, mfa.HandOff{Origin: shop.Origin}, mfa.ErrNotAllowed},
		"with a mark that is none":              {w.at, alice.Session.ID, mfa.HandOff{Origin: shop.Origin, Mark: "x"}, mfa.ErrNotAllowed},
		"with a session of the host it goes to": {shop, alice.Session.ID, mfa.HandOff{Origin: shop.Origin, Mark: mark}, mfa.ErrNoSession},
	} {
		if code, err := w.gate.BeginHandOff(ctx, c.at, c.id, c.to); !errors.Is(err, c.want) || code != "" {
			t.Errorf("%s: %q, %v; want %v", name, code, err, c.want)
		}
	}
	for range 200 {
		if _, err := w.gate.BeginHandOff(ctx, w.at, alice.Session.ID, mfa.HandOff{Origin: shop.Origin, Mark: mark}); err != nil {
			var throttled *mfa.ThrottledError
			if !errors.As(err, &throttled) {
				t.Errorf("many: %v", err)
			}
			return
		}
	}
	t.Error("codes without end")
}

// AC-219 in a race: of many who bring one code at the same moment, one gets in.
func TestGate_HandOff_AC219_OnceInARace(t *testing.T) {
	w, _, shop := portalWorld(t)
	ctx := t.Context()
	_, _, alice := w.alice()
	own := mfa.NewHandOffSecret()
	code := as[string](t)(w.gate.BeginHandOff(ctx, w.at, alice.Session.ID, mfa.HandOff{Origin: shop.Origin, Mark: mfa.HandOffMark(own)}))
	var wg sync.WaitGroup
	got := make(chan error, 16)
	for range cap(got) {
		wg.Go(func() {
			_, err := w.gate.FinishHandOff(ctx, shop, code, own)
			got <- err
		})
	}
	wg.Wait()
	close(got)
	in := 0
	for err := range got {
		if err == nil {
			in++
		}
	}
	if in != 1 {
		t.Errorf("%d got in", in)
	}
}

// signsOut ends the portal's session at the worst moment: after the hand-off has looked at
// it and before it keeps its own.
type signsOut struct {
	mfa.Store
	end mfa.SessionID
}

func (s *signsOut) CreateSession(ctx context.Context, next *mfa.Session) error {
	if s.end != "" {
		if err := s.Store.EndSession(ctx, s.end); err != nil {
			return err
		}
	}
	return s.Store.CreateSession(ctx, next)
}

// Somebody signs out while their browser is on its way to another host. What is made there
// must not outlive the sign-out.
func TestGate_HandOff_AC014_SignedOutMeanwhile(t *testing.T) {
	store := &signsOut{Store: newStore(t)}
	w := newWorldOn(t, store)
	ctx := t.Context()
	_, _, alice := w.alice()
	shop := &mfa.Place{Origin: "https://shop.test", Host: "shop.test", Scope: "shop.test", Network: "192.0.2.0/24"}
	own := mfa.NewHandOffSecret()
	code := as[string](t)(w.gate.BeginHandOff(ctx, w.at, alice.Session.ID, mfa.HandOff{Origin: shop.Origin, Mark: mfa.HandOffMark(own)}))
	store.end = alice.Session.ID
	if _, err := w.gate.FinishHandOff(ctx, shop, code, own); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("got %v", err)
	}
	if list := as[[]*mfa.Session](t)(w.store.UserSessions(ctx, alice.Session.User)); len(list) != 0 {
		t.Errorf("%d sessions go on", len(list))
	}
}
