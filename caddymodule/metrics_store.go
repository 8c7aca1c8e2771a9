package caddymodule

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/secondgate/secondgate/mfa"
)

// measuredStore measures what a store does: how long each operation takes, which could
// not be carried out, and, where a request is traced, a span for each. What it has no
// method for passes by unmeasured; a test names it.
type measuredStore struct {
	openStore
	metrics *metrics
}

func measure(s openStore, m *metrics) *measuredStore { return &measuredStore{s, m} }

// unmeasured returns the store itself, without what measures it.
func unmeasured(s openStore) openStore {
	if m, ok := s.(*measuredStore); ok {
		return m.openStore
	}
	return s
}

// operation is one that is under way.
type operation struct {
	ctx     context.Context
	name    string
	begun   time.Time
	span    trace.Span // nil where nobody traces
	metrics *metrics
}

func (s *measuredStore) begin(ctx context.Context, name string) operation {
	ctx, span := beginStoreSpan(ctx, name)
	return operation{ctx, name, time.Now(), span, s.metrics}
}

// end says how the operation ended; own is the error of the function that the caller
// gave to it, which is an answer of the caller's and no failure of the store.
func (op operation) end(err, own error) {
	op.metrics.storeTime.WithLabelValues(op.name).Observe(time.Since(op.begun).Seconds())
	failed := storeFailed(err, own)
	// There from the first use on, at zero: what counts from one is seen too late.
	faults := op.metrics.storeErrors.WithLabelValues(op.name)
	if failed {
		faults.Inc()
	}
	if op.span != nil {
		endSpan(op.span, failed)
	}
}

// storeFailed reports whether the error means that the store could not do its work.
func storeFailed(err, own error) bool {
	switch {
	case err == nil, own != nil && errors.Is(err, own):
		return false
	case errors.Is(err, mfa.ErrNotFound), errors.Is(err, mfa.ErrTaken), errors.Is(err, mfa.ErrTooLarge), errors.Is(err, mfa.ErrCursor):
		return false // answers
	case errors.Is(err, context.Canceled):
		return false // who asked has gone
	}
	return true
}

// watch returns a change that remembers its error. It may run more than once: the last
// one counts.
func watch[T any](change func(T) error) (watched func(T) error, own *error) {
	own = new(error)
	return func(v T) error {
		*own = change(v)
		return *own
	}, own
}
