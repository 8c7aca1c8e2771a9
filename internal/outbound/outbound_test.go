package outbound_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/outbound"
)

func ask(t *testing.T, c *http.Client, url string) (*outbound.Answer, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("a code"))
	if err != nil {
		t.Fatal(err)
	}
	return outbound.Do(c, r)
}

// What we send is for one server. It cannot pass us, and what we carry, on to another.
func TestClient_RejectsRedirects(t *testing.T) {
	other := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { other++ }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := httptest.NewServer(http.RedirectHandler(elsewhere.URL, status))
		defer s.Close()
		a, err := ask(t, outbound.NewClient(nil), s.URL)
		if err != nil || a.Status != status || a.OK() || a.Temporary() {
			t.Errorf("%d: %+v, error %v", status, a, err)
		}
	}
	if other != 0 {
		t.Errorf("the other server was asked %d times", other)
	}
}

func TestDo_ReadsNoMoreThanItMay(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/headers" {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
			return
		}
		for range 1 << 10 {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	c := outbound.NewClient(nil)
	if a, err := ask(t, c, s.URL); err != nil || len(a.Body) != 64<<10 {
		t.Errorf("%d bytes were read, error %v", len(a.Body), err)
	}
	if _, err := ask(t, c, s.URL+"/headers"); err == nil {
		t.Error("a megabyte of headers was read")
	}
}

// An address can hold a credential: it is in no error.
func TestDo_ErrorsDoNotSayTheAddress(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, err := ask(t, outbound.NewClient(nil), s.URL+"/hooks/sesame?token=sesame")
	if err == nil || strings.Contains(err.Error(), "sesame") || !outbound.Broken(err) {
		t.Errorf("the error is %v", err)
	}
}

func TestBroken(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	if a, err := ask(t, outbound.NewClient(pool), s.URL); err != nil || a.Status != 404 {
		t.Errorf("%+v, error %v", a, err)
	}
	if _, err := ask(t, outbound.NewClient(nil), s.URL); err == nil || outbound.Broken(err) {
		t.Errorf("a stranger's certificate: %v", err)
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	if _, err := ask(t, outbound.NewClient(nil), strings.Replace(plain.URL, "http:", "https:", 1)); err == nil || outbound.Broken(err) {
		t.Errorf("no TLS there: %v", err)
	}
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer cut.Close()
	if _, err := ask(t, outbound.NewClient(nil), cut.URL); err == nil || !outbound.Broken(err) {
		t.Errorf("a connection that broke: %v", err)
	}
	if outbound.Broken(errors.New("anything else")) {
		t.Error("any error is taken for the network's")
	}
}

func TestAnswer(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	statuses := map[int]string{
		200: "ok", 201: "ok", 202: "ok", 204: "ok",
		301: "final", 304: "final", 400: "final", 401: "final", 403: "final", 404: "final", 410: "final", 422: "final",
		408: "temporary", 425: "temporary", 429: "temporary", 500: "temporary", 502: "temporary", 503: "temporary", 504: "temporary",
	}
	for status, want := range statuses {
		a := outbound.Answer{Status: status}
		got := "final"
		switch {
		case a.OK():
			got = "ok"
		case a.Temporary():
			got = "temporary"
		}
		if got != want {
			t.Errorf("%d is %s, want %s", status, got, want)
		}
	}
	waits := []struct {
		text string
		want time.Duration
	}{
		{"", 0},
		{"7", 7 * time.Second},
		{" 7 ", 7 * time.Second},
		{"-7", 0},
		{"99999999", 24 * time.Hour},
		{"99999999999999999999", 0},
		{"Thu, 26 Nov 2026 12:01:00 GMT", time.Minute},
		{"Thu, 26 Nov 2026 11:00:00 GMT", 0},
		{"soon", 0},
	}
	for _, tt := range waits {
		a := outbound.Answer{Header: http.Header{"Retry-After": {tt.text}}}
		if got := a.RetryAfter(now); got != tt.want {
			t.Errorf("Retry-After %q is %s, want %s", tt.text, got, tt.want)
		}
	}
}

func TestCheckURL(t *testing.T) {
	for _, good := range []string{
		"https://sms.example.com/send", "https://sms.example.com:8443/send?x=1",
		"http://localhost:8080/send", "http://127.0.0.1/send", "http://[::1]:8080/",
	} {
		if err := outbound.CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "sms.example.com/send", "http://sms.example.com/send", "http://localhost.example.com/", "ftp://localhost/",
		"https://user:word@sms.example.com/", "https:///send", "https:sms.example.com", "https://sms.example.com/#a", "https://a b/", "http://10.0.0.1/",
	} {
		if err := outbound.CheckURL(bad); err == nil {
			t.Errorf("%q was taken", bad)
		} else if strings.Contains(fmt.Sprint(err), "word@") {
			t.Errorf("%q: the error repeats the password: %v", bad, err)
		}
	}
}
