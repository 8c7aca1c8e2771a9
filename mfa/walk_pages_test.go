package mfa_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// The pages of package pages, as far as they decide where a person goes: what they ask
// of the gate, what they offer for it, and which page comes next. They are told apart by
// the same facts, and hold what they are told against the oracle.

// openApp is what the guard does with a page load.
func (b *browser) openApp() (string, end) {
	p := b.w.plan
	policy := b.w.policy.With(p.need)
	policy.Organization, policy.Bypass = p.routeOf, p.routeBypass
	in := mfa.Input{Policy: &policy, Place: &b.at}
	if s := b.session(); s != nil && s.Complete {
		in.Session, in.Subject = s, b.user().AsSubject()
	}
	d := mfa.Decide(in, b.w.time.Now())
	b.say("the app says %s %s", d.Action, d.Reason)
	b.check("at the app", question{app: true}, d)
	b.want, b.prove, b.from = "", 0, false
	b.asked = mfa.Requirement{
		Required: d.Need.Required, Fresh: d.Need.Fresh, Factors: d.Need.Factors & everyKind, PhishingResistant: d.Need.PhishingResistant,
	}
	switch d.Action {
	case mfa.Allow:
		if why := b.oracle().trespass(); why != "" {
			b.fail("let into the app: %s", why)
		}
		if b.who == thief && b.guarded && !p.off && !p.reportOnly && !p.routeBypass && b.oracle().asks(question{app: true}).required {
			b.fail("a thief with the first factor alone is in an app that requires")
		}
		if b.seen != nil {
			b.steal()
		}
		return "", atApp
	case mfa.Refuse:
		b.saw("refused: %s", d.Reason)
		return "", b.refused(d)
	case mfa.SignIn:
		return pageSignIn, onTheirWay
	case mfa.SetUp:
		return pageSetUp, onTheirWay
	}
	return pageVerify, onTheirWay
}

// refused judges a refusal.
func (b *browser) refused(d mfa.Decision) end {
	if d.Reason == mfa.ReasonNone || d.Reason == mfa.ReasonNoPolicy || d.Reason == mfa.ReasonUnknownHost {
		b.fail("refused for a reason that helps nobody: %q", d.Reason)
	}
	return atRefusal
}

// check compares a decision with what the oracle says.
func (b *browser) check(where string, q question, d mfa.Decision) {
	want := b.oracle().next(q)
	got := answer{action: d.Action, skippable: d.Skippable, kinds: d.Kinds & everyKind, rule: string(d.Reason)}
	switch {
	case got.action != want.action, got.skippable != want.skippable:
		b.fail("%s: the core says %s, the rules say %s", where, got, want)
	case want.kinds != 0 && got.kinds != want.kinds:
		b.fail("%s: the core says %s, the rules say %s: other factors", where, got, want)
	}
	if d.Skippable && (d.Action != mfa.SetUp || b.seen != nil && b.seen.complete) {
		b.fail("%s: B8: a prompt stops a session that is complete", where)
	}
}

// place is where a page of ours is.
func (b *browser) place() *mfa.Place {
	at := b.at
	at.Asked = b.asked
	return &at
}

// question is that of a page of ours at that place: what its address asks beyond the
// policy, or, where nobody could meet that, a second factor.
func (b *browser) question(at *mfa.Place) question {
	q := question{need: at.Asked}
	if b.seen == nil || !b.seen.complete || b.w.plan.off {
		return question{}
	}
	k := b.w.plan.enabled & mfa.PrimaryKinds
	if q.need.Factors != 0 {
		k &= q.need.Factors
	}
	if q.need.PhishingResistant {
		k &= mfa.KindsOf(mfa.Passkey)
	}
	if k == 0 {
		q.need = mfa.Requirement{Required: true}
	}
	return q
}

// take takes what a step led to: cookies, and whether the sign-in is complete, which it
// must be where it owes nothing, and nowhere else.
func (b *browser) take(where string, out *mfa.Outcome) {
	if out.Changed {
		b.id = out.Session.ID
	}
	if out.Device != "" {
		b.at.Devices = out.Device
	}
	switch out.Remember {
	case "":
	case "-":
		b.at.Remembered = ""
	default:
		b.at.Remembered = out.Remember
	}
	if !b.seen.complete {
		owed := b.oracle().next(question{})
		if done := owed.action == mfa.Allow; done != out.Session.Complete {
			b.fail("%s: the sign-in is complete: %t, and the rules say %s", where, out.Session.Complete, owed)
		}
		if out.Session.Complete {
			b.seen.complete, b.seen.registering, b.seen.mayEnroll = true, false, false
			b.seen.setUp, b.seen.skipped, b.seen.effortless, b.seen.confirmed = false, false, false, map[string]time.Time{}
		}
	}
}

// arrive is take and check, and the page that comes next.
func (b *browser) arrive(where string, at *mfa.Place, out *mfa.Outcome) string {
	b.take(where, out)
	b.say("  %s: %s %s", where, out.Decision.Action, out.Decision.Reason)
	b.check(where, b.question(at), out.Decision)
	if out.Decision.Action == mfa.SetUp && b.opened.IsZero() {
		b.opened = b.w.time.Now()
	}
	return b.follow(out)
}

// follow is pages.visit.follow.
func (b *browser) follow(out *mfa.Outcome) string {
	d := out.Decision
	switch {
	case out.Notices && d.Action == mfa.Allow && b.want == "":
		return pageNotices
	case d.Action == mfa.Allow:
		return b.onward()
	case d.Action == mfa.SignIn:
		return pageSignIn
	case d.Action == mfa.SetUp && d.Reason != mfa.ReasonNoCodes:
		b.reached()
		return pageSetUp
	case d.Action == mfa.SetUp:
		b.reached()
		b.from = b.from || out.Session.Complete
		return pageCodes
	}
	return pageVerify
}

// reached says that the set-up which waited for a proof is where the person goes now:
// it does not wait any more.
func (b *browser) reached() {
	if strings.HasPrefix(b.want, pageSetUp) {
		b.want, b.prove = "", 0
	}
}

func (b *browser) onward() string {
	page := pageApp
	if b.want != "" {
		page = b.want
	}
	b.want, b.prove = "", 0
	return page
}

// proveFor is pages.visit.proveFor.
func (b *browser) proveFor(page string, kinds mfa.Kinds) string {
	b.want, b.prove = page, kinds
	if kinds == 0 {
		return pageSignIn
	}
	return pageVerify
}

// state is Gate.State as a page asks for it.
func (b *browser) state(page string, at *mfa.Place) (*mfa.State, string, end) {
	st, err := b.w.gate.State(b.ctx, at, b.id)
	switch {
	case errors.Is(err, mfa.ErrNoSession), errors.Is(err, mfa.ErrExpired):
		b.seen = nil
		return nil, pageSignIn, onTheirWay
	case errors.Is(err, mfa.ErrDisabled):
		b.saw("refused: disabled")
		return nil, "", b.refused(mfa.Decision{Reason: mfa.ReasonDisabled})
	case err != nil:
		return nil, "", b.fail("%s: %v", page, err)
	}
	b.take(page, &st.Outcome)
	b.check(page, b.question(at), st.Decision)
	if st.Decision.Action == mfa.SetUp && b.opened.IsZero() {
		b.opened = b.w.time.Now()
	}
	return st, "", onTheirWay
}

func (b *browser) openNotices() (string, end) {
	list, err := b.w.gate.Notices(b.ctx, b.place(), b.id)
	if err != nil || len(list) == 0 {
		return "", b.fail("notices: %d, %v", len(list), err)
	}
	b.saw("notices")
	if err := b.w.gate.SeenNotices(b.ctx, b.place(), b.id, list[0].At); err != nil {
		return "", b.fail("putting notices away: %v", err)
	}
	return b.onward(), onTheirWay
}

// openSignIn is the page for the first factor, or what stands in its place.
func (b *browser) openSignIn() (string, end) {
	if b.id != "" && b.want == "" {
		at := b.place()
		st, next, e := b.state("sign-in", at)
		if st != nil {
			return b.arrive("sign-in", at, &st.Outcome), onTheirWay
		}
		if e != onTheirWay {
			return next, e
		}
	}
	at := b.place()
	at.Replaces = b.id
	b.seen = &seen{
		first: mfa.Password, firstAt: b.w.time.Now(), proofs: map[mfa.CredentialID]proof{},
		registering: b.w.plan.registering && b.signedIn == 0, confirmed: map[string]time.Time{},
	}
	before := b.user().Credentials
	out, e := b.firstFactor(at)
	if out == nil {
		b.seen = nil
		return "", e
	}
	b.signedIn++
	b.w.user = out.Session.User
	b.guarded = len(b.oracle().enrolled()) > 0 && len(before) > 0 && b.w.plan.source != passkeyAlone && b.who == thief
	b.autoEnrolled(before)
	if b.signedIn == 1 && b.w.plan.noSender {
		b.w.post.Off(mfa.Email, mfa.SMS)
		b.senders = 0 // it goes away while the person is here
	}
	b.recall(at)
	return b.arrive("first factor", at, out), onTheirWay
}

// autoEnrolled is what auto_enroll does at a sign-in: addresses that were proven are
// factors, but for the one that signed in.
func (b *browser) autoEnrolled(before []mfa.Credential) {
	p, u := b.w.plan, b.user()
	want := p.autoEnroll && p.enabled.Has(mfa.Email) && u.EmailVerified && b.seen.mailbox != u.Email &&
		!slices.ContainsFunc(before, func(c mfa.Credential) bool { return c.Kind == mfa.Email && c.Address == u.Email })
	want = want || p.autoEnroll && p.enabled.Has(mfa.SMS) && u.PhoneVerified &&
		!slices.ContainsFunc(before, func(c mfa.Credential) bool { return c.Kind == mfa.SMS && c.Address == u.Phone })
	if got := len(u.Credentials) - len(before); (got > 0) != want {
		b.fail("auto_enroll: %d addresses became factors", got)
	}
	for _, c := range u.Credentials[len(before):] {
		b.say("  auto_enroll: %s", c.Kind)
		b.w.devices[c.ID] = &device{kind: c.Kind, to: c.Address}
		b.fallen = true
		if when := b.seen.confirmed[c.Address]; !when.IsZero() {
			// As if it had been chosen (B12): this sign-in has proven it already.
			b.seen.proofs[c.ID] = proof{kind: c.Kind, at: when}
			b.seen.setUp, b.seen.effortless = true, true
		}
	}
}

// recall is what a remembered device does for its owner (rule B29).
func (b *browser) recall(at *mfa.Place) {
	w := b.w
	o := b.oracle()
	ended := w.plan.source == resetLink || w.plan.source == forgotten // a new password ends it
	if at.Remembered == "" || ended || b.seen.first == mfa.Passkey || o.asks(question{}).noDevice || o.now.Sub(w.provenAt) > rememberDays ||
		o.user.Credential(w.provenBy) == nil || len(o.user.Remembered) == 0 {
		return
	}
	b.seen.proofs[w.provenBy] = proof{w.devices[w.provenBy].kind, w.provenAt, true}
}

func (b *browser) firstFactor(at *mfa.Place) (*mfa.Outcome, end) {
	w, g := b.w, b.w.gate
	src := w.plan.source
	again := src == emailCode && g.SignInWays() != 0 || src == passkeyAlone && b.user().Credential(held(mfa.Passkey)) != nil
	if b.signedIn > 0 && !again {
		src = password
	}
	var out *mfa.Outcome
	var waiting *mfa.Waiting
	var err error
	const fresh = "another long password 12"
	switch src {
	case password:
		b.saw("sign-in")
		out, err = g.SignIn(b.ctx, at, mfa.LocalSource, w.name, w.first.password)
	case emailCode:
		b.saw("sign-in by e-mail")
		b.seen.first, b.seen.mailbox = mfa.Email, w.mailbox
		if waiting, err = g.SendSignInCode(b.ctx, at, w.mailbox); err == nil {
			b.saw("the code of the sign-in")
			out, _, err = g.FinishWaiting(b.ctx, at, waiting.ID, w.post.Code(w.mailbox))
		}
	case passkeyAlone:
		b.saw("sign-in by passkey")
		id := held(mfa.Passkey)
		b.seen.first = mfa.Passkey
		var c *mfa.Ceremony
		if c, err = g.BeginPasskeySignIn(b.ctx, at); err == nil {
			answer := append(slices.Clone(b.user().Handle), "|"+w.devices[id].paper...)
			out, err = g.FinishPasskeySignIn(b.ctx, at, c.ID, answer)
			b.seen.proofs[id] = proof{kind: mfa.Passkey, at: w.time.Now()} // B28: both factors at once
		}
	case invitation, resetLink:
		b.saw("a link of the administrator")
		b.seen.mayEnroll = true
		w.first.password = fresh
		out, err = g.AcceptLink(b.ctx, at, mfa.LinkInput{Token: w.first.link, Password: fresh})
	case forgotten:
		b.saw("forgotten password")
		b.seen.first, b.seen.mailbox = mfa.Email, w.mailbox
		w.first.password = fresh
		if err = g.ForgotPassword(b.ctx, at, w.name, func(secret string) string { return secret }); err == nil {
			b.saw("the link for a new password")
			out, err = g.AcceptLink(b.ctx, at, mfa.LinkInput{Token: w.post.Link(w.mailbox), Password: fresh})
		}
	case signUpByName:
		b.saw("sign-up")
		b.seen.mayEnroll = true
		out, _, err = g.BeginSignUp(b.ctx, at, mfa.SignUpInput{Name: w.name, Password: w.first.password})
	case signUpByEmail:
		b.saw("sign-up")
		b.seen.mayEnroll = true
		if _, waiting, err = g.BeginSignUp(b.ctx, at, mfa.SignUpInput{Name: w.mailbox, Password: w.first.password}); err == nil {
			b.saw("the code of the sign-up")
			b.seen.confirmed[w.mailbox], w.name = b.w.time.Now(), w.mailbox
			out, _, err = g.FinishWaiting(b.ctx, at, waiting.ID, w.post.Code(w.mailbox))
		}
	}
	switch {
	case err == nil:
		return out, onTheirWay
	case errors.Is(err, mfa.ErrExpired) && (src == invitation || src == resetLink || src == forgotten):
		return nil, atLink
	case errors.Is(err, mfa.ErrRejected), errors.Is(err, mfa.ErrExpired):
		return nil, atSignIn
	}
	return nil, b.fail("first factor: %v", err)
}

// openVerify is pages.visit.verify and what follows.
func (b *browser) openVerify() (string, end) {
	at := b.place()
	if b.want != "" {
		at.Asked = mfa.Requirement{Fresh: mfa.ProofLife, Factors: b.prove} // pages.visit.wantProof
	}
	st, next, e := b.state(pageVerify, at)
	if st == nil {
		return next, e
	}
	d := st.Decision
	switch {
	case d.Action == mfa.Verify, d.Action == mfa.StepUp:
	case d.Action == mfa.Refuse:
		b.saw("refused: %s", d.Reason)
		return "", b.refused(d)
	case b.want != "" && st.ProofOwed && len(st.Methods) > 0:
		d = mfa.Decision{Action: mfa.StepUp, Kinds: b.prove}
	default:
		return b.arrive(pageVerify, at, &st.Outcome), onTheirWay
	}
	usable := b.methods(st, d)
	b.saw("%s with one of: %s", d.Action, kindsNamed(usable))
	if b.who != best {
		b.steal()
		return "", atVerify
	}
	if b.w.bypass != "" && !b.seen.complete && d.Action == mfa.Verify {
		out, err := b.w.gate.VerifyBypass(b.ctx, at, b.id, b.w.bypass)
		if b.w.bypass = ""; err != nil {
			return "", b.fail("B29: the bypass was not taken: %v", err)
		}
		b.seen.bypassed = true
		return b.arrive("bypass", at, out), onTheirWay
	}
	for _, code := range b.w.loose {
		if _, err := b.w.gate.VerifyBackupCode(b.ctx, at, b.id, code); err == nil {
			return "", b.fail("B14: a code that was never saved verifies")
		}
		b.w.loose = nil
	}
	if len(usable) == 0 {
		return "", atStuck
	}
	// What the page opens with, or another of the list.
	pick := usable[b.dice.roll(len(usable))]
	for _, m := range usable {
		if m.Kind == st.Preferred && b.dice.roll(3) > 0 {
			pick = m
			break
		}
	}
	id := b.credential(pick)
	out, err := b.patient(func() (*mfa.Outcome, error) { return b.w.prove(b.ctx, at, b.id, id) })
	if err != nil {
		return "", b.fail("verifying with %s: %v", id, err)
	}
	b.seen.proofs[id] = proof{kind: b.w.devices[id].kind, at: b.w.time.Now()}
	return b.arrive("verified with "+string(b.w.devices[id].kind), at, out), onTheirWay
}

// patient waits where a page says for how long, and tries again.
func (b *browser) patient(try func() (*mfa.Outcome, error)) (*mfa.Outcome, error) {
	out, err := try()
	var throttled *mfa.ThrottledError
	if errors.As(err, &throttled) && !throttled.Locked {
		b.say("  waits %s", throttled.RetryAfter)
		b.w.time.Advance(throttled.RetryAfter)
		return try()
	}
	return out, err
}

func kindsNamed(list []mfa.Method) string {
	var s []string
	for _, m := range list {
		s = append(s, strings.TrimSpace(string(m.Kind)+" "+m.Address))
	}
	return strings.Join(s, ", ")
}

// methods returns those that the page offers, and holds each against §1: what is
// available is offered, and what is not says why.
func (b *browser) methods(st *mfa.State, d mfa.Decision) (usable []mfa.Method) {
	o := b.oracle()
	u := o.user
	want := kindsOf(o.enrolled())
	if usable := want & o.plan.enabled; usable != 0 {
		want = usable
	}
	var listed mfa.Kinds
	for _, m := range st.Methods {
		listed |= mfa.KindsOf(m.Kind)
	}
	if listed != want {
		b.fail("B16: the page lists %s, and the rules say %s", listed, want)
	}
	for _, m := range st.Methods {
		offered := m.Available && (d.Kinds == 0 || d.Kinds.Has(m.Kind))
		if offered {
			usable = append(usable, m)
		}
		some, why := false, mfa.Reason("")
		for i := range u.Credentials {
			c := &u.Credentials[i]
			if c.Kind != m.Kind || m.Credential != "" && c.ID != m.Credential {
				continue
			}
			can, reason := o.available(c)
			some = some || can
			if why == "" || reason != mfa.ReasonOtherHost {
				why = reason
			}
		}
		switch {
		case some != m.Available:
			b.fail("B16: %s is available: %t, and the rules say %t (%s, %s)", m.Kind, m.Available, some, m.Why, why)
		case !some && m.Why == "":
			b.fail("B16: %s is not available, and nothing says why", m.Kind)
		case m.Why == mfa.ReasonOtherHost && m.Hint != otherRPID:
			b.fail("B16: the right host is not named: %q", m.Hint)
		case m.Why == mfa.ReasonLocked && b.w.plan.locked == lockedForAWhile && m.Wait != o.lockedUntil[m.Kind].Sub(o.now):
			b.fail("B16: the waiting time is %s", m.Wait)
		}
	}
	if st.Preferred != "" && !slices.ContainsFunc(usable, func(m mfa.Method) bool { return m.Kind == st.Preferred }) {
		b.fail("B20: the page that opens is that of %s, which cannot be used", st.Preferred)
	}
	return usable
}

// credential returns what the person would prove by that method.
func (b *browser) credential(m mfa.Method) mfa.CredentialID {
	if m.Credential != "" {
		return m.Credential
	}
	for _, c := range b.user().Credentials {
		if c.Kind == m.Kind && (c.Kind != mfa.Passkey || c.RPID == b.at.RPID) && b.w.devices[c.ID] != nil {
			return c.ID
		}
	}
	return ""
}

// openSetUp is pages.visit.setUp and serveSetUp.
func (b *browser) openSetUp() (string, end) {
	at := b.place()
	st, next, e := b.setUpState(pageSetUp, at)
	if st == nil {
		return next, e
	}
	d := st.Decision
	if d.Reason == mfa.ReasonNoCodes {
		return pageCodes, onTheirWay
	}
	var can []mfa.Choice
	for _, c := range st.Choices {
		if want := b.oracle().canSetUp(c.Kind); c.Available != want {
			b.fail("B11: %s can be set up here: %t, and the rules say %t", c.Kind, c.Available, want)
		} else if !c.Available && c.Why == "" {
			b.fail("B11: nothing says why %s cannot be set up here", c.Kind)
		}
		if c.Available {
			can = append(can, c)
		}
	}
	b.say("  what can be set up: %s", names(can))
	if len(st.Choices) > 1 {
		b.shown++
	}
	switch {
	case len(can) == 0:
		b.saw("nothing can be set up")
		return b.decline(st, atNoChoice)
	case b.who == laziest, b.who == thief && b.dice.roll(2) == 0:
		b.saw("set-up")
		return b.decline(st, atSetUp)
	}
	b.steal()
	return b.add(at, can[b.dice.roll(len(can))])
}

func names(list []mfa.Choice) string {
	var s []string
	for _, c := range list {
		s = append(s, string(c.Kind))
	}
	return strings.Join(s, ", ")
}

// setUpState is what every page of a set-up begins with.
func (b *browser) setUpState(page string, at *mfa.Place) (*mfa.State, string, end) {
	st, next, e := b.state(page, at)
	if st == nil {
		return nil, next, e
	}
	d := st.Decision
	if chosen := d.Action == mfa.Allow && st.Session.Complete && b.from && !st.Changed; d.Action != mfa.SetUp && !chosen {
		return nil, b.arrive(page, at, &st.Outcome), onTheirWay
	}
	want := b.oracle().enrollment()
	got := enrollmentOpen
	switch {
	case st.Closed:
		got = enrollmentClosed
	case st.Confirm != "":
		got = enrollmentConfirm
	case st.ProofOwed:
		got = enrollmentProof
	}
	if got == enrollmentClosed && want == enrollmentNever {
		got = enrollmentNever
	}
	if got != want {
		b.fail("%s: B15, B17: a set-up needs %s, and the rules say %s", page, got, want)
	}
	switch got {
	case enrollmentProof:
		var kinds mfa.Kinds
		for _, m := range st.Methods {
			kinds |= mfa.KindsOf(m.Kind)
		}
		return nil, b.proveFor(page, kinds), onTheirWay
	case enrollmentClosed, enrollmentNever:
		b.saw("a pass is asked for")
		if b.who != best || b.w.pass == "" || got == enrollmentNever {
			next, e = b.decline(st, atClosed)
			return nil, next, e
		}
		out, err := b.w.gate.UsePass(b.ctx, at, b.id, b.w.pass)
		if b.w.pass = ""; err != nil {
			return nil, "", b.fail("B17: the pass was not taken: %v", err)
		}
		b.seen.mayEnroll = true
		return nil, b.arrive("pass", at, out), onTheirWay
	case enrollmentConfirm:
		b.saw("a code to the address on file is asked for")
		if b.who != best {
			next, e = b.decline(st, atConfirm)
			return nil, next, e
		}
		out, err := b.patient(func() (*mfa.Outcome, error) {
			if _, err := b.w.gate.SendConfirmation(b.ctx, at, b.id, false); err != nil {
				return nil, err
			}
			return b.w.gate.Confirm(b.ctx, at, b.id, b.w.setUpCode())
		})
		if err != nil {
			return nil, "", b.fail("B17: confirming: %v", err)
		}
		b.seen.mayEnroll = true
		return nil, b.arrive("confirmed", at, out), onTheirWay
	}
	return st, "", onTheirWay
}

// decline is what somebody does who will not, or cannot, set up what the page shows.
func (b *browser) decline(st *mfa.State, e end) (string, end) {
	b.steal()
	if b.wrong != nil {
		return "", atFault
	}
	at := b.place()
	out, err := b.w.gate.Skip(b.ctx, at, b.id)
	can := st.Decision.Skippable && !b.seen.complete
	switch {
	case err == nil && !can:
		return "", b.fail("B7: a set-up was skipped that is forced")
	case err != nil && can:
		return "", b.fail("B7: a set-up was not skipped: %v", err)
	case err != nil:
		return "", e
	}
	b.seen.skipped = true
	return b.arrive("skipped", at, out), onTheirWay
}

// add sets a factor up, and goes on.
func (b *browser) add(at *mfa.Place, c mfa.Choice) (string, end) {
	b.saw("setting up %s", c.Kind)
	b.typed++
	in := mfa.AddressInput{Typed: map[mfa.Kind]string{
		mfa.SMS: number(fmt.Sprint(b.w.name, b.typed)), mfa.Email: fmt.Sprintf("%d.%d@elsewhere.example", b.typed, b.who),
	}[c.Kind]}
	d := &device{kind: c.Kind, to: in.Typed}
	if b.who == best && len(c.Addresses) > 0 && b.dice.roll(3) > 0 {
		in = mfa.AddressInput{Ref: c.Addresses[0].Ref}
	}
	sent := b.w.setUpCode()
	out, err := b.patient(func() (*mfa.Outcome, error) { return b.enroll(at, d, in) })
	if err != nil {
		return "", b.fail("setting up %s: %v", c.Kind, err)
	}
	if c.Kind == mfa.Email || c.Kind == mfa.SMS {
		if b.w.setUpCode() != sent {
			b.say("  a code was sent")
			b.shown++
		} else if b.seen.confirmed[d.to].IsZero() && b.seen.mailbox != d.to {
			b.fail("B12: %s became a factor without a code", d.to)
		}
	}
	return b.arrived(at, out), onTheirWay
}

// arrived is arrive for a set-up: outside a sign-in backup codes are shown after the
// first factor, and stop nobody (rule B14).
func (b *browser) arrived(at *mfa.Place, out *mfa.Outcome) string {
	if b.seen.complete && out.Decision.Action == mfa.SetUp && out.Decision.Reason == mfa.ReasonNoCodes {
		o := b.oracle()
		if next := o.next(b.question(at)); next.action != mfa.Allow || !o.owesCodes() {
			b.fail("B14: codes are shown, and the rules say %s", next)
		}
		b.take("set up", out)
		b.say("  set up: backup codes are shown")
		return b.follow(out)
	}
	return b.arrive("set up", at, out)
}

// enroll sets up a device in the session as it is, and keeps what was seen.
func (b *browser) enroll(at *mfa.Place, d *device, in mfa.AddressInput) (*mfa.Outcome, error) {
	g := b.w.gate
	before := b.user().Credentials
	var out *mfa.Outcome
	var err error
	switch d.kind {
	case mfa.Passkey:
		var c *mfa.Ceremony
		if c, err = g.BeginPasskey(b.ctx, at, b.id); err == nil {
			d.paper = fmt.Sprintf("passkey %d of %s, %s", len(before), b.w.name, b.who)
			out, err = g.FinishPasskey(b.ctx, at, b.id, c.ID, []byte(d.paper), "")
		}
	case mfa.TOTP:
		var s *mfa.TOTPSetup
		if s, err = g.BeginTOTP(b.ctx, at, b.id); err == nil {
			d.app = phoneOf(s.Secret)
			out, err = g.FinishTOTP(b.ctx, at, b.id, b.w.appCode(d), "")
		}
	case mfa.SMS, mfa.Email:
		var to *mfa.SentTo
		if out, to, err = g.SetUpAddress(b.ctx, at, b.id, d.kind, in, false); err == nil && to != nil {
			out, err = g.FinishAddress(b.ctx, at, b.id, d.kind, b.w.setUpCode())
		}
	case mfa.BackupCode:
		if d.codes, err = g.BeginCodes(b.ctx, at, b.id); err == nil {
			again, _ := g.BeginCodes(b.ctx, at, b.id)
			if b.who == best && !slices.Equal(again, d.codes) {
				b.fail("B14: a reload shows other codes")
			}
			out, err = g.ConfirmCodes(b.ctx, at, b.id)
		}
	}
	if err != nil {
		return nil, err
	}
	after := b.user().Credentials
	id := mfa.BackupCodesID
	if d.kind != mfa.BackupCode {
		if len(after) != len(before)+1 {
			b.fail("setting up %s made %d of %d credentials", d.kind, len(after), len(before))
			return out, nil
		}
		id, d.to = after[len(after)-1].ID, after[len(after)-1].Address
		p := proof{kind: d.kind, at: b.w.time.Now()} // B13
		if when := b.seen.confirmed[d.to]; !when.IsZero() {
			p.at = when // B12
		}
		b.seen.proofs[id] = p
		primary := slices.ContainsFunc(before, func(c mfa.Credential) bool { return c.Kind.Primary() })
		if given := !b.seen.confirmed[d.to].IsZero() || d.to != "" && b.seen.mailbox == d.to; !given {
			b.seen.effortless = false
		} else if !primary {
			b.seen.effortless = true
		}
		b.seen.setUp = true
		if d.to == "" || b.seen.mailbox != d.to {
			b.shut, b.seen.replaced = false, time.Time{}
		}
		if b.seen.complete {
			b.seen.mayEnroll = false
		}
	}
	b.w.devices[id] = d
	b.fallen = true
	delete(b.locked, d.kind)
	return out, nil
}

// openCodes is the page of the backup codes.
func (b *browser) openCodes() (string, end) {
	at := b.place()
	st, next, e := b.setUpState(pageCodes, at)
	if st == nil {
		return next, e
	}
	if st.Decision.Action == mfa.SetUp && st.Decision.Reason != mfa.ReasonNoCodes {
		return pageSetUp, onTheirWay
	}
	b.saw("backup codes")
	if b.who == laziest {
		return b.decline(st, atSetUp)
	}
	b.steal()
	out, err := b.enroll(at, &device{kind: mfa.BackupCode}, mfa.AddressInput{})
	if err != nil {
		return "", b.fail("backup codes: %v", err)
	}
	return b.arrive("codes saved", at, out), onTheirWay
}
