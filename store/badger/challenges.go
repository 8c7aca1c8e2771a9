package badger

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

func challengeRow(id string) row     { return row{store.Challenges, id} }
func challengeLock(id string) string { return "challenge:" + id }

// PutChallenge implements mfa.Challenges. An ID that was there before is
// mfa.ErrTaken: what was taken must not be armed again.
func (s *Store) PutChallenge(ctx context.Context, c *mfa.Challenge) error {
	if c == nil || !usable(c.ID) {
		return errors.New("keeping a challenge: the ID is empty, too long or not text")
	}
	return s.update(ctx, []string{challengeLock(c.ID)}, func(w *writing) error {
		taken, err := w.taken(challengeRow(c.ID))
		if err != nil {
			return err
		}
		if taken {
			return mfa.ErrTaken
		}
		return w.put(challengeRow(c.ID), store.Challenge{Challenge: *c}, s.life(c.Expires, store.ChallengeMargin))
	})
}

func (s *Store) readChallenge(txn *badger.Txn, id string) (*mfa.Challenge, error) {
	if !usable(id) {
		return nil, mfa.ErrNotFound
	}
	var r store.Challenge
	if err := s.read(txn, challengeRow(id), &r); err != nil {
		return nil, err
	}
	switch {
	case r.Challenge.ID != id:
		return nil, fmt.Errorf("reading a challenge: %w", store.ErrDamaged)
	case r.Taken:
		return nil, mfa.ErrNotFound
	}
	return &r.Challenge, nil
}

// Challenge implements mfa.Challenges.
func (s *Store) Challenge(ctx context.Context, id string) (*mfa.Challenge, error) {
	var c *mfa.Challenge
	err := s.view(ctx, func(txn *badger.Txn) (err error) {
		c, err = s.readChallenge(txn, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// TakeChallenge implements mfa.Challenges.
func (s *Store) TakeChallenge(ctx context.Context, id string) (*mfa.Challenge, error) {
	var c *mfa.Challenge
	err := s.update(ctx, []string{challengeLock(id)}, func(w *writing) (err error) {
		if c, err = s.readChallenge(w.Txn, id); err != nil {
			return err
		}
		return w.put(challengeRow(id), store.TakingOf(c), s.life(c.Expires, store.TakenMargin))
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}
