package mfa

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// An app token lets a program of one user into one app: it is what git, a calendar or a
// script has in place of a browser with a session. It is made after a second factor was
// proven, and stands for "require" as that proof does; never for what asks for more.

// AppTokenPrefix is what the text of every app token begins with: nothing else is looked
// at, so that an app's own Authorization costs a comparison of these letters.
const AppTokenPrefix = "mfat_"

// Limits of app tokens.
const (
	MaxAppTokens        = 20
	MaxAppTokenLife     = 366 * 24 * time.Hour
	DefaultAppTokenLife = 90 * 24 * time.Hour
	minAppTokenLife     = time.Hour
	// AppTokenUsedStep is how exactly it is kept when a token was used last: a program
	// that asks each second must not write each second.
	AppTokenUsedStep = 10 * time.Minute

	appTokenID     = 8  // bytes, as hex: no "_" is in it
	appTokenSecret = 32 // bytes, as base64url: neither ":" nor anything that a shell reads
	// AppTokenLength is how long every app token is.
	AppTokenLength = len(AppTokenPrefix) + 2*appTokenID + 1 + (appTokenSecret*8+5)/6
)

// ByAppToken is the kind of first factor of a session that an app token stands for. It is
// no second factor and in no set of Kinds.
const ByAppToken Kind = "app_token"

// AppToken is a program's way into one app as one user.
type AppToken struct {
	ID   string `json:"id"`
	Name string `json:"name"` // chosen by the person
	// Host is the one that it is good for, as Place.Host writes it.
	Host string `json:"host"`
	// Hash is the SHA-256 of the secret part. The secret has 256 bits of chance, so that a
	// slow hash would protect nothing more, and would cost each program's request what a
	// password costs.
	Hash []byte `json:"hash"`
	// Factor is the second factor that was proven when it was made, Provided where the
	// identity source had asked for it; empty: 2-step verification was off then, and the
	// token is worth nothing where it is on.
	Factor   Kind      `json:"factor,omitempty"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
	LastUsed time.Time `json:"last_used,omitzero"` // to within AppTokenUsedStep
}

// AppTokenKey is the unique key of an app token.
func AppTokenKey(id string) string { return "app_token:" + id }

// AppTokenID returns the ID in the text of an app token, and whether it has the form of
// one.
func AppTokenID(text string) (id string, ok bool) {
	if len(text) != AppTokenLength || !strings.HasPrefix(text, AppTokenPrefix) {
		return "", false
	}
	id, secret, ok := strings.Cut(text[len(AppTokenPrefix):], "_")
	if !ok || len(id) != 2*appTokenID || strings.Trim(id, "0123456789abcdef") != "" {
		return "", false
	}
	return id, strings.IndexFunc(secret, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

func newAppToken() (id, text string, hash []byte) {
	var name [appTokenID]byte
	var secret [appTokenSecret]byte
	rand.Read(name[:])
	rand.Read(secret[:])
	id = hex.EncodeToString(name[:])
	text = AppTokenPrefix + id + "_" + base64.RawURLEncoding.EncodeToString(secret[:])
	return id, text, hashAppToken(text)
}

// hashAppToken returns what is kept of a token of the right form.
func hashAppToken(text string) []byte {
	sum := sha256.Sum256([]byte("app token\x00" + text[len(AppTokenPrefix)+2*appTokenID+1:]))
	return sum[:]
}

// AppTokenSession returns the session that the text of a token stands for at a host, or
// ErrNoSession, the same for every cause. The session has no ID: it is kept nowhere, no
// cookie is made of it, and no page and no API that takes a SessionID knows it (AC-008).
func (u *User) AppTokenSession(text, host string, now time.Time) (*Session, error) {
	id, ok := AppTokenID(text)
	if !ok {
		return nil, ErrNoSession
	}
	t := u.appToken(id)
	if t == nil || subtle.ConstantTimeCompare(hashAppToken(text), t.Hash) != 1 {
		return nil, ErrNoSession
	}
	if t.Host == "" || t.Host != host || !now.Before(t.Expires) {
		return nil, ErrNoSession
	}
	s := &Session{
		User: u.ID, Scope: t.Host, Generation: u.Generation, Complete: true, AppToken: t.ID,
		Created: t.Created, Expires: t.Expires, LastSeen: t.LastUsed,
		First: Proof{Kind: ByAppToken, At: t.Created},
	}
	if t.Factor != "" {
		// Of no credential: it counts for byAppToken alone, and in no assertion.
		s.Proofs = []Proof{{Kind: t.Factor, At: t.Created, Remembered: true}}
	}
	return s, nil
}

func (u *User) appToken(id string) *AppToken {
	for i := range u.AppTokens {
		if u.AppTokens[i].ID == id {
			return &u.AppTokens[i]
		}
	}
	return nil
}

// UsedAppToken notes inside a write when a token was used, and reports whether that is
// worth the write.
func (u *User) UsedAppToken(id string, at time.Time) bool {
	t := u.appToken(id)
	if t == nil || at.Sub(t.LastUsed) < AppTokenUsedStep {
		return false
	}
	t.LastUsed = at
	return true
}

// byAppToken decides about a program with an app token. It is let in or refused: there is
// nobody whom a page could ask. p is the policy as it holds for the user.
func byAppToken(p *Policy, member bool, at *Place, s *Session, u *Subject) Decision {
	d := Decision{Reason: ReasonTokenNotHere, Need: p.Need}
	if !p.AppTokens || s.Scope != at.Host {
		return d
	}
	if !member {
		return Decision{Reason: ReasonNotMember}
	}
	if p.Off {
		return Decision{Action: Allow, Reason: ReasonOff}
	}
	var enrolled Kinds
	for i := range u.Held {
		if h := &u.Held[i]; h.Enrolled() {
			enrolled |= h.Kind.set()
		}
	}
	d.Reason = ReasonTokenNotEnough
	switch {
	case !p.Need.onlyRequired():
		// Neither freshness nor a certain factor: nobody proves anything now (as rule B29).
		return d
	case p.required() && enrolled&p.Factors&PrimaryKinds == 0:
		// The factor that it was made with is gone, and no other came; or it is the identity
		// source's, of which nobody can say months later that it is still there.
		return d
	case len(s.Proofs) == 0 && (p.required() || enrolled != 0 && !u.OptedOut):
		return d // it was made while 2-step verification was off
	}
	return Decision{Action: Allow, Need: p.Need}
}

// AppTokenInput is what an app token is to be.
type AppTokenInput struct {
	Name string
	Host string        // one of Account.AppHosts
	Life time.Duration // 0: DefaultAppTokenLife
}

// appHosts returns the hosts that a token can be made for, from this one.
func (g *Gate) appHosts(at *Place) []string {
	if g.cfg.AppHosts == nil {
		return nil
	}
	return g.cfg.AppHosts(at.Host)
}

// CreateAppToken makes a token for the user and returns its text, which is shown this
// once. Whoever makes one has proven a second factor a moment ago: it opens the app
// without any for as long as it lives.
// ErrName, ErrNotAllowed (no such host takes tokens), ErrLimit (their number, or the
// life), ErrNoFactor, *ProofError; ErrNoSession and ErrDisabled as the record stands in
// the write.
func (g *Gate) CreateAppToken(ctx context.Context, at *Place, id SessionID, in AppTokenInput) (text string, t *AppToken, err error) {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return "", nil, err
	}
	text, t, err = g.createAppToken(ctx, at, s, u, in)
	e := Event{Name: EventAppTokenMade, OK: err == nil, Reason: reasonOf(err)}
	if err == nil {
		e.Detail = t.ID + " for " + t.Host + ": " + t.Name
	}
	g.record(ctx, at, s, u, e)
	return text, t, err
}

func (g *Gate) createAppToken(ctx context.Context, at *Place, s *Session, u *User, in AppTokenInput) (string, *AppToken, error) {
	name, err := CleanName(in.Name)
	if in.Life == 0 {
		in.Life = DefaultAppTokenLife
	}
	switch {
	case err != nil:
		return "", nil, err
	case !slices.Contains(g.appHosts(at), in.Host):
		return "", nil, ErrNotAllowed
	case in.Life < minAppTokenLife || in.Life > MaxAppTokenLife:
		return "", nil, ErrLimit
	}
	token, text, hash := newAppToken()
	now := g.now()
	made := AppToken{ID: token, Name: name, Host: in.Host, Hash: hash, Created: now, Expires: now.Add(in.Life)}
	notice := g.noticed(at, NoticeAppToken, "")
	notice.Name = name
	err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		factor, err := g.checkAppToken(s, u)
		if err != nil {
			return err
		}
		// What is over makes room.
		u.AppTokens = slices.DeleteFunc(u.AppTokens, func(t AppToken) bool { return !now.Before(t.Expires) })
		if len(u.AppTokens) >= MaxAppTokens {
			return ErrLimit
		}
		made.Factor = factor
		u.AppTokens = append(u.AppTokens, made)
		u.notify(notice)
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	g.tell(at, u, notice)
	made.Hash = nil
	return text, &made, nil
}

// checkAppToken is rule B15 for an app token, asked inside the write. It returns the
// second factor that was proven; one that the identity source has asked for counts where
// it says when. Nobody makes one on the first factor alone, unless there is no second one
// for anybody: a token is a way around the second factor, and must not be there before it.
func (g *Gate) checkAppToken(s *Session, u *User) (Kind, error) {
	p := g.policyOf(u)
	now := g.now()
	if p.Off {
		if !s.First.recent(now, ProofLife) {
			return "", &ProofError{}
		}
		return "", nil
	}
	kinds := verifiable(p, u)
	provided := s.Provided.Kind == Provided && !s.Provided.At.IsZero() && s.Provided.recent(now, ProofLife)
	if kinds&p.Factors&PrimaryKinds == 0 {
		if provided && !p.required() {
			return Provided, nil
		}
		return "", ErrNoFactor // byAppToken would refuse what is made
	}
	if provided {
		return Provided, nil
	}
	for _, proof := range s.Proofs {
		only := Session{Proofs: []Proof{proof}, First: s.First}
		if newestProof(&only, u, kinds, now) {
			return proof.Kind, nil
		}
	}
	return "", &ProofError{Kinds: kinds}
}

// AppTokens returns the user's tokens without what they are checked with, newest first.
// Those that are over are among them until another is made, so that people see why a
// program was turned away. ErrNotAllowed where the session owes something first.
func (g *Gate) AppTokens(ctx context.Context, at *Place, id SessionID) ([]AppToken, error) {
	_, u, err := g.member(ctx, at, id)
	if err != nil {
		return nil, err
	}
	return shownAppTokens(u), nil
}

func shownAppTokens(u *User) []AppToken {
	list := make([]AppToken, 0, len(u.AppTokens))
	for _, t := range slices.Backward(u.AppTokens) {
		t.Hash = nil
		list = append(list, t)
	}
	return list
}

// RevokeAppToken ends a token of the user's own at once. It takes no newer proof: it only
// takes away, and whoever fears for a token should not have to look for their phone.
// ErrNotFound.
func (g *Gate) RevokeAppToken(ctx context.Context, at *Place, id SessionID, token string) error {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return err
	}
	var revoked *AppToken
	notice := g.noticed(at, NoticeAppTokenGone, "")
	notice.Quiet = true
	err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		var err error
		if revoked, err = u.dropAppToken(token); err != nil {
			return err
		}
		notice.Name = revoked.Name
		u.notify(notice)
		return nil
	})
	e := Event{Name: EventAppTokenRevoked, OK: err == nil, Reason: reasonOf(err)}
	if err == nil {
		e.Detail = revoked.ID + " for " + revoked.Host + ": " + revoked.Name
		g.tell(at, u, notice)
	}
	g.record(ctx, at, s, u, e)
	return err
}

func (u *User) dropAppToken(id string) (*AppToken, error) {
	t := u.appToken(id)
	if t == nil {
		return nil, ErrNotFound
	}
	gone := *t
	u.AppTokens = slices.DeleteFunc(u.AppTokens, func(t AppToken) bool { return t.ID == id })
	return &gone, nil
}

// AppTokens returns a user's tokens without what they are checked with. ErrNotFound.
func (a *Administration) AppTokens(ctx context.Context, id UserID) ([]AppToken, error) {
	u, err := a.user(ctx, ReadUsers, id)
	if err != nil {
		return nil, err
	}
	return shownAppTokens(u), nil
}

// RevokeAppToken ends one token of a user, or all with "". ErrNotFound.
func (a *Administration) RevokeAppToken(ctx context.Context, id UserID, token string) error {
	what := "revoke-app-tokens"
	if token != "" {
		if _, ok := AppTokenID(AppTokenPrefix + token + "_" + strings.Repeat("A", AppTokenLength-len(AppTokenPrefix)-2*appTokenID-1)); !ok {
			// Not into the record: it may be the secret itself.
			if _, err := a.user(ctx, ChangeUsers, id); err != nil {
				return err
			}
			return ErrNotFound
		}
		what = "revoke-app-token " + token
	}
	return a.changeAny(ctx, id, what, nil, func(before *User) error {
		notice := Notice{Kind: NoticeAppTokenGone, At: a.g.now()}
		none := false
		err := a.update(ctx, id, func(u *User) error {
			if none = token == "" && len(u.AppTokens) == 0; none {
				return nil
			}
			if token == "" {
				u.AppTokens = nil
			} else {
				gone, err := u.dropAppToken(token)
				if err != nil {
					return err
				}
				notice.Name = gone.Name
			}
			u.notify(notice)
			return nil
		})
		if err == nil && !none {
			a.g.tell(nil, before, notice)
		}
		return err
	})
}
