package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/pages"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is the configuration of the gateway: who may sign in how, what is asked of
// them, and where that is kept. Every field may be left out; what is left out
// has the strict or the usual value, so that an empty object is a working
// gateway that requires a second factor of everybody.
type App struct {
	// StoreRaw says where users, factors and sessions are kept. The default is
	// the embedded store, in Caddy's data directory.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=mfa.stores inline_key=module"`

	// SendersRaw say how codes and notices reach people, one for each channel:
	// "email" and "sms". Without a sender nothing is sent.
	SendersRaw map[string]json.RawMessage `json:"senders,omitempty" caddy:"namespace=mfa.senders inline_key=module"`

	// Domain is the domain that all protected hosts share, for example
	// "example.com". With it, one sign-in and one passkey hold for all of its
	// hosts. Without it, each host has its own.
	Domain string `json:"domain,omitempty"`

	// RelatedOrigins are protected hosts outside the domain whose people use the
	// domain's passkeys, for example "https://example.de". Browsers ask the host that
	// is the domain itself whether they may, so that host must be protected as well.
	RelatedOrigins []string `json:"related_origins,omitempty"`

	// Origin is the address under which browsers reach the protected app, for
	// example "https://app.example.com". It is needed only where another proxy
	// in front ends TLS and is not among Caddy's trusted proxies.
	Origin string `json:"origin,omitempty"`

	// Factors are the second factors that people may set up: "passkey", "totp"
	// (authenticator app), "backup_code". The single word "off", together with
	// "require": "off", switches 2-step verification off. The default is all
	// three.
	Factors []string `json:"factors,omitempty"`

	// Require is "on" or "off". With "on", the default, nobody reaches the app
	// without a second factor. With "off", people who have one are asked for it
	// and the others are not.
	Require string `json:"require,omitempty"`

	// Prompt says when somebody without a factor is asked to set one up where
	// nothing requires it: "at_registration" (the default), "at_next_sign_in" or
	// "never". It has a meaning only with "require": "off".
	Prompt string `json:"prompt,omitempty"`

	// Grace postpones the requirement for people who never had a factor, from
	// the first time that they are asked. The default is 0: none.
	Grace caddy.Duration `json:"grace,omitempty"`

	// OrganizationRequired says where the requirements of a person's organizations
	// hold: "at_sign_in" (the default), for them everywhere, or "at_access", on the
	// organization's own routes.
	OrganizationRequired string `json:"organization_required,omitempty"`

	// RememberDevice offers people not to be asked again in the same browser for so
	// long. It stands for "require" alone, never for what a route asks. The default is
	// 0: not offered.
	RememberDevice caddy.Duration `json:"remember_device,omitempty"`

	// AppTokens lets programs come with an app token on every route that asks for
	// nothing but a second factor. Without it, only those take them that say so.
	AppTokens bool `json:"app_tokens,omitempty"`

	// AutoEnroll makes addresses that people have proven second factors without
	// asking, where "email" or "sms" is among the factors.
	AutoEnroll bool `json:"auto_enroll,omitempty"`

	// AcceptLockout lets a configuration be loaded under which no administrator could sign
	// in any more. Without it, it is refused while another one runs. The command
	// "secondgate mfa setup-link" makes another administrator in any case.
	AcceptLockout bool `json:"accept_lockout,omitempty"`

	// ReportOnly asks nobody for a second factor, and records what would have been
	// asked: for trying a policy out. It protects nothing.
	ReportOnly bool `json:"report_only,omitempty"`

	// Organizations are the organizations that the configuration declares, by name.
	// Others can be made while the gateway runs.
	Organizations map[string]Organization `json:"organizations,omitempty"`

	// Identity says who may sign in how. The default is accounts of the gateway itself.
	Identity Identity `json:"identity,omitzero"`

	// SMS says where text messages may go.
	SMS SMS `json:"sms,omitzero"`

	// Enrollment says what setting up the very first factor needs besides the
	// password. Left out, it is open for 14 days after the first prompt. An
	// empty object is the strictest: an administrator's link.
	Enrollment *Enrollment `json:"enrollment,omitempty"`

	// Session holds the limits of a session.
	Session Session `json:"session,omitzero"`

	// Issuer is the name that authenticator apps show. The default is the name
	// of the brand.
	Issuer string `json:"issuer,omitempty"`

	// Headers are the names of the request headers that tell the app who the
	// person is.
	Headers Headers `json:"headers,omitzero"`

	// Assertion is what apps are told with a signature.
	Assertion Assertion `json:"assertion,omitzero"`

	// UserHeader says what stands in the user header: "name" (the default) or
	// "email", for apps that know people by their address.
	UserHeader string `json:"user_header,omitempty"`

	// Brand is how the pages look and whom they name for help.
	Brand Brand `json:"brand,omitzero"`

	// InsecureHTTP allows plain http beyond localhost. Passwords and cookies
	// then cross the network in the open and passkeys do not work: for trials in
	// a closed network only.
	InsecureHTTP bool `json:"insecure_http,omitempty"`

	ctx     caddy.Context
	logger  *zap.Logger
	store   StoreModule
	senders map[mfa.Kind]mfa.Sender
	sources []namedSource
	proxied *ProxiedIdentity // the one of them that takes established identities; may be nil
	// configured is what the configuration says of the policy, and policy what that
	// makes by itself; what administrators store comes beside it (generation.policies).
	configured mfa.PolicySettings
	policy     mfa.Policy

	// alone says that a command works on the store, without a Caddy around it.
	alone   bool
	emitter *emitter // nil where it is alone
	health  health

	// handlers counts the handlers of this configuration. They are provisioned one
	// after the other, and all of them before Start.
	handlers int
	consoles int // likewise, hosts with a console or the portal
	// portal is the address of the portal: "https://auth.example.com". Start finds it; it is
	// empty where there is none.
	portal string
	// held is what the portal protects behind other proxies; nil: there is no portal.
	held *heldApps
	// elsewhere are hosts that are protected behind other proxies, for which the portal
	// answers. Handlers add them when they are provisioned.
	elsewhere []protectedSite
	// named are the organizations that routes name without a placeholder.
	named []mfa.OrganizationID

	closed *pages.Closed // what answers until the store is open

	ready chan struct{}              // closed when the store is open
	rt    atomic.Pointer[generation] // set then, for good
	once  sync.Once                  // guards its retirement

	opening sync.Mutex // guards over, and what follows from it
	over    bool       // Cleanup came: nothing is opened any more
}

// Enrollment says what a first enrollment needs besides the first factor. The
// zero value asks for an administrator's link.
type Enrollment struct {
	// Open lets people set up their first factor with the password alone.
	Open bool `json:"open,omitempty"`
	// Window is for how long after the first prompt; 0 is without end. Afterwards it
	// is as with confirm.
	Window caddy.Duration `json:"window,omitempty"`
	// Confirm asks for a code to the address on file first. Who has none needs an
	// administrator's pass.
	Confirm bool `json:"confirm,omitempty"`
}

// Organization is an organization with routes, members and a policy of its own.
type Organization struct {
	// Name is what people know it by. The default is the name that it is declared by.
	Name string `json:"name,omitempty"`
	// Require, if "on", asks a second factor of every member.
	Require string `json:"require,omitempty"`
	// Factors are the only ones that count on its routes.
	Factors []string `json:"factors,omitempty"`
	// Fresh asks its members for a proof that is at most so old.
	Fresh caddy.Duration `json:"fresh,omitempty"`
	// PhishingResistant asks its members for a passkey.
	PhishingResistant bool `json:"phishing_resistant,omitempty"`
	// Enrollment holds for its members where it is stricter than the gateway's.
	Enrollment *Enrollment `json:"enrollment,omitempty"`
	// RememberDevice, if "off", lets no browser of its members stand for a second
	// factor.
	RememberDevice string `json:"remember_device,omitempty"`
	// Domains are those whose verified e-mail addresses are members.
	Domains []string `json:"domains,omitempty"`
}

// Local says what people may do with accounts of the gateway itself.
type Local struct {
	// SignUp lets strangers make an account: with a user name ("name"), an address
	// that they prove ("email", "sms"), or any of those. The default is none.
	SignUp []string `json:"sign_up,omitempty"`
	// SignIn are the first factors: "password", always, and codes to an address that
	// the person has proven ("email", "sms"). The default is the password alone.
	SignIn []string `json:"sign_in,omitempty"`
}

// SMS says where text messages may go.
type SMS struct {
	// Countries are those whose mobile numbers get text messages, as two letters: "DE".
	// With none, nobody does.
	Countries []string `json:"countries,omitempty"`
	// PerDay is how many text messages the gateway sends in a day. The default is 1000.
	PerDay int `json:"per_day,omitempty"`
}

// Session holds the limits of a session. The zero value is the default.
type Session struct {
	// Idle ends a session that was not used for so long. The default is 1h.
	Idle caddy.Duration `json:"idle,omitempty"`
	// Absolute ends a session so long after the sign-in, used or not. The
	// default is 12h.
	Absolute caddy.Duration `json:"absolute,omitempty"`
}

// Headers are the names of the headers that tell the app who the person is. What
// is left out keeps its usual name.
type Headers struct {
	// User is the header of the user name. The default is Remote-User.
	User string `json:"user,omitempty"`
	// Name is the header of the display name. The default is Remote-Name.
	Name string `json:"name,omitempty"`
	// Email is the header of the verified e-mail address. The default is
	// Remote-Email.
	Email string `json:"email,omitempty"`
	// Groups is the header of the groups, joined by commas. The default is
	// Remote-Groups.
	Groups string `json:"groups,omitempty"`
	// Assertion is the header of what is signed. The default is Mfa-Assertion.
	Assertion string `json:"assertion,omitempty"`
}

// Brand is how the pages look and whom they name for help.
type Brand struct {
	// Name stands at the top of each page. The default is Secondgate.
	Name string `json:"name,omitempty"`
	// Accent is the colour of buttons and links, for example "#0b5fff".
	Accent string `json:"accent,omitempty"`
	// Support is whom to ask: an e-mail address, a https address or some words.
	// The default is "your administrator".
	Support string `json:"support,omitempty"`
}

// The limits of a session where the configuration names none, and their bounds.
const (
	defaultIdle     = time.Hour
	defaultAbsolute = 12 * time.Hour
	minIdle         = time.Minute
	maxAbsolute     = 30 * 24 * time.Hour
)

// factorsHere are the factors that there are.
var factorsHere = mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email, mfa.BackupCode)

// delivers reports whether the channel has a sender. Caddy empties the raw field when
// it has loaded what stands there.
func (a *App) delivers(channel mfa.Kind) bool {
	return a.SendersRaw[string(channel)] != nil || a.senders[channel] != nil
}

// have returns the factors that this configuration can carry out: codes need a sender,
// and text messages a country that they may go to.
func (a *App) have() mfa.Kinds {
	k := mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.BackupCode)
	if a.delivers(mfa.Email) {
		k |= mfa.KindsOf(mfa.Email)
	}
	if a.delivers(mfa.SMS) && len(a.SMS.Countries) > 0 {
		k |= mfa.KindsOf(mfa.SMS)
	}
	return k
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "mfa", New: func() caddy.Module { return new(App) }}
}

// Provision reads the configuration. It opens nothing: "caddy validate" runs it
// beside a gateway that holds the store's lock.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Logger()
	a.ready = make(chan struct{})
	p, err := a.check()
	if err != nil {
		return err
	}
	a.policy = p
	if a.StoreRaw == nil {
		a.StoreRaw = json.RawMessage(`{"module":"badger"}`)
	}
	mod, err := ctx.LoadModule(a, "StoreRaw")
	if err != nil {
		return fmt.Errorf("loading the store: %w", err)
	}
	store, ok := mod.(StoreModule)
	if !ok {
		return fmt.Errorf("loading the store: %T is no store", mod)
	}
	a.store = store
	if a.alone {
		return nil // it sends nothing, and need not have the secrets
	}
	if err := a.loadSenders(ctx); err != nil {
		return err
	}
	if err := a.loadSources(ctx); err != nil {
		return err
	}
	if a.closed, err = pages.NewClosed(a.pageBrand()); err != nil {
		return err // it says what it was making
	}
	if a.emitter, err = newEmitter(ctx, a.logger); err != nil {
		return fmt.Errorf("finding the app events: %w", err)
	}
	a.registerMetrics(ctx.GetMetricsRegistry())
	return nil
}

// events returns where events go.
func (a *App) events() logEvents {
	if a.emitter == nil {
		return logEvents{logger: a.logger}
	}
	return logEvents{a.logger, a.emitter.emit}
}

func (a *App) idle() time.Duration {
	if a.Session.Idle == 0 {
		return min(defaultIdle, a.absolute())
	}
	return time.Duration(a.Session.Idle)
}

func (a *App) absolute() time.Duration {
	if a.Session.Absolute == 0 {
		return defaultAbsolute
	}
	return time.Duration(a.Session.Absolute)
}

func (a *App) pageBrand() pages.Brand {
	return pages.Brand{Name: a.brandName(), Accent: a.Brand.Accent, Support: a.Brand.Support}
}

func (a *App) brandName() string {
	if a.Brand.Name == "" {
		return "Secondgate"
	}
	return a.Brand.Name
}

func (a *App) issuer() string {
	if a.Issuer == "" {
		return a.brandName()
	}
	return a.Issuer
}

// Start opens the store. Apps start in no fixed order, so requests may come
// before this is done; they wait for it (enter). Where nothing runs yet and the database
// cannot be reached, it returns all the same and goes on trying (keepOpening): a gateway
// that ended with its database would not come back with it. A reload to a database that
// cannot be reached is refused, and what ran before goes on.
func (a *App) Start() error {
	if err := a.checkRoutes(); err != nil {
		return err
	}
	if err := a.checkConsoles(); err != nil {
		return err
	}
	if err := a.findPortal(); err != nil {
		return err
	}
	if err := a.checkEstablished(); err != nil {
		return err
	}
	err := a.open()
	if err != nil && a.store.away(err) && coldStart() {
		a.logger.Error(errAway.Error()+"; until it answers, the gateway refuses everybody with 503, and tries again", zap.String("store", a.store.place()), zap.Error(err))
		go a.keepOpening()
		return nil
	}
	if err != nil {
		return fmt.Errorf("starting mfa: %w", err)
	}
	return nil
}

// Stop does nothing: requests of this configuration go on for a while, and
// apps stop in no fixed order. Cleanup lets go of the store.
func (a *App) Stop() error { return nil }

// Cleanup gives back what Start took, exactly once. Caddy also calls it when
// Provision or Start failed.
func (a *App) Cleanup() error {
	if a.emitter != nil {
		a.emitter.close()
	}
	a.opening.Lock()
	defer a.opening.Unlock()
	a.over = true
	if rt := a.rt.Load(); rt != nil {
		a.once.Do(rt.retire)
	}
	return nil
}

// readyWait is how long a request waits for the store to be opened.
const readyWait = 2 * time.Second

// errNotReady says that the store is not open (any more).
var errNotReady = errors.New("the store is not open yet; the gateway goes on trying to open it, and its log says why not")

// enter waits until the store is open and lets the request in. Whoever got a
// visit must leave it; until then the store stays open, whatever becomes of the
// configuration.
func (a *App) enter(ctx context.Context) (visit, error) {
	select {
	case <-a.ready:
	default:
		// A configuration that fails while it starts may have listened already. Who
		// came in that moment is not kept waiting for what never comes.
		var gone <-chan struct{}
		if a.ctx.Context != nil {
			gone = a.ctx.Done()
		}
		wait := time.NewTimer(readyWait)
		defer wait.Stop()
		select {
		case <-a.ready:
		case <-gone:
			return visit{}, errNotReady
		case <-wait.C:
			return visit{}, errNotReady
		case <-ctx.Done():
			return visit{}, ctx.Err()
		}
	}
	return a.rt.Load().enter()
}

func isLocalhost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

func hostOf(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
