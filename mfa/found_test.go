package mfa_test

import (
	"errors"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// What the walk has found, each by itself. A town is the world of a cell; see
// walk_world_test.go.
func foundTown(t *testing.T, change func(*plan)) *town {
	t.Helper()
	p := &plan{enabled: everyKind, enrollment: mfa.Enrollment{Open: true}, addressOnFile: true}
	change(p)
	return as[*town](t)(p.build(t.Context(), newMemory(), "ann"))
}

// mailIn signs in with a code that is sent to the address on file.
func (w *town) mailIn(t *testing.T, at *mfa.Place) *mfa.Outcome {
	t.Helper()
	c := as[*mfa.Waiting](t)(w.gate.SendSignInCode(t.Context(), at, w.mailbox))
	out, _, err := w.gate.FinishWaiting(t.Context(), at, c.ID, w.post.Code(w.mailbox))
	must(t, err)
	return out
}

func (w *town) passwordIn(t *testing.T) *mfa.Outcome {
	t.Helper()
	return as[*mfa.Outcome](t)(w.gate.SignIn(t.Context(), &w.place, mfa.LocalSource, w.name, w.first.password))
}

// The name of an account that somebody made with an address is the address, and no
// user name can look like one. No administrator's command found such an account: it
// could be neither disabled nor reset.
func TestGate_B35_FindsAccountsByAddress(t *testing.T) {
	w, ctx := foundTown(t, func(p *plan) { p.source = signUpByEmail }), t.Context()
	_, c, err := w.gate.BeginSignUp(ctx, &w.place, mfa.SignUpInput{Name: w.mailbox, Password: goodPassword})
	must(t, err)
	out, _, err := w.gate.FinishWaiting(ctx, &w.place, c.ID, w.post.Code(w.mailbox))
	must(t, err)
	for name, command := range map[string]func(name string) error{
		"remove factors": func(name string) error { return mfatest.NewDesk(w.gate).RemoveFactors(ctx, name, "") },
		"unlock":         func(name string) error { return mfatest.NewDesk(w.gate).Unlock(ctx, name) },
		"reset password": func(name string) error { _, err := mfatest.NewDesk(w.gate).ResetPassword(ctx, name); return err },
		"pass":           func(name string) error { _, _, err := mfatest.NewDesk(w.gate).EnrollmentPass(ctx, name, 0); return err },
		"bypass":         func(name string) error { _, _, err := mfatest.NewDesk(w.gate).Bypass(ctx, name, 0, ""); return err },
		"disable":        func(name string) error { return mfatest.NewDesk(w.gate).SetDisabled(ctx, name, true) },
	} {
		for _, spelling := range []string{w.mailbox, "Ann@Example.com"} {
			if err := command(spelling); err != nil {
				t.Errorf("%s %s: %v", name, spelling, err)
			}
		}
		wants(t, command("bob@example.com"), mfa.ErrNotFound)
	}
	_, err = w.gate.State(ctx, &w.place, out.Session.ID)
	wants(t, err, mfa.ErrNoSession)
}

// A thief has alice's mailbox, and her browser, which stands for a proof by that very
// mailbox. A code that signs in, and a browser that says that such a code was entered
// once, are one channel and no second factor (B27); taken for a factor that had just
// been chosen, they opened set-up to a factor of the thief's.
func TestGate_B27_RejectsARememberedFirstChannel(t *testing.T) {
	w, ctx := foundTown(t, func(p *plan) {
		p.source, p.remembered = emailCode, rememberedWell
		p.holds(onFile)
	}), t.Context()
	at := w.place
	at.Remembered = w.remembered
	out := w.mailIn(t, &at)
	if out.Decision.Action != mfa.Verify {
		t.Errorf("next is %s %s, want verify", out.Decision.Action, out.Decision.Reason)
	}
	var owed *mfa.ProofError
	if _, err := w.gate.BeginTOTP(ctx, &at, out.Session.ID); !errors.As(err, &owed) {
		t.Errorf("a set-up begins: %v", err)
	}
}

// Who verifies with a backup code where the policy has switched everything off that
// they have is led to set-up (B16), also by the last code (B23): it counted for nothing
// any more a moment later, and the page asked for a proof that nobody could make.
func TestGate_B23_TheLastCodeLeadsToSetUp(t *testing.T) {
	for name, held := range map[string][]mfa.Kind{"codes alone": nil, "beside what is switched off": {mfa.Passkey}, "beside an unknown kind": {unknown}} {
		t.Run(name, func(t *testing.T) {
			w, ctx := foundTown(t, func(p *plan) {
				p.enabled, p.codes, p.enrollment = mfa.KindsOf(mfa.TOTP), lastCode, mfa.Enrollment{}
				p.holds(held...)
			}), t.Context()
			out := w.passwordIn(t)
			var err error
			out, err = w.prove(ctx, &w.place, out.Session.ID, mfa.BackupCodesID)
			must(t, err)
			as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(ctx, &w.place, out.Session.ID))
		})
	}
}

// A factor of a kind that this version does not know cannot be verified, so that an
// administrator gives out a bypass, which leads to set-up (B29); it did not. Without
// one the page says that an administrator helps, and does not offer what is refused.
func TestGate_B29_ABypassBesideAnUnknownKind(t *testing.T) {
	w, ctx := foundTown(t, func(p *plan) { p.bypassInHand = true; p.holds(unknown) }), t.Context()
	out := w.passwordIn(t)
	_, err := w.gate.BeginTOTP(ctx, &w.place, out.Session.ID)
	wants(t, err, mfa.ErrNotAllowed)
	if st := as[*mfa.State](t)(w.gate.State(ctx, &w.place, out.Session.ID)); !st.Closed {
		t.Error("set-up is offered and refused")
	}
	out = as[*mfa.Outcome](t)(w.gate.VerifyBypass(ctx, &w.place, out.Session.ID, w.bypass))
	as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(ctx, &w.place, out.Session.ID))
}

// An address that a sign-up has proven is a factor as soon as it is chosen. Where
// nothing can be sent to it any more it would be one that nobody can use.
func TestGate_SetUpAddress_RejectsWithoutASender(t *testing.T) {
	w, ctx := foundTown(t, func(p *plan) { p.source = emailCode }), t.Context()
	out := w.mailIn(t, &w.place)
	w.post.Off(mfa.Email, mfa.SMS)
	_, _, err := w.gate.SetUpAddress(ctx, &w.place, out.Session.ID, mfa.Email, mfa.AddressInput{Typed: w.mailbox}, false)
	wants(t, err, mfa.ErrNotSent)
}

// An address that this session has proven becomes a factor again without another code,
// and its proof is as old as that code: removing a factor and choosing it anew must not
// make fresh what was proven long ago.
func TestGate_B12_RejectsMakingAProofYounger(t *testing.T) {
	w, ctx := foundTown(t, func(p *plan) {
		p.enabled, p.optional, p.prompt = mfa.KindsOf(mfa.Email, mfa.TOTP), true, mfa.PromptNever
	}), t.Context()
	out := w.passwordIn(t)
	_, _, err := w.gate.SetUpAddress(ctx, &w.place, out.Session.ID, mfa.Email, mfa.AddressInput{Typed: w.mailbox}, false)
	must(t, err)
	out = as[*mfa.Outcome](t)(w.gate.FinishAddress(ctx, &w.place, out.Session.ID, mfa.Email, w.post.Code(w.mailbox)))
	p := as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(ctx, &w.place, out.Session.ID))
	app := newPhone(t, p)
	out = as[*mfa.Outcome](t)(w.gate.FinishTOTP(ctx, &w.place, out.Session.ID, app.code(w.time.Now()), ""))
	w.time.Advance(time.Hour)
	out = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, &w.place, out.Session.ID, app.code(w.time.Now())))
	mail := as[*mfa.User](t)(w.store.User(ctx, w.user)).Credentials[0]
	must(t, w.gate.Remove(ctx, &w.place, out.Session.ID, mail.ID))
	again, sent, err := w.gate.SetUpAddress(ctx, &w.place, out.Session.ID, mfa.Email, mfa.AddressInput{Typed: w.mailbox}, false)
	must(t, err)
	if sent != nil {
		return // another code is asked for, which is as good
	}
	need := w.policy.With(mfa.Requirement{Factors: mfa.KindsOf(mfa.Email), Fresh: 10 * time.Minute})
	d := mfa.Decide(mfa.Input{Policy: &need, Place: &w.place, Session: again.Session, Subject: again.Subject}, w.time.Now())
	if d.Action != mfa.StepUp || d.Reason != mfa.ReasonTooOld {
		t.Errorf("%s %s, want step_up too_old", d.Action, d.Reason)
	}
}

// A route asks for an app and its organization for a passkey: nothing meets both. Such
// a page is refused, and nobody is led to set up a factor that would not help, at the
// end of which the route asked for the next one.
func TestDecide_B30_RefusesWhatExcludesItself(t *testing.T) {
	w, ctx := foundTown(t, func(p *plan) {
		p.optional, p.prompt = true, mfa.PromptNever
		p.joins(mfa.Organization{ID: "a", PhishingResistant: true})
		p.atAccess, p.routeOf = true, "a"
	}), t.Context()
	out := w.passwordIn(t)
	policy := w.policy.With(mfa.Requirement{Factors: mfa.KindsOf(mfa.TOTP)})
	policy.Organization = "a"
	s := as[*mfa.Session](t)(w.store.Session(ctx, out.Session.ID))
	d := mfa.Decide(mfa.Input{Policy: &policy, Place: &w.place, Session: s, Subject: out.Subject}, w.time.Now())
	if d.Action != mfa.Refuse || d.Reason != mfa.ReasonCannotBeHere {
		t.Errorf("%s %s %s, want refuse cannot_be_here", d.Action, d.Reason, d.Kinds)
	}
}

// An organization forbids remembered browsers (B29), and its requirements hold on its
// routes alone. A member whose browser stood for them everywhere else came to one of
// those, was sent to the page that verifies, which found nothing owed and sent them back,
// and so on.
func TestGate_B29_WhatARouteForgetsItsPageForgets(t *testing.T) {
	w, ctx := foundTown(t, func(p *plan) {
		p.codes, p.remembered = someCodes, rememberedWell
		p.holds(mfa.TOTP)
		p.joins(mfa.Organization{ID: "a", NoRemembering: true})
		p.atAccess, p.routeOf = true, "a"
	}), t.Context()
	at := w.place
	at.Remembered = w.remembered
	out := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, &at, mfa.LocalSource, w.name, goodPassword))
	policy := w.policy
	policy.Organization = "a"
	d := mfa.Decide(mfa.Input{Policy: &policy, Place: &at, Session: out.Session, Subject: out.Subject}, w.time.Now())
	if st := as[*mfa.State](t)(w.gate.State(ctx, &at, out.Session.ID)); d.Action != st.Decision.Action {
		t.Errorf("the route says %s, and the page %s", d.Action, st.Decision.Action)
	}
}

// "Add another" follows a factor that took no effort, once (B12). It followed each
// address that was added then, though a code had been sent to it.
func TestGate_B12_OneMoreAndNoMore(t *testing.T) {
	w, ctx := foundTown(t, func(p *plan) { p.source = emailCode }), t.Context()
	out := w.mailIn(t, &w.place)
	out, _, err := w.gate.SetUpAddress(ctx, &w.place, out.Session.ID, mfa.Email, mfa.AddressInput{Typed: w.mailbox}, false)
	must(t, err)
	if out.Decision.Reason != mfa.ReasonAddAnother {
		t.Fatalf("next is %s %s", out.Decision.Action, out.Decision.Reason)
	}
	phone := number(w.name)
	_, _, err = w.gate.SetUpAddress(ctx, &w.place, out.Session.ID, mfa.SMS, mfa.AddressInput{Typed: phone}, false)
	must(t, err)
	out = as[*mfa.Outcome](t)(w.gate.FinishAddress(ctx, &w.place, out.Session.ID, mfa.SMS, w.post.Code(phone)))
	if out.Decision.Reason != mfa.ReasonNoCodes {
		t.Errorf("next is %s %s, want backup codes", out.Decision.Action, out.Decision.Reason)
	}
}

// Who signs in by a code, has nothing but a set of used-up backup codes, and sets the
// same address up is asked for a further factor (B12). The codes made the page ask for a
// proof first, and there was nothing to prove.
func TestGate_B12_UsedUpCodesAreNoFactor(t *testing.T) {
	w, ctx := foundTown(t, func(p *plan) { p.source, p.codes = emailCode, spentCodes }), t.Context()
	out := w.mailIn(t, &w.place)
	out, _, err := w.gate.SetUpAddress(ctx, &w.place, out.Session.ID, mfa.Email, mfa.AddressInput{Typed: w.mailbox}, false)
	must(t, err)
	if out.Decision.Reason != mfa.ReasonAddAnother {
		t.Fatalf("next is %s %s", out.Decision.Action, out.Decision.Reason)
	}
	as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(ctx, &w.place, out.Session.ID))
}
