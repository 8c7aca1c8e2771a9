package mfa

import (
	"context"
	"net/url"
	"time"
)

// Identity is what a source says of a person who proved a first factor.
type Identity struct {
	Source  string
	Subject string // the source's own, immutable name for the person; never an address
	Name    string // user name as the source writes it
	Email   string
	// EmailVerified is true only where the source itself says so, as a boolean.
	EmailVerified bool
	DisplayName   string
	Groups        []string
	// Organizations are those that the source says the person is a member of.
	Organizations []OrganizationID
	// Provided is the second factor that the source has asked for itself. It is the zero
	// Proof unless the configuration believes the source in this.
	Provided Proof
	// Session is the source's own name for its session, for a sign-out that begins there.
	Session string
	// Kept is what the source needs later to ask about the person and to sign them out.
	Kept Secret
}

// Source is one identity source as a Gate uses it: exactly one of Password, Redirect
// and Claim is set.
type Source struct {
	Title    string // as people know it: "Acme directory"
	Password PasswordSource
	Redirect RedirectSource
	Claim    ClaimSource
	// Confirm is how often a source that is a StandingSource is asked whether a signed-in
	// person still stands; 0: never. A session that was not confirmed for twice as long
	// is over.
	Confirm time.Duration
	// Recheck is how long a session lives until the person goes through a source again
	// that cannot be asked; 0: as long as any session.
	Recheck time.Duration
	// SignOutThere says that who signs out here is signed out at the source, too, where
	// that is a SignOutSource.
	SignOutThere bool
}

// Name returns the source's name, or "" where nothing is set.
func (s Source) Name() string {
	switch {
	case s.Password != nil:
		return s.Password.Source()
	case s.Redirect != nil:
		return s.Redirect.Source()
	case s.Claim != nil:
		return s.Claim.Source()
	}
	return ""
}

// PasswordSource is an identity source that takes a name and a password. Packages
// identity/local and identity/ldap implement it.
type PasswordSource interface {
	// Source is the source's name, for example "local".
	Source() string
	// Account returns the one name under which every spelling of name is counted
	// and looked up, or ErrRejected where no account could have that name. It asks
	// nobody.
	Account(name string) (string, error)
	// Authenticate takes what Account has returned, or, from a Resolver that knows the
	// account, what Resolve has. It returns the identity of the account whose password this is,
	// or ErrRejected, after the same amount of work whether the account exists,
	// is disabled, has no password, or the password is wrong; or ErrBusy. account is what
	// Account has returned; of a Resolver the subject, where it has found one.
	Authenticate(ctx context.Context, account, password string) (*Identity, error)
}

// Resolver is a PasswordSource whose accounts have several names: it says which one
// account a name means before a try at its password is counted (AC-181).
type Resolver interface {
	// Resolve returns the subject of the account, or ErrNotFound where there is none or
	// more than one. Any other error means that the source could not tell.
	Resolve(ctx context.Context, account string) (subject string, err error)
}

// RedirectStart is the start of a sign-in at a RedirectSource.
type RedirectStart struct {
	Callback string // where the source sends the browser back to, absolute
	State    string // random; comes back with the browser
	// Again asks that the person prove themselves there anew.
	Again bool
}

// RedirectSource is an identity source at which people sign in themselves, and which
// sends the browser back. Package identity/oidc implements it.
type RedirectSource interface {
	// Source is the source's name.
	Source() string
	// Begin returns the address that the browser goes to, and what Finish needs to know
	// of this start. Any error means that the source cannot be reached now.
	Begin(ctx context.Context, in RedirectStart) (location string, kept Secret, err error)
	// Finish returns the identity of whom the answer speaks of, or an error that wraps
	// ErrRejected where it does not hold (whatever the cause), or ErrDenied where the
	// person or the source said no. kept is used once. Any other error means that the
	// source could not be asked.
	Finish(ctx context.Context, kept Secret, answer url.Values) (*Identity, error)
}

// Claim is an identity that whatever stands before the gate says it has established for
// one request. The zero value is nobody.
type Claim struct {
	Source      string // the name of the ClaimSource that takes it
	Subject     string
	Email       string
	DisplayName string
	Groups      string // separated by commas
}

// ClaimSource is an identity source for what was established before the gate. Package
// identity/proxied implements it.
type ClaimSource interface {
	// Source is the source's name.
	Source() string
	// Identify returns the identity that the claim stands for, or an error that wraps
	// ErrRejected where it is nobody's.
	Identify(c Claim) (*Identity, error)
}

// StandingSource is a source that can be asked later whether a person still stands.
type StandingSource interface {
	// Standing returns what the source says of the subject now, ErrDisabled where it has
	// disabled or removed them or ended their session, and any other error where it
	// could not tell. kept is the newest Identity.Kept of the session; the Kept of the
	// answer replaces it, unless that is empty. It is empty where the person comes by a
	// passkey of ours: a source that cannot tell without it answers an error.
	Standing(ctx context.Context, subject string, kept Secret) (*Identity, error)
}

// SignOutSource is a RedirectSource that can be told of a sign-out by the browser.
type SignOutSource interface {
	// SignOutURL returns the address that the browser goes to, which sends it on to
	// back, or "" where the source has none. It asks nobody.
	SignOutURL(kept Secret, back string) string
}

// BackChannelSource is a source that says by itself that a session of it has ended
// (OpenID Connect Back-Channel Logout 1.0).
type BackChannelSource interface {
	// SignedOut checks what the source has sent and returns what it says, or an error that
	// wraps ErrRejected.
	SignedOut(ctx context.Context, token string) (*SignedOut, error)
}

// SignedOut says whose sessions of a source have ended: the one session, or all of the
// subject's where Session is empty. Subject may be empty where Session is not.
type SignedOut struct {
	Subject string
	Session string
	ID      string    // of the message: it is taken once
	Expires time.Time // when the message would not be believed any more
}

// Provided is the kind of a second factor that an identity source asked for itself. It
// is in no set of Kinds.
const Provided Kind = "provided"

// SourceKind is how people sign in at a source.
type SourceKind uint8

// The kinds of source.
const (
	ByPassword SourceKind = iota + 1
	ByRedirect
	ByClaim
)

// SourceInfo is one identity source as the sign-in page shows it.
type SourceInfo struct {
	Name  string
	Title string
	Kind  SourceKind
}
