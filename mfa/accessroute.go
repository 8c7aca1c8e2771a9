package mfa

import "errors"

// AccessQuery is an address with what stands there.
type AccessQuery struct {
	URL   string // without what may hold secrets of an app: no query, no fragment
	Place *Place
	Gates []AccessGate
	Notes []AccessNote
}

// Gates returns what stands at an address, in the configuration that runs. It changes
// nothing, and no handler runs. A *RouteError says why there is nothing to explain. It is
// safe for concurrent use. nil knows no address.
type Gates func(address string) (*AccessQuery, error)

// at asks for an address that somebody typed.
func (g Gates) at(address string) (*AccessQuery, error) {
	if g == nil {
		return nil, &RouteError{RouteElsewhere, errors.New("which gates stand where is not known here")}
	}
	if len(address) > maxAddress {
		return nil, &RouteError{RouteUnreadable, errors.New("it is longer than an address may be")}
	}
	q, err := g(address)
	if err == nil && q == nil {
		err = &RouteError{RouteElsewhere, errors.New("nothing is known of it")}
	}
	return q, err
}

// maxAddress is how long an address may be about which somebody asks. Matchers of the
// configuration read it, and some take long over long ones.
const maxAddress = 2048

// AccessNote is what must be known besides to read an explanation.
type AccessNote struct {
	Code NoteCode `json:"code"`
	Text string   `json:"text"`
}

// NoteCode says what a note is about.
type NoteCode string

// The notes.
const (
	NoteOpen      NoteCode = "open"       // no gate stands there
	NoteNoSession NoteCode = "no_session" // the user has none there
	NoteMatcher   NoteCode = "matcher"    // one cannot be asked
	NoteRewrite   NoteCode = "rewrite"    // the address is another one when it comes to the gate
)

// RouteError says why no gate decides at an address.
type RouteError struct {
	Reason RouteReason
	Err    error // says so in words, without the address
}

// Error says it in words, without the address.
func (e *RouteError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RouteError) Unwrap() error { return e.Err }

// RouteReason is why there is nothing to explain at an address.
type RouteReason string

// The reasons.
const (
	RouteUnreadable RouteReason = "unreadable" // it is no address of a page
	RoutePlainHTTP  RouteReason = "plain_http" // refused before a policy is asked
	RouteRefused    RouteReason = "refused"    // what a gate refuses whoever asks
	RouteOwnPage    RouteReason = "own_page"   // a page of the gateway itself
	RouteElsewhere  RouteReason = "elsewhere"  // nothing of the configuration answers there
)
