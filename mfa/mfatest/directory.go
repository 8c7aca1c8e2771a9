package mfatest

import (
	"context"
	"fmt"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// Directory is a source that takes a name and a password and whose people have several
// names, as an LDAP directory is. It is safe for concurrent use.
type Directory struct {
	people
	names     map[string]string // name: subject
	passwords map[string]string // subject: password
	tried     int
}

// NewDirectory returns a directory that knows nobody.
func NewDirectory(name string) *Directory {
	return &Directory{people: newPeople(name), names: map[string]string{}, passwords: map[string]string{}}
}

// Add puts somebody into the directory, with a password and all the names that they have
// there.
func (d *Directory) Add(id mfa.Identity, password string, names ...string) {
	d.Put(id)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.passwords[id.Subject] = password
	for _, name := range names {
		d.names[strings.ToLower(name)] = id.Subject
	}
}

// Account implements mfa.PasswordSource.
func (d *Directory) Account(name string) (string, error) {
	if name = strings.ToLower(strings.TrimSpace(name)); name == "" || strings.ContainsRune(name, 0) {
		return "", mfa.ErrRejected
	}
	return name, nil
}

// Resolve implements mfa.Resolver.
func (d *Directory) Resolve(_ context.Context, account string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return "", ErrDown
	}
	subject, ok := d.names[account]
	if !ok {
		return "", mfa.ErrNotFound
	}
	return subject, nil
}

// Authenticate implements mfa.PasswordSource: it takes the subject that Resolve has
// returned, and knows nobody by another name.
func (d *Directory) Authenticate(_ context.Context, subject, password string) (*mfa.Identity, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return nil, ErrDown
	}
	d.tried++
	if own, ok := d.passwords[subject]; !ok || password == "" || own != password {
		return nil, mfa.ErrRejected
	}
	id, err := d.person(subject)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", mfa.ErrRejected, err)
	}
	return id, nil
}

// Tried returns how many passwords were compared.
func (d *Directory) Tried() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tried
}

// Standing implements mfa.StandingSource. It needs nothing that was kept.
func (d *Directory) Standing(_ context.Context, subject string, _ mfa.Secret) (*mfa.Identity, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	return d.person(subject)
}

// Claims is a source for what was established before the gate: it takes every claim that
// is not empty as it is, with the subject as the user name.
type Claims struct{ Name string }

// Source returns the source's name.
func (c Claims) Source() string { return c.Name }

// Identify implements mfa.ClaimSource.
func (c Claims) Identify(in mfa.Claim) (*mfa.Identity, error) {
	if in.Subject == "" {
		return nil, mfa.ErrRejected
	}
	id := &mfa.Identity{
		Source: c.Name, Subject: in.Subject, Name: in.Subject, DisplayName: in.DisplayName,
		Email: in.Email, EmailVerified: in.Email != "",
	}
	if in.Groups != "" {
		id.Groups = strings.Split(in.Groups, ",")
	}
	return id, nil
}

var (
	_ mfa.PasswordSource = (*Directory)(nil)
	_ mfa.Resolver       = (*Directory)(nil)
	_ mfa.StandingSource = (*Directory)(nil)
	_ mfa.ClaimSource    = Claims{}
)
