package caddymodule

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// Assertion is what apps are told with a signature: who somebody is, and what was proven.
// The zero value signs with Ed25519.
type Assertion struct {
	// Algorithm is "eddsa" (the default), "es256" for apps whose libraries have no Ed25519,
	// or "off": nothing is signed, and no keys are published.
	Algorithm string `json:"algorithm,omitempty"`
	// Issuer is who the assertion says it is from, for example "https://auth.example.com".
	// The default is the app's own origin.
	Issuer string `json:"issuer,omitempty"`
}

// parseAssertion reads
//
//	assertion [eddsa|es256|off] [{
//		issuer URL
//	}]
func (a *App) parseAssertion(b *block) error {
	if b.NextArg() {
		a.Assertion.Algorithm = b.Val()
	}
	err := b.nested("assertion", func(s *block) map[string]func() error {
		return map[string]func() error{
			"issuer": func() error { return s.word(&a.Assertion.Issuer, "issuer https://auth.example.com") },
		}
	})
	if err == nil && a.Assertion == (Assertion{}) {
		return b.Err("assertion: which one? Write for example: assertion es256")
	}
	return err
}

func (a *App) checkAssertion() error {
	switch a.Assertion.Algorithm {
	case "", "eddsa", "es256":
	case "off":
		if a.Assertion.Issuer != "" {
			return fmt.Errorf("assertion: off signs nothing, so nobody issues it; leave issuer out, or write: assertion { issuer %s }", a.Assertion.Issuer)
		}
	default:
		return fmt.Errorf("assertion: %q is none of eddsa, es256 and off; write for example: assertion es256", a.Assertion.Algorithm)
	}
	issuer := a.Assertion.Issuer
	if issuer == "" {
		return nil
	}
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Scheme+"://"+u.Host != issuer || strings.ToLower(issuer) != issuer {
		// Apps compare it letter by letter.
		return fmt.Errorf("assertion issuer: %q is not an origin; write https, the host in lower case and nothing after it: issuer https://auth.example.com", issuer)
	}
	return nil
}

// newAssertions makes what signs for apps, or nil where that is off.
func (a *App) newAssertions(keys *seal.Keyset, policies *mfa.Policies, sources []mfa.Source) (*session.Assertions, error) {
	algorithm := session.EdDSA
	switch a.Assertion.Algorithm {
	case "off":
		return nil, nil
	case "es256":
		algorithm = session.ES256
	}
	passwords := make(map[string]bool)
	if a.hasLocal() {
		passwords["local"] = true
	}
	for _, s := range sources {
		if s.Password != nil {
			passwords[s.Name()] = true
		}
	}
	return session.NewAssertions(session.AssertionConfig{
		Algorithm: algorithm, Keys: derivedKeys(keys, forAssertions), Issuer: a.Assertion.Issuer,
		Passwords: func(source string) bool { return passwords[source] },
		Policy:    policies.Current, Now: clock.Now,
	})
}

// asserting returns what the guard asks for each request that may pass, or nil. What cannot
// be signed is left out, counted, and logged once a minute: it is the same fault each time.
func asserting(signer *session.Assertions, logger *zap.Logger) func(*session.View, session.Audience) string {
	if signer == nil {
		return nil
	}
	var told atomic.Int64 // when it was logged last, in Unix nanoseconds
	return func(v *session.View, to session.Audience) string {
		token, err := signer.Of(v, to)
		if err != nil {
			counted.unsigned.Inc()
			now, last := clock.Now().UnixNano(), told.Load()
			if (now-last >= int64(time.Minute) || now < last) && told.CompareAndSwap(last, now) {
				logger.Error("an app was sent no assertion", zap.Error(err), zap.Stringer("app", to))
			}
			return ""
		}
		return token
	}
}

// keySetPath is where apps find the keys.
const keySetPath = "/.mfa/jwks.json"

// isKeySet reports whether the request asks for the keys, in exactly this spelling.
func isKeySet(r *http.Request) bool { return r.URL.Path == keySetPath && r.URL.RawPath == "" }

// serveKeySet gives the public keys to anybody, and looks at no cookie. Scripts of every
// origin may read them: they are no secret, the answer is the same for everybody, and it is
// kept by whoever likes for five minutes. Nothing else of ours is read from elsewhere.
func (g *generation) serveKeySet(w http.ResponseWriter, r *http.Request) {
	w = guard.Plain(w)
	h := w.Header()
	web.APIHeaders(h, r.TLS != nil)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	document := session.EmptyKeySet
	if g.assertions != nil {
		document = g.assertions.KeySet()
	}
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(document) // nobody is left to tell when the app went away
	}
}
