package otpcode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/secondgate/secondgate/mfa"
)

func newFactor(t testing.TB, countries ...string) *Factor {
	t.Helper()
	f, err := New(Config{Countries: countries})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newCode(t testing.TB, f *Factor, channel mfa.Kind) (code string, kept mfa.Secret) {
	t.Helper()
	secret, kept, err := f.New(channel)
	if err != nil {
		t.Fatal(err)
	}
	return string([]byte(secret)), kept
}

// keptOf is what New would keep of a code.
func keptOf(code string) mfa.Secret {
	kept := make(mfa.Secret, keptSize)
	kept[0] = version
	copy(saltOf(kept), "0123456789abcdef")
	sum := hash(saltOf(kept), []byte(code))
	copy(hashOf(kept), sum[:])
	return kept
}

func TestFactor_New(t *testing.T) {
	f := newFactor(t)
	for channel, digits := range map[mfa.Kind]int{mfa.Email: 8, mfa.SMS: 6} {
		code, kept := newCode(t, f, channel)
		if len(code) != digits || strings.Trim(code, "0123456789") != "" {
			t.Errorf("%s: a code of %d characters, want %d digits", channel, len(code), digits)
		}
		if !f.Matches(kept, code) {
			t.Errorf("%s: the code does not match what is kept of it", channel)
		}
		if bytes.Contains(kept, []byte(code)) {
			t.Errorf("%s: the code stands in what is kept of it", channel)
		}
		other, keptOther := newCode(t, f, channel)
		if code != other && (f.Matches(kept, other) || f.Matches(keptOther, code)) {
			t.Errorf("%s: one code matches what is kept of another", channel)
		}
		if bytes.Equal(saltOf(kept), saltOf(keptOther)) {
			t.Errorf("%s: two codes share a salt", channel)
		}
		if s := fmt.Sprintf("%v %+v %#v %s", mfa.Secret(code), kept, kept, kept); strings.Contains(s, code) {
			t.Errorf("%s: formatting shows the code", channel)
		}
	}
	for _, channel := range []mfa.Kind{"", mfa.TOTP, mfa.Passkey, mfa.BackupCode, "pigeon"} {
		if code, kept, err := f.New(channel); err == nil || code != nil || kept != nil {
			t.Errorf("%q: a code for a channel without letters", channel)
		}
	}
}

// Every digit is as likely as any other in every place, the first one included: a
// code that was made as a number keeps its leading zeros.
func TestFactor_New_Uniform(t *testing.T) {
	f, err := New(Config{Rand: rand.NewChaCha8([32]byte{1})})
	if err != nil {
		t.Fatal(err)
	}
	const n = 20000
	for channel, digits := range map[mfa.Kind]int{mfa.Email: 8, mfa.SMS: 6} {
		count := make([][10]int, digits)
		for range n {
			code, _ := newCode(t, f, channel)
			for place := range digits {
				count[place][code[place]-'0']++
			}
		}
		for place := range digits {
			chi := 0.0
			for _, c := range count[place] {
				d := float64(c) - n/10
				chi += d * d / (n / 10)
			}
			if chi > 33.7 { // nine degrees of freedom, one in ten thousand
				t.Errorf("%s, place %d: %v, chi-square %.1f", channel, place, count[place], chi)
			}
		}
	}
}

// Without randomness there is no code: never one of zeros, never half a salt.
func TestFactor_New_NeedsRandomness(t *testing.T) {
	broken := errors.New("no entropy")
	for name, r := range map[string]io.Reader{
		"at once":     iotest.ErrReader(broken),
		"in the salt": io.MultiReader(bytes.NewReader(make([]byte, 10)), iotest.ErrReader(broken)),
	} {
		f, err := New(Config{Rand: r})
		if err != nil {
			t.Fatal(err)
		}
		if code, kept, err := f.New(mfa.SMS); !errors.Is(err, broken) || code != nil || kept != nil {
			t.Errorf("%s: New = %d bytes, %d bytes, %v", name, len(code), len(kept), err)
		}
	}
}

// AC-103: libraries trim and convert what they are given, so that one code has many
// spellings, and a limit or a list of used codes that is keyed by text sees many.
func TestFactor_Matches_AC103_Spellings(t *testing.T) {
	f := newFactor(t)
	for _, tc := range []struct {
		name, code, entered string
		want                bool
	}{
		{"as it is", "012345", "012345", true},
		{"in two groups", "012345", "012 345", true},
		{"with a dash", "012345", "012-345", true},
		{"with a no-break space", "012345", "\u00a0012\u00a0345", true},
		{"spaces all over", "012345", " 0 1 2 3 4 5 ", true},
		{"eight digits", "01234567", "01234567", true},
		{"eight digits in groups", "01234567", "0123 4567", true},
		{"tab after", "012345", "012345\t", false},
		{"line break", "012345", "012345\r\n", false},
		{"NUL", "012345", "012345\x00", false},
		{"thin space", "012345", "012\u2009345", false},
		{"dash that is none", "012345", "012\u2013345", false},
		{"byte of a no-break space", "012345", "012\xa0345", false},
		{"full-width digits", "012345", "\uff10\uff11\uff12\uff13\uff14\uff15", false},
		{"Arabic digits", "012345", "\u0660\u0661\u0662\u0663\u0664\u0665", false},
		{"plus", "012345", "+012345", false},
		{"leading zero more", "012345", "0012345", false},
		{"leading zero left out", "012345", "12345", false},
		{"more digits", "012345", "01234567", false},
		{"fewer digits", "01234567", "012345", false},
		{"nine digits", "01234567", "012345678", false},
		{"decimal point", "012345", "012345.", false},
		{"letter O", "012345", "O12345", false},
		{"array", "012345", `["012345"]`, false},
		{"empty", "012345", "", false},
		{"spaces only", "012345", "      ", false},
		{"very long", "012345", strings.Repeat(" ", 1<<20) + "012345", false},
		{"another code", "012345", "012346", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := f.Matches(keptOf(tc.code), tc.entered); got != tc.want {
				t.Errorf("Matches(kept of %q, %q) = %v", tc.code, tc.entered, got)
			}
		})
	}
}

// What no code was kept as matches nothing: not the empty text either.
func TestFactor_Matches_RejectsDamaged(t *testing.T) {
	f := newFactor(t)
	good := keptOf("012345")
	foreign := append(mfa.Secret{}, good...)
	foreign[0] = version + 1
	for name, kept := range map[string]mfa.Secret{
		"nil":             nil,
		"version only":    {version},
		"zeros":           make(mfa.Secret, keptSize),
		"another version": foreign,
		"short":           good[:keptSize-1],
		"long":            append(append(mfa.Secret{}, good...), 0),
		"of no code":      keptOf(""),
		"of five digits":  keptOf("01234"),
		"of a word":       keptOf("secret"),
	} {
		for _, entered := range []string{"", "012345", "01234", "secret", "000000", "00000000"} {
			if f.Matches(kept, entered) {
				t.Errorf("%s: %q matches", name, entered)
			}
		}
	}
	for i := range good {
		kept := append(mfa.Secret{}, good...)
		kept[i] ^= 1
		if f.Matches(kept, "012345") {
			t.Errorf("with byte %d changed it still matches", i)
		}
	}
}

// The library keeps the patterns that it has compiled, for all who use it.
func TestFactor_Concurrent(t *testing.T) {
	f := newFactor(t, "DE", "GB", "US", "CA")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for channel, address := range map[mfa.Kind]string{mfa.Email: "a@example.com", mfa.SMS: "+49 151 12345678"} {
				code, kept, err := f.New(channel)
				if err != nil || !f.Matches(kept, string([]byte(code))) {
					t.Errorf("%s: New = %v, or it does not match", channel, err)
				}
				if a, err := f.Address(channel, address); err != nil || f.Mask(channel, a) == "" || f.Display(channel, a) == "" {
					t.Errorf("%s: Address = %q, %v", channel, a, err)
				}
			}
		})
	}
	group.Wait()
}

func FuzzMatches(f *testing.F) {
	for _, s := range []string{"012345", "012-345", "01234567", "\u00a0012345", "\uff10", "", "\xa0"} {
		f.Add([]byte(keptOf("012345")), s)
	}
	f.Add([]byte(nil), "012345")
	f.Add([]byte{version}, "012345")
	factor := newFactor(f)
	f.Fuzz(func(t *testing.T, kept []byte, entered string) {
		bare := strings.NewReplacer(" ", "", "\u00a0", "", "-", "").Replace(entered)
		digits := strings.Trim(bare, "0123456789") == "" && (len(bare) == 6 || len(bare) == 8)
		if factor.Matches(kept, entered) && !(digits && bytes.Equal(hashOf(kept), sumOf(kept, bare))) {
			t.Errorf("%q matches %x", entered, kept)
		}
		if digits && len(entered) <= maxInput && !factor.Matches(keptOf(bare), entered) {
			t.Errorf("%q does not match what is kept of it", entered)
		}
	})
}

func sumOf(kept mfa.Secret, code string) []byte {
	sum := hash(saltOf(kept), []byte(code))
	return sum[:]
}

func BenchmarkFactor_Matches(b *testing.B) {
	f, kept := newFactor(b), keptOf("012345")
	for b.Loop() {
		f.Matches(kept, "012 345")
	}
}
