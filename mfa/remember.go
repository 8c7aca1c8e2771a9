package mfa

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A remembered device is a browser that stands for the second factor that was proven
// in it, for a while (rule B29). It holds "ID.secret"; the user's record holds a hash
// of the secret. Each sign-in replaces the secret. Whoever comes with an old one has a
// copy, or had one first: the device is forgotten, and the user is told.

// MaxRemembered is how many browsers may stand for one user.
const MaxRemembered = 20

// RememberedDevice is a browser that stands for a second factor.
type RememberedDevice struct {
	ID         string       `json:"id"`
	Hash       []byte       `json:"hash"`             // of the newest secret
	Before     []byte       `json:"before,omitempty"` // of the one before
	Kind       Kind         `json:"kind"`             // what was proven in it, with which credential
	Credential CredentialID `json:"credential"`
	Proven     time.Time    `json:"proven"` // when: the time that it may stand runs from here
	LastUsed   time.Time    `json:"last_used,omitzero"`
	Agent      string       `json:"agent,omitempty"`
	Network    string       `json:"network,omitempty"`
}

// rotationLeeway is how long the secret before the newest is taken as well: two tabs
// that sign in at once are no theft.
const rotationLeeway = 30 * time.Second

// forgetCookie is Outcome.Remember where the browser is to keep nothing any more.
const forgetCookie = "-"

// mayRemember reports whether browsers may stand for a second factor under the
// policy as it holds for a user.
func (g *Gate) mayRemember(p *Policy) bool { return !p.Off && p.RememberDevice > 0 }

func hashOf(secret string) []byte {
	sum := sha256.Sum256([]byte("remembered device\x00" + secret))
	return sum[:]
}

// recall adds the proof that this browser stands for to a sign-in that has proven a
// first factor, and returns what the browser is to keep instead.
func (g *Gate) recall(ctx context.Context, at *Place, s *Session, u *User) (string, error) {
	p := g.policyOf(u)
	id, secret, ok := strings.Cut(at.Remembered, ".")
	if !ok || len(at.Remembered) > 128 || len(s.Proofs) > 0 {
		return "", nil
	}
	i := slices.IndexFunc(u.Remembered, func(d RememberedDevice) bool { return d.ID == id })
	if i < 0 {
		return "", nil // another user's, or forgotten
	}
	if c := u.Credential(u.Remembered[i].Credential); c != nil && s.first(c.Kind, c.Address) {
		return "", nil // what signed in is no second factor here (rule B27); the browser is as it was
	}
	now, next := g.now(), randomText(32)
	var proof Proof
	stolen := g.noticed(at, NoticeStolenDevice, "")
	keep := ""
	err := g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		proof, keep, stolen.Name = Proof{}, forgetCookie, ""
		if err := s.owns(u); err != nil {
			return err
		}
		i := slices.IndexFunc(u.Remembered, func(d RememberedDevice) bool { return d.ID == id })
		if i < 0 {
			return nil
		}
		d := &u.Remembered[i]
		c := u.Credential(d.Credential)
		newest := subtle.ConstantTimeCompare(d.Hash, hashOf(secret)) == 1
		twin := subtle.ConstantTimeCompare(d.Before, hashOf(secret)) == 1 && within(now.Sub(d.LastUsed), rotationLeeway)
		switch {
		case !newest && !twin:
			// Of the owner and the thief, one comes second, whoever that is.
			if stolen.Name = d.Agent; stolen.Name == "" {
				stolen.Name = "?"
			}
			u.notify(stolen)
			u.Remembered = slices.Delete(u.Remembered, i, i+1)
		case !g.mayRemember(p), !p.remembers(d.Proven, now), c == nil, c != nil && c.Kind != d.Kind:
			u.Remembered = slices.Delete(u.Remembered, i, i+1)
		default:
			if keep = ""; newest {
				d.Before, d.Hash, d.LastUsed, d.Network = d.Hash, hashOf(next), now, at.Network
				keep = id + "." + next
			}
			proof = Proof{Kind: d.Kind, Credential: d.Credential, At: d.Proven, Remembered: true}
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("looking for a remembered device: %w", err)
	}
	if stolen.Name != "" {
		g.record(ctx, at, s, u, Event{Name: EventForget, OK: true, Reason: "stolen"})
		g.tell(at, u, stolen)
	}
	if proof.Kind != "" {
		s.prove(proof)
	}
	return keep, nil
}

// remember makes this browser stand for a proof that was just made, where the person
// wants it and no policy that holds for them forbids it. It returns what the browser
// is to keep.
func (g *Gate) remember(ctx context.Context, at *Place, s *Session, u *User, proof Proof) (string, error) {
	if !at.Remember || !proof.Kind.Primary() || !g.mayRemember(g.policyOf(u)) {
		return "", nil
	}
	d := RememberedDevice{
		ID: randomText(16), Kind: proof.Kind, Credential: proof.Credential, Proven: proof.At,
		Agent: at.Agent, Network: at.Network,
	}
	secret := randomText(32)
	d.Hash = hashOf(secret)
	old, _, _ := strings.Cut(at.Remembered, ".")
	err := g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		u.Remembered = slices.DeleteFunc(u.Remembered, func(d RememberedDevice) bool { return d.ID == old })
		u.Remembered = append(u.Remembered, d)
		if extra := len(u.Remembered) - MaxRemembered; extra > 0 {
			u.Remembered = slices.Delete(u.Remembered, 0, extra)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("remembering a device: %w", err)
	}
	g.record(ctx, at, s, u, Event{Name: EventRemember, OK: true, Factor: proof.Kind})
	return d.ID + "." + secret, nil
}

// ForgetDevice makes a browser stand for nothing any more. ErrNotFound.
func (g *Gate) ForgetDevice(ctx context.Context, at *Place, id SessionID, device string) error {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return err
	}
	err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		i := slices.IndexFunc(u.Remembered, func(d RememberedDevice) bool { return d.ID == device })
		if i < 0 {
			return ErrNotFound
		}
		u.Remembered = slices.Delete(u.Remembered, i, i+1)
		return nil
	})
	g.record(ctx, at, s, u, Event{Name: EventForget, OK: err == nil, Reason: reasonOf(err)})
	return err
}
