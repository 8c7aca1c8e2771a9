package mfa

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Access is what one user meets at one address, step by step, with all that decides it.
type Access struct {
	User string `json:"user"`
	URL  string `json:"url"`
	Host string `json:"host,omitempty"`
	// Gates stand on the way to the app, the first one first; none: nothing is asked there.
	Gates []AccessGate `json:"gates"`
	// Asks are the parts of the requirement, and where each comes from.
	Asks []AccessAsk `json:"asks"`
	// Factors are those that the user has, with what each is worth there.
	Factors []AccessFactor `json:"factors"`
	// Steps say what is decided, from nobody at all to the user's newest session.
	Steps []AccessStep `json:"steps"`
	Notes []string     `json:"notes,omitempty"`
}

// AccessGate is one gate on the way to an app.
type AccessGate struct {
	Name         string         `json:"name"` // as the configuration has it
	Asks         []string       `json:"asks,omitempty"`
	Organization OrganizationID `json:"organization,omitempty"`
	Bypass       bool           `json:"bypass,omitempty"`

	Route Route `json:"-"`
}

// AccessAsk is one part of what is asked.
type AccessAsk struct {
	What string `json:"what"` // in the words of the configuration
	From string `json:"from"` // where it stands
}

// AccessFactor is what one credential is worth at an address.
type AccessFactor struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name,omitempty"`
	Counts bool   `json:"counts"`
	Why    string `json:"why,omitempty"` // it does not
}

// AccessStep is a decision on the way in.
type AccessStep struct {
	With    string `json:"with"` // what has been proven
	Action  string `json:"action"`
	Reason  Reason `json:"reason,omitempty"`
	Factors []Kind `json:"factors,omitempty"` // that answer
	Gate    string `json:"gate,omitempty"`    // which decided
	Decided string `json:"decided"`
	Why     string `json:"why"`
	Help    string `json:"help"`
}

// AccessQuery is an address with what stands there.
type AccessQuery struct {
	URL   string
	Place *Place
	Gates []AccessGate
}

// Words returns what r asks in the words of the configuration.
func (r Requirement) Words() []string {
	var list []string
	if r.Required {
		list = append(list, "require on")
	}
	if r.Factors != 0 {
		list = append(list, "factors "+r.Factors.String())
	}
	if r.Fresh > 0 {
		list = append(list, "fresh "+DurationWords(r.Fresh))
	}
	if r.PhishingResistant {
		list = append(list, "phishing_resistant")
	}
	return list
}

// ExplainAccess says what decides for that user at that address, and changes nothing. It
// shows the gateway's whole policy, and so takes the power to read it besides ReadUsers.
// ErrNotAllowed, ErrNotFound.
func (a *Administration) ExplainAccess(ctx context.Context, id UserID, q AccessQuery) (*Access, error) {
	if err := a.may(ReadPolicy, nil); err != nil {
		return nil, err
	}
	u, err := a.user(ctx, ReadUsers, id)
	if err != nil {
		return nil, err
	}
	p := a.g.cfg.Policy()
	if p == nil || q.Place == nil {
		return nil, fmt.Errorf("explaining: %w", ErrNotAllowed)
	}
	x := &Access{User: u.Name, URL: q.URL, Host: q.Place.Host, Gates: q.Gates, Asks: []AccessAsk{}, Factors: []AccessFactor{}, Steps: []AccessStep{}}
	for i := range x.Gates {
		x.Gates[i].Asks, x.Gates[i].Organization = x.Gates[i].Route.Need.Words(), x.Gates[i].Route.Organization
	}
	if len(x.Gates) == 0 {
		x.Notes = append(x.Notes, "No gate stands there: the app is open to everybody, whatever the policy says.")
		return x, nil
	}
	if err := a.asks(ctx, x, p, u); err != nil {
		return nil, err
	}
	in := &access{x, p, u, q.Place, a.g.now()}
	in.factors(a.g.ways())
	in.steps()
	sessions, err := a.g.cfg.Store.UserSessions(ctx, u.ID)
	if err != nil {
		return nil, fmt.Errorf("reading sessions: %w", err)
	}
	in.newest(sessions)
	return x, nil
}

// asks collects what is asked there, and where each part stands.
func (a *Administration) asks(ctx context.Context, x *Access, p *Policy, u *User) error {
	add := func(what, from string) { x.Asks = append(x.Asks, AccessAsk{what, from}) }
	if a.g.cfg.Policies != nil {
		info, err := a.g.cfg.Policies.info(ctx)
		if err != nil {
			return err
		}
		for _, f := range info.Fields {
			if f.Value != "" {
				add(f.Field+" "+f.Value, "policy: "+f.From)
			}
		}
	}
	subject := u.AsSubject()
	member := p.Organizations.Of(subject)
	for _, o := range member {
		from := "organization " + string(o.ID) + ", of which " + u.Name + " is a member"
		if !slices.Contains(u.Organizations, o.ID) {
			from += " by the address"
		}
		here := slices.ContainsFunc(x.Gates, func(g AccessGate) bool { return g.Organization == o.ID })
		need := o.Requirement()
		if here {
			need.Factors = o.Factors
		} else if p.OrganizationRequired == AtAccess {
			need = Requirement{} // it waits for a route of the organization
		}
		for _, what := range need.Words() {
			add(what, from)
		}
		if o.Enrollment != nil {
			add("enrollment "+o.Enrollment.String(), from)
		}
		if o.NoRemembering {
			add("remember_device off", from)
		}
	}
	for _, g := range x.Gates {
		for _, what := range g.Asks {
			add(what, "route: "+g.Name)
		}
		if g.Bypass {
			add("bypass", "route: "+g.Name)
		}
		if g.Organization != "" {
			what := "members of " + string(g.Organization) + " only"
			if p.Organizations.Find(g.Organization) == nil {
				what += "; there is no such organization"
			}
			add(what, "route: "+g.Name)
		}
	}
	return nil
}

// access is an explanation under way.
type access struct {
	*Access
	policy *Policy
	user   *User
	at     *Place
	now    time.Time
}

// policies returns the policy at each gate that decides, as the guard makes it: needs add
// up, and behind a bypass only those stand that ask something of their own.
func (in *access) policies() (list []Policy, names []string) {
	var need Requirement
	passed := false
	for _, g := range in.Gates {
		switch {
		case g.Bypass:
			passed = true
			continue
		case passed && g.Route.Need.Zero() && g.Route.Organization == "":
			continue
		}
		need = need.Plus(g.Route.Need)
		p := in.policy.With(need)
		p.Organization = g.Route.Organization
		list, names = append(list, p), append(names, g.Name)
	}
	return list, names
}

// decide asks each gate, and returns the first answer that is not permission.
func (in *access) decide(s *Session) (Decision, string) {
	list, names := in.policies()
	d := Decision{Action: Allow, Reason: ReasonBypass}
	for i := range list {
		input := Input{Policy: &list[i], Place: in.at, Session: s, Subject: in.user.AsSubject()}
		if s == nil {
			input.Subject = nil
		}
		if d = Decide(input, in.now); d.Action != Allow {
			return d, names[i]
		}
	}
	return d, ""
}

func (in *access) step(with string, s *Session) {
	d, gate := in.decide(s)
	name := in.user.Name
	if s == nil {
		name = "whoever comes"
	}
	words := explain(d.Action.String(), d.Reason, name)
	in.Steps = append(in.Steps, AccessStep{
		With: with, Action: d.Action.String(), Reason: d.Reason, Factors: d.Kinds.List(), Gate: gate,
		Decided: words.Decided, Why: words.Why, Help: words.Help,
	})
}

// steps goes from nobody over the first factor to each proof that the user could make.
func (in *access) steps() {
	in.step("nothing: nobody is signed in", nil)
	fresh := func(complete bool, list ...Proof) *Session {
		return &Session{
			User: in.user.ID, Scope: in.at.Scope, Generation: in.user.Generation, Complete: complete, Created: in.now,
			Expires: in.now.Add(HalfDoneLife), First: Proof{Kind: Password, At: in.now}, Proofs: list,
		}
	}
	in.step("the password", fresh(false))
	for _, c := range in.user.Credentials {
		if !(Held{Kind: c.Kind, Left: c.Left}).Enrolled() {
			continue
		}
		with := "the password and " + string(c.Kind)
		if c.Name != "" {
			with += " “" + c.Name + "”"
		}
		in.step(with, fresh(true, proofOf(&c, in.now)))
	}
}

// newest adds what the user's newest session would meet now.
func (in *access) newest(list []*Session) {
	var newest *Session
	for _, s := range list {
		if s.Complete && s.Scope == in.at.Scope && in.now.Before(s.Expires) && s.Generation == in.user.Generation &&
			(newest == nil || s.LastSeen.After(newest.LastSeen)) {
			newest = s
		}
	}
	if newest == nil {
		in.Notes = append(in.Notes, in.user.Name+" has no session at this address now.")
		return
	}
	with := "the newest session, of " + newest.Created.UTC().Format("2006-01-02 15:04 UTC")
	if newest.Agent != "" {
		with += " (" + newest.Agent + ")"
	}
	in.step(with, newest)
}

// factors says what each credential is worth there.
func (in *access) factors(w Ways) {
	list, _ := in.policies()
	allowed, gate := in.policy.Factors, in.policy.Factors
	for i := range list {
		effective, _ := list[i].For(in.user.AsSubject())
		allowed &= effective.allowed()
	}
	for _, c := range in.user.Credentials {
		f := AccessFactor{Kind: c.Kind, Name: c.Name}
		switch {
		case !(Held{Kind: c.Kind, Left: c.Left}).Enrolled():
			f.Why = "none of the codes is left"
		case !gate.Has(c.Kind):
			f.Why = "the policy does not enable it"
		case !allowed.Has(c.Kind):
			f.Why = "only other factors count at this address (factors, phishing_resistant)"
		case slices.Contains(in.user.Locked, c.Kind):
			f.Why = "it is locked until an administrator unlocks it"
		case c.Kind == Passkey && in.at.RPID == "":
			f.Why = "passkeys do not work at this address"
		case c.Kind == Passkey && c.RPID != in.at.RPID:
			f.Why = "it was made for " + c.RPID
		case !w.Have.Has(c.Kind):
			f.Why = "there is nothing to send codes with"
		default:
			f.Counts = true
		}
		in.Factors = append(in.Factors, f)
	}
}
