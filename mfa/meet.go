package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Bounds of what a source says of a person.
const (
	maxSubject             = 512
	maxSourceGroups        = 500
	maxSourceOrganizations = 100
	maxKept                = 32 << 10
)

// errSource says that a source broke its contract. It refuses, as a fault.
var errSource = errors.New("the identity source answered what it must not")

// said is what a source says of a person, as a record keeps it.
type said struct {
	source, subject string
	name, display   string
	email           string
	verified        bool
	groups          []string
	organizations   []OrganizationID
	left            int // groups that are none for apps, and are left out (AC-055)
}

// hear checks what the source of that name says of somebody. ErrName where the user name
// can be nobody's, ErrRejected where there is no subject (AC-176).
func (g *Gate) hear(source string, id *Identity) (*said, error) {
	switch {
	case id == nil, id != nil && (id.Source != source || source == "" || source == LocalSource):
		return nil, errSource
	case id.Subject == "" || len(id.Subject) > maxSubject || !plainSubject(id.Subject):
		return nil, fmt.Errorf("%w: the subject is empty, too long or not text", ErrRejected)
	case len(id.Kept) > maxKept || len(id.Session) > maxSubject:
		return nil, errSource
	case len(id.Organizations) > maxSourceOrganizations || len(id.Groups) > maxSourceGroups:
		// Left out, one that asks more or opens less might be among them.
		return nil, fmt.Errorf("%w of groups and organizations that a source may say", ErrLimit)
	}
	name, err := SourceName(id.Name)
	if err != nil {
		return nil, err
	}
	s := &said{source: source, subject: id.Subject, name: name, display: plainText(id.DisplayName)}
	if s.email, err = cleanEmail(id.Email); err != nil {
		s.email = ""
	}
	s.verified = id.EmailVerified && s.email != "" // rule B38
	for _, group := range id.Groups {
		switch group, err := cleanText(group); {
		case err != nil || group == "":
			s.left++
		case !slices.Contains(s.groups, group):
			s.groups = append(s.groups, group)
		}
	}
	for _, o := range id.Organizations {
		if g.checkOrganizations([]OrganizationID{o}) == nil && !slices.Contains(s.organizations, o) {
			s.organizations = append(s.organizations, o)
		}
	}
	return s, nil
}

// plainSubject reports whether a subject is text that can stand in a key.
func plainSubject(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// stands reports whether the record says so already.
func (s *said) stands(u *User) bool {
	return u.Name == s.name && u.DisplayName == s.display && u.Email == s.email && u.EmailVerified == s.verified &&
		slices.Equal(u.Groups, s.groups) && slices.Equal(u.SourceOrganizations, s.organizations)
}

// write brings the record to what the source says. Roles, and memberships given by hand,
// are none of its business.
func (g *Gate) write(s *said, u *User) {
	if u.Email != s.email && (u.Email != "" || !u.FirstSignIn.IsZero()) {
		u.EmailChanged = g.now() // whoever changed it there must not take the account along (AC-165)
	}
	u.Name, u.DisplayName, u.Email, u.EmailVerified = s.name, s.display, s.email, s.verified
	u.Groups, u.SourceOrganizations = s.groups, s.organizations
}

// meet returns the record of whom the source of that name has identified. It is made at
// first sight (rule B8), and brought to what the source says now at each later one. The
// person is source and subject, never a name or an address (AC-030). Of many who come
// first at once one makes the record, and the others read it. ErrRejected, ErrName;
// ErrNameTaken where the name is another user's; ErrDisabled, with the user.
func (g *Gate) meet(ctx context.Context, at *Place, source string, id *Identity) (*User, error) {
	s, err := g.hear(source, id)
	if err != nil {
		return nil, err
	}
	key := SubjectKey(s.source, s.subject)
	u, err := g.userByKey(ctx, key)
	if err != nil {
		return nil, err
	}
	if u == nil {
		u = &User{ID: NewUserID(), Handle: newUserHandle(), Source: s.source, Subject: s.subject, Created: g.now()}
		g.write(s, u)
		err := g.cfg.Store.CreateUser(ctx, u)
		switch {
		case err == nil:
			g.record(ctx, at, nil, u, Event{Name: EventSignUp, OK: true, Detail: s.detail()})
			return u, nil
		case !errors.Is(err, ErrTaken):
			return nil, fmt.Errorf("making the record: %w", err)
		}
		if u, err = g.userByKey(ctx, key); err != nil {
			return nil, err
		}
		if u == nil {
			return nil, ErrNameTaken
		}
	}
	if u.Disabled {
		return u, ErrDisabled
	}
	return g.bring(ctx, u, s)
}

// detail names the source, and what of its answer was left out, for an event.
func (s *said) detail() string {
	if s.left == 0 {
		return s.source
	}
	return fmt.Sprintf("%s; left out: %d groups that no app could tell from two", s.source, s.left)
}

// bring brings the user's record to what the source says, and returns it as it is now.
// ErrNameTaken.
func (g *Gate) bring(ctx context.Context, u *User, s *said) (*User, error) {
	if s.stands(u) {
		return u, nil
	}
	err := g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		g.write(s, u)
		return nil
	})
	if errors.Is(err, ErrTaken) {
		return u, ErrNameTaken
	}
	if err != nil {
		return u, fmt.Errorf("writing what the source says: %w", err)
	}
	after, err := g.cfg.Store.User(ctx, u.ID)
	if err != nil {
		return u, fmt.Errorf("reading user: %w", err)
	}
	return after, nil
}
