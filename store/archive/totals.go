package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"

	"github.com/secondgate/secondgate/store"
)

// Totals are how many rows of each table there are, with a checksum. Two stores with the
// same totals hold the same.
type Totals map[store.Table]Total

// Total is of one table.
type Total struct {
	Rows int64 `json:"rows"`
	// Sum is the sum of the SHA-256 of all rows, modulo 2^256: in whatever order they come.
	Sum Sum `json:"sum"`
}

// Sum is a number of 256 bits, the lowest 64 first.
type Sum [4]uint64

// Add counts a row.
func (t Totals) Add(r store.Row) {
	h := sha256.New()
	var size [8]byte
	for _, part := range [][]byte{[]byte(r.Table), []byte(r.ID), r.Data} {
		// With its length, so that no two rows read alike.
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write(part)
	}
	var digest [sha256.Size]byte
	h.Sum(digest[:0])
	total := t[r.Table]
	total.Rows++
	var carry uint64
	for i := range total.Sum {
		total.Sum[i], carry = bits.Add64(total.Sum[i], binary.LittleEndian.Uint64(digest[8*i:]), carry)
	}
	t[r.Table] = total
}

// Rows is how many rows there are in all.
func (t Totals) Rows() (n int64) {
	for _, total := range t {
		n += total.Rows
	}
	return n
}

// ErrDiffers says that two stores, or a store and its copy, do not hold the same.
var ErrDiffers = errors.New("the copy is not the same")

// Differ returns with ErrDiffers in which table got is another than t; nil: in none.
func (t Totals) Differ(got Totals) error {
	for _, table := range store.Exported {
		want, is := t[table], got[table]
		switch {
		case want.Rows != is.Rows:
			return fmt.Errorf("%w: table %s has %d rows where %d are expected", ErrDiffers, table, is.Rows, want.Rows)
		case want.Sum != is.Sum:
			return fmt.Errorf("%w: the rows of table %s are others", ErrDiffers, table)
		}
	}
	return nil
}

// MarshalText returns the sum in hex, the highest digit first.
func (s Sum) MarshalText() ([]byte, error) {
	var b []byte
	for i := range s {
		b = binary.BigEndian.AppendUint64(b, s[len(s)-1-i])
	}
	return hex.AppendEncode(nil, b), nil
}

// UnmarshalText reads what MarshalText wrote.
func (s *Sum) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != 32 {
		return errors.New("not a checksum")
	}
	for i := range s {
		s[len(s)-1-i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return nil
}
