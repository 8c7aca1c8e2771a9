package seal

import (
	"context"
	"errors"
	"testing"
	"time"
)

// AC-115: no is said no sooner than a hash of ours would be done; yes at once.
func TestHasher_AC115_Alike(t *testing.T) {
	h, err := NewHasher(HasherConfig{Params: PasswordParams, Concurrent: 1, Queue: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, err := h.Hash(ctx, []byte("a password")); err != nil {
		t.Fatal(err)
	}
	ours := time.Duration(h.took.Load())
	began := time.Now()
	if ok, err := h.Alike(ctx, func() bool { return false }); ok || err != nil {
		t.Errorf("no: %t, %v", ok, err)
	}
	if took := time.Since(began); took < ours {
		t.Errorf("no came after %s, a hash takes %s", took, ours)
	}
	if ok, err := h.Alike(ctx, func() bool { return true }); !ok || err != nil {
		t.Errorf("yes: %t, %v", ok, err)
	}
	if h.took.Load() != int64(ours) {
		t.Error("work of another kind changed how long ours is thought to take")
	}
}

// AC-208: work of another kind takes a slot like ours, and is turned away like ours.
func TestHasher_AC208_AlikeIsBounded(t *testing.T) {
	h, err := NewHasher(HasherConfig{Params: CodeParams, Concurrent: 1, Queue: 1})
	if err != nil {
		t.Fatal(err)
	}
	h.took.Store(1)
	inside, release := make(chan bool), make(chan bool)
	go func() {
		_, _ = h.Alike(context.Background(), func() bool { inside <- true; <-release; return true })
	}()
	<-inside
	waiting, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := h.Alike(waiting, func() bool { return true })
		done <- err
	}()
	for h.waiting.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	if ok, err := h.Alike(context.Background(), func() bool { return true }); ok || !errors.Is(err, ErrBusy) {
		t.Errorf("beyond the queue: %t, %v", ok, err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("who stopped waiting: %v", err)
	}
	close(release)
	// Whoever goes away while no is held back is not waited for.
	h.took.Store(int64(time.Hour))
	gone, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if ok, err := h.Alike(gone, func() bool { return false }); ok || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who went away: %t, %v", ok, err)
	}
}
