package pages

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// consoleAccess is what the console asks of the core about a person at an address.
type consoleAccess interface {
	Find(ctx context.Context, name string) (*mfa.UserInfo, error)
	MayExplainAccess() error
	ExplainAccess(ctx context.Context, id mfa.UserID, address string, gates mfa.Gates) (*mfa.Access, error)
}

// pageAccess explains what a person meets at an address.
const pageAccess = "admin/explain/access"

// accessForm asks for whom and where. It is sent as a POST: what is typed or pasted may
// hold secrets of an app behind a ? or a password before the host, and addresses are kept
// in logs and histories. The answer leads to an address with the ID of the user and with
// the address of the app without them, so that it can be kept and handed on.
type accessForm struct {
	Action string
	Fields []field
}

// accessView is what decides for a person at an address.
type accessView struct {
	Facts                []fact
	Notes                []string
	Steps, Asks, Factors grid
	User, Again          string // addresses of pages
}

// asksAccess returns the form, nil where this person may not ask.
func (c *console) asksAccess(user, address string) *accessForm {
	if c.p.gates == nil || c.admin.MayExplainAccess() != nil {
		return nil
	}
	return &accessForm{c.link(pageAccess), []field{
		{Kind: "text", Name: paramUser, Label: c.T("access.user"), Hint: c.T("access.user.hint"), Value: user, Max: 254},
		{Kind: "text", Name: paramAt, Label: c.T("access.address"), Hint: c.T("access.address.hint"), Value: address, Max: maxParam},
	}}
}

// appAddress is an address that somebody typed, without what may hold secrets: query and
// fragment. It reports false where it is longer than our own addresses keep.
func appAddress(typed string) (string, bool) {
	typed = strings.TrimSpace(typed)
	if end := strings.IndexAny(typed, "?#"); end >= 0 {
		typed = typed[:end]
	}
	return typed, len(typed) <= maxParam
}

// shownAddress is what a form shows again: no name or password before the host.
func shownAddress(address string) string {
	scheme, rest, ok := strings.Cut(address, "//")
	if !ok {
		scheme, rest = "", address
	}
	host, path, more := strings.Cut(rest, "/")
	at := strings.LastIndex(host, "@")
	if at < 0 {
		return address
	}
	if host = host[at+1:]; more {
		host += "/" + path
	}
	if ok {
		return scheme + "//" + host
	}
	return host
}

// postAccess leads to what was asked for. It changes nothing.
func (p *Pages) postAccess(c *console) {
	if c.asksAccess("", "") == nil {
		c.missing()
		return
	}
	name := strings.TrimSpace(c.form(paramUser))
	address, fits := appAddress(c.form(paramAt))
	u, err := c.admin.Find(c.r.Context(), name)
	if errors.Is(err, mfa.ErrNotFound) || errors.Is(err, mfa.ErrName) {
		c.accessRefused(http.StatusNotFound, name, address, c.T("access.nobody"), "")
		return
	}
	if err != nil {
		c.failed(err)
		return
	}
	x, ok := c.access(u.ID, u.Name, address, fits)
	if !ok {
		return
	}
	c.redirect(c.link(pageAccess, paramUser, string(u.ID), paramAt, x.URL))
}

// serveAccess shows what a person meets at an address.
func (p *Pages) serveAccess(c *console) {
	if c.asksAccess("", "") == nil {
		c.missing()
		return
	}
	id := mfa.UserID(c.query.Get(paramUser))
	address, fits := appAddress(c.query.Get(paramAt))
	if id == "" || address == "" {
		c.redirect(c.link("admin/explain"))
		return
	}
	if fits && address != c.query.Get(paramAt) {
		// Somebody wrote it by hand: what was left out goes from the address bar as well.
		c.redirect(c.link(pageAccess, paramUser, string(id), paramAt, address))
		return
	}
	u, err := c.admin.User(c.r.Context(), id)
	if err != nil {
		c.failed(err)
		return
	}
	x, ok := c.access(u.ID, u.Name, address, fits)
	if !ok {
		return
	}
	page := explainPage{frame: c.frame(c.T("console.explain")), Form: c.asksAccess(x.User, x.URL), Access: c.accessView(u, x)}
	c.render(http.StatusOK, "console_explain", page)
}

// access asks the core. It has answered where it reports false.
func (c *console) access(id mfa.UserID, name, address string, fits bool) (*mfa.Access, bool) {
	var route *mfa.RouteError
	if !fits {
		c.accessRefused(http.StatusUnprocessableEntity, name, "", "", c.T("access.long"))
		return nil, false
	}
	x, err := c.admin.ExplainAccess(c.r.Context(), id, address, c.p.gates)
	switch {
	case errors.As(err, &route):
		c.accessRefused(http.StatusUnprocessableEntity, name, address, "", c.T(routeWord(route.Reason)))
	case err != nil:
		c.failed(err)
	case len(x.URL) > maxParam:
		// Written out it has become longer, and our own addresses would not keep it.
		c.accessRefused(http.StatusUnprocessableEntity, name, "", "", c.T("access.long"))
	default:
		return x, true
	}
	return nil, false
}

// accessRefused shows the form again with what is wrong.
func (c *console) accessRefused(status int, name, address, user, at string) {
	page := explainPage{frame: c.frame(c.T("console.explain")), Hidden: c.hidden(), Form: c.asksAccess(name, shownAddress(address))}
	page.Form.Fields[0].Error, page.Form.Fields[1].Error = user, at
	if page.FieldError = user; user == "" {
		page.FieldError = at
	}
	c.render(status, "console_explain", page)
}

// routeWords say why there is nothing to explain at an address.
var routeWords = map[mfa.RouteReason]string{
	mfa.RouteUnreadable: "access.unreadable",
	mfa.RoutePlainHTTP:  "access.plain_http",
	mfa.RouteRefused:    "access.refused",
	mfa.RouteOwnPage:    "access.own_page",
	mfa.RouteElsewhere:  "access.elsewhere",
}

func routeWord(reason mfa.RouteReason) string {
	if key, ok := routeWords[reason]; ok {
		return key
	}
	return "access.elsewhere"
}
