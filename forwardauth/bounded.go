package forwardauth

import (
	"context"
	"sync"
	"time"
)

// timeout is how long an answer may take: proxies give up, or keep people waiting.
const timeout = 1800 * time.Millisecond

// bounded is a context that ends with the one that it is made of, or timeout after somebody
// has begun to wait for it. Most answers come out of memory, where nobody waits and no timer
// is needed. It is safe for concurrent use.
type bounded struct {
	context.Context

	mu     sync.Mutex
	within context.Context // nil: nobody has waited yet
	cancel context.CancelFunc
	over   bool // the answer is given
}

// waits returns the context that counts, and starts its time.
func (b *bounded) waits() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.within == nil {
		b.within, b.cancel = context.WithTimeout(b.Context, timeout)
		if b.over {
			b.cancel()
		}
	}
	return b.within
}

// Deadline, Done and Err are those of context.WithTimeout.

func (b *bounded) Deadline() (time.Time, bool) { return b.waits().Deadline() }
func (b *bounded) Done() <-chan struct{}       { return b.waits().Done() }
func (b *bounded) Err() error                  { return b.waits().Err() }

// end cancels it: the answer is given.
func (b *bounded) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	if b.cancel != nil {
		b.cancel()
	}
}

var _ context.Context = (*bounded)(nil)
