package sender

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// Config says how letters go out. What is left out has its default.
type Config struct {
	// Senders are the senders, each by its channel: mfa.Email, mfa.SMS.
	Senders map[mfa.Kind]mfa.Sender
	Brand   Brand
	// Origin returns the origin that a letter names where that one was asked, or ""
	// where it names none. nil: the one that was asked, which is right only where
	// nothing but hosts of ours gets here: a letter of ours that says "for
	// evil.example" is a trap with our name below it (AC-169).
	Origin func(asked string) string

	Timeout time.Duration // of one try; 10 s
	Tries   int           // for one letter; 3
	Backoff time.Duration // before the second try, doubled before each later one; 500 ms

	Sends   int // how many Send may be under way at once; 8
	Queue   int // how many letters may wait in the queue; 256
	Workers int // how many of them are under way at once; 4

	Now    func() time.Time
	Logger *slog.Logger
}

// patience is how long the queue tries at one letter: a provider that asks for an
// hour's rest does not get one of the workers for it.
const patience = 2 * time.Minute

// Post delivers letters: mfa.Post. Close it in the end.
type Post struct {
	cfg    Config
	writer *writer
	kinds  mfa.Kinds
	slots  chan struct{}

	mu       sync.RWMutex // of closed, and of the closing of queue
	closed   bool
	queue    chan job
	workers  sync.WaitGroup
	stop     context.CancelFunc // ends what is under way in the queue
	lost     atomic.Int64       // letters of the queue that stop kept from going out
	overflow overflow
}

// job is a letter in the queue.
type job struct {
	letter mfa.Letter
	at     time.Time
}

// New starts the workers of the queue. It opens no connection.
func New(c Config) (*Post, error) {
	c = c.withDefaults()
	w, err := newWriter(c.Brand, c.Origin)
	if err != nil {
		return nil, err
	}
	p := &Post{cfg: c, writer: w, slots: make(chan struct{}, c.Sends), queue: make(chan job, c.Queue)}
	for channel, s := range c.Senders {
		if channel != mfa.Email && channel != mfa.SMS || s == nil {
			return nil, fmt.Errorf("sender: %q is not a channel with a sender; there are %s and %s", channel, mfa.Email, mfa.SMS)
		}
		p.kinds |= mfa.KindsOf(channel)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	for range c.Workers {
		p.workers.Go(func() { p.work(ctx) })
	}
	return p, nil
}

func (c Config) withDefaults() Config {
	number := func(n *int, usual int) {
		if *n <= 0 {
			*n = usual
		}
	}
	number(&c.Tries, 3)
	number(&c.Sends, 8)
	number(&c.Queue, 256)
	number(&c.Workers, 4)
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Backoff <= 0 {
		c.Backoff = 500 * time.Millisecond
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Channels returns the channels that have a sender.
func (p *Post) Channels() mfa.Kinds { return p.kinds }

// errClosed says that the gateway is stopping.
var errClosed = errors.New("the gateway takes no more letters")

// Send delivers a letter and waits for it: see mfa.Post.
func (p *Post) Send(ctx context.Context, l *mfa.Letter) error {
	p.mu.RLock()
	closed := p.closed
	p.mu.RUnlock()
	if closed {
		return fmt.Errorf("%w: %w", mfa.ErrNotSent, errClosed)
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		return mfa.ErrBusy
	}
	return p.deliver(ctx, l, p.cfg.Now())
}

// Queue delivers a letter without waiting: see mfa.Post.
func (p *Post) Queue(l *mfa.Letter) bool {
	// The letter is put into words by a worker: what a caller waits for is the same
	// for every letter, and for none.
	j := job{letter: *l, at: p.cfg.Now()}
	if l.Notice != nil {
		n := *l.Notice
		j.letter.Notice = &n
	}
	if l.Campaign != nil {
		c := *l.Campaign
		j.letter.Campaign = &c
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return false
	}
	if len(p.queue) < p.room(l.Kind) {
		select {
		case p.queue <- j:
			return true
		default:
		}
	}
	if n := p.overflow.count(j.at); n > 0 {
		p.cfg.Logger.Error("the queue of messages is full: some are dropped", "dropped", n, "queue", p.cfg.Queue)
	}
	return false
}

// room is how much of the queue letters of a kind may fill. Whoever can think of an
// address causes letters of some kinds: they must not keep from going out what tells an
// owner of it, nor those to addresses that nobody has here what is for people who are.
func (p *Post) room(kind mfa.LetterKind) int {
	size := cap(p.queue)
	switch kind {
	case mfa.LetterSignUp, mfa.LetterHasAccount:
		return size - size/2
	case mfa.LetterSignIn, mfa.LetterPasswordReset:
		return size - size/4
	case mfa.LetterCampaign:
		return size / 8 // nobody waits for one
	}
	return size
}

// work delivers letters of the queue until it is closed and empty.
func (p *Post) work(ctx context.Context) {
	for j := range p.queue {
		if ctx.Err() != nil {
			p.lost.Add(1)
			continue
		}
		one, cancel := context.WithTimeout(ctx, patience)
		err := p.deliver(one, &j.letter, j.at)
		cancel()
		if err != nil && ctx.Err() != nil {
			p.lost.Add(1)
		}
	}
}

// Close takes no more letters and delivers those of the queue. Where ctx ends first,
// the rest is given up, and the error says how many were lost. Closing twice is
// allowed.
func (p *Post) Close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.queue)
	}
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.workers.Wait()
		close(done)
	}()
	select {
	case <-done:
		p.stop()
		return nil
	case <-ctx.Done():
	}
	p.stop()
	<-done // senders heed their context
	if n := p.lost.Load(); n > 0 {
		return fmt.Errorf("closing the post: %d messages were not sent: %w", n, ctx.Err())
	}
	return nil
}

// overflow counts what was dropped, so that a flood of letters is no flood of lines
// in the log as well.
type overflow struct {
	mu      sync.Mutex
	dropped int
	told    time.Time
}

// count counts one more and returns how many are to be told of: none within a minute
// of the last time.
func (o *overflow) count(now time.Time) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropped++
	if now.Sub(o.told).Abs() < time.Minute {
		return 0
	}
	n := o.dropped
	o.dropped, o.told = 0, now
	return n
}

// newID names a message. It has no dot in it: where it is signed, a dot ends it.
func newID() string { return rand.Text() }

var _ mfa.Post = (*Post)(nil)
