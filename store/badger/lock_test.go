package badger

import (
	"context"
	"strconv"
	"testing"
)

// Work under one lock lasts for minutes, and may take another one: two names are never one
// lock, however many there are.
func TestExclusively_EachNameIsALockOfItsOwn(t *testing.T) {
	s := new(Store)
	var hold func(ctx context.Context, n int) error
	hold = func(ctx context.Context, n int) error {
		if n == 0 {
			return nil
		}
		return s.Exclusively(ctx, strconv.Itoa(n), func(ctx context.Context) error { return hold(ctx, n-1) })
	}
	if err := hold(t.Context(), 300); err != nil {
		t.Error(err)
	}
}
