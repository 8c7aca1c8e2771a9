package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/secondgate/secondgate/internal/pgtest"
)

// late is when a test gives up: the machine may be busy. What has to be quick is measured.
const late = 30 * time.Second

func poolOf(t testing.TB, address string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func mustExec(t testing.TB, on execer, sql string, args ...any) {
	t.Helper()
	if _, err := on.Exec(context.Background(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// member is one node: a feed, and what it was told.
type member struct {
	*feed
	pool  *pgxpool.Pool
	mu    sync.Mutex
	users map[string]int
	all   int
	other map[string]int // policy, keys
}

func newMember(t *testing.T, address, name string) *member {
	t.Helper()
	m := &member{pool: poolOf(t, address), users: map[string]int{}, other: map[string]int{}}
	told := newTold(slog.New(slog.DiscardHandler))
	told.users.add(func(id string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if id == "" {
			m.all++
			return
		}
		m.users[id]++
	})
	told.policy.add(func(string) { m.mu.Lock(); defer m.mu.Unlock(); m.other[changePolicy]++ })
	told.keys.add(func(string) { m.mu.Lock(); defer m.mu.Unlock(); m.other[changeKeys]++ })
	var err error
	if m.feed, err = newFeed(context.Background(), m.pool, name, told, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	return m
}

func started(t *testing.T, address, name string) *member {
	t.Helper()
	m := newMember(t, address, name)
	m.start()
	return m
}

// change writes a row as a committed change of this node.
func (m *member) change(t testing.TB, kind, user string) {
	t.Helper()
	mustExec(t, m.pool, insertChange, m.node, kind, user)
	m.poke()
}

func (m *member) heard(user string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.users[user] > 0
}

func (m *member) heardOf(kind string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.other[kind]
}

func (m *member) toldAll() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all
}

// eventually waits until it is so, and returns how long that took.
func eventually(t testing.TB, what string, so func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !so() {
		if time.Since(began) > late {
			t.Fatalf("not within %v: %s", late, what)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

func TestFeed_whatOneNodeChangesTheOtherHearsOf(t *testing.T) {
	at := withTables(t).URL
	a, b := started(t, at, "a"), started(t, at, "b")
	a.change(t, changeUser, "alice")
	a.change(t, changePolicy, "")
	a.change(t, changeKeys, "")
	eventually(t, "all of it is heard", func() bool {
		return b.heard("alice") && b.heardOf(changePolicy) > 0 && b.heardOf(changeKeys) > 0
	})
	if b.toldAll() != 0 {
		t.Error("everybody, without a reason")
	}
	b.change(t, changeUser, "bob")
	eventually(t, "the other way round", func() bool { return a.heard("bob") })
	a.change(t, "of a newer version", "")
	eventually(t, "what is not understood may be anything", func() bool { return b.toldAll() > 0 })
	if a.heard("alice") || a.heardOf(changePolicy) != 0 || a.toldAll() != 0 || b.heard("bob") {
		t.Error("a node announced its own change twice")
	}
	if !a.inStep() || !b.inStep() {
		t.Error("not in step")
	}
}

// The time from a commit on one node until the listeners of another one are called.
func TestFeed_within2Seconds(t *testing.T) {
	at := withTables(t).URL
	for _, c := range []struct {
		name  string
		bells bool
		times int
	}{{"with bells", true, 50}, {"without", false, 10}} {
		t.Run(c.name, func(t *testing.T) {
			a, b := started(t, at, "a"+c.name), newMember(t, at, "b"+c.name)
			if c.bells {
				b.start()
			} else {
				withoutBells(b)
			}
			eventually(t, "it looks", b.inStep)
			var took []time.Duration
			for i := range c.times {
				user := fmt.Sprint(c.name, i)
				a.change(t, changeUser, user)
				took = append(took, eventually(t, user, func() bool { return b.heard(user) }))
				time.Sleep(time.Duration(i) * 3 * time.Millisecond) // at any moment between two looks
			}
			slices.Sort(took)
			median, most := took[len(took)/2], took[len(took)-1]
			t.Logf("median %v, longest %v of %d", median, most, len(took))
			if median > 2*time.Second {
				t.Errorf("median %v", median)
			}
		})
	}
}

// withoutBells starts a feed as on an engine without LISTEN.
func withoutBells(m *member) {
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	m.tasks.Go(func() { m.follow(ctx) })
}

// AC-025: numbers are drawn in one order and committed in another. A sign-out whose
// transaction takes its time must not be jumped over.
func TestFeed_doesNotMissWhatIsCommittedLate(t *testing.T) {
	at := withTables(t).URL
	a, b := started(t, at, "a"), started(t, at, "b")
	slow, err := a.pool.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, slow, insertChange, "a", changeUser, "slow")
	gone, err := a.pool.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, gone, insertChange, "a", changeUser, "gone")
	if err := gone.Rollback(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.change(t, changeUser, "quick")
	eventually(t, "the later number", func() bool { return b.heard("quick") })
	late := started(t, at, "c") // begins while the slow one is at it
	time.Sleep(2500 * time.Millisecond)
	if b.heard("slow") || !b.inStep() {
		t.Fatal("heard of what was not committed, or waits for it")
	}
	if err := slow.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, "the earlier number, committed later", func() bool { return b.heard("slow") && late.heard("slow") })
	t.Logf("heard %v after its commit, without a bell", took)
	if b.heard("gone") {
		t.Error("heard of what was rolled back")
	}
}

func TestReader_forgetsGapsThatCannotCome(t *testing.T) {
	at := withTables(t).URL
	m := newMember(t, at, "m")
	skip := func() { mustExec(t, m.pool, "SELECT nextval('change_numbers')") }
	mustExec(t, m.pool, insertChange, "x", changeUser, "first")
	skip()
	mustExec(t, m.pool, insertChange, "x", changeUser, "third")
	now := time.Now()
	read := func(at time.Time) []string {
		t.Helper()
		page, _, err := m.next(context.Background(), m.pool, at)
		if err != nil {
			t.Fatal(err)
		}
		var users []string
		for _, c := range page {
			users = append(users, c.user)
		}
		return users
	}
	if got := read(now); !slices.Equal(got, []string{"first", "third"}) || len(m.gaps) != 1 {
		t.Fatal(got, m.gaps)
	}
	read(now.Add(longestWrite))
	if len(m.gaps) != 1 {
		t.Fatal("forgotten too early")
	}
	// It came at the last moment: it is looked for before it is forgotten.
	mustExec(t, m.pool, "INSERT INTO changes (number, node, kind, user_id) VALUES (2, 'x', 'user', 'second')")
	if got := read(now.Add(2 * longestWrite)); !slices.Equal(got, []string{"second"}) || len(m.gaps) != 0 {
		t.Fatal(got, m.gaps)
	}
	skip()
	mustExec(t, m.pool, insertChange, "x", changeUser, "fifth")
	read(now)
	read(now.Add(longestWrite + time.Second))
	if len(m.gaps) != 0 {
		t.Error("remembered for ever", m.gaps)
	}
	if m.blind(now) {
		t.Error("blind without a reason")
	}
	mustExec(t, m.pool, "SELECT setval('change_numbers', 1000000)")
	mustExec(t, m.pool, insertChange, "x", changeUser, "far")
	if got := read(now); !slices.Equal(got, []string{"far"}) || len(m.gaps) > maxGaps || !m.blind(now) || m.blind(now.Add(longestWrite)) {
		t.Error("a sequence that jumps", got, len(m.gaps))
	}
}

// Whatever does not fit makes everybody read again: rows that were trimmed before they
// were read, a database that was restored, or taken over by a replica that is behind.
func TestFeed_tellsEverybodyWhereItCannotTell(t *testing.T) {
	for name, sql := range map[string]string{
		"trimmed":        "DELETE FROM changes WHERE number <= 3",
		"emptied":        "DELETE FROM changes",
		"set back":       "DELETE FROM changes WHERE number > 1; SELECT setval('change_numbers', 1)",
		"numbers reused": "DELETE FROM changes WHERE number > 1; SELECT setval('change_numbers', 1); INSERT INTO changes (node, kind, user_id) SELECT 'x', 'user', 'new' FROM generate_series(1, 9)",
	} {
		t.Run(name, func(t *testing.T) {
			at := withTables(t).URL
			a, b := newMember(t, at, "a"), newMember(t, at, "b")
			for i := range 3 {
				a.change(t, changeUser, fmt.Sprint(i))
			}
			if err := b.look(context.Background()); err != nil || b.toldAll() != 0 {
				t.Fatal(err, b.toldAll())
			}
			mustExec(t, a.pool, "BEGIN; "+sql+"; COMMIT")
			if err := b.look(context.Background()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "everybody", func() bool { return b.toldAll() > 0 && b.heardOf(changePolicy) > 0 && b.heardOf(changeKeys) > 0 })
			a.change(t, changeUser, "afterwards")
			eventually(t, "it goes on", func() bool { return b.look(context.Background()) == nil && b.heard("afterwards") })
		})
	}
	t.Run("away for long", func(t *testing.T) {
		at := withTables(t).URL
		b := newMember(t, at, "b")
		b.looked = time.Now().Add(-longestWrite - time.Second)
		if err := b.look(context.Background()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "everybody", func() bool { return b.toldAll() > 0 })
	})
}

// The newest of the old rows stays, so that a node that was in step finds its place.
func TestFeed_trims(t *testing.T) {
	at := withTables(t).URL
	a, b := newMember(t, at, "a"), newMember(t, at, "b")
	for i := range 5 {
		a.change(t, changeUser, fmt.Sprint(i))
	}
	mustExec(t, a.pool, "INSERT INTO changes (node, kind, user_id) SELECT 'a', 'user', 'many' FROM generate_series(1, 2500)")
	for {
		_, more, err := b.next(context.Background(), b.pool, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
	}
	mustExec(t, a.pool, "UPDATE changes SET at = at - interval '2 hours' WHERE number < 2000")
	if err := a.trimAll(context.Background(), keepChanges); err != nil {
		t.Fatal(err)
	}
	var left, least int
	if err := a.pool.QueryRow(context.Background(), "SELECT count(*), min(number) FROM changes").Scan(&left, &least); err != nil {
		t.Fatal(err)
	}
	// Rows of one statement: which of the old ones is the newest is not said.
	if left < 507 || left > 2505-1000 || least > 2000 {
		t.Errorf("%d rows are left from %d on", left, least)
	}
	if err := b.look(context.Background()); err != nil || b.toldAll() != 0 {
		t.Error("it lost its place", err)
	}
	if c := newMember(t, at, "c"); c.last.at.IsZero() || c.last.number >= 2000 {
		t.Errorf("a new node begins at %+v", c.last)
	}
}

// A cable that is pulled: nothing says so, and the node has to find out by itself.
func TestFeed_knowsThatItIsCutOff_AC187(t *testing.T) {
	at := withTables(t).URL
	p, behind := newProxy(t, at)
	a, b := started(t, at, "a"), started(t, behind, "b")
	a.change(t, changeUser, "before")
	eventually(t, "before the cut", func() bool { return b.heard("before") })
	p.set(silent)
	took := eventually(t, "it knows that it is cut off", func() bool { return !b.inStep() })
	t.Logf("out of step %v after the cut", took)
	a.change(t, changeUser, "meanwhile")
	time.Sleep(time.Second)
	if b.inStep() || b.heard("meanwhile") {
		t.Error("the proxy is not cut")
	}
	p.set(refusing)
	p.set(passing)
	took = eventually(t, "what was missed", func() bool { return b.heard("meanwhile") })
	t.Logf("heard of it %v after the line was there again", took)
	eventually(t, "in step again", b.inStep)
	if b.toldAll() != 0 {
		t.Error("everybody was read again, though nothing was lost")
	}
}

// 1000 changes over 20 cuts, of both kinds, and each of them arrives.
func TestFeed_losesNothingOverCuts(t *testing.T) {
	at := withTables(t).URL
	p, behind := newProxy(t, at)
	a, b := started(t, at, "a"), started(t, behind, "b")
	const changes, cuts = 1000, 20
	var done atomic.Bool
	var tasks sync.WaitGroup
	tasks.Go(func() {
		defer done.Store(true)
		for i := range changes {
			if i%10 == 9 { // some come late, and some not at all
				tx, err := a.pool.Begin(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				_, err = tx.Exec(context.Background(), insertChange, "a", changeUser, fmt.Sprint(i))
				if err != nil {
					t.Error(err)
				}
				if i%50 == 49 {
					mustExec(t, a.pool, "SELECT nextval('change_numbers')") // rolled back
				}
				tasks.Go(func() {
					time.Sleep(700 * time.Millisecond)
					if err := tx.Commit(context.Background()); err != nil {
						t.Error(err)
					}
				})
			} else {
				a.change(t, changeUser, fmt.Sprint(i))
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	for i := range cuts {
		if i%5 == 4 {
			p.set(silent)
			time.Sleep(1200 * time.Millisecond)
		}
		p.set(refusing)
		time.Sleep(100 * time.Millisecond)
		p.set(passing)
		time.Sleep(200 * time.Millisecond)
	}
	eventually(t, "all are written", done.Load)
	tasks.Wait()
	eventually(t, "all of them", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.users) == changes
	})
	if b.toldAll() != 0 {
		t.Error("everybody was read again, though nothing was lost")
	}
}

func TestFeed_overARestartOfTheServer(t *testing.T) {
	s := pgtest.Start(t)
	at := s.URL("postgres")
	connectTo(t, Options{URL: at}).Close() // makes the tables
	a, b := started(t, at, "a"), started(t, at, "b")
	a.change(t, changeUser, "before")
	eventually(t, "before", func() bool { return b.heard("before") })
	s.Kill(t)
	eventually(t, "out of step", func() bool { return !b.inStep() })
	s.Restart(t)
	eventually(t, "in step", b.inStep)
	eventually(t, "after", func() bool {
		_, err := a.pool.Exec(context.Background(), insertChange, "a", changeUser, "after")
		return err == nil
	})
	a.poke()
	eventually(t, "heard", func() bool { return b.heard("after") })
}

// A listener that panics or hangs keeps nobody else from hearing, and a node whose
// listener hangs does not say that it is in step.
func TestFeed_listenersThatFail(t *testing.T) {
	at := withTables(t).URL
	a, b := started(t, at, "a"), newMember(t, at, "b")
	hang := make(chan struct{})
	b.told.users.add(func(string) { panic("own") })
	b.told.policy.add(func(string) { <-hang })
	b.start()
	a.change(t, changePolicy, "")
	a.change(t, changeUser, "alice")
	eventually(t, "others hear", func() bool { return b.heard("alice") && b.heardOf(changePolicy) > 0 })
	eventually(t, "it does not say that it is in step", func() bool { return !b.inStep() })
	a.change(t, changeUser, "bob")
	eventually(t, "others hear on", func() bool { return b.heard("bob") })
	close(hang)
	eventually(t, "in step", b.inStep)
}

// A node that begins anew to read is not in step while a listener hangs either: what is
// cached there was not dropped yet.
func TestFeed_placeLostWhileAListenerHangs(t *testing.T) {
	b := newMember(t, withTables(t).URL, "b")
	hang := make(chan struct{})
	defer close(hang)
	b.told.users.add(func(string) { <-hang })
	b.told.everything()
	time.Sleep(inStepFor / 2)
	past := time.Now().Add(-longestWrite - time.Second)
	b.looked = past
	b.seen.Store(&past)
	if err := b.look(context.Background()); err != nil || !b.looked.After(past) {
		t.Fatalf("it did not look: %v", err)
	}
	if b.inStep() {
		t.Error("it says that it is in step")
	}
}

func TestFeed_inStepAllocatesNothing(t *testing.T) {
	f := &feed{}
	now := time.Now()
	f.seen.Store(&now)
	if n := testing.AllocsPerRun(1000, func() { f.inStep() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestUnsupported(t *testing.T) {
	pool := poolOf(t, pgtest.Database(t))
	for sql, want := range map[string]bool{
		"SELECT pg_notify_of_no_engine('x')": true,
		"LISTEN 'x'":                         true,
		"SELECT 1/0":                         false,
	} {
		if _, err := pool.Exec(context.Background(), sql); err == nil || unsupported(err) != want {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if unsupported(errors.New("gone")) || unsupported(nil) || unsupported(pgx.ErrNoRows) {
		t.Error("a failure was taken for a refusal")
	}
}
