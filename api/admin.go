package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// adminGate is what the admin API asks of the core.
type adminGate interface {
	Administrator(ctx context.Context, at *mfa.Place, id mfa.SessionID, of mfa.OrganizationID, change bool) (*mfa.Administrator, error)
	KeyActor(ctx context.Context, at *mfa.Place, key string) (mfa.Actor, error)
	As(a mfa.Actor) *mfa.Administration
}

// admin is the part for administrators and for the programs that act for them. Whatever
// it changes is no GET: the door goes by that.
func (a *API) admin() part {
	return part{
		hidden: func(c *call) bool { return !c.console },
		door:   administrators,
		routes: map[string]methods{
			"admin":                                   {http.MethodGet: readActor},
			"admin/users":                             {http.MethodGet: listUsers, http.MethodPost: inviteUser},
			"admin/users/{user}":                      {http.MethodGet: readUser},
			"admin/users/{user}/sessions":             {http.MethodGet: listSessions, http.MethodDelete: endSessions},
			"admin/users/{user}/sessions/{id}":        {http.MethodDelete: endSession},
			"admin/users/{user}/app-tokens":           {http.MethodGet: listUserTokens, http.MethodDelete: revokeUserTokens},
			"admin/users/{user}/app-tokens/{id}":      {http.MethodDelete: revokeUserToken},
			"admin/users/{user}/activity":             {http.MethodGet: listActivity},
			"admin/users/{user}/access":               {http.MethodGet: readAccess},
			"admin/users/{user}/factors":              {http.MethodDelete: removeFactors},
			"admin/users/{user}/factors/{id}":         {http.MethodDelete: removeFactor},
			"admin/users/{user}/enrollment-pass":      {http.MethodPost: makeEnrollmentPass},
			"admin/users/{user}/bypass":               {http.MethodPost: makeBypass},
			"admin/users/{user}/password-link":        {http.MethodPost: makePasswordLink},
			"admin/users/{user}/unlock":               {http.MethodPost: unlockUser},
			"admin/users/{user}/reset-skip":           {http.MethodPost: resetSkip},
			"admin/users/{user}/disable":              {http.MethodPost: disableUser},
			"admin/users/{user}/enable":               {http.MethodPost: enableUser},
			"admin/users/{user}/role":                 {http.MethodPut: setRole},
			"admin/organizations":                     {http.MethodGet: listOrganizations},
			"admin/organizations/{id}":                {http.MethodGet: readOrganization, http.MethodPut: setOrganization, http.MethodDelete: removeOrganization},
			"admin/organizations/{id}/members":        {http.MethodGet: listMembers},
			"admin/organizations/{id}/members/{user}": {http.MethodPut: addMember, http.MethodDelete: dropMember},
			"admin/organizations/{id}/campaign":       {http.MethodGet: readCampaign, http.MethodPut: setCampaign, http.MethodDelete: endCampaign},
			"admin/campaigns":                         {http.MethodGet: listCampaigns},
			"admin/campaign":                          {http.MethodGet: readCampaign, http.MethodPut: setCampaign, http.MethodDelete: endCampaign},
			"admin/policy":                            {http.MethodGet: readPolicy},
			"admin/policy/{field}":                    {http.MethodPut: setPolicy, http.MethodDelete: clearPolicy},
			"admin/coverage":                          {http.MethodGet: readCoverage},
			"admin/forecast":                          {http.MethodGet: readForecast},
			"admin/audit":                             {http.MethodGet: listAudit},
			"admin/audit/export":                      {http.MethodGet: exportAudit},
			"admin/audit/verification":                {http.MethodGet: verifyAudit},
			"admin/decisions/{id}":                    {http.MethodGet: readDecision},
			"admin/keys":                              {http.MethodGet: listKeys, http.MethodPost: createKey},
			"admin/keys/{id}":                         {http.MethodDelete: revokeKey},
		},
	}
}

// administrators is the door: it finds out who asks, once, and what they may do is for
// the core to say. A request of a page of another origin is refused whatever it carries:
// a key is for programs, and no page of a stranger is one (AC-124, AC-125).
func administrators(c *call) error {
	if err := sameOrigin(c); err != nil {
		return err
	}
	if keyInURL(c.r.URL.RawQuery) {
		return errKeyInURL
	}
	key, given, err := bearer(c.r.Header["Authorization"])
	if err != nil {
		return err
	}
	var actor mfa.Actor
	if given {
		c.byKey = true
		actor, err = c.api.gate.KeyActor(c.r.Context(), &c.at, key)
	} else {
		actor, err = c.sessionActor()
	}
	if err != nil {
		return c.adminError(err)
	}
	c.admin = c.api.gate.As(actor)
	return nil
}

// sessionActor is the person who is signed in as an administrator.
func (c *call) sessionActor() (mfa.Actor, error) {
	id, err := c.id()
	if err != nil {
		return mfa.Actor{}, err
	}
	// Whoever administrates several organizations says which one is meant.
	of := mfa.OrganizationID(c.r.URL.Query().Get(paramFor))
	change := c.r.Method != http.MethodGet && c.r.Method != http.MethodHead
	who, err := c.api.gate.Administrator(c.r.Context(), &c.at, id, of, change)
	if err != nil {
		return mfa.Actor{}, c.orOwedToAdministrate(id, err)
	}
	c.role, c.organizations = who.Role, who.Organizations
	return who.Actor, nil
}

// bearer returns the key of the header Authorization; of another scheme it is none of
// ours: an identity source in front of us may use it.
func bearer(headers []string) (key string, given bool, err error) {
	if len(headers) > 1 {
		return "", true, errKey // of two, one was added on the way
	}
	if len(headers) == 0 {
		return "", false, nil
	}
	scheme, key, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false, nil
	}
	return strings.TrimSpace(key), true, nil
}

// keyInURL reports whether there is a key, or a place for one, in the query: addresses
// are kept in logs and histories.
func keyInURL(query string) bool {
	for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(value); err == nil {
			value = plain
		}
		switch strings.ToLower(name) {
		case "access_token", "api_key", "apikey", "key", "token":
			return true
		}
		if strings.HasPrefix(value, "sg_") {
			return true
		}
	}
	return false
}

// actorDocument says who asks, and what they may do.
type actorDocument struct {
	Name          string               `json:"name"`
	Key           bool                 `json:"key"` // a program
	Role          string               `json:"role,omitempty"`
	Scopes        []string             `json:"scopes"`
	Organization  mfa.OrganizationID   `json:"organization,omitempty"`
	Organizations []mfa.OrganizationID `json:"organizations"`
}

func readActor(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	actor := c.admin.Actor()
	d := actorDocument{
		Name: actor.Name, Key: c.byKey, Scopes: actor.Powers.List(), Organization: actor.Organization,
		Organizations: append([]mfa.OrganizationID{}, c.organizations...),
	}
	if !c.byKey {
		d.Role = roleWord(c.role)
	}
	return d, nil
}

func roleWord(r mfa.Role) string {
	if r == mfa.RoleNone {
		return roleNone
	}
	return string(r)
}

// roleNone is no role over the whole gateway.
const roleNone = "none"
