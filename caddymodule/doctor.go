package caddymodule

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/secondgate/secondgate/doctor"
	"github.com/secondgate/secondgate/forwardauth"
	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/internal/web"
)

// probes are those of the process: a reload between making one and asking it makes no
// difference.
var probes = &doctor.Probes{Now: clock.Now}

// Where a request came to, as the doctor names it.
const (
	placeApp     = "app"
	placeConsole = "console"
	placePortal  = "portal"
)

// serveProbe answers a probe of the doctor, and reports whether the request was one. It
// stands before everything that refuses: what is refused is what the doctor looks for. Who
// asks hears that it was seen and nothing of what was seen.
func (a *App) serveProbe(w http.ResponseWriter, r *http.Request, place string, believe func(*http.Request)) bool {
	arrived := asArrived(r)
	secret, ok := probes.Maybe(arrived.URL.Path)
	if !ok {
		return false
	}
	v, err := a.enter(r.Context())
	if err != nil {
		return false // which is said as it is of any request
	}
	defer v.leave()
	facts := a.factsOf(v.guard, arrived, place, believe)
	if !probes.See(secret, facts) {
		return false
	}
	w = guard.Plain(w)
	web.APIHeaders(w.Header(), facts.Scheme == "https")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if req, err := parseAt(v.guard, arrived, place); err == nil {
		// Nobody's, and over at once: whether it arrives is looked at.
		req.Cookies.Set(w, web.ProbeCookie, "1", 1)
	}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(doctor.Said)) // nobody is left to tell when the client went away
	}
	return true
}

// parseAt makes a request of the place canonical.
func parseAt(g *guard.Guard, r *http.Request, place string) (*guard.Request, error) {
	if place == placeApp {
		return g.Parse(r)
	}
	return g.ParseOwn(r)
}

// factsOf describes a request that came to one of our handlers. believe takes what a proxy
// says that Caddy does not know; nil: nothing.
func (a *App) factsOf(g *guard.Guard, r *http.Request, place string, believe func(*http.Request)) guard.Facts {
	if believe != nil {
		believe(r)
	}
	f := g.Facts(r, place != placeApp)
	f.Place = place
	// Of a peer of the portal, which Caddy does not know, the last address counts.
	f.Strict = true
	if s, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && trustsProxies(s) {
		f.Strict = s.TrustedProxiesStrict > 0
	}
	known := a.sites()
	f.Unknown = len(known.hosts) > 0 && !known.has(f.Sent)
	if own := a.consoleSites(); f.Unknown && place != placeApp {
		f.Unknown = len(own.hosts) > 0 && !own.has(f.Sent)
	}
	return f
}

// seeAsked tells the doctor that a proxy has asked about a probe instead of handing it on.
func (a *App) seeAsked(g *guard.Guard, r *http.Request, answer *forwardauth.Answer, d forwardauth.Dialect) {
	if answer.Request == nil {
		return
	}
	secret, ok := probes.Maybe(answer.Request.Path)
	if !ok {
		return
	}
	f := g.Facts(r, true)
	f.Place, f.AskedBy, f.Path = placePortal, d.String(), answer.Request.SentPath()
	probes.See(secret, f)
}

// setup is what the configuration says about where the gateway stands.
func (a *App) setup(forward *forwardauth.Auth) *doctor.Setup {
	s := &doctor.Setup{Insecure: a.InsecureHTTP, Domain: a.Domain, Origin: a.Origin}
	known := a.sites()
	s.Plain = known.plain
	within := func(host string) bool {
		host = strings.TrimPrefix(host, "*.")
		return host == a.Domain || strings.HasSuffix(host, "."+a.Domain)
	}
	// Without names, every host may be one.
	s.InDomain = len(known.hosts) == 0 || slices.ContainsFunc(known.hosts, within) || a.portal != "" && within(hostOf(a.portal))
	for name, server := range a.servers() {
		s.Servers = append(s.Servers, doctor.Server{Name: name, Trusts: trustsProxies(server), Strict: server.TrustedProxiesStrict > 0})
	}
	slices.SortFunc(s.Servers, func(a, b doctor.Server) int { return strings.Compare(a.Name, b.Name) })
	if forward != nil {
		for _, t := range forward.Troubles() {
			one := doctor.Trouble{At: t.At, Count: t.Count, Dialect: t.Dialect.String(), Kind: string(t.Kind), Host: t.Host, Peer: t.Peer, Headers: t.Headers}
			if t.Fault != nil {
				one.Header, one.What = t.Fault.Header, t.Fault.What
			}
			s.Troubles = append(s.Troubles, one)
		}
	}
	return s
}

// examine is the doctor's report on the configuration, and on the request of somebody who
// looks at it in a browser; r is nil for the command.
func (a *App) examine(v *generation, r *http.Request, p doctor.Proxy) *doctor.Report {
	report := &doctor.Report{At: clock.Now().UTC(), Proxy: p, Findings: []doctor.Finding{}}
	s := a.setup(v.forward)
	report.Troubles = s.Troubles
	if r != nil {
		place := placeConsole
		if a.portal != "" && strings.EqualFold(bareHost(r.Host), hostOf(a.portal)) {
			place = placePortal
		}
		// What the portal believes of its peers is in the request already.
		f := a.factsOf(v.guard, r, place, nil)
		report.Facts = &f
		if report.Proxy == "" {
			report.Proxy = doctor.Guess(&f, "")
		}
		report.Add(doctor.Judge(&f, report.Proxy)...)
	}
	report.Add(doctor.Check(s)...)
	return report
}

func bareHost(host string) string {
	return hostOf("http://" + host)
}

// consoleOrigin is where the doctor's page stands: at the portal, or at the first console.
func (a *App) consoleOrigin() string {
	if a.portal != "" {
		return a.portal
	}
	if list := a.consoleSites().origins; len(list) > 0 {
		return list[0]
	}
	return ""
}
