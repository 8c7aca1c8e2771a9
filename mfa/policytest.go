package mfa

import (
	"context"
	"errors"
	"fmt"
)

// PolicyTest says what a change of the policy would do. Nothing was changed.
type PolicyTest struct {
	// Changes are the fields that would have another value.
	Changes []FieldChange `json:"changes"`
	// Refused says why it would not be done; Lockout that it could be forced.
	Refused string `json:"refused,omitempty"`
	Lockout bool   `json:"lockout,omitempty"`
	Users   int    `json:"users"` // who are enabled
	// Stopped and WouldStop are how many of them have no factor that counts where one is
	// required, as it is and as it would be: they would have to set one up first.
	Stopped   int `json:"stopped"`
	WouldStop int `json:"would_stop"`
	// Closed says that they could not do that with their password alone (rule B17).
	Closed bool `json:"closed"`
}

// FieldChange is one field of the policy before and after.
type FieldChange struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// TestPolicy says what SetPolicy would do with these words, or, with none, ClearPolicy.
// It takes the power to read the policy and users. *PolicyError where the words are not
// understood.
func (a *Administration) TestPolicy(ctx context.Context, field string, words []string) (*PolicyTest, error) {
	if err := a.may(ReadPolicy, nil); err != nil {
		return nil, err
	}
	if err := a.may(ReadUsers, nil); err != nil {
		return nil, err
	}
	f, err := fieldNamed(field)
	if err != nil {
		return nil, err
	}
	p := a.g.cfg.Policies
	if p == nil {
		return nil, errNoPolicies
	}
	change := func(s *PolicySettings) error { f.clear(s); return nil }
	if len(words) > 0 {
		if err := f.set(new(PolicySettings), words); err != nil {
			return nil, &PolicyError{err}
		}
		change = func(s *PolicySettings) error { return f.set(s, words) }
	}
	before := p.Current()
	t := &PolicyTest{Changes: []FieldChange{}}
	after, err := p.preview(ctx, before, change)
	var wrong *PolicyError
	switch {
	case errors.As(err, &wrong), errors.Is(err, ErrNotAllowed):
		t.Refused = err.Error()
		return t, nil
	case err != nil:
		return nil, err
	}
	for _, f := range policyFields {
		if was, is := f.holds(before), f.holds(after); was != is {
			t.Changes = append(t.Changes, FieldChange{f.Name, was, is})
		}
	}
	var lockout *LockoutError
	if err := a.g.checkLockout(ctx, before, after); errors.As(err, &lockout) {
		t.Refused, t.Lockout = lockout.Reason, true
	} else if err != nil {
		return nil, err
	}
	sets, err := a.g.cfg.Store.CountUsers(ctx)
	if err != nil {
		return nil, fmt.Errorf("counting users: %w", err)
	}
	for held, n := range sets {
		t.Users += n
		if before.stops(held) {
			t.Stopped += n
		}
		if after.stops(held) {
			t.WouldStop += n
		}
	}
	t.Closed = !after.Enrollment.Open
	return t, nil
}

// stops reports whether the gateway's own policy lets nobody in who holds just these,
// before they have set up a factor.
func (p *Policy) stops(held Kinds) bool {
	return !p.Off && !p.Optional && !p.ReportOnly && held&p.Factors&PrimaryKinds == 0
}
