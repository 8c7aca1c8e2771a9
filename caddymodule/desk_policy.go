package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/secondgate/secondgate/mfa"
)

// policyInfo is the policy as it holds.
type policyInfo struct {
	Warnings []string    `json:"warnings,omitempty"`
	Fields   []fieldInfo `json:"fields"`
}

// fieldInfo is one field of the policy, in the words of the configuration.
type fieldInfo struct {
	Field string `json:"field"`
	Value string `json:"value"` // empty: it has no meaning beside the others
	From  string `json:"from"`
	// Stored is what an administrator has set and what does not hold.
	Stored string `json:"stored,omitempty"`
}

// Where a field of the policy comes from.
const (
	fromConfiguration = "configuration"
	fromStore         = "stored"
	fromDefault       = "default"
)

// policyField is one field that administrators can set. Its name is that of the
// configuration.
type policyField struct {
	name, values string
	set          func(s *mfa.PolicySettings, words []string) error
	clear        func(s *mfa.PolicySettings)
	holds        func(p *mfa.Policy) string
	stored       func(s *mfa.PolicySettings) string // empty: not set
}

// policyFields stand in the order of the documents.
var policyFields = []policyField{
	{
		"factors", "passkey totp sms email backup_code, or off",
		func(s *mfa.PolicySettings, words []string) error {
			if len(words) == 1 && words[0] == "off" {
				s.Factors, s.Off = nil, true
				return nil
			}
			kinds, err := parseKinds(words)
			s.Factors, s.Off = &kinds, false
			return err
		},
		func(s *mfa.PolicySettings) { s.Factors, s.Off = nil, false },
		func(p *mfa.Policy) string {
			if p.Off {
				return "off"
			}
			return p.Factors.String()
		},
		func(s *mfa.PolicySettings) string {
			switch {
			case s.Off:
				return "off"
			case s.Factors != nil:
				return s.Factors.String()
			}
			return ""
		},
	},
	fieldOf("require", "on or off", func(s *mfa.PolicySettings) **bool { return &s.Optional }, requireOf,
		func(optional bool) string { return onOff(!optional) }, func(p *mfa.Policy) bool { return p.Optional }),
	fieldOf("prompt", "at_registration, at_next_sign_in or never", func(s *mfa.PolicySettings) **mfa.Prompt { return &s.Prompt },
		oneWord("prompt", mfa.ParsePrompt), mfa.Prompt.String, func(p *mfa.Policy) mfa.Prompt { return p.Prompt }),
	fieldOf("organization_required", "at_sign_in or at_access",
		func(s *mfa.PolicySettings) **mfa.OrganizationRequired { return &s.OrganizationRequired },
		oneWord("organization_required", mfa.ParseOrganizationRequired), mfa.OrganizationRequired.String,
		func(p *mfa.Policy) mfa.OrganizationRequired { return p.OrganizationRequired }),
	fieldOf("enrollment", "open, open 14d, confirm or pass", func(s *mfa.PolicySettings) **mfa.Enrollment { return &s.Enrollment },
		func(words []string) (mfa.Enrollment, error) {
			e, err := enrollmentOf(words)
			if err != nil {
				return mfa.Enrollment{}, err
			}
			return e.read()
		}, enrollmentWords, func(p *mfa.Policy) mfa.Enrollment { return p.Enrollment }),
	fieldOf("grace", "a duration such as 7d, or 0", func(s *mfa.PolicySettings) **time.Duration { return &s.Grace },
		durationOf("grace", "7d"), durationWords, func(p *mfa.Policy) time.Duration { return p.Grace }),
	fieldOf("remember_device", "a duration such as 30d, or 0", func(s *mfa.PolicySettings) **time.Duration { return &s.RememberDevice },
		durationOf("remember_device", "30d"), durationWords, func(p *mfa.Policy) time.Duration { return p.RememberDevice }),
	fieldOf("auto_enroll", "on or off", func(s *mfa.PolicySettings) **bool { return &s.AutoEnroll },
		switchOf("auto_enroll"), onOff, func(p *mfa.Policy) bool { return p.AutoEnroll }),
	fieldOf("report_only", "on or off", func(s *mfa.PolicySettings) **bool { return &s.ReportOnly },
		switchOf("report_only"), onOff, func(p *mfa.Policy) bool { return p.ReportOnly }),
}

// fieldOf makes a field out of where it stands in the settings, how its words are read
// and written, and where it stands in the policy.
func fieldOf[T any](name, values string, at func(*mfa.PolicySettings) **T, read func([]string) (T, error), write func(T) string, in func(*mfa.Policy) T) policyField {
	return policyField{
		name: name, values: values,
		set: func(s *mfa.PolicySettings, words []string) error {
			v, err := read(words)
			*at(s) = &v
			return err
		},
		clear: func(s *mfa.PolicySettings) { *at(s) = nil },
		holds: func(p *mfa.Policy) string { return write(in(p)) },
		stored: func(s *mfa.PolicySettings) string {
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
		d, err := caddy.ParseDuration(word)
		switch {
		case err != nil || d < 0:
			return 0, fmt.Errorf("%s: %q is no duration; write for example %s, or 0", field, word, example)
		case field == "remember_device" && d > maxRemember:
			return 0, errors.New("remember_device: must be 365 days or less; write for example 30d")
		}
		return d, nil
	})
}

// policy carries out what is about the gateway's policy.
func (d desk) policy(ctx context.Context, op string, in adminRequest) (*adminAnswer, error) {
	if op == opPolicyShow {
		info, err := d.policyInfo(ctx)
		return &adminAnswer{Policy: info}, err
	}
	i := slices.IndexFunc(policyFields, func(f policyField) bool { return f.name == in.Field })
	if i < 0 {
		var names []string
		for _, f := range policyFields {
			names = append(names, f.name)
		}
		return nil, wrong("policy: there is no field %q; there are %s", in.Field, strings.Join(names, ", "))
	}
	field := policyFields[i]
	before, err := d.policies.Stored(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	var done string
	switch {
	case op == opPolicySet:
		if len(in.Values) == 0 {
			return nil, wrong("policy: say what %s is to be: %s", field.name, field.values)
		}
		if err := field.set(new(mfa.PolicySettings), in.Values); err != nil {
			return nil, &inputError{err}
		}
		done = fmt.Sprintf("%s is set; it holds from the next request on.", field.name)
		err = d.policies.Set(ctx, "policy set "+field.name+" "+strings.Join(in.Values, " "),
			func(s *mfa.PolicySettings) error { return field.set(s, in.Values) })
	case field.stored(&before) == "" && d.policies.Configured().Names(field.name):
		err = fmt.Errorf("%s: %w: the configuration says so; change it there", field.name, mfa.ErrNotAllowed)
	case field.stored(&before) == "":
		done = fmt.Sprintf("%s was not set: nothing was changed.", field.name)
	default:
		done = fmt.Sprintf("What was stored for %s is gone.", field.name)
		err = d.policies.Set(ctx, "policy clear "+field.name, func(s *mfa.PolicySettings) error {
			field.clear(s)
			return nil
		})
	}
	if err != nil {
		return nil, err
	}
	info, err := d.policyInfo(ctx)
	return &adminAnswer{Done: done, Policy: info}, err
}

// policyInfo says how the policy holds, and where each of its fields comes from.
func (d desk) policyInfo(ctx context.Context) (*policyInfo, error) {
	p := d.policies.Current()
	if p == nil {
		return nil, errors.New("the policy cannot be read now, and nobody is let in until it can be; the log says why")
	}
	stored, err := d.policies.Stored(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	info := new(policyInfo)
	if p.Off {
		info.Warnings = append(info.Warnings, "2-STEP VERIFICATION IS OFF: a password alone opens every protected app.")
	}
	if p.ReportOnly {
		info.Warnings = append(info.Warnings, "REPORT ONLY: nobody is asked for a second factor, and a password alone opens every protected app.")
	}
	configured, usual := d.policies.Configured(), mfa.DefaultPolicy()
	for _, f := range policyFields {
		line := fieldInfo{Field: f.name, Value: f.holds(p), From: fromDefault, Stored: f.stored(&stored)}
		switch {
		case configured.Names(f.name):
			line.From = fromConfiguration
		case line.Stored == "":
		case line.Stored == line.Value:
			line.From, line.Stored = fromStore, ""
		default:
			if line.Value != f.holds(&usual) {
				line.From = fromStore // a part of it
			}
			info.Warnings = append(info.Warnings, fmt.Sprintf("%s: what is stored (%s) does not fit this configuration, and does not hold as it is.", f.name, line.Stored))
		}
		if f.name == "prompt" && !p.Optional {
			line.Value = ""
		}
		info.Fields = append(info.Fields, line)
	}
	return info, nil
}
