package mfa

import "time"

// Campaign asks the members of an organization, or everybody, to set up a factor until a
// day (rule B37). There is one for each organization at most.
type Campaign struct {
	Organization OrganizationID `json:"organization,omitempty"` // empty: everybody
	// Factors are those of which one is the goal; 0: any primary factor that is enabled.
	Factors  Kinds     `json:"factors,omitempty"`
	Deadline time.Time `json:"deadline"`
	// Remind says how long before the deadline those who have none get a letter, the
	// longest first.
	Remind []time.Duration `json:"remind,omitempty"`
	// Require switches "require" on at the deadline: of the organization, or of the
	// gateway's policy.
	Require bool      `json:"require,omitempty"`
	Started time.Time `json:"started"`
	By      string    `json:"by,omitempty"`
	// Done is when the deadline was dealt with; zero: not yet.
	Done time.Time `json:"done,omitzero"`
	// Step is how many reminders were dealt with, and Cursor how far the next one has
	// come, so that a restart sends no letter twice to many.
	Step   int    `json:"step,omitempty"`
	Cursor string `json:"cursor,omitempty"`
	Sent   int    `json:"sent,omitempty"` // letters
}
