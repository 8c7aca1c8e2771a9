package mfa

import (
	"context"
	"errors"
	"time"
)

// What stores answer besides success. Any other error means that the store could
// not tell, and whoever asked must refuse.
var (
	ErrNotFound = errors.New("not found")
	ErrTaken    = errors.New("already taken") // a unique key belongs to another user
	ErrTooLarge = errors.New("too large for one write")
	ErrCursor   = errors.New("the cursor is not one of this list")
)

// Users keeps users. Every method is safe for concurrent use. A change is
// durable when the method returns nil.
type Users interface {
	// User returns the user of that ID, or ErrNotFound. The caller must not
	// change it.
	User(ctx context.Context, id UserID) (*User, error)
	// UserByKey returns the user who holds the unique key, or ErrNotFound.
	UserByKey(ctx context.Context, key string) (*User, error)
	// CreateUser keeps a new user, or answers ErrTaken when one of its unique
	// keys or its ID is held already. One of many concurrent creators wins.
	CreateUser(ctx context.Context, u *User) error
	// UpdateUser calls change with a private copy of the user and keeps what it
	// left there, atomically: no other change comes in between, and the unique
	// keys move in the same write (ErrTaken). change may run more than once and
	// must only compare and set. An error of change is returned as it is, and
	// nothing is kept. change must not alter ID, Source or Subject.
	UpdateUser(ctx context.Context, id UserID, change func(*User) error) error
	// ListUsers returns at most limit users that q matches, each once, after the cursor,
	// and the cursor of the next page ("" at the end). With Search they stand in the
	// order of the term that matches (of several the first one), otherwise in the order of
	// names. The cursor shows nothing of those whom q does not match. One call looks at
	// so many users and no more: a page with few matches, or none, goes on behind its
	// cursor like a full one. A page far behind costs what the first one does. ErrCursor
	// where the cursor is not one of its own for q.
	ListUsers(ctx context.Context, q UserQuery, after string, limit int) (page []*User, next string, err error)
	// CountUsers returns how many users with all of these facets hold which factors, from
	// counters: its cost does not grow with the users. The facets are one of the groups of
	// User.CountedIn, in any order; of another combination it answers an error.
	CountUsers(ctx context.Context, facets ...Facet) (map[Kinds]int, error)
}

// Sessions keeps session records. An ended session stays ended: it is written as
// a fact, not only deleted, so that no compaction or backup brings it back.
type Sessions interface {
	// CreateSession keeps a new session. Beyond MaxSessions complete sessions of
	// the user, the one that was seen least recently ends in the same write; so
	// do half-done ones beyond MaxHalfDone.
	CreateSession(ctx context.Context, s *Session) error
	// Session returns a session that was not ended, or ErrNotFound. It does not
	// look at Expires; the caller compares that with the clock.
	Session(ctx context.Context, id SessionID) (*Session, error)
	// UpdateSession is UpdateUser for a session. An ended one is ErrNotFound.
	UpdateSession(ctx context.Context, id SessionID, change func(*Session) error) error
	// ReplaceSession ends old and keeps next in one write, or answers
	// ErrNotFound where old has ended already: of many concurrent callers one
	// wins. It keeps MaxSessions like CreateSession.
	ReplaceSession(ctx context.Context, old SessionID, next *Session) error
	// EndSession ends a session. Ending one that is not there is no error.
	EndSession(ctx context.Context, id SessionID) error
	// EndUserSessions ends every session of the user but keep ("" for none).
	EndUserSessions(ctx context.Context, user UserID, keep SessionID) error
	// UserSessions returns the user's sessions that were not ended, newest first.
	UserSessions(ctx context.Context, user UserID) ([]*Session, error)
	// Touch moves LastSeen of those sessions forward; ended ones are left out,
	// and no change is announced for it.
	Touch(ctx context.Context, seen map[SessionID]time.Time) error
}

// Purpose is the one thing that a challenge is good for.
type Purpose string

// The purposes.
const (
	ForSetupLink     Purpose = "setup_link"
	ForInvitation    Purpose = "invitation"
	ForPasswordReset Purpose = "password_reset"
	ForForgotten     Purpose = "forgotten_password" // Data: the mailbox that it was sent to
	ForSignInCode    Purpose = "sign_in_code"
	ForSignUp        Purpose = "sign_up"
	ForPass          Purpose = "enrollment_pass" // an administrator's (rule B17)
	ForBypass        Purpose = "bypass"          // an administrator's (rule B29)
	ForEnrollment    Purpose = "enroll_passkey"
	ForVerification  Purpose = "verify_passkey"
	ForSignIn        Purpose = "sign_in_passkey"
	ForHandOff       Purpose = "hand_off"         // from the portal to another host; Data: the mark of the browser there
	ForRedirect      Purpose = "sign_in_redirect" // the browser is at an identity source
	// ForSourceSession names the user of a source's session; it is not taken.
	ForSourceSession Purpose = "source_session"
)

// Challenge is something that is taken once: a WebAuthn challenge, an
// invitation, a link.
type Challenge struct {
	ID      string    `json:"id"` // random; for links, a hash of the secret in the link
	Purpose Purpose   `json:"purpose"`
	User    UserID    `json:"user,omitempty"`
	Session SessionID `json:"session,omitempty"`
	Origin  string    `json:"origin,omitempty"`
	Data    Secret    `json:"data,omitempty"`
	Expires time.Time `json:"expires"`
}

// Challenges keeps what is taken once.
type Challenges interface {
	PutChallenge(ctx context.Context, c *Challenge) error
	// Challenge returns a challenge without taking it, or ErrNotFound.
	Challenge(ctx context.Context, id string) (*Challenge, error)
	// TakeChallenge removes and returns the challenge of that ID, or answers
	// ErrNotFound: of many concurrent takers one gets it. It does not look at
	// Expires or Purpose; the caller does, after taking, so that a wrong try
	// spends it.
	TakeChallenge(ctx context.Context, id string) (*Challenge, error)
}

// Attempts counts failures under one throttle key.
type Attempts struct {
	Count int       `json:"count"`
	Since time.Time `json:"since"` // of the first of them
	Until time.Time `json:"until"` // refused until then
	// Forget is when the counter may be forgotten; zero: not by time alone.
	Forget time.Time `json:"forget,omitzero"`
}

// Throttle keeps counters of attempts. They survive a restart and are never
// evicted to make room.
type Throttle interface {
	// UpdateAttempts calls change with the counters of the keys, in their order,
	// zero where there is none, and keeps what it left there, atomically over
	// all of them. change may run more than once. An error of change is returned
	// and nothing is kept.
	UpdateAttempts(ctx context.Context, keys []string, change func([]Attempts) error) error
	// Attempts returns one counter.
	Attempts(ctx context.Context, key string) (Attempts, error)
}

// Organizations keeps the organizations that administrators made. Those that the
// configuration declares are not in it.
type Organizations interface {
	// Organization returns one, or ErrNotFound. The caller must not change it.
	Organization(ctx context.Context, id OrganizationID) (*Organization, error)
	// CreateOrganization keeps a new one, or answers ErrTaken.
	CreateOrganization(ctx context.Context, o *Organization) error
	// UpdateOrganization is UpdateUser for an organization; change must not alter ID.
	UpdateOrganization(ctx context.Context, id OrganizationID, change func(*Organization) error) error
	// RemoveOrganization removes one. Removing one that is not there is ErrNotFound.
	// Users keep its name: one that is made again under it has its old members.
	RemoveOrganization(ctx context.Context, id OrganizationID) error
	// ListOrganizations returns all of them in the order of their IDs.
	ListOrganizations(ctx context.Context) ([]*Organization, error)
	// OnOrganizationChange registers a function that the store calls after each
	// committed change to an organization, before the method that made it returns.
	// The function returned takes it away again; a call that is under way by then
	// may still be made.
	OnOrganizationChange(func()) (remove func())
}

// EventLog keeps events. Kept events are never changed; they are forgotten, the first
// appended first, when they are older than the store was told to keep them.
type EventLog interface {
	// AppendEvents keeps events in the order given, in one write: all of them or
	// none. It numbers them from 1 on, over all that were ever appended, and chains each
	// to the one before it (Event.Link), whatever the list says of Number and Hash. A
	// list that does not fit in one is ErrTooLarge. A store that runs out of room refuses
	// events before it refuses anything else.
	AppendEvents(ctx context.Context, list []Event) error
	// Events returns at most limit events that q matches, newest first and of one
	// moment the last appended first, after the cursor, and the cursor of the next
	// page ("" at the end). One call looks at so many events and no more: a page
	// with few matches, or none, goes on behind its cursor like a full one. ErrCursor
	// where the cursor is not one of its own.
	Events(ctx context.Context, q EventQuery, after string, limit int) (page []Event, next string, err error)
	// EventsInOrder returns at most limit kept events in the order in which they were
	// appended, beginning with that number; fewer only at the end. Those that are missing
	// are left out, and not an error: Chain finds them. One that is there and cannot be
	// read is a *ChainError. Events from before there was a chain are not among them.
	EventsInOrder(ctx context.Context, from uint64, limit int) ([]Event, error)
	// ChainEnds says where the kept events begin and end.
	ChainEnds(ctx context.Context) (ChainEnds, error)
}

// APIKeys keeps API keys.
type APIKeys interface {
	// APIKey returns one, or ErrNotFound.
	APIKey(ctx context.Context, id string) (*APIKey, error)
	// CreateAPIKey keeps a new one, or answers ErrTaken.
	CreateAPIKey(ctx context.Context, k *APIKey) error
	// UpdateAPIKey is UpdateUser for a key; change must not alter ID.
	UpdateAPIKey(ctx context.Context, id string, change func(*APIKey) error) error
	// RemoveAPIKey removes one, or answers ErrNotFound.
	RemoveAPIKey(ctx context.Context, id string) error
	// ListAPIKeys returns all of them in the order of their IDs.
	ListAPIKeys(ctx context.Context) ([]*APIKey, error)
}

// Campaigns keeps campaigns, one for each organization and one for everybody ("").
type Campaigns interface {
	// Campaign returns one, or ErrNotFound.
	Campaign(ctx context.Context, of OrganizationID) (*Campaign, error)
	// UpdateCampaign is UpdateUser for a campaign; where there is none, change gets one
	// with nothing but its Organization, which it must not alter.
	UpdateCampaign(ctx context.Context, of OrganizationID, change func(*Campaign) error) error
	// RemoveCampaign removes one, or answers ErrNotFound.
	RemoveCampaign(ctx context.Context, of OrganizationID) error
	// ListCampaigns returns all of them in the order of their organizations.
	ListCampaigns(ctx context.Context) ([]*Campaign, error)
}

// EventQuery is which events to return. Zero fields match everything.
type EventQuery struct {
	User     UserID // an index answers this one
	Name     EventName
	Decision string // an index answers this one
	Since    time.Time
	Until    time.Time // not including
}

// Changes announces changes.
type Changes interface {
	// OnChange registers a function that the store calls after each committed
	// change to that user or to one of that user's sessions, and before the
	// method that made the change returns; where other nodes use the same store, also
	// for what they changed, as soon as this node hears of it. "" stands for everybody:
	// the store missed something and cannot tell whom it was about.
	OnChange(func(UserID))
	// InStep reports whether this node hears of the changes of others, which a store of
	// one node always does. While it does not, what was read must be believed for a
	// shorter time. It allocates nothing and takes no lock.
	InStep() bool
}

// Locks keep one piece of work from being done twice at once, on whatever nodes.
type Locks interface {
	// Exclusively runs work while nobody else, on any node of this store, runs work under
	// that name, and returns its error; ErrBusy, and work did not run, where the lock
	// could not be had while ctx lasted or within five seconds. The context of work ends
	// when the lock is lost. Work may use the store, but not the same lock.
	Exclusively(ctx context.Context, name string, work func(context.Context) error) error
}

// Store is all of it.
type Store interface {
	Users
	Sessions
	Challenges
	Throttle
	PolicyStore
	EventLog
	APIKeys
	Campaigns
	Changes
	Locks
}
