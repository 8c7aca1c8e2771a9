package proxied_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/identity/proxied"
	"github.com/secondgate/secondgate/mfa"
)

func TestNew_NeedsAName(t *testing.T) {
	if s, err := proxied.New(proxied.Config{}); err == nil {
		t.Errorf("%+v: a claim without a source would be its own", s)
	}
}

func TestIdentify(t *testing.T) {
	s, err := proxied.New(proxied.Config{Name: "proxied"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.Identify(mfa.Claim{Source: "proxied", Subject: "Alice", Email: "alice@example.test", DisplayName: "Alice Ä.", Groups: "staff, admins,,staff,{http.x}"})
	want := &mfa.Identity{Source: "proxied", Subject: "Alice", Name: "Alice", Email: "alice@example.test", DisplayName: "Alice Ä.", Groups: []string{"staff", "admins"}}
	if err != nil || !reflect.DeepEqual(id, want) {
		t.Errorf("%+v, %v", id, err)
	}
	verified, _ := proxied.New(proxied.Config{Name: "proxied", EmailVerified: true})
	if id, err := verified.Identify(mfa.Claim{Source: "proxied", Subject: "a", Email: "a@example.test"}); err != nil || !id.EmailVerified {
		t.Errorf("%+v, %v", id, err)
	}
	if id, err := verified.Identify(mfa.Claim{Source: "proxied", Subject: "a", Email: "a@example.test, b@example.test"}); err != nil || id.EmailVerified || id.Email != "" {
		t.Errorf("two addresses are no address: %+v, %v", id, err)
	}
}

// AC-183: whatever stands before the gate has established nobody, and what comes of it
// looks like a name.
func TestIdentify_AC183_Nobody(t *testing.T) {
	s, err := proxied.New(proxied.Config{Name: "proxied"})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]mfa.Claim{
		"nothing":                       {},
		"an empty name":                 {Source: "proxied"},
		"a placeholder":                 {Source: "proxied", Subject: "{http.auth.user.id}"},
		"half a placeholder":            {Source: "proxied", Subject: "alice}"},
		"blanks":                        {Source: "proxied", Subject: "  "},
		"blanks around a name":          {Source: "proxied", Subject: " alice"},
		"a line break":                  {Source: "proxied", Subject: "alice\nbob"},
		"a NUL":                         {Source: "proxied", Subject: "alice\x00"},
		"no UTF-8":                      {Source: "proxied", Subject: "ali\xffce"},
		"a name that is too long":       {Source: "proxied", Subject: strings.Repeat("a", 257)},
		"another source's":              {Source: "other", Subject: "alice"},
		"a name that is not a source's": {Subject: "alice"},
	} {
		if id, err := s.Identify(c); !errors.Is(err, mfa.ErrRejected) || id != nil {
			t.Errorf("AC-183 %s: %+v, %v", what, id, err)
		}
	}
}
