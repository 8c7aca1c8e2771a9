package mfatest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// ErrDown is what the sources here answer while they are down.
var ErrDown = errors.New("the source is down")

// people are whom a source knows, by subject. They are safe for concurrent use.
type people struct {
	name string

	mu       sync.Mutex
	known    map[string]mfa.Identity
	disabled map[string]bool
	down     bool
	asked    int // how often Standing was called
}

func newPeople(name string) people {
	return people{name: name, known: map[string]mfa.Identity{}, disabled: map[string]bool{}}
}

// Source returns the source's name.
func (p *people) Source() string { return p.name }

// Put makes the source say this of the person with that subject from now on.
func (p *people) Put(id mfa.Identity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id.Source = p.name
	p.known[id.Subject] = id
}

// Disable makes the source disown the person, or take them back.
func (p *people) Disable(subject string, disabled bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disabled[subject] = disabled
}

// Down takes the source away, or brings it back.
func (p *people) Down(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// Asked returns how often the source was asked whether somebody still stands.
func (p *people) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// person returns what the source says of the subject.
func (p *people) person(subject string) (*mfa.Identity, error) {
	id, ok := p.known[subject]
	switch {
	case p.down:
		return nil, ErrDown
	case !ok || p.disabled[subject]:
		return nil, mfa.ErrDisabled
	}
	return &id, nil
}

// Provider is a source that sends the browser back, as an OpenID provider does. What it
// gives to be kept is good once, as a refresh token that is rotated is. It is safe for
// concurrent use.
type Provider struct {
	people
	codes map[string]string // code: subject
	live  map[string]string // Kept: subject
	out   map[string]mfa.SignedOut
	n     int
	// Reused counts what came back that had been used before.
	reused int
}

// NewProvider returns a provider that knows nobody.
func NewProvider(name string) *Provider {
	return &Provider{people: newPeople(name), codes: map[string]string{}, live: map[string]string{}, out: map[string]mfa.SignedOut{}}
}

// Begin implements mfa.RedirectSource.
func (p *Provider) Begin(_ context.Context, in mfa.RedirectStart) (string, mfa.Secret, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return "", nil, ErrDown
	}
	q := url.Values{"state": {in.State}, "redirect_uri": {in.Callback}}
	if in.Again {
		q.Set("prompt", "login")
	}
	return "https://" + p.name + ".test/authorize?" + q.Encode(), mfa.Secret("start " + in.State), nil
}

// SignIn is the person signing in at the location: what the browser brings back.
func (p *Provider) SignIn(location, subject string) url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	code := "code" + strconv.Itoa(p.n)
	p.codes[code] = subject
	return url.Values{"state": {stateOf(location)}, "code": {code}}
}

// Refuse is the person saying no there.
func (p *Provider) Refuse(location string) url.Values {
	return url.Values{"state": {stateOf(location)}, "error": {"access_denied"}}
}

func stateOf(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	return u.Query().Get("state")
}

// Finish implements mfa.RedirectSource.
func (p *Provider) Finish(_ context.Context, kept mfa.Secret, answer url.Values) (*mfa.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if string([]byte(kept)) != "start "+answer.Get("state") {
		return nil, fmt.Errorf("%w: what was kept is of another start", mfa.ErrRejected)
	}
	if answer.Get("error") != "" {
		return nil, mfa.ErrDenied
	}
	subject, ok := p.codes[answer.Get("code")]
	delete(p.codes, answer.Get("code"))
	if !ok {
		return nil, fmt.Errorf("%w: no such code", mfa.ErrRejected)
	}
	id, err := p.person(subject)
	if errors.Is(err, mfa.ErrDisabled) {
		err = mfa.ErrRejected
	}
	return p.keep(id), err
}

// keep gives an identity something to keep that is good once.
func (p *Provider) keep(id *mfa.Identity) *mfa.Identity {
	if id == nil {
		return nil
	}
	p.n++
	kept := "kept" + strconv.Itoa(p.n)
	p.live[kept] = id.Subject
	id.Kept = mfa.Secret(kept)
	return id
}

// Standing implements mfa.StandingSource.
func (p *Provider) Standing(_ context.Context, subject string, kept mfa.Secret) (*mfa.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.down {
		return nil, ErrDown
	}
	text := string([]byte(kept))
	if p.live[text] != subject {
		p.reused++
		return nil, errors.New("nothing is kept of this person")
	}
	delete(p.live, text)
	id, err := p.person(subject)
	return p.keep(id), err
}

// Reused returns how often something came back that had been used before.
func (p *Provider) Reused() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reused
}

// SignOutURL implements mfa.SignOutSource.
func (p *Provider) SignOutURL(kept mfa.Secret, back string) string {
	return "https://" + p.name + ".test/logout?" + url.Values{"hint": {string([]byte(kept))}, "back": {back}}.Encode()
}

// Say returns what the provider sends to say that sessions of it have ended.
func (p *Provider) Say(out mfa.SignedOut, until time.Time) (token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	out.ID, out.Expires = "message"+strconv.Itoa(p.n), until
	p.out[out.ID] = out
	return out.ID
}

// SignedOut implements mfa.BackChannelSource.
func (p *Provider) SignedOut(_ context.Context, token string) (*mfa.SignedOut, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out, ok := p.out[token]
	if !ok {
		return nil, mfa.ErrRejected
	}
	return &out, nil
}

var (
	_ mfa.RedirectSource    = (*Provider)(nil)
	_ mfa.StandingSource    = (*Provider)(nil)
	_ mfa.SignOutSource     = (*Provider)(nil)
	_ mfa.BackChannelSource = (*Provider)(nil)
)
