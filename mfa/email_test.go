package mfa_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/otpcode"
)

// The address of an account and the address that codes go to have the same rules, or
// the one on file could not be set up. Where they differ, letters are stricter: they
// go to ASCII addresses alone.
func TestCleanEmail_LikeLetters(t *testing.T) {
	codes, err := otpcode.New(otpcode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	list := []string{
		"a@example.com", "Alice.Smith+x@EXAMPLE.com", " a@example.com\t", "\u00a0a@example.com\u2003", "a@xn--bcher-kva.example",
		"", " ", "a", "@", "a@", "@example.com", "a@b@example.com", "a@@example.com", "a@example", "a@.example", "a@example.",
		"a..b@example.com", ".a@example.com", "a.@example.com", "a@b..example", "a@-b.example", "a@b_c.example", "a@.", "a@..",
		"a@1.2", "o'neill@example.com", "a%b@example.com", "a!b@example.com", "-a@example.com",
		strings.Repeat("a", 242) + "@example.com", strings.Repeat("a", 243) + "@example.com",
	}
	for c := range rune(0x80) {
		for _, form := range []string{"%ca@example.com", "a%cb@example.com", "a%c@example.com", "a@%cexample.com", "a@ex%cample.com", "a@example.com%c"} {
			list = append(list, fmt.Sprintf(form, c))
		}
	}
	for _, entered := range list {
		want, wantErr := mfa.CleanEmail(entered)
		if want == "" {
			wantErr = mfa.ErrName // an account may have none; a letter goes to one
		}
		got, err := codes.Address(mfa.Email, entered)
		if got != want || !errors.Is(err, wantErr) {
			t.Errorf("%q: a letter goes to %q, %v; an account has %q, %v", entered, got, err, want, wantErr)
		}
	}
	for _, entered := range []string{
		"ä@example.com", "a@bücher.example", "\u212aim@example.com", "m\u0131ke@example.com", "M\u0130KE@example.com",
		"\u0430lice@example.com", "a@example.com\u200b", "a@example\u3002com", "a\uff20example.com", "a\xff@example.com", "a@\u202eexample.com",
	} {
		if got, err := codes.Address(mfa.Email, entered); got != "" || !errors.Is(err, mfa.ErrName) {
			t.Errorf("%q: a letter goes to %q, %v", entered, got, err)
		}
	}
}
