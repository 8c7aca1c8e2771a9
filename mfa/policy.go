package mfa

import (
	"errors"
	"fmt"
	"time"
)

// Prompt says when a user who has no factor is asked to set one up, where
// nothing requires it (rule B7).
type Prompt uint8

// The prompts. The zero value is the one that asks most.
const (
	PromptAtRegistration Prompt = iota
	PromptAtNextSignIn
	PromptNever
)

var promptNames = [...]string{"at_registration", "at_next_sign_in", "never"}

// String returns the prompt as the Caddyfile writes it.
func (p Prompt) String() string {
	if int(p) < len(promptNames) {
		return promptNames[p]
	}
	return "unknown"
}

// ParsePrompt reads a prompt.
func ParsePrompt(s string) (Prompt, error) {
	for i, name := range promptNames {
		if s == name {
			return Prompt(i), nil
		}
	}
	return 0, fmt.Errorf("prompt: %q is none of at_registration, at_next_sign_in, never", s)
}

// MarshalText writes the prompt as the Caddyfile does.
func (p Prompt) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *Prompt) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePrompt(string(text))
	return err
}

// Enrollment says what a first enrollment needs besides the first factor
// (rule B17). The zero value is the strictest: an administrator's pass or link.
type Enrollment struct {
	Open bool `json:"open,omitempty"`
	// Window is, with Open, how long after the first prompt; 0: for ever. After it,
	// enrollment is as with Confirm.
	Window time.Duration `json:"window,omitempty"`
	// Confirm asks for a code to the address on file. Where there is none, or
	// nothing to send with, an administrator's pass is asked for.
	Confirm bool `json:"confirm,omitempty"`
}

// stricter returns the stricter of two.
func stricter(a, b Enrollment) Enrollment {
	rank := func(e Enrollment) int {
		switch {
		case e.Open:
			return 0
		case e.Confirm:
			return 1
		}
		return 2
	}
	switch {
	case rank(a) != rank(b):
		if rank(a) > rank(b) {
			return a
		}
		return b
	case a.Window == 0 || b.Window != 0 && b.Window < a.Window:
		return b
	}
	return a
}

// Requirement is what one route asks beyond the policy. The zero value asks
// nothing. Each field set implies that a second factor is required.
type Requirement struct {
	Required          bool          // a second factor is required, whatever the policy says
	Factors           Kinds         // only these count here; 0: those of the policy
	Fresh             time.Duration // the newest sufficient proof is at most so old; 0: any age
	PhishingResistant bool          // a passkey was used
}

// Zero reports whether r asks nothing.
func (r Requirement) Zero() bool { return r == Requirement{} }

// onlyRequired reports whether r asks for no particular proof.
func (r Requirement) onlyRequired() bool {
	return r == Requirement{} || r == Requirement{Required: true}
}

// impossible is a set without any factor. A requirement for it is never met.
const impossible Kinds = 1 << 6

// Plus returns the requirement that asks what r and other ask.
func (r Requirement) Plus(other Requirement) Requirement {
	sum := r
	sum.Required = r.Required || other.Required
	switch {
	case r.Factors == 0:
		sum.Factors = other.Factors
	case other.Factors != 0:
		if sum.Factors = r.Factors & other.Factors; sum.Factors == 0 {
			// Zero would mean "those of the policy".
			sum.Factors = impossible
		}
	}
	if r.Fresh == 0 || other.Fresh != 0 && other.Fresh < r.Fresh {
		sum.Fresh = other.Fresh
	}
	sum.PhishingResistant = r.PhishingResistant || other.PhishingResistant
	return sum
}

// Route is what one gate on the way to an app asks. The zero value asks nothing
// beyond the policy.
type Route struct {
	Need         Requirement
	Organization OrganizationID // whose route it is; empty: nobody's
	// AppTokens says that programs may come with an app token.
	AppTokens bool
}

// Policy is what is asked of whom: the gateway's own, and on a route what the route
// adds. What a user's organizations add comes with For. The zero value refuses
// everybody.
type Policy struct {
	Factors    Kinds // enabled factors; empty is valid only with Off
	Off        bool  // the words "factors off" and "require off" together (rule B2)
	Optional   bool  // "require off"
	Prompt     Prompt
	Grace      time.Duration
	Enrollment Enrollment
	// OrganizationRequired says where the requirements of a user's organizations
	// hold.
	OrganizationRequired OrganizationRequired
	// RememberDevice is how long a browser may stand for a second factor; 0: not at
	// all (rule B29).
	RememberDevice time.Duration
	// AutoEnroll makes a verified address a factor without asking.
	AutoEnroll bool
	// ReportOnly asks for nothing beyond the first factor, and records what would
	// have been asked (rule B18).
	ReportOnly bool
	// Organizations are all that there are. It may be nil.
	Organizations *Directory

	Need         Requirement    // what the route adds
	Organization OrganizationID // whose route it is; empty: nobody's
	AppTokens    bool           // programs may come with an app token
	Bypass       bool           // the route asks nothing at all
}

// DefaultPolicy is the policy of a gateway whose configuration names none.
func DefaultPolicy() Policy {
	return Policy{
		Factors:    KindsOf(Passkey, TOTP, BackupCode),
		Enrollment: Enrollment{Open: true, Window: 14 * 24 * time.Hour},
	}
}

// With returns p with a route's requirement added.
func (p Policy) With(r Requirement) Policy {
	p.Need = r
	return p
}

// For returns the policy as it holds for one user: the strictest of the gateway's,
// the route's, that of the route's organization, and, unless it is AtAccess, those
// of the user's organizations (rule B3). member reports whether the route is open
// to the user at all (rule B5). It allocates nothing.
func (p Policy) For(u *Subject) (effective Policy, member bool) {
	if p.Off {
		return p, p.Organization == "" || p.Organizations.member(p.Organization, u) != nil
	}
	for _, id := range u.Organizations {
		p.join(p.Organizations.Find(id))
	}
	for _, o := range p.Organizations.ofDomain(u.Email) {
		p.join(o)
	}
	if p.Organization == "" {
		return p, true
	}
	o := p.Organizations.member(p.Organization, u)
	if o == nil {
		return p, false
	}
	p.add(o)
	// An organization's factors hold on its own routes only, or a second membership
	// could lock people out.
	p.Need = p.Need.Plus(Requirement{Factors: o.Factors})
	return p, true
}

// join adds what a membership asks wherever its member is; nil asks nothing.
func (p *Policy) join(o *Organization) {
	switch {
	case o == nil:
	case p.OrganizationRequired == AtSignIn:
		p.add(o)
	default:
		p.bind(o)
	}
}

// add adds what an organization asks of its members.
func (p *Policy) add(o *Organization) {
	p.Need = p.Need.Plus(o.Requirement())
	p.bind(o)
}

// bind adds what does not wait for a route of the organization, because the pages that
// carry it out know of none: a factor is set up once, and a browser stands or does not.
func (p *Policy) bind(o *Organization) {
	if o.Enrollment != nil {
		p.Enrollment = stricter(p.Enrollment, *o.Enrollment)
	}
	if o.NoRemembering {
		p.RememberDevice = 0
	}
}

// required reports whether a second factor is required here.
func (p *Policy) required() bool { return !p.Optional || !p.Need.Zero() }

// allowed returns the factors whose proofs count on this route.
func (p *Policy) allowed() Kinds {
	k := p.Factors
	if p.Need.Factors != 0 {
		k &= p.Need.Factors
	}
	if p.Need.PhishingResistant {
		k &= KindsOf(Passkey)
	}
	return k
}

// remembers reports whether a browser may stand now for a proof that was made at that
// time (rule B29).
func (p *Policy) remembers(proven, now time.Time) bool {
	return p.RememberDevice > 0 && within(now.Sub(proven), p.RememberDevice)
}

// MinFresh is the floor of Requirement.Fresh.
const MinFresh = time.Minute

// Validate returns what is wrong with the policy, in words that say what to
// write instead (rule B1). have holds the factors that this gateway can carry
// out: sms and email need a sender.
func (p Policy) Validate(have Kinds) error {
	switch {
	case p.Off && !p.Optional:
		return errors.New("factors off: this switches 2-step verification off and needs the words \"require off\" beside it")
	case p.Off && p.Factors != 0:
		return errors.New("factors off: no factor may be named beside it")
	case p.Off && !p.Need.Zero():
		return errors.New("fresh, phishing_resistant and factors need factors to ask for, and \"factors off\" switched them off")
	case !p.Off && p.Factors == 0:
		return errors.New("factors: the list is empty; write for example: factors passkey totp backup_code")
	case !p.Off && p.Factors&PrimaryKinds == 0:
		return errors.New("factors: backup_code cannot stand alone; add passkey or totp")
	case p.Factors&^have != 0:
		return fmt.Errorf("factors: %s cannot be used without a sender; of what is here you can write %s", p.Factors&^have, have)
	case !p.Optional && p.Prompt != PromptAtRegistration:
		return errors.New("prompt: has a meaning only with \"require off\"; remove it, or add \"require off\"")
	case p.Grace < 0:
		return errors.New("grace: must not be negative; write a duration such as 7d, or remove it")
	case p.Grace > 0 && p.Optional:
		return errors.New("grace: has a meaning only with \"require on\"; remove it")
	case p.RememberDevice < 0:
		return errors.New("remember_device: must not be negative; write for example: remember_device 30d")
	case p.AutoEnroll && p.Factors&KindsOf(SMS, Email) == 0:
		return errors.New("auto_enroll: makes verified addresses factors, and neither email nor sms is one; add one to factors, or remove it")
	case p.Enrollment.Window < 0:
		return errors.New("enrollment: the window must not be negative; write for example: enrollment open 14d")
	case p.Need.Fresh < 0 || p.Need.Fresh > 0 && p.Need.Fresh < MinFresh:
		return errors.New("fresh: must be one minute or more; write for example: fresh 10m")
	case !p.Need.Zero() && p.allowed()&PrimaryKinds == 0:
		return fmt.Errorf("factors: this route leaves no primary factor; the policy enables %s", p.Factors)
	}
	return nil
}
