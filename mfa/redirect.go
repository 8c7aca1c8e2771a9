package mfa

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// RedirectLife is how long a person may take at an identity source that sends the browser
// back.
const RedirectLife = 10 * time.Minute

// sourceTimeout is how long a sign-in waits for an identity source.
const sourceTimeout = 15 * time.Second

// maxCarry is how many bytes may be carried over a sign-in at a source.
const maxCarry = 4 << 10

// RedirectInput says what a sign-in at a source begins with.
type RedirectInput struct {
	Source   string
	Callback string // where the source sends the browser back to, absolute
	// Browser is the secret that the browser keeps already; empty: a new one is made.
	Browser string
	Carry   string // comes back from FinishRedirect
	// Again asks that the person prove themselves there anew.
	Again bool
}

// Redirection is where the browser goes, and the secret that it is to keep meanwhile.
type Redirection struct {
	Location string
	Browser  string
}

// redirectStart is the Data of the challenge that waits for the browser to come back.
type redirectStart struct {
	Source  string `json:"source"`
	Kept    Secret `json:"kept,omitempty"`
	Browser []byte `json:"browser"` // a hash
	Carry   string `json:"carry,omitempty"`
	Scope   string `json:"scope"`
}

// SignInSources returns the identity sources in the order of the sign-in page.
func (g *Gate) SignInSources() []SourceInfo {
	list := make([]SourceInfo, 0, len(g.cfg.Sources))
	for _, s := range g.cfg.Sources {
		info := SourceInfo{Name: s.Name(), Title: s.Title, Kind: ByPassword}
		switch {
		case s.Redirect != nil:
			info.Kind = ByRedirect
		case s.Claim != nil:
			info.Kind = ByClaim
		}
		if info.Title == "" {
			info.Title = info.Name
		}
		list = append(list, info)
	}
	return list
}

// sourceNamed returns the source of that name; the zero Source where there is none.
func (g *Gate) sourceNamed(name string) Source {
	for _, s := range g.cfg.Sources {
		if name != "" && s.Name() == name {
			return s
		}
	}
	return Source{}
}

// redirectCounters bound the starts that strangers make: each is kept until it expires
// (AC-209). A company comes from one network in the morning.
func redirectCounters(network string) []counter {
	if network == "" {
		network = unknownNetwork
	}
	var list []counter
	for i, network := range append([]string{network}, widerNetworks(network)...) {
		key := "redirects:" + network + ":"
		list = append(list,
			counter{key: key + "1m", window: time.Minute, budget: 120 << i},
			counter{key: key + "10m", window: 10 * time.Minute, budget: 600 << i})
	}
	return list
}

// BeginRedirect starts a sign-in at a source that sends the browser back. ErrNotAllowed
// where there is no such source, *ThrottledError of the network; any other error: the
// source cannot be reached now.
func (g *Gate) BeginRedirect(ctx context.Context, at *Place, in RedirectInput) (*Redirection, error) {
	src := g.sourceNamed(in.Source).Redirect
	if src == nil || len(in.Carry) > maxCarry {
		return nil, ErrNotAllowed
	}
	if err := g.count(ctx, redirectCounters(at.Network)...); err != nil {
		return nil, err
	}
	if len(in.Browser) != len(randomText(32)) {
		in.Browser = randomText(32)
	}
	state := randomText(32)
	asking, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	location, kept, err := src.Begin(asking, RedirectStart{Callback: in.Callback, State: state, Again: in.Again})
	if err != nil {
		return nil, fmt.Errorf("beginning a sign-in at %s: %w", in.Source, err)
	}
	if to, err := url.Parse(location); err != nil || to.Host == "" || to.Scheme != "https" && to.Scheme != "http" || len(kept) > maxKept {
		return nil, fmt.Errorf("beginning a sign-in at %s: %w", in.Source, errSource)
	}
	data, err := json.Marshal(redirectStart{Source: in.Source, Kept: kept, Browser: browserHash(in.Browser), Carry: in.Carry, Scope: at.Scope})
	if err != nil {
		return nil, fmt.Errorf("keeping a start: %w", err)
	}
	c := &Challenge{ID: stateID(state), Purpose: ForRedirect, Origin: at.Origin, Data: data, Expires: g.now().Add(RedirectLife)}
	if err := g.cfg.Store.PutChallenge(ctx, c); err != nil {
		return nil, fmt.Errorf("keeping a start: %w", err)
	}
	return &Redirection{Location: location, Browser: in.Browser}, nil
}

// stateID is the challenge under which the store knows a state: only its hash, so that a
// copy of the store finishes no sign-in.
func stateID(state string) string {
	sum := sha256.Sum256([]byte("state\x00" + state))
	return hex.EncodeToString(sum[:])
}

func browserHash(secret string) []byte {
	sum := sha256.Sum256([]byte("browser\x00" + secret))
	return sum[:]
}

// FinishRedirect signs in whom the source's answer speaks of. ErrExpired where this
// browser did not begin it, or it was used or waited too long (AC-173, AC-174); ErrDenied
// where the person or the source said no; ErrRejected where the answer does not hold or
// the user is disabled; ErrName, ErrNameTaken where the name that the source gives cannot
// be used, or is that of a user of another source. carry is what BeginRedirect was given,
// beside an error, too, where it is known.
func (g *Gate) FinishRedirect(ctx context.Context, at *Place, source, browser string, answer url.Values) (out *Outcome, carry string, err error) {
	start, err := g.takeRedirect(ctx, at, source, browser, answer)
	var u *User
	var id *Identity
	if start != nil {
		carry = start.Carry
	}
	if err == nil {
		u, id, err = g.finishRedirect(ctx, at, source, start.Kept, answer)
	}
	g.record(ctx, at, nil, u, Event{Name: EventSignIn, OK: err == nil, Reason: reasonOf(err), Factor: Redirected, UserName: nameOf(id), Detail: source})
	if err != nil {
		return nil, carry, err
	}
	out, err = g.begin(ctx, at, u, g.startAt(source, Redirected, id))
	return out, carry, err
}

// takeRedirect spends the start that the answer belongs to. The start is returned beside an
// error where it was this browser's.
func (g *Gate) takeRedirect(ctx context.Context, at *Place, source, browser string, answer url.Values) (*redirectStart, error) {
	states := answer["state"]
	if len(states) != 1 || states[0] == "" || len(states[0]) > 256 {
		return nil, ErrExpired
	}
	// Taken before anything is looked at, so that an answer is tried once.
	c, err := g.cfg.Store.TakeChallenge(ctx, stateID(states[0]))
	if errors.Is(err, ErrNotFound) {
		return nil, ErrExpired
	}
	if err != nil {
		return nil, fmt.Errorf("taking a start: %w", err)
	}
	var start redirectStart
	if c.Purpose != ForRedirect || json.Unmarshal(c.Data, &start) != nil ||
		subtle.ConstantTimeCompare(start.Browser, browserHash(browser)) != 1 {
		return nil, ErrExpired
	}
	if start.Source != source || start.Scope != at.Scope || c.Origin != at.Origin || !g.now().Before(c.Expires) {
		return &start, ErrExpired
	}
	return &start, nil
}

func (g *Gate) finishRedirect(ctx context.Context, at *Place, source string, kept Secret, answer url.Values) (*User, *Identity, error) {
	src := g.sourceNamed(source).Redirect
	if src == nil {
		return nil, nil, ErrExpired // it was taken out of the configuration meanwhile (AC-179)
	}
	asking, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	id, err := src.Finish(asking, kept, answer)
	if err != nil {
		return nil, nil, fmt.Errorf("finishing a sign-in at %s: %w", source, err)
	}
	return g.admit(ctx, at, source, id)
}

// admit is meet for a sign-in: a disabled user is rejected like anybody (AC-179).
func (g *Gate) admit(ctx context.Context, at *Place, source string, id *Identity) (*User, *Identity, error) {
	u, err := g.meet(ctx, at, source, id)
	if errors.Is(err, ErrDisabled) {
		err = fmt.Errorf("%w: %w", ErrRejected, err)
	}
	return u, id, err
}

// nameOf is the name that a source gave, for the event of a sign-in that made no user.
func nameOf(id *Identity) string {
	if id == nil {
		return ""
	}
	return oneLine(id.Name)
}

// SignInEstablished signs in whom whatever stands before the gate has established for
// this request (Place.Established). ErrRejected where that is nobody (AC-183), or a user who
// is disabled; ErrName and ErrNameTaken as FinishRedirect.
func (g *Gate) SignInEstablished(ctx context.Context, at *Place) (*Outcome, error) {
	c := at.Established
	u, id, err := g.established(ctx, at, c)
	g.record(ctx, at, nil, u, Event{Name: EventSignIn, OK: err == nil, Reason: reasonOf(err), Factor: Claimed, UserName: nameOf(id), Detail: oneLine(c.Source)})
	if err != nil {
		return nil, err
	}
	return g.begin(ctx, at, u, g.startAt(c.Source, Claimed, id))
}

func (g *Gate) established(ctx context.Context, at *Place, c Claim) (*User, *Identity, error) {
	src := g.sourceNamed(c.Source).Claim
	if src == nil || c.Subject == "" {
		return nil, nil, ErrRejected
	}
	id, err := src.Identify(c)
	if err != nil {
		return nil, nil, fmt.Errorf("reading what was established: %w", err)
	}
	return g.admit(ctx, at, c.Source, id)
}

// startAt is the start of a sign-in that a source has vouched for.
func (g *Gate) startAt(source string, first Kind, id *Identity) start {
	now := g.now()
	return start{
		first: Proof{Kind: first, At: now}, provided: providedBy(id, now),
		source: g.sourceSession(g.sourceNamed(source), id),
	}
}

// providedBy returns the second factor that the source has asked for itself. What it says
// of credentials and browsers of ours counts for nothing (AC-021).
func providedBy(id *Identity, now time.Time) Proof {
	p := id.Provided
	if p.Kind != Provided {
		return Proof{}
	}
	if p.At.After(now.Add(clockLeeway)) {
		p.At = time.Time{}
	}
	return Proof{Kind: Provided, At: p.At, UserVerified: p.UserVerified, PhishingResistant: p.PhishingResistant}
}

// sourceSession is what the session keeps of the source.
func (g *Gate) sourceSession(src Source, id *Identity) SourceSession {
	now := g.now()
	s := SourceSession{ID: id.Session, Kept: id.Kept}
	switch {
	case src.standing() != nil && src.Confirm > 0:
		s.Due, s.Until = now.Add(src.Confirm), now.Add(2*src.Confirm)
	case src.Recheck > 0:
		s.Until = now.Add(src.Recheck)
	}
	return s
}

// optional returns the source as what it may be besides.
func optional[T any](s Source) (none T) {
	for _, part := range []any{s.Password, s.Redirect, s.Claim} {
		if more, ok := part.(T); ok {
			return more
		}
	}
	return none
}

func (s Source) standing() StandingSource { return optional[StandingSource](s) }
