package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/faultproxy"
	"github.com/secondgate/secondgate/internal/pgtest"
	"github.com/secondgate/secondgate/mfa"
)

// clustered is what each gateway of a cluster runs: one database, the same names, and
// addresses of their own to listen at.
const clustered = `{
	mfa {
		store postgres {env.DATABASE_URL} {
			master_key {env.MASTER_KEY}
		}
		session {
			idle 30d
			absolute 30d
		}
	}` + stormSite

// cluster is several gateways over one PostgreSQL. Each has a data directory of its own,
// and a line to the database that the test can break. They serve the same site: front is
// what a browser sees of them, and gives each of its requests to the next one of those that
// a load balancer would find well.
type cluster struct {
	t      *testing.T
	db     *pgtest.Server
	master string
	front  *gateway
	nodes  []*node
	kept   mfa.Store // what is in the database, read by no line that is broken

	closeStore func()
}

// node is one gateway of a cluster, at an address of its own on the loopback net.
type node struct {
	*gateway
	line *faultproxy.Proxy // to the database
	down atomic.Bool       // no process that could answer

	mu   sync.Mutex
	gaps []gap // when it could not hear of the others
}

// gap is a time in which a node may know less than the others.
type gap struct {
	from, to time.Time     // to: zero while it lasts
	most     time.Duration // how long signed sessions may go on in it
	after    time.Duration // how long after its end the node may still not know
}

// startCluster starts so many gateways over a new database until the test ends.
func startCluster(t *testing.T, n int, caddyfile string, env ...string) *cluster {
	t.Helper()
	c := prepareCluster(t, n, caddyfile, env...)
	c.start()
	return c
}

// start starts every gateway.
func (c *cluster) start() {
	c.t.Helper()
	for _, node := range c.nodes {
		node.launch(c.t)
		node.ready(c.t)
	}
	c.kept = c.openStore()
}

// ready waits until every gateway works.
func (c *cluster) ready() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.ready(c.t)
	}
}

// prepareCluster makes everything that startCluster does, without the gateways' processes.
func prepareCluster(t *testing.T, n int, caddyfile string, env ...string) *cluster {
	t.Helper()
	return prepareOn(t, pgtest.Start(t), n, caddyfile, env...)
}

// prepareOn is prepareCluster on that server.
func prepareOn(t *testing.T, db *pgtest.Server, n int, caddyfile string, env ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, db: db}
	c.exec("postgres", "CREATE DATABASE gate")
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	c.master = base64.RawURLEncoding.EncodeToString(key)
	c.front = prepare(t, caddyfile)
	for range n {
		c.add(caddyfile, env...)
	}
	return c
}

// add adds one more gateway, which is not started yet.
func (c *cluster) add(caddyfile string, env ...string) *node {
	c.t.Helper()
	n := &node{line: faultproxy.Start(c.t, net.JoinHostPort("127.0.0.1", strconv.Itoa(c.db.Port)))}
	n.gateway = prepare(c.t, caddyfile, append([]string{
		"DATABASE_URL=postgres://postgres@" + n.line.Addr + "/gate?sslmode=disable",
		"MASTER_KEY=" + c.master,
	}, env...)...)
	n.bind = fmt.Sprintf("127.0.0.%d", 2+len(c.nodes))
	n.Port, n.TLSPort, n.App = c.front.Port, c.front.TLSPort, c.front.App
	c.nodes = append(c.nodes, n)
	c.front.behind = append(c.front.behind, n.gateway)
	return n
}

// ready waits until the node works on its store: the ports are there before.
func (n *node) ready(t testing.TB) {
	t.Helper()
	if err := n.wait(func() error {
		if err := n.healthy(); err != nil {
			return err
		}
		// The admin endpoint knows the gate a moment later.
		admin, err := adminClient.Post("http://"+n.adminAddress()+"/mfa/users/list", "application/json", strings.NewReader("{}"))
		if err != nil {
			return err
		}
		defer admin.Body.Close()
		if admin.StatusCode != http.StatusOK {
			return fmt.Errorf("the admin endpoint says %s", admin.Status)
		}
		return nil
	}); err != nil {
		t.Fatalf("%v\n%s", err, n.output.last(4<<10))
	}
}

// healthy asks the health check, as a load balancer does.
func (n *node) healthy() error {
	c := n.plain()
	defer c.CloseIdleConnections()
	res, err := c.Get(n.base() + "/.mfa/health")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the health check says %s", res.Status)
	}
	return nil
}

// client is a browser that asks this node alone.
func (n *node) client(t testing.TB) *client {
	t.Helper()
	c := n.gateway.client(t)
	c.Header.Set("X-Forwarded-For", farAway())
	return c
}

// farAway is an address in a network that nobody else has, for a browser behind a proxy.
func farAway() string {
	n := networks.Add(1)
	return fmt.Sprintf("10.%d.%d.1", 100+n/250, 1+n%250)
}

// gap notes that the node may know less from now on, and returns who notes the end of it.
func (n *node) gap(most, after time.Duration) (end func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := len(n.gaps)
	n.gaps = append(n.gaps, gap{from: time.Now(), most: most, after: after})
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.gaps[i].to = time.Now()
	}
}

const (
	otherNode = 2 * time.Second  // what another node has done is known by then
	storeDown = 60 * time.Second // signed sessions go on for so long without the store
	feedCut   = 10 * time.Second // a node that did not hear looks again after so long
)

// knows returns when the node must know at the latest of what another one said then.
func (n *node) knows(said time.Time) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	latest := said.Add(otherNode)
	for _, g := range n.gaps {
		if latest.Before(g.from) || !g.to.IsZero() && said.After(g.to.Add(g.after)) {
			continue
		}
		until := g.from.Add(g.most)
		if !g.to.IsZero() && g.to.Add(g.after).Before(until) {
			until = g.to.Add(g.after)
		}
		if until.After(latest) {
			latest = until
		}
	}
	return latest
}

// pause and resume are SIGSTOP and SIGCONT: a machine that hangs, or is moved.
func (n *node) pause(t testing.TB) {
	t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

func (n *node) resume(t testing.TB) {
	t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}
