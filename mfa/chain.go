package mfa

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Link returns the hash that chains the event to the one before it, whose hash is before
// ("" for the first of all): SHA-256 over both, in hex. The event has its Number by then.
// The bytes that are hashed after before are the event as encoding/json writes it, without
// its hash, which is its last field: whoever has an export of one event a line cuts
// `,"hash":"…"` out of the line, and can compute the chain without us.
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

// Chained returns the event as a store keeps it behind the one whose hash is before: with
// its number and hash, its time in UTC, and its texts such that reading them back gives
// the same ones. An error where it cannot be written at all.
func (e Event) Chained(number uint64, before string) (Event, error) {
	e.At = e.At.UTC()
	for _, text := range []*string{
		(*string)(&e.Name), &e.Reason, (*string)(&e.User), &e.UserName, (*string)(&e.Factor), &e.Session, &e.Network,
		&e.Host, &e.Agent, &e.Decision, &e.Detail, &e.Actor, (*string)(&e.ActorID),
	} {
		*text = strings.ToValidUTF8(*text, "\uFFFD")
	}
	e.Number = number
	var err error
	e.Hash, err = e.Link(before)
	return e, err
}

// ChainEnds say where the kept events begin and end. Events that were kept before there
// was a chain have no number, and stand before its beginning.
type ChainEnds struct {
	// First is the number of the first event that is kept, Last+1 where none is, and
	// Before the hash of the one before it, which was forgotten ("" where there was none).
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
	What   string // one of the Chain… constants
}

// What may be wrong with a chain.
const (
	ChainChanged   = "changed"
	ChainMissing   = "missing"
	ChainReordered = "reordered"
	ChainCut       = "cut" // it, and all behind it, are gone
)

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
		return &ChainError{c.Number + 1, ChainMissing}
	case e.Number != c.Number+1:
		return &ChainError{e.Number, ChainReordered}
	}
	hash, err := e.Link(c.Hash)
	if err != nil {
		return err
	}
	if hash != e.Hash {
		return &ChainError{e.Number, ChainChanged}
	}
	c.Number, c.Hash = e.Number, hash
	return nil
}

// End checks that the chain ends where the store says. *ChainError.
func (c *Chain) End(ends ChainEnds) error {
	switch {
	case c.Number < ends.Last:
		return &ChainError{c.Number + 1, ChainCut}
	case c.Number == ends.Last && c.Hash != ends.Head:
		return &ChainError{c.Number, ChainChanged}
	}
	return nil
}

// chainPart is how many events CheckChain holds at once.
const chainPart = 1000

// CheckChain reads all kept events and checks that none was changed, removed or moved
// (*ChainError), and returns the ends of what it checked. noted is an event's number and
// hash that were written down elsewhere, at an earlier check for example: whoever can
// write the whole store can make a new chain, but not one that has that hash there. The
// zero value compares with nothing. Events that are kept or forgotten meanwhile do no
// harm.
func CheckChain(ctx context.Context, log EventLog, noted Chain) (ChainEnds, error) {
	ends, err := log.ChainEnds(ctx)
	if err != nil {
		return ChainEnds{}, err
	}
	switch {
	case ends.Last < noted.Number:
		return ends, &ChainError{ends.Last + 1, ChainCut}
	case ends.First == 0 || ends.First > ends.Last+1:
		return ends, &ChainError{ends.First, ChainCut}
	}
	c := Chain{Number: ends.First - 1, Hash: ends.Before}
	known := func() error {
		if c.Number == noted.Number && c.Number > 0 && c.Hash != noted.Hash {
			return &ChainError{c.Number, ChainChanged}
		}
		return nil
	}
	if err := known(); err != nil {
		return ends, err
	}
	for c.Number < ends.Last {
		list, err := log.EventsInOrder(ctx, c.Number+1, chainPart)
		if err != nil {
			return ends, err
		}
		now, err := log.ChainEnds(ctx)
		if err != nil {
			return ends, err
		}
		if now.First > c.Number+1 {
			// What was to be read next was forgotten meanwhile.
			c = Chain{Number: now.First - 1, Hash: now.Before}
			ends.First, ends.Before = now.First, now.Before
			continue
		}
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			if e.Number > ends.Last {
				break // it came meanwhile
			}
			if err := c.Next(e); err != nil {
				return ends, err
			}
			if err := known(); err != nil {
				return ends, err
			}
		}
		if last := list[len(list)-1].Number; last > ends.Last && c.Number < ends.Last {
			return ends, &ChainError{c.Number + 1, ChainMissing}
		}
	}
	if c.Number > ends.Last {
		return ends, nil // all of it was forgotten meanwhile
	}
	return ends, c.End(ends)
}
