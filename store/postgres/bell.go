package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// channel is what nodes listen on. It is one of this database.
	channel = "secondgate"
	// ringEvery is how often a node rings at most.
	ringEvery = 50 * time.Millisecond
	// quiet is how long the connection may say nothing before it is asked whether it
	// stands, and answerWithin how long that may take.
	quiet        = 2 * time.Second
	answerWithin = time.Second
	// longestPause is the longest pause between two attempts to listen.
	longestPause = 10 * time.Second
)

// ring rings for what this node has committed. Not in the transaction of the change: a
// NOTIFY there takes a lock at COMMIT that is one for the whole database, and all writes of
// all nodes would stand in line. A bell that is lost costs a second at most.
func (f *feed) ring(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-f.poked:
		}
		if err := f.ringOnce(ctx); unsupported(err) {
			return
		}
		timer.Reset(ringEvery)
	}
}

func (f *feed) ringOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := f.pool.Exec(ctx, "SELECT pg_notify($1, $2)", channel, f.node)
	return err
}

// listen hears bells, on a connection of its own.
func (f *feed) listen(ctx context.Context) {
	pause := 100 * time.Millisecond
	for {
		began := time.Now()
		err := f.hear(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case unsupported(err):
			f.log.Info("this database has no LISTEN; changes of other nodes are looked for each second")
			return
		case time.Since(began) > longestPause:
			pause = 100 * time.Millisecond // it was there for a while
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(jitter(pause)):
		}
		pause = min(2*pause, longestPause)
	}
}

// hear listens until the connection is gone. A line that was cut without a word is asked
// whether it stands after a moment of quiet; until that is found out, the look each second
// does, which has a connection of its own.
func (f *feed) hear(ctx context.Context) error {
	open, cancel := context.WithTimeout(ctx, 2*answerWithin)
	defer cancel()
	conn, err := pgx.ConnectConfig(open, f.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		bye, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = conn.Close(bye)
	}()
	if _, err := conn.Exec(open, "LISTEN "+channel); err != nil {
		return err
	}
	f.wake() // it may have rung before
	for {
		bell, err := f.await(ctx, conn)
		switch {
		case err != nil:
			return err
		case bell != nil && bell.Payload != f.node:
			f.wake()
		}
	}
}

// await returns the next bell, or nil after a time without any.
func (f *feed) await(ctx context.Context, conn *pgx.Conn) (*pgconn.Notification, error) {
	wait, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	bell, err := conn.WaitForNotification(wait)
	if err == nil || ctx.Err() != nil || !pgconn.Timeout(err) {
		return bell, err
	}
	ask, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return nil, conn.Ping(ask)
}

// unsupported reports whether the engine says that it has no such thing: feature not
// supported, syntax error, undefined function.
func unsupported(err error) bool {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return false
	}
	return said.Code == "0A000" || said.Code == "42601" || said.Code == "42883"
}
