package mfa

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// Bounds of asking identity sources whether people still stand.
const (
	confirmAtOnce = 4
	// confirmOfOne is how many of them may be of one source: one that hangs must not keep
	// the others from being asked, or their people would be signed out with its own.
	confirmOfOne   = 2
	confirmWaiting = 1000
	confirmTimeout = 10 * time.Second
	// confirmAgain is how soon a session that could not be confirmed is asked for again.
	confirmAgain = 30 * time.Second
)

// confirmation is a session that waits to be confirmed, or a user who has no session.
type confirmation struct {
	session SessionID
	user    UserID
}

// confirmations are those that wait to be confirmed.
type confirmations struct {
	mu      sync.Mutex
	queue   []confirmation
	waiting map[confirmation]bool // in the queue, or being asked for
	asked   map[UserID]time.Time  // whom ConfirmUser has taken, and when
	running int
	asking  map[string]int // by source, how many are being asked for
	closed  bool

	ctx  context.Context
	stop context.CancelFunc
	all  sync.WaitGroup
}

func newConfirmations() *confirmations {
	c := &confirmations{waiting: make(map[confirmation]bool), asked: make(map[UserID]time.Time), asking: make(map[string]int)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// ConfirmSession asks the identity source, in the background, whether the session's person still
// stands. It returns at once; what it cannot take is asked for by a later request.
func (g *Gate) ConfirmSession(id SessionID) {
	c := g.confirming
	c.mu.Lock()
	defer c.mu.Unlock()
	if id != "" {
		g.enqueue(confirmation{session: id})
	}
}

// ConfirmUser is ConfirmSession for a user whose program comes with an app token, which no
// session stands behind. The source is asked no more often than about sessions; one that
// cannot tell without what it gave a session is of no use here. It may be called for each
// request.
func (g *Gate) ConfirmUser(id UserID) {
	c := g.confirming
	c.mu.Lock()
	defer c.mu.Unlock()
	now := g.now()
	if age := now.Sub(c.asked[id]); id == "" || age >= 0 && age < confirmAgain {
		return
	}
	if !g.enqueue(confirmation{user: id}) {
		return
	}
	if len(c.asked) >= confirmWaiting {
		maps.DeleteFunc(c.asked, func(_ UserID, at time.Time) bool { return now.Sub(at) >= confirmAgain })
	}
	if len(c.asked) < confirmWaiting {
		c.asked[id] = now
	}
}

// enqueue reports whether it could take what is to be confirmed. The caller holds the lock.
func (g *Gate) enqueue(next confirmation) bool {
	c := g.confirming
	if c.closed || c.waiting[next] || len(c.queue) >= confirmWaiting {
		return false
	}
	c.waiting[next] = true
	c.queue = append(c.queue, next)
	if c.running < confirmAtOnce {
		c.running++
		c.all.Add(1)
		go g.confirmQueue()
	}
	return true
}

// take reports whether the source may be asked now; give says that it has answered. Whoever
// is not asked for now is asked for when they come again.
func (c *confirmations) take(source string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asking[source] >= confirmOfOne {
		return false
	}
	c.asking[source]++
	return true
}

func (c *confirmations) give(source string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking[source]--
}

// Close stops what the gate does by itself, and returns when it has stopped.
func (g *Gate) Close() {
	c := g.confirming
	c.mu.Lock()
	c.closed, c.queue = true, nil
	c.mu.Unlock()
	c.stop()
	c.all.Wait()
}

// confirmQueue confirms what waits, until nothing does.
func (g *Gate) confirmQueue() {
	c := g.confirming
	defer c.all.Done()
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.running--
			c.mu.Unlock()
			return
		}
		next := c.queue[0]
		c.queue = c.queue[1:]
		c.mu.Unlock()
		if next.session != "" {
			g.confirmSession(c.ctx, next.session)
		} else {
			g.confirmUser(c.ctx, next.user)
		}
		c.mu.Lock()
		delete(c.waiting, next)
		c.mu.Unlock()
	}
}

// confirmSession asks the source of one session. Where it cannot be asked, or its answer cannot be
// kept, nothing changes: the session ends at its Until (AC-032).
func (g *Gate) confirmSession(ctx context.Context, id SessionID) {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	s, u, src, err := g.dueToConfirm(ctx, id)
	if err != nil || s == nil || !g.confirming.take(u.Source) {
		return
	}
	defer g.confirming.give(u.Source)
	if s, err = g.claimConfirmation(ctx, s, u, src); err != nil || s == nil {
		return
	}
	said, err := src.standing().Standing(ctx, u.Subject, s.Source.Kept)
	switch {
	case errors.Is(err, ErrDisabled):
		err = g.endOfSource(ctx, u)
		g.record(ctx, nil, s, u, Event{Name: EventEndSessions, OK: err == nil, Reason: reasonOf(ErrDisabled), Detail: "disabled at " + u.Source})
		return
	case err == nil:
		err = g.confirmed(ctx, s, u, src, said)
	}
	if err != nil {
		g.record(ctx, nil, s, u, Event{Name: EventSource, Reason: reasonOf(err), Detail: u.Source})
	}
}

// confirmUser asks the source of a user who has app tokens. Where it cannot be asked, or
// does not know without a session of its own, nothing changes.
func (g *Gate) confirmUser(ctx context.Context, id UserID) {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	u, err := g.cfg.Store.User(ctx, id)
	if err != nil || len(u.AppTokens) == 0 || u.Disabled {
		return
	}
	src := g.sourceNamed(u.Source)
	if src.standing() == nil || src.Confirm <= 0 || !g.confirming.take(u.Source) {
		return
	}
	defer g.confirming.give(u.Source)
	if g.count(ctx, counter{key: "confirm:" + hashText("user", string(u.ID)), window: src.Confirm, budget: 1}) != nil {
		return
	}
	said, err := src.standing().Standing(ctx, u.Subject, nil)
	switch {
	case errors.Is(err, ErrDisabled):
		err = g.endOfSource(ctx, u)
		g.record(ctx, nil, nil, u, Event{Name: EventEndSessions, OK: err == nil, Reason: reasonOf(ErrDisabled), Detail: "disabled at " + u.Source})
	case err == nil:
		// Groups and organizations count for programs, too.
		if heard, err := g.hear(u.Source, said); err == nil && heard.subject == u.Subject {
			_, _ = g.bring(ctx, u, heard) // nothing lasts by it: the next one brings it
		}
	}
}

// dueToConfirm returns the session, its user and its source where that is to be asked now.
func (g *Gate) dueToConfirm(ctx context.Context, id SessionID) (*Session, *User, Source, error) {
	s, err := g.readDue(ctx, id)
	if err != nil || s == nil {
		return nil, nil, Source{}, err
	}
	u, err := g.cfg.Store.User(ctx, s.User)
	if err != nil || u.Generation != s.Generation {
		return nil, nil, Source{}, err
	}
	src := g.sourceNamed(u.Source)
	if src.standing() == nil || src.Confirm <= 0 {
		return nil, nil, Source{}, nil // it ends at its Until
	}
	return s, u, src, nil
}

// readDue returns the session, or nil where it is not due.
func (g *Gate) readDue(ctx context.Context, id SessionID) (*Session, error) {
	s, err := g.cfg.Store.Session(ctx, id)
	now := g.now()
	if err != nil || s.Over(now) || s.Source.Due.IsZero() || now.Before(s.Source.Due) {
		return nil, err
	}
	return s, nil
}

// claimConfirmation sees to it that the source is asked by us and by nobody else: some
// sources take what Kept holds once. Sessions that follow from one sign-in share it. It
// returns the session as it is by then, or nil where it is not due any more.
func (g *Gate) claimConfirmation(ctx context.Context, s *Session, u *User, src Source) (*Session, error) {
	claim := counter{key: "confirm:" + hashText("family", string(u.ID), s.family(), string(s.lone())), window: min(confirmAgain, src.Confirm), budget: 1}
	if err := g.count(ctx, claim); err != nil {
		return nil, err
	}
	return g.readDue(ctx, s.ID) // what Kept holds may be newer by now
}

// lone is the ID of a session that has no family.
func (s *Session) lone() SessionID {
	if s.family() != "" {
		return ""
	}
	return s.ID
}

// confirmed keeps what the source says of the user now, and lets the sessions of the
// sign-in go on.
func (g *Gate) confirmed(ctx context.Context, s *Session, u *User, src Source, id *Identity) error {
	heard, err := g.hear(u.Source, id)
	if err != nil {
		return err
	}
	if heard.subject != u.Subject {
		return errSource // somebody else
	}
	if _, err := g.bring(ctx, u, heard); err != nil {
		return err
	}
	fresh := g.sourceSession(src, id)
	sessions, err := g.cfg.Store.UserSessions(ctx, u.ID)
	if err != nil {
		return fmt.Errorf("reading sessions: %w", err)
	}
	for _, other := range sessions {
		if other.ID != s.ID && (s.family() == "" || other.family() != s.family()) {
			continue
		}
		err := g.cfg.Store.UpdateSession(ctx, other.ID, func(other *Session) error {
			if other.Source.Due.IsZero() {
				return nil
			}
			other.Source.Due, other.Source.Until = fresh.Due, fresh.Until
			if len(fresh.Kept) > 0 {
				other.Source.Kept = fresh.Kept
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("keeping what the source says: %w", err)
		}
	}
	return nil
}

// endOfSource ends every session and every app token of a user whom the source has
// disabled: a program would go on for months after its owner has left. Nothing else is
// marked: who is enabled there again signs in again.
func (g *Gate) endOfSource(ctx context.Context, u *User) error {
	var err error
	if len(u.AppTokens) > 0 {
		err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
			u.AppTokens = nil
			return nil
		})
	}
	return errors.Join(err, g.cfg.Store.EndUserSessions(ctx, u.ID, ""))
}
