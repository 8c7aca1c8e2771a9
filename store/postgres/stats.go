package postgres

import (
	"context"
	"sync/atomic"
	"time"
)

// Stats are how things stand between this node and the database.
type Stats struct {
	// Used, Idle and Most are connections for requests: at work, at rest, and allowed.
	Used, Idle, Most int
	// Waits is how often a request has had to wait for a connection.
	Waits uint64
	// InStep is Store.InStep.
	InStep bool
	// Schema is the version of the tables.
	Schema int64
	// Ahead is how far this node's clock is ahead of the database's; Compared says that
	// they were compared within the last minutes.
	Ahead    time.Duration
	Compared bool
}

const (
	// clockEvery is how often the clocks are compared, and clockTime how long that may take.
	clockEvery = time.Minute
	clockTime  = time.Second
	// clockOff is a difference that somebody should know of, and clockAgain how long the log
	// is silent about it.
	clockOff   = time.Second
	clockAgain = time.Hour
)

// clocks is what the last comparison gave.
type clocks struct {
	at, warned time.Time
	ahead      time.Duration
	schema     int64
}

// Stats asks nobody and takes no lock.
func (s *Store) Stats() Stats {
	p := s.db.pool.Stat()
	stats := Stats{
		Used: int(p.AcquiredConns()), Idle: int(p.IdleConns()), Most: int(p.MaxConns()),
		Waits: uint64(max(0, p.EmptyAcquireCount())), InStep: s.InStep(), //nolint:gosec // not negative
	}
	if c := s.compared.Load(); c != nil {
		stats.Schema, stats.Ahead = c.schema, c.ahead
		stats.Compared = time.Since(c.at) < 3*clockEvery
	}
	return stats
}

// compareClocks compares this node's clock with the database's until the store is closed:
// by different clocks a code or a session ends at different times.
func (s *Store) compareClocks() {
	for {
		if err := s.compareOnce(s.ctx); err != nil && s.ctx.Err() == nil {
			s.db.log.Debug("store: the clocks were not compared", "error", err)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(clockEvery):
		}
	}
}

func (s *Store) compareOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clockTime)
	defer cancel()
	var theirs time.Time
	next := new(clocks)
	conn, err := s.db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	began := time.Now()
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&theirs); err != nil {
		return err
	}
	took := time.Since(began)
	next.at = time.Now()
	// The database looked at its clock somewhere in between.
	next.ahead = began.Add(took / 2).Sub(theirs)
	if next.schema, err = s.db.schemaVersion(ctx); err != nil {
		return err
	}
	if was := s.compared.Load(); was != nil {
		next.warned = was.warned
	}
	if off := next.ahead.Abs() - took/2; off > clockOff && time.Since(next.warned) > clockAgain {
		next.warned = next.at
		s.db.log.Warn("store: the clock of this machine and the database's are not the same; have both follow NTP, or codes and sessions end too early or too late", "ahead", next.ahead.Round(time.Millisecond).String())
	}
	s.compared.Store(next)
	return nil
}

// comparison is where the last one is kept.
type comparison = atomic.Pointer[clocks]
