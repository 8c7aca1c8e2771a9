package mfa

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// OrganizationSettings is what an organization asks, in the words of the configuration.
// What is left out asks nothing.
type OrganizationSettings struct {
	Name    string `json:"name,omitempty"` // what people know it by
	Require bool   `json:"require"`        // a second factor of every member
	Factors []Kind `json:"factors,omitempty"`
	// Fresh is a duration such as "12h".
	Fresh             string `json:"fresh,omitempty"`
	PhishingResistant bool   `json:"phishing_resistant"`
	// Enrollment is "open", "open 14d", "confirm" or "pass"; empty: as the gateway's
	// policy says.
	Enrollment        string   `json:"enrollment,omitempty"`
	ForbidRemembering bool     `json:"forbid_remembering"`
	Domains           []string `json:"domains,omitempty"`
}

// SettingsOf writes what an organization asks.
func SettingsOf(o *Organization) OrganizationSettings {
	s := OrganizationSettings{
		Name: o.Name, Require: o.Require, Factors: o.Factors.List(), PhishingResistant: o.PhishingResistant,
		ForbidRemembering: o.NoRemembering, Domains: slices.Clone(o.Domains),
	}
	if o.Fresh > 0 {
		s.Fresh = DurationWords(o.Fresh)
	}
	if o.Enrollment != nil {
		s.Enrollment = o.Enrollment.String()
	}
	return s
}

// Read returns the organization of that ID that asks this, or a *OrganizationError that
// says what to write instead. Whether it fits the policy is for SetOrganization to say.
func (s OrganizationSettings) Read(id OrganizationID) (*Organization, error) {
	o, err := s.read(id)
	if err != nil {
		return nil, &OrganizationError{err}
	}
	return o, nil
}

func (s OrganizationSettings) read(id OrganizationID) (*Organization, error) {
	if _, err := ParseOrganizationID(string(id)); err != nil {
		return nil, err
	}
	if len(s.Name) > MaxOrganizationName {
		return nil, fmt.Errorf("name: is too long for a page; use %d bytes at most", MaxOrganizationName)
	}
	o := &Organization{
		ID: id, Name: s.Name, Require: s.Require, PhishingResistant: s.PhishingResistant,
		NoRemembering: s.ForbidRemembering, Domains: slices.Clone(s.Domains),
	}
	var err error
	if s.Factors != nil {
		var names []string
		for _, k := range s.Factors {
			names = append(names, string(k))
		}
		if o.Factors, err = ParseKinds(names); err != nil {
			return nil, err
		}
	}
	if s.Fresh != "" {
		var fresh time.Duration
		if fresh, err = ParseDuration(s.Fresh); err != nil || fresh < MinFresh {
			return nil, errors.New("fresh: must be one minute or more; write for example 12h")
		}
		o.Fresh = fresh
	}
	if s.Enrollment != "" {
		e, err := ParseEnrollment(strings.Fields(s.Enrollment))
		if err != nil {
			return nil, err
		}
		o.Enrollment = &e
	}
	return o, nil
}

// MaxOrganizationName is how many bytes the name of an organization may have.
const MaxOrganizationName = 64
