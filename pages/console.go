package pages

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// consoleHome is the first page of the console, and the beginning of the names of all.
const consoleHome = "admin"

// The parameters of the console's own addresses. What is secret stands in none.
const (
	paramTo    = "to"    // the page of the console that waits while somebody signs in or verifies
	paramAs    = "as"    // the organization for which somebody administrates
	paramID    = "id"    // of a user, an organization, a key, a decision
	paramDo    = "do"    // what is to be changed
	paramWhat  = "what"  // … of several: a factor, a session
	paramOf    = "of"    // an organization to filter by
	paramAfter = "after" // the cursor of a page of a list
	paramUser  = "user"  // a name to filter by; or the ID of whose access is explained
	paramAt    = "at"    // the address where it is
)

// consoleParams are those that an address of the console keeps over a sign-in, and over
// a switch of language.
var consoleParams = []string{paramAs, paramID, paramDo, paramWhat, paramOf, paramAfter, paramDone, paramUser, paramAt, paramProxy, "q", "factor", "state", "event", "since", "until"}

// maxParam is how long one of them may be.
const maxParam = 512

// console is one request to one page of the console, by somebody who may ask for it.
type console struct {
	*visit
	who   *mfa.Administrator
	admin Administration // as this person may use it
}

// consoleRoute is one page of the console.
type consoleRoute struct {
	get, post func(*console)
	// need is what the person has to have for the page to be theirs. The core asks again
	// at each step.
	need mfa.Powers
	// proof says that the page begins a change: the proof for it is asked before
	// something is filled in, which would be lost on the way.
	proof bool
	// reads says that the form changes nothing, so that no proof for a change is asked.
	reads bool
}

// consoleRoutes are the pages of the console, by name.
func (p *Pages) consoleRoutes() map[string]consoleRoute {
	return map[string]consoleRoute{
		"admin":                     {get: p.serveUsers, need: mfa.ReadUsers},
		"admin/user":                {get: p.serveUser, need: mfa.ReadUsers},
		"admin/user/change":         {get: p.serveChange, post: p.postChange, need: mfa.ReadUsers | mfa.ChangeUsers, proof: true},
		"admin/invite":              {get: p.serveInvite, post: p.postInvite, need: mfa.ReadUsers | mfa.ChangeUsers, proof: true},
		"admin/organizations":       {get: p.serveOrganizations, need: mfa.ReadOrganizations},
		"admin/organization":        {get: p.serveOrganization, need: mfa.ReadOrganizations},
		"admin/organization/edit":   {get: p.serveEditOrganization, post: p.postEditOrganization, need: mfa.ChangeOrganizations, proof: true},
		"admin/organization/remove": {get: p.serveRemoveOrganization, post: p.postRemoveOrganization, need: mfa.ChangeOrganizations, proof: true},
		"admin/coverage":            {get: p.serveCoverage, need: mfa.ReadUsers},
		"admin/forecast":            {get: p.serveForecast, need: mfa.ReadUsers},
		"admin/policy":              {get: p.servePolicy, need: mfa.ReadPolicy},
		"admin/policy/change":       {get: p.serveChangePolicy, post: p.postChangePolicy, need: mfa.ReadPolicy | mfa.ChangePolicy, proof: true},
		"admin/campaigns":           {get: p.serveCampaigns, need: mfa.ReadOrganizations},
		"admin/campaign":            {get: p.serveCampaign, post: p.postCampaign, need: mfa.ReadOrganizations | mfa.ChangeOrganizations, proof: true},
		"admin/campaign/end":        {get: p.serveEndCampaign, post: p.postEndCampaign, need: mfa.ReadOrganizations | mfa.ChangeOrganizations, proof: true},
		"admin/audit":               {get: p.serveAudit, post: p.postAudit, need: mfa.ReadAudit},
		"admin/audit/export":        {get: p.serveExport, need: mfa.ReadAudit},
		"admin/explain":             {get: p.serveExplain, need: mfa.ReadUsers},
		pageAccess:                  {get: p.serveAccess, post: p.postAccess, need: mfa.ReadUsers | mfa.ReadPolicy, reads: true},
		"admin/keys":                {get: p.serveKeys, need: mfa.ManageKeys},
		"admin/key/make":            {get: p.serveMakeKey, post: p.postMakeKey, need: mfa.ManageKeys, proof: true},
		"admin/key/revoke":          {get: p.serveRevokeKey, post: p.postRevokeKey, need: mfa.ManageKeys, proof: true},
		pageDoctor:                  {get: p.serveDoctor, need: mfa.ReadPolicy},
	}
}

// Console returns what serves a host that carries no app: the same pages, and with them
// those for administrators. Everywhere else they are not there: pages share the origin of
// the app on whose host they are, and an app that somebody broke into would administrate
// with them.
func (p *Pages) Console() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, true) })
}

// outsideConsole answers what is none of our pages on a console's host.
func (v *visit) outsideConsole() {
	if v.req.Path == "/" && (v.r.Method == http.MethodGet || v.r.Method == http.MethodHead) {
		if v.portal {
			v.redirect(Root)
			return
		}
		v.redirect(Root + consoleHome)
		return
	}
	v.notFound()
}

// serveConsole answers a page of the console. Who asks is looked at before anything else
// is: strangers learn nothing but where to sign in.
func (p *Pages) serveConsole(v *visit, rt consoleRoute) {
	switch {
	case (v.r.Method == http.MethodGet || v.r.Method == http.MethodHead) && rt.get != nil:
		if c, ok := v.administrate(rt.need, rt.proof); ok {
			rt.get(c)
		}
	case v.r.Method == http.MethodPost && rt.post != nil:
		v.r.Body = web.Body(v.w, v.r, maxBody)
		if !v.ours() {
			return
		}
		if c, ok := v.administrate(rt.need, !rt.reads); ok {
			rt.post(c)
		}
	default:
		v.methodNotAllowed(rt.get != nil, rt.post != nil)
	}
}

// administrate returns the console as this person may use it, and has answered where it
// reports false. change asks for a proof as new as a change needs.
func (v *visit) administrate(need mfa.Powers, change bool) (*console, bool) {
	v.at.Asked = mfa.Requirement{}
	v.to = v.consoleAddress()
	view, err := v.session()
	if err != nil {
		v.noSession(err, "sign-in")
		return nil, false
	}
	who, err := v.p.gate.Administrator(v.r.Context(), &v.at, view.Session.ID, v.as(), change)
	var proof *mfa.ProofError
	switch {
	case err == nil && !who.Actor.Powers.Has(need), errors.Is(err, mfa.ErrNotOwed):
		v.notAdministrator()
	case err == nil:
		return &console{v, who, v.p.administer(who.Actor)}, true
	case errors.As(err, &proof):
		v.redirect(v.proveFor(consoleHome, proof.Kinds))
	case errors.Is(err, mfa.ErrNotAllowed):
		// Something is owed before: a second factor at least, whatever the policy says.
		v.asked.Required = true
		v.at.Asked = v.asked
		if st, ok := v.state(); ok {
			v.proceed(&st.Outcome)
		}
	default:
		v.fail(err)
	}
	return nil, false
}

// as is the organization for which the person wants to administrate.
func (v *visit) as() mfa.OrganizationID {
	of, err := mfa.ParseOrganizationID(v.query.Get(paramAs))
	if err != nil {
		return ""
	}
	return of
}

// notAdministrator says that this account may not see the page. It says no more: whether
// there is such a thing is nobody's business who may not see it.
func (v *visit) notAdministrator() {
	v.to = ""
	v.message(http.StatusForbidden, messagePage{
		Heading: v.T("console.no.title"), Context: true,
		Text:    []string{v.T("console.no.text"), v.T("console.no.ask", "support", v.helper())},
		Actions: []action{{Href: Root + "account", Label: v.T("go.account")}, {Href: Root + "sign-out", Label: v.T("go.signout")}},
	})
}

// consoleAddress is the address of this page of the console without Root, or "" where it
// has none as a GET.
func (v *visit) consoleAddress() string {
	page := v.page()
	if rt, ok := v.p.console[page]; !v.console || !ok || rt.get == nil || !Serves(v.req.Path) {
		return ""
	}
	return consoleTarget(page, v.query)
}

// consoleTarget writes a page with those parameters that are the console's.
func consoleTarget(page string, q url.Values) string {
	kept := url.Values{}
	for _, name := range consoleParams {
		if value := q.Get(name); value != "" && len(value) <= maxParam {
			kept.Set(name, value)
		}
	}
	if len(kept) == 0 {
		return page
	}
	return page + "?" + kept.Encode()
}

// readTo reads which page of the console waits. It comes from the outside, and is one of
// ours or nothing.
func (p *Pages) readTo(raw string) string {
	page, query, _ := strings.Cut(raw, "?")
	rt, ok := p.console[page]
	if !ok || rt.get == nil || len(raw) > 2048 {
		return ""
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return ""
	}
	return consoleTarget(page, q)
}

// link is the address of a page of the console, with pairs of parameter and value. Empty
// values are left out.
func (c *console) link(page string, pairs ...string) string {
	q := url.Values{}
	if as := c.as(); as != "" {
		q.Set(paramAs, string(as))
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return join(page, q)
}

// here is the address of this page, for its own form.
func (c *console) here() string { return Root + c.to }

// may reports whether the person has the powers.
func (c *console) may(need mfa.Powers) bool { return c.who.Actor.Powers.Has(need) }

// navItem is one entry of the console's menu.
type navItem struct {
	Label, Href string
	Current     bool
}

// consoleFrame is what every page of the console shows around its own part.
type consoleFrame struct {
	Nav []navItem
	// Role says as what the person is here, and Others as what else they can be.
	Role   string
	Others []navItem
}

// frame begins a page of the console.
func (c *console) frame(heading string) frame {
	f := c.visit.frame(heading)
	f.Person = personName(c.who.Subject.DisplayName, c.who.Subject.Name)
	f.Console = &consoleFrame{Nav: c.nav(), Role: c.role()}
	if c.who.Role == mfa.RoleNone && len(c.who.Organizations) > 1 {
		for _, of := range c.who.Organizations {
			if of != c.who.Actor.Organization {
				f.Console.Others = append(f.Console.Others, navItem{Label: string(of), Href: join(consoleHome, url.Values{paramAs: {string(of)}})})
			}
		}
	}
	if key, ok := consoleDones[c.query.Get(paramDone)]; ok {
		f.Notice, f.Good = c.T(key), true
	}
	return f
}

func (c *console) role() string {
	switch {
	case c.who.Actor.Organization != "":
		return c.T("console.role.organization", "organization", string(c.who.Actor.Organization))
	case c.who.Role == mfa.RoleAdmin:
		return c.T("console.role.admin")
	}
	return c.T("console.role.auditor")
}

func (c *console) nav() []navItem {
	var list []navItem
	section, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(c.page(), consoleHome), "/"), "/")
	add := func(label, page string, sections ...string) {
		if rt := c.p.console[page]; rt.get != nil && c.may(rt.need) {
			list = append(list, navItem{label, c.link(page), slices.Contains(sections, section)})
		}
	}
	add(c.T("console.users"), consoleHome, "", "user", "invite")
	add(c.T("console.organizations"), "admin/organizations", "organizations", "organization")
	add(c.T("console.coverage"), "admin/coverage", "coverage", "forecast")
	add(c.T("console.campaigns"), "admin/campaigns", "campaigns", "campaign")
	add(c.T("console.policy"), "admin/policy", "policy")
	add(c.T("console.audit"), "admin/audit", "audit")
	add(c.T("console.keys"), "admin/keys", "keys", "key")
	add(c.T("console.explain"), "admin/explain", "explain")
	add(c.T("console.doctor"), pageDoctor, pageDoctor)
	return list
}

// consoleDones are the words for what was just done, by paramDone.
var consoleDones = map[string]string{
	"factor":   "console.done.factor",
	"factors":  "console.done.factors",
	"unlock":   "console.done.unlock",
	"skip":     "console.done.skip",
	"disable":  "console.done.disable",
	"enable":   "console.done.enable",
	"session":  "console.done.session",
	"sessions": "console.done.sessions",
	"token":    "done.token",
	"roles":    "console.done.roles",
	"join":     "console.done.join",
	"leave":    "console.done.leave",
	"saved":    "console.done.saved",
	"removed":  "console.done.removed",
	"revoked":  "console.done.revoked",
}

// done goes on with a GET that says what was done.
func (c *console) done(what, page string, pairs ...string) {
	c.redirect(c.link(page, append(pairs, paramDone, what)...))
}

// failed answers an error for which the page has no words of its own. Where somebody or
// something is not there, or is another organization's, the answer is the same.
func (c *console) failed(err error) {
	switch {
	case errors.Is(err, mfa.ErrNotFound):
		c.missing()
	case errors.Is(err, mfa.ErrCursor):
		// A cursor of another list, or of a version before: the list begins anew.
		c.redirect(c.link(c.page(), paramID, c.query.Get(paramID)))
	case errors.Is(err, mfa.ErrNotAllowed), errors.Is(err, mfa.ErrRole), errors.Is(err, mfa.ErrSelf), errors.Is(err, mfa.ErrLastAdministrator), errors.Is(err, mfa.ErrLimit):
		status, text := c.refusal(err)
		c.say(status, c.T("console.refused.title"), text)
	default:
		c.fail(err)
	}
}

// refusal puts into words why something was not done, with the status of the answer.
func (c *console) refusal(err error) (status int, text string) {
	switch {
	case errors.Is(err, mfa.ErrRole):
		return http.StatusForbidden, c.T("console.refused.role")
	case errors.Is(err, mfa.ErrSelf):
		return http.StatusForbidden, c.T("console.refused.self")
	case errors.Is(err, mfa.ErrLastAdministrator):
		return http.StatusConflict, c.T("console.refused.last")
	case errors.Is(err, mfa.ErrLimit):
		return http.StatusUnprocessableEntity, c.T("console.refused.limit")
	}
	return http.StatusForbidden, c.T("console.refused.text")
}

func (c *console) missing() {
	c.say(http.StatusNotFound, c.T("console.missing.title"), c.T("console.missing.text"))
}

// saidPage tells something within the console.
type saidPage struct {
	frame
	Text      []string
	To, Label string
}

func (c *console) say(status int, heading string, text ...string) {
	c.render(status, "console_said", saidPage{frame: c.frame(heading), Text: text, Label: c.T("console.back"), To: c.link(consoleHome)})
}

// moment writes a time to the minute.
func (v *visit) moment(t time.Time) string { return t.UTC().Format(v.T("format.moment")) }
