package mfa_test

import (
	"slices"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// oracle says what behaviour.md asks at a step. It reads the plan, the user's record
// and what it saw the person do, and neither Decide nor the session that the core
// keeps. Its sentences stand in the order of rule B4.
type oracle struct {
	plan  *plan
	place *mfa.Place
	now   time.Time
	user  *mfa.User // nil: nobody is signed in
	seen  *seen

	everEnrolled bool
	graceOver    bool
	windowOver   bool
	shut         bool // the user removed the last factor, and set up none since (rule B34)
	senders      mfa.Kinds
	lockedUntil  map[mfa.Kind]time.Time
	knownDevice  bool
}

// seen is what a person did in one sign-in.
type seen struct {
	complete    bool
	first       mfa.Kind
	mailbox     string // that proved the first factor
	firstAt     time.Time
	proofs      map[mfa.CredentialID]proof
	confirmed   map[string]time.Time // addresses that a code has proven besides, and when
	mayEnroll   bool                 // by a link, a pass, a confirmation, or as a newcomer
	registering bool
	bypassed    bool
	setUp       bool      // something
	replaced    time.Time // when this session removed the last factor (rule B34)
	effortless  bool      // and only what needed no code
	skipped     bool
}

type proof struct {
	kind       mfa.Kind
	at         time.Time
	remembered bool
}

// question is what is asked of the oracle.
type question struct {
	app  bool            // by the app's route; else by a page of ours
	need mfa.Requirement // what a page was told by its address
}

// answer is a step.
type answer struct {
	action    mfa.Action
	skippable bool
	kinds     mfa.Kinds // 0: not compared
	rule      string
}

func (a answer) String() string {
	s := a.action.String()
	if a.skippable {
		s += " skippable"
	}
	if a.kinds != 0 {
		s += " [" + a.kinds.String() + "]"
	}
	return s + " (" + a.rule + ")"
}

// asks is what holds for a question: rule B3.
type asks struct {
	required   bool // by anything
	organized  bool // … beyond the gateway's own policy
	strong     bool
	only       mfa.Kinds // 0: all that are enabled
	fresh      time.Duration
	noDevice   bool // no remembered device stands
	member     bool
	pass       bool // enrollment asks for a pass
	impossible bool
}

// special reports whether a remembered device or a bypass cannot do (rule B29).
func (a asks) special() bool { return a.strong || a.only != 0 || a.fresh > 0 || a.impossible }

func (o *oracle) asks(q question) asks {
	need := q.need
	if q.app {
		need = o.plan.need
	}
	a := asks{
		strong: need.PhishingResistant, only: need.Factors, fresh: need.Fresh, member: true,
		organized: need != mfa.Requirement{},
	}
	for _, org := range o.plan.organizations {
		// A factor is set up once, and good everywhere; a browser stands or does not.
		a.pass, a.noDevice = a.pass || org.Enrollment != nil, a.noDevice || org.NoRemembering
		own := q.app && o.plan.routeOf == org.ID
		if !own && o.plan.atAccess {
			continue
		}
		a.organized = a.organized || org.Require || org.PhishingResistant
		a.strong = a.strong || org.PhishingResistant
		if own && org.Factors != 0 {
			a.organized = true
			if a.only == 0 {
				a.only = org.Factors
			} else if a.only &= org.Factors; a.only == 0 {
				a.impossible = true
			}
		}
	}
	a.required = !o.plan.optional || a.organized
	if q.app && o.plan.strangers != nil && o.plan.routeOf == o.plan.strangers.ID {
		a.member = false
	}
	return a
}

// count are the factors whose proofs do.
func (o *oracle) counting(a asks) mfa.Kinds {
	k := o.plan.enabled
	if a.only != 0 {
		k &= a.only
	}
	if a.strong {
		k &= mfa.KindsOf(mfa.Passkey)
	}
	if a.impossible {
		k = 0
	}
	return k
}

// enrolled is what the user has, proven once: a set of codes that is used up is none.
func (o *oracle) enrolled() (list []mfa.Credential) {
	for _, c := range o.user.Credentials {
		if c.Kind != mfa.BackupCode || c.Left > 0 {
			list = append(list, c)
		}
	}
	return list
}

func kindsOf(list []mfa.Credential) (k mfa.Kinds) {
	for _, c := range list {
		if everyKind.Has(c.Kind) {
			k |= mfa.KindsOf(c.Kind)
		}
	}
	return k
}

// sameChannel is rule B27.
func (o *oracle) sameChannel(c *mfa.Credential) bool {
	return o.seen.mailbox != "" && c.Kind == o.seen.first && c.Address == o.seen.mailbox
}

// proven is what the session proved with credentials that still stand (rule B6).
func (o *oracle) proven(a asks) (stands, counts, suffices, chosen bool) {
	if o.seen.bypassed {
		stands, counts, suffices = true, true, !a.special()
	}
	for id, p := range o.seen.proofs {
		c := o.user.Credential(id)
		if c == nil {
			continue
		}
		if o.sameChannel(c) {
			chosen = chosen || !p.remembered // set up here, where nothing else was asked for
			continue
		}
		if p.remembered && (a.noDevice || o.now.Sub(p.at) > rememberDays) {
			continue
		}
		stands = true
		if !o.plan.enabled.Has(p.kind) {
			continue
		}
		counts = true
		switch {
		case !o.counting(a).Has(p.kind),
			p.remembered && a.special(),
			a.fresh > 0 && o.now.Sub(p.at) > a.fresh:
		default:
			suffices = true
		}
	}
	return stands, counts, suffices, chosen
}

// grace is rule B10.
func (o *oracle) grace(a asks) bool {
	return o.plan.grace && !o.plan.optional && !a.organized && !o.everEnrolled && !o.graceOver
}

// next is rule B4.
func (o *oracle) next(q question) answer {
	if q.app && o.plan.routeBypass {
		return answer{action: mfa.Allow, rule: "the route asks nothing"}
	}
	if o.user == nil || q.app && !o.seen.complete {
		return answer{action: mfa.SignIn, rule: "B4: nobody is signed in"}
	}
	if o.user.Disabled {
		return answer{action: mfa.Refuse, rule: "B4: disabled"}
	}
	a := o.asks(q)
	if o.plan.off {
		if !a.member {
			return answer{action: mfa.Refuse, rule: "B5"}
		}
		return answer{action: mfa.Allow, rule: "B2"}
	}
	next := o.beyondTheFirst(a)
	if !o.plan.reportOnly || next.action == mfa.Refuse || next.action == mfa.Allow {
		return next
	}
	if !a.member {
		return answer{action: mfa.Refuse, rule: "B18: B5 stands"}
	}
	return answer{action: mfa.Allow, rule: "B18: " + next.rule}
}

func (o *oracle) beyondTheFirst(a asks) answer {
	stands, counts, suffices, chosen := o.proven(a)
	enrolled := o.enrolled()
	has := kindsOf(enrolled)
	usable := has & o.plan.enabled
	optedOut := o.user.OptedOut && !a.required

	// B12: all that there is was set up here by the address that signed in.
	onlyTheFirst := chosen && !counts && !slices.ContainsFunc(enrolled, func(c mfa.Credential) bool { return !o.sameChannel(&c) })

	// B19, B16: asked of everyone who has anything.
	if len(enrolled) > 0 && !optedOut && !counts && !onlyTheFirst {
		switch {
		case usable != 0:
			return answer{action: mfa.Verify, kinds: usable, rule: "B19"}
		case !stands:
			return answer{action: mfa.Verify, kinds: has, rule: "B16: all switched off"}
		}
	}
	if !a.member {
		return answer{action: mfa.Refuse, rule: "B5"}
	}
	if set, owed := o.setUp(a, usable, onlyTheFirst, optedOut); owed {
		return set
	}

	// B30.
	if !a.organized || suffices {
		return answer{action: mfa.Allow, rule: "nothing is owed"}
	}
	here := mfa.Kinds(0)
	for _, c := range enrolled {
		if o.counting(a).Has(c.Kind) && !o.sameChannel(&c) && (c.Kind != mfa.Passkey || c.RPID == o.place.RPID) {
			here |= mfa.KindsOf(c.Kind)
		}
	}
	if here != 0 {
		return answer{action: mfa.StepUp, kinds: here, rule: "B30: too old or too weak"}
	}
	can := o.counting(a) & mfa.PrimaryKinds
	if o.place.RPID == "" {
		can &^= mfa.KindsOf(mfa.Passkey)
	}
	if can == 0 {
		return answer{action: mfa.Refuse, rule: "B30: it cannot be here"}
	}
	if o.seen.mailbox != "" {
		if can &^= mfa.KindsOf(o.seen.first); can == 0 {
			return answer{action: mfa.Refuse, rule: "B30: nothing but the channel of the first factor"}
		}
	}
	return answer{action: mfa.SetUp, kinds: can, rule: "B30: the needed factor"}
}

// setUp is what has to be, or may be, set up.
func (o *oracle) setUp(a asks, usable mfa.Kinds, onlyTheFirst, optedOut bool) (answer, bool) {
	signingIn := !o.seen.complete
	if usable&mfa.PrimaryKinds == 0 || onlyTheFirst {
		if optedOut {
			return answer{}, false
		}
		set := answer{action: mfa.SetUp, kinds: o.counting(a) & mfa.PrimaryKinds, rule: "B7"}
		if onlyTheFirst {
			set.rule = "B12"
			if set.kinds &^= mfa.KindsOf(o.seen.first); set.kinds == 0 {
				return answer{action: mfa.Refuse, rule: "B12: nothing but the channel of the first factor"}, a.required
			}
		} else if set.kinds == 0 {
			// B30: what cannot exist at all is not asked for.
			set = answer{action: mfa.Refuse, rule: "B30: no factor would do"}
		}
		switch {
		case a.required && !o.grace(a):
			return set, true
		case a.required, onlyTheFirst:
			set.skippable = true
			return set, signingIn && !o.seen.skipped
		case signingIn && !o.seen.skipped && o.prompted():
			set.skippable = true
			return set, true
		}
		return answer{}, false
	}
	if !signingIn {
		return answer{}, false // B8: what may be skipped belongs to the sign-in
	}
	// Where more is asked than a bypass gives, that is what is set up, and there is no
	// way around it.
	if set := o.counting(a) & mfa.PrimaryKinds; o.seen.bypassed && !o.seen.setUp && set != 0 && (!o.seen.skipped || a.special()) {
		return answer{action: mfa.SetUp, skippable: !a.special(), kinds: set, rule: "B29: a bypass leads to set-up"}, true
	}
	if more := o.plan.enabled & mfa.PrimaryKinds &^ kindsOf(o.enrolled()); o.seen.effortless && !o.seen.skipped && more != 0 {
		return answer{action: mfa.SetUp, skippable: true, kinds: more, rule: "B12: add another"}, true
	}
	if o.owesCodes() {
		switch {
		case o.seen.setUp, a.required:
			return answer{action: mfa.SetUp, kinds: mfa.KindsOf(mfa.BackupCode), rule: "B14, B23"}, true
		case !o.user.SkippedCodes && !o.user.OptedOut:
			return answer{action: mfa.SetUp, skippable: true, kinds: mfa.KindsOf(mfa.BackupCode), rule: "B14"}, true
		}
	}
	return answer{}, false
}

func (o *oracle) owesCodes() bool {
	return o.plan.enabled.Has(mfa.BackupCode) && !kindsOf(o.enrolled()).Has(mfa.BackupCode)
}

// prompted is the table of rule B7 where nothing requires a factor, with B9.
func (o *oracle) prompted() bool {
	if o.user.SkippedPrompt == o.plan.prompt.String() {
		return false
	}
	return map[mfa.Prompt]map[bool]bool{ // by whether the person registers now
		mfa.PromptAtRegistration: {true: true, false: true},
		mfa.PromptAtNextSignIn:   {true: false, false: true},
		mfa.PromptNever:          {true: false, false: false},
	}[o.plan.prompt][o.seen.registering]
}

// enrollment says what a set-up needs here and now.
type enrollment uint8

const (
	enrollmentOpen enrollment = iota
	enrollmentConfirm
	enrollmentClosed // without an administrator's pass
	enrollmentProof  // a second factor again, or the first where there is none
	enrollmentNever  // no proof would do
)

func (e enrollment) String() string {
	return [...]string{"nothing", "a code to the address on file", "a pass", "a newer proof", "what cannot be"}[e]
}

// enrollment is B15 and B17.
func (o *oracle) enrollment() enrollment {
	a := o.asks(question{})
	enrolled := o.enrolled()
	has := kindsOf(enrolled)
	for id, p := range o.seen.proofs {
		c := o.user.Credential(id)
		if c == nil || p.remembered || o.sameChannel(c) || o.now.Sub(p.at) > mfa.ProofLife {
			continue
		}
		usable := has & o.plan.enabled
		if usable == 0 {
			usable = has // B16
		}
		// The last code was a factor when it was used (B23).
		if usable.Has(p.kind) || o.plan.enabled.Has(p.kind) || c.Kind == mfa.BackupCode && c.Left == 0 {
			return enrollmentOpen
		}
	}
	switch {
	case o.seen.bypassed && !o.seen.complete: // B29
		return enrollmentOpen
	case len(enrolled) > 0 && (!o.seen.complete || o.replacing()) && !slices.ContainsFunc(enrolled, func(c mfa.Credential) bool {
		p, here := o.seen.proofs[c.ID]
		return !here || p.remembered || !o.sameChannel(&c)
	}):
		return enrollmentOpen // B12: it is all that there is, and was chosen just now
	case len(enrolled) > 0 && has == 0:
		return enrollmentNever
	case len(enrolled) == 0 && o.replacing(): // B34
		return enrollmentOpen
	case len(enrolled) > 0, o.now.Sub(o.seen.firstAt) > mfa.ProofLife:
		return enrollmentProof
	case o.seen.mayEnroll:
		return enrollmentOpen
	}
	address := o.user.Email != "" && o.senders.Has(mfa.Email) || o.user.Phone != "" && o.senders.Has(mfa.SMS)
	e := o.plan.enrollment
	switch {
	case a.pass:
		return enrollmentClosed
	case e.Open && !o.shut && (e.Window == 0 || !o.windowOver):
		return enrollmentOpen
	case (e.Open || e.Confirm) && address:
		return enrollmentConfirm
	}
	return enrollmentClosed
}

// replacing is rule B34: what was proven to remove the last factor sets up another.
func (o *oracle) replacing() bool {
	return !o.seen.replaced.IsZero() && o.now.Sub(o.seen.replaced) <= mfa.ProofLife
}

// canSetUp reports whether a factor of that kind can exist here at all.
func (o *oracle) canSetUp(k mfa.Kind) bool {
	switch {
	case o.plan.off || !o.plan.enabled.Has(k):
		return false
	case k == mfa.Passkey:
		return o.place.RPID != ""
	case k == mfa.SMS || k == mfa.Email:
		return o.senders.Has(k)
	case k == mfa.BackupCode:
		return slices.ContainsFunc(o.user.Credentials, func(c mfa.Credential) bool { return c.Kind.Primary() })
	}
	return true
}

// available reports whether the credential can be proven here and now (§1), and if not,
// why.
func (o *oracle) available(c *mfa.Credential) (bool, mfa.Reason) {
	switch {
	case c.Kind == mfa.Passkey && o.place.RPID == "":
		return false, mfa.ReasonPlainHTTP
	case c.Kind == mfa.Passkey && c.RPID != o.place.RPID:
		return false, mfa.ReasonOtherHost
	case (c.Kind == mfa.SMS || c.Kind == mfa.Email) && !o.senders.Has(c.Kind):
		return false, mfa.ReasonNoSender
	case o.sameChannel(c):
		return false, mfa.ReasonSameChannel
	case o.now.Before(o.lockedUntil[c.Kind]) && !o.knownDevice:
		return false, mfa.ReasonLocked
	}
	return true, ""
}

// trespass says what is wrong with somebody being let into the app, in the fewest words
// that the rules have for it; "" where nothing is.
func (o *oracle) trespass() string {
	if o.plan.routeBypass {
		return ""
	}
	a := o.asks(question{app: true})
	switch {
	case o.user == nil || !o.seen.complete:
		return "B4: without a session"
	case o.user.Disabled:
		return "B4: disabled"
	case !a.member:
		return "B5: no member"
	case o.plan.off || o.plan.reportOnly:
		return ""
	}
	stands, counts, suffices, chosen := o.proven(a)
	usable := kindsOf(o.enrolled()) & o.plan.enabled
	switch {
	case a.organized && !suffices:
		return "B6: the route asks for a proof that was not made"
	case a.required && !suffices && !o.grace(a):
		return "B10: a factor is required and none was proven"
	case len(o.enrolled()) > 0 && !o.user.OptedOut && !chosen && (usable != 0 && !counts || !stands):
		return "B19: a factor is there and none was proven"
	}
	return ""
}
