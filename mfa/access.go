package mfa

import (
	"context"
	"fmt"
	"slices"
	"time"
)

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

// MayExplainAccess reports with nil that the actor may ask ExplainAccess of somebody.
// ErrNotAllowed.
func (a *Administration) MayExplainAccess() error {
	if err := a.may(ReadPolicy, nil); err != nil {
		return err
	}
	return a.may(ReadUsers, nil)
}

// ExplainAccess says what decides for that user at that address, and changes nothing. It
// shows the gateway's whole policy, routes of every organization and what all of them ask,
// and so takes the power to read the policy besides ReadUsers: who administrates an
// organization has it not. gates is asked only for those who may know what it answers.
// ErrNotAllowed, ErrNotFound, *RouteError.
func (a *Administration) ExplainAccess(ctx context.Context, id UserID, address string, gates Gates) (*Access, error) {
	if err := a.MayExplainAccess(); err != nil {
		return nil, err
	}
	u, err := a.user(ctx, ReadUsers, id)
	if err != nil {
		return nil, err
	}
	q, err := gates.at(address)
	if err != nil {
		return nil, err
	}
	p := a.g.cfg.Policy()
	if p == nil || q.Place == nil {
		return nil, fmt.Errorf("explaining: %w", ErrNotAllowed)
	}
	x := &Access{User: u.Name, URL: q.URL, Host: q.Place.Host, Gates: append([]AccessGate{}, q.Gates...), Asks: []AccessAsk{}, Factors: []AccessFactor{}, Steps: []AccessStep{}, Notes: q.Notes}
	for i := range x.Gates {
		x.Gates[i].Asks, x.Gates[i].Organization = x.Gates[i].Route.Need.Words(), x.Gates[i].Route.Organization
	}
	if len(x.Gates) == 0 {
		x.Notes = append(x.Notes, AccessNote{NoteOpen, "No gate stands there: the app is open to everybody, whatever the policy says."})
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
	add := func(ask AccessAsk) { x.Asks = append(x.Asks, ask) }
	if a.g.cfg.Policies != nil {
		info, err := a.g.cfg.Policies.info(ctx)
		if err != nil {
			return err
		}
		for _, f := range info.Fields {
			if f.Value != "" {
				add(AccessAsk{What: f.Field + " " + f.Value, From: "policy: " + f.From, Source: FromPolicy, Of: f.From})
			}
		}
	}
	subject := u.AsSubject()
	member := p.Organizations.Of(subject)
	for _, o := range member {
		ask := AccessAsk{Source: FromOrganization, Of: string(o.ID), From: "organization " + string(o.ID) + ", of which " + u.Name + " is a member"}
		switch {
		case slices.Contains(u.Organizations, o.ID):
		case slices.Contains(u.SourceOrganizations, o.ID):
			ask.From += " as " + u.Source + " says"
		default:
			ask.From, ask.ByAddress = ask.From+" by the address", true
		}
		here := slices.ContainsFunc(x.Gates, func(g AccessGate) bool { return g.Organization == o.ID })
		need := o.Requirement()
		if here {
			need.Factors = o.Factors
		} else if p.OrganizationRequired == AtAccess {
			need = Requirement{} // it waits for a route of the organization
		}
		list := need.Words()
		if o.Enrollment != nil {
			list = append(list, "enrollment "+o.Enrollment.String())
		}
		if o.NoRemembering {
			list = append(list, "remember_device off")
		}
		for _, ask.What = range list {
			add(ask)
		}
	}
	for _, g := range x.Gates {
		ask := AccessAsk{From: "route: " + g.Name, Source: FromRoute, Of: g.Name}
		for _, ask.What = range g.Asks {
			add(ask)
		}
		if g.Bypass {
			ask.What = "bypass"
			add(ask)
		}
		if g.Organization != "" {
			ask.What, ask.Only = "members of "+string(g.Organization)+" only", g.Organization
			if ask.Missing = p.Organizations.Find(g.Organization) == nil; ask.Missing {
				ask.What += "; there is no such organization"
			}
			add(ask)
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

// step adds what is decided with that session; at says how far it has come.
func (in *access) step(at AccessStep, s *Session) {
	d, gate := in.decide(s)
	name := in.user.Name
	if s == nil {
		name = "whoever comes"
	}
	words := explain(d.Action.String(), d.Reason, name)
	at.Action, at.Reason, at.Factors, at.Gate = d.Action.String(), d.Reason, d.Kinds.List(), gate
	at.Decided, at.Why, at.Help = words.Decided, words.Why, words.Help
	in.Steps = append(in.Steps, at)
}

// steps goes from nobody over the first factor to each proof that the user could make.
func (in *access) steps() {
	in.step(AccessStep{Stage: StageNobody, With: "nothing: nobody is signed in"}, nil)
	fresh := func(complete bool, list ...Proof) *Session {
		return &Session{
			User: in.user.ID, Scope: in.at.Scope, Generation: in.user.Generation, Complete: complete, Created: in.now,
			Expires: in.now.Add(HalfDoneLife), First: Proof{Kind: Password, At: in.now}, Proofs: list,
		}
	}
	in.step(AccessStep{Stage: StagePassword, With: in.first()}, fresh(false))
	for _, c := range in.user.Credentials {
		if !(Held{Kind: c.Kind, Left: c.Left}).Enrolled() {
			continue
		}
		with := in.first() + " and " + string(c.Kind)
		if c.Name != "" {
			with += " “" + c.Name + "”"
		}
		in.step(AccessStep{Stage: StageFactor, With: with, Proven: c.Kind, Name: c.Name}, fresh(true, proofOf(&c, in.now)))
	}
}

// first names the first factor of the user.
func (in *access) first() string {
	if in.user.Source == LocalSource {
		return "the password"
	}
	return "signing in at " + in.user.Source
}

// newest adds what the user's newest session would meet now.
func (in *access) newest(list []*Session) {
	var newest *Session
	for _, s := range list {
		if s.Complete && s.Scope == in.at.Scope && !s.Over(in.now) && s.Generation == in.user.Generation &&
			(newest == nil || s.LastSeen.After(newest.LastSeen)) {
			newest = s
		}
	}
	if newest == nil {
		in.Notes = append(in.Notes, AccessNote{NoteNoSession, in.user.Name + " has no session at this address now."})
		return
	}
	with := "the newest session, of " + newest.Created.UTC().Format("2006-01-02 15:04 UTC")
	if newest.Agent != "" {
		with += " (" + newest.Agent + ")"
	}
	in.step(AccessStep{Stage: StageSession, With: with, Begun: newest.Created, Agent: newest.Agent}, newest)
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
		not := func(reason FactorReason, why string) { f.Reason, f.Why = reason, why }
		switch {
		case !(Held{Kind: c.Kind, Left: c.Left}).Enrolled():
			not(FactorUsedUp, "none of the codes is left")
		case !gate.Has(c.Kind):
			not(FactorNotEnabled, "the policy does not enable it")
		case !allowed.Has(c.Kind):
			not(FactorNotAsked, "only other factors count at this address (factors, phishing_resistant)")
		case slices.Contains(in.user.Locked, c.Kind):
			not(FactorLocked, "it is locked until an administrator unlocks it")
		case c.Kind == Passkey && in.at.RPID == "":
			not(FactorNotHere, "passkeys do not work at this address")
		case c.Kind == Passkey && c.RPID != in.at.RPID:
			not(FactorOtherHost, "it was made for "+c.RPID)
			f.Host = c.RPID
		case !w.Have.Has(c.Kind):
			not(FactorNoSender, "there is nothing to send codes with")
		default:
			f.Counts = true
		}
		in.Factors = append(in.Factors, f)
	}
}
