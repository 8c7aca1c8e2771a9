package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/secondgate/secondgate/mfa"
)

func init() {
	caddy.RegisterModule(new(adminAPI))
}

// adminBase is where the operations stand on Caddy's admin endpoint. Whoever
// reaches that endpoint may already replace the whole configuration; it belongs
// on a local address or a socket. Caddy checks Host and Origin.
const adminBase = "/mfa/"

// maxAdminBody is the most that a request to the admin endpoint may weigh.
const maxAdminBody = 64 << 10

// adminAPI carries administrators' commands out in the running gateway:
//
//	POST /mfa/OPERATION with an adminRequest, answered by an adminAnswer
//
// Names stand in the body and not in the address, because Caddy logs addresses.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.mfa", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes returns the one route.
func (a *adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminBase, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

func (*adminAPI) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("use POST")}
	}
	if mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(mediaType) != "application/json" {
		// A form of a strange site can be sent without asking, but not as JSON.
		return caddy.APIError{HTTPStatus: http.StatusUnsupportedMediaType, Err: errors.New("send application/json")}
	}
	var in adminRequest
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAdminBody))
	body.DisallowUnknownFields()
	if err := body.Decode(&in); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("reading the request: %w", err)}
	}
	// Caddy keeps this module over failed reloads, so the app that runs now is
	// looked up for each request.
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("the running configuration protects nothing with mfa")}
	}
	app := running.(*App)
	v, err := app.enter(r.Context())
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
	}
	defer v.leave()
	at := newDesk(v.gate, v.policies, app.sites())
	out, err := at.perform(r.Context(), strings.TrimPrefix(r.URL.Path, adminBase), in)
	if err != nil {
		return caddy.APIError{HTTPStatus: statusOf(err), Err: err}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(out)
}

// adminRequest is what an operation needs.
type adminRequest struct {
	Name          string   `json:"name,omitempty"`
	DisplayName   string   `json:"display_name,omitempty"`
	Email         string   `json:"email,omitempty"`
	Phone         string   `json:"phone,omitempty"`
	Groups        []string `json:"groups,omitempty"`
	Organizations []string `json:"organizations,omitempty"`
	Admin         bool     `json:"admin,omitempty"`
	Factor        string   `json:"factor,omitempty"`   // empty: all
	URL           string   `json:"url,omitempty"`      // the host that a link is for
	AnyHost       bool     `json:"any_host,omitempty"` // … though the configuration does not name it
	For           string   `json:"for,omitempty"`      // how long a pass is good
	Why           string   `json:"why,omitempty"`      // for the record
	Prefix        string   `json:"prefix,omitempty"`
	After         string   `json:"after,omitempty"`
	Limit         int      `json:"limit,omitempty"`

	Organization string                    `json:"organization,omitempty"`
	Settings     *mfa.OrganizationSettings `json:"settings,omitempty"` // what it asks, the whole of it

	Field  string   `json:"field,omitempty"` // of the policy
	Values []string `json:"values,omitempty"`
	Force  bool     `json:"force,omitempty"` // though no administrator could sign in

	Event    string `json:"event,omitempty"`
	Since    string `json:"since,omitempty"` // how long ago
	Decision string `json:"decision,omitempty"`
}

// adminAnswer is what an operation gives.
type adminAnswer struct {
	Done  string         `json:"done,omitempty"` // what was done
	Note  string         `json:"note,omitempty"` // what else is to be done or known
	Link  string         `json:"link,omitempty"`
	Hosts []string       `json:"hosts,omitempty"` // other hosts that the link works on
	Users []mfa.UserInfo `json:"users,omitzero"`  // of a list; there, also when it is empty
	Next  string         `json:"next,omitempty"`
	User  *mfa.UserInfo  `json:"user,omitempty"`

	Secret  string    `json:"secret,omitempty"` // a pass or a bypass, this once
	Expires time.Time `json:"expires,omitzero"`

	Organizations []orgInfo        `json:"organizations,omitzero"`
	Organization  *orgInfo         `json:"organization,omitempty"`
	Policy        *mfa.PolicyInfo  `json:"policy,omitempty"`
	Events        []mfa.Event      `json:"events,omitzero"`
	Explanation   *mfa.Explanation `json:"explanation,omitempty"`
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
	opDisable        = "users/disable"
	opEnable         = "users/enable"
	opOrgList        = "orgs/list"
	opOrgShow        = "orgs/show"
	opOrgSet         = "orgs/set"
	opOrgRemove      = "orgs/remove"
	opOrgAdd         = "orgs/add"
	opOrgDrop        = "orgs/drop"
	opPolicyShow     = "policy/show"
	opPolicySet      = "policy/set"
	opPolicyClear    = "policy/clear"
	opAudit          = "audit"
	opExplain        = "explain"
)

var _ caddy.AdminRouter = (*adminAPI)(nil)
