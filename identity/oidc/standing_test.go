package oidc_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/identity/oidc"
	"github.com/secondgate/secondgate/internal/oidctest"
	"github.com/secondgate/secondgate/mfa"
)

// newStandingWorld is a world whose provider can be asked later.
func newStandingWorld(t *testing.T, change func(*oidc.Config)) *world {
	t.Helper()
	return newWorld(t, func(c *oidc.Config) {
		c.Scopes = []string{"openid", "profile", "email", "offline_access"}
		if change != nil {
			change(c)
		}
	})
}

func refreshToken(t *testing.T, kept mfa.Secret) string {
	t.Helper()
	var h struct {
		Refresh string `json:"refresh"`
	}
	if err := json.Unmarshal(kept, &h); err != nil {
		t.Fatal(err)
	}
	return h.Refresh
}

// AC-179: whoever is disabled at the provider is out here within the interval.
func TestSource_AC179_Standing(t *testing.T) {
	w := newStandingWorld(t, nil)
	id := w.mustSignIn("alice")
	kept := id.Kept
	for range 3 {
		w.clock.Move(15 * time.Minute)
		now, err := w.source.Standing(t.Context(), id.Subject, kept)
		if err != nil || now.Subject != id.Subject || now.Session != id.Session || len(now.Groups) != 2 {
			t.Fatalf("%+v, error %v", now, err)
		}
		if refreshToken(t, now.Kept) == refreshToken(t, kept) {
			t.Error("the refresh token that was spent is kept")
		}
		kept = now.Kept
	}
	w.provider.Change("alice", func(u *oidctest.User) { u.Claims["groups"] = []any{"interns"} })
	now, err := w.source.Standing(t.Context(), id.Subject, kept)
	if err != nil || len(now.Groups) != 1 || now.Groups[0] != "interns" {
		t.Fatalf("groups of now: %+v, error %v", now, err)
	}
	w.provider.Change("alice", func(u *oidctest.User) { u.Disabled = true })
	if _, err := w.source.Standing(t.Context(), id.Subject, now.Kept); !errors.Is(err, mfa.ErrDisabled) {
		t.Errorf("disabled: error %v", err)
	}
}

func TestSource_StandingEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*world)
		config func(*oidc.Config)
	}{
		"their session there ended": {change: func(w *world) { w.provider.SignOut(w, "alice") }},
		"they left the group": {
			func(w *world) {
				w.provider.Change("alice", func(u *oidctest.User) { u.Claims["groups"] = []any{"none"} })
			},
			func(c *oidc.Config) { c.AllowedGroups = []string{"staff"} },
		},
		"the provider wants to see them": {change: func(w *world) {
			w.provider.Lie(oidctest.Lies{Serve: func(rw http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/token" {
					rw.Header().Set("Content-Type", "application/json")
					rw.WriteHeader(http.StatusBadRequest)
					_, _ = rw.Write([]byte(`{"error":"interaction_required"}`))
				}
				return r.URL.Path == "/token"
			}})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newStandingWorld(t, tt.config)
			id := w.mustSignIn("alice")
			tt.change(w)
			if now, err := w.source.Standing(t.Context(), id.Subject, id.Kept); !errors.Is(err, mfa.ErrDisabled) {
				t.Errorf("%+v, error %v", now, err)
			}
		})
	}
}

// What the provider could not say is no reason to end a session: that is for the time
// after which nothing was heard of it.
func TestSource_StandingCannotTell(t *testing.T) {
	status := func(code int, body string) oidctest.Lies {
		return oidctest.Lies{Serve: func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				rw.Header().Set("Content-Type", "application/json")
				rw.WriteHeader(code)
				_, _ = rw.Write([]byte(body))
			}
			return r.URL.Path == "/token"
		}}
	}
	claims := func(f func(map[string]any)) oidctest.Lies { return oidctest.Lies{IDToken: f} }
	for name, lie := range map[string]oidctest.Lies{
		"it is down":                         status(503, "down"),
		"it is down, as JSON":                status(500, `{"error":"server_error"}`),
		"it does not know us any more":       status(401, `{"error":"invalid_client"}`),
		"too many questions":                 status(429, "slow down"),
		"another person's ID token":          claims(func(c map[string]any) { c["sub"] = "sub-bob" }),
		"another client's ID token":          claims(func(c map[string]any) { c["aud"] = "another" }),
		"an ID token of another sign-in":     claims(func(c map[string]any) { c["nonce"] = "another" }),
		"an ID token of another issuer":      claims(func(c map[string]any) { c["iss"] = "https://evil.example" }),
		"an ID token of yesterday":           claims(func(c map[string]any) { c["iat"] = time.Now().Add(-24 * time.Hour).Unix() }),
		"an ID token that nobody has signed": {Token: func(s string) string { return s[:strings.LastIndex(s, ".")+1] }},
		"claims of another person": {
			Tokens: func(m map[string]any) { delete(m, "id_token") }, UserInfo: func(c map[string]any) { c["sub"] = "sub-bob" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newStandingWorld(t, nil)
			id := w.mustSignIn("alice")
			w.provider.Lie(lie)
			now, err := w.source.Standing(t.Context(), id.Subject, id.Kept)
			if now != nil || err == nil || errors.Is(err, mfa.ErrDisabled) {
				t.Errorf("%+v, error %v", now, err)
			}
		})
	}
	t.Run("nothing to ask with", func(t *testing.T) {
		w := newWorld(t, nil)
		id := w.mustSignIn("alice")
		before := len(w.provider.Requests("/token"))
		for _, kept := range []mfa.Secret{id.Kept, nil, mfa.Secret("damaged")} {
			if now, err := w.source.Standing(t.Context(), id.Subject, kept); now != nil || err == nil || errors.Is(err, mfa.ErrDisabled) {
				t.Errorf("%+v, error %v", now, err)
			}
		}
		if len(w.provider.Requests("/token")) != before {
			t.Error("the provider was asked")
		}
	})
	t.Run("another subject than the one that was kept", func(t *testing.T) {
		w := newStandingWorld(t, nil)
		id := w.mustSignIn("alice")
		if now, err := w.source.Standing(t.Context(), "sub-bob", id.Kept); now != nil || err == nil {
			t.Errorf("%+v, error %v", now, err)
		}
	})
}

// A provider need not give a new ID token.
func TestSource_StandingWithoutANewIDToken(t *testing.T) {
	for name, off := range map[string]bool{"by the person's claims": false, "as before": true} {
		t.Run(name, func(t *testing.T) {
			w := newStandingWorld(t, func(c *oidc.Config) { c.NoUserInfo, c.Trust = off, oidc.Trust{AMR: []string{"mfa"}} })
			w.provider.Change("alice", func(u *oidctest.User) { u.AMR = []string{"mfa"} })
			id := w.mustSignIn("alice")
			w.provider.Change("alice", func(u *oidctest.User) { u.Claims["groups"] = []any{"new"} })
			w.provider.Lie(oidctest.Lies{Tokens: func(m map[string]any) { delete(m, "id_token") }, UserInfo: func(c map[string]any) { c["acr"] = "forged" }})
			w.clock.Move(time.Hour)
			kept := id.Kept
			for range 2 {
				now, err := w.source.Standing(t.Context(), id.Subject, kept)
				if err != nil || now.Provided != id.Provided || now.Session != id.Session || (now.Groups[0] == "new") == off {
					t.Fatalf("%+v, error %v", now, err)
				}
				if w.source.SignOutURL(now.Kept, "") != w.source.SignOutURL(id.Kept, "") {
					t.Error("the sign-out there lost its hint")
				}
				kept = now.Kept
			}
		})
	}
}

// A refresh is no sign-in: a second factor does not get younger by it.
func TestSource_StandingIsNoSignIn(t *testing.T) {
	w := newStandingWorld(t, func(c *oidc.Config) { c.Trust = oidc.Trust{AMR: []string{"mfa"}} })
	w.provider.Change("alice", func(u *oidctest.User) { u.AMR = []string{"mfa"} })
	id := w.mustSignIn("alice")
	w.clock.Move(time.Hour)
	w.provider.Lie(oidctest.Lies{IDToken: func(c map[string]any) { c["auth_time"] = w.clock.Now().Unix() }})
	now, err := w.source.Standing(t.Context(), id.Subject, id.Kept)
	if err != nil || !now.Provided.At.Equal(id.Provided.At) {
		t.Errorf("of %s, was of %s, error %v", now.Provided.At, id.Provided.At, err)
	}
	// Nor does it make one where there was none.
	w.provider.Lie(oidctest.Lies{IDToken: func(c map[string]any) { delete(c, "auth_time") }})
	id = w.mustSignIn("alice")
	w.provider.Lie(oidctest.Lies{})
	if now, err = w.source.Standing(t.Context(), id.Subject, id.Kept); err != nil || now.Provided != (mfa.Proof{}) {
		t.Errorf("%+v, error %v", now, err)
	}
}

// Requests of one session come due at the same time. The provider takes a refresh token
// once and would end the session at the second.
func TestSource_StandingAtTheSameTime(t *testing.T) {
	w := newStandingWorld(t, nil)
	id := w.mustSignIn("alice")
	before := len(w.provider.Requests("/token"))
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			now, err := w.source.Standing(context.Background(), id.Subject, id.Kept)
			if err != nil || now.Subject != id.Subject {
				t.Errorf("%+v, error %v", now, err)
			}
		})
	}
	group.Wait()
	if n := len(w.provider.Requests("/token")) - before; n != 1 {
		t.Errorf("the refresh token was used %d times", n)
	}
	w.clock.Move(time.Hour)
	if _, err := w.source.Standing(t.Context(), id.Subject, id.Kept); !errors.Is(err, mfa.ErrDisabled) {
		t.Errorf("a spent refresh token an hour later: %v", err)
	}
}
