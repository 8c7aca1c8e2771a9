package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// checkEnroll reports with nil that the session may add a factor of that kind to
// the user as the record stands now. It is asked when a set-up begins and again
// inside the write that adds the credential, because what allowed the beginning
// may be gone by then. *ProofError, ErrEnrollmentClosed, ErrNotAllowed, ErrLimit.
func (g *Gate) checkEnroll(at *Place, s *Session, u *User, k Kind, now time.Time) error {
	p := g.policyOf(u)
	if p.Off || !p.Factors.Has(k) || u.Disabled {
		return ErrNotAllowed
	}
	if k == Passkey && at.RPID == "" {
		return ErrNotAllowed
	}
	if err := checkLimit(u, k); err != nil {
		return err
	}
	return g.checkProof(p, s, u, now)
}

func checkLimit(u *User, k Kind) error {
	limit := map[Kind]int{Passkey: MaxPasskeys, TOTP: MaxTOTP, SMS: MaxAddresses, Email: MaxAddresses}[k]
	if limit > 0 && count(u, k) >= limit {
		return ErrLimit
	}
	return nil
}

func count(u *User, k Kind) int {
	n := 0
	for _, c := range u.Credentials {
		if c.Kind == k {
			n++
		}
	}
	return n
}

// checkProof is rule B15 for adding: who has anything enrolled proves a second
// factor again, who has nothing proves the first; and rule B17: the first
// enrollment on a password alone needs an open window or an administrator's link,
// or a stolen password would be enough to take the account over.
func (g *Gate) checkProof(p *Policy, s *Session, u *User, now time.Time) error {
	return addingNeeds(p, s, u, now, func() bool { return g.onFile(u) != nil })
}

// addingNeeds is checkProof; onFile reports whether a code can be sent to an address on
// file.
func addingNeeds(p *Policy, s *Session, u *User, now time.Time, onFile func() bool) error {
	kinds := verifiable(p, u)
	counts := kinds | p.Factors
	if codes := u.Credential(BackupCodesID); codes != nil && codes.Left == 0 {
		// A backup code counts here though it was the last one: it was a factor when
		// it was proven (rule B23).
		counts |= KindsOf(BackupCode)
	}
	if newestProof(s, u, counts, now) {
		return nil
	}
	if s.Bypassed && !s.Complete {
		return nil // an administrator's bypass leads to set-up (rule B29)
	}
	// A factor of a kind that this version does not know is a factor: a password
	// alone must not set another one up beside it (AC-156).
	unknown := slices.ContainsFunc(u.Credentials, func(c Credential) bool { return c.Kind.set() == unknownKind })
	if kinds != 0 || unknown {
		if chosenHere(s, u, now) {
			return nil // it is all that is enrolled, and a further factor is forced (rule B12)
		}
		if kinds == 0 {
			return ErrNotAllowed // there is nothing to prove it with
		}
		return &ProofError{Kinds: kinds}
	}
	if s.replaces(now) {
		return nil // what was proven to remove the last factor (rule B34)
	}
	if !s.First.recent(now, ProofLife) {
		return &ProofError{}
	}
	e := p.Enrollment
	switch {
	case s.MayEnroll:
		return nil
	case e.Open && !u.shut() && (e.Window == 0 || u.EnrollmentOpened.IsZero() || now.Sub(u.EnrollmentOpened) <= e.Window):
		return nil
	case (e.Open || e.Confirm) && onFile():
		return ErrConfirmFirst
	}
	return ErrEnrollmentClosed
}

// chosenHere reports whether all that the user holds was set up in this sign-in, or in
// place of the last factor, by the address that signed in: there is nothing else to
// verify with.
func chosenHere(s *Session, u *User, now time.Time) bool {
	if s.Complete && !s.replaces(now) || len(u.Credentials) == 0 {
		return false
	}
	return !slices.ContainsFunc(u.Credentials, func(c Credential) bool {
		if !(Held{Kind: c.Kind, Left: c.Left}).Enrolled() {
			return false // codes that are used up verify nothing either
		}
		return !s.first(c.Kind, c.Address) || !slices.ContainsFunc(s.Proofs, func(p Proof) bool { return p.Credential == c.ID && !p.Remembered })
	})
}

// newestProof reports whether the session proved one of the kinds within
// ProofLife, with a credential that still stands.
func newestProof(s *Session, u *User, kinds Kinds, now time.Time) bool {
	return newestProofWithin(s, u, kinds, now, ProofLife)
}

func newestProofWithin(s *Session, u *User, kinds Kinds, now time.Time, most time.Duration) bool {
	return slices.ContainsFunc(s.Proofs, func(p Proof) bool {
		c := u.Credential(p.Credential)
		return c != nil && c.Kind == p.Kind && kinds.Has(p.Kind) && p.recent(now, most) &&
			!s.first(c.Kind, c.Address) // it proved nothing further (rule B27)
	})
}

// strength orders factors by what their proof is worth (rule B15).
func strength(k Kind) int {
	switch k {
	case Passkey:
		return 3
	case TOTP, BackupCode:
		return 2
	case SMS, Email:
		return 1
	}
	return 4 // unknown: nothing that we know is as strong
}

// atLeast returns the kinds whose proof is at least as strong as one of k.
func atLeast(k Kind) Kinds {
	var s Kinds
	for _, other := range kinds {
		if strength(other) >= strength(k) {
			s |= other.set()
		}
	}
	return s
}

// CleanName returns a credential's name as it is kept: without surrounding space
// and control characters, at most MaxName code points. ErrName where nothing or
// nonsense is left.
func CleanName(name string) (string, error) {
	if len(name) > 8*MaxName || !utf8.ValidString(name) {
		return "", ErrName
	}
	name = strings.Join(strings.FieldsFunc(name, func(r rune) bool {
		// Format characters would let one name look like another (right-to-left
		// override, zero-width space).
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	}), " ")
	if name == "" || utf8.RuneCountInString(name) > MaxName {
		return "", ErrName
	}
	return name, nil
}

// add keeps a new credential, and the proof that came with it as this session's
// verification (rule B13).
func (g *Gate) add(ctx context.Context, at *Place, s *Session, u *User, cred Credential, proof Proof) (*Outcome, error) {
	now := g.now()
	proof.Credential = cred.ID
	added := g.noticed(at, NoticeAdded, cred.Kind)
	// Whoever came by an administrator's link did it just now, as they were told.
	added.Name, added.Quiet = cred.Name, s.MayEnroll
	err := g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		if u.Credential(cred.ID) != nil || u.reaches(cred.Kind, cred.Address) {
			return ErrNotOwed // the other tab, or the second press of the button
		}
		if err := g.checkEnroll(at, s, u, cred.Kind, now); err != nil {
			return err
		}
		u.Credentials = append(u.Credentials, cred)
		u.EverEnrolled, u.SkippedPrompt = true, ""
		if !s.first(cred.Kind, cred.Address) {
			u.EnrollmentShut = time.Time{} // the address that signed in is no second factor (rule B27)
		}
		u.notify(added)
		return nil
	})
	if errors.Is(err, ErrTaken) {
		return nil, ErrRejected // another user's authenticator (WebAuthn §7.1)
	}
	if err != nil {
		return nil, err
	}
	// Recorded here, where it is true, whatever becomes of the session: no factor
	// goes live without an event (rule B17).
	g.record(ctx, at, s, u, Event{Name: EventEnroll, OK: true, Factor: cred.Kind})
	g.tell(at, u, added)
	// What was locked by wrong tries is open again: this is the binding anew that
	// ends a lock (NIST SP 800-63B-4 §3.2.2).
	if err := g.unlock(ctx, u.ID, cred.Kind); err != nil {
		return nil, &keptError{fmt.Errorf("clearing attempts: %w", err)}
	}
	if u, err = g.cfg.Store.User(ctx, u.ID); err != nil {
		return nil, &keptError{fmt.Errorf("reading user: %w", err)}
	}
	s.prove(proof)
	s.dropPending(cred.Kind)
	if _, effortless := s.verifiedHere(cred.Kind, cred.Address); !effortless {
		s.AddAnother = false // another one was added
	}
	s.Enrolled = true
	if !s.first(cred.Kind, cred.Address) {
		s.Replacing = time.Time{}
	}
	if s.Complete {
		s.MayEnroll = false // it was for this one; in a sign-in it ends with that
	}
	out, err := g.settle(ctx, at, s.ID, s, u)
	if err != nil {
		return nil, &keptError{err}
	}
	if out.Decision.Action == Allow && g.owesCodes(u) {
		// Somebody who is signed in and added the first factor is shown codes too: the
		// tail of a set-up, which has no Skip (rule B14). It stops no request, because
		// only a sign-in may (rule B8).
		out.Decision = Decision{Action: SetUp, Reason: ReasonNoCodes, Kinds: KindsOf(BackupCode)}
	}
	return out, nil
}

// keptError is a failure after the credential was kept and recorded.
type keptError struct{ error }

func (e *keptError) Unwrap() error { return e.error }

// enrollFailed records a set-up that kept nothing.
func (g *Gate) enrollFailed(ctx context.Context, at *Place, s *Session, u *User, k Kind, err error) {
	var kept *keptError
	if err != nil && !errors.As(err, &kept) {
		g.record(ctx, at, s, u, Event{Name: EventEnroll, Reason: reasonOf(err), Factor: k})
	}
}

// owesCodes reports whether backup codes are enabled and none is unused.
func (g *Gate) owesCodes(u *User) bool {
	if !g.policyOf(u).Factors.Has(BackupCode) {
		return false
	}
	set := u.Credential(BackupCodesID)
	return set == nil || set.Left == 0
}

// BeginTOTP makes the secret of a new authenticator app, or returns the one that
// is waiting already in this session, so that a reload shows the same code.
func (g *Gate) BeginTOTP(ctx context.Context, at *Place, id SessionID) (*TOTPSetup, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	now := g.now()
	if err := g.checkEnroll(at, s, u, TOTP, now); err != nil {
		return nil, err
	}
	p := s.pending(TOTP, now)
	if p == nil {
		data, text, err := g.cfg.TOTP.NewSecret()
		if err != nil {
			return nil, fmt.Errorf("making secret: %w", err)
		}
		fresh := Pending{ID: newCredentialID(), Kind: TOTP, Data: data, Shown: text, Expires: now.Add(PendingLife)}
		if p, err = g.keepPending(ctx, s, fresh); err != nil {
			return nil, err
		}
	}
	return &TOTPSetup{URI: g.cfg.TOTP.URI(p.Shown, g.issuer(at), u.Name), Secret: p.Shown}, nil
}

func (g *Gate) issuer(at *Place) string {
	if g.cfg.Issuer != "" {
		return g.cfg.Issuer
	}
	return at.Host
}

// keepPending keeps what waits for its first proof, unless another tab was
// faster: both then show the same.
func (g *Gate) keepPending(ctx context.Context, s *Session, fresh Pending) (*Pending, error) {
	now := g.now()
	kept := fresh
	err := g.cfg.Store.UpdateSession(ctx, s.ID, func(s *Session) error {
		if p := s.pending(fresh.Kind, now); p != nil {
			kept = *p
			return nil
		}
		kept = fresh
		s.dropPending(fresh.Kind)
		s.Pending = append(s.Pending, fresh)
		if !s.Complete {
			s.Expires = now.Add(HalfDoneLife)
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNotOwed
	}
	if err != nil {
		return nil, fmt.Errorf("keeping what waits: %w", err)
	}
	return &kept, nil
}

// FinishTOTP takes the first code of a new authenticator app, which makes it
// live. ErrRejected, *ClockError, ErrExpired (it waited too long: begin again),
// *ThrottledError, and what checkEnroll says.
func (g *Gate) FinishTOTP(ctx context.Context, at *Place, id SessionID, code, name string) (*Outcome, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	out, err := g.finishTOTP(ctx, at, s, u, code, name)
	g.enrollFailed(ctx, at, s, u, TOTP, err)
	return out, err
}

func (g *Gate) finishTOTP(ctx context.Context, at *Place, s *Session, u *User, code, name string) (*Outcome, error) {
	now := g.now()
	if err := g.checkEnroll(at, s, u, TOTP, now); err != nil {
		return nil, err
	}
	p := s.pending(TOTP, now)
	if p == nil {
		return nil, ErrExpired
	}
	r, err := g.reserve(ctx, at, counter{key: factorKey(u.ID, "enroll_totp"), lockAt: lockFactorAt})
	if err != nil {
		return nil, err
	}
	step, err := g.cfg.TOTP.Step(p.Data, code, now)
	if err != nil {
		return nil, err
	}
	if name, err = nameOr(name, "Authenticator app", u); err != nil {
		return nil, err
	}
	if err := g.forgive(ctx, r); err != nil {
		return nil, fmt.Errorf("clearing attempts: %w", err)
	}
	cred := Credential{
		ID: p.ID, Kind: TOTP, Name: name, Created: now, Data: p.Data,
		Step: step, // the code that confirmed does not sign in as well (AC-113)
	}
	return g.add(ctx, at, s, u, cred, Proof{Kind: TOTP, At: now})
}

// nameOr returns the name that the person chose, or other, with a number where the
// person has one of that name already: two that are called alike cannot be told apart
// when one is to be removed.
func nameOr(name, other string, u *User) (string, error) {
	if strings.TrimSpace(name) != "" {
		return CleanName(name)
	}
	free := other
	for n := 2; slices.ContainsFunc(u.Credentials, func(c Credential) bool { return c.Name == free }); n++ {
		free = fmt.Sprintf("%s %d", other, n)
	}
	return free, nil
}

// BeginPasskey starts setting up a passkey.
func (g *Gate) BeginPasskey(ctx context.Context, at *Place, id SessionID) (*Ceremony, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	if err := g.checkEnroll(at, s, u, Passkey, g.now()); err != nil {
		return nil, err
	}
	options, state, err := g.cfg.Passkeys.BeginEnrollment(at, u)
	if err != nil {
		return nil, fmt.Errorf("beginning enrollment: %w", err)
	}
	return g.putCeremony(ctx, at, s, ForEnrollment, options, state)
}

// FinishPasskey checks the browser's answer and keeps the passkey. ErrRejected,
// ErrExpired (begin again), and what checkEnroll says.
func (g *Gate) FinishPasskey(ctx context.Context, at *Place, id SessionID, ceremony string, answer []byte, name string) (*Outcome, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	out, err := g.finishPasskey(ctx, at, s, u, ceremony, answer, name)
	g.enrollFailed(ctx, at, s, u, Passkey, err)
	return out, err
}

func (g *Gate) finishPasskey(ctx context.Context, at *Place, s *Session, u *User, ceremony string, answer []byte, name string) (*Outcome, error) {
	state, err := g.takeCeremony(ctx, at, s, ForEnrollment, ceremony)
	if err != nil {
		return nil, err
	}
	now := g.now()
	if err := g.checkEnroll(at, s, u, Passkey, now); err != nil {
		return nil, err
	}
	cred, err := g.cfg.Passkeys.FinishEnrollment(at, u, state, answer)
	if err != nil {
		return nil, err
	}
	// "Browser on OS" tells a person's passkeys apart until they name them.
	fallback := at.Agent
	if fallback == "" {
		fallback = "Passkey"
	}
	if cred.Name, err = nameOr(name, fallback, u); err != nil {
		return nil, err
	}
	cred.ID, cred.Kind, cred.Created = newCredentialID(), Passkey, now
	proof := Proof{Kind: Passkey, At: now, UserVerified: true, PhishingResistant: true}
	return g.add(ctx, at, s, u, *cred, proof)
}
