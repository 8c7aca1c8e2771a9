package mfa

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Link returns the hash that chains the event to the one before it, whose hash is before
// ("" for the first of all): SHA-256 over both, in hex. The event has its Number by then.
// The bytes that are hashed after before are the event as JSON without its hash, which is
// its last field: whoever has an export can compute the chain without us.
func (e Event) Link(before string) (string, error) {
	e.Hash = ""
	text, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("chaining an event: %w", err)
	}
	h := sha256.New()
	h.Write([]byte(before))
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ChainEnds say where the kept events begin and end.
type ChainEnds struct {
	// First is the number of the first event that is kept, and Before the hash of the one
	// before it, which was forgotten ("" where there was none).
	First  uint64 `json:"first"`
	Before string `json:"before,omitempty"`
	// Last is the number of the last event, and Head its hash. Whoever keeps these two
	// elsewhere notices that the end was cut off.
	Last uint64 `json:"last"`
	Head string `json:"head,omitempty"`
}

// ChainError says at which event the chain is broken, and how.
type ChainError struct {
	Number uint64
	What   string // "changed", "missing", "reordered", "cut"
}

// Error names the event.
func (e *ChainError) Error() string { return fmt.Sprintf("event %d: %s", e.Number, e.What) }

// Chain checks events one after the other. The zero value begins with the first event of
// all.
type Chain struct {
	Number uint64 // of the last event that was checked
	Hash   string // … and its hash
}

// Next checks the event that follows. *ChainError.
func (c *Chain) Next(e Event) error {
	switch {
	case e.Number > c.Number+1:
		return &ChainError{c.Number + 1, "missing"}
	case e.Number != c.Number+1:
		return &ChainError{e.Number, "reordered"}
	}
	hash, err := e.Link(c.Hash)
	if err != nil {
		return err
	}
	if hash != e.Hash {
		return &ChainError{e.Number, "changed"}
	}
	c.Number, c.Hash = e.Number, hash
	return nil
}
