package session

import (
	"slices"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// What an app reads in "amr": values of RFC 8176 where there is one for what was done, and
// URIs of our own where there is none.
const (
	amrPassword = "pwd"
	amrOTP      = "otp"
	amrSMS      = "sms"
	// A key was used, of which nobody has attested where it is kept: neither "hwk" nor
	// "swk" is known to be true. Each passkey asks for a touch ("user").
	amrKey      = "pop"
	amrPresence = "user"
	amrSeveral  = "mfa"

	amrEmail      = names + "amr/email"       // a code that was sent to an e-mail address
	amrBackupCode = names + "amr/backup-code" // one of the codes on paper
	amrSource     = names + "amr/source"      // the identity source signed the person in; how is its own matter
	amrSourceMFA  = names + "amr/source-mfa"  // … and asked for a second factor, and is believed in this
)

// names is what URIs of ours begin with.
const names = "https://github.com/secondgate/secondgate/"

// What an app reads in "acr": the class of all that was done, weakest first.
const (
	classOne       = names + "acr/one-factor"         // the first factor alone
	classTwoStep   = names + "acr/two-step"           // a second one as well; both of one kind, or the first's is not known
	classMFA       = names + "acr/mfa"                // two of different kinds
	classResistant = names + "acr/phishing-resistant" // … one of them a passkey, or as good as one
)

// ways are what a person has shown: that they know something, that they have something, or,
// with a passkey that has asked for a PIN, a finger or a face, that they know or are
// something.
type ways uint8

const (
	has ways = 1 << iota
	knows
	is
)

// several reports whether these are two different kinds: "mfa" comes of kinds and never of
// a count. Two codes are two things that somebody has (AC-157).
func (w ways) several() bool { return w&has != 0 && w&^has != 0 }

// done is what was truly done in a session.
type done struct {
	amr []string
	acr string
	at  time.Time // of the newest proof that carries the class
}

// doneIn says what was done. password says that a first factor of the kind Password was a
// password, rather than a sign-in at a source that decides for itself how.
func doneIn(s *mfa.Session, u *mfa.Subject, password bool) done {
	var d done
	var all ways
	add := func(p *mfa.Proof, counts bool) {
		names, w := shows(p)
		for _, name := range names {
			if !slices.Contains(d.amr, name) {
				d.amr = append(d.amr, name)
			}
		}
		if counts {
			all |= w
		}
	}
	var second, resistant time.Time // the newest of each
	newer := func(t *time.Time, p *mfa.Proof) {
		if p.At.After(*t) {
			*t = p.At
		}
	}
	switch first := &s.First; {
	case first.Kind == mfa.Password && password:
		d.amr, all = append(d.amr, amrPassword), knows
	case first.Kind == "":
	case mfa.KindsOf(first.Kind)&everyKind != 0:
		// A passkey that was removed since was used, but counts for nothing (rule B6).
		add(first, first.Credential == "" || stands(s, u, first))
	default:
		d.amr = append(d.amr, amrSource)
	}
	for i := range s.Proofs {
		p := &s.Proofs[i]
		if p.Remembered || mfa.KindsOf(p.Kind)&everyKind == 0 || !stands(s, u, p) {
			continue // a browser has stood for it, nobody here knows it, or its factor is gone
		}
		add(p, true)
		if s.First.Credential == "" || p.Credential != s.First.Credential || p.UserVerified {
			newer(&second, p)
		}
		if p.PhishingResistant {
			newer(&resistant, p)
		}
	}
	if p := &s.Provided; p.Kind != "" {
		d.amr = append(d.amr, amrSourceMFA)
		all |= has | knows
		newer(&second, p)
		if p.PhishingResistant {
			newer(&resistant, p)
		}
	}
	switch {
	case all.several() && !resistant.IsZero():
		d.acr, d.at = classResistant, resistant
	case all.several() && !second.IsZero():
		d.acr, d.at = classMFA, second
	case !second.IsZero():
		d.acr, d.at = classTwoStep, second
	default:
		d.acr, d.at = classOne, s.First.At
	}
	if d.acr == classMFA || d.acr == classResistant {
		d.amr = append(d.amr, amrSeveral)
	}
	return d
}

// everyKind are the factors that shows knows of.
var everyKind = mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email, mfa.BackupCode)

// stands reports whether the proof's credential is still the user's, and is no address that
// was the first factor itself (rules B6, B27).
func stands(s *mfa.Session, u *mfa.Subject, p *mfa.Proof) bool {
	for i := range u.Held {
		if h := &u.Held[i]; h.ID == p.Credential && h.Kind == p.Kind {
			return h.Address == "" || h.Kind != s.First.Kind || h.Address != s.First.Address
		}
	}
	return false
}

// shows says what a proof of a factor is worth.
func shows(p *mfa.Proof) ([]string, ways) {
	switch p.Kind {
	case mfa.Passkey:
		if p.UserVerified {
			return []string{amrKey, amrPresence}, has | is
		}
		return []string{amrKey, amrPresence}, has
	case mfa.TOTP:
		return []string{amrOTP}, has
	case mfa.SMS:
		return []string{amrSMS}, has
	case mfa.Email:
		return []string{amrEmail}, has
	case mfa.BackupCode:
		return []string{amrBackupCode}, has
	}
	return nil, 0
}
