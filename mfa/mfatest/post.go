package mfatest

import (
	"context"
	"slices"
	"sync"

	"github.com/secondgate/secondgate/mfa"
)

// Post keeps letters instead of delivering them. The zero value has both channels and
// takes whatever comes; it is safe for concurrent use.
type Post struct {
	mu      sync.Mutex
	letters []mfa.Letter
	off     mfa.Kinds
	err     error
}

// Channels returns the channels that were not switched off.
func (p *Post) Channels() mfa.Kinds {
	p.mu.Lock()
	defer p.mu.Unlock()
	return mfa.KindsOf(mfa.Email, mfa.SMS) &^ p.off
}

// Send keeps the letter, or returns what Fail was given.
func (p *Post) Send(_ context.Context, l *mfa.Letter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.letters = append(p.letters, *l)
	}
	return p.err
}

// Queue keeps the letter at once, so that a test has not to wait for it.
func (p *Post) Queue(l *mfa.Letter) bool { return p.Send(context.Background(), l) == nil }

// Fail makes every letter from now on fail with err; nil ends that.
func (p *Post) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// Off takes channels away, as a configuration without a sender does.
func (p *Post) Off(channels ...mfa.Kind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = mfa.KindsOf(channels...)
}

// All returns the letters that were taken, oldest first.
func (p *Post) All() []mfa.Letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.letters)
}

// To returns the letters to that address, or that number, oldest first.
func (p *Post) To(address string) []mfa.Letter {
	return slices.DeleteFunc(p.All(), func(l mfa.Letter) bool { return l.To != address })
}

// Code returns the code of the newest letter to that address that has one, or "".
func (p *Post) Code(address string) string {
	for _, l := range slices.Backward(p.To(address)) {
		if len(l.Code) > 0 {
			return string([]byte(l.Code))
		}
	}
	return ""
}

// Link returns the link of the newest letter to that address that has one, or "".
func (p *Post) Link(address string) string {
	for _, l := range slices.Backward(p.To(address)) {
		if len(l.Link) > 0 {
			return string([]byte(l.Link))
		}
	}
	return ""
}

// Reset forgets the letters.
func (p *Post) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.letters = nil
}

var _ mfa.Post = (*Post)(nil)
