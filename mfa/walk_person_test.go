package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// person is who walks through a cell.
type person uint8

const (
	// best does all that is asked, and has every device, mailbox and phone, and what
	// the administrator gave out.
	best person = iota
	// laziest skips what can be skipped, and otherwise stops where more is asked than
	// the first factor. The browser is the owner's.
	laziest
	// thief has the owner's first factor and nothing else, a browser of their own, an
	// app, a mailbox and a passkey, and tries to set them up at every step, and to skip.
	thief
)

func (p person) String() string { return [...]string{"the best", "the laziest", "a thief"}[p] }

// mostPages is how many pages a walk has before it ends (behaviour.md §7). The list that
// a factor is picked from and the code that it takes are one page with setting it up.
const mostPages = 8

// browser is one person's in one cell. Its pages go on as those of package pages do.
type browser struct {
	ctx   context.Context
	w     *town
	who   person
	dice  dice
	tally *tally

	at    mfa.Place
	id    mfa.SessionID // of the cookie
	asked mfa.Requirement
	want  string    // the page that waits for a newer proof
	prove mfa.Kinds // … by these
	from  bool      // set-up after a factor that a route asked for

	seen     *seen
	opened   time.Time // when the window of enrollment was
	fallen   bool      // factors were held before, whatever became of them
	guarded  bool      // something was enrolled when a thief signed in
	senders  mfa.Kinds
	locked   map[mfa.Kind]time.Time
	signedIn int // times
	typed    int // addresses

	pages, shown int
	visited      map[string]bool
	shut         bool // they removed the last factor, and set up none since
	trail        []string
	wrong        error
}

// end is where a walk ends.
type end string

const (
	atApp      end = "the app"
	atSignIn   end = "sign-in: rejected"
	atLink     end = "a link that is worth nothing"
	atVerify   end = "asked for a second factor"
	atStuck    end = "enrolled, but not available"
	atRefusal  end = "refused, with whom to ask"
	atSetUp    end = "asked to set up"
	atNoChoice end = "nothing can be set up here"
	atConfirm  end = "asked for a code to the address on file"
	atClosed   end = "asked for an administrator's pass"
	atFault    end = "a fault"
	onTheirWay end = ""
)

// The pages, and the app.
const (
	pageApp     = "app"
	pageSignIn  = "sign-in"
	pageVerify  = "verify"
	pageSetUp   = "set-up"
	pageCodes   = "set-up/backup-codes"
	pageNotices = "notices"
)

func newBrowser(ctx context.Context, p *plan, store mfa.Store, name string, who person, r dice) (*browser, error) {
	b := &browser{ctx: ctx, who: who, dice: r, tally: new(tally), senders: mfa.KindsOf(mfa.Email, mfa.SMS), locked: map[mfa.Kind]time.Time{}}
	w, err := p.build(ctx, store, name)
	b.w = w
	if err != nil {
		return b, err
	}
	if err := w.policy.Validate(everyKind); err != nil {
		return b, fmt.Errorf("the policy is none: %w", err)
	}
	b.at = w.place
	if who != thief {
		b.at.Remembered = w.remembered
	}
	now := w.time.Now()
	b.fallen = len(p.enrolled) > 0 || p.codes > pendingCodes
	switch newcomer := p.source == signUpByName || p.source == signUpByEmail; {
	case newcomer:
	case p.opened == openedLately:
		b.opened = now.Add(-24 * time.Hour)
	case p.opened == openedLongAgo:
		b.opened = now.Add(-windowDays - 24*time.Hour)
	}
	for _, c := range b.user().Credentials {
		switch {
		case p.locked == lockedForAWhile:
			b.locked[c.Kind] = now.Add(waitingTime)
		case p.locked == lockedForGood && c.Kind != mfa.Passkey: // which never is
			b.locked[c.Kind] = now.Add(100 * 365 * 24 * time.Hour)
		}
	}
	return b, nil
}

// story is what happened, for whoever reads a failure.
func (b *browser) story() string { return "  " + strings.Join(b.trail, "\n  ") }

func (b *browser) say(format string, args ...any) {
	b.trail = append(b.trail, fmt.Sprintf(format, args...))
}

// fail keeps the first thing that is wrong.
func (b *browser) fail(format string, args ...any) end {
	if b.wrong == nil {
		b.wrong = fmt.Errorf(format, args...)
	}
	return atFault
}

// user is the record as it stands, or an empty one.
func (b *browser) user() *mfa.User {
	u, err := b.w.store.User(b.ctx, b.w.user)
	if err != nil {
		return new(mfa.User)
	}
	return u
}

func (b *browser) session() *mfa.Session {
	s, err := b.w.store.Session(b.ctx, b.id)
	if err != nil {
		return nil
	}
	return s
}

func (b *browser) oracle() *oracle {
	o := &oracle{
		plan: b.w.plan, place: &b.at, now: b.w.time.Now(), seen: b.seen, everEnrolled: b.fallen, senders: b.senders,
		graceOver: b.w.plan.graceState == graceOver, lockedUntil: b.locked, knownDevice: b.at.Devices != "",
	}
	o.shut = b.shut
	o.windowOver = !b.opened.IsZero() && o.now.Sub(b.opened) > windowDays
	if b.seen != nil {
		o.user = b.user()
	}
	return o
}

// live walks through the cell, and what comes later.
func (b *browser) live() {
	start := pageApp
	switch b.w.plan.source {
	case invitation, resetLink, forgotten, signUpByName, signUpByEmail:
		start = pageSignIn // their link, or the page that makes accounts
	}
	if b.walk(start) != atApp || b.wrong != nil {
		return
	}
	if again, ok := b.lives(); ok {
		b.say("-- %s", space[dimLater].values[b.w.plan.later].name)
		b.walk(again)
	}
}

// lives is what happens after the app was reached. ok is false where nothing does.
func (b *browser) lives() (start string, ok bool) {
	p := b.w.plan
	if b.seen == nil {
		return "", false // a route that asks nothing
	}
	switch p.later {
	case proofsAge:
		b.w.time.Advance(20 * time.Minute)
	case credentialRemoved:
		for _, id := range b.proven() {
			if b.w.gate.Remove(b.ctx, &b.at, b.id, id) == nil {
				b.say("removed: %s", b.seen.proofs[id].kind)
				if len(b.oracle().enrolled()) == 0 {
					b.opened = b.w.time.Now()
				}
				return pageApp, true
			}
		}
		return "", false
	case lastReplaced, lastAbandoned:
		if !b.removeLast() {
			return "", false
		}
		if p.later == lastAbandoned {
			b.w.time.Advance(time.Hour)
			if _, err := b.w.gate.SignOut(b.ctx, &b.at, b.id, ""); err != nil {
				b.fail("signing out: %v", err)
			}
			b.id, b.seen = "", nil
		}
	case factorSwitchedOff:
		for _, id := range b.proven() {
			policy := b.w.policy
			policy.Factors &^= mfa.KindsOf(b.seen.proofs[id].kind)
			if p.off || policy.Factors == p.enabled || policy.Validate(everyKind) != nil || policy.With(p.need).Validate(everyKind) != nil ||
				slices.ContainsFunc(p.organizations, func(o mfa.Organization) bool { return o.Validate(&policy) != nil }) {
				continue
			}
			b.say("switched off: %s", b.seen.proofs[id].kind)
			b.w.policy.Factors, p.enabled = policy.Factors, policy.Factors
			return pageApp, true
		}
		return "", false
	case requirementSwitchedOn:
		if !p.optional || p.off {
			return "", false
		}
		p.optional, p.prompt = false, mfa.PromptAtRegistration
		b.w.policy.Optional, b.w.policy.Prompt = false, mfa.PromptAtRegistration
	case signsInAgain:
		b.w.time.Advance(time.Hour)
		if _, err := b.w.gate.SignOut(b.ctx, &b.at, b.id, ""); err != nil {
			b.fail("signing out: %v", err)
		}
		b.id, b.seen = "", nil
	case disabledLater:
		if err := mfatest.NewDesk(b.w.gate).SetDisabled(b.ctx, b.w.name, true); err != nil {
			b.fail("disabling: %v", err)
		}
		p.disabled, b.seen = true, nil
	case joinsLater:
		if p.off || p.policy().Organizations.Find(joined) == nil {
			return "", false
		}
		err := b.w.store.UpdateUser(b.ctx, b.w.user, func(u *mfa.User) error {
			u.Organizations = append(u.Organizations, joined)
			return nil
		})
		if err != nil {
			b.fail("joining: %v", err)
		}
		p.joins(mfa.Organization{ID: joined, PhishingResistant: true})
	case factorsReset:
		if err := mfatest.NewDesk(b.w.gate).RemoveFactors(b.ctx, b.w.name, ""); err != nil {
			b.fail("resetting: %v", err)
		}
		b.seen, b.opened, b.locked = nil, b.w.time.Now(), map[mfa.Kind]time.Time{}
	default:
		return "", false
	}
	return pageApp, true
}

// removeLast removes what there is, one after the other, and at last the last, where a
// requirement needs that to be said (rule B34).
func (b *browser) removeLast() bool {
	g := b.w.gate
	for _, id := range b.proven() {
		if c := b.user().Credential(id); c == nil || !c.Kind.Primary() {
			continue
		}
		err := g.Remove(b.ctx, &b.at, b.id, id)
		if !errors.Is(err, mfa.ErrLastFactor) {
			if err == nil {
				b.say("removed: %s", b.seen.proofs[id].kind)
				if len(b.oracle().enrolled()) == 0 {
					b.opened = b.w.time.Now()
					return false
				}
			}
			continue
		}
		out, err := g.RemoveLast(b.ctx, &b.at, b.id, id)
		if errors.Is(err, mfa.ErrLastFactor) {
			if o := b.oracle(); b.canReplace(o) {
				b.fail("B34: nothing can come in the place of the last factor, and the rules say that something can")
			}
			return false
		}
		if err != nil {
			b.fail("B34: removing the last factor: %v", err)
			return false
		}
		b.say("removed, and it was the last: %s", b.seen.proofs[id].kind)
		if !b.canReplace(b.oracle()) {
			b.fail("B34: the last factor went, and nothing can come in its place")
		}
		if left := len(b.user().Credentials); left > 0 {
			b.fail("B34: %d are left of the last", left)
		}
		b.shut, b.opened, b.seen.replaced = true, b.w.time.Now(), b.w.time.Now()
		b.seen.proofs = map[mfa.CredentialID]proof{}
		b.take("removed", out)
		return true
	}
	return false
}

// canReplace reports whether something could be set up here that proves more than what
// signed in.
func (b *browser) canReplace(o *oracle) bool {
	for _, c := range o.user.Credentials {
		if c.Kind == unknown {
			return false
		}
	}
	for _, k := range (o.plan.enabled & mfa.PrimaryKinds).List() {
		if o.canSetUp(k) && (o.seen.mailbox == "" || k != o.seen.first) {
			return true
		}
	}
	return false
}

// proven returns what was proven, in an order that chance has no part in.
func (b *browser) proven() []mfa.CredentialID {
	return slices.SortedFunc(maps.Keys(b.seen.proofs), func(x, y mfa.CredentialID) int {
		return strings.Compare(string(b.seen.proofs[x].kind), string(b.seen.proofs[y].kind))
	})
}

// walk follows the pages until it ends, and judges the end.
func (b *browser) walk(page string) end {
	b.pages, b.shown, b.visited = 0, 0, map[string]bool{}
	b.asked, b.want, b.prove, b.from = mfa.Requirement{}, "", 0, false
	for {
		here := fmt.Sprintf("%s %v %s %s %t", page, b.asked, b.want, b.prove, b.from)
		facts := here + "\n" + b.facts()
		if b.visited[facts] {
			return b.fail("a loop: the same page with the same facts comes twice: %s", here)
		}
		b.visited[facts] = true
		next, e := b.open(page)
		if e == onTheirWay && b.wrong != nil {
			e = atFault
		}
		if e != onTheirWay {
			b.say("=> %s", e)
			if e != atFault {
				b.judge(e)
			}
			if b.pages > mostPages {
				b.fail("%d pages were shown", b.pages)
			}
			b.tally.add(b.who, string(e), b.pages, b.shown)
			return e
		}
		page = next
	}
}

// facts is what a page could depend on, without names that chance gives.
func (b *browser) facts() string {
	s := b.session()
	if s == nil {
		return "nobody"
	}
	u := b.user()
	var f strings.Builder
	fmt.Fprint(&f, s.Complete, s.First.Kind, s.Registering, s.MayEnroll, s.Enrolled, s.AddAnother, s.Bypassed, s.Skipped, s.First.At.Unix())
	for _, p := range s.Proofs {
		fmt.Fprint(&f, " ", p.Credential, p.At.Unix(), p.Remembered)
	}
	for _, c := range u.Credentials {
		fmt.Fprint(&f, " ", c.ID, c.Left)
	}
	fmt.Fprint(&f, " ", u.OptedOut, u.SkippedPrompt, u.SkippedCodes, len(u.Notices), b.w.policy.Factors, b.w.policy.Optional)
	return f.String()
}

func (b *browser) open(page string) (string, end) {
	switch page {
	case pageApp:
		return b.openApp()
	case pageSignIn:
		return b.openSignIn()
	case pageVerify:
		return b.openVerify()
	case pageSetUp:
		return b.openSetUp()
	case pageCodes:
		return b.openCodes()
	case pageNotices:
		return b.openNotices()
	}
	return "", b.fail("no page %q", page)
}

func (b *browser) saw(format string, args ...any) {
	b.pages, b.shown = b.pages+1, b.shown+1
	b.say("%d %s", b.pages, fmt.Sprintf(format, args...))
}

// judge says whether a walk may end there.
func (b *browser) judge(e end) {
	o, p := b.oracle(), b.w.plan
	if (e == atSignIn || e == atLink) && !p.disabled {
		b.fail("the first factor is right, and nobody gets in")
	}
	if b.who != best {
		return
	}
	switch e {
	case atVerify, atSetUp, atConfirm:
		b.fail("the best person stops at a page")
	case atStuck:
		for _, c := range o.enrolled() {
			can, _ := o.available(&c)
			if usable := kindsOf(o.enrolled()) & p.enabled; can && (usable == 0 || usable.Has(c.Kind)) && c.Kind != unknown {
				b.fail("B16: stuck, and %s is available", c.Kind)
			}
		}
	case atNoChoice:
		for _, k := range o.counting(o.asks(question{need: b.asked})).List() {
			if k.Primary() && o.canSetUp(k) {
				b.fail("nothing can be set up, and %s can", k)
			}
		}
	case atClosed:
		if e := o.enrollment(); e != enrollmentNever && (e != enrollmentClosed || b.w.pass != "") {
			b.fail("B17: enrollment is closed, and the rules say no")
		}
	}
}

// steal is what a thief tries at every page: to set up what is theirs.
func (b *browser) steal() {
	if b.who != thief {
		return
	}
	at := b.place()
	o := b.oracle()
	may := o.enrollment()
	before := b.user()
	for _, d := range []*device{
		{kind: mfa.TOTP}, {kind: mfa.Passkey}, {kind: mfa.Email, to: strangersBox}, {kind: mfa.SMS, to: otherNumber},
		{kind: mfa.Email, to: b.w.mailbox}, {kind: mfa.BackupCode},
	} {
		if may == enrollmentOpen && o.canSetUp(d.kind) {
			continue
		}
		in := mfa.AddressInput{Typed: d.to}
		if _, err := b.enroll(at, d, in); err == nil {
			b.fail("B15, B17: a thief sets up %s", d.kind)
			return
		}
	}
	_, _ = b.w.gate.ConfirmCodes(b.ctx, at, b.id)
	if after := b.user(); len(after.Credentials) != len(before.Credentials) || after.OptedOut != before.OptedOut {
		b.fail("B15: a thief changed the factors")
	}
	if len(b.seen.proofs) == 0 && b.w.gate.OptOut(b.ctx, at, b.id) == nil {
		b.fail("B19: a thief opted out")
	}
}
