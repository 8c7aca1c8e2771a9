package session

import (
	"hash/maphash"
	"sync/atomic"
	"weak"

	"github.com/secondgate/secondgate/mfa"
)

const epochCount = 4096

// epochs ends cached sessions without an index of them and without a lock: each
// change of a user moves that user's number, and an entry holds while the number
// that was read before it was loaded stands. Users that share a number cost each
// other a look at the store, nothing else.
type epochs struct {
	seed    maphash.Seed
	numbers [epochCount]atomic.Uint64
}

func newEpochs() *epochs { return &epochs{seed: maphash.MakeSeed()} }

// epoch is a user's number as it was.
type epoch struct {
	number *atomic.Uint64
	was    uint64
}

func (e epoch) holds() bool { return e.number.Load() == e.was }

func (es *epochs) number(user mfa.UserID) *atomic.Uint64 {
	return &es.numbers[maphash.String(es.seed, string(user))%epochCount]
}

func (es *epochs) of(user mfa.UserID) epoch {
	n := es.number(user)
	return epoch{n, n.Load()}
}

// bump moves a user's number, or, with "", everybody's.
func (es *epochs) bump(user mfa.UserID) {
	if user != "" {
		es.number(user).Add(1)
		return
	}
	for i := range es.numbers {
		es.numbers[i].Add(1)
	}
}

// follow moves the numbers with the store's changes. The store keeps its
// listeners for ever, and may outlive the manager over a reload: it is given no
// more than a weak pointer.
func (es *epochs) follow(changes mfa.Changes) {
	w := weak.Make(es)
	changes.OnChange(func(user mfa.UserID) {
		if es := w.Value(); es != nil {
			es.bump(user)
		}
	})
}
