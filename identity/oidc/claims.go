package oidc

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/oauth2"

	"github.com/secondgate/secondgate/mfa"
)

const (
	maxDots   = 8   // of the path of a claim
	maxGroups = 256 // that are kept
	maxGroup  = 128 // bytes of one
	maxName   = 256 // bytes of a name
)

// find returns the claim at a path. A name that has dots in it, as addresses do, is found
// whole before any part of it leads into an object.
func (all claims) find(path string) (json.RawMessage, bool) {
	switch {
	case path == "":
		return nil, false
	case all.has(path):
		return all[path], true
	}
	for i := range len(path) {
		if path[i] != '.' || !all.has(path[:i]) {
			continue
		}
		var inner claims
		if json.Unmarshal(all[path[:i]], &inner) == nil && inner != nil {
			if raw, ok := inner.find(path[i+1:]); ok {
				return raw, true
			}
		}
	}
	return nil, false
}

// mapped returns the paths that are read.
func (s *Source) mapped() []string {
	var list []string
	for _, path := range []string{s.claims.Name, s.claims.DisplayName, s.claims.Email, s.claims.Groups, s.claims.Organization} {
		if path != "" {
			list = append(list, path)
		}
	}
	return slices.AppendSeq(list, maps.Keys(s.cfg.Required))
}

// complete asks the provider for claims that are read and that the ID token does not
// have, and for nothing else.
func (s *Source) complete(ctx context.Context, p *provider, t *token, access *oauth2.Token) error {
	if s.cfg.NoUserInfo || p.oidc.UserInfoEndpoint() == "" {
		return nil
	}
	_, address := t.claims.find(s.claims.Email)
	unsaid := address && !t.claims.has("email_verified") && !s.cfg.EmailAlways
	missing := slices.DeleteFunc(s.mapped(), func(path string) bool { _, ok := t.claims.find(path); return ok })
	if len(missing) == 0 && !unsaid {
		return nil
	}
	more, err := s.userInfo(ctx, p, t.subject, access)
	if err != nil {
		return err
	}
	full := maps.Clone(t.claims)
	for _, path := range missing {
		if raw, ok := more.find(path); ok {
			full[path] = raw
		}
	}
	if mine, ok := full.find(s.claims.Email); ok {
		// Whether an address is verified is said where the address is said.
		here, readable := asText(mine)
		raw, _ := more.find(s.claims.Email)
		if there, same := asText(raw); readable && same && here == there && !t.claims.has("email_verified") {
			full["email_verified"] = more["email_verified"]
		}
	}
	t.claims = full
	return nil
}

// userInfo asks for the claims of whom the access token is for (OpenID Connect Core 1.0,
// section 5.3). ErrRejected where they are another's.
func (s *Source) userInfo(ctx context.Context, p *provider, subject string, access *oauth2.Token) (claims, error) {
	info, err := p.oidc.UserInfo(s.providers.with(ctx), oauth2.StaticTokenSource(access))
	if err != nil {
		return nil, fmt.Errorf("asking for the person's claims: %w", plain(err))
	}
	var all claims
	if err := info.Claims(&all); err != nil {
		return nil, rejected("the person's claims are of another form")
	}
	if who, ok := all.text("sub"); !ok || who != subject || info.Subject != subject {
		return nil, rejected("the claims are another person's")
	}
	return all, nil
}

// person returns what the claims say of a person. A claim of another type than it has to
// be is a rejection: without a group or an organization less could be asked of somebody.
func (s *Source) person(t *token) (*mfa.Identity, error) {
	id := &mfa.Identity{Source: s.cfg.Name, Subject: t.subject, Session: t.session}
	for _, each := range []struct {
		path string
		to   *string
	}{{s.claims.Name, &id.Name}, {s.claims.DisplayName, &id.DisplayName}, {s.claims.Email, &id.Email}} {
		raw, ok := t.claims.find(each.path)
		if !ok {
			continue
		}
		if *each.to, ok = asText(raw); !ok {
			return nil, rejected("the claim %s is no text", each.path)
		}
	}
	id.Name, id.DisplayName = clean(id.Name), clean(id.DisplayName)
	if id.Email = address(id.Email); id.Email != "" {
		id.EmailVerified = s.verified(t.claims, id.Email)
	}
	groups, err := t.claims.names(s.claims.Groups)
	if err != nil {
		return nil, err
	}
	if err := s.allowed(t.claims, id, groups); err != nil {
		return nil, err
	}
	id.Groups = slices.DeleteFunc(groups, func(g string) bool { return !groupName(g) })
	id.Groups = id.Groups[:min(len(id.Groups), maxGroups)]
	values, err := t.claims.names(s.claims.Organization)
	if err != nil {
		return nil, err
	}
	id.Organizations = s.organizations(values)
	id.Provided = s.cfg.Trust.provided(t)
	return id, nil
}

// names returns the names at a path: a text, a list of texts, or an object whose members
// are named by them, which is how some providers write roles and organizations.
func (all claims) names(path string) ([]string, error) {
	raw, ok := all.find(path)
	if !ok {
		return nil, nil
	}
	list, ok := asTexts(raw)
	if !ok {
		var object claims
		if json.Unmarshal(raw, &object) != nil || object == nil {
			return nil, rejected("the claim %s is no list of texts", path)
		}
		list = slices.Sorted(maps.Keys(object))
	}
	var once []string
	for _, name := range list {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once, nil
}

// verified reports whether the person's address is verified: where the provider says so as
// a boolean, or is believed for the address's domain.
func (s *Source) verified(all claims, email string) bool {
	if raw, ok := all["email_verified"]; ok && string(raw) != "null" {
		return string(raw) == "true"
	}
	return s.cfg.EmailAlways && s.inDomains(email)
}

// inDomains reports whether an address is in one of the allowed domains.
func (s *Source) inDomains(email string) bool {
	_, domain, _ := strings.Cut(email, "@")
	return slices.Contains(s.cfg.AllowedDomains, domain)
}

// allowed refuses whoever the configuration does not let in.
func (s *Source) allowed(all claims, id *mfa.Identity, groups []string) error {
	if s.cfg.AllowedDomains != nil && !(id.EmailVerified && s.inDomains(id.Email)) {
		return fmt.Errorf("%w: no verified address in an allowed domain", mfa.ErrDenied)
	}
	if s.cfg.AllowedGroups != nil && !slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(s.cfg.AllowedGroups, g) }) {
		return fmt.Errorf("%w: in none of the allowed groups", mfa.ErrDenied)
	}
	for path, values := range s.cfg.Required {
		raw, _ := all.find(path)
		list, _ := asTexts(raw)
		if !slices.ContainsFunc(list, func(v string) bool { return slices.Contains(values, v) }) {
			return fmt.Errorf("%w: the claim %s has none of the required values", mfa.ErrDenied, path)
		}
	}
	return nil
}

// organizations returns those that the values of the claim stand for. What stands for
// none is none.
func (s *Source) organizations(values []string) []mfa.OrganizationID {
	var list []mfa.OrganizationID
	for _, value := range values {
		id, ok := s.cfg.Organizations[value]
		if s.cfg.Organizations == nil {
			var err error
			id, err = mfa.ParseOrganizationID(value)
			ok = err == nil
		}
		if ok && !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

// provided returns the second factor that the provider has asked for, where it is
// believed. Without auth_time nobody knows when that was: it could have been days ago,
// and a sign-in would look fresh that is not.
func (tr Trust) provided(t *token) mfa.Proof {
	if !tr.any() || t.signedIn.IsZero() {
		return mfa.Proof{}
	}
	var methods []string
	if raw, ok := t.claims["amr"]; ok && len(raw) > 0 && raw[0] == '[' {
		methods, _ = asTexts(raw)
	}
	class, named := t.claims.text("acr")
	have := func(list []string) bool {
		return slices.ContainsFunc(methods, func(m string) bool { return slices.Contains(list, m) })
	}
	if !have(tr.AMR) && !(named && slices.Contains(tr.ACR, class)) {
		return mfa.Proof{}
	}
	return mfa.Proof{Kind: mfa.Provided, At: t.signedIn, PhishingResistant: have(tr.PhishingResistant)}
}

// groupName reports whether apps can read a group from a header: there a comma or a pipe
// would make two of it (AC-055).
func groupName(g string) bool {
	return g != "" && len(g) <= maxGroup && printable(g) && !strings.ContainsAny(g, ",|") && strings.TrimSpace(g) == g
}

// clean returns a name without what cannot be seen, or "" where it is too long.
func clean(name string) string {
	if len(name) > maxName {
		return ""
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, name))
}

// address returns an e-mail address with its domain in lower case, or "" where it is not
// exactly one: "alice@evil.example@example.com" is in no domain (AC-178).
func address(text string) string {
	local, domain, ok := strings.Cut(text, "@")
	domain = strings.ToLower(domain)
	if !ok || len(text) > 254 || !domainName.MatchString(domain) {
		return ""
	}
	whole := local + "@" + domain
	if a, err := mail.ParseAddress(whole); err != nil || a.Address != whole || a.Name != "" || strings.ContainsAny(whole, "\"\\ ,<>()") {
		return ""
	}
	return whole
}
