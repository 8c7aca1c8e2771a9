package oidc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/identity/oidc"
	"github.com/secondgate/secondgate/internal/oidctest"
	"github.com/secondgate/secondgate/mfa"
)

const callback = "https://app.example.com/.mfa/sign-in/with/acme/callback"

// clock is a clock that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now().Truncate(time.Second)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is a provider and a source for it.
type world struct {
	*testing.T
	clock    *clock
	provider *oidctest.Provider
	source   *oidc.Source
}

func newWorld(t *testing.T, change func(*oidc.Config)) *world {
	t.Helper()
	w := &world{T: t, clock: newClock()}
	w.provider = oidctest.Start(t, oidctest.Config{Now: w.clock.Now})
	w.source = w.newSource(change)
	return w
}

func (w *world) newSource(change func(*oidc.Config)) *oidc.Source {
	w.Helper()
	c := oidc.Config{
		Name: "acme", Issuer: w.provider.URL, ClientID: w.provider.ClientID, ClientSecret: mfa.Secret(w.provider.ClientSecret),
		Roots: w.provider.Roots(), Now: w.clock.Now,
	}
	if change != nil {
		change(&c)
	}
	s, err := oidc.New(c)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// begin starts a sign-in and returns where the browser goes.
func (w *world) begin(again bool) (string, mfa.Secret) {
	w.Helper()
	location, kept, err := w.source.Begin(w.Context(), mfa.RedirectStart{Callback: callback, State: "the state", Again: again})
	if err != nil {
		w.Fatal(err)
	}
	return location, kept
}

// signIn is a whole sign-in.
func (w *world) signIn(name string) (*mfa.Identity, error) {
	w.Helper()
	location, kept := w.begin(false)
	return w.source.Finish(w.Context(), kept, w.provider.SignIn(w, location, name))
}

func (w *world) mustSignIn(name string) *mfa.Identity {
	w.Helper()
	id, err := w.signIn(name)
	if err != nil {
		w.Fatal(err)
	}
	return id
}

func TestSource_SignsIn(t *testing.T) {
	w := newWorld(t, nil)
	id := w.mustSignIn("alice")
	if len(id.Kept) == 0 || id.Session == "" {
		t.Errorf("nothing is kept, or the provider's session has no name: %+v", id)
	}
	id.Kept, id.Session = nil, ""
	want := &mfa.Identity{
		Source: "acme", Subject: "sub-alice", Name: "alice", Email: "alice@example.com", EmailVerified: true, DisplayName: "Alice Adams",
		Groups: []string{"staff", "ops"},
	}
	if !reflect.DeepEqual(id, want) {
		t.Errorf("got  %+v\nwant %+v", id, want)
	}
	if asked := w.provider.Requests("/userinfo"); len(asked) != 0 {
		t.Error("the person's claims were asked for though the ID token has them all")
	}
	r := w.provider.Requests("/token")[0]
	if r.User != w.provider.ClientID || r.Pass == "" || r.Form.Has("client_secret") {
		t.Errorf("the client did not say who it is as the provider prefers: %+v", r)
	}
}

// AC-175: a code that somebody has caught on its way is worth nothing without the
// verifier, and an ID token of another sign-in is not taken for this one.
func TestSource_AC175_AsksWithPKCEAndNonce(t *testing.T) {
	w := newWorld(t, func(c *oidc.Config) {
		c.AuthParams = map[string]string{"hd": "example.com", "prompt": "select_account"}
	})
	seen := map[string]bool{}
	for range 2 {
		location, _ := w.begin(false)
		u, err := url.Parse(location)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		for name, want := range map[string]string{
			"response_type": "code", "client_id": "secondgate", "redirect_uri": callback, "state": "the state", "scope": "openid profile email",
			"code_challenge_method": "S256", "hd": "example.com", "prompt": "select_account",
		} {
			if got := q[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		for _, name := range []string{"nonce", "code_challenge"} {
			if v := q.Get(name); len(v) < 26 || seen[v] {
				t.Errorf("%s %q is short or was there before", name, v)
			} else {
				seen[v] = true
			}
		}
	}
	location, _ := w.begin(true)
	if q, _ := url.ParseQuery(location); q.Get("prompt") != "login" || q.Get("max_age") != "0" {
		t.Errorf("who has to sign in anew is sent to %s", location)
	}
	t.Run("the code of another start", func(t *testing.T) {
		location, _ := w.begin(false)
		_, kept := w.begin(false)
		if _, err := w.source.Finish(t.Context(), kept, w.provider.SignIn(t, location, "alice")); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a code twice", func(t *testing.T) {
		location, kept := w.begin(false)
		answer := w.provider.SignIn(t, location, "alice")
		if _, err := w.source.Finish(t.Context(), kept, answer); err != nil {
			t.Fatal(err)
		}
		if _, err := w.source.Finish(t.Context(), kept, answer); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("what was kept is damaged", func(t *testing.T) {
		location, _ := w.begin(false)
		for _, kept := range []string{"", "{}", "null", `{"nonce":"x"}`} {
			if _, err := w.source.Finish(t.Context(), mfa.Secret(kept), w.provider.SignIn(t, location, "alice")); !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("%q: error %v", kept, err)
			}
		}
	})
}

// Whoever walks up to an open browser must not prove anew that they are its owner by the
// provider's session alone.
func TestSource_AgainNeedsANewSignIn(t *testing.T) {
	w := newWorld(t, nil)
	browser := w.provider.Browser(t)
	fields := url.Values{"username": {"alice"}, "password": {oidctest.Password}, "do": {"sign-in"}}
	location, kept := w.begin(false)
	if _, err := w.source.Finish(t.Context(), kept, w.provider.SignInWith(t, browser, location, fields)); err != nil {
		t.Fatal(err)
	}
	w.clock.Move(time.Hour)
	location, kept = w.begin(false)
	if _, err := w.source.Finish(t.Context(), kept, w.provider.SignInWith(t, browser, location, nil)); err != nil {
		t.Errorf("a session at the provider does not sign in: %v", err)
	}
	// The thief takes what asks for a new sign-in out of the address.
	location, kept = w.begin(true)
	u, _ := url.Parse(location)
	q := u.Query()
	q.Del("prompt")
	q.Del("max_age")
	u.RawQuery = q.Encode()
	if _, err := w.source.Finish(t.Context(), kept, w.provider.SignInWith(t, browser, u.String(), nil)); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("an old sign-in counts as a new one: %v", err)
	}
	location, kept = w.begin(true)
	if _, err := w.source.Finish(t.Context(), kept, w.provider.SignInWith(t, browser, location, fields)); err != nil {
		t.Errorf("a new sign-in: %v", err)
	}
	w.provider.Lie(oidctest.Lies{IDToken: func(c map[string]any) { delete(c, "auth_time") }})
	location, kept = w.begin(true)
	if _, err := w.source.Finish(t.Context(), kept, w.provider.SignInWith(t, browser, location, fields)); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("without auth_time: %v", err)
	}
}

// The answer of the browser can be anything.
func TestSource_RejectsAnswers(t *testing.T) {
	w := newWorld(t, nil)
	tests := map[string]struct {
		change func(url.Values)
		want   error // nil: the source could not be asked
	}{
		"AC-177 another issuer's answer":       {func(v url.Values) { v.Set("iss", "https://evil.example") }, mfa.ErrRejected},
		"AC-177 no issuer though announced":    {func(v url.Values) { v.Del("iss") }, mfa.ErrRejected},
		"AC-177 an error of another issuer":    {func(v url.Values) { v.Set("iss", "x"); v.Set("error", "access_denied"); v.Del("code") }, mfa.ErrRejected},
		"AC-177 an issuer with a slash behind": {func(v url.Values) { v.Set("iss", v.Get("iss")+"/") }, mfa.ErrRejected},
		"two issuers":                          {func(v url.Values) { v.Add("iss", "https://evil.example") }, mfa.ErrRejected},
		"two codes":                            {func(v url.Values) { v.Add("code", "another") }, mfa.ErrRejected},
		"no code":                              {func(v url.Values) { v.Del("code") }, mfa.ErrRejected},
		"an invented code":                     {func(v url.Values) { v.Set("code", "invented") }, mfa.ErrRejected},
		"a long code":                          {func(v url.Values) { v.Set("code", strings.Repeat("x", 9000)) }, mfa.ErrRejected},
		"a code and an error":                  {func(v url.Values) { v.Set("error", "access_denied") }, mfa.ErrRejected},
		"the person said no":                   {func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") }, mfa.ErrDenied},
		"the provider wants more":              {func(v url.Values) { v.Del("code"); v.Set("error", "interaction_required") }, mfa.ErrDenied},
		"an error of no kind":                  {func(v url.Values) { v.Del("code"); v.Set("error", "<script>") }, mfa.ErrDenied},
		"trouble at the provider":              {func(v url.Values) { v.Del("code"); v.Set("error", "temporarily_unavailable") }, nil},
		"a mistake in the configuration":       {func(v url.Values) { v.Del("code"); v.Set("error", "invalid_scope") }, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			location, kept := w.begin(false)
			answer := w.provider.SignIn(t, location, "alice")
			answer.Set("error_description", "<script>alert(1)</script>")
			tt.change(answer)
			id, err := w.source.Finish(t.Context(), kept, answer)
			if id != nil || err == nil {
				t.Fatalf("%+v, error %v", id, err)
			}
			if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && (errors.Is(err, mfa.ErrRejected) || errors.Is(err, mfa.ErrDenied)) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if strings.ContainsAny(err.Error(), "<>") || strings.Contains(err.Error(), "evil") {
				t.Errorf("the error repeats the answer: %v", err)
			}
		})
	}
}

// AC-182: what is kept of a start belongs to it; many at a time never swap people.
func TestSource_AC182_ManyAtATime(t *testing.T) {
	w := newWorld(t, nil)
	var group sync.WaitGroup
	errs := make(chan error, 100)
	for i := range 100 {
		name := []string{"alice", "bob"}[i%2]
		group.Go(func() {
			location, kept, err := w.source.Begin(context.Background(), mfa.RedirectStart{Callback: callback, State: fmt.Sprint(i)})
			if err != nil {
				errs <- err
				return
			}
			answer := w.provider.SignIn(t, location, name)
			if answer.Get("state") != fmt.Sprint(i) {
				errs <- errors.New("another one's state")
			}
			id, err := w.source.Finish(context.Background(), kept, answer)
			if err != nil || id.Subject != "sub-"+name {
				errs <- fmt.Errorf("%s: %+v, %w", name, id, err)
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if n := len(w.provider.Requests("/.well-known/openid-configuration")); n != 1 {
		t.Errorf("the description was read %d times", n)
	}
	if n := len(w.provider.Requests("/jwks")); n != 1 {
		t.Errorf("the keys were read %d times", n)
	}
}

// Nothing of what is kept shows in a log.
func TestSource_KeepsSecrets(t *testing.T) {
	w := newWorld(t, func(c *oidc.Config) { c.Scopes = []string{"openid", "offline_access"} })
	_, kept := w.begin(false)
	id := w.mustSignIn("alice")
	for _, s := range []string{fmt.Sprintf("%v %+v %#v", kept, kept, kept), fmt.Sprintf("%+v %#v", id.Kept, id.Kept)} {
		if strings.Contains(s, "nonce") || strings.Contains(s, "refresh") {
			t.Errorf("printed as %s", s)
		}
	}
	var h map[string]string
	if err := json.Unmarshal(id.Kept, &h); err != nil || h["refresh"] == "" || h["id_token"] == "" {
		t.Errorf("kept %d bytes, error %v", len(id.Kept), err)
	}
}
