package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/secondgate/secondgate/doctor"
	"github.com/secondgate/secondgate/mfa"
)

// badProxy stands in front of a gateway and does to requests and answers what it is told to.
type badProxy struct {
	in     func(*http.Request)
	out    func(*http.Response) error
	before func(http.ResponseWriter, *http.Request) bool // it has answered
}

// start returns its address.
func (p badProxy) start(t *testing.T, port string) string {
	t.Helper()
	to := &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
			r.Out.Header.Set("X-Forwarded-For", "198.51.100.9")
			r.Out.Header.Set("X-Forwarded-Proto", "http")
			if p.in != nil {
				p.in(r.Out)
			}
		},
		ModifyResponse: p.out,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.before == nil || !p.before(w, r) {
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

func codesOf(r *doctor.Report) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, f.Code)
	}
	return strings.Join(all, " ")
}

// What a proxy does wrong is found by asking through it, and what is right is not complained
// about.
func TestDoctor_findsWhatProxiesDo(t *testing.T) {
	g := newGateway(t)
	anyHost := func(servers string) string {
		return strings.Replace(strings.Replace(g.text("require on", "mfa\n\trespond ok"), "http://localhost:", "http://:", 1), "persist_config off", "persist_config off\n\tservers {\n\t\t"+servers+"\n\t}", 1)
	}
	const strict = "trusted_proxies static 127.0.0.0/8 ::1\n\t\ttrusted_proxies_strict"
	var kept sync.Map
	cache := badProxy{before: func(w http.ResponseWriter, r *http.Request) bool {
		body, ok := kept.Load(r.URL.Path)
		if ok {
			_, _ = w.Write(body.([]byte))
		}
		return ok
	}, out: func(r *http.Response) error {
		body, err := io.ReadAll(r.Body)
		kept.Store(r.Request.URL.Path, body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		return err
	}}
	for _, c := range []struct {
		name, servers, path string
		p                   badProxy
		want                string
	}{
		{"nothing", strict, "", badProxy{}, ""},
		{"it is not trusted", "protocols h1", "", badProxy{}, "plain_site untrusted_peer"},
		{"it does not say the scheme", strict, "", badProxy{in: func(r *http.Request) { r.Header.Del("X-Forwarded-Proto") }}, "proto_missing"},
		{"it says two schemes", strict, "", badProxy{in: func(r *http.Request) { r.Header.Add("X-Forwarded-Proto", "https") }}, "proto_twice"},
		{"it says another scheme", strict, "", badProxy{in: func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") }}, "scheme"},
		{"it says no client", strict, "", badProxy{in: func(r *http.Request) { r.Header["X-Forwarded-For"] = nil }}, "for_missing"},
		{"it replaces the host", strict, "", badProxy{in: func(r *http.Request) { r.Host = "backend" }}, "proto_http host_replaced"},
		{"it sends a host that is none", strict, "", badProxy{in: func(r *http.Request) { r.Host = "app..backend" }}, "proto_http host_malformed host_replaced"},
		{"it strips the path", strict, "", badProxy{in: func(r *http.Request) { r.URL.Path = strings.TrimPrefix(r.URL.Path, "/.mfa") }}, "path_changed"},
		{"it has the gateway below a path", strict, "/app/", badProxy{in: func(r *http.Request) { r.URL.Path = strings.TrimPrefix(r.URL.Path, "/app") }}, "prefix"},
		{"it keeps answers", strict, "", cache, "cached"},
		{"it drops cookies", strict, "", badProxy{out: func(r *http.Response) error { r.Header.Del("Set-Cookie"); return nil }}, "cookie_lost"},
		{"it rewrites pages", strict, "", badProxy{out: func(r *http.Response) error {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("seen\n<script>")), -1
			r.Header.Del("Content-Length")
			return nil
		}}, "rewritten"},
		{"it hands clients' addresses on", "trusted_proxies static 127.0.0.0/8 ::1", "", badProxy{in: func(r *http.Request) {
			r.Header.Set("X-Forwarded-For", r.Header.Get("X-Test-For"))
		}, before: func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Set("X-Test-For", strings.TrimPrefix(r.Header.Get("X-Forwarded-For")+", 198.51.100.9", ", "))
			return false
		}}, "client_forged server_leftmost for_leftmost"},
		{"it serves the pages itself", strict, "", badProxy{before: func(w http.ResponseWriter, r *http.Request) bool {
			http.NotFound(w, r)
			return true
		}}, "not_reached"},
		{"it leads away", strict, "", badProxy{before: func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "https://www.example.com"+r.URL.Path, http.StatusFound)
			return true
		}}, "redirected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.mustLoad(anyHost(c.servers))
			address := c.p.start(t, g.port)
			report, _, err := (&flags{config: g.file}).examine(t.Context(), "", []string{address + c.path})
			if err != nil {
				t.Fatal(err)
			}
			if codesOf(report) != c.want {
				t.Errorf("found %q, want %q: %+v", codesOf(report), c.want, report.Facts)
			}
			out, err := json.Marshal(report)
			if err != nil || strings.Contains(string(out), "Probe") || report.URL != address {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// A stranger asks an address of the doctor: what is not known is a page that is not there;
// what is known says that it was seen, once, and nothing that came with it; and what the
// stranger sends is never in an answer, nor is a secret in what the administrator gets.
func TestDoctor_strangers(t *testing.T) {
	g := newGateway(t)
	text, host := g.console("require on")
	g.mustLoad(text)
	for _, path := range []string{"/.mfa/doctor", "/.mfa/doctor/", "/.mfa/doctor/AAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		if res, _ := g.get(path, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("on the app's host %s is %d", path, res.StatusCode)
		}
	}
	secret, err := probes.Open()
	if err != nil {
		t.Fatal(err)
	}
	cookie := g.signIn("alice", 0)
	res, body := g.get("/.mfa/doctor/"+secret+"?q=in-the-query", cookie, "Authorization", "Bearer in-the-header", "X-Evil", "in-another", "Via", "1.1 <svg/onload=1>")
	if res.StatusCode != http.StatusOK || body != doctor.Said || res.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %q %v", res.StatusCode, body, res.Header)
	}
	for name, values := range res.Header {
		if strings.Contains(strings.Join(values, " "), "in-") || strings.Contains(strings.Join(values, " "), secret) {
			t.Errorf("%s repeats the request: %q", name, values)
		}
	}
	if res, body := g.get("/.mfa/doctor/"+secret, nil); res.StatusCode != http.StatusNotFound || body == doctor.Said {
		t.Errorf("used twice: %d %q", res.StatusCode, body)
	}
	seen := probes.Take(secret)
	if seen == nil || seen.Header("Authorization").Length != len("Bearer in-the-header") || seen.Header("Cookie").Lines != 1 || len(seen.Cookies) != 1 {
		t.Fatalf("seen %+v", seen)
	}
	all, _ := json.Marshal(seen)
	for _, hidden := range []string{"in-the-", "in-another", cookie.Value, cookie.Value[:12]} {
		if strings.Contains(string(all), hidden) {
			t.Errorf("the facts hold %q: %s", hidden, all)
		}
	}
	// A host of the console is asked as the others are.
	g.host = host
	if secret, err = probes.Open(); err != nil {
		t.Fatal(err)
	}
	if res, body := g.get("/.mfa/doctor/"+secret, nil); res.StatusCode != http.StatusOK || body != doctor.Said {
		t.Errorf("at the console: %d %q", res.StatusCode, body)
	}
	if seen := probes.Take(secret); seen == nil || seen.Place != placeConsole {
		t.Errorf("at the console: %+v", seen)
	}
}

// Proxies that ask in a way that cannot be read show in the report, with the configuration of
// their kind, and nothing of what they sent but names and lengths.
func TestDoctor_questions(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(fmt.Sprintf("{\n\tadmin %s\n\tpersist_config off\n\tmfa {\n\t\tstore badger %s\n\t\tdomain a.test\n\t\tinsecure_http\n\t}\n}\n\nhttp://auth.a.test:%s, http://:%s {\n\tmfa_portal {\n\t\tpeers 127.0.0.0/8\n\t\tprotect app.a.test\n\t}\n}\n", g.admin, g.store, freePort(t), g.port))
	ask := func(path string, header ...string) {
		g.get(path, nil, header...)
	}
	ask("/.mfa/auth/nginx", "X-Forwarded-Uri", "/secret?token=hidden", "Cookie", "a=hidden")
	ask("/.mfa/auth/nginx", "X-Forwarded-Uri", "/secret?token=hidden")
	ask("/.mfa/auth/traefik", "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "other.a.test", "X-Forwarded-Uri", "/x")
	report, _, err := (&flags{config: g.file}).examine(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(report)
	text := string(raw)
	if !strings.Contains(text, "X-Original-URL is missing") || !strings.Contains(text, "2 times") || !strings.Contains(text, "auth_request") || !strings.Contains(text, "other.a.test") || strings.Contains(text, "hidden") {
		t.Errorf("%s", text)
	}
	// A proxy that asks about the pages instead of handing them on.
	secret, err := probes.Open()
	if err != nil {
		t.Fatal(err)
	}
	ask("/.mfa/auth/traefik", "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.a.test", "X-Forwarded-Uri", "/.mfa/doctor/"+secret)
	if seen := probes.Take(secret); seen == nil || seen.AskedBy != "traefik" || seen.Path != "/.mfa/doctor/"+secret {
		t.Errorf("asked about: %+v", seen)
	}
}

// The command through the program: words, JSON, exit codes.
func TestDoctor_command(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	for _, c := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"http://" + g.host}, 0, "Nothing wrong was found."},
		{nil, 0, "Nothing wrong was found."},
		{[]string{"--json"}, 0, `"findings": []`},
		{[]string{"http://localhost:1"}, exitFailed, "WRONG  http://localhost:1/.mfa/doctor/… cannot be asked from here: nobody answers there."},
		{[]string{"app.example.com"}, exitRefused, ""},
		{[]string{"https://alice:secret@app.example.com"}, exitRefused, ""},
		{[]string{"file:///etc/passwd"}, exitRefused, ""},
		{[]string{"http://" + g.host, "x"}, exitRefused, ""},
		{[]string{"--proxy", "squid"}, exitRefused, ""},
		{[]string{"--address", "localhost:1"}, exitUnreachable, ""},
	} {
		out, errs, code := program(t, append([]string{"mfa", "doctor", "--config", g.file}, c.args...)...)
		if code != c.code || !strings.Contains(out, c.out) || strings.Contains(out+errs, "panic") {
			t.Errorf("%v: %d\n%s%s", c.args, code, out, errs)
		}
	}
	if _, err := (desk{}).diagnose(opDoctor, adminRequest{}); err != errNoDoctor {
		t.Errorf("without a gateway: %v", err)
	}
	if _, err := ask(g.admin, opProbe, adminRequest{Probes: 64}); err == nil {
		t.Error("64 probes at once")
	}
}

// The doctor's page, with the real core: for administrators, on the console's host.
func TestDoctor_page(t *testing.T) {
	g := newGateway(t)
	text, host := g.console("require on")
	g.mustLoad(text)
	g.host = host
	boss := g.signInAt("boss", "http://"+host+"/", true)
	if res, _ := g.get("/.mfa/doctor", boss); res.StatusCode != http.StatusForbidden {
		t.Errorf("somebody with no role: %d", res.StatusCode)
	}
	g.update("boss", func(u *mfa.User) { u.Admin = true })
	res, body := g.get("/.mfa/doctor", boss, "X-Forwarded-Proto", "https", "Authorization", "Basic c2VjcmV0")
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "trusted_proxies static") || strings.Contains(body, "c2VjcmV0") || strings.Contains(body, boss.Value) {
		t.Errorf("%d\n%s", res.StatusCode, body)
	}
	if res, _ := g.get("/.mfa/doctor", nil); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/.mfa/sign-in?to=doctor" {
		t.Errorf("a stranger: %d %s", res.StatusCode, res.Header.Get("Location"))
	}
}
