package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/api"
	"github.com/secondgate/secondgate/mfa"
)

// failing is a gate whose changes end in an error.
type failing struct {
	api.Gate
	err error
}

func (g *failing) Rename(context.Context, *mfa.Place, mfa.SessionID, mfa.CredentialID, string) error {
	return g.err
}

func (g *failing) FinishTOTP(context.Context, *mfa.Place, mfa.SessionID, string, string) (*mfa.Outcome, error) {
	return nil, g.err
}

func (g *failing) FinishPasskey(context.Context, *mfa.Place, mfa.SessionID, string, []byte, string) (*mfa.Outcome, error) {
	return nil, g.err
}

// Every error of the core has an answer that the document describes, and one that is none
// of its sentinels is a fault of ours: its text stays here.
func TestFail_AnswersEveryError(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	gate := &failing{Gate: w.gate}
	var err error
	w.api, err = api.New(api.Config{Gate: gate, Guard: w.guard, Now: w.clock.Now})
	must(t, err)
	for _, c := range []struct {
		err    error
		status int
		reason string
	}{
		{mfa.ErrNoSession, 401, "no_session"},
		{&mfa.ProofError{Kinds: mfa.KindsOf(mfa.TOTP)}, 401, "too_old"},
		{&mfa.ProofError{}, 401, "too_old"},
		{mfa.ErrNotAllowed, 403, "not_allowed"},
		{mfa.ErrEnrollmentClosed, 403, "enrollment_closed"},
		{mfa.ErrConfirmFirst, 403, "confirm_first"},
		{mfa.ErrDisabled, 403, "disabled"},
		{mfa.ErrExpired, 409, "expired"},
		{mfa.ErrNotOwed, 409, "conflict"},
		{mfa.ErrLimit, 409, "limit"},
		{mfa.ErrRejected, 422, "rejected"},
		{mfa.ErrName, 422, "name"},
		{mfa.ErrCloned, 422, "cloned"},
		{&mfa.ClockError{Off: time.Minute}, 422, "clock"},
		{&mfa.ThrottledError{RetryAfter: 1500 * time.Millisecond}, 429, "throttled"},
		{&mfa.ThrottledError{Locked: true}, 429, "locked"},
		{mfa.ErrBusy, 503, "busy"},
		{errors.New("the disk at /var/secret is full"), 503, "unavailable"},
		{context.DeadlineExceeded, 503, "unavailable"},
	} {
		gate.err = c.err
		for path, body := range map[string]string{"/totp/finish": `{"code":"1"}`, "/passkey/finish": `{"id":"1","answer":{}}`} {
			a := b.ask(http.MethodPost, factorsPath+path, body, c.status)
			if a.reason() != c.reason || a.body["status"] != float64(c.status) || a.text("title") == "" || a.text("detail") == "" {
				t.Errorf("%v: %s", c.err, a.raw)
			}
			if strings.Contains(string(a.raw), "secret") || strings.Contains(a.text("detail"), "failed") || strings.Contains(a.text("detail"), "invalid") {
				t.Errorf("%v: %s", c.err, a.raw)
			}
			if (c.status == 401) != (a.Header.Get("WWW-Authenticate") != "") {
				t.Errorf("%v: WWW-Authenticate: %q", c.err, a.Header.Get("WWW-Authenticate"))
			}
			if retry := a.Header.Get("Retry-After"); (c.status == 503 || c.reason == "throttled") != (retry != "") || c.reason == "throttled" && retry != "2" {
				t.Errorf("%v: Retry-After: %q", c.err, retry)
			}
		}
	}
}

// The page that a problem names explains it.
func TestProblems_AreDocumented(t *testing.T) {
	raw, err := os.ReadFile("../docs/programs.md")
	must(t, err)
	if !strings.HasSuffix(api.Docs, "/docs/programs.md#") {
		t.Errorf("problems are explained at %s", api.Docs)
	}
	for _, reason := range api.Reasons() {
		if !strings.Contains(string(raw), "<a id=\""+reason+"\">") {
			t.Errorf("nothing explains %q", reason)
		}
	}
}

// With the store down nothing is said to be so, and nothing is changed.
func TestStoreDown(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	b.ask(http.MethodGet, accountPath, "", http.StatusOK)
	must(t, w.store.(interface{ Close() error }).Close())
	for _, path := range []string{accountPath, verificationPath} {
		if a := b.ask(http.MethodGet, path, "", http.StatusServiceUnavailable); a.reason() != "unavailable" {
			t.Errorf("%s", a.raw)
		}
	}
	b.ask(http.MethodPost, accountPath+"/sign-out", "{}", http.StatusServiceUnavailable)
	if b.cookies["__Host-mfa"] == "" {
		t.Error("the browser was told that it is signed out")
	}
}

func TestUnavailable(t *testing.T) {
	w := newWorld(t)
	rec := httptest.NewRecorder()
	api.Unavailable(rec, true)
	r := httptest.NewRequest(http.MethodGet, origin+accountPath, nil)
	if err := w.valid.Check(r, rec.Code, rec.Header(), rec.Body.Bytes()); err != nil || rec.Header().Get("Retry-After") != "2" {
		t.Errorf("%v, %v", err, rec.Header())
	}
}
