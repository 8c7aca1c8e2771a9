package mfa

import "time"

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
	Notes []AccessNote `json:"notes,omitempty"`
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
	From string `json:"from"` // where it stands, in words

	// Source is where it stands: FromPolicy, FromOrganization or FromRoute; and Of what of
	// it: FromConfiguration, FromStore or FromDefault; the organization; the gate.
	Source string `json:"source"`
	Of     string `json:"of"`
	// Only, where it is not empty, says that the route is for members of that organization;
	// and Missing that there is none of that name, so that nobody is one.
	Only    OrganizationID `json:"-"`
	Missing bool           `json:"-"`
	// ByAddress says that the user is a member of the organization by the address.
	ByAddress bool `json:"by_address,omitempty"`
}

// Where a part of what is asked stands.
const (
	FromPolicy       = "policy"
	FromOrganization = "organization"
	FromRoute        = "route"
)

// AccessFactor is what one credential is worth at an address.
type AccessFactor struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name,omitempty"`
	Counts bool   `json:"counts"`
	Why    string `json:"why,omitempty"` // it does not

	Reason FactorReason `json:"reason,omitempty"` // the same as a word
	Host   string       `json:"host,omitempty"`   // for which a passkey was made, where it is another
}

// FactorReason is why a credential does not count at an address.
type FactorReason string

// The reasons. Empty: it counts.
const (
	FactorUsedUp     FactorReason = "used_up"
	FactorNotEnabled FactorReason = "not_enabled"
	FactorNotAsked   FactorReason = "not_asked"
	FactorLocked     FactorReason = "locked"
	FactorNotHere    FactorReason = "not_here"
	FactorOtherHost  FactorReason = "other_host"
	FactorNoSender   FactorReason = "no_sender"
)

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

	Stage  AccessStage `json:"stage"`
	Proven Kind        `json:"proven,omitempty"` // the second factor of that stage
	Name   string      `json:"name,omitempty"`   // of that factor
	Begun  time.Time   `json:"begun,omitzero"`   // when the session began
	Agent  string      `json:"agent,omitempty"`  // its browser
}

// AccessStage is how far somebody has come on the way in.
type AccessStage string

// The stages.
const (
	StageNobody   AccessStage = "nobody"
	StagePassword AccessStage = "password"
	StageFactor   AccessStage = "factor"
	StageSession  AccessStage = "session"
)
