package store

import (
	"context"
	"encoding/json"
)

// Row is one record outside of any store: unsealed, as JSON. It holds secrets and is never
// written anywhere but into a sealed backup or another store.
type Row struct {
	Table Table
	ID    string
	Data  json.RawMessage
}

// Exported are the tables that a copy of a store consists of, in the order in which they
// come and are taken in. What is not among them (unique keys, indexes, counters, cursors)
// follows from them, and is made anew.
var Exported = []Table{Users, Sessions, Challenges, Attempts, Organizations, Policy, APIKeys, Campaigns, Events, Chain}

// Portable is a store whose whole content can be taken out, and into another one.
type Portable interface {
	// Export calls emit with every row of one consistent state of the store, table by
	// table in the order of Exported, while others go on reading and writing. An error of
	// emit ends it. Sessions are Session, challenges Challenge, events mfa.Event, the
	// chain one row with EventCount ("count") and one with EventStart ("start"); the
	// others what package mfa says.
	Export(ctx context.Context, emit func(Row) error) error
	// Import keeps the rows, all or none of them, with everything that follows from them.
	// A row that is there already is replaced by one that says the same, so that a copy
	// that was cut short goes on; one that says something else is mfa.ErrTaken. Nothing
	// is announced: nobody serves from a store that is being filled.
	Import(ctx context.Context, rows []Row) error
}
