package totp

import (
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/secondgate/secondgate/mfa"
)

// vectorData holds the secret of RFC 6238 appendix B.
var vectorData = append(mfa.Secret{version}, "12345678901234567890"...)

func codeAt(t testing.TB, data mfa.Secret, step int64) string {
	t.Helper()
	code, err := hotp.GenerateCodeCustom(secretText.EncodeToString(data[1:]), uint64(step),
		hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// RFC 6238 appendix B, the SHA-1 rows; six digits are the last six of eight.
func TestFactor_Step_RFC6238Vectors(t *testing.T) {
	for _, tc := range []struct {
		unix int64
		code string
	}{
		{59, "94287082"}, {1111111109, "07081804"}, {1111111111, "14050471"},
		{1234567890, "89005924"}, {2000000000, "69279037"}, {20000000000, "65353130"},
	} {
		step, err := New().Step(vectorData, tc.code[2:], time.Unix(tc.unix, 0))
		if err != nil || step != tc.unix/30 {
			t.Errorf("at %d: Step = %d, %v; want %d", tc.unix, step, err, tc.unix/30)
		}
	}
}

// AC-109: one step either side and no more; the step comes out, so that the core
// can demand that it grows.
func TestFactor_Step_AC109_Window(t *testing.T) {
	now := time.Unix(1_800_000_010, 0)
	current := now.Unix() / 30
	for off := int64(-25); off <= 25; off++ {
		step, err := New().Step(vectorData, codeAt(t, vectorData, current+off), now)
		var clock *mfa.ClockError
		switch {
		case off >= -1 && off <= 1:
			if err != nil || step != current+off {
				t.Errorf("offset %d: Step = %d, %v", off, step, err)
			}
		case off >= -20 && off <= 20:
			if !errors.As(err, &clock) || clock.Off != time.Duration(off)*30*time.Second || !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("offset %d: error %v, want a clock error of that offset that is a rejection", off, err)
			}
		default:
			if !errors.Is(err, mfa.ErrRejected) || errors.As(err, &clock) {
				t.Errorf("offset %d: error %v, want a plain rejection", off, err)
			}
		}
		if err != nil && step != 0 {
			t.Errorf("offset %d: a rejection carries step %d", off, step)
		}
	}
}

// AC-103: libraries trim what they are given, so that one code has many
// spellings, each new to a list of used ones. Here a spelling is refused, or it
// leads to the same step.
func TestFactor_Step_AC103_Spellings(t *testing.T) {
	now := time.Unix(1111111109, 0)
	const code = "081804"
	want := now.Unix() / 30
	for _, tc := range []struct {
		name, code string
		ok         bool
	}{
		{"as it is", code, true},
		{"in two groups", "081 804", true},
		{"space before", " 081804", true},
		{"spaces all over", " 0 8 1 8 0 4 ", true},
		{"tab after", "081804\t", false},
		{"line break", "081804\n", false},
		{"NUL", "081804\x00", false},
		{"no-break space", "081\u00a0804", false},
		{"full-width digits", "\uff10\uff18\uff11\uff18\uff10\uff14", false},
		{"Arabic digits", "\u0660\u0668\u0661\u0668\u0660\u0664", false},
		{"plus", "+081804", false},
		{"minus", "-081804", false},
		{"leading zero more", "0081804", false},
		{"leading zero left out", "81804", false},
		{"eight digits", "07081804", false},
		{"hexadecimal", "0x1804", false},
		{"decimal point", "81804.", false},
		{"array", `["081804"]`, false},
		{"empty", "", false},
		{"spaces only", "      ", false},
		{"very long", strings.Repeat(" ", 1<<20) + code, false},
		{"another code", "081805", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			step, err := New().Step(vectorData, tc.code, now)
			if tc.ok && (err != nil || step != want) {
				t.Errorf("Step = %d, %v; want %d", step, err, want)
			}
			if !tc.ok && !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("Step = %d, %v; want a rejection", step, err)
			}
		})
	}
}

func TestFactor_Step_RejectsForeignData(t *testing.T) {
	now := time.Unix(59, 0)
	for name, data := range map[string]mfa.Secret{
		"nil":             nil,
		"version only":    {version},
		"another version": append(mfa.Secret{2}, vectorData[1:]...),
		"short secret":    vectorData[:20],
		"long secret":     append(append(mfa.Secret{}, vectorData...), 0),
	} {
		if _, err := New().Step(data, "287082", now); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: %v, want a rejection", name, err)
		}
	}
	if _, err := New().Step(vectorData, "287082", time.Time{}); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("before 1970: %v, want a rejection", err)
	}
}

func TestFactor_NewSecret(t *testing.T) {
	f := New()
	data, text, err := f.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	other, _, _ := f.NewSecret()
	if string([]byte(data)) == string([]byte(other)) {
		t.Error("two secrets are the same")
	}
	raw := strings.ReplaceAll(string([]byte(text)), " ", "")
	secret, err := base32.StdEncoding.DecodeString(raw)
	if err != nil || len(secret) != 20 || string(secret) != string([]byte(data[1:])) {
		t.Errorf("the text is not the secret: %d bytes, %v", len(secret), err)
	}
	if groups := strings.Fields(string([]byte(text))); len(groups) != 8 || len(groups[0]) != 4 {
		t.Errorf("%d groups of %d, want 8 of 4", len(groups), len(groups[0]))
	}
	now := time.Now()
	if _, err := f.Step(data, codeAt(t, data, now.Unix()/30), now); err != nil {
		t.Errorf("a new secret's code: %v", err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", data, text, text, data); strings.Contains(s, raw[:4]) {
		t.Error("formatting shows the secret")
	}
}

func TestFactor_URI(t *testing.T) {
	for _, tc := range []struct {
		name, issuer, account, want string
	}{
		{"plain", "Acme", "alice", "otpauth://totp/Acme:alice?secret=ABCDEFGH&issuer=Acme&algorithm=SHA1&digits=6&period=30"},
		{"space", "Acme & Co", "alice", "otpauth://totp/Acme%20%26%20Co:alice?secret=ABCDEFGH&issuer=Acme%20%26%20Co&algorithm=SHA1&digits=6&period=30"},
		{"colon", "localhost:8080", "a:b", "otpauth://totp/localhost%208080:a%20b?secret=ABCDEFGH&issuer=localhost%208080&algorithm=SHA1&digits=6&period=30"},
		{"no issuer", "", "alice", "otpauth://totp/alice?secret=ABCDEFGH&algorithm=SHA1&digits=6&period=30"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := string([]byte(New().URI(mfa.Secret("ABCD EFGH"), tc.issuer, tc.account)))
			if got != tc.want {
				t.Errorf("URI = %s\nwant  %s", got, tc.want)
			}
		})
	}
	// A name must not add or replace a parameter of the URI.
	hostile := string([]byte(New().URI(mfa.Secret("ABCD"), "x&secret=EVIL?#/", "y&secret=EVIL?#/%3f\"<>")))
	u, err := url.Parse(hostile)
	if err != nil || len(u.Query()["secret"]) != 1 || u.Query().Get("secret") != "ABCD" || u.Fragment != "" {
		t.Errorf("hostile names: %s, %v", hostile, err)
	}
}

func FuzzStep(f *testing.F) {
	for _, s := range []string{"081804", "081 804", "\u00a0081804", "-81804", ""} {
		f.Add(s)
	}
	now := time.Unix(1111111109, 0)
	f.Fuzz(func(t *testing.T, code string) {
		step, err := New().Step(vectorData, code, now)
		if err == nil {
			bare := strings.ReplaceAll(code, " ", "")
			if len(bare) != 6 || bare != codeAt(t, vectorData, step) {
				t.Errorf("accepted %q for step %d", code, step)
			}
			return
		}
		if !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("error %v is no rejection", err)
		}
	})
}
