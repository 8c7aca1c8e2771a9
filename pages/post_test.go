package pages_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/otpcode"
)

// postbox takes letters and keeps them, for both channels.
type postbox struct {
	mu      sync.Mutex
	letters []mfa.Letter
}

func (b *postbox) Channels() mfa.Kinds { return mfa.KindsOf(mfa.Email, mfa.SMS) }

func (b *postbox) Send(_ context.Context, l *mfa.Letter) error {
	b.Queue(l)
	return nil
}

func (b *postbox) Queue(l *mfa.Letter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.letters = append(b.letters, *l)
	return true
}

// to returns the letters to an address, oldest first.
func (b *postbox) to(address string) []mfa.Letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []mfa.Letter
	for _, l := range b.letters {
		if l.To == address && l.Kind != mfa.LetterNotice {
			list = append(list, l)
		}
	}
	return list
}

// last returns the newest letter to an address, which must be of that kind.
func (b *postbox) last(t *testing.T, address string, kind mfa.LetterKind) mfa.Letter {
	t.Helper()
	list := b.to(address)
	if len(list) == 0 || list[len(list)-1].Kind != kind {
		t.Fatalf("no letter %q to %s, but %d others", kind, address, len(list))
	}
	return list[len(list)-1]
}

// code is what stands in the newest letter to an address.
func (b *postbox) code(t *testing.T, address string, kind mfa.LetterKind) string {
	t.Helper()
	l := b.last(t, address, kind)
	return string([]byte(l.Code))
}

// wrong is a code like that one, but another.
func wrong(code string) string {
	last := code[len(code)-1:]
	return code[:len(code)-1] + strings.Map(func(r rune) rune { return '0' + (r-'0'+1)%10 }, last)
}

// openHouse is a house where strangers may do whatever can be switched on.
func openHouse(t *testing.T, adjust ...func(*mfa.Config)) (*house, *postbox) {
	t.Helper()
	codes, err := otpcode.New(otpcode.Config{Countries: []string{"DE"}})
	if err != nil {
		t.Fatal(err)
	}
	b := &postbox{}
	return newHouse(t, append([]func(*mfa.Config){func(cfg *mfa.Config) {
		cfg.Post, cfg.SentCodes = b, codes
		cfg.SignInCodes = mfa.KindsOf(mfa.Email, mfa.SMS)
		cfg.SignUp = mfa.SignUp{Name: true, Channels: mfa.KindsOf(mfa.Email, mfa.SMS)}
	}}, adjust...)...), b
}

var _ mfa.Post = (*postbox)(nil)
