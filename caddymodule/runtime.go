package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/secondgate/secondgate/api"
	"github.com/secondgate/secondgate/doctor"
	"github.com/secondgate/secondgate/forwardauth"
	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/identity/local"
	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/backupcode"
	"github.com/secondgate/secondgate/mfa/factor/otpcode"
	"github.com/secondgate/secondgate/mfa/factor/passkey"
	"github.com/secondgate/secondgate/mfa/factor/totp"
	"github.com/secondgate/secondgate/pages"
	"github.com/secondgate/secondgate/sender"
	"github.com/secondgate/secondgate/session"
	"github.com/secondgate/secondgate/store"
)

// pool holds what outlives a reload: open stores, by place, and the session
// managers with their caches, by place and limits. An entry lives as long as a
// configuration or a request uses it.
var pool = caddy.NewUsagePool()

// hasher is the one of the process, so that its bound on memory holds whatever
// reloads come.
var hasher = sync.OnceValues(func() (*seal.Hasher, error) { return seal.NewHasher(seal.HasherConfig{}) })

// pooledStore is an open store in the pool.
type pooledStore struct {
	store   openStore
	keys    *keyring
	events  *store.Recorder
	greeted atomic.Bool // the link for the first account was made
}

// Destruct closes the store. The pool calls it when nobody uses it any more.
func (p *pooledStore) Destruct() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	p.keys.close()
	// Events first: they go into the store.
	return errors.Join(p.events.Close(ctx), p.store.Close())
}

// sessionsKey is the name of a session manager in the pool. Limits are part of
// it: a configuration with other limits has a manager of its own.
type sessionsKey struct {
	place          string
	idle, absolute time.Duration
}

// pooledSessions is a session manager in the pool. It holds one use of the store.
type pooledSessions struct {
	place    string
	store    *pooledStore
	sessions *session.Manager
	unfollow func() // ends its following the keys
}

// flushTime is how long the last-seen times may take to be written at the end.
const flushTime = 5 * time.Second

// Destruct writes what the manager still has to write and lets go of the store.
func (p *pooledSessions) Destruct() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	p.unfollow()
	err := p.sessions.Close(ctx)
	_, closeErr := pool.Delete(p.place)
	return errors.Join(err, closeErr)
}

// acquire takes one use of the session manager, and with it of the store, out of
// the pool, opening both where there is none. release gives it back.
func acquire(key sessionsKey, s StoreModule, logger *slog.Logger) (*pooledSessions, error) {
	for {
		p, err := acquireOnce(key, s, logger)
		// A late request may have looked for the entry at this moment and left a
		// failure there.
		if !errors.Is(err, errGone) {
			return p, err
		}
		time.Sleep(time.Millisecond)
	}
}

func acquireOnce(key sessionsKey, s StoreModule, logger *slog.Logger) (*pooledSessions, error) {
	v, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		sv, _, err := pool.LoadOrNew(key.place, func() (caddy.Destructor, error) {
			// Others may wait for the same store: it does not go with whoever asked first.
			opened, keys, err := s.open(context.Background(), logger)
			if err != nil {
				return nil, err // it says what it was doing
			}
			ring := newKeyring(opened, keys, logger)
			// Before anything is done with the keys: one that is removed too early signs
			// everybody out.
			ring.lives(key.absolute)
			ring.run()
			opened = measure(opened, counted)
			return &pooledStore{store: opened, keys: ring, events: store.OpenRecorder(opened, store.RecorderOptions{
				Logger: logger, Now: clock.Now,
				Lost: func(n int) { counted.eventsLost.WithLabelValues("store").Add(float64(n)) },
			})}, nil
		})
		if err != nil {
			return nil, err
		}
		ps := sv.(*pooledStore)
		ps.keys.lives(key.absolute)
		m, err := session.New(session.Config{
			Store: ps.store, Keys: derivedKeys(ps.keys.Keyset, forTokens), Issuer: "secondgate",
			Idle: key.idle, Absolute: key.absolute, Now: clock.Now, Newer: ps.keys.newer,
		})
		if err != nil {
			_, closeErr := pool.Delete(key.place)
			return nil, errors.Join(fmt.Errorf("making the session manager: %w", err), closeErr)
		}
		return &pooledSessions{
			place: key.place, store: ps, sessions: m,
			unfollow: follow(ps.keys.Keyset, forTokens, logger, m.SetKeys),
		}, nil
	})
	if err != nil {
		return nil, err
	}
	p := v.(*pooledSessions)
	if err := useMaster(p.store.keys.Keyset, s, logger); err != nil {
		_, closeErr := pool.Delete(key)
		return nil, errors.Join(err, closeErr)
	}
	return p, nil
}

// errGone says that a request came so late that its store is closed.
var errGone = errors.New("the store of this configuration is closed")

// reacquire takes a use of what is in the pool already.
func reacquire(key sessionsKey) (*pooledSessions, error) {
	if _, there := pool.References(key); !there {
		return nil, errGone
	}
	v, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) { return nil, errGone })
	if err != nil {
		return nil, err
	}
	return v.(*pooledSessions), nil
}

// generation is what one configuration serves requests with. It stays usable
// until the configuration has retired it and the last request has left: requests
// of an old configuration outlive a reload.
type generation struct {
	key    sessionsKey
	pooled *pooledSessions
	gate   *mfa.Gate
	guard  *guard.Guard
	// assertions are what apps are told with a signature; nil: nothing.
	assertions *session.Assertions
	// unfollow ends their following the keys.
	unfollow func()
	pages    http.Handler
	// console is what a host without an app serves: the same, and with it what is for
	// administrators and their programs.
	console http.Handler
	// forward answers other proxies; nil: there is no portal that they could ask.
	forward *forwardauth.Auth
	// policies is the policy as it holds now; commands and forms change it while the
	// gateway runs.
	policies *mfa.Policies
	post     *sender.Post
	sources  []io.Closer // what the identity sources hold open
	logger   *zap.Logger
	// coverage says how many users hold which factors; who is disabled is not counted.
	coverage coverageFunc

	// uses counts the requests inside, and one for the configuration itself. At
	// zero the pooled parts are given back, and it never rises again.
	uses atomic.Int64

	// campaigning is the work on campaigns, which stopCampaigns ends.
	campaigning   sync.WaitGroup
	stopCampaigns context.CancelFunc
}

// newGeneration opens the store, or joins the one that is open, and builds the
// gate, the guard and the pages on it.
func newGeneration(a *App) (*generation, error) {
	key := sessionsKey{place: a.store.instance(), idle: a.idle(), absolute: a.absolute()}
	pooled, err := acquire(key, a.store, a.ctx.Slogger())
	if err != nil {
		return nil, err
	}
	g, err := build(a, key, pooled)
	if err != nil {
		_, closeErr := pool.Delete(key)
		return nil, errors.Join(err, closeErr)
	}
	g.startCampaigns()
	return g, nil
}

func build(a *App, key sessionsKey, pooled *pooledSessions) (*generation, error) {
	events := manyEvents{countEvents{counted}, guard.Quiet(manyEvents{a.events(), pooled.store.events}, clock.Now)}
	policies, err := newPolicies(a, pooled.store.store, events)
	if err != nil {
		return nil, err
	}
	post, err := a.post()
	if err != nil {
		policies.Close()
		return nil, err
	}
	var gate *mfa.Gate
	var g *generation
	sources, closers, err := a.openSources()
	if err == nil {
		gate, err = newGate(a, pooled.store.store, pooled.store.keys.Keyset, linkEvents{events, a}, policies, measuredPost{post, counted}, a.sites, sources)
	}
	var assertions *session.Assertions
	if err == nil {
		assertions, err = a.newAssertions(pooled.store.keys.Keyset, policies, sources)
	}
	if err == nil {
		g, err = buildEdges(a, key, pooled, gate, events, policies, assertions)
	}
	if err != nil {
		policies.Close()
		return nil, errors.Join(err, closePost(post), closeAll(closers))
	}
	g.post, g.sources, g.unfollow = post, closers, func() {}
	if assertions != nil {
		g.unfollow = follow(pooled.store.keys.Keyset, forAssertions, a.ctx.Slogger(), assertions.SetKeys)
	}
	return g, nil
}

// closePost sends what still waits, for as long as that may take.
func closePost(post *sender.Post) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	return post.Close(ctx)
}

// drainTime is how long letters that wait may take at the end of a configuration.
const drainTime = 10 * time.Second

// newPolicies puts together what the configuration says and what is stored.
func newPolicies(a *App, store mfa.PolicyStore, events mfa.Events) (*mfa.Policies, error) {
	return mfa.NewPolicies(a.ctx, mfa.PoliciesConfig{
		Configured: a.configured, Declared: a.policy.Organizations.List(), Have: a.have(), Store: store,
		Events: events, Now: clock.Now,
		Warn: func(err error) {
			a.logger.Warn("the stored policy", zap.Error(err))
			events.Record(a.ctx, mfa.Event{At: clock.Now(), Name: mfa.EventPolicyRepaired, Detail: err.Error()})
		},
	})
}

func buildEdges(a *App, key sessionsKey, pooled *pooledSessions, gate *mfa.Gate, events mfa.Events, policies *mfa.Policies, assertions *session.Assertions) (*generation, error) {
	cfg := guard.Config{
		Sessions: pooled.sessions,
		Policy:   policies.Current,
		Events:   events,
		Now:      clock.Now,
		Peer:     peer,
		Origin:   a.Origin, Domain: a.Domain, Related: a.RelatedOrigins, InsecureHTTP: a.InsecureHTTP,
		Portal:  a.portal,
		Headers: a.headers(), Assertion: asserting(assertions, a.logger),
		Confirm: gate.ConfirmSession, ConfirmUser: gate.ConfirmUser,
	}
	a.guardClaims(&cfg, pooled.store.store.EndSession)
	front, err := guard.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("making the guard: %w", err)
	}
	gates := func(address string) (*mfa.AccessQuery, error) { return a.gatesAt(front, address) }
	var g *generation
	people, err := pages.New(pages.Config{
		Gate: gate, Guard: front,
		Brand:          a.pageBrand(),
		LinkOrigin:     a.letterOrigin(),
		Administration: func(by mfa.Actor) pages.Administration { return gate.As(by) },
		Apps:           a.linkOrigins(),
		Gates:          gates,
		Portal:         a.portalPages(),
		Doctor:         func(r *http.Request, p doctor.Proxy) *doctor.Report { return a.examine(g, r, p) },
		Console:        a.consoleOrigin,
		Now:            clock.Now, Logger: a.ctx.Slogger(),
	})
	if err != nil {
		return nil, fmt.Errorf("making the pages: %w", err)
	}
	front.SetRefusals(people)
	programs, err := api.New(api.Config{Gate: gate, Guard: front, Now: clock.Now, Logger: a.ctx.Slogger(), Origins: a.linkOrigins(), Gates: gates})
	if err != nil {
		return nil, err // it says what it was making
	}
	forward, err := newForwardAuth(a, front, events)
	if err != nil {
		return nil, err // it says what it was making
	}
	g = &generation{
		key: key, pooled: pooled, gate: gate, guard: front, logger: a.logger, policies: policies,
		assertions: assertions, forward: forward,
		pages: edges{people, programs}, console: edges{people.Console(), programs.Console()},
		coverage: func(ctx context.Context) (map[mfa.Kinds]int, error) { return pooled.store.store.CountUsers(ctx) },
	}
	g.uses.Store(1)
	return g, nil
}

// edges are what is served below /.mfa/: to people, and to programs.
type edges struct{ people, programs http.Handler }

// ServeHTTP hands the request to the one whose path it is.
func (e edges) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if api.Serves(r.URL.Path) {
		e.programs.ServeHTTP(w, r)
		return
	}
	e.people.ServeHTTP(w, r)
}

// newGate makes the gate on a store: for a gateway that serves, and for commands
// that work on the store while none runs.
func newGate(a *App, store mfa.Store, keys *seal.Keyset, events mfa.KeptEvents, policies *mfa.Policies, post mfa.Post, protected func() sites, sources []mfa.Source) (*mfa.Gate, error) {
	h, err := hasher()
	if err != nil {
		return nil, err
	}
	source, err := local.New(local.Config{Users: store, Hasher: h})
	if err != nil {
		return nil, err
	}
	codes, err := otpcode.New(otpcode.Config{Countries: a.SMS.Countries})
	if err != nil {
		return nil, err
	}
	signUp, signIn, err := a.localWays()
	if err != nil {
		return nil, err
	}
	var passwords mfa.Passwords
	if a.hasLocal() {
		sources = slices.Insert(slices.Clone(sources), 0, mfa.Source{Password: source})
		passwords = source
	}
	return mfa.NewGate(mfa.Config{
		Store:     store,
		Sources:   sources,
		Passwords: passwords,
		TOTP:      totp.New(),
		Codes:     backupcode.New(h),
		Passkeys:  passkey.New(passkey.Config{Name: a.brandName(), Now: clock.Now}),
		Events:    events,
		Now:       clock.Now,
		Policies:  policies,
		Hosts:     func() ([]string, bool) { return protected().relyingParties(a) },
		AppHosts:  a.appHosts,
		SentCodes: codes,
		Post:      post,
		// Letters of campaigns lead to the portal, or to the first host that the configuration
		// names.
		AccountPage: protected().accountPage(a.portal),
		SignUp:      signUp, SignInCodes: signIn, SMSPerDay: a.SMS.PerDay,
		Issuer:   a.issuer(),
		Absolute: a.absolute(),
		NameKey:  keys.NameKey,
	})
}

// visit is one request inside a generation.
type visit struct {
	*generation
	borrowed bool // holds a use of the pool rather than of the generation
}

// enter lets a request in.
func (g *generation) enter() (visit, error) {
	for {
		n := g.uses.Load()
		if n == 0 {
			break
		}
		if g.uses.CompareAndSwap(n, n+1) {
			return visit{g, false}, nil
		}
	}
	// The configuration is gone, but this request was accepted under it. Where
	// its store is still open, because the next configuration uses the same, it
	// is served by the rules it came under.
	pooled, err := reacquire(g.key)
	if err != nil {
		return visit{}, err
	}
	if pooled != g.pooled {
		_, _ = pool.Delete(g.key)
		return visit{}, errGone
	}
	return visit{g, true}, nil
}

// leave lets the request out. The last one closes what nobody else uses.
func (v visit) leave() {
	if v.borrowed {
		v.giveBack()
		return
	}
	v.release()
}

func (g *generation) release() {
	if g.uses.Add(-1) == 0 {
		g.stopCampaigns()
		g.campaigning.Wait() // it uses what is given back now
		g.gate.Close()       // … and so does this
		g.policies.Close()
		g.unfollow()
		if err := closeAll(g.sources); err != nil {
			g.logger.Warn("closing the identity sources", zap.Error(err))
		}
		g.close()
		g.giveBack()
	}
}

// close ends what the generation alone uses. Letters that wait are sent first, beside
// whatever else goes on: nobody waits for a mail server here.
func (g *generation) close() {
	if g.post == nil {
		return
	}
	if caddy.Exiting() {
		g.logClose(closePost(g.post))
		return
	}
	go func() { g.logClose(closePost(g.post)) }()
}

func (g *generation) logClose(err error) {
	if err != nil {
		g.logger.Warn("letters were not sent before the configuration ended", zap.Error(err))
	}
}

func (g *generation) giveBack() {
	if _, err := pool.Delete(g.key); err != nil {
		g.logger.Error("closing the store", zap.Error(err))
	}
}

// linger is how long a configuration that was replaced keeps its own use: requests
// that were accepted before the reload may still be on their way to us.
var linger = 5 * time.Second

// retire ends the configuration's own use.
func (g *generation) retire() {
	g.stopCampaigns() // the next configuration goes on with them
	if caddy.Exiting() || linger == 0 {
		g.release()
		return
	}
	time.AfterFunc(linger, g.release)
}

var (
	_ caddy.Destructor = (*pooledStore)(nil)
	_ caddy.Destructor = (*pooledSessions)(nil)
)
