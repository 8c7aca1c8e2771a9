package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The configurations that most tests run. The child's environment fills in the
// ports, the app's address and the certificate; see gateway.environment.
const (
	localhost = `{
	mfa
	default_bind 127.0.0.1
}
http://localhost:{$PORT} {
	mfa
	mfa /vault/* {
		fresh 5m
	}
	mfa /strong/* {
		phishing_resistant
	}
	mfa /public/* {
		bypass
	}
	reverse_proxy {$APP}
}
`
	// secure serves app.example.test and wiki.example.test over TLS, on HTTP/1.1
	// and HTTP/2, with one session and one RP ID for both.
	secure = `{
	mfa {
		domain example.test
	}
	default_bind 127.0.0.1
	auto_https off
	servers {
		protocols h1 h2
	}
}
https://app.example.test:{$TLS_PORT}, https://wiki.example.test:{$TLS_PORT} {
	tls {$CERT} {$KEY}
	mfa
	mfa /vault/* {
		fresh 5m
	}
	mfa /strong/* {
		phishing_resistant
	}
	mfa /public/* {
		bypass
	}
	reverse_proxy {$APP}
}
`
)

// require skips the test, or fails it where CI=true, unless ok.
func require(t testing.TB, ok bool, what string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("CI") == "true":
		t.Fatalf("this needs %s", what)
	default:
		t.Skipf("NOT RUN: this needs %s", what)
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	closeBrowser()
	if dir := scratch.Load(); dir != nil {
		_ = os.RemoveAll(*dir)
	}
	os.Exit(code)
}

// program builds the gateway with the test clock, once for all tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := scratchDir()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "secondgate")
	return bin, build(bin)
})

// build builds the gateway with the test clock.
func build(bin string, flags ...string) error {
	args := append([]string{"build", "-tags", "testclock", "-ldflags", "-s -w", "-o", bin}, flags...)
	cmd := exec.Command("go", append(args, "../cmd/secondgate")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the gateway: %w\n%s", err, out)
	}
	return nil
}

// gateway is one child process with its own data, and the app behind it. Its
// methods are for one test at a time.
type gateway struct {
	Port    int // http://localhost:PORT
	TLSPort int // https://app.example.test:PORT
	App     *app

	bin, dir  string
	bind      string // the address that it listens at; all are this machine's
	caddyfile string
	admin     int
	env       []string // beside what environment gives

	cmd    *exec.Cmd
	exited chan struct{} // closed when the child is gone
	output *tail
	ahead  atomic.Int64 // a time.Duration; a provider of a test goes by it, too

	// behind are the gateways that this one stands for, and then it is no process itself:
	// see cluster. Whoever is away of them is not asked.
	behind []*gateway
	turn   atomic.Int64
	away   atomic.Bool
}

// one is the gateway itself, or the next one of those behind it.
func (g *gateway) one() *gateway {
	n := len(g.behind)
	if n == 0 {
		return g
	}
	at := int(g.turn.Add(1))
	for i := range n {
		if b := g.behind[(at+i)%n]; !b.away.Load() {
			return b
		}
	}
	return g.behind[at%n]
}

// start runs a gateway with this Caddyfile until the test ends. env is added to
// the child's environment.
func start(t testing.TB, caddyfile string, env ...string) *gateway {
	t.Helper()
	g := prepare(t, caddyfile, env...)
	g.launch(t)
	return g
}

// prepare makes everything that start does, without the child process.
func prepare(t testing.TB, caddyfile string, env ...string) *gateway {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: its names are too long for a Unix socket.
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{
		Port: freePort(t), TLSPort: freePort(t), admin: freePort(t),
		App: newApp(t), bin: bin, dir: dir, bind: "127.0.0.1", env: env, output: new(tail),
	}
	t.Cleanup(func() {
		g.halt(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("the end of the gateway's log:\n%s", g.output.last(8<<10))
		}
		_ = os.RemoveAll(dir)
	})
	g.configure(t, caddyfile)
	writeCertificate(t, g.file("cert.pem"), g.file("key.pem"))
	return g
}

// configure writes the Caddyfile that the next launch or reload reads.
func (g *gateway) configure(t testing.TB, caddyfile string) {
	t.Helper()
	g.caddyfile = caddyfile
	if err := os.WriteFile(g.file("Caddyfile"), []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (g *gateway) file(name string) string { return filepath.Join(g.dir, name) }

// storeDir is where the gateway keeps everything, unless the Caddyfile says
// another place.
func (g *gateway) storeDir() string { return g.file("data/caddy/secondgate/store") }

func (g *gateway) environment() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir, "TZ=UTC",
		"XDG_DATA_HOME=" + g.file("data"), "XDG_CONFIG_HOME=" + g.file("config"),
		"CADDY_ADMIN=" + g.adminAddress(),
		"PORT=" + strconv.Itoa(g.Port), "TLS_PORT=" + strconv.Itoa(g.TLSPort),
		"CERT=" + g.file("cert.pem"), "KEY=" + g.file("key.pem"),
		"APP=" + g.App.Addr, "BIND=" + g.bind,
	}
	return append(env, g.env...)
}

func (g *gateway) adminAddress() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(g.one().admin))
}

// at is where the gateway itself listens at a port of its sites.
func (g *gateway) at(port int) string { return net.JoinHostPort(g.bind, strconv.Itoa(port)) }

// base is the address of the site over plain http.
func (g *gateway) base() string { return fmt.Sprintf("http://localhost:%d", g.Port) }

// secureBase is the address of a host of example.test over TLS.
func (g *gateway) secureBase(host string) string {
	return fmt.Sprintf("https://%s.example.test:%d", host, g.TLSPort)
}

// launch starts the child and waits until it answers.
func (g *gateway) launch(t testing.TB) {
	t.Helper()
	if err := g.tryLaunch(); err != nil {
		t.Fatalf("starting the gateway: %v\n%s", err, g.output.last(8<<10))
	}
}

func (g *gateway) tryLaunch() error {
	cmd := exec.Command(g.bin, "run", "--config", g.file("Caddyfile"), "--adapter", "caddyfile")
	cmd.Dir = g.dir
	cmd.Env = append(g.environment(), "SECONDGATE_TESTCLOCK="+g.file("clock"))
	cmd.Stdout, cmd.Stderr = g.output, g.output
	// The child dies with the tests, also when those are killed.
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	g.cmd, g.exited = cmd, exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	if ahead := time.Duration(g.ahead.Load()); ahead != 0 {
		if err := g.wait(func() error { return g.setClock(ahead) }); err != nil {
			return err
		}
	}
	return g.wait(g.answers)
}

// wait tries until try is content, the child is gone, or 20 seconds are over.
func (g *gateway) wait(try func() error) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-g.exited:
			return errors.New("the gateway has ended")
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// answers reports whether the gateway serves the site.
func (g *gateway) answers() error {
	places := []string{g.adminAddress()}
	if strings.Contains(g.caddyfile, "{$PORT}") {
		places = append(places, g.at(g.Port))
	}
	if strings.Contains(g.caddyfile, "{$TLS_PORT}") {
		places = append(places, g.at(g.TLSPort))
	}
	for _, place := range places {
		c, err := net.DialTimeout("tcp", place, time.Second)
		if err != nil {
			return err
		}
		_ = c.Close()
	}
	return nil
}

// halt sends a signal and waits for the end.
func (g *gateway) halt(sig syscall.Signal) {
	if g.cmd == nil {
		return
	}
	_ = g.cmd.Process.Signal(sig)
	select {
	case <-g.exited:
	case <-time.After(15 * time.Second):
		_ = g.cmd.Process.Kill()
		<-g.exited
	}
	g.cmd = nil
}

// stop ends the gateway in order.
func (g *gateway) stop() { g.halt(syscall.SIGTERM) }

// kill ends it as a power cut does.
func (g *gateway) kill() { g.halt(syscall.SIGKILL) }

// restart ends the gateway in order and starts it again on the same data.
func (g *gateway) restart(t testing.TB) {
	t.Helper()
	g.stop()
	g.launch(t)
}

// reload gives the running gateway another Caddyfile.
func (g *gateway) reload(t testing.TB, caddyfile string) {
	t.Helper()
	g.configure(t, caddyfile)
	if r := g.run("reload", "--config", g.file("Caddyfile"), "--adapter", "caddyfile", "--force"); r.Code != 0 {
		t.Fatalf("reloading: exit status %d\n%s", r.Code, r.Stderr)
	}
}

// pid is the child's.
func (g *gateway) pid() int { return g.cmd.Process.Pid }

// log returns what the gateway has logged so far, over all its starts.
func (g *gateway) log() string { return g.output.last(0) }

// now is the gateway's time.
func (g *gateway) now() time.Time { return time.Now().Add(time.Duration(g.ahead.Load())) }

// advance moves the gateway's clock. A restart keeps it.
func (g *gateway) advance(t testing.TB, d time.Duration) {
	t.Helper()
	ahead := time.Duration(g.ahead.Add(int64(d)))
	for _, b := range g.behind {
		b.advance(t, d)
	}
	if g.cmd == nil {
		return
	}
	if err := g.setClock(ahead); err != nil {
		t.Fatalf("moving the clock: %v", err)
	}
}

func (g *gateway) setClock(ahead time.Duration) error {
	c, err := net.DialTimeout("unix", g.file("clock"), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintln(c, ahead); err != nil {
		return err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "ok\n" {
		return fmt.Errorf("the clock answered %q", answer)
	}
	return nil
}

// result is how a command ended.
type result struct {
	Stdout, Stderr string
	Code           int
}

// run runs the program with these arguments beside the gateway.
func (g *gateway) run(args ...string) result {
	g = g.one()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, g.bin, args...)
	cmd.Dir, cmd.Env = g.dir, g.environment()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	code := cmd.ProcessState.ExitCode()
	if err != nil && code == 0 {
		code = -1
	}
	return result{out.String(), errs.String(), code}
}

// mfa runs "secondgate mfa ARGS" and returns what it printed. It must succeed.
func (g *gateway) mfa(t testing.TB, args ...string) string {
	t.Helper()
	g = g.one()
	r := g.run(append([]string{"mfa", "--config", g.file("Caddyfile")}, args...)...)
	if r.Code != 0 {
		t.Fatalf("secondgate mfa %s: exit status %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// firstLink is the link for the first account, from the file that the gateway
// writes it to.
func (g *gateway) firstLink(t testing.TB) string {
	t.Helper()
	var link []byte
	if err := g.wait(func() (err error) {
		link, err = os.ReadFile(g.storeDir() + ".setup-link")
		if err == nil && !bytes.HasSuffix(link, []byte("\n")) {
			err = errors.New("the file of the set-up link is empty")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(link))
}

// invite makes an account and returns its link.
func (g *gateway) invite(t testing.TB, name string, args ...string) string {
	t.Helper()
	return findLink(t, g.mfa(t, append([]string{"users", "invite", name}, args...)...))
}

// findLink returns the link that a command printed.
func findLink(t testing.TB, text string) string {
	t.Helper()
	for _, word := range strings.Fields(text) {
		if strings.Contains(word, "/.mfa/link#") {
			return word
		}
	}
	t.Fatalf("there is no link in %q", text)
	return ""
}

// roots holds the certificate of the gateway's TLS sites.
func (g *gateway) roots(t testing.TB) *x509.CertPool {
	t.Helper()
	cert, err := os.ReadFile(g.file("cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return roots
}

// certificate is one for all gateways of this process.
var certificate = sync.OnceValues(func() (pair [2][]byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "example.test"},
		DNSNames:  []string{"example.test", "*.example.test", "*.other.test", "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return pair, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair, err
	}
	pair[0] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pair[1] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return pair, nil
})

func writeCertificate(t testing.TB, certFile, keyFile string) {
	t.Helper()
	pair, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range []string{certFile, keyFile} {
		if err := os.WriteFile(path, pair[i], 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// ports hands each test other ports, below those that the system gives to
// outgoing connections.
var ports struct {
	sync.Mutex
	next int
}

func freePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.next == 0 {
		// Two test processes on one machine should not meet.
		ports.next = 12000 + os.Getpid()%180*100
	}
	for range 2000 {
		ports.next++
		if ports.next > 32000 {
			ports.next = 12000
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(ports.next)))
		if err != nil {
			continue
		}
		_ = l.Close()
		return ports.next
	}
	t.Fatal("there is no free port")
	return 0
}

// tail keeps what was written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *tail) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// last returns the last n bytes; all of them for 0.
func (o *tail) last(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.buf.Bytes()
	if n > 0 && len(b) > n {
		b = b[len(b)-n:]
	}
	return string(b)
}
