package badger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// batch is how many sessions one write moves forward or ends.
const batch = 64

func sessionRow(id mfa.SessionID) row { return row{store.Sessions, string(id)} }
func sessionIndex(s *mfa.Session) []byte {
	return []byte(sessionPrefix + string(s.User) + separator + string(s.ID))
}

// readSession answers mfa.ErrNotFound for one that ended.
func (s *Store) readSession(txn *badger.Txn, id mfa.SessionID) (*mfa.Session, error) {
	if !usable(string(id)) {
		return nil, mfa.ErrNotFound
	}
	var r store.Session
	if err := s.read(txn, sessionRow(id), &r); err != nil {
		return nil, err
	}
	switch {
	case r.Session.ID != id:
		return nil, fmt.Errorf("reading a session: %w", store.ErrDamaged)
	case r.Ended:
		return nil, mfa.ErrNotFound
	}
	return &r.Session, nil
}

// liveSession is readSession for everybody but who writes an end: one whose end
// could not be written has ended as well.
func (s *Store) liveSession(txn *badger.Txn, id mfa.SessionID) (*mfa.Session, error) {
	if s.doomed.Has(id) {
		return nil, mfa.ErrNotFound
	}
	return s.readSession(txn, id)
}

// Session implements mfa.Sessions.
func (s *Store) Session(ctx context.Context, id mfa.SessionID) (*mfa.Session, error) {
	var found *mfa.Session
	err := s.view(ctx, func(txn *badger.Txn) (err error) {
		found, err = s.liveSession(txn, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// CreateSession implements mfa.Sessions.
func (s *Store) CreateSession(ctx context.Context, session *mfa.Session) error {
	if err := checkSession(session); err != nil {
		return fmt.Errorf("creating a session: %w", err)
	}
	return s.update(ctx, []string{userLock(session.User)}, func(w *writing) error {
		return w.createSession(session)
	})
}

func checkSession(session *mfa.Session) error {
	if session == nil || !usable(string(session.ID)) || !usable(string(session.User)) {
		return errors.New("the ID or the user's is empty, too long or not text")
	}
	return nil
}

func (w *writing) createSession(session *mfa.Session) error {
	taken, err := w.taken(sessionRow(session.ID))
	if err != nil {
		return err
	}
	if taken {
		return mfa.ErrTaken // an ended session must not be begun again
	}
	if err := w.makeRoom(session); err != nil {
		return err
	}
	return w.putSession(session)
}

func (w *writing) putSession(session *mfa.Session) error {
	kept := store.Session{Session: *session}
	life := w.s.life(session.Expires, kept.Margin())
	w.announces(session.User)
	if err := w.set(sessionIndex(session), nil, life); err != nil {
		return err
	}
	return w.put(sessionRow(session.ID), kept, life)
}

// makeRoom ends the user's least recently seen sessions of the same kind until
// there is room for one more: whoever has a password must not fill the store with
// sign-ins that were begun.
func (w *writing) makeRoom(session *mfa.Session) error {
	room := mfa.MaxSessions
	if !session.Complete {
		room = mfa.MaxHalfDone
	}
	others, err := w.s.userSessions(w.Txn, session.User)
	if err != nil {
		return err
	}
	others = slices.DeleteFunc(others, func(o *mfa.Session) bool { return o.Complete != session.Complete || o.ID == session.ID })
	slices.SortFunc(others, func(a, b *mfa.Session) int { return a.LastSeen.Compare(b.LastSeen) })
	for len(others) >= room {
		if err := w.endSession(others[0]); err != nil {
			return err
		}
		others = others[1:]
	}
	return nil
}

// endSession writes the fact in the place of the session.
func (w *writing) endSession(session *mfa.Session) error {
	w.announces(session.User)
	if err := w.remove(sessionIndex(session)); err != nil {
		return err
	}
	fact := store.EndOf(session)
	return w.put(sessionRow(session.ID), fact, w.s.life(session.Expires, fact.Margin()))
}

// owner returns whose session it is, to wait in that user's line.
func (s *Store) owner(ctx context.Context, id mfa.SessionID) (mfa.UserID, error) {
	session, err := s.Session(ctx, id)
	if err != nil {
		return "", err
	}
	return session.User, nil
}

// UpdateSession implements mfa.Sessions.
func (s *Store) UpdateSession(ctx context.Context, id mfa.SessionID, change func(*mfa.Session) error) error {
	user, err := s.owner(ctx, id)
	if err != nil {
		return err
	}
	return s.update(ctx, []string{userLock(user)}, func(w *writing) error {
		session, err := s.liveSession(w.Txn, id)
		if err != nil {
			return err
		}
		complete := session.Complete
		if err := change(session); err != nil {
			return err
		}
		if session.ID != id || session.User != user {
			return errors.New("updating a session: a change must leave ID and user alone")
		}
		if session.Complete && !complete {
			if err := w.makeRoom(session); err != nil {
				return err
			}
		}
		return w.putSession(session)
	})
}

// ReplaceSession implements mfa.Sessions.
func (s *Store) ReplaceSession(ctx context.Context, old mfa.SessionID, next *mfa.Session) error {
	if err := checkSession(next); err != nil {
		return fmt.Errorf("replacing a session: %w", err)
	}
	user, err := s.owner(ctx, old)
	if err != nil {
		return err
	}
	return s.update(ctx, []string{userLock(user), userLock(next.User)}, func(w *writing) error {
		session, err := s.liveSession(w.Txn, old)
		if err != nil {
			return err
		}
		if err := w.endSession(session); err != nil {
			return err
		}
		return w.createSession(next)
	})
}

// EndSession implements mfa.Sessions.
func (s *Store) EndSession(ctx context.Context, id mfa.SessionID) error {
	user, err := s.owner(ctx, id)
	if errors.Is(err, mfa.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.writeEnd(ctx, id, user); err != nil {
		s.doom(id, user)
		return err
	}
	return nil
}

func (s *Store) writeEnd(ctx context.Context, id mfa.SessionID, user mfa.UserID) error {
	return s.takeAway(ctx, []string{userLock(user)}, func(w *writing) error {
		session, err := s.readSession(w.Txn, id)
		if errors.Is(err, mfa.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return w.endSession(session)
	})
}

// EndUserSessions implements mfa.Sessions. One write ends so many as fit; the
// user's line is left in between.
func (s *Store) EndUserSessions(ctx context.Context, user mfa.UserID, keep mfa.SessionID) error {
	if err := ctx.Err(); err != nil {
		return err // nothing is begun for a caller who has gone
	}
	err := s.writeEnds(ctx, user, keep)
	if err == nil {
		return nil
	}
	// Not with the request's own time, which may be what ran out.
	left, readErr := s.UserSessions(context.WithoutCancel(ctx), user)
	if readErr != nil {
		return err
	}
	for _, session := range left {
		if session.ID != keep {
			s.doom(session.ID, user)
		}
	}
	return err
}

func (s *Store) writeEnds(ctx context.Context, user mfa.UserID, keep mfa.SessionID) error {
	for {
		ended := 0
		err := s.takeAway(ctx, []string{userLock(user)}, func(w *writing) error {
			ended = 0
			all, err := s.userSessions(w.Txn, user)
			if err != nil {
				return err
			}
			for _, session := range all {
				if session.ID == keep {
					continue
				}
				if err := w.endSession(session); err != nil {
					return err
				}
				if ended++; ended == batch {
					break
				}
			}
			return nil
		})
		if err != nil || ended < batch {
			return err
		}
	}
}

// UserSessions implements mfa.Sessions.
func (s *Store) UserSessions(ctx context.Context, user mfa.UserID) ([]*mfa.Session, error) {
	var all []*mfa.Session
	err := s.view(ctx, func(txn *badger.Txn) (err error) {
		all, err = s.userSessions(txn, user)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b *mfa.Session) int { return b.Created.Compare(a.Created) })
	return all, nil
}

func (s *Store) userSessions(txn *badger.Txn, user mfa.UserID) ([]*mfa.Session, error) {
	if !usable(string(user)) {
		return nil, nil
	}
	var ids []mfa.SessionID
	err := scan(txn, sessionPrefix+string(user)+separator, "", func(id string) (bool, error) {
		ids = append(ids, mfa.SessionID(id))
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	var all []*mfa.Session
	for _, id := range ids {
		session, err := s.liveSession(txn, id)
		switch {
		case errors.Is(err, mfa.ErrNotFound):
			continue // it ended, or its time ran out a moment before the index entry's
		case err != nil:
			return nil, err
		case session.User != user:
			return nil, fmt.Errorf("listing sessions: the index does not fit: %w", store.ErrDamaged)
		}
		all = append(all, session)
	}
	return all, nil
}

// Touch implements mfa.Sessions. It waits in no line: a session that ends
// meanwhile makes its write run again, and is then left out.
func (s *Store) Touch(ctx context.Context, seen map[mfa.SessionID]time.Time) error {
	ids := make([]mfa.SessionID, 0, len(seen))
	for id := range seen {
		ids = append(ids, id)
	}
	for part := range slices.Chunk(ids, batch) {
		if err := s.touch(ctx, part, seen); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) touch(ctx context.Context, part []mfa.SessionID, seen map[mfa.SessionID]time.Time) error {
	err := s.update(ctx, nil, func(w *writing) error {
		for _, id := range part {
			session, err := s.liveSession(w.Txn, id)
			if errors.Is(err, mfa.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if !seen[id].After(session.LastSeen) {
				continue
			}
			session.LastSeen = seen[id]
			if err := w.putSession(session); err != nil {
				return err
			}
		}
		w.changed = changes{} // when somebody was last seen decides nothing in a cache
		return nil
	})
	// A part that meets changes again and again is cut in two.
	if errors.Is(err, badger.ErrConflict) && len(part) > 1 {
		half := len(part) / 2
		if err := s.touch(ctx, part[:half], seen); err != nil {
			return err
		}
		return s.touch(ctx, part[half:], seen)
	}
	return err
}
