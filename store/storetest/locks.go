package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

var locks = []test{
	{"one_at_a_time_and_all_of_them", func(t *testing.T, s mfa.Store) {
		var in, most atomic.Int32
		won := race(t, many, func(int) error {
			return s.Exclusively(ctx, "work", func(context.Context) error {
				most.Store(max(most.Load(), in.Add(1)))
				defer in.Add(-1)
				time.Sleep(100 * time.Microsecond)
				return nil
			})
		}, mfa.ErrBusy)
		if most.Load() != 1 || won == 0 {
			t.Errorf("%d at once, %d in all", most.Load(), won)
		}
	}},
	{"work_uses_the_store_and_its_error_comes_back_as_it_is", func(t *testing.T, s mfa.Store) {
		own := errors.New("own")
		err := s.Exclusively(ctx, "work", func(ctx context.Context) error {
			must(t, s.CreateUser(ctx, newUser("alice")))
			must(t, s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Disabled = true; return nil }))
			return own
		})
		if err != own { //nolint:errorlint // as it is
			t.Errorf("got %v", err)
		}
		u, err := s.User(ctx, "id-alice")
		must(t, err)
		if !u.Disabled {
			t.Error("what work did was undone")
		}
		must(t, s.Exclusively(ctx, "work", func(context.Context) error { return nil }))
	}},
	{"another_name_is_another_lock", func(t *testing.T, s mfa.Store) {
		must(t, s.Exclusively(ctx, "one", func(ctx context.Context) error {
			return s.Exclusively(ctx, "two", func(context.Context) error { return nil })
		}))
	}},
	{"AC-187_whoever_waits_in_vain_is_told_and_work_does_not_run", func(t *testing.T, s mfa.Store) {
		leave := occupy(t, s, "work")
		none := func(context.Context) error { t.Error("work ran"); return nil }
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		wantErr(t, s.Exclusively(short, "work", none), mfa.ErrBusy)
		began := time.Now()
		wantErr(t, s.Exclusively(ctx, "work", none), mfa.ErrBusy)
		if waited := time.Since(began); waited < 4*time.Second {
			t.Errorf("gave up after %v", waited)
		}
		gone, cancel := context.WithCancel(ctx)
		time.AfterFunc(20*time.Millisecond, cancel)
		wantErr(t, s.Exclusively(gone, "work", none), context.Canceled)
		wantErr(t, s.Exclusively(gone, "free", none), context.Canceled)
		late, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
		defer cancel()
		wantErr(t, s.Exclusively(late, "free", none), context.DeadlineExceeded)
		leave()
		must(t, s.Exclusively(ctx, "work", func(context.Context) error { return nil }))
	}},
	{"work_hears_that_its_caller_has_gone", func(t *testing.T, s mfa.Store) {
		c, cancel := context.WithCancel(ctx)
		wantErr(t, s.Exclusively(c, "work", func(ctx context.Context) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}), context.Canceled)
		must(t, s.Exclusively(ctx, "work", func(context.Context) error { return nil }))
	}},
	{"work_that_panics_lets_go", func(t *testing.T, s mfa.Store) {
		func() {
			defer func() {
				if p := recover(); p != "own" {
					t.Errorf("got %v", p)
				}
			}()
			_ = s.Exclusively(ctx, "work", func(context.Context) error { panic("own") })
		}()
		must(t, s.Exclusively(ctx, "work", func(context.Context) error { return nil }))
	}},
}

// occupy has somebody work under that name until leave is called.
func occupy(t *testing.T, s mfa.Store, name string) (leave func()) {
	t.Helper()
	var task sync.WaitGroup
	inside, over := make(chan struct{}), make(chan struct{})
	enter := sync.OnceFunc(func() { close(inside) })
	task.Go(func() {
		defer enter()
		err := s.Exclusively(ctx, name, func(context.Context) error {
			enter()
			<-over
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-inside
	leave = sync.OnceFunc(func() {
		close(over)
		task.Wait()
	})
	t.Cleanup(leave)
	return leave
}
