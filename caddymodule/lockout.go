package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/mfa"
)

// lockoutTime is how long the look at the administrators may take.
const lockoutTime = 10 * time.Second

// checkLockout refuses a configuration that no administrator could sign in under, where
// one can under the configuration that runs (rule B35). Where none runs, there is nothing
// to compare with, and a gateway that does not start shuts out everybody: then the log
// says so.
func (a *App) checkLockout(g *generation) error {
	ctx, cancel := context.WithTimeout(a.ctx, lockoutTime)
	defer cancel()
	after := g.gate.Standing()
	before, running := a.standing()
	if !running {
		everything := mfa.Ways{
			Sources: after.Ways.Sources, Have: factorsHere, Codes: factorsHere, RPIDs: after.Ways.RPIDs, AnyHost: true,
		}
		usual := mfa.DefaultPolicy()
		usual.Factors, usual.Optional = factorsHere, true
		before = mfa.Standing{Policy: &usual, Ways: everything}
	}
	err := mfa.CheckLockout(ctx, g.pooled.store.store, before, after, clock.Now())
	lockout, out := errors.AsType[*mfa.LockoutError](err)
	switch {
	case err == nil:
		return nil
	case !out:
		return fmt.Errorf("finding out whether an administrator can still sign in: %w", err)
	case !running || a.AcceptLockout:
		a.logger.Error("the way back in is a command on this machine: secondgate mfa setup-link", zap.String("reason", lockout.Reason))
		return nil
	}
	return fmt.Errorf("refused, and what ran before goes on: %w. Give one of them a factor that this configuration accepts, or say accept_lockout in the mfa block", err)
}

// standing returns how things stand under the configuration that runs now, where it is on
// the same store.
func (a *App) standing() (mfa.Standing, bool) {
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		return mfa.Standing{}, false
	}
	app, ok := running.(*App)
	if !ok || app == a || app.store == nil || app.store.place() != a.store.place() {
		return mfa.Standing{}, false
	}
	g := app.rt.Load()
	if g == nil {
		return mfa.Standing{}, false
	}
	return g.gate.Standing(), true
}

// relyingParties returns those of the protected hosts, as the guard makes them, and
// whether a site answers to any host.
func (s sites) relyingParties(a *App) (ids []string, any bool) {
	if a.portal != "" {
		// People verify there and nowhere else.
		return s.portalParty(a), false
	}
	any = len(s.hosts) == 0
	if a.Domain != "" {
		ids = append(ids, a.Domain)
	}
	for _, origin := range s.origins {
		u, err := url.Parse(origin)
		if err != nil {
			continue
		}
		switch host := u.Hostname(); {
		case net.ParseIP(host) != nil, u.Scheme != "https" && !isLocalhost(host):
		case u.Scheme == "https" && a.Domain != "" && (host == a.Domain || strings.HasSuffix(host, "."+a.Domain)):
		default:
			ids = append(ids, host)
		}
	}
	for _, pattern := range append(slices.Clone(s.hosts), s.stars...) {
		if strings.ContainsAny(pattern, "*{") && (a.Domain == "" || !strings.HasSuffix(pattern, "."+a.Domain)) {
			any = true
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), any
}

// portalParty returns the relying party of passkeys at the portal; none where they cannot
// work there.
func (sites) portalParty(a *App) []string {
	u, err := url.Parse(a.portal)
	if err != nil {
		return nil
	}
	switch host := u.Hostname(); {
	case net.ParseIP(host) != nil, u.Scheme != "https" && !isLocalhost(host):
		return nil
	case u.Scheme == "https" && a.Domain != "" && (host == a.Domain || strings.HasSuffix(host, "."+a.Domain)):
		return []string{a.Domain}
	default:
		return []string{host}
	}
}
