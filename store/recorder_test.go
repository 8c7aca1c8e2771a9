package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// fakeLog is an event log that fails or hangs when it is told to.
type fakeLog struct {
	mfa.EventLog // the recorder only appends

	mu     sync.Mutex
	kept   []mfa.Event
	writes []int // how many each held
	fail   error
	slow   time.Duration
	most   int // in one write; 0: any number
}

func (l *fakeLog) AppendEvents(ctx context.Context, list []mfa.Event) error {
	l.mu.Lock()
	slow := l.slow
	l.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.fail != nil:
		return l.fail
	case l.most > 0 && len(list) > l.most:
		return mfa.ErrTooLarge
	}
	l.kept, l.writes = append(l.kept, list...), append(l.writes, len(list))
	return nil
}

func (l *fakeLog) set(fail error, slow time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail, l.slow = fail, slow
}

// details returns what was kept, by its detail, and the notes of losses apart.
func (l *fakeLog) details() (kept, notes []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.kept {
		if e.Name == mfa.EventEventsLost {
			notes = append(notes, e.Detail)
			continue
		}
		kept = append(kept, e.Detail)
	}
	return kept, notes
}

// recording runs test with a recorder, on a clock that only moves when everybody
// waits, and returns what was logged.
func recording(t *testing.T, test func(t *testing.T, r *Recorder, l *fakeLog)) (logged string) {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLog{}
		r := OpenRecorder(l, RecorderOptions{Logger: slog.New(slog.NewTextHandler(&out, nil))})
		test(t, r, l)
		_ = r.Close(context.Background())
	})
	return out.String()
}

func record(r *Recorder, from, to int) {
	for i := from; i < to; i++ {
		r.Record(context.Background(), mfa.Event{Name: mfa.EventVerify, Detail: fmt.Sprint(i)})
	}
}

func numbers(from, to int) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %d %.200v, want %d %.200v", what, len(got), got, len(want), want)
	}
}

func TestRecorder_writesOnceASecond(t *testing.T) {
	logged := recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		record(r, 0, 3)
		time.Sleep(recordEvery - time.Millisecond)
		kept, _ := l.details()
		same(t, "before the second is over", kept, nil)
		time.Sleep(2 * time.Millisecond)
		kept, notes := l.details()
		same(t, "after a second", kept, numbers(0, 3))
		same(t, "notes", notes, nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(l.writes) != 1 {
			t.Errorf("writes of %v, want one", l.writes)
		}
	})
	if logged != "" {
		t.Errorf("logged %s", logged)
	}
}

func TestRecorder_writesAFullBatchAtOnce(t *testing.T) {
	recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		record(r, 0, recordBatch)
		synctest.Wait()
		time.Sleep(time.Millisecond)
		kept, _ := l.details()
		same(t, "without waiting", kept, numbers(0, recordBatch))
	})
}

func TestRecorder_completesAnEvent(t *testing.T) {
	recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		long := strings.Repeat("ü", maxText)
		at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		gone, cancel := context.WithCancel(context.Background())
		cancel() // whoever was refused does not wait for the answer
		start := time.Now()
		r.Record(gone, mfa.Event{Name: mfa.EventSignIn, UserName: "hunter2", Host: long, Detail: "x" + long})
		r.Record(gone, mfa.Event{Name: mfa.EventSignIn, At: at, User: "u", UserName: "alice"})
		r.Record(gone, mfa.Event{Name: mfa.EventAdmin, UserName: "alice"})
		time.Sleep(2 * recordEvery)
		synctest.Wait()
		if len(l.kept) != 3 {
			t.Fatalf("%d events", len(l.kept))
		}
		stranger, alice, admin := l.kept[0], l.kept[1], l.kept[2]
		if stranger.UserName != "" {
			t.Errorf("what a stranger typed is kept: %q", stranger.UserName)
		}
		if !stranger.At.Equal(start) || !alice.At.Equal(at) {
			t.Errorf("times %v and %v", stranger.At, alice.At)
		}
		if stranger.Host != strings.Repeat("ü", maxText/2) || stranger.Detail != "x"+strings.Repeat("ü", maxText/2-1) {
			t.Errorf("texts of %d and %d bytes", len(stranger.Host), len(stranger.Detail))
		}
		if alice.UserName != "alice" || admin.UserName != "alice" {
			t.Errorf("names %q and %q", alice.UserName, admin.UserName)
		}
	})
}

// AC-187, AC-231: a disk that hangs must not hold up a sign-in, nor eat the memory,
// nor hide that something is missing.
func TestRecorder_AC187_neverWaitsForASlowLog(t *testing.T) {
	logged := recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		l.set(nil, recordTime/2)
		record(r, 0, recordBatch)
		synctest.Wait() // the first write hangs
		start := time.Now()
		record(r, recordBatch, recordBatch+maxWaiting+100)
		if took := time.Since(start); took != 0 {
			t.Errorf("recording took %s", took)
		}
		if n := len(r.waiting); n != maxWaiting {
			t.Errorf("%d events wait", n)
		}
		l.set(nil, 0)
		time.Sleep(recordTime)
		kept, notes := l.details()
		same(t, "kept", kept, numbers(0, recordBatch+maxWaiting))
		same(t, "notes", notes, []string{"100"})
	})
	if n := strings.Count(logged, "\n"); n != 1 || !strings.Contains(logged, "count=100") {
		t.Errorf("logged %s", logged)
	}
}

func TestRecorder_AC187_givesAHangingLogUp(t *testing.T) {
	logged := recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		l.set(nil, time.Hour)
		record(r, 0, 2)
		time.Sleep(recordTime + 2*recordEvery) // the second try hangs already: the first lost both
		record(r, 2, 3)
		l.set(nil, 0)
		time.Sleep(recordTime + 2*recordEvery)
		kept, notes := l.details()
		same(t, "kept", kept, numbers(2, 3))
		same(t, "notes", notes, []string{"2"})
	})
	if !strings.Contains(logged, "deadline exceeded") {
		t.Errorf("logged %s", logged)
	}
}

// AC-231: while the log fails, what is lost is counted; when it works again that is
// said once, there and in the log.
func TestRecorder_AC231_tellsOnceWhatWasLost(t *testing.T) {
	logged := recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		l.set(errors.New("the disk is nearly full"), 0)
		for i := range 60 { // a minute of failures
			record(r, i*10, i*10+10)
			time.Sleep(recordEvery)
		}
		synctest.Wait()
		l.set(nil, 0)
		time.Sleep(2 * recordEvery) // nothing happens, and the note comes all the same
		_, notes := l.details()
		same(t, "notes", notes, []string{"600"})
		record(r, 600, 603)
		time.Sleep(2 * recordEvery)
		kept, notes := l.details()
		same(t, "kept", kept, numbers(600, 603))
		same(t, "notes", notes, []string{"600"})
	})
	if strings.Count(logged, "level=ERROR") != 1 || strings.Count(logged, "count=600") != 1 || strings.Count(logged, "\n") != 2 {
		t.Errorf("logged %s", logged)
	}
}

// What counts losses is told of each event once, as it is lost, and never of the notes
// that tell of losses.
func TestRecorder_Lost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLog{}
		var lost atomic.Int64
		r := OpenRecorder(l, RecorderOptions{Lost: func(n int) { lost.Add(int64(n)) }})
		l.set(errors.New("the disk is nearly full"), 0)
		record(r, 0, 10)
		time.Sleep(2 * recordEvery)
		if n := lost.Load(); n != 10 {
			t.Errorf("%d lost while writes fail, want 10", n)
		}
		time.Sleep(5 * time.Minute) // notes are tried and fail
		if n := lost.Load(); n != 10 {
			t.Errorf("%d lost, want 10: a note counts as none", n)
		}
		l.set(nil, 0)
		time.Sleep(2 * recordEvery)
		l.set(nil, time.Hour)
		record(r, 0, recordBatch) // one write hangs, and the queue fills up behind it
		synctest.Wait()
		record(r, 0, maxWaiting+7)
		if n := lost.Load(); n != 17 {
			t.Errorf("%d lost with a full queue, want 17", n)
		}
		l.set(nil, 0)
		_ = r.Close(context.Background())
	})
}

// A failure under load takes one batch a second, and leaves the rest the chance of
// being kept.
func TestRecorder_aFailureLeavesTheOthersWaiting(t *testing.T) {
	recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		l.set(errors.New("for a moment"), 0)
		record(r, 0, recordBatch)
		synctest.Wait()
		time.Sleep(time.Millisecond)
		for i := range 10 {
			record(r, recordBatch+i*100, recordBatch+i*100+100)
			synctest.Wait()
		}
		l.set(nil, 0)
		time.Sleep(2 * recordEvery)
		kept, notes := l.details()
		same(t, "kept", kept, numbers(recordBatch, recordBatch+1000))
		same(t, "notes", notes, []string{fmt.Sprint(recordBatch)})
	})
}

// Whoever makes more events than can be written is told of once a minute.
func TestRecorder_tellsOfAFloodOnceAMinute(t *testing.T) {
	logged := recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		l.set(nil, time.Second)
		for range 150 {
			record(r, 0, 2*recordBatch)
			time.Sleep(time.Second)
		}
		_, notes := l.details()
		if len(notes) < 2 || len(notes) > 3 {
			t.Errorf("%d notes in two and a half minutes, the first of which have room: %v", len(notes), notes)
		}
		l.set(nil, 0)
		time.Sleep(2 * time.Minute)
		kept, notes := l.details()
		sum := len(kept)
		for _, n := range notes {
			var lost int
			_, _ = fmt.Sscan(n, &lost)
			sum += lost
		}
		if sum != 150*2*recordBatch {
			t.Errorf("kept and lost are %d, want %d", sum, 150*2*recordBatch)
		}
	})
	if n := strings.Count(logged, "\n"); n > 4 {
		t.Errorf("%d lines:\n%s", n, logged)
	}
}

func TestRecorder_cutsAListThatIsTooLarge(t *testing.T) {
	recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
		l.most = 10
		record(r, 0, recordBatch)
		time.Sleep(2 * recordEvery)
		kept, notes := l.details()
		same(t, "kept", kept, numbers(0, recordBatch))
		same(t, "notes", notes, nil)
	})
}

func TestRecorder_Close(t *testing.T) {
	t.Run("writes what waits", func(t *testing.T) {
		recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
			record(r, 0, 1000)
			for range 2 {
				if err := r.Close(context.Background()); err != nil {
					t.Error(err)
				}
			}
			record(r, 1000, 1001)
			kept, _ := l.details()
			same(t, "kept", kept, numbers(0, 1000))
		})
	})
	t.Run("says what was not kept", func(t *testing.T) {
		recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
			l.set(errors.New("full"), 0)
			record(r, 0, 1000)
			if err := r.Close(context.Background()); err == nil || !strings.Contains(err.Error(), "1000 were not kept") {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("tells of losses though it did a moment ago", func(t *testing.T) {
		recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
			for range 2 {
				l.set(errors.New("full"), 0)
				record(r, 0, 5)
				time.Sleep(recordEvery + time.Millisecond)
				l.set(nil, 0)
				time.Sleep(2 * recordEvery)
			}
			_, notes := l.details()
			same(t, "before", notes, []string{"5"})
			if err := r.Close(context.Background()); err != nil {
				t.Error(err)
			}
			_, notes = l.details()
			same(t, "after", notes, []string{"5", "5"})
		})
	})
	t.Run("waits no longer than it was told to", func(t *testing.T) {
		recording(t, func(t *testing.T, r *Recorder, l *fakeLog) {
			l.set(nil, time.Hour)
			record(r, 0, 1)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			start := time.Now()
			if err := r.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("it took %s", took)
			}
		})
	})
}

func TestRecorder_manyAtOnce(t *testing.T) {
	l := &fakeLog{}
	r := OpenRecorder(l, RecorderOptions{})
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { record(r, 0, 50) })
	}
	wg.Wait()
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if kept, _ := l.details(); len(kept) != 64*50 {
		t.Errorf("%d events kept", len(kept))
	}
}
