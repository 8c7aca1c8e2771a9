package guard

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

func (f *fakeStore) UserByKey(_ context.Context, key string) (*mfa.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, fmt.Errorf("store down")
	}
	for _, u := range f.users {
		if slices.Contains(u.UniqueKeys(), key) {
			clone := *u
			return &clone, nil
		}
	}
	return nil, mfa.ErrNotFound
}

func (f *fakeStore) UpdateUser(_ context.Context, id mfa.UserID, change func(*mfa.User) error) error {
	u, err := f.User(context.Background(), id)
	if err != nil {
		return err
	}
	u.AppTokens = slices.Clone(u.AppTokens)
	if err := change(u); err != nil {
		return err
	}
	f.change(id, func() { f.users[id] = u })
	return nil
}

// token gives the user an app token for the host and returns its text.
func (w *world) token(user mfa.UserID, host string) string {
	w.t.Helper()
	now := w.clock.Now()
	id := fmt.Sprintf("%016x", len(w.store.users[user].AppTokens)+256*int(user[2]))
	secret := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%-32s", id))
	sum := sha256.Sum256([]byte("app token\x00" + secret))
	w.store.change(user, func() {
		u := *w.store.users[user]
		u.AppTokens = append(slices.Clone(u.AppTokens), mfa.AppToken{ID: id, Name: "git", Host: host, Hash: sum[:], Factor: mfa.TOTP, Created: now, Expires: now.Add(24 * time.Hour)})
		w.store.users[user] = &u
	})
	return mfa.AppTokenPrefix + id + "_" + secret
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// send sends a request through Strip and the checks, and returns the answer, and what the
// app got, or nil.
func (w *world) send(r *http.Request, routes ...mfa.Route) (*http.Response, *http.Request) {
	w.t.Helper()
	rec := httptest.NewRecorder()
	rw, r := w.Strip(rec, r)
	for _, route := range routes {
		if !w.Check(rw, r, route) {
			return rec.Result(), nil
		}
	}
	return nil, r
}

var takes = mfa.Route{AppTokens: true}

func TestAppToken_LetsAProgramIn(t *testing.T) {
	w := newWorld(t, nil)
	token := w.token("u-alice", appHost)
	for name, authorization := range map[string]string{
		"Bearer":                          "Bearer " + token,
		"bearer in small letters":         "bearer  " + token,
		"Basic with the user's name":      basic("alice", token),
		"Basic with it in capitals":       basic("ALICE", token),
		"Basic with the verified address": basic("Alice@a.test", token),
		"Basic with the word token":       basic("token", token),
		"Basic without a name":            basic("", token),
		"basic in small letters":          strings.Replace(basic("alice", token), "Basic", "basic", 1),
	} {
		t.Run(name, func(t *testing.T) {
			resp, app := w.send(request("PROPFIND", "/x", "Authorization", authorization, "Remote-User", "evil"), takes)
			if app == nil {
				t.Fatalf("refused with %d", resp.StatusCode)
			}
			if got := app.Header.Get("Remote-User"); got != "alice" {
				t.Errorf("the app was told %q", got)
			}
			for key, value := range app.Header {
				if strings.EqualFold(key, "authorization") || strings.Contains(strings.Join(value, " "), token) {
					t.Errorf("%s reached the app", key)
				}
			}
			if id := AppTokenFrom(app.Context()); id != token[5:21] {
				t.Errorf("it is said to be %q", id)
			}
			if v := ViewFrom(app.Context()); v == nil || v.Session.ID != "" {
				t.Errorf("view %v", v)
			}
		})
	}
	if AppTokenFrom(context.Background()) != "" {
		t.Error("a token out of nothing")
	}
}

// Everything that a route could be fooled with: 401 with a challenge, never a redirect and
// never the app, which would otherwise hold the token.
func TestAppToken_RejectsOthers(t *testing.T) {
	w := newWorld(t, nil)
	good, elsewhere, carols := w.token("u-alice", appHost), w.token("u-alice", "other.a.test"), w.token("u-carol", appHost)
	for name, c := range map[string]struct{ authorization, reason string }{
		"AC-008 of another host":              {"Bearer " + elsewhere, "rejected"},
		"one that never was":                  {"Bearer " + mfa.AppTokenPrefix + strings.Repeat("0", 16) + good[21:], "rejected"},
		"the secret of another":               {"Bearer " + good[:22] + carols[22:], "rejected"},
		"AC-055 a user name of somebody else": {basic("carol", good), "wrong_user"},
		"an address that nobody proved":       {basic("carol@a.test", carols), "wrong_user"},
		"AC-103 a blank behind it, in Basic":  {basic("alice", good+" "), "malformed"},
		"AC-103 a colon and more":             {basic("alice", good+":x"), "malformed"},
		"AC-011 a long one":                   {"Bearer " + mfa.AppTokenPrefix + strings.Repeat("a", 9000), "malformed"},
		"as the user name":                    {basic(good, ""), "malformed"},
		"as the user name of a password":      {basic(good, "x-oauth-basic"), "malformed"},
		"with a scheme of others":             {"Token " + good, "malformed"},
		"without a scheme":                    {good, "malformed"},
		"two in one line":                     {"Bearer " + good + ", Bearer " + good, "malformed"},
		"the prefix alone":                    {"Bearer " + mfa.AppTokenPrefix, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := w
			w.clock.Advance(2 * time.Minute) // each is to be recorded
			w.events.take()
			resp, app := w.send(request("GET", "/x", "Authorization", c.authorization, "Accept", "text/html"), takes)
			denied(t, resp, app, http.StatusUnauthorized)
			challenges := resp.Header.Values("WWW-Authenticate")
			if len(challenges) != 2 || !strings.HasPrefix(challenges[0], "Basic realm=") || !strings.Contains(challenges[1], `error="invalid_token"`) {
				t.Errorf("challenges %q", challenges)
			}
			if resp.Header.Get("Location") != "" || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("a page: %v", resp.Header)
			}
			list := w.events.take()
			if len(list) != 1 || list[0].Name != mfa.EventAppToken || list[0].Reason != c.reason || list[0].OK {
				t.Fatalf("events %+v", list)
			}
			line, _ := json.Marshal(list)
			for _, secret := range []string{good[22:], carols[22:], elsewhere[22:], strings.Repeat("a", 90)} {
				if strings.Contains(string(line), secret) {
					t.Error("AC-229: the secret is in the event")
				}
			}
			if (list[0].User != "") != (c.reason == "wrong_user") {
				t.Errorf("the event names %q", list[0].User)
			}
		})
	}
}

// The app's own Authorization is none of ours: it passes as it is, whatever the route, and
// is no way in (AC-053). Nor is a session's token in the place of ours (AC-016).
func TestAppToken_AC053_OthersPassUntouched(t *testing.T) {
	w := newWorld(t, nil)
	token := w.token("u-alice", appHost)
	for name, lines := range map[string][]string{
		"Basic":                             {basic("app", "password")},
		"Basic whose password is like ours": {basic("app", "mfa_t_"+token)},
		"Basic that is no base64":           {"Basic ###"},
		"Basic without padding":             {"Basic YTpi"},
		"Basic without a colon":             {"Basic " + base64.StdEncoding.EncodeToString([]byte("alice"))},
		"Basic, empty":                      {"Basic"},
		"Basic of 100 kB":                   {basic("a", strings.Repeat("x", 100_000))},
		"Bearer":                            {"Bearer eyJhbGciOiJub25lIn0.e30."},
		"an API key of the gateway":         {"Bearer sg_0123456789abcdef_" + token[22:]},
		"Digest":                            {`Digest username="a", response="mfat_x"`},
		"two lines":                         {basic("a", "b"), "Bearer x"},
		"empty":                             {""},
		"AC-016 a session's token":          {"Bearer " + strings.TrimPrefix(w.cookie("s-alice"), "__Host-mfa=")},
	} {
		t.Run(name, func(t *testing.T) {
			r := request("GET", "/x", "Cookie", w.cookie("s-alice"))
			r.Header["Authorization"] = lines
			_, app := w.send(r, takes)
			if app == nil || !slices.Equal(app.Header["Authorization"], lines) {
				t.Error("it was touched")
			}
			r = request("GET", "/x")
			r.Header["Authorization"] = lines
			resp, app := w.send(r, takes)
			denied(t, resp, app, http.StatusUnauthorized)
			if strings.Contains(strings.Join(resp.Header.Values("WWW-Authenticate"), " "), "invalid_token") {
				t.Error("taken for one of ours")
			}
		})
	}
	if list := w.events.take(); len(list) != 0 {
		t.Errorf("AC-099: %+v", list)
	}
}

// Two lines of Authorization, one of them ours: who reads the first and who reads the last
// would see two people.
func TestAppToken_twice(t *testing.T) {
	w := newWorld(t, nil)
	token := "Bearer " + w.token("u-alice", appHost)
	for name, lines := range map[string][]string{
		"ours first": {token, basic("a", "b")}, "ours last": {basic("a", "b"), token}, "ours twice": {token, token},
	} {
		t.Run(name, func(t *testing.T) {
			r := request("GET", "/x")
			r.Header["Authorization"] = lines
			resp, app := w.send(r, takes)
			denied(t, resp, app, http.StatusBadRequest)
			r = request("GET", "/x")
			r.Header["Authorization"] = lines
			_, app = w.send(r) // where nothing is checked
			if slices.Contains(app.Header["Authorization"], token) {
				t.Error("the token reached the app")
			}
		})
	}
}

// An app on an open path, or behind a bypass, must not be given what opens the rest of it.
func TestAppToken_TakenOutWhereNothingIsChecked(t *testing.T) {
	w := newWorld(t, nil)
	token := w.token("u-alice", appHost)
	for _, authorization := range []string{"Bearer " + token, basic("alice", token), token, "Token " + token, basic(token, ""), "Bearer " + mfa.AppTokenPrefix + "x"} {
		_, app := w.send(request("GET", "/public", "Authorization", authorization))
		if _, there := app.Header["Authorization"]; there || app.Header.Get("Remote-User") != "" {
			t.Errorf("%.12s: the app got %v", authorization, app.Header)
		}
	}
}

func TestAppToken_RoutesThatAskMore(t *testing.T) {
	w := newWorld(t, nil)
	token := "Bearer " + w.token("u-alice", appHost)
	fresh := mfa.Route{Need: mfa.Requirement{Fresh: time.Hour}}
	for name, c := range map[string]struct {
		routes []mfa.Route
		reason string // "": let in
	}{
		"a route that takes them":                            {[]mfa.Route{takes}, ""},
		"a plain one behind it":                              {[]mfa.Route{takes, {}}, ""},
		"AC-016 a route that does not":                       {[]mfa.Route{{}}, "token_not_here"},
		"a plain one before it":                              {[]mfa.Route{{}, takes}, "token_not_here"},
		"one behind it that asks for a second factor":        {[]mfa.Route{takes, {Need: mfa.Requirement{Required: true}}}, "token_not_here"},
		"AC-155 fresh":                                       {[]mfa.Route{{Need: fresh.Need, AppTokens: true}}, "token_not_enough"},
		"AC-155 fresh on a gate behind it":                   {[]mfa.Route{takes, fresh}, "token_not_here"},
		"AC-155 fresh on a gate behind it that takes tokens": {[]mfa.Route{takes, {Need: fresh.Need, AppTokens: true}}, "token_not_enough"},
		"AC-155 phishing_resistant":                          {[]mfa.Route{{Need: mfa.Requirement{PhishingResistant: true}, AppTokens: true}}, "token_not_enough"},
		"AC-155 factors":                                     {[]mfa.Route{{Need: mfa.Requirement{Factors: mfa.KindsOf(mfa.Passkey)}, AppTokens: true}}, "token_not_enough"},
		"B5 an organization's":                               {[]mfa.Route{{Organization: "acme", AppTokens: true}}, "not_member"},
	} {
		t.Run(name, func(t *testing.T) {
			w.clock.Advance(2 * time.Minute)
			w.events.take()
			resp, app := w.send(request("GET", "/x", "Authorization", token, "Accept", "text/html"), c.routes...)
			if c.reason == "" {
				if app == nil {
					t.Fatalf("refused with %d", resp.StatusCode)
				}
				return
			}
			denied(t, resp, app, http.StatusForbidden)
			var p web.Problem
			if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Reason != c.reason || p.Next != "" || p.Decision == "" {
				t.Errorf("problem %+v, %v", p, err)
			}
			list := w.events.take()
			if len(list) != 1 || list[0].Name != mfa.EventDecision || list[0].Session != "" || list[0].Detail != "app token "+token[12:28] {
				t.Errorf("events %+v", list)
			}
		})
	}
}

// A page has the browser of its visitor send the attacker's token, as the user part of an
// address or by a window that asks for a password: the visitor would go on working in the
// attacker's account (AC-012, AC-013).
func TestAppToken_BrowsersGoByTheirSession(t *testing.T) {
	w := newWorld(t, nil)
	token := basic("token", w.token("u-carol", appHost))
	_, app := w.send(request("GET", "/x", "Authorization", token, "Cookie", w.cookie("s-alice")), takes)
	if app == nil || app.Header.Get("Remote-User") != "alice" || app.Header.Get("Authorization") != "" || AppTokenFrom(app.Context()) != "" {
		t.Error("a session gave way to a token")
	}
	resp, app := w.send(request("GET", "/x", "Authorization", token, "Cookie", "__Host-mfa=forged"), takes)
	denied(t, resp, app, http.StatusUnauthorized)
	resp, app = w.send(request("GET", "/x", append(slices.Clone(pageLoad), "Authorization", token)...), takes)
	if app != nil || resp.StatusCode != http.StatusFound {
		t.Errorf("a page load came in with a token: %v", resp)
	}
}

// A browser that gets a challenge for Basic opens a window of its own; git and WebDAV send
// nothing without one.
func TestAppToken_Challenge(t *testing.T) {
	w := newWorld(t, nil)
	const bearer = `Bearer realm="secondgate"`
	const password = `Basic realm="app token", charset="UTF-8"`
	for name, c := range map[string]struct {
		route  mfa.Route
		header []string
		want   []string
	}{
		"a program":                               {takes, nil, []string{password, bearer}},
		"a program, no tokens here":               {mfa.Route{}, nil, []string{bearer}},
		"a program that could not meet it anyway": {mfa.Route{AppTokens: true, Need: mfa.Requirement{Fresh: time.Hour}}, nil, []string{bearer}},
		"fetch":                 {takes, []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, []string{bearer}},
		"fetch over plain http": {takes, []string{"Origin", "http://app.a.test"}, []string{bearer}},
		"XHR of an old browser": {takes, []string{"X-Requested-With", "XMLHttpRequest"}, []string{bearer}},
		"whoever has a cookie":  {takes, []string{"Cookie", "theme=dark"}, []string{bearer}},
	} {
		t.Run(name, func(t *testing.T) {
			resp, app := w.send(request("GET", "/x", c.header...), c.route)
			denied(t, resp, app, http.StatusUnauthorized)
			if got := resp.Header.Values("WWW-Authenticate"); !slices.Equal(got, c.want) {
				t.Errorf("challenges %q", got)
			}
		})
	}
}

// AC-099, AC-209: who sprays tokens is told to wait and fills no log, and a good token of the
// same network works all the while, whether it is known here already or not.
func TestAppToken_AC209_Spraying(t *testing.T) {
	w := newWorld(t, nil)
	known := w.token("u-alice", appHost)
	at := func(token string) (*http.Response, *http.Request) {
		return w.send(request("GET", "/x", "Authorization", "Bearer "+token), takes)
	}
	at(known)
	w.events.take()
	answers := map[int]int{}
	for n := range 3 * guessesPerMinute {
		resp, app := at(fmt.Sprintf("%s%016x%s", mfa.AppTokenPrefix, n, known[21:]))
		if app != nil {
			t.Fatal("a guess came in")
		}
		answers[resp.StatusCode]++
		if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") == "" {
			t.Error("not said for how long")
		}
	}
	if answers[401] != guessesPerMinute || answers[429] != 2*guessesPerMinute {
		t.Errorf("answers %v", answers)
	}
	if n := len(w.events.take()); n != 1 {
		t.Errorf("%d events", n)
	}
	for _, token := range []string{known, w.token("u-carol", appHost)} {
		if _, app := at(token); app == nil {
			t.Error("a good token was stopped")
		}
	}
	w.clock.Advance(time.Minute)
	if resp, _ := at(mfa.AppTokenPrefix + "x"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a minute later: %d", resp.StatusCode)
	}
	t.Run("what it remembers is bounded", func(t *testing.T) {
		var q guesses
		for n := range 4 * quietKeys {
			q.spend(fmt.Sprint(n), w.clock.Now())
		}
		if len(q.seen) > quietKeys+1 {
			t.Errorf("%d networks", len(q.seen))
		}
	})
}

func TestAppToken_StoreDown(t *testing.T) {
	w := newWorld(t, nil)
	token := w.token("u-alice", appHost)
	w.store.down = true
	resp, app := w.send(request("GET", "/x", "Authorization", "Bearer "+token), takes)
	denied(t, resp, app, http.StatusServiceUnavailable)
}

// What is not ours costs no allocation.
func TestAppToken_LookingCostsNothing(t *testing.T) {
	for name, line := range map[string]string{"Bearer": "Bearer " + strings.Repeat("x", 800), "Basic": basic("somebody", strings.Repeat("x", 60))} {
		h := http.Header{"Authorization": {line}}
		if n := testing.AllocsPerRun(100, func() {
			var p presented
			p.take(h)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzPresented(f *testing.F) {
	f.Add("Bearer mfat_0123456789abcdef_" + strings.Repeat("A", 43))
	f.Add("Basic " + base64.StdEncoding.EncodeToString([]byte("a:mfat_b")))
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Authorization": {line}}
		var p presented
		p.take(h)
		if p.there == (len(h["Authorization"]) == 1) {
			t.Errorf("there %t, left %q", p.there, h)
		}
		if p.token != "" && (!p.there || len(p.token) != mfa.AppTokenLength) {
			t.Errorf("%+v", p)
		}
	})
}
