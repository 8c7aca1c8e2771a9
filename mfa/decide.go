package mfa

import "time"

// Action is what a decision asks for. The zero value refuses.
type Action uint8

// The actions, strictest first; permission is last.
const (
	Refuse Action = iota
	SignIn
	Verify
	SetUp
	StepUp
	Allow
)

var actionNames = [...]string{"refuse", "sign_in", "verify", "set_up", "step_up", "allow"}

// String returns the action as logs write it.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "unknown"
}

// Reason is the rule that decided, as logs and pages name it.
type Reason string

// The reasons.
const (
	ReasonNone           Reason = ""
	ReasonNoPolicy       Reason = "no_policy"       // no valid policy: a fault of ours refuses
	ReasonUnknownHost    Reason = "unknown_host"    // no protected host is meant
	ReasonDisabled       Reason = "user_disabled"   // an administrator disabled the user
	ReasonNoSession      Reason = "no_session"      // nobody is signed in
	ReasonOtherUser      Reason = "other_user"      // the session is another user's (rule B26)
	ReasonExpired        Reason = "session_expired" // its time is over
	ReasonNotVerified    Reason = "not_verified"    // the second factor is owed (rule B19)
	ReasonNothingSetUp   Reason = "nothing_set_up"  // a factor is required and none enrolled (rule B7)
	ReasonPrompt         Reason = "prompt"          // the policy prompts for one (rule B7)
	ReasonOnlyCodes      Reason = "only_codes"      // nothing primary is usable (rules B16, B24)
	ReasonNoCodes        Reason = "no_codes"        // backup codes are owed (rules B14, B23)
	ReasonHalfDone       Reason = "half_done"       // the sign-in was not finished
	ReasonTooOld         Reason = "too_old"         // fresh (rule B30)
	ReasonTooWeak        Reason = "too_weak"        // factors, phishing_resistant (rule B30)
	ReasonNeedsFactor    Reason = "needs_factor"    // the factor the route needs is not enrolled (rule B30)
	ReasonCannotBeHere   Reason = "cannot_be_here"  // … and cannot exist here (rule B30)
	ReasonBypass         Reason = "bypass"          // the route asks nothing
	ReasonNotMember      Reason = "not_member"      // the route is an organization's (rule B5)
	ReasonAddAnother     Reason = "add_another"     // a further factor is offered (rule B12)
	ReasonSameChannel    Reason = "same_channel"    // it proved the first factor already (rule B27)
	ReasonBypassed       Reason = "bypassed"        // an administrator's bypass leads to set-up (rule B29)
	ReasonReportOnly     Reason = "report_only"     // it would have been asked (rule B18)
	ReasonNotEstablished Reason = "not_established" // nobody was, before the gate, and nothing else signs in (rule B26)
	ReasonOff            Reason = "off"             // 2-step verification is off (rule B2)

	ReasonTokenNotHere   Reason = "token_not_here"   // the route takes no app tokens
	ReasonTokenNotEnough Reason = "token_not_enough" // it asks more than one stands for
)

// Decision is the answer for one request or one step of a flow. The zero value
// refuses.
type Decision struct {
	Action Action
	Reason Reason
	// Kinds are the factors that answer: to verify with, or to set up.
	Kinds Kinds
	// Skippable says that a set-up may be skipped (rule B7). It is only ever
	// true inside a sign-in (rule B8).
	Skippable bool
	// Need is what the route and the user's organizations ask, on Verify, StepUp and
	// Allow and on a SetUp that it caused: who opted out owes a verification to that route alone (rule B19), and
	// the page must know it or would send them back unasked.
	Need Requirement
	// Would is what report_only turned into Allow, and Because its reason (rule B18).
	Would   Action
	Because Reason
	// ID lets an administrator find a refusal (rule B32): the guard gives it to an
	// answer of its own, Gate.NoteRefusal to a page.
	ID string
}

// Input is all that a decision looks at.
type Input struct {
	Policy  *Policy  // of the gateway, with what the route adds; nil refuses
	Place   *Place   // where the request is; nil: an unknown host
	Session *Session // nil: nobody is signed in
	Subject *Subject // the session's user
	// OnlyEstablished says that nobody signs in but by an identity that was established
	// before the gate, so that a page for signing in would have nothing to offer.
	OnlyEstablished bool
}

// Decide says what a request with this input must meet next. It is total, looks
// at nothing else, changes nothing and allocates nothing; page, inline handler
// and forward-auth all call it, and no other code permits. The order is that of
// rule B4: unknown host or disabled user, no session, second factor owed, no member
// of the route's organization, set-up owed, too old or too weak, and permission
// last.
//
// For a half-done session Allow means that the sign-in may be completed.
func Decide(in Input, now time.Time) Decision {
	p, s, u := in.Policy, in.Session, in.Subject
	if p == nil || p.Factors == 0 && !p.Off || p.Off && !p.Optional {
		return Decision{Reason: ReasonNoPolicy}
	}
	if in.Place == nil {
		return Decision{Reason: ReasonUnknownHost}
	}
	if p.Bypass {
		return Decision{Action: Allow, Reason: ReasonBypass}
	}
	if u != nil && u.Disabled {
		return Decision{Reason: ReasonDisabled}
	}
	switch {
	case (s == nil || u == nil) && in.OnlyEstablished && in.Place.Established == (Claim{}):
		return Decision{Reason: ReasonNotEstablished}
	case s == nil || u == nil:
		return Decision{Action: SignIn, Reason: ReasonNoSession}
	case s.User != u.ID:
		// A proof counts for the user who made it and for nobody else (rule B26).
		return Decision{Action: SignIn, Reason: ReasonOtherUser}
	case s.Generation != u.Generation || s.Over(now):
		return Decision{Action: SignIn, Reason: ReasonExpired}
	}
	member := true
	// Most gateways have no organizations, and a copy of the policy is most of what a
	// decision costs.
	if p.Organizations != nil || p.Organization != "" {
		var effective Policy
		effective, member = p.For(u)
		p = &effective
	}
	if s.AppToken != "" {
		return byAppToken(p, member, in.Place, s, u)
	}
	if p.Off {
		if !member {
			return Decision{Reason: ReasonNotMember}
		}
		return Decision{Action: Allow, Reason: ReasonOff}
	}
	d := secondFactor(p, member, in.Place, s, u, now)
	if p.ReportOnly && d.Action != Refuse && d.Action != Allow {
		if !member {
			return Decision{Reason: ReasonNotMember} // stands, whatever is only reported
		}
		return Decision{Action: Allow, Reason: ReasonReportOnly, Would: d.Action, Because: d.Reason, Need: d.Need}
	}
	return d
}

// secondFactor is what follows the first factor.
func secondFactor(p *Policy, member bool, at *Place, s *Session, u *Subject, now time.Time) Decision {
	h := weigh(p, at, s, u, now)
	if d, owed := verifyOwed(p, u, h); owed {
		return d
	}
	// Not before the second factor was proven, so that strangers learn nothing
	// (rule B5).
	if !member {
		return Decision{Reason: ReasonNotMember}
	}
	if d, owed := setUpOwed(p, s, u, h, now); owed {
		return d
	}
	if d, owed := stepUpOwed(p, at, s, h); owed {
		return d
	}
	return Decision{Action: Allow, Need: p.Need}
}

// weight is what the session proved, against what the user holds.
type weight struct {
	enrolled  Kinds // held, whether the policy enables it or not
	usable    Kinds // enrolled and enabled
	hereNeed  Kinds // usable, allowed on the route, and able to work at this place
	stands    bool  // a proof by a credential that still stands
	counts    bool  // … and whose factor the policy still enables (rule B6)
	suffices  bool  // … and which the route allows, whatever its age
	freshened bool  // … and young enough
	// chosen says that a factor was set up here by the very address that signed in.
	// It is enrolled, but it has proven nothing that the first factor had not
	// (rules B12, B27).
	chosen bool
	others bool // something is enrolled beside that address
	// provided says that the identity source has asked for a second factor itself, and is
	// believed in this.
	provided bool
}

func weigh(p *Policy, at *Place, s *Session, u *Subject, now time.Time) weight {
	var w weight
	for i := range u.Held {
		h := &u.Held[i]
		if !h.Enrolled() {
			continue
		}
		k := h.Kind.set()
		w.enrolled |= k
		first := s.first(h.Kind, h.Address)
		w.others = w.others || !first
		if k&p.Factors == 0 {
			continue
		}
		w.usable |= k
		if k&p.allowed() != 0 && !first && (h.Kind != Passkey || at.RPID != "" && h.RPID == at.RPID) {
			w.hereNeed |= k
		}
	}
	if s.Bypassed {
		// It stands for one second factor, for nothing but "require" (rule B29).
		w.stands, w.counts = true, true
		w.suffices, w.freshened = p.Need.onlyRequired(), p.Need.onlyRequired()
	}
	if s.Provided.Kind == Provided {
		// It is no factor of ours: no route that names factors is content with it, and it
		// is as new and as strong as the source says, where it says so.
		w.provided, w.stands, w.counts = true, true, true
		if p.Need.Factors == 0 && (!p.Need.PhishingResistant || s.Provided.PhishingResistant) {
			w.suffices = true
			w.freshened = w.freshened || p.Need.Fresh == 0 || !s.Provided.At.IsZero() && s.Provided.recent(now, p.Need.Fresh)
		}
	}
	for i := range s.Proofs {
		proof := &s.Proofs[i]
		held, ok := u.held(proof.Credential)
		// A proof whose credential was removed no longer counts (rule B6).
		if !ok || held.Kind != proof.Kind {
			continue
		}
		if s.first(held.Kind, held.Address) {
			w.chosen = w.chosen || !proof.Remembered
			continue
		}
		if proof.Remembered && !p.remembers(proof.At, now) {
			continue
		}
		w.stands = true
		if !p.Factors.Has(proof.Kind) {
			continue
		}
		w.counts = true
		if !p.allowed().Has(proof.Kind) || p.Need.PhishingResistant && !proof.PhishingResistant {
			continue
		}
		if proof.Remembered && !p.Need.onlyRequired() {
			continue // it stands for nothing but "require" (rule B29)
		}
		w.suffices = true
		if p.Need.Fresh == 0 || proof.recent(now, p.Need.Fresh) {
			w.freshened = true
		}
	}
	return w
}

// further reports whether all that is enrolled was set up here by the address that
// signed in. There is nothing to verify with, and it takes a further factor: the
// channel of the first one completes nothing (rule B12).
func (w *weight) further() bool { return w.chosen && !w.counts && !w.others }

// verifyOwed asks the second factor of everyone who has one (rule B19).
func verifyOwed(p *Policy, u *Subject, w weight) (Decision, bool) {
	switch {
	case w.enrolled == 0 || u.OptedOut && !p.required():
		return Decision{}, false
	case w.further():
		return Decision{}, false // what else it takes is set up first (rule B12)
	case w.usable != 0 && !w.counts:
		return Decision{Action: Verify, Reason: ReasonNotVerified, Kinds: w.usable, Need: p.Need}, true
	case w.usable == 0 && !w.stands:
		// Every factor was switched off by policy: one of them verifies, for this
		// sign-in only, and leads to set-up (rule B16).
		return Decision{Action: Verify, Reason: ReasonNotVerified, Kinds: w.enrolled &^ unknownKind, Need: p.Need}, true
	}
	return Decision{}, false
}

// setUpOwed asks for a first primary factor, and for backup codes (rules B7,
// B10, B14, B16, B23, B24). What may be skipped belongs to a sign-in and never
// stops a complete session (rule B8).
func setUpOwed(p *Policy, s *Session, u *Subject, w weight, now time.Time) (Decision, bool) {
	if w.provided {
		// Whoever has a second factor at the source needs none here; what a route asks
		// beyond it, stepUpOwed asks.
		return Decision{}, false
	}
	further := w.further()
	if (w.usable&PrimaryKinds == 0 || further) && !(u.OptedOut && !p.required()) {
		d := Decision{Action: SetUp, Reason: ReasonNothingSetUp, Kinds: p.Factors & PrimaryKinds}
		if w.enrolled != 0 {
			d.Reason = ReasonOnlyCodes
		}
		if !p.Need.Zero() {
			d.Kinds = p.allowed() & PrimaryKinds
			d.Need = p.Need
		}
		if further {
			d.Reason = ReasonAddAnother
			if d.Kinds &^= s.First.Kind.set(); d.Kinds == 0 {
				return Decision{Reason: ReasonSameChannel, Need: p.Need}, p.required()
			}
		}
		if d.Kinds == 0 {
			// An organization asks for what this gateway has switched off.
			return Decision{Reason: ReasonCannotBeHere, Need: p.Need}, p.required()
		}
		switch {
		case p.required() && !graceRuns(p, u, now):
			return d, true
		case p.required():
			d.Skippable = true
			return d, !s.Complete && !s.Skipped
		case further:
			d.Skippable = true
			return d, !s.Complete && !s.Skipped
		case !s.Complete && !s.Skipped && prompts(p.Prompt, s, u):
			d.Reason, d.Skippable = ReasonPrompt, true
			return d, true
		}
		return Decision{}, false
	}
	if s.Complete {
		return Decision{}, false
	}
	// Where more is asked than a bypass ever gives, there is no way around the set-up.
	if skippable := p.Need.onlyRequired(); s.Bypassed && !s.Enrolled && !(skippable && s.Skipped) && p.allowed()&PrimaryKinds != 0 {
		return Decision{Action: SetUp, Reason: ReasonBypassed, Kinds: p.allowed() & PrimaryKinds, Skippable: skippable, Need: p.Need}, true
	}
	// An address that was verified while signing up took no effort; one more factor
	// is offered beside it, once (rule B12).
	if another := p.Factors & PrimaryKinds &^ w.enrolled; s.AddAnother && !s.Skipped && another != 0 {
		return Decision{Action: SetUp, Reason: ReasonAddAnother, Kinds: another, Skippable: true}, true
	}
	if p.Factors.Has(BackupCode) && w.usable&PrimaryKinds != 0 && w.enrolled&BackupCode.set() == 0 {
		tail := s.Enrolled || p.required()
		if tail || !u.SkippedCodes && !u.OptedOut {
			return Decision{Action: SetUp, Reason: ReasonNoCodes, Kinds: KindsOf(BackupCode), Skippable: !tail}, true
		}
	}
	return Decision{}, false
}

// graceRuns reports whether the one postponement of a requirement still runs. It
// is for those who never had a factor, and never for a route's own requirement
// (rule B10).
func graceRuns(p *Policy, u *Subject, now time.Time) bool {
	if p.Grace <= 0 || !p.Need.Zero() || u.EverEnrolled {
		return false
	}
	return u.GraceStarted.IsZero() || now.Before(u.GraceStarted.Add(p.Grace))
}

// prompts is the table of rule B7 where nothing requires a factor.
func prompts(p Prompt, s *Session, u *Subject) bool {
	if u.SkippedPrompt == p.String() {
		return false
	}
	switch p {
	case PromptAtRegistration:
		return true
	case PromptAtNextSignIn:
		return !s.Registering
	}
	return false
}

// stepUpOwed asks for what one route needs beyond a verified session (rule B30).
func stepUpOwed(p *Policy, at *Place, s *Session, w weight) (Decision, bool) {
	if p.Need.Zero() || w.freshened {
		return Decision{}, false
	}
	if w.hereNeed != 0 {
		d := Decision{Action: StepUp, Reason: ReasonTooWeak, Kinds: w.hereNeed, Need: p.Need}
		if w.suffices {
			d.Reason = ReasonTooOld
		}
		return d, true
	}
	can := p.allowed() & PrimaryKinds
	if at.RPID == "" {
		can &^= KindsOf(Passkey)
	}
	if can == 0 {
		return Decision{Reason: ReasonCannotBeHere, Need: p.Need}, true
	}
	if s.First.Address != "" {
		// The channel that signed in is none of those that would do (rule B27).
		if can &^= s.First.Kind.set(); can == 0 {
			return Decision{Reason: ReasonSameChannel, Need: p.Need}, true
		}
	}
	return Decision{Action: SetUp, Reason: ReasonNeedsFactor, Kinds: can, Need: p.Need}, true
}
