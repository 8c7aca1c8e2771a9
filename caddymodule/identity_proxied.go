package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/secondgate/secondgate/identity/proxied"
	"github.com/secondgate/secondgate/mfa"
)

func init() {
	caddy.RegisterModule(new(ProxiedIdentity))
}

// ProxiedIdentity takes people for whom something before the gate has established them: an
// authenticator of Caddy, a client certificate, or a header that a proxy or a forward_auth
// before the gate has set. It is one of User, Header and ClientCertificate; the default is
// the user of Caddy's authenticators.
type ProxiedIdentity struct {
	// Name is the source's name in users' records, and stays the same as long as they
	// are wanted. The default is "proxied".
	Name string `json:"name,omitempty"`
	// Title is what people know it by. The default is the name.
	Title string `json:"title,omitempty"`

	// User is the placeholder of the user name: "{http.auth.user.id}".
	User string `json:"user,omitempty"`
	// Email is the placeholder of the address, for example "{http.auth.user.email}".
	Email string `json:"email,omitempty"`
	// DisplayName is the placeholder of what the person is called.
	DisplayName string `json:"display_name,omitempty"`
	// Groups is the placeholder of the groups, separated by commas.
	Groups string `json:"groups,omitempty"`

	// Header is the request header that holds the user name. It counts from Caddy's
	// trusted proxies, and behind a forward_auth that copies it.
	Header string `json:"header,omitempty"`
	// EmailHeader holds the address.
	EmailHeader string `json:"email_header,omitempty"`
	// DisplayNameHeader holds what the person is called.
	DisplayNameHeader string `json:"display_name_header,omitempty"`
	// GroupsHeader holds the groups, separated by commas.
	GroupsHeader string `json:"groups_header,omitempty"`

	// ClientCertificate says what of a client certificate names its owner: "subject_cn",
	// "san_email", "subject" or "fingerprint" (SHA-256). It counts where Caddy has
	// verified it with an authority.
	ClientCertificate string `json:"client_certificate,omitempty"`

	// EmailVerified believes that the addresses are the people's own.
	EmailVerified bool `json:"email_verified,omitempty"`

	// The placeholders without their brackets, and the headers in their proper spelling.
	user, email, displayName, groups string
	headers                          [4]string // user, address, name, groups; empty: none
}

// userPlaceholder is what an authenticator sets once it has said yes. Others, such as
// http.auth.candidate.id, are set for whom it has refused, or by the client.
var userPlaceholder = regexp.MustCompile(`^\{http\.auth\.user\.[A-Za-z0-9_.-]+\}$`)

// CaddyModule returns the Caddy module information.
func (*ProxiedIdentity) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: identityNamespace + ".proxied", New: func() caddy.Module { return new(ProxiedIdentity) }}
}

// Provision checks the configuration.
func (s *ProxiedIdentity) Provision(caddy.Context) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("identity proxied: %w", err)
	}
	return nil
}

// check says what is wrong, and what to write instead.
func (s *ProxiedIdentity) check() error {
	ways := 0
	for _, way := range []string{s.User, s.Header, s.ClientCertificate} {
		if way != "" {
			ways++
		}
	}
	switch {
	case ways > 1:
		return errors.New("user, header and client_certificate are three ways; write one of them")
	case s.ClientCertificate != "" && !slices.Contains(certificateNames, s.ClientCertificate):
		return fmt.Errorf("client_certificate: %q is none of %s", s.ClientCertificate, strings.Join(certificateNames, ", "))
	}
	s.user = s.User
	if ways == 0 {
		s.user = "{http.auth.user.id}"
	}
	for _, f := range []struct{ option, text, example string }{
		{"user", s.user, "user {http.auth.user.id}"}, {"email", s.Email, "email {http.auth.user.email}"},
		{"display_name", s.DisplayName, "display_name {http.auth.user.name}"}, {"groups", s.Groups, "groups {http.auth.user.groups}"},
	} {
		switch {
		case f.text == "":
		case s.user == "":
			return fmt.Errorf("%s: is a placeholder of an authenticator and has a meaning only beside user; write %s_header, or remove this line", f.option, f.option)
		case strings.HasPrefix(f.text, "{http.request.header."):
			return fmt.Errorf("%s: anybody can send a header; write header NAME, which counts only from where it can be believed", f.option)
		case !userPlaceholder.MatchString(f.text):
			return fmt.Errorf("%s: %q is not what an authenticator says of whom it has let in; write for example: %s", f.option, f.text, f.example)
		}
	}
	s.user, s.email, s.displayName, s.groups = bare(s.user), bare(s.Email), bare(s.DisplayName), bare(s.Groups)
	for i, f := range []struct{ option, name string }{
		{"header", s.Header}, {"email_header", s.EmailHeader}, {"display_name_header", s.DisplayNameHeader}, {"groups_header", s.GroupsHeader},
	} {
		s.headers[i] = http.CanonicalHeaderKey(f.name)
		switch {
		case f.name == "":
		case s.Header == "":
			return fmt.Errorf("%s: has a meaning only beside header; write for example: header X-Auth-User", f.option)
		case strings.Trim(strings.ToLower(f.name), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || slices.Contains(noNames, s.headers[i]):
			return fmt.Errorf("%s: %q cannot be the header of an identity; write for example: %s X-Auth-User", f.option, f.name, f.option)
		case slices.Contains(s.headers[:i], s.headers[i]):
			return fmt.Errorf("%s: %q stands twice; give each its own header", f.option, f.name)
		}
	}
	return nil
}

// noNames are headers that mean something else.
var noNames = []string{
	"Host", "Cookie", "Authorization", "Connection", "Content-Type", "Content-Length", "Origin", "Referer", "User-Agent",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
}

func bare(placeholder string) string { return strings.Trim(placeholder, "{}") }

// UnmarshalCaddyfile reads
//
//	proxied [NAME] {
//		title               WORDS
//		user                PLACEHOLDER
//		email               PLACEHOLDER
//		display_name        PLACEHOLDER
//		groups              PLACEHOLDER
//		header              NAME
//		email_header        NAME
//		display_name_header NAME
//		groups_header       NAME
//		client_certificate  subject_cn|san_email|subject|fingerprint
//		email_verified
//	}
func (s *ProxiedIdentity) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	b, err := sourceBlock(d, "proxied", &s.Name)
	if err != nil {
		return err
	}
	err = b.each(map[string]func() error{
		"title":               func() error { return b.text(&s.Title, `title "Acme sign-on"`) },
		"user":                func() error { return b.word(&s.User, "user {http.auth.user.id}") },
		"email":               func() error { return b.word(&s.Email, "email {http.auth.user.email}") },
		"display_name":        func() error { return b.word(&s.DisplayName, "display_name {http.auth.user.name}") },
		"groups":              func() error { return b.word(&s.Groups, "groups {http.auth.user.groups}") },
		"header":              func() error { return b.word(&s.Header, "header X-Auth-User") },
		"email_header":        func() error { return b.word(&s.EmailHeader, "email_header X-Auth-Email") },
		"display_name_header": func() error { return b.word(&s.DisplayNameHeader, "display_name_header X-Auth-Name") },
		"groups_header":       func() error { return b.word(&s.GroupsHeader, "groups_header X-Auth-Groups") },
		"client_certificate":  func() error { return b.word(&s.ClientCertificate, "client_certificate subject_cn") },
		"email_verified":      func() error { s.EmailVerified = true; return b.noWord("email_verified") },
	})
	if err != nil {
		return err
	}
	checked := *s // what is written back has no fields beside those that were read
	return b.within("identity proxied", checked.check())
}

func (s *ProxiedIdentity) name() string { return orKind(s.Name, "proxied") }

func (s *ProxiedIdentity) source() (mfa.Source, io.Closer, error) {
	made, err := proxied.New(proxied.Config{Name: s.name(), EmailVerified: s.EmailVerified})
	if err != nil {
		return mfa.Source{}, nil, err
	}
	return mfa.Source{Title: orKind(s.Title, s.name()), Claim: made}, nil, nil
}

var (
	_ IdentityModule        = (*ProxiedIdentity)(nil)
	_ caddy.Provisioner     = (*ProxiedIdentity)(nil)
	_ caddyfile.Unmarshaler = (*ProxiedIdentity)(nil)
)
