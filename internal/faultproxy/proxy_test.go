package faultproxy_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/internal/faultproxy"
	"github.com/secondgate/secondgate/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// echo is a server that answers each line with itself, and counts lines.
type echo struct {
	addr  string
	lines atomic.Int64
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	e := &echo{addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					e.lines.Add(1)
					if _, err := io.WriteString(c, line); err != nil {
						return
					}
				}
			}()
		}
	}()
	return e
}

// caller is a client of the proxy.
type caller struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func call(t *testing.T, p *faultproxy.Proxy) *caller {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &caller{t, c, bufio.NewReader(c)}
}

// ask sends a line and waits so long for the answer.
func (c *caller) ask(line string, within time.Duration) error {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return err
	}
	return c.hear(line, within)
}

func (c *caller) hear(line string, within time.Duration) error {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(within))
	got, err := c.r.ReadString('\n')
	if err == nil && got != line+"\n" {
		c.t.Errorf("%q came back as %q", line, got)
	}
	return err
}

const long = 10 * time.Second // and never reached where all is well

func TestProxy_passesAndCounts(t *testing.T) {
	p := faultproxy.Start(t, newEcho(t).addr)
	a, b := call(t, p), call(t, p)
	for _, c := range []*caller{a, b, a} {
		if err := c.ask("hello", long); err != nil {
			t.Fatal(err)
		}
	}
	if p.Connections() != 2 || p.Total() != 2 {
		t.Errorf("%d of %d connections, want 2 of 2", p.Connections(), p.Total())
	}
	_ = a.Close()
	for end := time.Now().Add(long); p.Connections() != 1 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if p.Connections() != 1 || p.Total() != 2 {
		t.Errorf("%d of %d connections, want 1 of 2", p.Connections(), p.Total())
	}
}

func TestProxy_Cut_resets(t *testing.T) {
	p := faultproxy.Start(t, newEcho(t).addr)
	c := call(t, p)
	if err := c.ask("hello", long); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if err := c.hear("", long); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the line that was cut: %v, want a reset", err)
	}
	if err := call(t, p).ask("hello", long); err != nil {
		t.Errorf("a new line: %v", err)
	}
}

func TestProxy_Refuse(t *testing.T) {
	p := faultproxy.Start(t, newEcho(t).addr)
	old := call(t, p)
	if err := old.ask("hello", long); err != nil {
		t.Fatal(err)
	}
	p.Refuse()
	if err := old.ask("hello", long); err == nil || os.IsTimeout(err) {
		t.Errorf("the old line: %v, want a reset", err)
	}
	// A new one may be reset while it is being made.
	if c, err := net.Dial("tcp", p.Addr); err == nil {
		if _, err = c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("a new line: %v, want a reset", err)
		}
		_ = c.Close()
	}
	p.Heal()
	if err := call(t, p).ask("hello", long); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if p.Total() != 2 {
		t.Errorf("%d connections were counted, and one of three was refused", p.Total())
	}
}

func TestProxy_Silence_eachDirection(t *testing.T) {
	for _, c := range []struct {
		d       faultproxy.Direction
		arrives bool
	}{{faultproxy.ToServer, false}, {faultproxy.ToClient, true}, {faultproxy.Both, false}} {
		e := newEcho(t)
		p := faultproxy.Start(t, e.addr)
		old := call(t, p)
		if err := old.ask("before", long); err != nil {
			t.Fatal(err)
		}
		p.Silence(c.d)
		if err := old.ask("meanwhile", 200*time.Millisecond); !os.IsTimeout(err) {
			t.Errorf("%d: the line says %v, want nothing at all", c.d, err)
		}
		if err := call(t, p).ask("new", 200*time.Millisecond); !os.IsTimeout(err) {
			t.Errorf("%d: a new line says %v, want nothing at all", c.d, err)
		}
		if got := e.lines.Load() > 1; got != c.arrives {
			t.Errorf("%d: arrived: %v, want %v", c.d, got, c.arrives)
		}
		p.Heal()
		if err := old.hear("meanwhile", long); err != nil {
			t.Errorf("%d: what was held back: %v", c.d, err)
		}
	}
}

func TestProxy_DelayAndDrip(t *testing.T) {
	p := faultproxy.Start(t, newEcho(t).addr)
	c := call(t, p)
	took := func() time.Duration {
		begun := time.Now()
		if err := c.ask("0123456789", long); err != nil {
			t.Fatal(err)
		}
		return time.Since(begun)
	}
	p.Delay(faultproxy.ToServer, 150*time.Millisecond)
	if d := took(); d < 150*time.Millisecond {
		t.Errorf("delayed by 150 ms it took %s", d)
	}
	p.Heal()
	p.Drip(faultproxy.ToClient, 20*time.Millisecond)
	if d := took(); d < 200*time.Millisecond {
		t.Errorf("ten drops of 20 ms took %s", d)
	}
}

func TestProxy_LoseAnswer_LoseRequest(t *testing.T) {
	for _, answer := range []bool{true, false} {
		e := newEcho(t)
		p := faultproxy.Start(t, e.addr)
		if answer {
			p.LoseAnswer("commit")
		} else {
			p.LoseRequest("commit")
		}
		c := call(t, p)
		if err := c.ask("begin", long); err != nil {
			t.Fatal(err)
		}
		// In two pieces, as TCP likes to have it.
		if _, err := io.WriteString(c, "COM"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		if err := c.ask("MIT", long); err == nil || os.IsTimeout(err) {
			t.Errorf("%v: the commit: %v, want a reset", answer, err)
		}
		if got := e.lines.Load() == 2; got != answer {
			t.Errorf("the commit arrived: %v, want %v", got, answer)
		}
		if err := call(t, p).ask("commit", long); err != nil || p.Lost() != 1 {
			t.Errorf("%v: the one after it: %v; %d lost, want 1", answer, err, p.Lost())
		}
	}
}

// With a real server: the commit has happened, or has not, and the client is told the same.
func TestProxy_LoseAnswer_ofPostgreSQL(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	direct := pgtest.Database(t)
	config, err := pgx.ParseConfig(direct)
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	p := faultproxy.Start(t, addr)
	url := strings.Replace(direct, addr, p.Addr, 1)
	open := func(url string) *pgx.Conn {
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(ctx) })
		return c
	}
	ground := open(direct)
	if _, err := ground.Exec(ctx, "CREATE TABLE x (n int)"); err != nil {
		t.Fatal(err)
	}
	kept := []int{1, 0, 1}
	for i, lose := range []func(string){p.LoseAnswer, p.LoseRequest, func(string) { p.LoseReply("COMMIT") }} {
		tx, err := open(url).Begin(ctx)
		if err == nil {
			_, err = tx.Exec(ctx, "INSERT INTO x VALUES ($1)", i)
		}
		if err != nil {
			t.Fatal(err)
		}
		lose("commit")
		if err := tx.Commit(ctx); err == nil {
			t.Error("the commit is said to have gone well")
		}
		var n int
		if err := ground.QueryRow(ctx, "SELECT count(*) FROM x WHERE n = $1", i).Scan(&n); err != nil || n != kept[i] {
			t.Errorf("%d rows, %v; want %d", n, err, kept[i])
		}
	}
}
