package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/secondgate/secondgate/store"
)

// What keeps a database from being used. Damage is store.ErrDamaged, a newer schema or
// record is store.ErrNewer.
var (
	// ErrLost says that there was an installation, and that this database is not it: it is
	// empty, or another one.
	ErrLost = errors.New("this is not the database of this gateway")
	// ErrUnsafe says that the connection could be read or redirected on its way.
	ErrUnsafe = errors.New("the connection to the database is not safe")
	// ErrUnfit says that the database is too old, or set up so that it cannot be used.
	ErrUnfit = errors.New("the database cannot be used")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the store is closed")
)

// Options say what to connect to.
type Options struct {
	// URL is the address: postgres://USER:PASSWORD@HOST:PORT/DATABASE. Where the host is
	// another machine and the URL has no sslmode, it is verify-full.
	URL string
	// MaxConns is how many connections are open at most; 0: 16.
	MaxConns int
	// Marker is a file that says which installation this gateway belongs to, so that an
	// emptied or wrong database is never taken for a first start; "": none.
	Marker string
	// Logger is told what goes wrong; nil: nobody is.
	Logger *slog.Logger
	// Now is the clock by which records expire; nil: time.Now.
	Now func() time.Time
	// KeepEvents is how long events are kept; 0: 90 days. An event that is older is not
	// returned any more, and is removed within the hour.
	KeepEvents time.Duration
	// Still has nothing removed of itself: what is read for a copy is to be there when the
	// copy is compared.
	Still bool
	// Fill opens the database for a copy of what it says in words: one that nobody opened
	// before, or one in which the same copy was begun. Anything else is store.ErrNotEmpty
	// or store.ErrFilling.
	Fill string
}

const (
	defaultConns = 16
	// connectTime is how long one connection may take to be made.
	connectTime = 2 * time.Second
	// startTime is how long Connect may take without migrations.
	startTime = 30 * time.Second
)

// DB is a database that was connected to: its schema is this program's, and it is the one
// that the marker names. Nothing in it can be read before Open.
type DB struct {
	o      Options
	pool   *pgxpool.Pool
	config *pgxpool.Config
	log    *slog.Logger
	engine engine
	node   string // names this process to the others; one that was started again has another

	installation string
	serves       atomic.Bool // the installation is known, and every new connection has to lead to it
	fresh        bool

	told      *told
	feed      *feed
	exclusive *exclusive

	answered  atomic.Int64 // when the database last answered, in ns since began
	began     time.Time
	waiting   atomic.Int32
	closing   chan struct{}
	closeOnce sync.Once
}

// Connect connects to the database, brings its schema up to date, and compares it with the
// marker. It refuses what could be read on its way (ErrUnsafe), an engine that is too old
// (ErrUnfit), a schema of a newer version (store.ErrNewer), and a database that is empty or
// another one where the marker names one (ErrLost). No error holds the password.
func Connect(ctx context.Context, o Options) (*DB, error) {
	d, err := connect(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return d, nil
}

func connect(ctx context.Context, o Options) (*DB, error) {
	if o.KeepEvents < 0 {
		return nil, errors.New("events cannot be kept for less than no time")
	}
	if o.MaxConns <= 0 {
		o.MaxConns = defaultConns
	}
	if o.KeepEvents == 0 {
		o.KeepEvents = store.DefaultKeepEvents
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	config, warning, err := parse(o.URL)
	if err != nil {
		return nil, err
	}
	d := &DB{o: o, node: rand.Text(), config: config, log: o.Logger, began: time.Now(), closing: make(chan struct{})}
	if warning != "" {
		d.log.Warn("store: " + warning)
	}
	config.MaxConns = int32(min(o.MaxConns, 1000)) //nolint:gosec // bounded
	config.MaxConnLifetime = time.Hour
	config.MaxConnLifetimeJitter = 10 * time.Minute
	config.MaxConnIdleTime = 5 * time.Minute
	config.PingTimeout = connectTime
	config.AfterConnect = d.greet
	// Connections are made when they are needed: a database that is away now must not be
	// an error of its own here.
	if d.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
		return nil, d.fault("making the pool", err)
	}
	if err := d.prepare(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// prepare looks at the engine, brings the schema up to date and finds the installation.
func (d *DB) prepare(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := d.recognise(short); err != nil {
		return err
	}
	if err := d.compare(short); err != nil {
		return err
	}
	if err := d.migrate(ctx); err != nil {
		return err
	}
	short, cancel = context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := d.install(short); err != nil {
		return err
	}
	if err := d.complete(short); err != nil {
		return err
	}
	d.serves.Store(true)
	// Before anything is read that could change meanwhile.
	d.told = newTold(d.log)
	var err error
	if d.feed, err = newFeed(short, d.pool, d.node, d.told, d.log); err != nil {
		return err
	}
	d.exclusive, err = newExclusive(d.pool, d.log)
	return err
}

// greet prepares a new connection.
func (d *DB) greet(ctx context.Context, c *pgx.Conn) error {
	if err := harden(ctx, c); err != nil || !d.serves.Load() {
		return err
	}
	return d.same(ctx, c)
}

// Close ends all connections. A Store that was opened closes its DB itself.
func (d *DB) Close() {
	d.closeOnce.Do(func() {
		close(d.closing)
		if d.feed != nil {
			d.feed.close()
		}
		if d.exclusive != nil {
			d.exclusive.close()
		}
		d.pool.Close()
	})
}

func (d *DB) now() time.Time { return d.o.Now() }

// setDefault sets a run-time parameter that the URL does not set.
func setDefault(config *pgxpool.Config, name, value string) {
	if _, ok := config.ConnConfig.RuntimeParams[name]; !ok {
		config.ConnConfig.RuntimeParams[name] = value
	}
}

// Time bounds on the server, so that nothing of ours goes on there after we gave up. A lock
// is waited for longer than the server takes to look for a deadlock (1 s), which is then
// tried again; a lock that is held for longer is an error.
const (
	statementTime = "2000"
	lockTime      = "1500"
	idleTime      = "5000" // in a transaction
)

func setParameters(config *pgxpool.Config) {
	setDefault(config, "application_name", "secondgate")
	setDefault(config, "statement_timeout", statementTime)
	setDefault(config, "lock_timeout", lockTime)
	setDefault(config, "idle_in_transaction_session_timeout", idleTime)
	// Whatever the URL says: times and texts are read by these.
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	config.ConnConfig.RuntimeParams["client_encoding"] = "UTF8"
}

// harden makes sure that what the server acknowledges on this connection is on its disk,
// whatever the role, the database or the server is set to. An engine that does not know the
// setting has no other way. And it has statements carried out as they are: compiling one of
// ours takes a hundred times as long as running it.
func harden(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, `SELECT
		CASE WHEN current_setting('synchronous_commit', true) NOT IN ('on', 'remote_apply') THEN set_config('synchronous_commit', 'on', false) END,
		CASE WHEN current_setting('jit', true) IS NOT NULL THEN set_config('jit', 'off', false) END`)
	return err
}

// engine is what answers.
type engine struct {
	name    string
	version string
}

const oldest = 150000 // PostgreSQL 15

// recognise refuses a PostgreSQL that is too old. Other engines that speak its protocol
// number their versions in their own way.
func (d *DB) recognise(ctx context.Context) error {
	var (
		number         int
		encoding       string
		fsync          *string
		reads, version string
	)
	err := d.pool.QueryRow(ctx, `SELECT version(), current_setting('server_version_num')::int, current_setting('server_encoding'),
		current_setting('fsync', true), current_setting('transaction_read_only')`).Scan(&version, &number, &encoding, &fsync, &reads)
	if err != nil {
		return d.fault("asking who answers", err)
	}
	d.engine = engineOf(version)
	switch {
	case d.engine.name == "PostgreSQL" && number < oldest:
		return fmt.Errorf("%w: it is PostgreSQL %s; 15 is the oldest that works. Upgrade the server, or name another one", ErrUnfit, d.engine.version)
	case !strings.EqualFold(encoding, "UTF8"):
		return fmt.Errorf("%w: its encoding is %s, and must be UTF8. Make it anew: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0", ErrUnfit, encoding)
	case reads == "on":
		return fmt.Errorf("%w: it is read only. Name the primary server in the URL, not a standby", ErrUnfit)
	}
	if fsync != nil && *fsync == "off" {
		d.log.Warn("store: the database runs with fsync = off and loses what it acknowledged in a crash; switch it on")
	}
	return nil
}

// engineOf reads what version() says.
func engineOf(text string) engine {
	name, rest, _ := strings.Cut(text, " ")
	switch {
	case strings.HasPrefix(text, "CockroachDB"):
		name = "CockroachDB"
		if _, after, ok := strings.Cut(text, " v"); ok {
			rest = after
		}
	case strings.Contains(text, "-YB-"):
		name = "YugabyteDB"
		_, rest, _ = strings.Cut(text, "-YB-")
	}
	version, _, _ := strings.Cut(rest, " ")
	return engine{name: name, version: strings.TrimRight(version, ",")}
}
