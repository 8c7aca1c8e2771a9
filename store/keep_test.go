package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

func adminEvent(detail string) mfa.Event { return mfa.Event{Name: mfa.EventAdmin, Detail: detail} }

// AC-231: what an administrator does is kept, or not done.
func TestRecorder_Keep_AC231_returnsOnceItIsKept(t *testing.T) {
	recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		record(r, 0, 3)
		l.set(nil, 200*time.Millisecond)
		start := time.Now()
		if err := r.Keep(context.Background(), adminEvent("3"+strings.Repeat("x", 2*maxText))); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 200*time.Millisecond {
			t.Errorf("it took %s, want the time of one write", took)
		}
		if len(l.kept) != 4 || l.kept[2].Detail != "2" || l.kept[3].Detail[0] != '3' {
			t.Fatalf("kept %v", l.kept)
		}
		if e := l.kept[3]; len(e.Detail) != maxText || e.At.IsZero() {
			t.Errorf("a detail of %d bytes at %s", len(e.Detail), e.At)
		}
	})
}

func TestRecorder_Keep_AC231_saysThatItIsNotKept(t *testing.T) {
	full := errors.New("full")
	logged := recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		l.set(full, 0)
		record(r, 0, 3)
		for range 2 { // the second while it fails already
			if err := r.Keep(context.Background(), adminEvent("a")); !errors.Is(err, full) {
				t.Errorf("got %v", err)
			}
		}
		l.set(nil, 0)
		if err := r.Keep(context.Background(), adminEvent("b")); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * recordEvery)
		kept, notes := l.details()
		same(t, "kept", kept, []string{"b"})
		same(t, "lost, besides those whose keeping somebody waited for", notes, []string{"3"})
	})
	if strings.Count(logged, "level=ERROR") != 1 {
		t.Errorf("logged %s", logged)
	}
}

// What the caller gave up is not in the log as though it had been done.
func TestRecorder_Keep_takesBackWhatNobodyWaitsFor(t *testing.T) {
	recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		l.set(nil, 5*time.Second)
		record(r, 0, recordBatch)
		synctest.Wait() // the first write is under way
		record(r, recordBatch, recordBatch+2)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := r.Keep(ctx, adminEvent("given up")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("it took %s", took)
			}
		})
		synctest.Wait()
		record(r, recordBatch+2, recordBatch+4)
		wg.Wait()
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		if err := r.Keep(gone, adminEvent("gone")); !errors.Is(err, context.Canceled) {
			t.Errorf("of a caller who has gone: %v", err)
		}
		time.Sleep(time.Minute)
		kept, _ := l.details()
		same(t, "kept", kept, numbers(0, recordBatch+4))
	})
}

// While it is being written nobody can take it back: the answer is how that went.
func TestRecorder_Keep_waitsForTheWriteThatIsUnderWay(t *testing.T) {
	recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		l.set(nil, 3*time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := r.Keep(ctx, adminEvent("a")); err != nil {
			t.Errorf("it is kept, and the answer is %v", err)
		}
		kept, _ := l.details()
		same(t, "kept", kept, []string{"a"})
	})
}

// AC-187: a flood of events does not keep administrators from stopping it.
func TestRecorder_Keep_AC187_hasRoomInAFlood(t *testing.T) {
	recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		l.set(nil, time.Second)
		record(r, 0, recordBatch)
		synctest.Wait()
		record(r, recordBatch, recordBatch+2*maxWaiting)
		var wg sync.WaitGroup
		for i := range maxKeeping {
			wg.Go(func() {
				if err := r.Keep(context.Background(), adminEvent(fmt.Sprint("keep", i))); err != nil {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		synctest.Wait()
		if err := r.Keep(context.Background(), adminEvent("too many")); !errors.Is(err, mfa.ErrBusy) {
			t.Errorf("beyond what may wait: %v", err)
		}
		wg.Wait()
		if kept, _ := l.details(); len(kept) != recordBatch+maxWaiting+maxKeeping {
			t.Errorf("%d are kept", len(kept))
		}
	})
}

func TestRecorder_Keep_afterAndDuringClose(t *testing.T) {
	recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		l.set(errors.New("full"), time.Second)
		record(r, 0, recordBatch)
		synctest.Wait() // this write fails, and so does the last one
		var wg sync.WaitGroup
		for i := range 2 * maxKeeping {
			wg.Go(func() {
				if err := r.Keep(context.Background(), adminEvent(fmt.Sprint(i))); err == nil {
					t.Error("it says that it is kept")
				}
			})
		}
		synctest.Wait()
		_ = r.Close(context.Background())
		wg.Wait() // nobody waits for ever
		if err := r.Keep(context.Background(), adminEvent("late")); err == nil {
			t.Error("after the end it says that it is kept")
		}
		if kept, _ := l.details(); len(kept) != 0 {
			t.Errorf("kept %v", kept)
		}
	})
}

func TestRecorder_Keep_inPartsOfAListThatIsTooLarge(t *testing.T) {
	recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		l.most = 10
		record(r, 0, 100)
		if err := r.Keep(context.Background(), adminEvent("100")); err != nil {
			t.Error(err)
		}
		kept, _ := l.details()
		same(t, "kept", kept, numbers(0, 101))
	})
}
