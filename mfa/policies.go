package mfa

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// PolicySettings are those fields of the gateway's policy that somebody has set: in
// the configuration, or an administrator in the store. nil is not set.
type PolicySettings struct {
	Factors              *Kinds                `json:"factors,omitempty"`
	Off                  bool                  `json:"off,omitempty"` // "factors off"
	Optional             *bool                 `json:"optional,omitempty"`
	Prompt               *Prompt               `json:"prompt,omitempty"`
	Grace                *time.Duration        `json:"grace,omitempty"`
	Enrollment           *Enrollment           `json:"enrollment,omitempty"`
	OrganizationRequired *OrganizationRequired `json:"organization_required,omitempty"`
	RememberDevice       *time.Duration        `json:"remember_device,omitempty"`
	AutoEnroll           *bool                 `json:"auto_enroll,omitempty"`
	ReportOnly           *bool                 `json:"report_only,omitempty"`
}

// Over returns s with what it leaves out taken from lower.
func (s PolicySettings) Over(lower PolicySettings) PolicySettings {
	if s.Factors == nil && !s.Off {
		s.Factors, s.Off = lower.Factors, lower.Off
	}
	s.Optional = orElse(s.Optional, lower.Optional)
	s.Prompt = orElse(s.Prompt, lower.Prompt)
	s.Grace = orElse(s.Grace, lower.Grace)
	s.Enrollment = orElse(s.Enrollment, lower.Enrollment)
	s.OrganizationRequired = orElse(s.OrganizationRequired, lower.OrganizationRequired)
	s.RememberDevice = orElse(s.RememberDevice, lower.RememberDevice)
	s.AutoEnroll = orElse(s.AutoEnroll, lower.AutoEnroll)
	s.ReportOnly = orElse(s.ReportOnly, lower.ReportOnly)
	return s
}

// values returns what is set, by the names of the Caddyfile.
func (s PolicySettings) values() map[string]any {
	list := make(map[string]any)
	switch {
	case s.Off:
		list["factors"] = Kinds(0)
	case s.Factors != nil:
		list["factors"] = *s.Factors
	}
	value(list, "require", s.Optional)
	value(list, "prompt", s.Prompt)
	value(list, "grace", s.Grace)
	value(list, "enrollment", s.Enrollment)
	value(list, "organization_required", s.OrganizationRequired)
	value(list, "remember_device", s.RememberDevice)
	value(list, "auto_enroll", s.AutoEnroll)
	value(list, "report_only", s.ReportOnly)
	return list
}

func value[T any](list map[string]any, name string, v *T) {
	if v != nil {
		list[name] = *v
	}
}

// Names reports whether s sets the field of that name, as the Caddyfile names it.
func (s PolicySettings) Names(field string) bool { return s.values()[field] != nil }

func orElse[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// Policy returns the policy that the settings make, with the defaults for the rest, or
// what is wrong with it. have are the factors that this gateway can carry out.
func (s PolicySettings) Policy(have Kinds) (Policy, error) {
	p := DefaultPolicy()
	if s.Prompt != nil && (s.Optional == nil || !*s.Optional) {
		// at_registration is the zero value, which Validate cannot tell from silence.
		return p, errors.New("prompt: has a meaning only with \"require off\"; remove it, or add \"require off\"")
	}
	set(&p.Factors, s.Factors)
	if s.Off {
		p.Factors, p.Off = 0, true
	}
	set(&p.Optional, s.Optional)
	set(&p.Prompt, s.Prompt)
	set(&p.Grace, s.Grace)
	set(&p.Enrollment, s.Enrollment)
	set(&p.OrganizationRequired, s.OrganizationRequired)
	set(&p.RememberDevice, s.RememberDevice)
	set(&p.AutoEnroll, s.AutoEnroll)
	set(&p.ReportOnly, s.ReportOnly)
	return p, p.Validate(have)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// PolicyStore keeps what administrators set of the gateway's policy.
type PolicyStore interface {
	Organizations
	// PolicySettings returns what is kept; nothing set where nothing was kept.
	PolicySettings(ctx context.Context) (PolicySettings, error)
	// UpdatePolicySettings is UpdateUser for the one record of settings. It calls
	// what OnOrganizationChange registered as well.
	UpdatePolicySettings(ctx context.Context, change func(*PolicySettings) error) error
}

// Policies is the gateway's policy as it holds now: what the configuration sets, what
// administrators set where it is silent, and the organizations of both. It is safe
// for concurrent use; Current takes no lock.
type Policies struct {
	configured PolicySettings
	declared   []*Organization
	have       Kinds
	store      PolicyStore
	warn       func(error) // told what of the store does not fit any more
	events     Events
	now        func() time.Time

	current atomic.Pointer[Policy]
	mu      sync.Mutex // one load at a time; guards read
	read    policyRead
	mending sync.Mutex // guards mended: when a read was tried again after it had failed
	mended  time.Time
	remove  func()
}

// policyRead is what was read of the store.
type policyRead struct {
	stored PolicySettings
	list   []*Organization
}

// PoliciesConfig is what Policies are made of. Every field without a note is required.
type PoliciesConfig struct {
	Configured PolicySettings
	Declared   []*Organization // of the configuration; they hide those of the store
	Have       Kinds           // factors that this gateway can carry out
	Store      PolicyStore
	Warn       func(error)      // nil: nobody is told
	Events     Events           // told when Set switches 2-step verification off; nil: nobody is
	Now        func() time.Time // nil: time.Now
}

// NewPolicies loads the policy and follows the store's changes until Close. What the
// configuration says must be valid by itself; what the store says beside it holds with
// the part removed that does not fit, never weaker (rule B1).
func NewPolicies(ctx context.Context, cfg PoliciesConfig) (*Policies, error) {
	p := &Policies{configured: cfg.Configured, declared: cfg.Declared, have: cfg.Have, store: cfg.Store, warn: cfg.Warn, events: cfg.Events, now: cfg.Now}
	if p.warn == nil {
		p.warn = func(error) {}
	}
	if p.now == nil {
		p.now = time.Now
	}
	if _, err := cfg.Configured.Policy(cfg.Have); err != nil {
		return nil, err
	}
	p.remove = cfg.Store.OnOrganizationChange(func() {
		// The change is committed; where it cannot be read now, the policy before it
		// would go on in silence, and so nobody is let in until it can be.
		if err := p.load(context.Background()); err != nil {
			p.current.Store(nil)
			p.warn(fmt.Errorf("reading the policy: %w", err))
		}
	})
	if err := p.load(ctx); err != nil {
		p.remove()
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	return p, nil
}

// Current returns the policy as it holds now, or nil where it could not be read: then
// nobody is let in. It must not be changed.
func (p *Policies) Current() *Policy {
	if policy := p.current.Load(); policy != nil {
		return policy
	}
	// Asked again by whoever comes next, so that one failed read does not last: by one
	// of them, once a second, because a store that hangs must not make all of them wait.
	if !p.mending.TryLock() {
		return nil
	}
	defer p.mending.Unlock()
	if time.Since(p.mended) < time.Second {
		return p.current.Load()
	}
	err := p.load(context.Background())
	p.mended = time.Now()
	if err != nil {
		return nil
	}
	return p.current.Load()
}

// Close ends the following of the store.
func (p *Policies) Close() { p.remove() }

// Configured returns what the configuration says of the policy.
func (p *Policies) Configured() PolicySettings { return p.configured }

// Have returns the factors that this gateway can carry out.
func (p *Policies) Have() Kinds { return p.have }

// CanConfirm reports whether a code can be sent to an address on file (rule B17).
func (p *Policies) CanConfirm() bool { return p.have&KindsOf(SMS, Email) != 0 }

// Stored returns what administrators have set, whether it holds or not.
func (p *Policies) Stored(ctx context.Context) (PolicySettings, error) {
	return p.store.PolicySettings(ctx)
}

// Set changes what administrators have set; it holds from the next request on. change
// may run more than once and must only replace fields. Who did it is for the caller to
// record (Administration.SetPolicy). ErrNotAllowed for a field that the configuration
// names, which can only be taken away from what is stored; *PolicyError where the policy
// that comes of it, or an organization under it, could not be (rule B1).
func (p *Policies) Set(ctx context.Context, change func(*PolicySettings) error) error {
	before := p.Current()
	if before == nil {
		return errNoPolicy
	}
	err := p.store.UpdatePolicySettings(ctx, func(s *PolicySettings) error { return p.apply(before, s, change) })
	if now := p.current.Load(); err == nil && now != nil && now.Off && !before.Off {
		p.record(ctx, Event{Name: EventMFAOff, OK: true}) // rule B2
	}
	return err
}

func (p *Policies) record(ctx context.Context, e Event) {
	if p.events != nil {
		e.At = p.now()
		p.events.Record(ctx, e)
	}
}

var errNoPolicy = errors.New("the policy cannot be read now, and nobody is let in until it can be")

// preview returns the policy that a change would make, or why there can be none.
func (p *Policies) preview(ctx context.Context, now *Policy, change func(*PolicySettings) error) (*Policy, error) {
	if now == nil {
		return nil, errNoPolicy
	}
	s, err := p.Stored(ctx)
	if err != nil {
		return nil, err // it says what was being done
	}
	if err := p.apply(now, &s, change); err != nil {
		return nil, err
	}
	after, err := p.configured.Over(s).Policy(p.have)
	after.Organizations = now.Organizations
	return &after, err
}

// apply changes the settings, and answers an error where that could not hold.
func (p *Policies) apply(now *Policy, s *PolicySettings, change func(*PolicySettings) error) error {
	before := s.values()
	if err := change(s); err != nil {
		return err
	}
	after := s.values()
	for field := range p.configured.values() {
		if after[field] != nil && after[field] != before[field] {
			return fmt.Errorf("%s: %w: the configuration says so; change it there", field, ErrNotAllowed)
		}
	}
	return p.check(now, *s, after["enrollment"] != before["enrollment"])
}

// check returns what would be wrong with the policy under those settings.
func (p *Policies) check(now *Policy, s PolicySettings, enrollment bool) error {
	policy, err := p.configured.Over(s).Policy(p.have)
	if err != nil {
		return &PolicyError{err}
	}
	if enrollment && s.Enrollment != nil && s.Enrollment.Confirm && !p.CanConfirm() {
		return &PolicyError{errCannotConfirm}
	}
	for _, o := range now.Organizations.List() {
		// One that does not fit already is none the worse for it.
		if err := o.Validate(&policy); err != nil && o.Validate(now) == nil {
			return &PolicyError{fmt.Errorf("organization %s would not fit: %w", o.ID, err)}
		}
	}
	return nil
}

var errCannotConfirm = errors.New("enrollment: confirm sends a code to the address on file, and there is nothing to send it with; write: pass")

// PolicyError says what is wrong with a policy.
type PolicyError struct{ Err error }

// Error says what to write instead.
func (e *PolicyError) Error() string { return e.Err.Error() }

func (p *Policies) load(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	stored, err := p.store.PolicySettings(ctx)
	if err != nil {
		return err
	}
	list, err := p.store.ListOrganizations(ctx)
	if err != nil {
		return err
	}
	now := policyRead{stored, list}
	if p.current.Load() != nil && reflect.DeepEqual(p.read, now) {
		return nil // what was made of it holds, and what hangs on its address with it
	}
	policy := p.fit(stored)
	all := append([]*Organization(nil), p.declared...)
	for _, o := range list {
		all = append(all, p.fitOrganization(o, &policy))
	}
	policy.Organizations = NewDirectory(all)
	p.read = now
	p.current.Store(&policy)
	return nil
}

// fit puts what is stored under what is configured. What does not fit is left out, one
// field after the other until the rest does: first the factors that cannot be carried
// out any more. What was stored to be stricter, such as "enrollment pass", stays.
func (p *Policies) fit(stored PolicySettings) Policy {
	policy, err := p.configured.Over(stored).Policy(p.have)
	if err == nil {
		return policy
	}
	p.warn(fmt.Errorf("the stored policy does not fit this configuration, and holds without the part that does not: %w", err))
	for _, leaveOut := range []func(){
		func() {
			if stored.Factors != nil {
				left := *stored.Factors & p.have
				stored.Factors = &left
			}
		},
		func() { stored.AutoEnroll = nil },
		func() { stored.Prompt = nil },
		func() { stored.Grace = nil },
		func() { stored.Optional = nil },
		func() { stored.Factors, stored.Off = nil, false },
	} {
		leaveOut()
		if policy, err = p.configured.Over(stored).Policy(p.have); err == nil {
			return policy
		}
	}
	policy, _ = p.configured.Policy(p.have) // it was checked when it was loaded
	return policy
}

// fitOrganization is fit for an organization. One whose factors are all switched off
// keeps them: its routes then refuse everybody, which is stricter than letting its
// members in with less.
func (p *Policies) fitOrganization(o *Organization, policy *Policy) *Organization {
	err := o.Validate(policy)
	if err == nil {
		return o
	}
	p.warn(fmt.Errorf("the stored organization %s does not fit this configuration, and holds without the part that does not: %w", o.ID, err))
	fitted := *o
	if left := o.Factors & policy.Factors; left&PrimaryKinds != 0 {
		fitted.Factors = left
	}
	return &fitted
}
