package api

import (
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// The documents about what one user meets at one address.
type (
	accessDocument struct {
		User    string           `json:"user"`
		URL     string           `json:"url"`
		Host    string           `json:"host"`
		Gates   []gateDocument   `json:"gates"`
		Asks    []askDocument    `json:"asks"`
		Factors []worthDocument  `json:"factors"`
		Steps   []stepDocument   `json:"steps"`
		Notes   []mfa.AccessNote `json:"notes"`
	}
	gateDocument struct {
		Name         string             `json:"name"`
		Asks         []string           `json:"asks"`
		Organization mfa.OrganizationID `json:"organization,omitempty"`
		Bypass       bool               `json:"bypass"`
	}
	askDocument struct {
		What      string `json:"what"`
		Source    string `json:"source"`
		Of        string `json:"of"`
		ByAddress bool   `json:"by_address"`
	}
	worthDocument struct {
		Factor mfa.Kind         `json:"factor"`
		Name   string           `json:"name,omitempty"`
		Counts bool             `json:"counts"`
		Reason mfa.FactorReason `json:"reason,omitempty"`
		Why    string           `json:"why,omitempty"`
		Host   string           `json:"host,omitempty"`
	}
	stepDocument struct {
		Stage   mfa.AccessStage `json:"stage"`
		Proven  mfa.Kind        `json:"proven,omitempty"`
		Name    string          `json:"name,omitempty"`
		Begun   *time.Time      `json:"begun,omitempty"`
		Agent   string          `json:"agent,omitempty"`
		Action  string          `json:"action"`
		Reason  mfa.Reason      `json:"reason,omitempty"`
		Factors []mfa.Kind      `json:"factors"`
		Gate    string          `json:"gate,omitempty"`
		Decided string          `json:"decided"`
		Why     string          `json:"why"`
		Help    string          `json:"help"`
	}
)

// readAccess says which rule decides for a user at an address. The core asks for the
// address only where the actor may know what stands there.
func readAccess(c *call) (any, error) {
	q, err := c.query("url")
	if err != nil {
		return nil, err
	}
	if q.Get("url") == "" {
		return nil, &paramError{"url"}
	}
	x, err := c.admin.ExplainAccess(c.r.Context(), c.person(), q.Get("url"), c.api.gates)
	if err != nil {
		return nil, c.adminError(err)
	}
	return accessOf(x), nil
}

func accessOf(x *mfa.Access) accessDocument {
	d := accessDocument{
		User: x.User, URL: x.URL, Host: x.Host, Gates: []gateDocument{}, Asks: []askDocument{},
		Factors: []worthDocument{}, Steps: []stepDocument{}, Notes: append([]mfa.AccessNote{}, x.Notes...),
	}
	for _, g := range x.Gates {
		d.Gates = append(d.Gates, gateDocument{g.Name, append([]string{}, g.Asks...), g.Organization, g.Bypass})
	}
	for _, a := range x.Asks {
		d.Asks = append(d.Asks, askDocument{a.What, a.Source, a.Of, a.ByAddress})
	}
	for _, f := range x.Factors {
		d.Factors = append(d.Factors, worthDocument{f.Kind, f.Name, f.Counts, f.Reason, f.Why, f.Host})
	}
	for _, s := range x.Steps {
		d.Steps = append(d.Steps, stepDocument{
			Stage: s.Stage, Proven: s.Proven, Name: s.Name, Begun: stamp(s.Begun), Agent: s.Agent, Action: s.Action, Reason: s.Reason,
			Factors: append([]mfa.Kind{}, s.Factors...), Gate: s.Gate, Decided: s.Decided, Why: s.Why, Help: s.Help,
		})
	}
	return d
}

// routeDetails say what to do where there is nothing to explain. The address, and what the
// edge says of it, are not repeated (AC-133).
var routeDetails = map[mfa.RouteReason]string{
	mfa.RouteUnreadable: "Write the address of a page of an app, with https:// and without a user name or a password in it.",
	mfa.RoutePlainHTTP:  "It is plain http, which is refused everywhere but on localhost before any policy is asked. Write it with https.",
	mfa.RouteRefused:    "The gate refuses such an address, whoever asks. Write it as the browser shows it.",
	mfa.RouteOwnPage:    "It is a page of the gateway itself, where no route decides. Write an address of an app.",
	mfa.RouteElsewhere:  "Nothing in the running configuration answers there. Check the host, and the path.",
}

func routeProblem(e *mfa.RouteError) *wordedError {
	return &wordedError{text{422, "address", "No gate decides at this address", routeDetails[e.Reason]}, "url", "", e}
}
