package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/secondgate/secondgate/mfa"
)

const (
	// exclusiveWait is how long Exclusively waits for its turn.
	exclusiveWait = 5 * time.Second
	// lockConns is how many locks one node can hold or wait for at once.
	lockConns = 4
	// lockPing is how often the connection that holds a lock is asked whether it stands,
	// and lockAnswer how long that may take.
	lockPing   = time.Second
	lockAnswer = 2 * time.Second
	// lockOrphan is after what silence the server lets go of a lock whose node is gone: far
	// more than lockPing and lockAnswer, so that the node knows before.
	lockOrphan = 10 * time.Second
)

var errLockLost = errors.New("the lock was lost: the database does not answer on the connection that holds it")

// exclusive keeps locks that hold over all nodes: rows of table locks. Each is held by a
// transaction that does nothing else, on a connection of a small pool of their own: work
// uses the store, and with all of the store's connections held by those who wait for a lock
// nobody would ever go on.
type exclusive struct {
	pool *pgxpool.Pool
	log  *slog.Logger

	mu    sync.Mutex
	lines map[string]*line
}

// line is where those of this node stand who want the same lock: one of them at a time
// asks the database.
type line struct {
	turn chan struct{}
	in   int // who stand in it, the first included
}

func newExclusive(pool *pgxpool.Pool, logger *slog.Logger) (*exclusive, error) {
	own, err := smallPool(pool, lockConns)
	if err != nil {
		return nil, fmt.Errorf("preparing locks: %w", err)
	}
	return &exclusive{pool: own, log: logger, lines: make(map[string]*line)}, nil
}

func (l *exclusive) close() { l.pool.Close() }

// Exclusively implements mfa.Locks.
//
// A lock of a database is a promise with an end. The server lets go of it when the
// connection breaks, or says nothing for ten seconds; the node asks each second, and ends
// the context of work when no answer has come for two. So work that heeds its context has
// ended before the server lets go of a node that fell silent. Where the server itself breaks
// the connection (it restarts, another one takes over), work may meet its successor for that
// second; so may a process that stands still in the middle of it. Whatever must not happen twice is therefore
// still checked in the write that does it.
func (s *Store) Exclusively(ctx context.Context, name string, work func(context.Context) error) error {
	return s.db.exclusive.run(ctx, name, work)
}

func (l *exclusive) run(ctx context.Context, name string, work func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, exclusiveWait)
	defer cancel()
	leave, err := l.standInLine(wait, name)
	if err != nil {
		return l.refused(ctx, wait, name, err)
	}
	defer leave()
	h, err := l.take(wait, name)
	if err != nil {
		return l.refused(ctx, wait, name, err)
	}
	ctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	h.watch(lose)
	defer h.release()
	err = work(ctx)
	if errors.Is(context.Cause(ctx), errLockLost) {
		l.log.Warn("a lock was lost while work was done under it", "lock", name)
		if err != nil {
			return fmt.Errorf("%w: %w", errLockLost, err)
		}
	}
	return err
}

// refused says why the lock could not be had.
func (l *exclusive) refused(ctx, wait context.Context, name string, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case wait.Err() != nil,
		slices.Contains([]string{codeLockTimeout, codeCanceled, codeDeadlock, codeSerialization}, codeOf(err)):
		return fmt.Errorf("waiting for %s: %w", name, mfa.ErrInTurn)
	}
	return fmt.Errorf("taking the lock %s: %w", name, err)
}

func (l *exclusive) standInLine(ctx context.Context, name string) (leave func(), err error) {
	l.mu.Lock()
	at := l.lines[name]
	if at == nil {
		at = &line{turn: make(chan struct{}, 1)}
		l.lines[name] = at
	}
	at.in++
	l.mu.Unlock()
	out := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if at.in--; at.in == 0 {
			delete(l.lines, name)
		}
	}
	select {
	case at.turn <- struct{}{}:
		return func() { <-at.turn; out() }, nil
	case <-ctx.Done():
		out()
		return nil, ctx.Err()
	}
}

// held is a lock that is held.
type held struct {
	conn *pgxpool.Conn
	tx   pgx.Tx
	stop chan struct{}
	task sync.WaitGroup
}

// take waits for the row of that name, and makes it where there is none.
func (l *exclusive) take(ctx context.Context, name string) (*held, error) {
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	h := &held{conn: conn, stop: make(chan struct{})}
	err = h.begin(ctx, name)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err = conn.Exec(ctx, "INSERT INTO locks (name) VALUES ($1) ON CONFLICT DO NOTHING", name); err == nil {
			err = h.begin(ctx, name)
		}
	}
	if err != nil {
		conn.Release()
		return nil, err
	}
	return h, nil
}

func (h *held) begin(ctx context.Context, name string) error {
	tx, err := h.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return err
	}
	h.tx = tx
	// The server gives up a little before we do: a connection whose query is cancelled
	// from here is lost.
	left := exclusiveWait
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end)
	}
	_, err = tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $1, true),
		set_config('idle_in_transaction_session_timeout', $2, true)`,
		milliseconds(max(time.Millisecond, left-50*time.Millisecond)), milliseconds(lockOrphan))
	if err == nil {
		err = tx.QueryRow(ctx, "SELECT name FROM locks WHERE name = $1 FOR UPDATE", name).Scan(&name)
	}
	if err != nil {
		h.rollBack()
	}
	return err
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

// watch asks the connection whether it stands, until release, and calls lose when it does
// not.
func (h *held) watch(lose context.CancelCauseFunc) {
	h.task.Go(func() {
		tick := time.NewTicker(lockPing)
		defer tick.Stop()
		for {
			select {
			case <-h.stop:
				return
			case <-tick.C:
			}
			ctx, cancel := context.WithTimeout(context.Background(), lockAnswer)
			_, err := h.tx.Exec(ctx, "SELECT 1")
			cancel()
			if err != nil {
				lose(errLockLost)
				return
			}
		}
	})
}

// release lets go. A connection on which that fails is closed, which lets go as well.
func (h *held) release() {
	close(h.stop)
	h.task.Wait()
	h.rollBack()
	h.conn.Release()
}

func (h *held) rollBack() {
	ctx, cancel := context.WithTimeout(context.Background(), lockAnswer)
	defer cancel()
	_ = h.tx.Rollback(ctx)
}
