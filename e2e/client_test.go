package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// password is every test user's.
const password = "correct horse battery staple"

// client is a browser without scripts: it keeps cookies and sends our forms. It
// follows redirects, and remembers them.
type client struct {
	t    testing.TB
	g    *gateway
	http *http.Client

	Base   string      // what a path is joined to
	Header http.Header // sent with every request
}

// client returns one for the site over plain http.
func (g *gateway) client(t testing.TB) *client {
	return g.newClient(t, g.base(), false)
}

// secureClient returns one for a host of example.test over TLS, on HTTP/2 or on
// HTTP/1.1. Its jar is its own.
func (g *gateway) secureClient(t testing.TB, host string, http2 bool) *client {
	return g.newClient(t, g.secureBase(host), http2)
}

func (g *gateway) newClient(t testing.TB, base string, http2 bool) *client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{
		// All names of the tests are this machine.
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(g.one().bind, dialPort(host, port)))
		},
		DisableKeepAlives:  len(g.behind) > 0, // each request has a turn
		TLSClientConfig:    &tls.Config{RootCAs: g.roots(t)},
		Protocols:          protocols,
		DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{
		t: t, g: g, Base: base,
		Header: http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}, "Accept": {"text/html"}},
		http: &http.Client{
			Transport: transport, Jar: jar, Timeout: 20 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// answered is what came back, read to its end.
type answered struct {
	Status int
	Header http.Header
	Proto  string
	URL    *url.URL // of the last request
	Via    []string // where redirects led, in order
	Body   string
}

// Text is the page's text, without marks and doubled blanks.
func (p *answered) Text() string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(p.Body, " "))), " ")
}

// Has reports whether the page's text contains s.
func (p *answered) Has(s string) bool { return strings.Contains(p.Text(), s) }

// Title is the heading of the page.
func (p *answered) Title() string {
	if m := heading.FindStringSubmatch(p.Body); m != nil {
		return html.UnescapeString(tags.ReplaceAllString(m[1], ""))
	}
	return ""
}

// FromApp reports whether the app answered rather than the gateway.
func (p *answered) FromApp() bool { return p.Header.Get("X-App") != "" }

var (
	tags    = regexp.MustCompile(`(?s)<[^>]*>`)
	heading = regexp.MustCompile(`(?s)<h1[^>]*>(.*?)</h1>`)
	forms   = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	inputs  = regexp.MustCompile(`<input\b[^>]*>`)
	attrs   = regexp.MustCompile(`\b([a-z-]+)="([^"]*)"`)
	secrets = regexp.MustCompile(`id="secret">([^<]+)<`)
	codes   = regexp.MustCompile(`data-code>([^<]+)<`)
	tokens  = regexp.MustCompile(`data-csrf="([^"]+)"`)
)

// form is one form of a page, with the values that stand in it.
type form struct {
	Action string
	Fields url.Values
}

// Forms returns the page's forms.
func (p *answered) Forms() []form {
	var list []form
	for _, m := range forms.FindAllStringSubmatch(p.Body, -1) {
		f := form{Action: attributes(m[1])["action"], Fields: url.Values{}}
		for _, in := range inputs.FindAllString(m[2], -1) {
			if a := attributes(in); a["name"] != "" && a["type"] != "checkbox" {
				f.Fields.Set(a["name"], a["value"])
			}
		}
		list = append(list, f)
	}
	return list
}

func attributes(tag string) map[string]string {
	found := map[string]string{}
	for _, a := range attrs.FindAllStringSubmatch(tag, -1) {
		found[a[1]] = html.UnescapeString(a[2])
	}
	return found
}

// CSRF is the token of the page's forms or script.
func (p *answered) CSRF() string {
	if m := tokens.FindStringSubmatch(p.Body); m != nil {
		return m[1]
	}
	for _, f := range p.Forms() {
		if token := f.Fields.Get("csrf"); token != "" {
			return token
		}
	}
	return ""
}

// resolve makes an address of a path.
func (c *client) resolve(address string) string {
	if strings.HasPrefix(address, "/") {
		return c.Base + address
	}
	return address
}

// request makes a request with the client's headers.
func (c *client) request(method, address string, body io.Reader) *http.Request {
	c.t.Helper()
	r, err := http.NewRequest(method, c.resolve(address), body)
	if err != nil {
		c.t.Fatal(err)
	}
	for name, values := range c.Header {
		r.Header[name] = slices.Clone(values)
	}
	return r
}

// once sends one request and follows nothing.
func (c *client) once(r *http.Request) *answered {
	c.t.Helper()
	p, err := c.try(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// try is once for requests that may fail: the gateway may be killed meanwhile.
func (c *client) try(r *http.Request) (*answered, error) {
	res, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	checkDocument(c.t, r, res, body)
	return &answered{Status: res.StatusCode, Header: res.Header, Proto: res.Proto, URL: r.URL, Body: string(body)}, nil
}

// follow sends a request and goes where redirects lead.
func (c *client) follow(r *http.Request) *answered {
	c.t.Helper()
	var via []string
	for range 12 {
		p := c.once(r)
		p.Via = via
		location := p.Header.Get("Location")
		if p.Status < 300 || p.Status > 399 || location == "" {
			return p
		}
		next, err := r.URL.Parse(location)
		if err != nil {
			c.t.Fatalf("redirect to %q: %v", location, err)
		}
		via = append(via, next.RequestURI())
		r = c.request(http.MethodGet, next.String(), nil)
	}
	c.t.Fatalf("too many redirects: %s", strings.Join(via, " → "))
	return nil
}

// get loads a page as navigation does.
func (c *client) get(address string) *answered {
	c.t.Helper()
	r := c.request(http.MethodGet, address, nil)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	return c.follow(r)
}

// formRequest is the request that sends a form of ours.
func (c *client) formRequest(action string, fields url.Values) *http.Request {
	c.t.Helper()
	r := c.request(http.MethodPost, action, strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", strings.TrimSuffix(c.Base, "/"))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	return r
}

// submit sends the page's form whose action contains that word, with these
// fields (name, value, …) set.
func (c *client) submit(p *answered, action string, pairs ...string) *answered {
	c.t.Helper()
	r := c.fill(p, action, pairs...)
	return c.follow(r)
}

// fill is submit without the sending.
func (c *client) fill(p *answered, action string, pairs ...string) *http.Request {
	c.t.Helper()
	for _, f := range p.Forms() {
		if !strings.Contains(f.Action, action) {
			continue
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			f.Fields.Set(pairs[i], pairs[i+1])
		}
		return c.formRequest(f.Action, f.Fields)
	}
	c.t.Fatalf("there is no form for %q on %s (%d, %q):\n%s", action, p.URL, p.Status, p.Title(), p.Text())
	return nil
}

// cookie returns the value of a cookie that the client holds for its site.
func (c *client) cookie(name string) string {
	for _, k := range c.cookies() {
		if k.Name == name {
			return k.Value
		}
	}
	return ""
}

func (c *client) cookies() []*http.Cookie {
	u, err := url.Parse(c.Base)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.http.Jar.Cookies(u)
}

// setCookie plants a cookie, or takes it away where the value is empty.
func (c *client) setCookie(name, value string) {
	c.t.Helper()
	u, err := url.Parse(c.Base)
	if err != nil {
		c.t.Fatal(err)
	}
	k := &http.Cookie{Name: name, Value: value, Path: "/", Secure: u.Scheme == "https"}
	if value == "" {
		k.MaxAge = -1
	}
	if strings.HasPrefix(name, "__Secure-") {
		k.Domain = "example.test"
	}
	c.http.Jar.SetCookies(u, []*http.Cookie{k})
}

// hostCookie names the session cookie of a host over TLS: the port is no default
// one, and so it is part of the name.
func (g *gateway) hostCookie() string { return fmt.Sprintf("__Host-mfa-%d", g.TLSPort) }

// sessionName and halfDoneName name our cookies at the client's site.
func (c *client) sessionName() string {
	switch {
	case strings.HasPrefix(c.Base, "http:"):
		return "mfa-" + strconv.Itoa(c.g.Port)
	case strings.HasPrefix(c.Base, "https://console."), strings.HasPrefix(c.Base, "https://auth."):
		return c.g.hostCookie() // of a host that carries no app
	case strings.Contains(c.g.caddyfile, "domain example.test"):
		return "__Secure-mfa"
	}
	return c.g.hostCookie()
}

func (c *client) halfDoneName() string { return c.sessionName() + "-half" }

// another is a second browser at the same site.
func (c *client) another() *client {
	c.t.Helper()
	transport := c.http.Transport.(*http.Transport)
	return c.g.newClient(c.t, c.Base, transport.Protocols.HTTP2())
}

// account is what a test knows of one of its users.
type account struct {
	Name   string
	App    *authenticator
	Backup []string // unused so far
}

// signUp makes the first account and goes the whole way: link, password,
// authenticator app, backup codes. The client is signed in afterwards.
func (c *client) signUp(name string) *account {
	c.t.Helper()
	return c.join(c.g.firstLink(c.t), name)
}

// join goes the whole way with a link. For an invitation the name is who is
// invited.
func (c *client) join(link, name string) *account {
	c.t.Helper()
	c.openLink(link, name)
	a := &account{Name: name}
	a.App, a.Backup = c.setUpTOTP(), c.confirmCodes()
	if p := c.get("/"); !p.FromApp() {
		c.t.Fatalf("after set-up the app is not there: %d %s", p.Status, p.Text())
	}
	return a
}

// openLink opens a link and chooses a password, and for the first account the
// name. What comes next is owed by the policy.
func (c *client) openLink(link, name string) *answered {
	c.t.Helper()
	_, token, ok := strings.Cut(link, "#")
	if !ok {
		c.t.Fatalf("%q is no link", link)
	}
	p := c.submit(c.get("/.mfa/link"), "/.mfa/link", "token", token)
	fields := []string{"password", password}
	if strings.Contains(p.Body, `id="name"`) {
		fields = append(fields, "name", name)
	}
	return c.submit(p, "/.mfa/link", fields...)
}

// setUpTOTP sets up an authenticator app.
func (c *client) setUpTOTP() *authenticator {
	c.t.Helper()
	p := c.get("/.mfa/set-up/totp")
	m := secrets.FindStringSubmatch(p.Body)
	if m == nil {
		c.t.Fatalf("there is no secret on %s (%d, %q)", p.URL, p.Status, p.Title())
	}
	a := &authenticator{g: c.g, Secret: strings.ReplaceAll(m[1], " ", "")}
	if p = c.submit(p, "set-up/totp", "code", a.Code(c.t)); p.Status != http.StatusOK {
		c.t.Fatalf("the authenticator app was not accepted: %d %s", p.Status, p.Text())
	}
	return a
}

// confirmCodes takes the backup codes that are shown now.
func (c *client) confirmCodes() []string {
	c.t.Helper()
	p := c.get("/.mfa/set-up/backup-codes")
	list := p.BackupCodes()
	if len(list) != 10 {
		c.t.Fatalf("%d backup codes on %s (%d, %q)", len(list), p.URL, p.Status, p.Title())
	}
	c.submit(p, "set-up/backup-codes", "saved", "yes")
	return list
}

// BackupCodes returns the backup codes that the page shows.
func (p *answered) BackupCodes() []string {
	var list []string
	for _, m := range codes.FindAllStringSubmatch(p.Body, -1) {
		list = append(list, m[1])
	}
	return list
}

// signIn gives name and password, and returns the page that comes next.
func (c *client) signIn(name string) *answered {
	c.t.Helper()
	return c.submit(c.get("/.mfa/sign-in"), "/.mfa/sign-in", "name", name, "password", password)
}

// enter signs in and verifies with the authenticator app.
func (c *client) enter(a *account) {
	c.t.Helper()
	c.verifyTOTP(c.signIn(a.Name), a.App.Code(c.t))
	if p := c.get("/"); !p.FromApp() {
		c.t.Fatalf("after verification the app is not there: %d %s", p.Status, p.Text())
	}
}

// enterConsole signs in at the console, whose sessions are its own, and stays there.
func (c *client) enterConsole(a *account) {
	c.t.Helper()
	c.Base = c.g.secureBase("console")
	c.verifyTOTP(c.signIn(a.Name), a.App.Code(c.t))
	if p := c.get("/.mfa/account"); p.Status != http.StatusOK || p.Title() == "Sign in" {
		c.t.Fatalf("after verification the console does not know %s: %d %s", a.Name, p.Status, p.Text())
	}
}

// verifyTOTP sends a code on the verification page, whichever method that shows.
func (c *client) verifyTOTP(p *answered, code string) *answered {
	c.t.Helper()
	return c.verifyBy(p, "totp", code)
}

// verifyCode sends a backup code.
func (c *client) verifyCode(p *answered, code string) *answered {
	c.t.Helper()
	return c.verifyBy(p, "backup-code", code)
}

func (c *client) verifyBy(p *answered, method, code string) *answered {
	c.t.Helper()
	if !strings.Contains(p.Body, `action="/.mfa/verify/`+method) {
		u := *p.URL
		u.Path = "/.mfa/verify/" + method
		p = c.get(u.String())
	}
	return c.submit(p, "verify/"+method, "code", code)
}

// signOut signs out by the page.
func (c *client) signOut() *answered {
	c.t.Helper()
	return c.submit(c.get("/.mfa/sign-out"), "/.mfa/sign-out")
}

// authenticator is an authenticator app that knows the gateway's time. Tests that
// stand for a person use oathtool instead: see oathtool.
type authenticator struct {
	g      *gateway
	Secret string
	last   int64 // step that was given last
}

// Code returns a code that was not given before: the next step's where the
// present one's was, which the gateway accepts, and after that it moves the clock.
func (a *authenticator) Code(t testing.TB) string {
	t.Helper()
	step := max(a.g.now().Unix()/30, a.last+1)
	for step > a.g.now().Unix()/30+1 {
		a.g.advance(t, 30*time.Second)
	}
	a.last = step
	return a.at(t, step)
}

// CodeAt returns the code of some moment.
func (a *authenticator) CodeAt(t testing.TB, at time.Time) string {
	t.Helper()
	return a.at(t, at.Unix()/30)
}

func (a *authenticator) at(t testing.TB, step int64) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(strings.ToUpper(a.Secret), "="))
	if err != nil {
		t.Fatalf("reading the secret: %v", err)
	}
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&15:]) & 0x7fffffff
	return fmt.Sprintf("%06d", n%1_000_000)
}

// oathtool returns the code of some moment, made by a program that is not ours.
func oathtool(t testing.TB, secret string, at time.Time) string {
	t.Helper()
	path, err := exec.LookPath("oathtool")
	require(t, err == nil, "oathtool (Debian: apt-get install oathtool)")
	out, err := exec.Command(path, "--totp", "--base32", "--now", at.UTC().Format("2006-01-02 15:04:05 UTC"), strings.ReplaceAll(secret, " ", "")).Output()
	if err != nil {
		t.Fatalf("oathtool: %v", err)
	}
	return strings.TrimSpace(string(out))
}
