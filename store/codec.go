package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/secondgate/secondgate/internal/seal"
)

// What is wrong with a record that cannot be read. Neither is ever answered as
// "not found": a user whose record is damaged is not a user without factors.
var (
	// ErrNewer says that a newer version of this program wrote the record.
	ErrNewer = errors.New("a newer version wrote this record; start that version")
	// ErrDamaged says that the record was changed, moved or cut, or that the key
	// file is not the one that sealed it.
	ErrDamaged = errors.New("the record was changed, moved or cut, or the key file is another one")
)

// Table is a kind of row.
type Table string

// The tables.
const (
	Users         Table = "user"
	UniqueKeys    Table = "unique_key"
	Sessions      Table = "session"
	Challenges    Table = "challenge"
	Attempts      Table = "attempts"
	Organizations Table = "organization"
	Policy        Table = "policy"
	Events        Table = "event"
	APIKeys       Table = "api_key"
	Campaigns     Table = "campaign"
	Counters      Table = "counter" // of users
	Cursors       Table = "cursor"  // nothing is kept in it: what goes out is bound to it
	Chain         Table = "chain"   // of events; in a copy alone
	Meta          Table = "meta"
)

// Version is the version of the records that this program writes. It reads this
// one and all before.
const Version = 1

// purpose is what the key of the records is derived for.
const purpose = "store"

// Codec writes and reads records. It is safe for concurrent use.
type Codec struct{ box *seal.Box }

// NewCodec returns a codec with the keys' box for records.
func NewCodec(keys *seal.Keyset) Codec { return Codec{box: keys.Box(purpose)} }

// Encode returns v as the record of that row.
func (c Codec) Encode(t Table, row string, v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding a record of table %s: %w", t, err)
	}
	return c.Seal(t, row, plain), nil
}

// Seal returns the record of that row whose JSON is plain.
func (c Codec) Seal(t Table, row string, plain []byte) []byte {
	return append([]byte{Version}, c.box.Seal(plain, place(Version, t, row))...)
}

// Decode reads the record of that row into v: ErrNewer or ErrDamaged where it
// cannot. v is then not to be used.
func (c Codec) Decode(record []byte, t Table, row string, v any) error {
	if len(record) == 0 {
		return fmt.Errorf("reading a record of table %s: %w", t, ErrDamaged)
	}
	version := record[0]
	if version > Version {
		return fmt.Errorf("reading a record of table %s (version %d, this program reads up to %d): %w", t, version, Version, ErrNewer)
	}
	plain, err := c.box.Open(record[1:], place(version, t, row))
	if err != nil {
		return fmt.Errorf("reading a record of table %s: %w", t, ErrDamaged)
	}
	if err := json.Unmarshal(plain, v); err != nil {
		// The decoder's own words could repeat what it read.
		return fmt.Errorf("reading a record of table %s: %w", t, ErrDamaged)
	}
	return nil
}

// place is what a record is bound to.
func place(version byte, t Table, row string) []byte {
	return []byte("mfa:v" + strconv.Itoa(int(version)) + ":" + string(t) + ":" + row)
}

// Current reports whether the primary key sealed the record.
func (c Codec) Current(record []byte) bool { return len(record) > 0 && c.box.Current(record[1:]) }

// Reseal returns the record of that row sealed with the primary key, in the version that it
// has. ErrNewer, ErrDamaged.
func (c Codec) Reseal(record []byte, t Table, row string) ([]byte, error) {
	if len(record) == 0 {
		return nil, fmt.Errorf("sealing a record of table %s anew: %w", t, ErrDamaged)
	}
	version := record[0]
	if version > Version {
		return nil, fmt.Errorf("sealing a record of table %s anew: %w", t, ErrNewer)
	}
	plain, err := c.box.Open(record[1:], place(version, t, row))
	if err != nil {
		return nil, fmt.Errorf("sealing a record of table %s anew: %w", t, ErrDamaged)
	}
	return append([]byte{version}, c.box.Seal(plain, place(version, t, row))...), nil
}
