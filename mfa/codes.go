package mfa

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// BeginCodes makes a set of backup codes, or returns the one that waits already
// in this session to be saved. It is live, and the old set dead, only once
// ConfirmCodes was called (rule B14). Backup codes belong to a primary factor:
// ErrNotAllowed without one.
func (g *Gate) BeginCodes(ctx context.Context, at *Place, id SessionID) ([]string, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	now := g.now()
	if err := g.checkCodes(at, s, u, now); err != nil {
		return nil, err
	}
	if p := s.pending(BackupCode, now); p != nil {
		return splitCodes(p.Shown), nil
	}
	data, codes, err := g.cfg.Codes.New(ctx)
	if err != nil {
		return nil, err
	}
	p, err := g.keepPending(ctx, s, Pending{
		ID: BackupCodesID, Kind: BackupCode, Data: data,
		Shown: Secret(strings.Join(codes, "\n")), Expires: now.Add(PendingLife),
	})
	if err != nil {
		return nil, err
	}
	return splitCodes(p.Shown), nil
}

func splitCodes(shown Secret) []string { return strings.Split(string(shown), "\n") }

func (g *Gate) checkCodes(at *Place, s *Session, u *User, now time.Time) error {
	primary, beside := false, false
	for _, c := range u.Credentials {
		primary = primary || c.Kind.Primary()
		beside = beside || c.Kind.Primary() && !s.first(c.Kind, c.Address)
	}
	// The channel that signed in completes nothing, nor with codes beside it (rule
	// B12): where it is all there is, something else was proven in this sign-in.
	proven := s.Bypassed || newestProof(s, u, verifiable(g.policyOf(u), u)|g.policyOf(u).Factors, now)
	if !primary || !beside && !proven {
		return ErrNotAllowed
	}
	return g.checkEnroll(at, s, u, BackupCode, now)
}

// PendingCodes returns the codes that wait to be saved, for the download, or
// ErrExpired.
func (g *Gate) PendingCodes(ctx context.Context, at *Place, id SessionID) ([]string, error) {
	s, _, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	p := s.pending(BackupCode, g.now())
	if p == nil {
		return nil, ErrExpired
	}
	return splitCodes(p.Shown), nil
}

// ConfirmCodes makes the waiting set live: the person says that it is saved.
func (g *Gate) ConfirmCodes(ctx context.Context, at *Place, id SessionID) (*Outcome, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	out, err := g.confirmCodes(ctx, at, s, u)
	g.enrollFailed(ctx, at, s, u, BackupCode, err)
	return out, err
}

func (g *Gate) confirmCodes(ctx context.Context, at *Place, s *Session, u *User) (*Outcome, error) {
	now := g.now()
	p := s.pending(BackupCode, now)
	if p == nil {
		return nil, ErrExpired
	}
	made := g.noticed(at, NoticeNewCodes, BackupCode)
	err := g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		if err := g.checkCodes(at, s, u, now); err != nil {
			return err
		}
		set := Credential{ID: BackupCodesID, Kind: BackupCode, Created: now, Data: p.Data, Left: CodesPerSet, Step: now.UnixNano()}
		old := u.Credential(BackupCodesID)
		first := old == nil
		if old != nil {
			set.Step = max(set.Step, old.Step+1)
			*old = set
		} else {
			u.Credentials = append(u.Credentials, set)
		}
		u.SkippedCodes = false
		// The first set is the tail of a set-up, which has a notice of its own.
		made.Quiet = first && (s.MayEnroll || s.Enrolled)
		u.notify(made)
		return nil
	})
	if err != nil {
		return nil, err
	}
	g.record(ctx, at, s, u, Event{Name: EventEnroll, OK: true, Factor: BackupCode})
	if !made.Quiet {
		g.tell(at, u, made)
	}
	if u, err = g.cfg.Store.User(ctx, u.ID); err != nil {
		return nil, &keptError{fmt.Errorf("reading user: %w", err)}
	}
	if err := g.unlock(ctx, u.ID, BackupCode); err != nil {
		return nil, &keptError{fmt.Errorf("clearing attempts: %w", err)}
	}
	s.dropPending(BackupCode)
	out, err := g.settle(ctx, at, s.ID, s, u)
	if err != nil {
		return nil, &keptError{err}
	}
	return out, nil
}
