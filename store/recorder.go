package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

const (
	// maxWaiting is how many events wait for their write at most.
	maxWaiting = 4096
	// maxKeeping is how many more of those may wait whose keeping somebody waits for:
	// whoever floods the gateway with events must not keep administrators from work.
	maxKeeping = 256
	// One write holds so many events, and is made when as many wait, or after this
	// time.
	recordBatch = 256
	recordEvery = time.Second
	// recordTime is how long one write may take.
	recordTime = 10 * time.Second
	// tellEvery is how often at most it is said that events were lost: whoever
	// makes more of them than can be written must not fill the log with that, too.
	tellEvery = time.Minute
	// maxText is how many bytes are kept of a text that may come from outside.
	maxText = 256
)

// Recorder implements mfa.KeptEvents on an event log. Nobody who records an event
// waits for the disk, or fails because it does: events wait in memory and are
// written together, within a second. So the last of them are lost in a crash; and
// what does not fit, or cannot be written, is lost as well, but never silently:
// the number is logged, and kept as an event (mfa.EventEventsLost) as soon as
// events can be kept again. Only who calls Keep waits, and is told.
type Recorder struct {
	log    mfa.EventLog
	logger *slog.Logger
	now    func() time.Time
	onLost func(int)

	mu      sync.Mutex
	waiting []waiting
	lost    int // and not told yet
	closed  bool

	wake    chan struct{}
	closing chan struct{}
	done    chan struct{}
	ctx     context.Context // ends when Close waits no longer
	stop    context.CancelFunc

	// Of the goroutine that writes, and of it alone.
	failing bool      // the last write failed, and that was logged
	told    time.Time // when losses were told last
}

// waiting is an event that is not written yet.
type waiting struct {
	event mfa.Event
	kept  chan error // told once how it went; nil: nobody waits for that
}

// RecorderOptions are for OpenRecorder. The zero value will do.
type RecorderOptions struct {
	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
	// Lost, if set, is told how many events more are lost, each of them once. It must
	// not block, and be safe for concurrent use.
	Lost func(n int)
}

// OpenRecorder returns a recorder that writes to log until it is closed. Close it
// before the log.
func OpenRecorder(log mfa.EventLog, o RecorderOptions) *Recorder {
	r := &Recorder{
		log: log, logger: o.Logger, now: o.Now, onLost: o.Lost,
		wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
	if r.logger == nil {
		r.logger = slog.New(slog.DiscardHandler)
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.onLost == nil {
		r.onLost = func(int) {}
	}
	r.ctx, r.stop = context.WithCancel(context.Background())
	go r.run()
	return r
}

// Record implements mfa.Events. It goes on when ctx has ended: what happened has
// happened, whether or not the one who did it waits for the answer. After Close it
// does nothing.
func (r *Recorder) Record(_ context.Context, e mfa.Event) {
	e = r.prepare(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return
	case len(r.waiting) >= maxWaiting:
		r.lost++
		r.onLost(1)
		return
	}
	r.waiting = append(r.waiting, waiting{event: e})
	if len(r.waiting) >= recordBatch {
		r.wakeUp()
	}
}

// Keep implements mfa.KeptEvents. mfa.ErrBusy where too many wait already, and an error
// after Close. Where ctx ends before the event is being written, it is taken back. An
// error of the log's is returned; nobody knows then whether the event was kept.
func (r *Recorder) Keep(ctx context.Context, e mfa.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e = r.prepare(e)
	kept := make(chan error, 1)
	r.mu.Lock()
	switch {
	case r.closed:
		r.mu.Unlock()
		return errRecorderClosed
	case len(r.waiting) >= maxWaiting+maxKeeping:
		r.mu.Unlock()
		return fmt.Errorf("keeping an event: too many wait: %w", mfa.ErrBusy)
	}
	r.waiting = append(r.waiting, waiting{e, kept})
	r.wakeUp()
	r.mu.Unlock()
	select {
	case err := <-kept:
		return err
	case <-r.done:
		select {
		case err := <-kept:
			return err
		default:
			return errRecorderClosed
		}
	case <-ctx.Done():
	}
	if r.takeBack(kept) {
		return fmt.Errorf("keeping an event: %w", ctx.Err())
	}
	return <-kept // it is being written, and that takes a limited time
}

var errRecorderClosed = errors.New("keeping an event: the recorder is closed")

// takeBack removes the event from those that wait, and reports whether it was there.
func (r *Recorder) takeBack(kept chan error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.waiting, func(w waiting) bool { return w.kept == kept })
	if i < 0 {
		return false
	}
	// A new slice: the batch before shares the old one.
	r.waiting = slices.Concat(r.waiting[:i], r.waiting[i+1:])
	return true
}

// wakeUp has the waiting events written now.
func (r *Recorder) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default: // it is awake
	}
}

// prepare gives the event its time, and takes out what must not be kept.
func (r *Recorder) prepare(e mfa.Event) mfa.Event {
	if e.At.IsZero() {
		e.At = r.now()
	}
	if e.User == "" && e.Name != mfa.EventAdmin {
		// The name of nobody is what a stranger typed there, and now and then that
		// is a password.
		e.UserName = ""
	}
	// A stranger chooses some of these. Four thousand events with a host of 16 KiB
	// each would be 64 MiB of memory, and the disk's turn would be next.
	for _, text := range []*string{&e.Reason, &e.UserName, &e.Session, &e.Network, &e.Host, &e.Agent, &e.Detail, &e.Actor} {
		*text = clip(*text)
	}
	e.Factor = mfa.Kind(clip(string(e.Factor)))
	return e
}

// clip returns at most maxText bytes of s, and holds on to no more of it.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.Clone(strings.ToValidUTF8(s[:maxText], ""))
}

// Close writes what waits and returns when that is done, or when ctx ends. An
// error says how many events were not kept. Closing again waits again.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.closing)
	}
	r.mu.Unlock()
	select {
	case <-r.done:
	case <-ctx.Done():
		r.stop()
		return fmt.Errorf("closing the recorder of events: the last of them may not be kept: %w", ctx.Err())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.waiting) + r.lost; n > 0 {
		return fmt.Errorf("closing the recorder of events: %d were not kept", n)
	}
	return nil
}

// run writes until the recorder is closed.
func (r *Recorder) run() {
	defer close(r.done)
	defer r.stop()
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.wake:
			if r.failing {
				continue // a try a second will do, and the others wait meanwhile
			}
		case <-tick.C:
		case <-r.closing:
			r.told = time.Time{} // there is no later
			r.write()
			return
		}
		r.write()
	}
}

// write writes all that waits, or so much as goes.
func (r *Recorder) write() {
	for {
		batch := r.take()
		if len(batch) > 0 && !r.keep(batch) {
			return // the others have until the next time
		}
		r.tell()
		if len(batch) < recordBatch {
			return
		}
	}
}

// take takes the oldest events that wait.
func (r *Recorder) take() []waiting {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.waiting), recordBatch)
	batch := r.waiting[:n:n]
	r.waiting = r.waiting[n:]
	if len(r.waiting) == 0 {
		r.waiting = nil // so that what a burst took is free again
	}
	return batch
}

// keep appends the events to the log, and reports whether it could. What it could
// not is lost: nobody knows whether a write that failed was made all the same, and
// the log must not tell twice of what happened once. Whoever waits for one is told, and
// that one does not count as lost.
func (r *Recorder) keep(list []waiting) bool {
	events := make([]mfa.Event, len(list))
	for i, w := range list {
		events[i] = w.event
	}
	ctx, cancel := context.WithTimeout(r.ctx, recordTime)
	err := r.log.AppendEvents(ctx, events)
	cancel()
	if errors.Is(err, mfa.ErrTooLarge) && len(list) > 1 {
		half := len(list) / 2
		first, second := r.keep(list[:half]), r.keep(list[half:])
		return first && second
	}
	lost := 0
	for _, w := range list {
		switch {
		case w.kept != nil:
			w.kept <- err
		case err != nil:
			lost++
		}
	}
	if err == nil {
		r.failing = false
		return true
	}
	r.lose(lost)
	if list[0].event.Name != mfa.EventEventsLost {
		r.onLost(lost) // a note of what was lost is tried again, and so never lost
	}
	if !r.failing {
		r.logger.Error("events are not kept: the store's record of them has a gap until this is mended", "error", err)
	}
	r.failing = true
	return false
}

func (r *Recorder) lose(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost += n
}

// tell says how many events were lost, when events can be kept again.
func (r *Recorder) tell() {
	r.mu.Lock()
	n := r.lost
	r.mu.Unlock()
	now := r.now()
	// A clock that was set back must not silence it.
	if since := now.Sub(r.told); n == 0 || since >= 0 && since < tellEvery {
		return
	}
	note := mfa.Event{At: now, Name: mfa.EventEventsLost, Detail: strconv.Itoa(n)}
	if !r.keep([]waiting{{event: note}}) {
		n = 1 // the note, which keep has counted as one of them
	} else {
		r.told = now
		r.logger.Warn("events were lost: the store's record of them has a gap", "count", n)
	}
	r.lose(-n)
}

var _ mfa.KeptEvents = (*Recorder)(nil)
