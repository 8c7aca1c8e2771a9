package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/secondgate/secondgate/internal/outbound"
)

// How the provider is asked.
const (
	connectTime = 5 * time.Second
	askTime     = 10 * time.Second
	maxAnswer   = 1 << 20
	// describedFor is how long the provider's description is used until it is read again.
	describedFor = 24 * time.Hour
	// keysEvery is how often keys are looked for at most: a stranger's token can name one
	// that there is not.
	keysEvery = 5 * time.Second
	// firstWait and lastWait are how long a provider that did not describe itself is left
	// alone; the wait doubles.
	firstWait = time.Second
	lastWait  = 30 * time.Second
)

// algorithms are those that a signature may have. None has a secret that both sides know.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

// provider is what a provider says of itself.
type provider struct {
	oidc     *oidc.Provider
	verifier *oidc.IDTokenVerifier
	oauth    oauth2.Config // without the address to come back to
	end      string        // where people sign out; "": nowhere
	// issuers says that each answer names its issuer (RFC 9207).
	issuers bool
	read    time.Time
}

// description is what go-oidc does not read.
type description struct {
	AuthURL     string   `json:"authorization_endpoint"`
	TokenURL    string   `json:"token_endpoint"`
	KeysURL     string   `json:"jwks_uri"`
	UserInfoURL string   `json:"userinfo_endpoint"`
	EndURL      string   `json:"end_session_endpoint"`
	Algorithms  []string `json:"id_token_signing_alg_values_supported"`
	TokenAuth   []string `json:"token_endpoint_auth_methods_supported"`
	Challenges  []string `json:"code_challenge_methods_supported"`
	Issuers     bool     `json:"authorization_response_iss_parameter_supported"`
}

// directory reads the provider's description when it is first needed, and keeps it. It is
// safe for concurrent use.
type directory struct {
	cfg    Config
	client *outbound.Client

	known atomic.Pointer[provider]
	turn  chan struct{} // whoever holds it may ask
	// Of the last failure; whoever holds the turn may touch them.
	failed error
	wait   time.Duration
	again  time.Time
}

func newDirectory(c Config) *directory {
	issuer, _ := url.Parse(c.Issuer) // Validate has read it
	home := issuer.Hostname()
	return &directory{
		cfg: c, turn: make(chan struct{}, 1),
		client: outbound.NewBounded(outbound.Bounds{
			Roots: c.Roots, Connect: connectTime, Total: askTime, Answer: maxAnswer, LinkLocal: private(home) && !loopback(home),
		}),
	}
}

// with returns a context in which the libraries ask with our client.
func (d *directory) with(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, d.client)
}

// provider returns what the provider says of itself. An error means that it cannot be
// asked now. A description that is old stays in use while there is no newer one.
func (d *directory) provider(ctx context.Context) (*provider, error) {
	if p := d.known.Load(); p != nil && d.cfg.Now().Sub(p.read) < describedFor {
		return p, nil
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p, now := d.known.Load(), d.cfg.Now()
	if p != nil && now.Sub(p.read) < describedFor {
		return p, nil
	}
	if d.failed == nil || !now.Before(d.again) {
		// A browser that went away is no reason to think ill of the provider.
		fresh, err := d.ask(context.WithoutCancel(ctx))
		if err == nil {
			d.failed, d.wait = nil, 0
			d.known.Store(fresh)
			return fresh, nil
		}
		d.failed, d.wait = err, min(max(2*d.wait, firstWait), lastWait)
		d.again = d.cfg.Now().Add(d.wait)
	}
	if p != nil {
		return p, nil
	}
	return nil, d.failed
}

// ask reads the provider's description.
func (d *directory) ask(ctx context.Context) (*provider, error) {
	ctx, cancel := context.WithTimeout(d.with(ctx), askTime)
	defer cancel()
	found, err := oidc.NewProvider(ctx, d.cfg.Issuer)
	if e, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok {
		return nil, fmt.Errorf("the provider calls itself %q and not %q; write that as the issuer if it is the right one", e.Discovered, d.cfg.Issuer)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the provider's description: %w", plain(err))
	}
	var said description
	if err := found.Claims(&said); err != nil {
		return nil, errors.New("reading the provider's description: it is of another form")
	}
	if err := said.check(d.cfg.Issuer); err != nil {
		return nil, err
	}
	style, err := said.style(len(d.cfg.ClientSecret) > 0)
	if err != nil {
		return nil, err
	}
	may := algorithms
	if said.Algorithms != nil {
		may = slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return !slices.Contains(said.Algorithms, a) })
	}
	if len(may) == 0 {
		return nil, errors.New("the provider signs with no algorithm that is accepted here; have it sign with RS256, ES256 or EdDSA")
	}
	spare := outbound.Sparing(d.client, keysEvery, d.cfg.Now)
	keys := &keySet{oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), spare), said.KeysURL)}
	return &provider{
		oidc:     found,
		verifier: oidc.NewVerifier(d.cfg.Issuer, keys, &oidc.Config{ClientID: d.cfg.ClientID, SupportedSigningAlgs: may, Now: d.cfg.Now}),
		oauth: oauth2.Config{
			ClientID: d.cfg.ClientID, ClientSecret: string(d.cfg.ClientSecret), Scopes: d.cfg.Scopes,
			Endpoint: oauth2.Endpoint{AuthURL: said.AuthURL, TokenURL: said.TokenURL, AuthStyle: style},
		},
		end: said.EndURL, issuers: said.Issuers, read: d.cfg.Now(),
	}, nil
}

// check refuses a description that lacks what is needed or leads astray.
func (s *description) check(issuer string) error {
	home, err := url.Parse(issuer)
	if err != nil {
		return errors.New("the issuer is no address")
	}
	for _, each := range []struct {
		name, text string
		needed     bool
	}{
		{"authorization_endpoint", s.AuthURL, true}, {"token_endpoint", s.TokenURL, true}, {"jwks_uri", s.KeysURL, true},
		{"userinfo_endpoint", s.UserInfoURL, false}, {"end_session_endpoint", s.EndURL, false},
	} {
		if each.text == "" && !each.needed {
			continue
		}
		if err := checkEndpoint(home, each.text); err != nil {
			return fmt.Errorf("the provider's description: %s %w", each.name, err)
		}
	}
	if s.Challenges != nil && !slices.Contains(s.Challenges, "S256") {
		return errors.New("the provider does not take a challenge of the kind S256, which keeps a stolen code from being used; have it do so")
	}
	return nil
}

// style returns how we prove to the provider who we are.
func (s *description) style(secret bool) (oauth2.AuthStyle, error) {
	switch {
	case !secret, slices.Contains(s.TokenAuth, "client_secret_post") && !slices.Contains(s.TokenAuth, "client_secret_basic"):
		return oauth2.AuthStyleInParams, nil
	case s.TokenAuth == nil, slices.Contains(s.TokenAuth, "client_secret_basic"):
		return oauth2.AuthStyleInHeader, nil
	}
	return 0, errors.New("the provider takes a client's secret neither as client_secret_basic nor as client_secret_post; have it take one of them")
}

// keySet tells keys that could not be fetched from a signature that does not hold: go-oidc
// says both with one kind of error.
type keySet struct{ oidc.KeySet }

type fault struct{}

// VerifySignature returns the payload of a token that the provider has signed.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, token)
	if at, ok := ctx.Value(fault{}).(*error); ok && err != nil && fetching(err) {
		*at = err
	}
	return payload, err
}
