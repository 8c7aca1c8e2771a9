package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/sender/webhook"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

const secret = "whsec_c2VzYW1lIG9wZW4gc2VzYW1lIG9wZW4gc2VzYW1l"

// gateway checks a request as the specification tells a receiver to: by itself, with
// nothing of the sender's.
type gateway struct {
	*httptest.Server
	key    []byte
	now    time.Time
	status int
	header http.Header
	answer string

	got   []map[string]any
	seen  map[string]bool
	twice int
}

func newGateway(t *testing.T, start func(http.Handler) *httptest.Server) *gateway {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{key: key, now: noon, status: http.StatusNoContent, seen: map[string]bool{}}
	g.Server = start(g)
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) check(r *http.Request, body []byte) error {
	id, at := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	switch {
	case r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json":
		return fmt.Errorf("%s with %s", r.Method, r.Header.Get("Content-Type"))
	case id == "" || strings.Contains(id, "."):
		return fmt.Errorf("the id is %q", id)
	case err != nil || g.now.Sub(time.Unix(seconds, 0)).Abs() > 5*time.Minute:
		return fmt.Errorf("the time is %q", at)
	}
	sum := hmac.New(sha256.New, g.key)
	fmt.Fprintf(sum, "%s.%s.%s", id, at, body)
	for signature := range strings.FieldsSeq(r.Header.Get("webhook-signature")) {
		version, text, _ := strings.Cut(signature, ",")
		raw, err := base64.StdEncoding.DecodeString(text)
		if version == "v1" && err == nil && hmac.Equal(raw, sum.Sum(nil)) {
			return nil
		}
	}
	return errors.New("no signature holds")
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if err := g.check(r, body); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if id := r.Header.Get("webhook-id"); g.seen[id] {
		g.twice++
	} else {
		g.seen[id] = true
	}
	g.got = append(g.got, m)
	for name, values := range g.header {
		w.Header()[name] = values
	}
	w.WriteHeader(g.status)
	fmt.Fprint(w, g.answer)
}

func message() *mfa.Message {
	return &mfa.Message{
		ID: "MSG-1", Kind: mfa.LetterVerify, Channel: mfa.Email, To: "alice@example.com", Language: "de",
		Subject: "Für Sie", Text: "12345678\n@app.example.com #12345678\n", HTML: "<p>12345678 & mehr</p>",
		Code: mfa.Secret("12345678"), Expires: noon.Add(5 * time.Minute).In(time.FixedZone("", 3600)),
	}
}

func newSender(t *testing.T, g *gateway, change func(*webhook.Config)) *webhook.Sender {
	t.Helper()
	c := webhook.Config{URL: g.URL + "/send?tenant=7", Secret: mfa.Secret(secret), Now: func() time.Time { return noon }}
	if change != nil {
		change(&c)
	}
	s, err := webhook.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What the gateway reads is what docs/senders.md tells it, signed, at each try under
// the same name.
func TestSender_Sends(t *testing.T) {
	g := newGateway(t, httptest.NewServer)
	s := newSender(t, g, nil)
	for range 2 {
		if err := s.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]any{
		"id": "MSG-1", "kind": "verify", "channel": "email", "to": "alice@example.com", "language": "de",
		"subject": "Für Sie", "text": "12345678\n@app.example.com #12345678\n", "html": "<p>12345678 & mehr</p>",
		"code": "12345678", "expires": "2026-11-26T12:05:00Z",
	}
	if !reflect.DeepEqual(g.got[0], want) || g.twice != 1 {
		t.Errorf("it read %v, %d of them twice", g.got[0], g.twice)
	}
	m := message()
	m.ID, m.Kind, m.Channel, m.To = "MSG-2", mfa.LetterNotice, mfa.SMS, "+4930123456"
	m.Subject, m.HTML, m.Code, m.Expires = "", "", nil, time.Time{}
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	want = map[string]any{"id": "MSG-2", "kind": "notice", "channel": "sms", "to": "+4930123456", "language": "de", "text": m.Text}
	if !reflect.DeepEqual(g.got[2], want) {
		t.Errorf("it read %v", g.got[2])
	}
}

func TestSender_OverTLS(t *testing.T) {
	g := newGateway(t, httptest.NewTLSServer)
	pool := x509.NewCertPool()
	pool.AddCert(g.Certificate())
	if err := newSender(t, g, func(c *webhook.Config) { c.Roots = pool }).Send(t.Context(), message()); err != nil {
		t.Error(err)
	}
	checkError(t, newSender(t, g, nil).Send(t.Context(), message()), false, 0, "asking the gateway")
}

// A secret as it is, and another one than the gateway's.
func TestSender_Secret(t *testing.T) {
	g := newGateway(t, httptest.NewServer)
	checkError(t, newSender(t, g, func(c *webhook.Config) { c.Secret = mfa.Secret(strings.Repeat("x", 24)) }).Send(t.Context(), message()), false, 0, "401")
	g.key = []byte(strings.Repeat("x", 24))
	if err := newSender(t, g, func(c *webhook.Config) { c.Secret = mfa.Secret(strings.Repeat("x", 24)) }).Send(t.Context(), message()); err != nil {
		t.Error(err)
	}
}

func checkError(t *testing.T, err error, temporary bool, after time.Duration, words string) {
	t.Helper()
	e, ok := errors.AsType[*mfa.SendError](err)
	if !ok {
		t.Fatalf("the error is %v", err)
	}
	if e.Temporary != temporary || e.After != after || !strings.Contains(err.Error(), words) {
		t.Errorf("temporary %v, after %s: %v; want %v, %s, %q", e.Temporary, e.After, err, temporary, after, words)
	}
	for _, told := range []string{"12345678", "alice", "sesame", "c2VzYW1l", "tenant"} {
		if strings.Contains(err.Error(), told) {
			t.Errorf("the error says %q: %v", told, err)
		}
	}
}

func TestSender_Answers(t *testing.T) {
	tests := []struct {
		status    int
		header    http.Header
		temporary bool
		after     time.Duration
	}{
		{301, http.Header{"Location": {"https://elsewhere.example/"}}, false, 0},
		{307, http.Header{"Location": {"/other"}}, false, 0},
		{400, nil, false, 0},
		{401, nil, false, 0},
		{404, nil, false, 0},
		{408, nil, true, 0},
		{410, nil, false, 0},
		{422, http.Header{"Retry-After": {"9"}}, false, 9 * time.Second},
		{425, nil, true, 0},
		{429, http.Header{"Retry-After": {"7"}}, true, 7 * time.Second},
		{500, nil, true, 0},
		{503, http.Header{"Retry-After": {"Thu, 26 Nov 2026 12:01:00 GMT"}}, true, time.Minute},
	}
	for _, tt := range tests {
		t.Run(strconv.Itoa(tt.status), func(t *testing.T) {
			g := newGateway(t, httptest.NewServer)
			g.status, g.header, g.answer = tt.status, tt.header, "I do not want alice@example.com and 12345678"
			err := newSender(t, g, nil).Send(t.Context(), message())
			checkError(t, err, tt.temporary, tt.after, "status "+strconv.Itoa(tt.status))
			if len(g.got) != 1 {
				t.Errorf("it was asked %d times", len(g.got))
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		g := newGateway(t, httptest.NewServer)
		g.Close()
		checkError(t, newSender(t, g, nil).Send(t.Context(), message()), true, 0, "asking the gateway")
	})
	t.Run("no answer in time", func(t *testing.T) {
		hold := make(chan struct{})
		slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
		defer slow.Close()
		defer close(hold)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		checkError(t, newSender(t, &gateway{Server: slow}, nil).Send(ctx, message()), true, 0, "asking the gateway")
	})
}

// A dot in the name of a message would let one signature stand for two requests.
func TestSender_RejectsNamesThatCannotBeSigned(t *testing.T) {
	g := newGateway(t, httptest.NewServer)
	for _, id := range []string{"", "a.b", "a\r\nX-Evil: 1", "ü"} {
		m := message()
		m.ID = id
		checkError(t, newSender(t, g, nil).Send(t.Context(), m), false, 0, "no name")
	}
	if len(g.got) != 0 {
		t.Error("the gateway was asked")
	}
}

func TestNew_Refuses(t *testing.T) {
	tests := []struct{ name, url, secret, words string }{
		{"no address", "", secret, "url: "},
		{"in the open", "http://sms.example.com/send", secret, "url: "},
		{"a password in the address", "https://user:word@sms.example.com/", secret, "url: "},
		{"no secret", "https://sms.example.com/", "", "secret: "},
		{"a short secret", "https://sms.example.com/", "correct horse", "secret: "},
		{"a short secret in base64", "https://sms.example.com/", "whsec_Y29ycmVjdCBob3JzZQ==", "secret: "},
		{"base64 that is none", "https://sms.example.com/", "whsec_correct horse battery staple", "secret: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := webhook.New(webhook.Config{URL: tt.url, Secret: mfa.Secret(tt.secret)})
			if err == nil || !strings.HasPrefix(err.Error(), tt.words) {
				t.Fatalf("the error is %v", err)
			}
			if strings.Contains(err.Error(), "horse") || strings.Contains(err.Error(), "word@") {
				t.Errorf("the error says the secret: %v", err)
			}
		})
	}
}
