package caddymodule

import (
	"time"

	"github.com/secondgate/secondgate/doctor"
	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// adminRequest is what an operation needs.
type adminRequest struct {
	Name          string   `json:"name,omitempty"`
	DisplayName   string   `json:"display_name,omitempty"`
	Email         string   `json:"email,omitempty"`
	Phone         string   `json:"phone,omitempty"`
	Groups        []string `json:"groups,omitempty"`
	Organizations []string `json:"organizations,omitempty"`
	Role          string   `json:"role,omitempty"`     // "admin", "auditor", "none"
	AdminOf       []string `json:"admin_of,omitempty"` // organizations
	Factor        string   `json:"factor,omitempty"`   // empty: all
	Credential    string   `json:"credential,omitempty"`
	Session       string   `json:"session,omitempty"`  // handle; empty: all
	URL           string   `json:"url,omitempty"`      // the host that a link is for
	AnyHost       bool     `json:"any_host,omitempty"` // … though the configuration does not name it
	For           string   `json:"for,omitempty"`      // how long a pass or a key is good
	Why           string   `json:"why,omitempty"`      // for the record

	Search   string `json:"search,omitempty"` // what a name, an address or a word of the display name begins with
	NoFactor bool   `json:"no_factor,omitempty"`
	Skipped  bool   `json:"skipped,omitempty"`
	OptedOut bool   `json:"opted_out,omitempty"`
	Locked   bool   `json:"locked,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
	After    string `json:"after,omitempty"`
	Limit    int    `json:"limit,omitempty"`

	Organization string                    `json:"organization,omitempty"`
	Settings     *mfa.OrganizationSettings `json:"settings,omitempty"` // what it asks, the whole of it

	Field  string   `json:"field,omitempty"` // of the policy
	Values []string `json:"values,omitempty"`
	Force  bool     `json:"force,omitempty"` // though no administrator could sign in

	Campaign *campaignRequest `json:"campaign,omitempty"`

	Key    string   `json:"key,omitempty"` // ID of an API key, or of one of the gateway's own
	Scopes []string `json:"scopes,omitempty"`

	Compromised bool `json:"compromised,omitempty"` // the gateway's own keys were stolen

	Event    string `json:"event,omitempty"`
	Since    string `json:"since,omitempty"` // how long ago
	From     uint64 `json:"from,omitempty"`  // number of the first event
	Head     string `json:"head,omitempty"`  // NUMBER:HASH that was written down elsewhere
	Decision string `json:"decision,omitempty"`
	Address  string `json:"address,omitempty"` // of an app

	Import *importRequest `json:"import,omitempty"`

	Proxy  string `json:"proxy,omitempty"`  // the kind of the one in front
	Probes int    `json:"probes,omitempty"` // how many are to be made
	Probe  string `json:"probe,omitempty"`  // the secret of one
}

// adminAnswer is what an operation gives.
type adminAnswer struct {
	Done     string         `json:"done,omitempty"` // what was done
	Note     string         `json:"note,omitempty"` // what else is to be done or known
	Link     string         `json:"link,omitempty"`
	Hosts    []string       `json:"hosts,omitempty"` // other hosts that the link works on
	Users    []mfa.UserInfo `json:"users,omitzero"`  // of a list; there, also when it is empty
	Next     string         `json:"next,omitempty"`
	User     *mfa.UserInfo  `json:"user,omitempty"`
	Sessions []sessionInfo  `json:"sessions,omitzero"`

	Secret  string    `json:"secret,omitempty"` // a pass, a bypass or a key, this once
	Expires time.Time `json:"expires,omitzero"`
	Key     *keyInfo  `json:"key,omitempty"`
	Keys    []keyInfo `json:"keys,omitzero"`

	Rotation *store.RotationStatus `json:"rotation,omitempty"`

	Organizations []orgInfo        `json:"organizations,omitzero"`
	Organization  *orgInfo         `json:"organization,omitempty"`
	Policy        *mfa.PolicyInfo  `json:"policy,omitempty"`
	Test          *mfa.PolicyTest  `json:"test,omitempty"`
	Coverage      *mfa.Coverage    `json:"coverage,omitempty"`
	Forecast      *mfa.Forecast    `json:"forecast,omitempty"`
	Events        []mfa.Event      `json:"events,omitzero"`
	Verified      *mfa.Verified    `json:"verified,omitempty"`
	Explanation   *mfa.Explanation `json:"explanation,omitempty"`

	Campaigns []mfa.CampaignInfo `json:"campaigns,omitzero"`
	Campaign  *mfa.CampaignInfo  `json:"campaign,omitempty"`
	Access    *mfa.Access        `json:"access,omitempty"`

	Moved []mfa.Moved `json:"moved,omitzero"` // in the order of the people

	Backup *backupInfo    `json:"backup,omitempty"`
	Doctor *doctor.Report `json:"doctor,omitempty"`
	Probes []string       `json:"probes,omitempty"` // secrets, each good once
	Facts  *guard.Facts   `json:"facts,omitempty"`  // of a probe; none: it was not seen
}

// sessionInfo is one session as commands show it.
type sessionInfo struct {
	Handle   string    `json:"handle"`
	Host     string    `json:"host"`
	Agent    string    `json:"agent,omitempty"`
	Network  string    `json:"network,omitempty"`
	Created  time.Time `json:"created"`
	LastSeen time.Time `json:"last_seen"`
}

// keyInfo is one API key as commands show it.
type keyInfo struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	Scopes       []string  `json:"scopes"`
	Organization string    `json:"organization,omitempty"`
	By           string    `json:"by,omitempty"`
	Created      time.Time `json:"created"`
	Expires      time.Time `json:"expires"`
	LastUsed     time.Time `json:"last_used,omitzero"`
	LastNetwork  string    `json:"last_network,omitempty"`
}

// The operations.
const (
	opSetupLink      = "setup-link"
	opList           = "users/list"
	opShow           = "users/show"
	opInvite         = "users/invite"
	opResetPassword  = "users/reset-password"
	opEnrollmentPass = "users/enrollment-pass"
	opBypass         = "users/bypass"
	opRemoveFactors  = "users/remove-factors"
	opUnlock         = "users/unlock"
	opResetSkip      = "users/reset-skip"
	opDisable        = "users/disable"
	opEnable         = "users/enable"
	opRole           = "users/role"
	opSessions       = "users/sessions"
	opEndSessions    = "users/end-sessions"
	opOrgList        = "orgs/list"
	opOrgShow        = "orgs/show"
	opOrgSet         = "orgs/set"
	opOrgRemove      = "orgs/remove"
	opOrgAdd         = "orgs/add"
	opOrgDrop        = "orgs/drop"
	opPolicyShow     = "policy/show"
	opPolicySet      = "policy/set"
	opPolicyClear    = "policy/clear"
	opPolicyTest     = "policy/test"
	opCoverage       = "coverage"
	opForecast       = "forecast"
	opKeyList        = "keys/list"
	opKeyCreate      = "keys/create"
	opKeyRevoke      = "keys/revoke"
	opKeyRotate      = "keys/rotate"
	opKeyStatus      = "keys/status"
	opAudit          = "audit"
	opCampaignList   = "campaigns/list"
	opCampaignStart  = "campaigns/start"
	opCampaignEnd    = "campaigns/end"
	opAuditExport    = "audit/export"
	opAuditVerify    = "audit/verify"
	opExplain        = "explain"
	opAccess         = "access"
	opImport         = "import"
	opDoctor         = "doctor"
	opProbe          = "doctor/probe"
	opProbed         = "doctor/probed"
	opBackup         = "backup"
	opHealth         = "health"
)
