package caddymodule

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"golang.org/x/crypto/bcrypt"

	"github.com/secondgate/secondgate/mfa"
)

// signedInAs returns the cookie of somebody whom a source has made known, and their
// session.
func (g *gateway) signedInAs(source, subject string) (*http.Cookie, mfa.SessionID) {
	g.t.Helper()
	ctx, gen, now := context.Background(), g.generation(), time.Now()
	store := gen.pooled.store.store
	id := mfa.UserID("id-" + source + "-" + subject)
	if _, err := store.User(ctx, id); err != nil {
		err := store.CreateUser(ctx, &mfa.User{
			ID: id, Handle: []byte(id), Source: source, Subject: subject, Name: subject, Created: now, FirstSignIn: now, EverEnrolled: true,
			Credentials: []mfa.Credential{
				{ID: "app", Kind: mfa.TOTP, Name: "Phone", Created: now}, {ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Created: now, Left: 10},
			},
		})
		if err != nil {
			g.t.Fatal(err)
		}
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	req, err := gen.guard.Parse(httptest.NewRequest(http.MethodGet, "http://"+g.host+"/", nil))
	if err != nil {
		g.t.Fatal(err)
	}
	s := &mfa.Session{
		ID: mfa.SessionID(base64.RawURLEncoding.EncodeToString(raw)), User: id, Scope: req.Place.Scope, Complete: true,
		Created: now, LastSeen: now, Expires: now.Add(time.Hour), First: mfa.Proof{Kind: mfa.Password, At: now},
		Proofs: []mfa.Proof{{Kind: mfa.TOTP, Credential: "app", At: now}},
	}
	if err := store.CreateSession(ctx, s); err != nil {
		g.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := gen.guard.SetSession(w, req, s); err != nil {
		g.t.Fatal(err)
	}
	for _, c := range w.Result().Cookies() {
		if c.Value != "" && c.MaxAge >= 0 {
			return &http.Cookie{Name: c.Name, Value: c.Value}, s.ID
		}
	}
	g.t.Fatal("no cookie was set")
	return nil, ""
}

// lives reports whether the store has the session.
func (g *gateway) lives(id mfa.SessionID) bool {
	g.t.Helper()
	_, err := g.generation().pooled.store.store.Session(context.Background(), id)
	if err != nil && !errors.Is(err, mfa.ErrNotFound) {
		g.t.Fatal(err)
	}
	return err == nil
}

// basic is a line of basic_auth, and the header that it accepts.
func basic(t testing.TB, name string) (line, header string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(name+"'s own"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return name + " " + string(hash), "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+name+"'s own"))
}

const onlyProxied = "identity proxied"

// script asks as a program does.
func (g *gateway) script(path string, header ...string) (int, string) {
	g.t.Helper()
	resp, body := g.get(path, nil, append([]string{"Accept", "application/json", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, header...)...)
	return resp.StatusCode, body
}

func TestEstablished_AC183_BasicAuth(t *testing.T) {
	app, g := newApp(t), newGateway(t)
	aliceLine, alice := basic(t, "alice")
	bobLine, bob := basic(t, "bob")
	g.mustLoad(g.text(onlyProxied, "basic_auth {\n"+aliceLine+"\n"+bobLine+"\n}\nmfa\nreverse_proxy "+app.Listener.Addr().String()))
	cookie, id := g.signedInAs("proxied", "alice")

	resp, _ := g.get("/", cookie, "Authorization", alice, "Remote-User", "mallory")
	if resp.StatusCode != http.StatusOK || app.seen().Header.Get("Remote-User") != "alice" {
		t.Fatalf("alice under her own name: %d, the app saw %q", resp.StatusCode, app.seen().Header.Get("Remote-User"))
	}
	hits := app.hits.Load()
	if resp, _ := g.get("/", nil, "Authorization", alice); resp.StatusCode != http.StatusFound || !strings.HasPrefix(resp.Header.Get("Location"), "/.mfa/sign-in") {
		t.Errorf("no session: %d to %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	if resp, _ := g.get("/", cookie); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the authenticator was not passed: %d", resp.StatusCode)
	}
	if !g.lives(id) {
		t.Fatal("alice's session has ended without a reason")
	}
	// B26: bob sits down at alice's browser, whose session is still there.
	if resp, _ := g.get("/", cookie, "Authorization", bob); resp.StatusCode != http.StatusFound {
		t.Errorf("B26 bob goes on in alice's session: %d", resp.StatusCode)
	}
	if g.lives(id) {
		t.Error("B26 alice's session goes on under bob's name")
	}
	if resp, _ := g.get("/", cookie, "Authorization", alice); resp.StatusCode != http.StatusFound {
		t.Errorf("B26 the session came back: %d", resp.StatusCode)
	}
	if app.hits.Load() != hits {
		t.Error("the app was reached")
	}
}

// AC-183: nobody was established, and nothing else signs in. A sign-in page has nothing to
// offer, and sending people there is a loop.
func TestEstablished_AC183_Nobody(t *testing.T) {
	app, g := newApp(t), newGateway(t)
	line, alice := basic(t, "alice")
	proxy := "reverse_proxy " + app.Listener.Addr().String()
	for _, c := range []struct{ what, site string }{
		{"the authenticator is missing", "mfa\n" + proxy},
		{"the authenticator comes after", "route {\nmfa\nbasic_auth {\n" + line + "\n}\n" + proxy + "\n}"},
		{"the authenticator is for another part", "basic_auth /other/* {\n" + line + "\n}\nmfa\n" + proxy},
	} {
		t.Run("AC-183 "+c.what, func(t *testing.T) {
			g.mustLoad(g.text(onlyProxied, c.site))
			cookie, id := g.signedInAs("proxied", "alice")
			resp, body := g.get("/", cookie, "Authorization", alice, "X-Auth-User", "alice", "Remote-User", "alice")
			if resp.StatusCode != http.StatusForbidden || !strings.Contains(body, "it did not say who you are") || resp.Header.Get("Location") != "" {
				t.Errorf("a person gets %d: %s", resp.StatusCode, body)
			}
			status, body := g.script("/", "Authorization", alice)
			if status != http.StatusForbidden || !strings.Contains(body, `"not_established"`) {
				t.Errorf("a program gets %d: %s", status, body)
			}
			if app.hits.Load() != 0 {
				t.Error("the app was reached")
			}
			if !g.lives(id) {
				t.Error("the session has ended, though nobody else was there")
			}
		})
	}
}

// testSays is an authenticator for tests: it says of the request what the query says.
type testSays struct{}

func init() {
	caddy.RegisterModule(testSays{})
	caddy.RegisterModule(testSaysNo{})
}

func (testSays) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.authentication.providers.test_says", New: func() caddy.Module { return new(testSays) }}
}

func (testSays) Authenticate(_ http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	q := r.URL.Query()
	return caddyauth.User{ID: q.Get("id"), Metadata: map[string]string{"email": q.Get("email"), "groups": q.Get("groups")}}, q.Get("in") == "1", nil
}

// testSaysNo knows somebody, and lets nobody in.
type testSaysNo struct{}

func (testSaysNo) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.authentication.providers.test_says_no", New: func() caddy.Module { return new(testSaysNo) }}
}

func (testSaysNo) Authenticate(http.ResponseWriter, *http.Request) (caddyauth.User, bool, error) {
	return caddyauth.User{ID: "alice"}, false, nil
}

var _ caddyauth.Authenticator = testSays{}

// behind loads the configuration with these authenticators before mfa, as JSON.
func (g *gateway) behind(text, providers string) {
	g.t.Helper()
	adapted := g.adapted(text)
	// The first one is that of the routes; those for errors stand behind it.
	at := strings.Index(adapted, `{"handler":"mfa"}`)
	if at < 0 {
		g.t.Fatal("there is no place for the authenticator")
	}
	with := adapted[:at] + `{"handler":"authentication","providers":` + providers + `},` + adapted[at:]
	if err := caddy.Load([]byte(with), true); err != nil {
		g.t.Fatal(err)
	}
}

func adaptText(text string) ([]byte, error) {
	out, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return out, err
}

func (g *gateway) adapted(text string) string {
	g.t.Helper()
	out, err := adaptText(text)
	if err != nil {
		g.t.Fatalf("adapting: %v\n%s", err, text)
	}
	return string(out)
}

func TestEstablished_AC183_Authenticators(t *testing.T) {
	app, g := newApp(t), newGateway(t)
	proxy := "reverse_proxy " + app.Listener.Addr().String()
	two := `{"test_says":{},"test_says_no":{}}`
	g.behind(g.text(onlyProxied, "mfa\n"+proxy+"\nhandle_errors {\nmfa\n"+proxy+"\n}"), two)
	cookie, _ := g.signedInAs("proxied", "alice")
	for _, c := range []struct {
		what, query string
		want        int
	}{
		{"one of two lets alice in", "in=1&id=alice", http.StatusOK},
		// The error route asks for a session, too, and there the refused one is no one.
		{"none lets in, and one is known by name", "id=alice", http.StatusForbidden},
		{"let in without a name", "in=1", http.StatusForbidden},
		{"a placeholder as a name", "in=1&id=" + url.QueryEscape("{http.auth.user.id}"), http.StatusForbidden},
		{"blanks as a name", "in=1&id=%20", http.StatusForbidden},
		{"another capital", "in=1&id=Alice", http.StatusFound},
	} {
		t.Run("AC-183 "+c.what, func(t *testing.T) {
			cookie, _ = g.signedInAs("proxied", "alice")
			hits := app.hits.Load()
			resp, body := g.get("/?"+c.query, cookie)
			if resp.StatusCode != c.want {
				t.Errorf("%d, wanted %d: %s", resp.StatusCode, c.want, body)
			}
			if reached := app.hits.Load() != hits; reached != (c.want == http.StatusOK) {
				t.Errorf("the app was reached: %v", reached)
			}
		})
	}
}

// The gate itself sets {http.auth.user.id}, to whoever's session it is. The next mfa of the
// same request would take that for another gateway's word, and a session of a local user
// for one under another identity (B26).
func TestEstablished_OurOwnPlaceholderIsNobodys(t *testing.T) {
	app, g := newApp(t), newGateway(t)
	proxy := "reverse_proxy " + app.Listener.Addr().String()
	g.mustLoad(g.text("identity local\nidentity proxied", "mfa\nmfa /again/* {\nfresh 1h\n}\n"+proxy))
	cookie, id := g.signedInAs("local", "alice")
	for _, path := range []string{"/", "/again/", "/"} {
		if resp, _ := g.get(path, cookie); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d to %s", path, resp.StatusCode, resp.Header.Get("Location"))
		}
		if !g.lives(id) {
			t.Fatalf("%s: the session has ended", path)
		}
	}
}

// B26: a local administrator's session under an established identity is another identity.
func TestEstablished_B26_AnotherSourcesSession(t *testing.T) {
	app, g := newApp(t), newGateway(t)
	g.behind(g.text("identity local\nidentity proxied", "mfa\nreverse_proxy "+app.Listener.Addr().String()), `{"test_says":{}}`)
	cookie, id := g.signedInAs("local", "alice")
	if resp, _ := g.get("/?in=1&id=alice", cookie); resp.StatusCode != http.StatusFound || g.lives(id) {
		t.Errorf("the same name of another source: %d, lives: %v", resp.StatusCode, g.lives(id))
	}
	// A page of ours asks as well, not only the way to the app.
	cookie, id = g.signedInAs("local", "alice")
	if resp, _ := g.get("/.mfa/account?in=1&id=bob", cookie); resp.StatusCode == http.StatusOK || g.lives(id) {
		t.Errorf("the account page: %d, lives: %v", resp.StatusCode, g.lives(id))
	}
}

func TestEstablished_AC184_Header(t *testing.T) {
	app, g := newApp(t), newGateway(t)
	proxy := "mfa\nreverse_proxy " + app.Listener.Addr().String()
	options := "identity proxied {\nheader X-Auth-User\nemail_header X-Auth-Email\n}"
	trusting := func(ranges string) string {
		return strings.Replace(g.text(options, proxy), "\tpersist_config off\n", "\tpersist_config off\n\tservers {\n\t\ttrusted_proxies static "+ranges+"\n\t\ttrusted_proxies_strict\n\t}\n", 1)
	}
	t.Run("AC-184 from a trusted proxy", func(t *testing.T) {
		g.mustLoad(trusting("127.0.0.1/32 ::1/128"))
		cookie, id := g.signedInAs("proxied", "alice")
		if resp, _ := g.get("/", cookie, "X-Auth-User", "alice"); resp.StatusCode != http.StatusOK {
			t.Errorf("alice: %d", resp.StatusCode)
		}
		if resp, _ := g.get("/", cookie); resp.StatusCode != http.StatusForbidden {
			t.Errorf("nobody: %d", resp.StatusCode)
		}
		for what, lines := range map[string]string{
			"two lines":               "X-Auth-User: alice\r\nX-Auth-User: bob\r\n",
			"two lines of one name":   "X-Auth-User: alice\r\nX-Auth-User: alice\r\n",
			"two spellings":           "x-auth-user: alice\r\nX-AUTH-USER: bob\r\n",
			"two names in one line":   "X-Auth-User: alice,bob\r\n",
			"another sign in between": "X_Auth_User: alice\r\n",
			"an empty line":           "X-Auth-User: \r\n",
		} {
			status := g.raw("GET / HTTP/1.1\r\nHost: " + g.host + "\r\nAccept: text/html\r\nConnection: close\r\nCookie: " + cookie.String() + "\r\n" + lines + "\r\n")
			if status != http.StatusForbidden {
				t.Errorf("AC-184 %s: %d", what, status)
			}
		}
		if !g.lives(id) {
			t.Error("nobody was another, and alice's session has ended")
		}
	})
	t.Run("AC-184 from anybody else", func(t *testing.T) {
		g.mustLoad(trusting("10.9.8.7/32"))
		cookie, _ := g.signedInAs("proxied", "alice")
		hits := app.hits.Load()
		if resp, _ := g.get("/", cookie, "X-Auth-User", "alice"); resp.StatusCode != http.StatusForbidden || app.hits.Load() != hits {
			t.Errorf("%d", resp.StatusCode)
		}
		// … nor may the app believe it, on a path that asks nothing.
		text := strings.Replace(trusting("10.9.8.7/32"), "mfa\nreverse_proxy", "mfa\nmfa /public/* {\nbypass\n}\nreverse_proxy", 1)
		g.mustLoad(text)
		if resp, _ := g.get("/public/", nil, "X-Auth-User", "alice", "X-Auth-Email", "a@example.test"); resp.StatusCode != http.StatusOK {
			t.Fatalf("%d", resp.StatusCode)
		}
		if h := app.seen().Header; h.Get("X-Auth-User") != "" || h.Get("X-Auth-Email") != "" {
			t.Errorf("the app sees %v", h)
		}
	})
	authenticator := newAuthenticator(t)
	auth := "forward_auth %s" + authenticator.Listener.Addr().String() + " {\nuri /check\ncopy_headers X-Auth-User X-Auth-Email\n}\n"
	for _, c := range []struct{ what, site string }{
		{"nobody stands before it", proxy},
		{"a forward_auth for another part", fmt.Sprintf(auth, "/other/* ") + proxy},
		{"a forward_auth that copies another header", strings.Replace(fmt.Sprintf(auth, ""), "X-Auth-User ", "", 1) + proxy},
		{"a forward_auth that comes after", "route {\nmfa\n" + fmt.Sprintf(auth, "") + "respond ok\n}"},
		{"a forward_auth before one of two", "handle /a/* {\n" + fmt.Sprintf(auth, "") + "}\nmfa\nrespond ok"},
		{"a forward_auth that lets another answer pass, too", strings.Replace(fmt.Sprintf(auth, ""), "copy_headers", "@gone status 404\nhandle_response @gone {\nvars x y\n}\ncopy_headers", 1) + proxy},
	} {
		t.Run("AC-184 refused: "+c.what, func(t *testing.T) {
			err := g.load(g.text(options, c.site))
			if err == nil || !strings.Contains(err.Error(), "header X-Auth-User could be sent by anybody there") {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("AC-184 behind a forward_auth", func(t *testing.T) {
		g.mustLoad(g.text(options, fmt.Sprintf(auth, "")+proxy))
		cookie, id := g.signedInAs("proxied", "alice")
		for _, c := range []struct {
			what, says string
			want       int
		}{
			{"it says alice", "alice", http.StatusOK},
			{"it says nobody, and the client says alice", "", http.StatusForbidden},
			{"it says no", "no", http.StatusUnauthorized},
			{"it says bob, and the client says alice", "bob", http.StatusFound},
		} {
			authenticator.says = c.says
			if resp, _ := g.get("/", cookie, "X-Auth-User", "alice"); resp.StatusCode != c.want {
				t.Errorf("AC-184 %s: %d, wanted %d", c.what, resp.StatusCode, c.want)
			}
		}
		if g.lives(id) {
			t.Error("B26 alice's session goes on under bob's name")
		}
	})
}

// authenticator is an auth server behind forward_auth.
type authenticator struct {
	*httptest.Server
	says string
}

func newAuthenticator(t *testing.T) *authenticator {
	a := new(authenticator)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch a.says {
		case "no":
			w.WriteHeader(http.StatusUnauthorized)
		case "":
		default:
			w.Header().Set("X-Auth-User", a.says)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

// AC-183 with mTLS: a certificate that no authority has vouched for is a name that anybody
// may write.
func TestEstablished_AC183_ClientCertificate(t *testing.T) {
	app, g := newApp(t), newGateway(t)
	g.host = "localhost:" + g.port
	ca := newAuthority(t, "ours")
	stranger := newAuthority(t, "a stranger's")
	server := ca.issue("localhost", "")
	dir := t.TempDir()
	write := func(name string, blocks ...*pem.Block) string {
		var raw []byte
		for _, b := range blocks {
			raw = append(raw, pem.EncodeToMemory(b)...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := x509.MarshalECPrivateKey(server.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	caFile := write("ca.pem", &pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
	certFile := write("server.pem", &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate[0]})
	keyFile := write("server.key", &pem.Block{Type: "EC PRIVATE KEY", Bytes: key})
	site := func(mode, pool string) string {
		text := g.text("identity proxied {\nclient_certificate subject_cn\n}", "tls "+certFile+" "+keyFile+" {\nclient_auth {\nmode "+mode+"\n"+pool+"\n}\n}\nmfa\nreverse_proxy "+app.Listener.Addr().String())
		text = strings.Replace(text, "\tpersist_config off\n", "\tpersist_config off\n\tskip_install_trust\n\tauto_https disable_redirects\n", 1)
		return strings.Replace(text, "http://localhost:"+g.port, "https://localhost:"+g.port, 1)
	}
	ask := func(cookie *http.Cookie, certs ...tls.Certificate) int {
		roots := x509.NewCertPool()
		roots.AddCert(ca.cert)
		c := &http.Client{
			Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certs}},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		defer c.CloseIdleConnections()
		r, _ := http.NewRequest(http.MethodGet, "https://"+g.host+"/", nil)
		r.Header.Set("Accept", "text/html")
		r.AddCookie(cookie)
		for range 100 {
			resp, err := c.Do(r)
			if err != nil {
				if strings.Contains(err.Error(), "tls: ") {
					return 0
				}
				time.Sleep(20 * time.Millisecond)
				continue
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			return resp.StatusCode
		}
		t.Fatal("no answer")
		return 0
	}
	pool := "trust_pool file " + caFile
	g.mustLoad(site("verify_if_given", pool))
	cookie, id := g.signedInAsHTTPS("proxied", "alice")
	if got := ask(cookie, ca.issue("alice", "alice@example.test")); got != http.StatusOK {
		t.Errorf("alice: %d", got)
	}
	if got := ask(cookie); got != http.StatusForbidden {
		t.Errorf("AC-183 no certificate: %d", got)
	}
	if !g.lives(id) {
		t.Error("alice's session has ended")
	}
	if got := ask(cookie, ca.issue("bob", "")); got != http.StatusFound || g.lives(id) {
		t.Errorf("B26 bob's certificate: %d, lives: %v", got, g.lives(id))
	}
	g.mustLoad(site("request", ""))
	cookie, _ = g.signedInAsHTTPS("proxied", "alice")
	if got := ask(cookie, stranger.issue("alice", "")); got != http.StatusForbidden {
		t.Errorf("AC-183 a certificate that nobody has verified: %d", got)
	}
}

// signedInAsHTTPS is signedInAs for a site with TLS.
func (g *gateway) signedInAsHTTPS(source, subject string) (*http.Cookie, mfa.SessionID) {
	g.t.Helper()
	_, id := g.signedInAs(source, subject)
	r := httptest.NewRequest(http.MethodGet, "https://"+g.host+"/", nil)
	gen := g.generation()
	req, err := gen.guard.Parse(r)
	if err != nil {
		g.t.Fatal(err)
	}
	s, err := gen.pooled.store.store.Session(context.Background(), id)
	if err != nil {
		g.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := gen.guard.SetSession(w, req, s); err != nil {
		g.t.Fatal(err)
	}
	for _, c := range w.Result().Cookies() {
		if c.Value != "" && c.MaxAge >= 0 {
			return &http.Cookie{Name: c.Name, Value: c.Value}, id
		}
	}
	g.t.Fatal("no cookie was set")
	return nil, ""
}

// authority signs certificates.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true,
	}
	a.cert, a.key = a.make(c, nil)
	return a
}

func (a *authority) make(c *x509.Certificate, parent *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	by := a.key
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return made, key
}

func (a *authority) issue(name, email string) tls.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if email != "" {
		c.EmailAddresses = []string{email}
	}
	made, key := a.make(c, a.cert)
	return tls.Certificate{Certificate: [][]byte{made.Raw}, PrivateKey: key, Leaf: made}
}

func TestCertified(t *testing.T) {
	ca := newAuthority(t, "ours")
	cert := ca.issue("alice", "alice@example.test").Leaf
	state := func(alter func(*tls.ConnectionState)) *http.Request {
		s := &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert, ca.cert}}}
		if alter != nil {
			alter(s)
		}
		return &http.Request{TLS: s}
	}
	for what, want := range map[string]string{"subject_cn": "alice", "san_email": "alice@example.test", "subject": "CN=alice", "serial": ""} {
		if got := certified(state(nil), what); got != want {
			t.Errorf("%s: %q", what, got)
		}
	}
	if got := certified(state(nil), "fingerprint"); len(got) != 64 {
		t.Errorf("fingerprint: %q", got)
	}
	for what, r := range map[string]*http.Request{
		"no TLS":           {},
		"not verified":     state(func(s *tls.ConnectionState) { s.VerifiedChains = nil }),
		"no certificate":   state(func(s *tls.ConnectionState) { s.PeerCertificates = nil }),
		"early in the day": state(func(s *tls.ConnectionState) { s.HandshakeComplete = false }),
	} {
		if got := certified(r, "subject_cn"); got != "" {
			t.Errorf("AC-183 %s: %q", what, got)
		}
	}
}

func TestProxiedIdentity_Refuses(t *testing.T) {
	for _, c := range []struct{ options, want string }{
		{"", ""},
		{"user {http.auth.user.sub}\nemail {http.auth.user.email}\ngroups {http.auth.user.groups}", ""},
		{"header Remote-User\ngroups_header Remote-Groups", ""},
		{"client_certificate fingerprint", ""},
		{"user {http.auth.candidate.id}", "user: \"{http.auth.candidate.id}\" is not what an authenticator says"},
		{"user {http.request.header.X-User}", "user: anybody can send a header"},
		{"user {http.request.uri.query.u}", "user: "},
		{"user alice", "user: \"alice\" is not"},
		{"user {http.auth.user.id}x", "user: "},
		{"email {http.request.header.X-Email}", "email: anybody can send a header"},
		{"header X-User\nemail {http.auth.user.email}", "email: is a placeholder of an authenticator"},
		{"email_header X-Email", "email_header: has a meaning only beside header"},
		{"header X-User\nuser {http.auth.user.id}", "user, header and client_certificate are three ways"},
		{"header Authorization", "header: \"Authorization\" cannot be"},
		{"header X_User", "header: \"X_User\" cannot be"},
		{"header X-User\nemail_header x-user", "email_header: \"x-user\" stands twice"},
		{"client_certificate serial", "client_certificate: \"serial\" is none of"},
		{"users {http.auth.user.id}", "identity proxied: unknown option \"users\""},
	} {
		block := "identity proxied"
		if c.options != "" {
			block += " {\n" + c.options + "\n}"
		}
		_, err := adaptText("{\nmfa {\n" + block + "\n}\n}\nlocalhost {\nmfa\n}\n")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v", c.options, err)
		}
	}
	if err := newGateway(t).load((&gateway{admin: "off", store: t.TempDir(), port: "1"}).text("identity proxied a\nidentity proxied b", "mfa")); err == nil || !strings.Contains(err.Error(), "a and b are both proxied") {
		t.Errorf("two of them: %v", err)
	}
}
