package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// What keeps a copy from going into a store, or a store that is being filled from serving.
var (
	// ErrFilling says that a copy into the store was begun and not finished: somebody
	// whose row has not come yet would be a stranger to it, and the first account free.
	ErrFilling = errors.New("a copy into this store was begun and is not finished")
	// ErrNotEmpty says that the store that a copy is to go into holds something already.
	ErrNotEmpty = errors.New("the store is not empty")
)

// Row is one record outside of any store: unsealed, as JSON. It holds secrets and is never
// written anywhere but into a sealed backup or another store.
type Row struct {
	Table Table
	// ID is what the row is found by in its table. Of an event it is EventID of its
	// number, of the policy "gateway", of a campaign its organization (or ""); of the
	// chain "count" (EventCount) and "start" (EventStart).
	ID string
	// Data is the record to the byte as it was written once: nobody decodes and encodes it
	// anew on the way, so that both ends can be compared by their bytes.
	Data json.RawMessage
}

// Rows of the chain.
const (
	ChainCount = "count"
	ChainStart = "start"
)

// Exported are the tables that a copy of a store consists of, in the order in which they
// come and are taken in: what time takes away comes last. What is not among them (unique
// keys, indexes, counters, cursors) follows from them, and is made anew.
var Exported = []Table{Users, Organizations, Policy, APIKeys, Campaigns, Events, Chain, Attempts, Sessions, Challenges}

// Portable is a store whose whole content can be taken out.
type Portable interface {
	// Export calls emit with every row of one consistent state of the store, table by
	// table in the order of Exported and within a table by the bytes of the IDs, while
	// others go on reading and writing. An error of emit ends it and is returned as it is.
	// Sessions are Session, challenges Challenge, events mfa.Event, the others what
	// package mfa says. A row that cannot be read is an error: a copy without it would
	// pass for a whole one.
	Export(ctx context.Context, emit func(Row) error) error
}

// Target is a store that was opened to be filled, and cannot be opened otherwise until
// Filled was called.
type Target interface {
	Portable
	// Import keeps the rows in their order, each together with everything that follows
	// from it. Where it fails, some of them are kept. A row that is there already is left
	// as it is where it says the same, so that a copy that was cut short goes on; one that
	// says something else is mfa.ErrTaken. What time takes away stays for a day at least,
	// so that it is still there when the copy is compared. Nothing is announced: nobody
	// serves from a store that is being filled.
	Import(ctx context.Context, rows []Row) error
	// Filled appends the events and says that the store is whole, in one write. It must be
	// closed and opened anew before anybody serves from it.
	Filled(ctx context.Context, list []mfa.Event) error
}

// Filling is what a store keeps of the copy that is under way into it.
type Filling struct {
	// From says what is being copied, in words that are the same for the same copy.
	From  string    `json:"from"`
	Since time.Time `json:"since"`
}

// Check reports with nil that a copy from there may go on.
func (f Filling) Check(from string) error {
	if f.From != from {
		return fmt.Errorf("%w, of something else: %s, since %s", ErrFilling, f.From, f.Since.Format(time.RFC3339))
	}
	return nil
}

// EventID is the ID of the row of the event of that number: so long that rows stand in the
// order of their numbers.
func EventID(number uint64) string { return fmt.Sprintf("%020d", number) }

// EventNumber reads what EventID wrote.
func EventNumber(id string) (uint64, error) {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil || n == 0 || EventID(n) != id {
		return 0, fmt.Errorf("a row of table %s: the ID is no number: %w", Events, ErrDamaged)
	}
	return n, nil
}
