package caddymodule

import (
	"context"
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/mfa"
)

// logEvents writes events to Caddy's log, where its "log" blocks route them, and
// hands them to Caddy's event system. The logger is named "mfa.event", so that a
// block can include or leave out just these.
type logEvents struct {
	logger *zap.Logger
	emit   func(mfa.Event) // nil: nobody else is told
}

// Record writes one event: what administrators want to know of at info, each
// decision that only sends somebody on at debug.
func (l logEvents) Record(_ context.Context, e mfa.Event) {
	if l.emit != nil {
		l.emit(e)
	}
	level := zapcore.InfoLevel
	if e.Name == mfa.EventDecision && !strings.HasPrefix(e.Reason, mfa.Refuse.String()+":") {
		level = zapcore.DebugLevel
	}
	entry := l.logger.Named("event").Check(level, string(e.Name))
	if entry == nil {
		return
	}
	fields := make([]zap.Field, 0, 10)
	fields = append(fields, zap.Bool("ok", e.OK))
	for _, f := range eventFields(e) {
		fields = append(fields, zap.String(f.key, f.value))
	}
	entry.Write(fields...)
}

// manyEvents tells each event to all of them.
type manyEvents []mfa.Events

// Record implements mfa.Events.
func (m manyEvents) Record(ctx context.Context, e mfa.Event) {
	for _, events := range m {
		events.Record(ctx, e)
	}
}

// Keep implements mfa.KeptEvents: those that keep events say whether they did, and only
// then are the others told.
func (m manyEvents) Keep(ctx context.Context, e mfa.Event) error {
	for _, events := range m {
		if kept, ok := events.(mfa.KeptEvents); ok {
			if err := kept.Keep(ctx, e); err != nil {
				return err
			}
		}
	}
	for _, events := range m {
		if _, ok := events.(mfa.KeptEvents); !ok {
			events.Record(ctx, e)
		}
	}
	return nil
}

type eventField struct{ key, value string }

// eventFields are the fields of an event that say something.
func eventFields(e mfa.Event) []eventField {
	list := make([]eventField, 0, 9)
	add := func(key, value string) {
		if value != "" {
			list = append(list, eventField{key, value})
		}
	}
	add("reason", e.Reason)
	add("user_id", string(e.User))
	if e.User != "" || e.Name == mfa.EventAdmin {
		// The name of nobody is what a stranger typed there, and now and then that
		// is a password. An administrator's command has nothing but names there.
		add("user", e.UserName)
	}
	add("factor", string(e.Factor))
	add("session", e.Session)
	add("network", e.Network)
	add("host", e.Host)
	add("decision", e.Decision)
	add("detail", e.Detail)
	add("actor", e.Actor)
	add("actor_id", string(e.ActorID))
	return list
}

// announce says what the gateway was started with, and what an administrator
// should know about it.
func (a *App) announce(g *generation) {
	protected, consoles := a.sites(), a.consoleSites()
	policy := g.policies.Current() // with what is stored
	if policy == nil {
		policy = &a.policy
	}
	portal := zap.Skip()
	if a.portal != "" {
		portal = zap.String("portal", a.portal)
	}
	a.logger.Info("the gate is up",
		zap.Strings("protects", protected.origins),
		zap.Strings("consoles", consoles.origins),
		portal,
		zap.String("store", a.store.place()),
		zap.String("factors", policy.Factors.String()),
		zap.Bool("required", !policy.Optional),
		zap.Duration("idle", a.idle()),
		zap.Duration("absolute", a.absolute()))
	if clock.Movable {
		a.logger.Warn("this is a test build, whose clock can be moved from outside: never use it to protect anything")
	}
	if policy.Off {
		manyEvents{a.events(), g.pooled.store.events}.Record(a.ctx, mfa.Event{At: clock.Now(), Name: mfa.EventMFAOff, OK: true})
		a.logger.Warn("2-step verification is switched off by \"factors off\" and \"require off\": a password alone opens every protected app")
	}
	if policy.ReportOnly {
		a.logger.Warn("report_only: nobody is asked for a second factor, and a password alone opens every protected app; remove it once the record says what you want")
	}
	if a.InsecureHTTP {
		a.logger.Warn("insecure_http: passwords and cookies cross the network in the open, and passkeys do not work")
	}
	if a.absolute() > defaultAbsolute*2 {
		a.logger.Warn("sessions may last longer than a day", zap.Duration("absolute", a.absolute()))
	}
	for _, id := range a.named {
		if p := g.policies.Current(); p != nil && p.Organizations.Find(id) == nil {
			a.logger.Warn("a route is an organization's that there is not, so it refuses everybody; declare the organization, or make it: secondgate mfa orgs set "+string(id),
				zap.String("organization", string(id)))
		}
	}
	a.warnOfSites(protected, consoles)
	a.firstStart(g)
}

// warnOfSites says what is the matter with the sites that are protected.
func (a *App) warnOfSites(protected, consoles sites) {
	if a.handlers == 0 && a.consoles == 0 {
		a.logger.Warn("nothing is protected: there are global options for mfa, but no site has the directive; write in each site that needs it: mfa")
	}
	if len(protected.origins) > 1 && a.Domain == "" && a.portal == "" {
		a.logger.Warn("several hosts are protected and no domain is set: people sign in, and set up a passkey, once for each host; to share them write in the mfa block: domain example.com",
			zap.Strings("hosts", protected.origins))
	}
	if at := hostOf(a.portal); a.portal != "" && a.Domain != "" && at != a.Domain && !strings.HasSuffix(at, "."+a.Domain) {
		a.logger.Warn("the portal is not within the domain, so passkeys of the domain do not work there; give the portal a host of the domain, or leave the domain out",
			zap.String("portal", a.portal), zap.String("domain", a.Domain))
	}
	for _, host := range slices.Concat(protected.hosts, consoles.hosts) {
		if a.Domain != "" && a.portal == "" && host != "" && host != a.Domain && !strings.HasSuffix(host, "."+a.Domain) {
			a.logger.Warn("a protected host is not within the domain, so people sign in there apart and their passkeys do not work there; change the one or the other",
				zap.String("host", host), zap.String("domain", a.Domain))
		}
	}
	for _, name := range slices.Concat(protected.plain, consoles.plain) {
		// It would only be seen when somebody opens it, and then by everybody.
		a.logger.Warn("this site is served over plain http, which is refused everywhere but on localhost. Either let Caddy serve https (write the site without http://), or, where a proxy in front ends TLS, name it in servers { trusted_proxies … } or say origin https://HOST in the mfa block; insecure_http is for trials in a closed network",
			zap.String("site", name))
	}
	for name, s := range a.servers() {
		if trustsProxies(s) && s.TrustedProxiesStrict == 0 {
			// Caddy then takes the left-most address, which a proxy that appends
			// leaves to the client (AC-091).
			a.logger.Warn("trusted_proxies without trusted_proxies_strict: clients may choose the address that their attempts are counted under; add to the servers block: trusted_proxies_strict",
				zap.String("server", name))
		}
	}
}

var _ mfa.Events = logEvents{}
