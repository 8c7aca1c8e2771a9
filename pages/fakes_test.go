package pages

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/doctor"
	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

var testNow = time.Date(2026, 11, 23, 9, 41, 0, 0, time.UTC)

// fakeGate answers what a test tells it to, and remembers what it was asked.
type fakeGate struct {
	state   *mfa.State
	stateOf error
	outcome *mfa.Outcome
	err     error // of everything that changes something
	codes   []string
	beginOf error // of BeginTOTP, BeginCodes, Begin…Passkey
	link    *mfa.Link
	linkOf  error
	account *mfa.Account
	acctOf  error
	notices []mfa.Notice

	activity   []mfa.Activity
	activityOf error
	fakeSending

	fakeStrangers
	fakeSources
	console *fakeConsole

	handOnOf error

	calls []string
	at    mfa.Place // of the last call
	args  []string  // of the last call
}

func (g *fakeGate) call(name string, at *mfa.Place, args ...string) {
	g.calls = append(g.calls, name)
	g.at, g.args = *at, args
}

func (g *fakeGate) did(name string) bool {
	for _, c := range g.calls {
		if c == name {
			return true
		}
	}
	return false
}

func (g *fakeGate) out() (*mfa.Outcome, error) {
	if g.err != nil {
		return nil, g.err
	}
	return g.outcome, nil
}

func (g *fakeGate) SignIn(_ context.Context, at *mfa.Place, source, name, password string) (*mfa.Outcome, error) {
	g.call("SignIn", at, source, name, password)
	return g.out()
}

func (g *fakeGate) State(_ context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.State, error) {
	g.call("State", at, string(id))
	return g.state, g.stateOf
}

func (g *fakeGate) NoteRefusal(_ context.Context, at *mfa.Place, s *mfa.Session, u *mfa.Subject, why mfa.Reason) string {
	g.call("NoteRefusal", at, string(s.ID), string(u.ID), string(why))
	return "K7PQ2M9XTA"
}

func (g *fakeGate) Notices(_ context.Context, at *mfa.Place, id mfa.SessionID) ([]mfa.Notice, error) {
	g.call("Notices", at, string(id))
	return g.notices, g.stateOf
}

func (g *fakeGate) SeenNotices(_ context.Context, at *mfa.Place, id mfa.SessionID, last time.Time) error {
	g.call("SeenNotices", at, string(id), last.UTC().Format(time.RFC3339Nano))
	return g.err
}

func (g *fakeGate) Skip(_ context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Outcome, error) {
	g.call("Skip", at, string(id))
	return g.out()
}

func (g *fakeGate) SignOut(_ context.Context, at *mfa.Place, id mfa.SessionID, back string) (string, error) {
	g.call("SignOut", at, string(id), back)
	return g.there, g.err
}

func (g *fakeGate) HandOn(_ context.Context, at *mfa.Place, id mfa.SessionID, scope string, replaces mfa.SessionID) (*mfa.Outcome, error) {
	g.call("HandOn", at, string(id), scope, string(replaces))
	return &mfa.Outcome{Session: &mfa.Session{ID: "shared", User: "u1", Scope: scope, Complete: true, Expires: testNow.Add(time.Hour)}, Changed: true, Subject: alice()}, g.handOnOf
}

func (g *fakeGate) BeginHandOff(_ context.Context, at *mfa.Place, id mfa.SessionID, to mfa.HandOff) (string, error) {
	g.call("BeginHandOff", at, string(id), to.Origin, to.Mark)
	return "the-code", g.err
}

func (g *fakeGate) FinishHandOff(_ context.Context, at *mfa.Place, code, secret string) (*mfa.Outcome, error) {
	g.call("FinishHandOff", at, code, secret)
	return g.out()
}

func (g *fakeGate) BeginTOTP(_ context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.TOTPSetup, error) {
	g.call("BeginTOTP", at, string(id))
	if g.beginOf != nil {
		return nil, g.beginOf
	}
	return &mfa.TOTPSetup{
		URI:    mfa.Secret("otpauth://totp/Acme:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Acme&algorithm=SHA1&digits=6&period=30"),
		Secret: mfa.Secret("JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP"),
	}, nil
}

func (g *fakeGate) FinishTOTP(_ context.Context, at *mfa.Place, id mfa.SessionID, code, name string) (*mfa.Outcome, error) {
	g.call("FinishTOTP", at, string(id), code, name)
	return g.out()
}

func (g *fakeGate) ceremony() (*mfa.Ceremony, error) {
	if g.beginOf != nil {
		return nil, g.beginOf
	}
	return &mfa.Ceremony{ID: "ceremony-1", Options: []byte(`{"publicKey":{"challenge":"AAAA"}}`)}, nil
}

func (g *fakeGate) BeginPasskey(_ context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Ceremony, error) {
	g.call("BeginPasskey", at, string(id))
	return g.ceremony()
}

func (g *fakeGate) FinishPasskey(_ context.Context, at *mfa.Place, id mfa.SessionID, ceremony string, answer []byte, name string) (*mfa.Outcome, error) {
	g.call("FinishPasskey", at, string(id), ceremony, string(answer), name)
	return g.out()
}

func (g *fakeGate) BeginCodes(_ context.Context, at *mfa.Place, id mfa.SessionID) ([]string, error) {
	g.call("BeginCodes", at, string(id))
	return g.codes, g.beginOf
}

func (g *fakeGate) PendingCodes(_ context.Context, at *mfa.Place, id mfa.SessionID) ([]string, error) {
	g.call("PendingCodes", at, string(id))
	return g.codes, g.beginOf
}

func (g *fakeGate) ConfirmCodes(_ context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Outcome, error) {
	g.call("ConfirmCodes", at, string(id))
	return g.out()
}

func (g *fakeGate) VerifyTOTP(_ context.Context, at *mfa.Place, id mfa.SessionID, code string) (*mfa.Outcome, error) {
	g.call("VerifyTOTP", at, string(id), code)
	return g.out()
}

func (g *fakeGate) VerifyBackupCode(_ context.Context, at *mfa.Place, id mfa.SessionID, code string) (*mfa.Outcome, error) {
	g.call("VerifyBackupCode", at, string(id), code)
	return g.out()
}

func (g *fakeGate) BeginVerifyPasskey(_ context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Ceremony, error) {
	g.call("BeginVerifyPasskey", at, string(id))
	return g.ceremony()
}

func (g *fakeGate) FinishVerifyPasskey(_ context.Context, at *mfa.Place, id mfa.SessionID, ceremony string, answer []byte) (*mfa.Outcome, error) {
	g.call("FinishVerifyPasskey", at, string(id), ceremony, string(answer))
	return g.out()
}

func (g *fakeGate) OpenLink(_ context.Context, at *mfa.Place, token string) (*mfa.Link, error) {
	g.call("OpenLink", at, token)
	return g.link, g.linkOf
}

func (g *fakeGate) AcceptLink(_ context.Context, at *mfa.Place, in mfa.LinkInput) (*mfa.Outcome, error) {
	g.call("AcceptLink", at, in.Token, in.Name, in.DisplayName, in.Email, in.Password)
	return g.out()
}

func (g *fakeGate) Account(_ context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Account, error) {
	g.call("Account", at, string(id))
	if a := g.account; a != nil {
		scored(a)
	}
	return g.account, g.acctOf
}

func (g *fakeGate) Rename(_ context.Context, at *mfa.Place, id mfa.SessionID, cred mfa.CredentialID, name string) error {
	g.call("Rename", at, string(id), string(cred), name)
	return g.err
}

func (g *fakeGate) Remove(_ context.Context, at *mfa.Place, id mfa.SessionID, cred mfa.CredentialID) error {
	g.call("Remove", at, string(id), string(cred))
	return g.err
}

// scored gives a sample the score that the core would.
func scored(a *mfa.Account) {
	p := &mfa.Policy{Off: a.Off, Optional: !a.Required}
	u := &mfa.Subject{OptedOut: a.OptedOut}
	var can mfa.Kinds
	if a.CodesOffered {
		p.Factors |= mfa.KindsOf(mfa.BackupCode)
	}
	for _, c := range a.Choices {
		p.Factors |= mfa.KindsOf(c.Kind)
		if c.Available {
			can |= mfa.KindsOf(c.Kind)
		}
	}
	for _, c := range a.Credentials {
		if c.Kind != mfa.BackupCode {
			p.Factors |= mfa.KindsOf(c.Kind)
		}
		u.Held = append(u.Held, mfa.Held{ID: c.ID, Kind: c.Kind, Left: c.Left})
	}
	a.Score = mfa.ScoreOf(p, u, can)
	if a.Session == nil {
		a.Session = &mfa.Session{ID: "full"}
	}
}

func (g *fakeGate) ChangeName(_ context.Context, at *mfa.Place, id mfa.SessionID, display string) error {
	g.call("ChangeName", at, string(id), display)
	return g.err
}

func (g *fakeGate) BeginEmail(_ context.Context, at *mfa.Place, id mfa.SessionID, typed string, again bool) (*mfa.SentTo, error) {
	g.call("BeginEmail", at, string(id), typed, strconv.FormatBool(again))
	if g.err != nil {
		return nil, g.err
	}
	return &mfa.SentTo{Kind: mfa.Email, Masked: "al****@example.net", At: testNow, Expires: testNow.Add(mfa.SentCodeLife), Again: testNow.Add(mfa.SendAgain)}, nil
}

func (g *fakeGate) PendingEmail(_ context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.SentTo, string, error) {
	g.call("PendingEmail", at, string(id))
	if g.pendingOf != nil {
		return nil, "", g.pendingOf
	}
	return &mfa.SentTo{Kind: mfa.Email, Masked: "al****@example.net", At: testNow, Expires: testNow.Add(mfa.SentCodeLife), Again: testNow.Add(mfa.SendAgain)}, "alice.new@example.net", nil
}

func (g *fakeGate) FinishEmail(_ context.Context, at *mfa.Place, id mfa.SessionID, code string) error {
	g.call("FinishEmail", at, string(id), code)
	return g.err
}

func (g *fakeGate) RemoveLast(_ context.Context, at *mfa.Place, id mfa.SessionID, cred mfa.CredentialID) (*mfa.Outcome, error) {
	g.call("RemoveLast", at, string(id), string(cred))
	return g.out()
}

func (g *fakeGate) Activity(_ context.Context, at *mfa.Place, id mfa.SessionID, after string, limit int) ([]mfa.Activity, string, error) {
	g.call("Activity", at, string(id), after, strconv.Itoa(limit))
	if len(g.activity) > limit {
		return g.activity[:limit], "c2Vjb25k", g.activityOf
	}
	return g.activity, "", g.activityOf
}

func (g *fakeGate) ChangePassword(_ context.Context, at *mfa.Place, id mfa.SessionID, old, next string) (*mfa.Outcome, error) {
	g.call("ChangePassword", at, string(id), old, next)
	return g.out()
}

func (g *fakeGate) OptOut(_ context.Context, at *mfa.Place, id mfa.SessionID) error {
	g.call("OptOut", at, string(id))
	return g.err
}

func (g *fakeGate) OptIn(_ context.Context, at *mfa.Place, id mfa.SessionID) error {
	g.call("OptIn", at, string(id))
	return g.err
}

func (g *fakeGate) EndSession(_ context.Context, at *mfa.Place, id mfa.SessionID, handle string) error {
	g.call("EndSession", at, string(id), handle)
	return g.err
}

func (g *fakeGate) EndOtherSessions(_ context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Outcome, error) {
	g.call("EndOtherSessions", at, string(id))
	return g.out()
}

// fakeGuard is an edge whose cookies hold nothing but a name: the session is what
// the test says.
type fakeGuard struct {
	full, half *session.View
	shared     *session.View // of the domain, at the portal
	domain     string        // that the portal lies in
	err        error         // where the store cannot tell
	parseOf    error
	place      mfa.Place
	set        *mfa.Session
	cleared    bool
	remembered string
	rejected   error

	fakeWaiting
	fakeRedirect
}

var testCookies = web.Cookies{Secure: true}

func (g *fakeGuard) Parse(r *http.Request) (*guard.Request, error) {
	if g.parseOf != nil {
		return nil, g.parseOf
	}
	return &guard.Request{
		Place: g.place, HTTPS: true, Host: g.place.Host, Path: r.URL.Path, Cookies: testCookies, Target: r.URL.RequestURI(),
	}, nil
}

func (g *fakeGuard) ParseOwn(r *http.Request) (*guard.Request, error) { return g.Parse(r) }

func (g *fakeGuard) Shared(req *guard.Request) (*guard.Request, bool) {
	if g.domain == "" {
		return nil, false
	}
	shared := *req
	shared.Place.Scope, shared.Cookies.Domain = g.domain, g.domain
	return &shared, true
}

func (g *fakeGuard) Shares(origin string) bool {
	return g.domain != "" && strings.HasPrefix(origin, "https://") && strings.HasSuffix(origin, "."+g.domain)
}

func (g *fakeGuard) SetArrival(w http.ResponseWriter, req *guard.Request, secret string) {
	if secret == "" {
		req.Cookies.Clear(w, web.ArriveCookie)
		return
	}
	req.Cookies.Set(w, web.ArriveCookie, secret, guard.ArriveLife)
}

func (g *fakeGuard) Arrival(r *http.Request, req *guard.Request) string {
	secret, n := web.Find(r, req.Cookies.Name(web.ArriveCookie))
	if n != 1 {
		return ""
	}
	return secret
}

func (g *fakeGuard) Reject(w http.ResponseWriter, _ *http.Request, err error) {
	g.rejected = err
	w.WriteHeader(http.StatusBadRequest)
}

func (g *fakeGuard) find(v *session.View) (*session.View, error) {
	if g.err != nil {
		return nil, g.err
	}
	if v == nil {
		return nil, mfa.ErrNoSession
	}
	return v, nil
}

func (g *fakeGuard) Session(_ *http.Request, req *guard.Request) (*session.View, error) {
	if req.Cookies.Domain != "" {
		return g.find(g.shared)
	}
	return g.find(g.full)
}

func (g *fakeGuard) HalfDone(*http.Request, *guard.Request) (*session.View, error) {
	return g.find(g.half)
}

func (g *fakeGuard) SetSession(w http.ResponseWriter, req *guard.Request, s *mfa.Session) error {
	g.set = s
	kind := web.HalfDoneCookie
	if s.Complete {
		kind = web.SessionCookie
	}
	req.Cookies.Set(w, kind, "token-of-"+string(s.ID), 0)
	return nil
}

func (g *fakeGuard) SetDevice(w http.ResponseWriter, req *guard.Request, marks string) {
	req.Cookies.Set(w, web.DevicesCookie, marks, 0)
}

func (g *fakeGuard) ClearSession(w http.ResponseWriter, req *guard.Request) {
	g.cleared = true
	req.Cookies.Clear(w, web.SessionCookie)
	req.Cookies.Clear(w, web.HalfDoneCookie)
}

// world is the pages with fakes around them.
type world struct {
	gate  *fakeGate
	guard *fakeGuard
	pages *Pages

	report    *doctor.Report // of the doctor
	asked     doctor.Proxy
	consoleAt string
}

// examine is the doctor of the tests.
func (w *world) examine(_ *http.Request, p doctor.Proxy) *doctor.Report {
	w.asked = p
	if w.report == nil {
		w.report = sampleReport()
	}
	return w.report
}

var acme = Brand{Name: "Acme", Accent: "#0b5fff", Support: "help@example.com"}

func newWorld(t testing.TB, brand Brand) *world {
	t.Helper()
	w := &world{gate: &fakeGate{console: new(fakeConsole)}, guard: &fakeGuard{place: mfa.Place{
		Origin: "https://payroll.example.com", Host: "payroll.example.com", Scope: "payroll.example.com",
		RPID: "payroll.example.com", Agent: "Firefox on Linux", Network: "192.0.2.0",
	}}}
	p, err := New(Config{
		Gate: w.gate, Guard: w.guard, Brand: brand, Now: func() time.Time { return testNow },
		Gates: gatesOfApp, Administration: func(mfa.Actor) Administration { return w.gate.console },
		Doctor: w.examine, Console: func() string { return w.consoleAt },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.pages = p
	return w
}

func alice(held ...mfa.Held) *mfa.Subject {
	return &mfa.Subject{ID: "u1", Source: "local", Name: "alice", DisplayName: "Alice Example", Held: held}
}

// halfDone puts somebody behind the first factor and before the second.
func (w *world) halfDone(d mfa.Decision) *mfa.State {
	s := &mfa.Session{ID: "half", User: "u1", Expires: testNow.Add(time.Minute), First: mfa.Proof{Kind: mfa.Password, At: testNow}}
	w.guard.half, w.guard.full = &session.View{Session: s, Subject: alice()}, nil
	w.gate.state = &mfa.State{Outcome: mfa.Outcome{Session: s, Subject: alice(), Decision: d}, CodesOffered: true}
	return w.gate.state
}

// signedIn puts somebody behind both.
func (w *world) signedIn(d mfa.Decision) *mfa.State {
	s := &mfa.Session{ID: "full", User: "u1", Complete: true, Expires: testNow.Add(time.Hour), First: mfa.Proof{Kind: mfa.Password, At: testNow}}
	w.guard.full, w.guard.half = &session.View{Session: s, Subject: alice()}, nil
	w.gate.state = &mfa.State{Outcome: mfa.Outcome{Session: s, Subject: alice(), Decision: d}, CodesOffered: true}
	return w.gate.state
}

func completed() *mfa.Outcome {
	return &mfa.Outcome{
		Session: &mfa.Session{ID: "next", User: "u1", Complete: true, Expires: testNow.Add(time.Hour)}, Changed: true,
		Subject: alice(), Decision: mfa.Decision{Action: mfa.Allow},
	}
}

func owing(d mfa.Decision) *mfa.Outcome {
	return &mfa.Outcome{
		Session: &mfa.Session{ID: "next", User: "u1", Expires: testNow.Add(time.Minute)}, Changed: true,
		Subject: alice(), Decision: d,
	}
}

// answer is what a request led to.
type answer struct {
	*http.Response
	body string
}

func (w *world) do(r *http.Request) answer {
	rec := httptest.NewRecorder()
	w.pages.ServeHTTP(rec, r)
	res := rec.Result()
	b, _ := io.ReadAll(res.Body)
	return answer{res, string(b)}
}

func (w *world) get(path string, cookies ...string) answer {
	r := httptest.NewRequest(http.MethodGet, "https://payroll.example.com"+path, nil)
	for _, c := range cookies {
		r.Header.Add("Cookie", c)
	}
	return w.do(r)
}

// token returns a form token and the cookie that it is bound to.
func (w *world) token(t testing.TB) (token, cookie string) {
	t.Helper()
	rec := httptest.NewRecorder()
	token = w.pages.csrf.Token(rec, httptest.NewRequest(http.MethodGet, "https://payroll.example.com/", nil), testCookies)
	c := rec.Result().Cookies()[0]
	return token, c.Name + "=" + c.Value
}

// post sends a form as our own page would.
func (w *world) post(t testing.TB, path string, form url.Values) answer {
	t.Helper()
	return w.do(w.postRequest(t, path, form))
}

func (w *world) postRequest(t testing.TB, path string, form url.Values) *http.Request {
	t.Helper()
	token, cookie := w.token(t)
	if form == nil {
		form = url.Values{}
	}
	form.Set(web.CSRFField, token)
	r := httptest.NewRequest(http.MethodPost, "https://payroll.example.com"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://payroll.example.com")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Cookie", cookie)
	return r
}

func (w *world) postJSON(t testing.TB, path, body string) answer {
	t.Helper()
	token, cookie := w.token(t)
	r := httptest.NewRequest(http.MethodPost, "https://payroll.example.com"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", "https://payroll.example.com")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set(web.CSRFHeader, token)
	r.Header.Set("Cookie", cookie)
	return w.do(r)
}
