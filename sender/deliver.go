package sender

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// errExpired says that whatever a letter carries would arrive dead.
var errExpired = errors.New("it holds no longer")

// deliver puts a letter into words and tries to send it, for as long as another try
// can help, the letter holds and ctx allows. Its error is an ErrNotSent.
func (p *Post) deliver(ctx context.Context, l *mfa.Letter, at time.Time) error {
	log := p.cfg.Logger.With("letter", string(l.Kind), "channel", string(l.Channel), "to", mask(l.Channel, l.To))
	refuse := func(err error, more ...any) error {
		text := blank(err.Error(), l.To, string(l.Code), string(l.Link))
		log.Error("a message was not sent", append(more, "error", text)...)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w: %s", mfa.ErrNotSent, ctx.Err(), text)
		}
		return fmt.Errorf("%w: %s", mfa.ErrNotSent, text)
	}
	s := p.cfg.Senders[l.Channel]
	if s == nil {
		return refuse(errors.New("the channel has no sender"))
	}
	m, err := p.writer.write(l, newID(), at)
	if err != nil {
		return refuse(err)
	}
	log = log.With("id", m.ID)
	begun := time.Now()
	for try := 1; ; try++ {
		if expired(m, p.cfg.Now()) {
			return refuse(errors.Join(errExpired, err), "tries", try-1)
		}
		if err = p.try(ctx, s, m); err == nil {
			log.Debug("a message was sent", "tries", try, "took", time.Since(begun))
			return nil
		}
		temporary, after := patienceFor(err)
		pause := max(after, p.pause(try))
		if !temporary || try == p.cfg.Tries || expired(m, p.cfg.Now().Add(pause)) || !wait(ctx, pause) {
			return refuse(err, "tries", try)
		}
		log.Warn("a message was not sent and is tried again", "tries", try, "error", blank(err.Error(), l.To, string(l.Code), string(l.Link)))
	}
}

func expired(m *mfa.Message, now time.Time) bool {
	return !m.Expires.IsZero() && !now.Before(m.Expires)
}

// try makes one try. One that takes too long is as good as a connection that broke.
func (p *Post) try(ctx context.Context, s mfa.Sender, m *mfa.Message) error {
	one, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	copied := *m // whatever a sender does to it, the next try is the same
	err := s.Send(one, &copied)
	if err != nil && ctx.Err() == nil && one.Err() != nil {
		return &mfa.SendError{Temporary: true, Err: fmt.Errorf("it took longer than %s: %w", p.cfg.Timeout, err)}
	}
	return err
}

// patienceFor reports whether another try can help, and how long the provider asks
// us to wait before it.
func patienceFor(err error) (temporary bool, after time.Duration) {
	e, ok := errors.AsType[*mfa.SendError](err)
	if !ok {
		return false, 0
	}
	return e.Temporary, e.After
}

// pause is how long to wait after that try: twice as long each time, a quarter more
// or less, so that what failed together does not come back together.
func (p *Post) pause(try int) time.Duration {
	d := p.cfg.Backoff << min(try-1, 10)
	return d - d/4 + rand.N(d/2+1)
}

// wait waits, and reports whether there is time for another try then. It does not
// begin to wait for what ctx would cut off.
func wait(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
