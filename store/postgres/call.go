package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/secondgate/secondgate/mfa"
)

const (
	// callTime is how long a call goes on after it began, or after the database last
	// answered anybody here, whichever is later (AC-187). So a line that moves is waited
	// in, and one that stands still is left at once by all who stand in it.
	callTime = 2 * time.Second
	// longestCall is how long a call may take in all.
	longestCall = 10 * time.Second
	// mostWaiting is how many calls there may be at once: each holds a request open.
	mostWaiting = 2048
)

// call is one use of the database that is bounded in time.
type call struct {
	d     *DB
	began time.Time
}

// begin starts a call; end must be called.
func (d *DB) begin(ctx context.Context) (c call, end func(), err error) {
	if err := ctx.Err(); err != nil {
		return call{}, nil, err
	}
	select {
	case <-d.closing:
		return call{}, nil, ErrClosed
	default:
	}
	if d.waiting.Add(1) > mostWaiting {
		d.waiting.Add(-1)
		return call{}, nil, fmt.Errorf("asking the database: %w", mfa.ErrBusy)
	}
	return call{d, time.Now()}, func() { d.waiting.Add(-1) }, nil
}

// deadline is when the call gives up, as things stand now.
func (c call) deadline() time.Time {
	last := c.began
	if answered := c.d.began.Add(time.Duration(c.d.answered.Load())); answered.After(last) {
		last = answered
	}
	until, end := last.Add(callTime), c.began.Add(longestCall)
	if end.Before(until) {
		return end
	}
	return until
}

// wait calls try with a context until it is done, ctx is over, or the database has stood
// still for too long.
func (c call) wait(ctx context.Context, try func(context.Context) error) error {
	for {
		until := c.deadline()
		if !time.Now().Before(until) {
			return fmt.Errorf("waiting for the database: %w", mfa.ErrBusy)
		}
		waiting, cancel := context.WithDeadline(ctx, until)
		err := try(waiting)
		over := waiting.Err() != nil
		cancel()
		if err == nil || ctx.Err() != nil || !over {
			return err
		}
	}
}

// connection waits for one.
func (c call) connection(ctx context.Context) (conn *pgxpool.Conn, err error) {
	err = c.wait(ctx, func(ctx context.Context) (err error) {
		conn, err = c.d.pool.Acquire(ctx)
		return err
	})
	switch {
	case err == nil, ctx.Err() != nil && errors.Is(err, ctx.Err()), errors.Is(err, mfa.ErrBusy):
		return conn, err
	}
	return nil, c.d.fault("reaching the database", err)
}

// answers notes that the database does.
func (d *DB) answers() { d.answered.Store(int64(time.Since(d.began))) }

// pause waits about so many milliseconds, and never as long as the next caller.
func pause(ctx context.Context, milliseconds int) error {
	var b [1]byte
	_, _ = rand.Read(b[:])
	t := time.NewTimer(time.Duration(milliseconds) * time.Duration(256+int(b[0])) * time.Millisecond / 384)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
