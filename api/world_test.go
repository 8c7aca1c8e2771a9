package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/hotp"

	"github.com/secondgate/secondgate/api"
	"github.com/secondgate/secondgate/api/apitest"
	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/identity/local"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/otpcode"
	"github.com/secondgate/secondgate/mfa/factor/passkey"
	"github.com/secondgate/secondgate/mfa/factor/totp"
	"github.com/secondgate/secondgate/mfa/mfatest"
	"github.com/secondgate/secondgate/session"
	"github.com/secondgate/secondgate/store/badger"
)

const (
	host         = "app.example.com"
	origin       = "https://" + host
	goodPassword = "correct horse battery staple 7"
	nextPassword = "another correct horse battery 8"
)

// world is an API on a real gate, guard and store.
type world struct {
	t      *testing.T
	api    *api.API
	gate   *mfa.Gate
	guard  *guard.Guard
	store  mfa.Store
	policy mfa.Policy
	events mfatest.Events
	post   mfatest.Post
	clock  *mfatest.Clock
	valid  *apitest.Validator
	client string // the address that requests come from

	console bool // the host carries no app

	keepEvents bool // in the store as well
}

// Record keeps an event.
func (w *world) Record(ctx context.Context, e mfa.Event) {
	w.events.Record(ctx, e)
	if w.keepEvents {
		must(w.t, w.store.AppendEvents(ctx, []mfa.Event{e}))
	}
}

// Keep is Record.
func (w *world) Keep(ctx context.Context, e mfa.Event) error {
	w.Record(ctx, e)
	return nil
}

// plainCodes are backup codes without a hash: what a hash costs is not what is tested.
type plainCodes struct{}

func (plainCodes) New(context.Context) (mfa.Secret, []string, error) {
	var codes []string
	for range mfa.CodesPerSet {
		codes = append(codes, rand.Text())
	}
	return mfa.Secret(strings.Join(codes, ",")), codes, nil
}

func (plainCodes) Match(_ context.Context, data mfa.Secret, code string) (int, error) {
	if i := slices.Index(strings.Split(string([]byte(data)), ","), code); i >= 0 && code != "" {
		return i, nil
	}
	return 0, mfa.ErrRejected
}

func (plainCodes) Spend(data mfa.Secret, index int) (mfa.Secret, int, error) {
	codes := strings.Split(string([]byte(data)), ",")
	if codes[index] == "" {
		return nil, 0, mfa.ErrRejected
	}
	codes[index] = ""
	left := 0
	for _, c := range codes {
		if c != "" {
			left++
		}
	}
	return mfa.Secret(strings.Join(codes, ",")), left, nil
}

type hashing = interface {
	mfa.PasswordSource
	mfa.Passwords
}

// plainPasswords are local accounts whose passwords are kept without a hash.
type plainPasswords struct {
	hashing
	users mfa.Users
}

func (plainPasswords) Hash(_ context.Context, password string) (mfa.Secret, error) {
	return mfa.Secret("plain " + password), nil
}

func (p plainPasswords) Authenticate(ctx context.Context, account, password string) (*mfa.Identity, error) {
	u, err := p.users.UserByKey(ctx, mfa.SubjectKey(mfa.LocalSource, account))
	if errors.Is(err, mfa.ErrNotFound) || err == nil && string([]byte(u.Password)) != "plain "+password {
		return nil, mfa.ErrRejected
	}
	if err != nil {
		return nil, err
	}
	return &mfa.Identity{Source: u.Source, Subject: u.Subject, Name: u.Name}, nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, func(*world, *mfa.Config, *api.Config) {})
}

// newWorldWith is newWorld where change has its say in what the parts are made of.
func newWorldWith(t *testing.T, change func(*world, *mfa.Config, *api.Config)) *world {
	t.Helper()
	keys, err := seal.NewKeys()
	must(t, err)
	clock := mfatest.NewClock()
	store, err := badger.Open(badger.Options{Dir: t.TempDir() + "/store", Keys: keys, MinFree: 1, Now: clock.Now})
	must(t, err)
	t.Cleanup(func() { store.Close() })
	w := &world{t: t, store: store, policy: mfa.DefaultPolicy(), clock: clock, client: "192.0.2.7"}
	hasher, err := seal.NewHasher(seal.HasherConfig{Params: seal.CodeParams})
	must(t, err)
	source, err := local.New(local.Config{Users: store, Hasher: hasher})
	must(t, err)
	sent, err := otpcode.New(otpcode.Config{Countries: []string{"DE", "AT"}})
	must(t, err)
	w.policy.Factors |= mfa.KindsOf(mfa.Email, mfa.SMS)
	plain := plainPasswords{source, store}
	gate, programs := mfa.Config{
		Store: store, Sources: []mfa.Source{{Password: plain}}, Passwords: plain, TOTP: totp.New(), Codes: plainCodes{},
		Passkeys: passkey.New(passkey.Config{Now: w.clock.Now}), AppHosts: func(string) []string { return []string{host} }, Events: w, Policy: func() *mfa.Policy { return &w.policy },
		Now: w.clock.Now, SentCodes: sent, Post: &w.post,
	}, api.Config{Now: w.clock.Now}
	change(w, &gate, &programs)
	w.gate, err = mfa.NewGate(gate)
	must(t, err)
	sessions, err := session.New(session.Config{
		Store: store, Keys: []session.Key{{ID: "k1", Secret: bytes.Repeat([]byte{7}, 32)}}, Issuer: "gateway-1", Now: w.clock.Now,
	})
	must(t, err)
	t.Cleanup(func() { _ = sessions.Close(context.Background()) })
	w.guard, err = guard.New(guard.Config{
		Sessions: sessions, Policy: gate.Policy, Events: &w.events, Now: w.clock.Now,
		Peer: func(*http.Request) guard.Peer { return guard.Peer{TLS: true, Client: w.client} },
	})
	must(t, err)
	programs.Gate, programs.Guard = w.gate, w.guard
	w.api, err = api.New(programs)
	must(t, err)
	document, err := api.Document()
	must(t, err)
	w.valid, err = apitest.New(document)
	must(t, err)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// browser is a page of the app, with its cookies.
type browser struct {
	w       *world
	cookies map[string]string
	passkey *mfatest.Authenticator
	phone   string // secret of the authenticator app
	codes   []string
}

func (w *world) browser() *browser {
	return &browser{w: w, cookies: map[string]string{}, passkey: &mfatest.Authenticator{Origin: origin}}
}

// place is where the browser's requests are made.
func (b *browser) place() *mfa.Place {
	b.w.t.Helper()
	req, err := b.w.guard.Parse(b.request(http.MethodGet, "/", ""))
	must(b.w.t, err)
	return &req.Place
}

// hold gives the browser the session of an outcome.
func (b *browser) hold(out *mfa.Outcome) {
	b.w.t.Helper()
	req, err := b.w.guard.Parse(b.request(http.MethodGet, "/", ""))
	must(b.w.t, err)
	rec := httptest.NewRecorder()
	must(b.w.t, guard.Keep(b.w.guard, rec, req, out))
	b.take(rec.Result())
}

func (b *browser) take(res *http.Response) {
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 || c.Value == "" {
			delete(b.cookies, c.Name)
			continue
		}
		b.cookies[c.Name] = c.Value
	}
}

// request is what a script of the app sends.
func (b *browser) request(method, path, body string) *http.Request {
	var r *http.Request
	if body == "" {
		r = httptest.NewRequest(method, origin+path, nil)
	} else {
		r = httptest.NewRequest(method, origin+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Sec-Fetch-Dest", "empty")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	if method != http.MethodGet && method != http.MethodHead {
		r.Header.Set("Origin", origin)
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

// answer is what came back.
type answer struct {
	*http.Response
	raw  []byte
	body map[string]any
}

// reason is the reason of a problem.
func (a *answer) reason() string { s, _ := a.body["reason"].(string); return s }

func (a *answer) text(name string) string { s, _ := a.body[name].(string); return s }

// do sends a request, and holds its answer against the document and against what every
// answer of ours has.
func (b *browser) do(r *http.Request) *answer {
	b.w.t.Helper()
	rec := httptest.NewRecorder()
	var h http.Handler = b.w.api
	if b.w.console {
		h = b.w.api.Console()
	}
	h.ServeHTTP(rec, r)
	a := &answer{Response: rec.Result()}
	a.raw, _ = io.ReadAll(a.Response.Body)
	if len(a.raw) > 0 && a.Header.Get("Content-Type") != "application/x-ndjson" && strings.Contains(a.Header.Get("Content-Type"), "json") {
		must(b.w.t, json.Unmarshal(a.raw, &a.body))
	}
	b.take(a.Response)
	if strings.HasPrefix(r.URL.Path, api.Root) {
		if err := b.w.valid.Check(r, a.StatusCode, a.Header, a.raw); err != nil {
			b.w.t.Errorf("the document: %v", err)
		}
	}
	b.w.look(r, a)
	return a
}

// ask sends what a script of the app sends, and wants that status.
func (b *browser) ask(method, path, body string, status int) *answer {
	b.w.t.Helper()
	a := b.do(b.request(method, path, body))
	if a.StatusCode != status {
		b.w.t.Fatalf("%s %s: %d, want %d\n%s", method, path, a.StatusCode, status, a.raw)
	}
	return a
}

// look complains about what no answer of ours may be: kept, read across origins, framed
// (AC-125, AC-127, AC-129, AC-132), or with a secret in it (AC-131).
func (w *world) look(r *http.Request, a *answer) {
	w.t.Helper()
	where := r.Method + " " + r.URL.Path
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Cross-Origin-Resource-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000", "Referrer-Policy": "no-referrer",
	} {
		if got := a.Header.Values(name); len(got) != 1 || got[0] != want {
			w.t.Errorf("%s (%d): %s is %q, want %q", where, a.StatusCode, name, got, want)
		}
	}
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			w.t.Errorf("AC-125 %s: %s", where, name)
		}
	}
	for _, secret := range []string{"plain correct", goodPassword, nextPassword, "alice@example.com", "+49", "alice@work.example"} {
		if bytes.Contains(a.raw, []byte(secret)) {
			w.t.Errorf("AC-131 %s: %q is in the answer: %s", where, secret, a.raw)
		}
	}
}

// newcomer is somebody who has a password and nothing else, signed in under a policy
// that requires nothing.
func (w *world) newcomer(name string) *browser {
	w.t.Helper()
	token, err := mfatest.NewDesk(w.gate).Invite(w.t.Context(), mfa.InviteInput{Name: name})
	must(w.t, err)
	b := w.browser()
	before := w.policy
	w.policy.Optional, w.policy.Prompt = true, mfa.PromptNever
	out, err := w.gate.AcceptLink(w.t.Context(), b.place(), mfa.LinkInput{Token: token, Password: goodPassword})
	must(w.t, err)
	b.hold(out)
	w.policy = before
	if !out.Session.Complete {
		w.t.Fatalf("%s is not signed in: %+v", name, out.Decision)
	}
	return b
}

// person is somebody who has an authenticator app and backup codes.
func (w *world) person(name string) *browser {
	w.t.Helper()
	token, err := mfatest.NewDesk(w.gate).Invite(w.t.Context(), mfa.InviteInput{Name: name})
	must(w.t, err)
	b := w.browser()
	ctx, at := w.t.Context(), b.place()
	out, err := w.gate.AcceptLink(ctx, at, mfa.LinkInput{Token: token, Password: goodPassword})
	must(w.t, err)
	setup, err := w.gate.BeginTOTP(ctx, at, out.Session.ID)
	must(w.t, err)
	b.phone = string([]byte(setup.Secret))
	out, err = w.gate.FinishTOTP(ctx, at, out.Session.ID, b.code(), "")
	must(w.t, err)
	b.codes, err = w.gate.BeginCodes(ctx, at, out.Session.ID)
	must(w.t, err)
	out, err = w.gate.ConfirmCodes(ctx, at, out.Session.ID)
	must(w.t, err)
	b.hold(out)
	w.clock.Advance(time.Minute)
	return b
}

// again is another browser of the person, signed in with the next code.
func (b *browser) again(name string) *browser {
	b.w.t.Helper()
	other := b.w.browser()
	other.phone = b.phone
	ctx, at := b.w.t.Context(), other.place()
	out, err := b.w.gate.SignIn(ctx, at, mfa.LocalSource, name, goodPassword)
	must(b.w.t, err)
	b.w.clock.Advance(30 * time.Second)
	out, err = b.w.gate.VerifyTOTP(ctx, at, out.Session.ID, b.code())
	must(b.w.t, err)
	other.hold(out)
	return other
}

// code is what the authenticator app shows now.
func (b *browser) code() string {
	b.w.t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(b.phone, " ", ""))
	must(b.w.t, err)
	c, err := hotp.GenerateCode(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret), uint64(b.w.clock.Now().Unix()/30))
	must(b.w.t, err)
	return c
}

// stale lets the proof grow old.
func (b *browser) stale() { b.w.clock.Advance(mfa.ProofLife + time.Minute) }

// user is the record.
func (w *world) user(name string) *mfa.User {
	w.t.Helper()
	u, err := w.store.UserByKey(w.t.Context(), mfa.SubjectKey(mfa.LocalSource, name))
	must(w.t, err)
	return u
}

func quote(s string) string {
	raw, _ := json.Marshal(s)
	return string(raw)
}

func contains(raw []byte, s string) bool { return bytes.Contains(raw, []byte(s)) }
