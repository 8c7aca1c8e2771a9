package pages

import (
	"slices"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// withSource is where a sign-in at an identity source begins and comes back to. The name
// of the source follows, and then perhaps the rest of a name in Pages.with.
const withSource = "sign-in/with/"

// route returns what is served under that name. Where a part of it is the name of an
// identity source, v learns which one; there is no page of a source that there is not.
func (p *Pages) route(v *visit, name string) (route, bool) {
	if rt, ok := p.routes[name]; ok {
		return rt, true
	}
	rest, ok := strings.CutPrefix(name, withSource)
	if !ok {
		return route{}, false
	}
	source, tail := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		source, tail = rest[:i], rest[i:]
	}
	rt, ok := p.with[tail]
	if !ok {
		return route{}, false
	}
	v.source, ok = p.source(source, mfa.ByRedirect)
	return rt, ok
}

// Routes lists what is served below Root, one "METHOD name" for each, sorted: a
// test holds each against a table of who may open it, so that nobody adds a page
// without saying so (AC-155).
func (p *Pages) Routes() []string {
	var list []string
	for name, rt := range p.routes {
		if rt.get != nil {
			list = append(list, "GET "+name)
		}
		if rt.post != nil {
			list = append(list, "POST "+name)
		}
	}
	for tail, rt := range p.with {
		if rt.get != nil {
			list = append(list, "GET "+withSource+"{source}"+tail)
		}
		if rt.call != nil {
			list = append(list, "POST "+withSource+"{source}"+tail)
		}
	}
	for name, rt := range p.consoleRoutes() {
		if rt.get != nil {
			list = append(list, "GET "+name)
		}
		if rt.post != nil {
			list = append(list, "POST "+name)
		}
	}
	slices.Sort(list)
	return list
}
