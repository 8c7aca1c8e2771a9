package mfa

import "time"

// SessionID identifies a session: 256 random bits, base64url. It is a secret
// only together with the signature of the token that carries it.
type SessionID string

// HalfDoneLife is how long a half-done sign-in lives after its last step.
const HalfDoneLife = 10 * time.Minute

// ProofLife is how long a proof is good for changing factors (rule B15).
const ProofLife = 10 * time.Minute

// PendingLife is how long a factor waits for its first proof (rule B13).
const PendingLife = 10 * time.Minute

// Session is what the server keeps of a session: what was proven, by which
// credential, when. The zero value is half-done and expired.
type Session struct {
	ID    SessionID `json:"id"`
	User  UserID    `json:"user"`
	Scope string    `json:"scope"` // host or domain that the token is good for (its audience)

	// Line names the session over all changes of its ID, so that its owner can end
	// it while whoever holds it goes on proving things.
	Line string `json:"line,omitempty"`

	// Generation is the user's when the first factor was proven.
	Generation int `json:"generation,omitempty"`

	// Complete tells a full session from a half-done sign-in, whose second
	// factor or set-up is still owed.
	Complete bool `json:"complete,omitempty"`

	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`   // absolute end; a half-done one's moves with each step
	LastSeen time.Time `json:"last_seen"` // written in batches, for the idle limit

	First  Proof   `json:"first"`            // the first factor
	Proofs []Proof `json:"proofs,omitempty"` // second factors, newest proof of each credential

	// Registering is true in the first sign-in of a user (rule B7).
	Registering bool `json:"registering,omitempty"`
	// MayEnroll is true where a set-up link or an invitation opened this
	// session: it enrolls whatever the enrollment mode (rule B17).
	MayEnroll bool `json:"may_enroll,omitempty"`
	// Enrolled is true once a factor was set up in this sign-in; backup codes
	// are then its tail, which cannot be skipped (rule B14).
	Enrolled bool `json:"enrolled,omitempty"`

	// Verified are the addresses that were proven in this session without being a
	// second factor: by the code of a sign-up. Choosing one as a factor needs no
	// other code (rule B12).
	Verified []VerifiedAddress `json:"verified,omitempty"`
	// AddAnother is true once a factor was set up without effort, until another was
	// added: one is offered, once (rule B12).
	AddAnother bool `json:"add_another,omitempty"`

	// Bypassed is true once an administrator's bypass stood for the second factor
	// (rule B29).
	Bypassed bool `json:"bypassed,omitempty"`

	// Replacing is when this session removed the user's last factor to set up another
	// (rule B34).
	Replacing time.Time `json:"replacing,omitzero"`

	// Skipped is true once a set-up was skipped in this sign-in (rule B7).
	Skipped bool `json:"skipped,omitempty"`

	Pending []Pending `json:"pending,omitempty"`
	// Sent are the codes on their way, the newest of each kind and purpose.
	Sent []SentCode `json:"sent,omitempty"`

	// Provided is the second factor that the identity source asked for itself, where it is
	// believed in this; the zero Proof: none. It stands for "require", and for freshness by
	// its own time; never for a route's factors, and for phishing_resistant only where it
	// was.
	Provided Proof `json:"provided,omitzero"`

	// Source is what the identity source said of its own session.
	Source SourceSession `json:"source,omitzero"`

	// Family names the sessions that follow from one sign-in: that of the portal, and
	// those of the hosts it was handed to. Signing out of one ends all. Empty: Line.
	Family string `json:"family,omitempty"`

	// AppToken is the ID of the app token that stands for the session. It is made of the
	// user's record for each request, has no ID and is never kept.
	AppToken string `json:"-"`

	// Agent and Network show people which of their sessions is which.
	Agent   string `json:"agent,omitempty"`
	Network string `json:"network,omitempty"`
}

// SourceSession is what a session keeps of the identity source that began it.
type SourceSession struct {
	ID   string `json:"id,omitempty"` // the source's own name for its session
	Kept Secret `json:"kept,omitempty"`
	// Until is when the session is over unless the source confirms that its person still
	// stands; zero: no such time. From Due on the source is asked.
	Until time.Time `json:"until,omitzero"`
	Due   time.Time `json:"due,omitzero"`
}

// Over reports whether the session's time is over: its own, or that within which its
// identity source had to confirm that its person still stands.
func (s *Session) Over(now time.Time) bool {
	return !now.Before(s.Expires) || !s.Source.Until.IsZero() && !now.Before(s.Source.Until)
}

// family names the sessions that end together.
func (s *Session) family() string {
	if s.Family != "" {
		return s.Family
	}
	return s.Line
}

// Proof is one verification: which factor was proven, when, how well.
type Proof struct {
	Kind              Kind         `json:"kind"`
	Credential        CredentialID `json:"credential,omitempty"`
	At                time.Time    `json:"at"`
	UserVerified      bool         `json:"user_verified,omitempty"`
	PhishingResistant bool         `json:"phishing_resistant,omitempty"`
	// Address is what a code was sent to, where that was the first factor: it is no
	// second one in this session (rule B27).
	Address string `json:"address,omitempty"`
	// Remembered says that the browser stood for the proof, which was made at an
	// earlier sign-in, At that time (rule B29).
	Remembered bool `json:"remembered,omitempty"`
}

// VerifiedAddress is an address that a code has proven.
type VerifiedAddress struct {
	Kind    Kind      `json:"kind"`
	Address string    `json:"address"`
	At      time.Time `json:"at"`
}

// first reports whether that address proved the session's first factor.
func (s *Session) first(k Kind, address string) bool {
	return address != "" && s.First.Kind == k && s.First.Address == address
}

// Password is the kind of a first factor that is a password. It is no second
// factor and in no set of Kinds.
const Password Kind = "password"

// The kinds of a first factor that was proven at another place: at an identity source
// that sent the browser back, and before the gate. Neither is in a set of Kinds.
const (
	Redirected Kind = "redirect"
	Claimed    Kind = "claim"
)

// Pending is a factor that waits for its first right proof (rule B13), or backup
// codes that wait to be saved (rule B14). It belongs to one session.
type Pending struct {
	ID      CredentialID `json:"id"`
	Kind    Kind         `json:"kind"`
	Data    Secret       `json:"data"`            // what the credential's Data will be
	Shown   Secret       `json:"shown,omitempty"` // what the person sees: secret text or codes
	Expires time.Time    `json:"expires"`
}

// owns reports with nil that the session may act for the user as the record
// stands inside a write. What was checked when the request came in may be gone by
// then: a password was changed, factors were removed, the user was disabled, and
// a thief's request that was under way must not land after it. ErrNoSession,
// ErrDisabled.
func (s *Session) owns(u *User) error {
	switch {
	case u.Disabled:
		return ErrDisabled
	case u.ID != s.User || u.Generation != s.Generation:
		return ErrNoSession
	}
	return nil
}

// recent reports whether the proof is at most so old. A proof from the future is
// not: the clock was set back since.
func (p Proof) recent(now time.Time, most time.Duration) bool {
	if p.Remembered {
		return false // a browser proves nothing now (rule B29)
	}
	return within(now.Sub(p.At), most)
}

// within reports whether an age is at most so much, and not one of the future: the
// clock was set back since.
func within(age, most time.Duration) bool { return age <= most && age >= -clockLeeway }

// clockLeeway is by how much clocks of ours may differ.
const clockLeeway = 30 * time.Second

// pending returns the live pending factor of that kind, or nil.
func (s *Session) pending(k Kind, now time.Time) *Pending {
	for i := range s.Pending {
		if p := &s.Pending[i]; p.Kind == k && now.Before(p.Expires) {
			return p
		}
	}
	return nil
}

// dropPending removes what waits of that kind.
func (s *Session) dropPending(k Kind) {
	kept := s.Pending[:0]
	for _, p := range s.Pending {
		if p.Kind != k {
			kept = append(kept, p)
		}
	}
	s.Pending = kept
}

// prove records p in place of an older proof of the same credential.
func (s *Session) prove(p Proof) {
	for i := range s.Proofs {
		if s.Proofs[i].Credential == p.Credential {
			s.Proofs[i] = p
			return
		}
	}
	s.Proofs = append(s.Proofs, p)
}
