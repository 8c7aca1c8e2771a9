package totp

import (
	"encoding/base32"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// Codes of apps with other algorithms, digits and periods, at RFC 6238's own moments
// (appendix B), whose secrets are of the algorithm's length.
func TestFactor_Adopt_RFC6238(t *testing.T) {
	for _, tc := range []struct {
		algorithm, secret string
		unix              int64
		code              string
	}{
		{"SHA1", "12345678901234567890", 59, "94287082"},
		{"SHA256", "12345678901234567890123456789012", 59, "46119246"},
		{"SHA512", "1234567890123456789012345678901234567890123456789012345678901234", 59, "90693936"},
		{"sha256", "12345678901234567890123456789012", 1111111109, "68084774"},
		{"SHA-512", "1234567890123456789012345678901234567890123456789012345678901234", 2000000000, "38618901"},
	} {
		now := time.Unix(tc.unix, 0)
		data, digits, _, note, err := New().Adopt(mfa.MovedApp{Secret: mfa.Secret(tc.secret), Algorithm: tc.algorithm, Digits: 8}, now)
		if err != nil || digits != 8 || note != "" {
			t.Fatalf("%s: %d digits, %q, %v", tc.algorithm, digits, note, err)
		}
		if step, err := New().Step(data, tc.code, now); err != nil || step != tc.unix/30 {
			t.Errorf("%s at %d: step %d, %v", tc.algorithm, tc.unix, step, err)
		}
		for _, wrong := range []string{tc.code[2:], tc.code + "0", "00000000"} {
			if _, err := New().Step(data, wrong, now); !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("%s: %q: %v", tc.algorithm, wrong, err)
			}
		}
	}
}

// An app of the usual kind is kept as one that was set up here, and a code that was typed
// at the other system in this minute is used (RFC 6238 §5.2).
func TestFactor_Adopt_UsualAppAndReplay(t *testing.T) {
	now := time.Unix(1_800_000_010, 0)
	secret, _ := base32.StdEncoding.DecodeString("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
	data, digits, step, note, err := New().Adopt(mfa.MovedApp{Secret: secret}, now)
	if err != nil || digits != 0 || note != "" || len(data) != 1+secretSize || data[0] != version {
		t.Fatalf("%d bytes, %d digits, %q, %v", len(data), digits, note, err)
	}
	if current := now.Unix() / 30; step < current+skew {
		t.Errorf("step %d at %d: a code that was accepted there is accepted here", step, current)
	}
	if _, _, step, _, _ := New().Adopt(mfa.MovedApp{Secret: secret, Period: 60}, now); step != now.Unix()/60+skew {
		t.Errorf("with 60 seconds: step %d", step)
	}
}

func TestFactor_Adopt_Refuses(t *testing.T) {
	good := mfa.Secret(strings.Repeat("s", 20))
	for name, app := range map[string]mfa.MovedApp{
		"MD5":         {Secret: good, Algorithm: "MD5"},
		"no secret":   {},
		"72 bits":     {Secret: good[:9]},
		"129 bytes":   {Secret: mfa.Secret(strings.Repeat("HUSH", 40))},
		"4 digits":    {Secret: good, Digits: 4},
		"-6 digits":   {Secret: good, Digits: -6},
		"10 digits":   {Secret: good, Digits: 10},
		"no time":     {Secret: good, Period: 1},
		"an hour":     {Secret: good, Period: 3600},
		"before time": {Secret: good, Period: -30},
	} {
		var why *mfa.MoveError
		if data, _, _, _, err := New().Adopt(app, time.Now()); !errors.As(err, &why) || data != nil || strings.Contains(err.Error(), "HUSH") {
			t.Errorf("%s: %v, %v", name, data, err)
		}
	}
	if _, _, _, note, err := New().Adopt(mfa.MovedApp{Secret: good[:10]}, time.Now()); err != nil || note == "" {
		t.Errorf("80 bits: %q, %v", note, err)
	}
	// Data that nobody has written opens nothing.
	for _, data := range []mfa.Secret{{versionMoved}, append(mfa.Secret{versionMoved, 9, 6, 0, 30}, good...), append(mfa.Secret{versionMoved, 0, 0, 0, 30}, good...), append(mfa.Secret{versionMoved, 0, 6, 0, 0}, good...), append(mfa.Secret{3, 0, 6, 0, 30}, good...)} {
		if _, err := New().Step(data, "000000", time.Now()); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%d: %v", data[0], err)
		}
	}
}
