package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// PutChallenge implements mfa.Challenges. An ID that was there before is mfa.ErrTaken: what
// was taken must not be armed again.
func (s *Store) PutChallenge(ctx context.Context, c *mfa.Challenge) error {
	if c == nil || !usable(c.ID) {
		return errors.New("keeping a challenge: the ID is empty, too long or not text")
	}
	record, err := s.encode(store.Challenges, c.ID, store.Challenge{Challenge: *c})
	if err != nil {
		return err
	}
	return s.update(ctx, nil, func(w *writing) error {
		w.put(`INSERT INTO challenges (id, purpose, expires, delete_after, record) VALUES ($1, $2, $3, $4, $5)`,
			c.ID, shown(string(c.Purpose)), c.Expires, s.deleteAfter(c.Expires, store.ChallengeMargin), record)
		return nil
	})
}

func (s *Store) decodeChallenge(record []byte, id string) (*mfa.Challenge, error) {
	var r store.Challenge
	if err := s.decode(record, store.Challenges, id, &r); err != nil {
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
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !usable(id) {
		return nil, mfa.ErrNotFound
	}
	record, err := s.record(ctx, `SELECT record FROM challenges WHERE id = $1`, id)
	if err != nil {
		return nil, err
	}
	return s.decodeChallenge(record, id)
}

// TakeChallenge implements mfa.Challenges. The row stays, as the fact that it was taken.
func (s *Store) TakeChallenge(ctx context.Context, id string) (*mfa.Challenge, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !usable(id) {
		return nil, mfa.ErrNotFound
	}
	var c *mfa.Challenge
	err := s.update(ctx, []string{"challenge:" + id}, func(w *writing) error {
		record, err := w.record(`SELECT record FROM challenges WHERE id = $1 FOR UPDATE`, id)
		if err != nil {
			return err
		}
		if c, err = s.decodeChallenge(record, id); err != nil {
			return err
		}
		fact, err := s.encode(store.Challenges, id, store.TakingOf(c))
		if err != nil {
			return err
		}
		w.put(`UPDATE challenges SET taken = $2, delete_after = $3, record = $4 WHERE id = $1`,
			id, s.db.now().UTC(), s.deleteAfter(c.Expires, store.TakenMargin), fact)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}
