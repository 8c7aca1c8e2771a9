package otpcode

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/secondgate/secondgate/mfa"
)

// That the rules are the core's own is tested there (TestCleanEmail_LikeLetters).
func TestFactor_Address_Email(t *testing.T) {
	f := newFactor(t)
	for _, tc := range []struct {
		name, entered, want string // want is empty where it is refused
	}{
		{"plain", "alice@example.com", "alice@example.com"},
		{"upper case", "Alice@EXAMPLE.com", "alice@example.com"},
		{"spaces around", " \t\u00a0alice@example.com\r\n", "alice@example.com"},
		{"tag", "alice+mfa@example.com", "alice+mfa@example.com"},
		{"apostrophe", "o'neill@example.com", "o'neill@example.com"},
		{"a domain as DNS writes it", "a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"},
		{"254 bytes", strings.Repeat("a", 242) + "@example.com", strings.Repeat("a", 242) + "@example.com"},
		{"255 bytes", strings.Repeat("a", 243) + "@example.com", ""},
		{"megabytes", strings.Repeat("a", 1<<22) + "@example.com", ""},
		{"empty", "", ""},
		{"spaces only", "  ", ""},
		{"no @", "alice.example.com", ""},
		{"two @", "a@evil.example@example.com", ""},
		{"no local part", "@example.com", ""},
		{"no domain", "alice@", ""},
		{"no dot", "alice@localhost", ""},
		{"dot first", "alice@.com", ""},
		{"dot last", "alice@example.com.", ""},
		{"display name", "Alice <alice@example.com>", ""},
		{"comment", "alice(x)@example.com", ""},
		{"quotes", `"alice"@example.com`, ""},
		{"address literal", "alice@[192.0.2.1]", ""},
		{"two recipients", "alice@example.com,bob@example.com", ""},
		{"header", "alice@example.com\r\nbcc:bob@example.com", ""},
		{"space within", "al ice@example.com", ""},
		{"NUL", "alice\x00@example.com", ""},
		{"DEL", "alice\x7f@example.com", ""},
		{"invalid UTF-8", "alice\xff@example.com", ""},
		{"letters of other scripts", "älice@example.com", ""},
		{"domain in other letters", "alice@bücher.example", ""},
		{"Kelvin sign", "\u212aim@example.com", ""},
		{"dotless i", "m\u0131ke@example.com", ""},
		{"capital I with a dot", "M\u0130KE@example.com", ""},
		{"Cyrillic a", "\u0430lice@example.com", ""},
		{"zero-width space", "al\u200bice@example.com", ""},
		{"full-width @", "alice\uff20example.com", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := f.Address(mfa.Email, tc.entered)
			if tc.want == "" && (!errors.Is(err, mfa.ErrName) || got != "") {
				t.Errorf("Address = %q, %v; want %v", got, err, mfa.ErrName)
			}
			if tc.want != "" && (err != nil || got != tc.want) {
				t.Errorf("Address = %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestFactor_Address_RejectsOtherChannels(t *testing.T) {
	f := newFactor(t, "DE")
	for _, channel := range []mfa.Kind{"", mfa.TOTP, "pigeon"} {
		for _, entered := range []string{"alice@example.com", "+4915112345678"} {
			if got, err := f.Address(channel, entered); !errors.Is(err, mfa.ErrName) || got != "" {
				t.Errorf("%q: Address = %q, %v", channel, got, err)
			}
		}
	}
}

func TestFactor_Mask(t *testing.T) {
	f := newFactor(t)
	for _, tc := range []struct {
		channel       mfa.Kind
		address, want string
	}{
		{mfa.Email, "alice@example.com", "al****@example.com"},
		{mfa.Email, "anna@example.com", "an****@example.com"},
		{mfa.Email, "bob@example.com", "b****@example.com"},
		{mfa.Email, "jo@example.com", "j****@example.com"},
		{mfa.Email, "x@example.com", "****@example.com"},
		{mfa.Email, "älice@example.com", "äl****@example.com"},
		{mfa.Email, "@example.com", "****@example.com"},
		{mfa.Email, "alice", "****"},
		{mfa.Email, "", "****"},
		{mfa.Email, "al\xff\xfe\xfd@example.com", "****"},
		{mfa.SMS, "+4915112345642", "•••• 42"},
		{mfa.SMS, "+12025550100", "•••• 00"},
		{mfa.SMS, "+491542", "••••"},
		{mfa.SMS, "42", "••••"},
		{mfa.SMS, "", "••••"},
		{mfa.SMS, "alice@example.com", "••••"},
		{mfa.SMS, "+491511234564x", "••••"},
		{mfa.SMS, "+49151123456\u0664", "••••"},
		{mfa.TOTP, "alice@example.com", "****"},
	} {
		if got := f.Mask(tc.channel, tc.address); got != tc.want {
			t.Errorf("Mask(%s, %q) = %q, want %q", tc.channel, tc.address, got, tc.want)
		}
	}
}

func FuzzAddress_Email(f *testing.F) {
	for _, s := range []string{"Alice@Example.COM", " a@b.c ", "a@b@c.d", "\u212a@b.c", "a@b.c\r\nbcc: d@e.f", "*@b.c", ""} {
		f.Add(s)
	}
	factor := newFactor(f)
	f.Fuzz(func(t *testing.T, entered string) {
		got, err := factor.Address(mfa.Email, entered)
		if err != nil {
			if !errors.Is(err, mfa.ErrName) || got != "" {
				t.Errorf("Address(%q) = %q, %v", entered, got, err)
			}
			return
		}
		if again, err := factor.Address(mfa.Email, got); err != nil || again != got {
			t.Errorf("%q is kept as %q, and that as %q, %v", entered, got, again, err)
		}
		if !strings.EqualFold(got, strings.TrimSpace(entered)) || strings.Count(got, "@") != 1 || strings.ContainsAny(got, " \r\n\t,;<>") {
			t.Errorf("%q is kept as %q", entered, got)
		}
		local, domain, _ := strings.Cut(got, "@")
		// An address may have stars of its own: what is shown of it ends before ours.
		mask := factor.Mask(mfa.Email, got)
		shown, masked := strings.CutSuffix(mask, "****@"+domain)
		if !masked || !strings.HasPrefix(local, shown) || len(shown) >= len(local) {
			t.Errorf("%q is shown as %q", got, mask)
		}
	})
}

func FuzzMask(f *testing.F) {
	f.Add("alice@example.com")
	f.Add("+4915112345642")
	f.Add("\xff@")
	factor := newFactor(f)
	f.Fuzz(func(t *testing.T, address string) {
		mask := factor.Mask(mfa.Email, address)
		if shown, _, ok := strings.Cut(mask, stars); !ok || utf8.RuneCountInString(shown) > 2 || !utf8.ValidString(mask) {
			t.Errorf("%q is shown as %q", address, mask)
		}
		mask = factor.Mask(mfa.SMS, address)
		if shown, ok := strings.CutPrefix(mask, dots); !ok || len(shown) > len(" 42") {
			t.Errorf("%q is shown as %q", address, mask)
		}
		factor.Display(mfa.SMS, address)
	})
}
