package oidc

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/secondgate/secondgate/mfa"
)

// Whatever a provider says of a person: nothing panics, groups can be read from a header,
// an address is one, and nobody is let in who is not named.
func FuzzPerson(f *testing.F) {
	for _, s := range []string{
		`{"preferred_username":"alice","email":"alice@example.com","email_verified":true,"groups":["staff"]}`,
		`{"groups":{"a":{"b":1}},"a":{"b.c":{"d":["x,y"]}},"org":"acme"}`,
		`{"email":"a@b@example.com","email_verified":"true","groups":["a|b",7]}`,
		`{"amr":["mfa"],"acr":null,"email_verified":null,"groups":null}`, `[]`, `null`, `{"a":{"b":{"c":{"d":["x"]}}}}`,
	} {
		f.Add([]byte(s), "a.b.c.d", "example.com")
	}
	f.Fuzz(func(t *testing.T, raw []byte, path, domain string) {
		c := Config{
			Name: "acme", Issuer: "https://login.example.com", ClientID: "us", ClientSecret: mfa.Secret("secret"),
			Claims: Claims{Groups: path, Organization: "org"}, AllowedDomains: []string{domain}, EmailAlways: true, Trust: Trust{AMR: []string{"mfa"}},
		}
		s, err := New(c)
		if err != nil {
			t.Skip("no such configuration")
		}
		var all claims
		if json.Unmarshal(raw, &all) != nil {
			return
		}
		id, err := s.person(&token{claims: all, subject: "alice"})
		if err != nil {
			if !errors.Is(err, mfa.ErrRejected) && !errors.Is(err, mfa.ErrDenied) {
				t.Errorf("error %v", err)
			}
			return
		}
		if !id.EmailVerified || !strings.HasSuffix(id.Email, "@"+domain) || strings.Count(id.Email, "@") != 1 {
			t.Errorf("let in with the address %q", id.Email)
		}
		for _, g := range id.Groups {
			if g == "" || strings.ContainsAny(g, ",|\r\n\x00") || strings.ContainsFunc(g, unicode.IsControl) {
				t.Errorf("group %q", g)
			}
		}
		for _, o := range id.Organizations {
			if _, err := mfa.ParseOrganizationID(string(o)); err != nil {
				t.Error(err)
			}
		}
		if strings.ContainsFunc(id.Name+id.DisplayName, unicode.IsControl) {
			t.Errorf("names %q, %q", id.Name, id.DisplayName)
		}
		if id.Provided != (mfa.Proof{}) {
			t.Error("a second factor of no time")
		}
	})
}

// Anybody can send a logout token: none is believed without a signature, none panics.
func FuzzUnverified(f *testing.F) {
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUuY29tIn0.AAAA")
	f.Add("..")
	f.Add("e30.e30.e30.e30")
	s, err := New(Config{Name: "acme", Issuer: "https://login.example.com", ClientID: "us"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		header, ok := unverified(token, 0)
		if !ok || checkHeader(header) != nil {
			return
		}
		if all, ok := unverified(token, 1); ok {
			if out, err := s.signedOut(all); err == nil && (out.ID == "" || out.Subject == "" && out.Session == "") {
				t.Errorf("%+v", out)
			}
		}
	})
}

// The names of algorithms are those of signatures with two keys.
func TestAlgorithms(t *testing.T) {
	for _, a := range algorithms {
		if strings.HasPrefix(a, "HS") || a == "none" || !slices.Contains([]string{"RS", "PS", "ES", "Ed"}, a[:2]) {
			t.Errorf("%s is accepted", a)
		}
	}
}
