package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// PolicyInfo is the gateway's policy as it holds, for administrators.
type PolicyInfo struct {
	// Warnings say what is dangerous about it, and what of the store does not hold.
	Warnings []string    `json:"warnings,omitempty"`
	Fields   []FieldInfo `json:"fields"`
}

// FieldInfo is one field of the policy, in the words of the configuration.
type FieldInfo struct {
	Field string `json:"field"`
	Value string `json:"value"` // empty: it has no meaning beside the others
	From  string `json:"from"`  // FromConfiguration, FromStore or FromDefault
	// Stored is what an administrator has set and what does not hold.
	Stored string `json:"stored,omitempty"`
	// Values says what can stand in it.
	Values string `json:"values"`
	// Fixed says that the configuration names it, which alone can change it.
	Fixed bool `json:"fixed"`
}

// Where a field of the policy comes from.
const (
	FromConfiguration = "configuration"
	FromStore         = "stored"
	FromDefault       = "default"
)

// MaxRemember is the longest that a browser may stand for a second factor.
const MaxRemember = 365 * 24 * time.Hour

// PolicyField is one field that administrators can set.
type PolicyField struct {
	Name   string // as the configuration names it
	Values string // what can stand in it, in words

	set    func(s *PolicySettings, words []string) error
	clear  func(s *PolicySettings)
	holds  func(p *Policy) string
	stored func(s *PolicySettings) string // empty: not set
}

// policyFields stand in the order of the documents.
var policyFields = []PolicyField{
	{
		"factors", "passkey totp sms email backup_code, or off",
		func(s *PolicySettings, words []string) error {
			if len(words) == 1 && words[0] == "off" {
				s.Factors, s.Off = nil, true
				return nil
			}
			kinds, err := ParseKinds(words)
			s.Factors, s.Off = &kinds, false
			return err
		},
		func(s *PolicySettings) { s.Factors, s.Off = nil, false },
		func(p *Policy) string {
			if p.Off {
				return "off"
			}
			return p.Factors.String()
		},
		func(s *PolicySettings) string {
			switch {
			case s.Off:
				return "off"
			case s.Factors != nil:
				return s.Factors.String()
			}
			return ""
		},
	},
	fieldOf("require", "on or off", func(s *PolicySettings) **bool { return &s.Optional }, requireOf,
		func(optional bool) string { return onOff(!optional) }, func(p *Policy) bool { return p.Optional }),
	fieldOf("prompt", "at_registration, at_next_sign_in or never", func(s *PolicySettings) **Prompt { return &s.Prompt },
		oneWord("prompt", ParsePrompt), Prompt.String, func(p *Policy) Prompt { return p.Prompt }),
	fieldOf("organization_required", "at_sign_in or at_access",
		func(s *PolicySettings) **OrganizationRequired { return &s.OrganizationRequired },
		oneWord("organization_required", ParseOrganizationRequired), OrganizationRequired.String,
		func(p *Policy) OrganizationRequired { return p.OrganizationRequired }),
	fieldOf("enrollment", "open, open 14d, confirm or pass", func(s *PolicySettings) **Enrollment { return &s.Enrollment },
		ParseEnrollment, Enrollment.String, func(p *Policy) Enrollment { return p.Enrollment }),
	fieldOf("grace", "a duration such as 7d, or 0", func(s *PolicySettings) **time.Duration { return &s.Grace },
		durationOf("grace", "7d"), DurationWords, func(p *Policy) time.Duration { return p.Grace }),
	fieldOf("remember_device", "a duration such as 30d, or 0", func(s *PolicySettings) **time.Duration { return &s.RememberDevice },
		durationOf("remember_device", "30d"), DurationWords, func(p *Policy) time.Duration { return p.RememberDevice }),
	fieldOf("auto_enroll", "on or off", func(s *PolicySettings) **bool { return &s.AutoEnroll },
		switchOf("auto_enroll"), onOff, func(p *Policy) bool { return p.AutoEnroll }),
	fieldOf("report_only", "on or off", func(s *PolicySettings) **bool { return &s.ReportOnly },
		switchOf("report_only"), onOff, func(p *Policy) bool { return p.ReportOnly }),
}

// PolicyFields returns the fields that administrators can set, in the order of the
// documents.
func PolicyFields() []PolicyField { return slices.Clone(policyFields) }

// fieldOf makes a field out of where it stands in the settings, how its words are read
// and written, and where it stands in the policy.
func fieldOf[T any](name, values string, at func(*PolicySettings) **T, read func([]string) (T, error), write func(T) string, in func(*Policy) T) PolicyField {
	return PolicyField{
		Name: name, Values: values,
		set: func(s *PolicySettings, words []string) error {
			v, err := read(words)
			*at(s) = &v
			return err
		},
		clear: func(s *PolicySettings) { *at(s) = nil },
		holds: func(p *Policy) string { return write(in(p)) },
		stored: func(s *PolicySettings) string {
			if v := *at(s); v != nil {
				return write(*v)
			}
			return ""
		},
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// oneWord reads a field of one word.
func oneWord[T any](field string, parse func(string) (T, error)) func([]string) (T, error) {
	return func(words []string) (T, error) {
		if len(words) != 1 {
			var none T
			return none, fmt.Errorf("%s: is one word", field)
		}
		return parse(words[0])
	}
}

func switchOf(field string) func([]string) (bool, error) {
	return oneWord(field, func(word string) (bool, error) {
		if word != "on" && word != "off" {
			return false, fmt.Errorf("%s: %q is neither on nor off", field, word)
		}
		return word == "on", nil
	})
}

// requireOf reads "require", whose opposite the policy keeps.
func requireOf(words []string) (optional bool, err error) {
	on, err := switchOf("require")(words)
	return !on, err
}

func durationOf(field, example string) func([]string) (time.Duration, error) {
	return oneWord(field, func(word string) (time.Duration, error) {
		d, err := ParseDuration(word)
		switch {
		case err != nil:
			return 0, fmt.Errorf("%s: %q is no duration; write for example %s, or 0", field, word, example)
		case field == "remember_device" && d > MaxRemember:
			return 0, errors.New("remember_device: must be 365 days or less; write for example 30d")
		}
		return d, nil
	})
}

// fieldNamed returns the field, or a *PolicyError that names those that there are.
func fieldNamed(name string) (PolicyField, error) {
	var names []string
	for _, f := range policyFields {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return PolicyField{}, &PolicyError{fmt.Errorf("policy: there is no field %q; there are %s", name, strings.Join(names, ", "))}
}

// errNoPolicies says that this gate was made with a policy that nobody can change.
var errNoPolicies = errors.New("this gateway's policy cannot be read or changed here")

// Policy returns the gateway's policy as it holds, and where each field of it comes from.
// ErrNotAllowed; any other error means that it cannot be read now.
func (a *Administration) Policy(ctx context.Context) (*PolicyInfo, error) {
	if err := a.may(ReadPolicy, nil); err != nil {
		return nil, err
	}
	if a.g.cfg.Policies == nil {
		return nil, errNoPolicies
	}
	return a.g.cfg.Policies.info(ctx)
}

// SetPolicy sets a field of the policy that the configuration does not name; words are
// those of the configuration. It holds from the next request on. ErrNotAllowed where the
// configuration names it; *PolicyError where the words, or the policy that comes of them,
// could not be (rule B1); *LockoutError, unless forced, where no administrator could
// still sign in; ErrBusy.
func (a *Administration) SetPolicy(ctx context.Context, field string, words []string, force bool) error {
	f, err := fieldNamed(field)
	if err == nil {
		if len(words) == 0 {
			err = &PolicyError{fmt.Errorf("policy: say what %s is to be: %s", f.Name, f.Values)}
		} else if wrong := f.set(new(PolicySettings), words); wrong != nil {
			err = &PolicyError{wrong}
		}
	}
	if err != nil {
		// Words that were not understood may be anything, and are not kept.
		return a.policyRefused(ctx, "policy set "+f.Name, err)
	}
	return a.changePolicy(ctx, "policy set "+f.Name+" "+strings.Join(words, " "), force,
		func(s *PolicySettings) error { return f.set(s, words) })
}

// ClearPolicy takes away what was set for a field by an administrator, so that the
// configuration or the default holds. Where nothing was set, nothing is done. The errors
// are those of SetPolicy.
func (a *Administration) ClearPolicy(ctx context.Context, field string, force bool) error {
	f, err := fieldNamed(field)
	if err != nil {
		return a.policyRefused(ctx, "policy clear", err)
	}
	what := "policy clear " + f.Name
	if err := a.may(ChangePolicy, nil); err != nil {
		return a.policyRefused(ctx, what, err)
	}
	if a.g.cfg.Policies == nil {
		return errNoPolicies
	}
	before, err := a.g.cfg.Policies.Stored(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("reading the policy: %w", err)
	case f.stored(&before) == "" && a.g.cfg.Policies.configured.Names(f.Name):
		return a.policyRefused(ctx, what, fmt.Errorf("%s: %w: the configuration says so; change it there", f.Name, ErrNotAllowed))
	case f.stored(&before) == "":
		return nil
	}
	return a.changePolicy(ctx, what, force, func(s *PolicySettings) error {
		f.clear(s)
		return nil
	})
}

// policyRefused records what was not done to the policy. Whoever may not change it learns
// nothing but that.
func (a *Administration) policyRefused(ctx context.Context, what string, err error) error {
	if denied := a.may(ChangePolicy, nil); denied != nil {
		err = denied
	}
	a.refused(ctx, nil, what, err)
	return err
}

func (a *Administration) changePolicy(ctx context.Context, what string, force bool, change func(*PolicySettings) error) error {
	if err := a.may(ChangePolicy, nil); err != nil {
		return a.policyRefused(ctx, what, err)
	}
	if a.g.cfg.Policies == nil {
		return errNoPolicies
	}
	if force {
		what += " (forced)"
	}
	// Nobody takes an administrator's role, or the factor that they would need, away
	// between the look and the write.
	return a.withRoles(ctx, nil, what, func(ctx context.Context) error {
		before := a.g.cfg.Policies.Current()
		after, err := a.g.cfg.Policies.preview(ctx, before, change)
		if err == nil && !force {
			err = a.g.checkLockout(ctx, before, after)
		}
		if err != nil {
			a.refused(ctx, nil, what, err)
			return err
		}
		return a.act(ctx, nil, what, func() error { return a.g.cfg.Policies.Set(ctx, change) })
	})
}

// info says how the policy holds, and where each of its fields comes from.
func (p *Policies) info(ctx context.Context) (*PolicyInfo, error) {
	now := p.Current()
	if now == nil {
		return nil, errors.New("the policy cannot be read now, and nobody is let in until it can be; the log says why")
	}
	stored, err := p.Stored(ctx)
	if err != nil {
		return nil, err // it says what was being done
	}
	info := new(PolicyInfo)
	if now.Off {
		info.Warnings = append(info.Warnings, "2-STEP VERIFICATION IS OFF: a password alone opens every protected app.")
	}
	if now.ReportOnly {
		info.Warnings = append(info.Warnings, "REPORT ONLY: nobody is asked for a second factor, and a password alone opens every protected app.")
	}
	usual := DefaultPolicy()
	for _, f := range policyFields {
		fixed := p.configured.Names(f.Name)
		line := FieldInfo{Field: f.Name, Value: f.holds(now), From: FromDefault, Stored: f.stored(&stored), Values: f.Values, Fixed: fixed}
		switch {
		case fixed:
			line.From = FromConfiguration
		case line.Stored == "":
		case line.Stored == line.Value:
			line.From, line.Stored = FromStore, ""
		default:
			if line.Value != f.holds(&usual) {
				line.From = FromStore // a part of it
			}
			info.Warnings = append(info.Warnings, fmt.Sprintf("%s: what is stored (%s) does not fit this configuration, and does not hold as it is.", f.Name, line.Stored))
		}
		if f.Name == "prompt" && !now.Optional {
			line.Value = ""
		}
		info.Fields = append(info.Fields, line)
	}
	return info, nil
}
