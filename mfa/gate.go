package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Config is what a Gate is made of. Every field without a note is required.
type Config struct {
	Store     Store
	Sources   []Source  // identity sources, in the order of the sign-in page
	Passwords Passwords // nil: no local accounts
	TOTP      Authenticator
	Codes     BackupCodes
	Passkeys  Passkeys
	Events    KeptEvents       // what administrators do is kept before it is done
	SentCodes SentCodes        // nil: no codes are sent
	Post      Post             // nil: nothing is sent
	Now       func() time.Time // nil: time.Now
	// Policies is the gateway's policy, which is asked at each step, so that a change
	// holds at once, and what administrators change of it.
	Policies *Policies
	// Policy returns the global policy where there are no Policies: then no
	// administrator can see or change it. nil: that of Policies.
	Policy func() *Policy
	// Hosts returns the relying parties of passkeys at the protected hosts, and whether a
	// site answers to any host, for the guard against locking administrators out. nil:
	// any host.
	Hosts func() (rpIDs []string, any bool)
	// AppHosts returns the hosts that take app tokens, as Place.Host writes them, with the
	// one that is asked from where that is one. nil: none.
	AppHosts func(here string) []string
	// Issuer is the name that authenticator apps show.
	Issuer string
	// NameKey returns a secret of 32 bytes or more that outlives the process and every
	// rotation of the keys: it spreads the names that nobody has over the counters, and
	// signs the marks of known browsers. nil: one of this process.
	NameKey func() []byte
	// Absolute is how long a session lives at most; 0: 12 h.
	Absolute time.Duration
	// SignUp says with what strangers may make an account; the zero value: not at all.
	SignUp SignUp
	// SignInCodes are the channels whose codes are a first factor beside the password.
	SignInCodes Kinds
	// SMSPerDay is how many text messages the gateway sends in a day; 0: 1000.
	SMSPerDay int
	// AccountPage is the address of the account page that letters of campaigns lead to,
	// which no page asked for: "https://app.example.com/.mfa/account"; empty: to none.
	AccountPage string
	// CampaignLetters is how many letters of campaigns are sent in a minute; 0: 120.
	CampaignLetters int
}

// Gate carries out the flows. It is safe for concurrent use. Its methods take
// values and return outcomes: the HTTP edge writes cookies and pages.
//
// Every method that takes a SessionID reads the session and its user from the
// store, so that what another request changed a moment ago holds.
type Gate struct {
	cfg Config
	now func() time.Time
	// letters is how the letters of campaigns fare.
	letters outage
	walks   walks
	// confirming asks identity sources whether people still stand.
	confirming *confirmations
}

// NewGate checks the configuration and returns a Gate.
func NewGate(cfg Config) (*Gate, error) {
	if cfg.Policy == nil && cfg.Policies != nil {
		cfg.Policy = cfg.Policies.Current
	}
	switch {
	case cfg.Store == nil, cfg.TOTP == nil, cfg.Codes == nil, cfg.Passkeys == nil, cfg.Events == nil, cfg.Policy == nil:
		return nil, errors.New("making a gate: a part is missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NameKey == nil {
		key := newUserHandle()
		cfg.NameKey = func() []byte { return key }
	}
	if cfg.Absolute <= 0 {
		cfg.Absolute = 12 * time.Hour
	}
	if cfg.SMSPerDay <= 0 {
		cfg.SMSPerDay = defaultSMSPerDay
	}
	if cfg.CampaignLetters <= 0 {
		cfg.CampaignLetters = defaultCampaignLetters
	}
	if cfg.Post == nil || cfg.SentCodes == nil {
		cfg.Post, cfg.SentCodes = nopost{}, nil
		cfg.SignInCodes = 0
	}
	return &Gate{cfg: cfg, now: cfg.Now, confirming: newConfirmations()}, nil
}

// Outcome is what a step of a flow led to.
type Outcome struct {
	// Session is the session that the browser holds from now on. Changed says
	// that its ID is new: the edge writes a cookie, and the old one is dead.
	Session *Session
	Changed bool
	Subject *Subject
	// Decision is what comes next. Allow: the person goes where they wanted.
	Decision Decision
	// Device, where it is not empty, is what the browser is to keep in place of
	// Place.Devices: it is known for this user from now on.
	Device string
	// Remember, where it is not empty, is what the browser is to keep in place of
	// Place.Remembered; "-" takes it away (rule B29).
	Remember string
	// Notices says that something happened before this sign-in that the person is
	// to see first: ask Gate.Notices.
	Notices bool
}

// Method is one factor on a verification page, with the reason where it cannot
// be used now (rules B16, B20, B21).
type Method struct {
	Kind      Kind
	Available bool
	Why       Reason        // ReasonLocked, ReasonOtherHost, ReasonPlainHTTP, ReasonIPAddress, ReasonNoSender, ReasonSameChannel
	Hint      string        // the host that the passkeys were made for, where that is another
	Wait      time.Duration // with ReasonLocked: how long, 0: until somebody helps
	Left      int           // of backup codes
	// Credential and Address are of a factor that codes are sent for: one Method for
	// each address, which is masked (rule B21).
	Credential CredentialID
	Address    string
}

// Choice is one factor on a set-up list, with the reason where it cannot be set
// up here (rule B11).
type Choice struct {
	Kind      Kind
	Available bool
	Why       Reason
	Held      int // how many the user has already
	// Addresses are those on file that can be chosen without typing them (rule B12).
	Addresses []AddressChoice
}

// AddressChoice is an address on file.
type AddressChoice struct {
	Masked   string
	Ref      string // what SetUpAddress takes in place of the address
	Verified bool   // in this session: choosing it is enough
}

// Further reasons: why a method is not available, and why a page says no.
const (
	ReasonLocked           Reason = "locked"
	ReasonLimit            Reason = "limit"
	ReasonClosed           Reason = "enrollment_closed" // rule B17
	ReasonLoop             Reason = "loop"              // the app and a page send somebody to and fro
	ReasonNoSender         Reason = "no_sender"         // nothing can be sent there now
	ReasonNothingAvailable Reason = "nothing_available" // enrolled, but of no use here and now (rule B16)
)

// State is all that a page needs to know to show where a person stands.
type State struct {
	Outcome
	Methods   []Method // of a verification
	Preferred Kind     // the method whose page opens (rule B20); "": the list
	Choices   []Choice // of a set-up
	// Closed says that first enrollment needs an administrator's pass or link, and
	// Confirm that it needs a code to this address on file, which is masked (B17).
	Closed  bool
	Confirm string
	// ProofOwed says that a set-up needs a newer proof first (rule B15): Verify
	// is then the decision, with Methods to do it by, or SignIn.
	ProofOwed bool
	// GraceEnds is when a requirement stops being skippable; zero: no grace.
	GraceEnds time.Time
	// CodesOffered says that the policy enables backup codes: a first set-up has
	// them as its second step.
	CodesOffered bool
	// RememberFor is how long this browser could stand for the proof that is made
	// next; 0: not at all (rule B29).
	RememberFor time.Duration
}

// Ceremony is a WebAuthn ceremony that was begun: what the browser gets, and the
// name under which it answers.
type Ceremony struct {
	ID      string
	Options []byte // JSON: {"publicKey": …}
}

// TOTPSetup is what a person needs to set up an authenticator app.
type TOTPSetup struct {
	URI    Secret // otpauth URI for the QR code
	Secret Secret // the same as text, in groups of four
}

// Link is what a link from an administrator is good for.
type Link struct {
	Purpose Purpose
	// UserName is fixed by the administrator; empty: the person chooses it. The
	// others are what is known already.
	UserName, DisplayName, Email string
	Expires                      time.Time
}

// LinkInput is what a person enters to use a link.
type LinkInput struct {
	Token       string
	Name        string // with ForSetupLink
	DisplayName string
	Email       string
	Password    string
}

// Account is what the account page shows.
type Account struct {
	Outcome
	UserName      string
	DisplayName   string
	Email         string
	EmailVerified bool
	Credentials   []Credential // without Data
	CodesLeft     int
	CodesOffered  bool     // the policy enables backup codes
	Off           bool     // 2-step verification is off for everybody (rule B2)
	Required      bool     // a second factor is required
	Choices       []Choice // what can be added
	Sessions      []SessionInfo
	LocalPassword bool
	Local         bool // the account is kept here: its name and address can be changed
	CanEmail      bool // … its address, because there is something to send a code with
	OptedOut      bool
	Phone         string // as people write it; empty: none
	PhoneVerified bool
	Organizations []string           // as people know them
	Remembered    []RememberedDevice // browsers that stand for a second factor; without Hash
	AppTokens     []AppToken         // newest first; without Hash
	AppHosts      []string           // that a token can be made for
	// Notices are those that were not seen yet, newest first. Only those of before
	// this sign-in can be put away in it.
	Notices []Notice
	PutAway bool // one of them can
	Score   Score
	// CanReplace says that RemoveLast could take the last factor away and have another
	// set up in its place here.
	CanReplace bool
	// Campaign is the campaign that the user is in and whose goal is not reached yet; nil:
	// none (rule B37).
	Campaign *CampaignPrompt
}

// SessionInfo is one session as its owner sees it. Handle ends it; it is no
// token.
type SessionInfo struct {
	Handle   string
	Current  bool
	Host     string
	Agent    string
	Network  string
	Created  time.Time
	LastSeen time.Time
}

// load reads the session and its user. A session that belongs elsewhere or is
// over is ErrNoSession; a half-done one that waited too long is ErrExpired.
func (g *Gate) load(ctx context.Context, at *Place, id SessionID) (*Session, *User, error) {
	if at == nil || id == "" {
		return nil, nil, ErrNoSession
	}
	s, err := g.cfg.Store.Session(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, ErrNoSession
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading session: %w", err)
	}
	switch {
	case s.Scope != at.Scope:
		return nil, nil, ErrNoSession
	case s.Over(g.now()) && s.Complete:
		return nil, nil, ErrNoSession
	case s.Over(g.now()):
		return nil, nil, ErrExpired
	}
	u, err := g.cfg.Store.User(ctx, s.User)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, ErrNoSession
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading user: %w", err)
	}
	if u.Disabled {
		return nil, nil, ErrDisabled
	}
	if s.Generation != u.Generation {
		return nil, nil, ErrNoSession
	}
	return s, u, nil
}

// policy returns the policy of a step: a half-done sign-in is finished by the
// gateway's own; what the route asks beyond comes once there is a session.
func (g *Gate) policy(at *Place, s *Session) (*Policy, error) {
	p := g.cfg.Policy()
	if p == nil {
		return nil, errors.New("no policy")
	}
	if !s.Complete || at.Asked.Zero() || p.Off {
		return p, nil
	}
	asked := p.With(at.Asked)
	if asked.allowed()&PrimaryKinds == 0 {
		// Nobody could meet this: the address is forged, or the route's organization
		// contradicts it, and the route will refuse. Until then it asks for a second
		// factor, and a page that asked nothing would send back at once.
		asked = p.With(Requirement{Required: true})
	}
	return &asked, nil
}

// policyOf returns the gateway's policy as it holds for the user, without what a
// route adds. With no policy at all it returns one that allows nothing.
func (g *Gate) policyOf(u *User) *Policy {
	p := g.cfg.Policy()
	if p == nil {
		return new(Policy)
	}
	effective, _ := p.For(u.AsSubject())
	return &effective
}

func (g *Gate) decide(at *Place, s *Session, u *User) (Decision, error) {
	p, err := g.policy(at, s)
	if err != nil {
		return Decision{}, err
	}
	return Decide(Input{Policy: p, Place: at, Session: s, Subject: u.AsSubject()}, g.now()), nil
}

// settle keeps s as the session that follows old: under a new ID, the old one
// ended in the same write, because a token must not outlive a rise in what was
// proven. A half-done sign-in that owes nothing more is completed. old is empty
// at the start of a sign-in.
func (g *Gate) settle(ctx context.Context, at *Place, old SessionID, s *Session, u *User) (*Outcome, error) {
	now := g.now()
	d, err := g.decide(at, s, u)
	if err != nil {
		return nil, err
	}
	if old != "" && !s.Source.Due.IsZero() {
		// The source may have confirmed the session since it was loaded, and what is kept
		// for it then is good once.
		if newest, err := g.cfg.Store.Session(ctx, old); err == nil {
			s.Source = newest.Source
		}
	}
	s.ID = NewSessionID()
	s.LastSeen = now
	// Codes on their way end with the ID that asked for them. The copy that was loaded
	// may hold one that has been spent since, or whose tries were used up.
	s.Sent = nil
	// A proof whose credential is gone counts for nothing (rule B6), and whoever adds and
	// removes for hours must not make the record grow.
	s.Proofs = slices.DeleteFunc(s.Proofs, func(p Proof) bool { return u.Credential(p.Credential) == nil })
	completed, first := false, s.Registering
	switch {
	case s.Complete:
	case d.Action == Allow:
		completed = true
		s.Complete = true
		s.Registering, s.MayEnroll, s.Enrolled, s.Skipped, s.AddAnother = false, false, false, false, false
		s.Verified = nil
		s.Created, s.Expires = now, now.Add(g.cfg.Absolute)
		if d, err = g.decide(at, s, u); err != nil {
			return nil, err
		}
	default:
		s.Expires = now.Add(HalfDoneLife)
	}
	if old == "" {
		err = g.cfg.Store.CreateSession(ctx, s)
	} else {
		err = g.cfg.Store.ReplaceSession(ctx, old, s)
	}
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNotOwed // another tab went on with the session
	}
	if err != nil {
		return nil, fmt.Errorf("keeping session: %w", err)
	}
	if completed {
		g.record(ctx, at, s, u, Event{Name: EventSignedIn, OK: true})
		if !first && g.knownDevice(at, holderOf(u)) == "" {
			g.tell(at, u, g.noticed(at, NoticeNewDevice, ""))
		}
	}
	if err := g.noteFirstPrompt(ctx, u, d); err != nil {
		return nil, err
	}
	out := &Outcome{
		Session: s, Changed: true, Subject: u.AsSubject(), Decision: d,
		Notices: d.Action == Allow && s.Complete && mustSee(earlier(u, s)),
	}
	if s.Complete {
		// Not only when a sign-in is completed: a new password has ended the old mark.
		out.Device = g.markDevice(at, holderOf(u))
	}
	return out, nil
}

// noteFirstPrompt starts the clocks that run from the first time a user is asked
// to set something up (rules B10, B17).
func (g *Gate) noteFirstPrompt(ctx context.Context, u *User, d Decision) error {
	if d.Action != SetUp || !u.EnrollmentOpened.IsZero() && (!d.Skippable || !u.GraceStarted.IsZero()) {
		return nil
	}
	now := g.now()
	return g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if u.EnrollmentOpened.IsZero() {
			u.EnrollmentOpened = now
		}
		if d.Skippable && d.Reason == ReasonNothingSetUp && u.GraceStarted.IsZero() {
			u.GraceStarted = now
		}
		return nil
	})
}

// NoteRefusal records that a page tells a known user no, and returns the ID under
// which an administrator finds it (rule B32).
func (g *Gate) NoteRefusal(ctx context.Context, at *Place, s *Session, u *Subject, why Reason) string {
	id := NewDecisionID()
	g.record(ctx, at, s, &User{ID: u.ID, Name: u.Name}, Event{Name: EventDecision, Reason: Refuse.String() + ":" + string(why), Decision: id})
	return id
}

// record completes an event with who, where and when.
func (g *Gate) record(ctx context.Context, at *Place, s *Session, u *User, e Event) {
	e.At = g.now()
	if at != nil {
		e.Host, e.Network, e.Agent = at.Host, at.Network, at.Agent
	}
	if u != nil {
		e.User, e.UserName = u.ID, u.Name
	}
	if s != nil {
		e.Session = s.ID.Short()
	}
	g.cfg.Events.Record(ctx, e)
}

// reasonOf names an error in one word for an event.
func reasonOf(err error) string {
	var throttled *ThrottledError
	var clock *ClockError
	var proof *ProofError
	var password *PasswordError
	var organization *OrganizationError
	var policy *PolicyError
	var campaign *CampaignError
	var lockout *LockoutError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &throttled):
		return "throttled"
	case errors.As(err, &clock):
		return "clock"
	case errors.As(err, &proof):
		return "proof_owed"
	case errors.As(err, &password):
		return "password_" + string(password.Rule)
	case errors.As(err, &organization), errors.As(err, &policy), errors.As(err, &campaign):
		return "invalid"
	case errors.As(err, &lockout):
		return "lockout"
	case errors.Is(err, ErrLastAdministrator):
		return "last_administrator"
	case errors.Is(err, ErrSelf):
		return "self"
	case errors.Is(err, ErrRole):
		return "role"
	case errors.Is(err, ErrNameTaken):
		return "name_taken"
	case errors.Is(err, ErrName):
		return "name"
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.Is(err, ErrDisabled):
		return "disabled"
	case errors.Is(err, ErrDenied):
		return "denied"
	case errors.Is(err, ErrRejected):
		return "rejected"
	case errors.Is(err, ErrCloned):
		return "cloned"
	case errors.Is(err, ErrExpired):
		return "expired"
	case errors.Is(err, ErrBusy):
		return "busy"
	case errors.Is(err, ErrNotOwed):
		return "not_owed"
	case errors.Is(err, ErrNotAllowed):
		return "not_allowed"
	case errors.Is(err, ErrLimit):
		return "limit"
	case errors.Is(err, ErrLastFactor):
		return "last_factor"
	case errors.Is(err, ErrNoFactor):
		return "no_factor"
	case errors.Is(err, ErrEnrollmentClosed):
		return "enrollment_closed"
	case errors.Is(err, ErrConfirmFirst):
		return "confirm_first"
	case errors.Is(err, ErrNotSent):
		return "not_sent"
	case errors.Is(err, ErrCountry):
		return "country"
	}
	return "fault"
}
