package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/secondgate/secondgate/mfa"
)

// tries is how often a transaction runs that others come in between of.
const tries = 8

// read sends questions in one round trip. fill sets what takes the answers; it may run
// again, where a connection turns out to be a dead one.
func (s *Store) read(ctx context.Context, fill func(*pgx.Batch)) error {
	c, end, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	for try := 1; ; try++ {
		err := s.readOnce(ctx, c, fill)
		if err == nil || try == tries || ctx.Err() != nil || !again(err) && !broken(err) || !time.Now().Before(c.deadline()) {
			return s.db.wrap(ctx, "reading from the database", err)
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}

func (s *Store) readOnce(ctx context.Context, c call, fill func(*pgx.Batch)) error {
	conn, err := c.connection(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	ctx, cancel := context.WithDeadline(ctx, c.deadline())
	defer cancel()
	var b pgx.Batch
	fill(&b)
	if err := conn.SendBatch(ctx, &b).Close(); err != nil {
		return &asked{err}
	}
	s.db.answers()
	return nil
}

// asked is an error that the database gave, or the way to it, and not who asked.
type asked struct{ err error }

func (a *asked) Error() string { return a.err.Error() }
func (a *asked) Unwrap() error { return a.err }

// wrap puts an error of the database into words, and leaves all others as they are.
func (d *DB) wrap(ctx context.Context, doing string, err error) error {
	var from *asked
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &from):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	return d.fault(doing, from.err)
}

// errAgain says that a row went between two statements.
var errAgain = errors.New("the row is gone meanwhile")

// again reports whether the same transaction may well succeed now.
func again(err error) bool {
	code := codeOf(err)
	return code == codeSerialization || code == codeDeadlock || errors.Is(err, errAgain)
}

// broken reports whether the connection was lost, so that nothing is known of what was sent
// last.
func broken(err error) bool {
	var from *asked
	if !errors.As(err, &from) {
		return false
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return true
	}
	// FATAL ends the session: the server is shut down, or somebody cut it off.
	s := pg.SeverityUnlocalized
	return s == "FATAL" || s == "PANIC"
}

// changes are what listeners are told of.
type changes struct {
	users         []mfa.UserID
	organizations bool
}

// writing is a transaction that writes. It reads and locks with ask, one round trip each;
// what it writes is collected, and sent together with the commit.
type writing struct {
	s       *Store
	ctx     context.Context
	conn    *pgxpool.Conn
	begun   bool
	out     pgx.Batch
	changed changes
}

const begin = `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE`

// update runs fn in a transaction, and keeps all it wrote or nothing. What it wrote is on
// the disk of the database when update returns. Callers of this node with one of the names
// in common run one after the other; where another node comes in between, fn runs again. fn
// says what is announced once it is kept; a transaction that wrote nothing is not announced.
func (s *Store) update(ctx context.Context, names []string, fn func(w *writing) error) error {
	changed, err := s.commit(ctx, names, fn)
	// Listeners run without any lock of ours: they may read the store.
	s.tell(changed)
	return err
}

func (s *Store) commit(ctx context.Context, names []string, fn func(w *writing) error) (changes, error) {
	c, end, err := s.db.begin(ctx)
	if err != nil {
		return changes{}, err
	}
	defer end()
	var unlock func()
	err = c.wait(ctx, func(ctx context.Context) (err error) {
		unlock, err = s.locks.Lock(ctx, names...)
		return err
	})
	if err != nil {
		return changes{}, err
	}
	defer unlock()
	for try := 1; ; try++ {
		changed, err := s.attempt(ctx, c, fn)
		var unsure *unsureError
		switch {
		case err == nil:
			return changed, nil
		case errors.As(err, &unsure):
			return changed, s.db.wrap(ctx, "writing to the database, and it did not say whether it was kept", unsure.err)
		case try == tries || ctx.Err() != nil || !again(err) && !broken(err) || !time.Now().Before(c.deadline()):
			return changes{}, s.db.wrap(ctx, "writing to the database", err)
		}
		if err := pause(ctx, 2*try); err != nil {
			return changes{}, err
		}
	}
}

// unsureError says that nobody can tell whether the change was kept.
type unsureError struct{ err error }

func (e *unsureError) Error() string { return e.err.Error() }
func (e *unsureError) Unwrap() error { return e.err }

func (s *Store) attempt(ctx context.Context, c call, fn func(w *writing) error) (changes, error) {
	conn, err := c.connection(ctx)
	if err != nil {
		return changes{}, err
	}
	// A connection in the middle of a transaction is thrown away, also where fn panics.
	defer conn.Release()
	bounded, cancel := context.WithDeadline(ctx, c.deadline())
	defer cancel()
	w := &writing{s: s, ctx: bounded, conn: conn}
	if err := fn(w); err != nil {
		w.rollback()
		return changes{}, err
	}
	if w.out.Len() == 0 {
		w.rollback()
		return changes{}, nil
	}
	err = w.send()
	switch {
	case err == nil:
		s.db.answers()
		return w.changed, nil
	case !broken(err) && codeOf(err) != codeUnknown:
		w.rollback() // it said no
		return changes{}, taken(err)
	case pgconn.SafeToRetry(err):
		return changes{}, err // nothing was sent
	}
	// Announcing a change that was not made costs a look; missing one would let an ended
	// session live on in a cache.
	return w.changed, &unsureError{err}
}

// ask sends questions, and begins the transaction with the first. fill sets what takes the
// answers.
func (w *writing) ask(fill func(*pgx.Batch)) error {
	var b pgx.Batch
	if !w.begun {
		b.Queue(begin)
	}
	w.begun = true
	fill(&b)
	if err := w.conn.SendBatch(w.ctx, &b).Close(); err != nil {
		return &asked{err}
	}
	w.s.db.answers()
	return nil
}

// put adds a statement to what is written.
func (w *writing) put(sql string, args ...any) { w.out.Queue(sql, args...) }

// send writes everything and commits, in one round trip: where a statement fails, those
// behind it are not carried out, the commit among them.
func (w *writing) send() error {
	var b pgx.Batch
	if !w.begun {
		b.Queue(begin)
	}
	w.begun = true
	b.QueuedQueries = append(b.QueuedQueries, w.out.QueuedQueries...)
	w.note(&b)
	committed := false
	b.Queue(`COMMIT`).Exec(func(tag pgconn.CommandTag) error {
		committed = tag.String() == "COMMIT"
		return nil
	})
	if err := w.conn.SendBatch(w.ctx, &b).Close(); err != nil {
		return &asked{err}
	}
	if !committed {
		return errors.New("writing to the database: it was rolled back")
	}
	return nil
}

// insertChange adds a row that other nodes read: who wrote it, the kind of change, and the
// user.
const insertChange = `INSERT INTO changes (node, kind, user_id) VALUES ($1, $2, $3)`

// note writes for the other nodes what has changed, last of all: the time between a number
// and its commit is what they have to wait for.
func (w *writing) note(b *pgx.Batch) {
	for _, user := range w.changed.users {
		b.Queue(insertChange, w.s.db.node, changeUser, string(user))
	}
	if w.changed.organizations {
		b.Queue(insertChange, w.s.db.node, changePolicy, "")
	}
}

// rollback ends the transaction without keeping anything, also for a caller who has gone.
func (w *writing) rollback() {
	if !w.begun || w.conn.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 500*time.Millisecond)
	defer cancel()
	_, _ = w.conn.Exec(ctx, `ROLLBACK`)
}

// announces adds a user whose change is announced.
func (w *writing) announces(id mfa.UserID) {
	if !slices.Contains(w.changed.users, id) {
		w.changed.users = append(w.changed.users, id)
	}
}

// taken makes an answer of the error that a unique index of ours gives.
func taken(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != codeUnique || pg.TableName == "changes" {
		return err
	}
	return mfa.ErrTaken
}
