package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// front is a proxy, configured as its document says, and alice, who is signed in and may
// see the app that it serves.
type front struct {
	target
	at    string // the origin that it serves
	shows bool   // the app sees the cookie of the gateway: the proxy cannot take it out
	// trailers says that the proxy hands the app what stands behind a body.
	trailers bool
}

// meet returns the front at that address, which is the browser's for requests to it.
func (c *client) meet(a *account, at string) *front {
	host := strings.TrimPrefix(at, "https://")
	bare, port, _ := strings.Cut(host, ":")
	if port != "443" && dialPort(bare, "443") == port {
		host, at = bare, "https://"+bare
	}
	f := &front{
		target: target{gateway: c.g, wire: wire{addr: "127.0.0.1:" + port, host: host, name: bare}, browser: c, alice: a},
		at:     at,
	}
	f.session = c.only(f.cookieName())
	return f
}

// frontPorts are where the proxies listen that are to be met at the usual port: a protected
// host has no other.
var frontPorts struct {
	sync.Mutex
	of map[string]int // by host
}

// frontPort is the port of that proxy, the same for this process.
func frontPort(t testing.TB, name string) int {
	t.Helper()
	frontPorts.Lock()
	defer frontPorts.Unlock()
	if frontPorts.of == nil {
		frontPorts.of = make(map[string]int)
	}
	host := name + ".example.test"
	if frontPorts.of[host] == 0 {
		frontPorts.of[host] = freePort(t)
	}
	return frontPorts.of[host]
}

// frontRules tell the browser where those are.
func frontRules(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	for _, name := range []string{"nginx", "haproxy", "caddy"} {
		fmt.Fprintf(&b, "MAP %s.example.test 127.0.0.1:%d, ", name, frontPort(t, name))
	}
	return b.String()
}

// dialPort is the port that stands for that address.
func dialPort(host, port string) string {
	frontPorts.Lock()
	defer frontPorts.Unlock()
	if at := frontPorts.of[host]; port == "443" && at != 0 {
		return strconv.Itoa(at)
	}
	return port
}

// systemProgram finds a server that Debian keeps out of the path of who is not root.
func systemProgram(t testing.TB, name, what string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name
		_, err = os.Stat(path)
	}
	require(t, err == nil, what)
	return path
}

// startHAProxy runs HAProxy with the configuration and the action of its document.
func startHAProxy(t testing.TB, g *gateway, ask int) string {
	t.Helper()
	haproxy := systemProgram(t, "haproxy", "HAProxy (Debian: apt-get install haproxy)")
	action, err := filepath.Abs(filepath.Join("..", "docs", "proxies", "haproxy.lua"))
	if err != nil {
		t.Fatal(err)
	}
	dir, port := t.TempDir(), frontPort(t, "haproxy")
	pem := filepath.Join(dir, "both.pem")
	if err := os.WriteFile(pem, []byte(readFile(t, g.file("cert.pem"))+readFile(t, g.file("key.pem"))), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := writeConf(t, filepath.Join(dir, "haproxy.cfg"), ofDocument(t, "haproxy.md", "haproxy"),
		"/etc/haproxy/haproxy.lua", action, "127.0.0.1:9091", fmt.Sprintf("127.0.0.1:%d", ask), "bind :443 ", fmt.Sprintf("bind 127.0.0.1:%d ", port),
		"/etc/ssl/app.example.com.pem", pem, "127.0.0.1:3000", g.App.Addr)
	return startProxy(t, exec.Command(haproxy, "-db", "-f", conf), "", "haproxy", port)
}

// startCaddy runs a second Caddy with the configuration of its document. It is our own
// binary, of which nothing but Caddy is used.
func startCaddy(t testing.TB, g *gateway, ask int) string {
	t.Helper()
	dir, port := t.TempDir(), frontPort(t, "caddy")
	head := fmt.Sprintf("{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n\tservers {\n\t\tprotocols h1 h2\n\t}\n}\nhttps://caddy.example.test:%d {\n\ttls %s %s\n", port, g.file("cert.pem"), g.file("key.pem"))
	conf := writeConf(t, filepath.Join(dir, "Caddyfile"), ofDocumentAfter(t, "caddy.md", "## The other Caddy", "caddyfile"),
		"app.example.com {\n", head, "10.0.0.2:9091", fmt.Sprintf("127.0.0.1:%d", ask), "auth.example.com", "auth.example.test", "10.0.0.3:3000", g.App.Addr)
	cmd := exec.Command(g.bin, "run", "--config", conf, "--adapter", "caddyfile")
	cmd.Env = []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	cmd.SysProcAttr = childAttributes()
	return startProxy(t, cmd, "", "caddy", port)
}

// startApache runs Apache in front of that gateway, with the configuration of its
// document.
func startApache(t testing.TB, g *gateway, port int) string {
	t.Helper()
	apache := systemProgram(t, "apache2", "Apache (Debian: apt-get install apache2)")
	dir := t.TempDir()
	var b strings.Builder
	fmt.Fprintf(&b, "ServerRoot %s\nDefaultRuntimeDir %s\nPidFile %s/pid\nErrorLog %s/error.log\nMutex pthread\nServerName localhost\nListen 127.0.0.1:%d\n", dir, dir, dir, dir, port)
	if os.Getuid() == 0 { // it refuses to be root, and its children read no files
		b.WriteString("User nobody\nGroup nogroup\n")
	}
	for _, module := range []string{"mpm_event", "authz_core", "ssl", "proxy", "proxy_http", "headers", "http2"} {
		fmt.Fprintf(&b, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
	}
	conf := writeConf(t, filepath.Join(dir, "apache.conf"), b.String()+ofDocument(t, "apache.md", "apache"),
		"<VirtualHost *:443>", fmt.Sprintf("<VirtualHost 127.0.0.1:%d>", port), "ServerName app.example.com", "ServerName apache.example.test",
		"/etc/ssl/app.example.com.pem", g.file("cert.pem"), "/etc/ssl/app.example.com.key", g.file("key.pem"), "127.0.0.1:8080", "127.0.0.1:"+strconv.Itoa(g.Port))
	return startProxy(t, exec.Command(apache, "-f", conf, "-DFOREGROUND"), filepath.Join(dir, "error.log"), "apache", port)
}

// behindApache is the gateway of Apache's document, with alice, who knows it by the address
// that Apache has.
func behindApache(t testing.TB) *front {
	t.Helper()
	port := freePort(t)
	g := start(t, strings.NewReplacer("app.example.com:8080", "apache.example.test:{$PORT}", "127.0.0.1:3000", "{$APP}").Replace(ofDocument(t, "apache.md", "caddyfile")))
	at := startApache(t, g, port)
	c := g.newClient(t, at, false)
	return c.meet(c.signUp("alice"), at)
}

// ofDocumentAfter is ofDocument for what stands below a heading.
func ofDocumentAfter(t testing.TB, page, heading, language string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readFile(t, filepath.Join("..", "docs", "proxies", page)), "\n"+heading+"\n")
	_, block, ok2 := strings.Cut(rest, "```"+language+"\n")
	block, _, ok3 := strings.Cut(block, "\n```\n")
	if !ok || !ok2 || !ok3 {
		t.Fatalf("%s has no block of %s below %q", page, language, heading)
	}
	return block + "\n"
}

// writeConf makes a configuration of a document's text, in which each of the words must stand
// that are replaced.
func writeConf(t testing.TB, file, text string, words ...string) string {
	t.Helper()
	for i := 0; i < len(words); i += 2 {
		if !strings.Contains(text, words[i]) {
			t.Fatalf("%q is not in the document:\n%s", words[i], text)
		}
	}
	if err := os.WriteFile(file, []byte(strings.NewReplacer(words...).Replace(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// cookieName names the cookie of a session at the proxy.
func (f *front) cookieName() string {
	if strings.Contains(f.caddyfile, "domain example.test") {
		return "__Secure-mfa"
	}
	_, port, _ := strings.Cut(f.host, ":")
	return "__Host-mfa-" + port
}
