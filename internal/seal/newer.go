package seal

import (
	"context"
	"sync"
	"time"
)

const (
	// lookPause is how much time lies between two looks for newer keys, however many ask:
	// anybody can send a token of a key that there is not.
	lookPause = 100 * time.Millisecond
	// lookTime is how long one look may take.
	lookTime = time.Second
	// mostStrange is how many names of keys that are nowhere are remembered.
	mostStrange = 1024
)

// looks are those for keys that this node has not heard of. After a theft of the keys a new
// one seals and signs at once, and a node that stood still for longer than a new key waits
// missed it: what is good on every other node would be forged or damaged here.
type looks struct {
	turn sync.Mutex
	told time.Time // when the last one began
	err  error     // what it ended with
}

// Newer looks whether another node has made keys that this one has not heard of, and takes
// them. It returns when a look has ended that began after the call; one look answers
// everybody who waits, and looks are no closer together than a tenth of a second, so that it
// may be called for whatever strangers send. An error means that nobody can say.
func (ks *Keyset) Newer(ctx context.Context) error {
	if ks.vault == nil {
		return nil
	}
	came, l := time.Now(), &ks.looks
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.told.After(came) {
		return l.err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(l.told.Add(lookPause))):
	}
	l.told = time.Now()
	// Not with the caller's context: the answer is everybody's.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	l.err = ks.Refresh(ctx)
	return l.err
}

// strange are the names of keys that were looked for in vain. A key is kept before anything
// is sealed with it, so what was not there when it was looked for is gone, or never was.
type strange struct {
	mu    sync.Mutex
	heads map[[headSize]byte]bool
}

// isNew reports whether it is worth looking for that key.
func (s *strange) isNew(head [headSize]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.heads[head]
}

func (s *strange) add(head [headSize]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heads == nil || len(s.heads) >= mostStrange {
		s.heads = make(map[[headSize]byte]bool)
	}
	s.heads[head] = true
}

// newer returns the ciphers with the key of that head, where another node has made it.
func (b *Box) newer(head [headSize]byte) *ciphers {
	if !b.strange.isNew(head) {
		return nil
	}
	if err := b.keys.Newer(context.Background()); err != nil {
		return nil // nobody can say now; the next one who reads it asks again
	}
	c := b.now()
	if c.opening[head] == nil {
		b.strange.add(head)
		return nil
	}
	return c
}
