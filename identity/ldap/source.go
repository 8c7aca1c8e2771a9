package ldap

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/secondgate/secondgate/mfa"
)

// maxPassword is how long a password may be, in bytes.
const maxPassword = 1024

// maxWaiting is how many may wait for their turn; whoever comes then is told at once.
const maxWaiting = 64

// maxGroups is how many groups of a person count.
const maxGroups = 1000

// Source is the identity source of a directory. It is safe for concurrent use.
type Source struct {
	cfg       Config
	groupBase *ldap.DN
	allowed   []allowed
	dialer    *dialer
	pool      *pool
	now       func() time.Time

	turns   chan struct{}
	waiting atomic.Int64

	mu     sync.Mutex
	proven []bool // servers of which it is known that they refuse what cannot be right
}

// New checks the configuration and returns a Source. It opens no connection; Close ends
// those that are opened later. now may be nil.
func New(c Config, now func() time.Time) (*Source, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	servers, err := c.servers()
	if err != nil {
		return nil, err
	}
	s := &Source{
		cfg: c, now: now, turns: make(chan struct{}, c.Connections), proven: make([]bool, len(servers)),
		dialer: &dialer{
			servers: servers, startTLS: c.StartTLS, timeout: c.Timeout, now: now, down: make([]time.Time, len(servers)),
			tls: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots},
		},
		pool: &pool{most: c.Connections, now: now},
	}
	if c.GroupBase != "" {
		if s.groupBase, err = ldap.ParseDN(c.GroupBase); err != nil {
			return nil, fmt.Errorf("group_base: %w", err)
		}
	}
	if s.allowed, err = readAllowed(c.AllowedGroups); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends the connections that nobody uses now, and the others when they are put back.
func (s *Source) Close() error {
	s.pool.close()
	return nil
}

// Source returns the source's name.
func (s *Source) Source() string { return s.cfg.Name }

// Account returns the name without blanks around it and in lower case. A name that is
// empty, too long, no UTF-8, or has control characters in it is nobody's.
func (*Source) Account(name string) (string, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if !plausible(name) {
		return "", mfa.ErrRejected
	}
	return name, nil
}

// Resolve returns the immutable ID of the one entry that a name means: by the filter of
// the configuration, or because the name is that ID itself, so that no way of writing a
// name is counted apart from the others (AC-181). mfa.ErrNotFound where there is none or
// more than one; mfa.ErrBusy.
func (s *Source) Resolve(ctx context.Context, account string) (string, error) {
	account, err := s.Account(account)
	if err != nil {
		return "", mfa.ErrNotFound
	}
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	filter := fill(s.cfg.Filter, placeName, account)
	if byID, ok := s.cfg.idFilter(account); ok {
		filter = "(|" + filter + both(byID, anybody(s.cfg.Filter)) + ")"
	}
	e, err := s.one(ctx, filter)
	if err != nil {
		return "", err
	}
	return s.cfg.subject(e)
}

// Authenticate returns the identity of the account whose password this is. The account is
// what Resolve returned, or a name that it did not find, for which the directory does as
// many operations as for any other. mfa.ErrRejected, mfa.ErrBusy; any other error means
// that the directory could not tell.
func (s *Source) Authenticate(ctx context.Context, account, password string) (*mfa.Identity, error) {
	if password == "" || len(password) > maxPassword || strings.IndexByte(password, 0) >= 0 || !plausible(account) {
		// No account can have it. With an empty one, servers answer that all is well
		// and mean nobody.
		return nil, mfa.ErrRejected
	}
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	e, err := s.entry(ctx, account)
	known := err == nil
	if err != nil && !errors.Is(err, mfa.ErrNotFound) {
		return nil, err
	}
	dn := s.nobody()
	if known {
		dn, known = e.DN, !off(e, s.now())
	}
	at, err := s.bind(ctx, dn, password)
	switch {
	case err != nil && !errors.Is(err, mfa.ErrRejected):
		return nil, err
	case err != nil || !known:
		return nil, mfa.ErrRejected
	}
	if err := s.prove(ctx, at); err != nil {
		return nil, err
	}
	id, in, err := s.identity(ctx, e)
	if err != nil {
		return nil, err
	}
	if !in {
		return nil, mfa.ErrRejected
	}
	return id, nil
}

// Standing returns what the directory says of the subject now. mfa.ErrDisabled where the
// entry is gone or switched off, does not match the filter any more, or is in none of the
// groups that are asked for. Any other error means that the directory could not tell.
func (s *Source) Standing(ctx context.Context, subject string, _ mfa.Secret) (*mfa.Identity, error) {
	if !plausible(subject) {
		return nil, mfa.ErrDisabled
	}
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	e, err := s.entry(ctx, subject)
	switch {
	case errors.Is(err, mfa.ErrNotFound):
		return nil, mfa.ErrDisabled
	case err != nil:
		return nil, err
	case off(e, s.now()):
		return nil, mfa.ErrDisabled
	}
	id, in, err := s.identity(ctx, e)
	if err != nil {
		return nil, err
	}
	if !in {
		return nil, mfa.ErrDisabled
	}
	return id, nil
}

// enter waits for a turn. leave gives it back, and ends what is still under way.
func (s *Source) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	if s.waiting.Add(1) > maxWaiting {
		s.waiting.Add(-1)
		return nil, nil, mfa.ErrBusy
	}
	defer s.waiting.Add(-1)
	timer := time.NewTimer(s.cfg.Timeout)
	defer timer.Stop()
	select {
	case s.turns <- struct{}{}:
	case <-timer.C:
		return nil, nil, mfa.ErrBusy
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, 3*s.cfg.Timeout)
	return ctx, func() { cancel(); <-s.turns }, nil
}

// entry returns the entry of a subject, if it is one that may sign in as far as a filter
// can say so. mfa.ErrNotFound.
func (s *Source) entry(ctx context.Context, subject string) (*ldap.Entry, error) {
	filter, ok := s.cfg.idFilter(subject)
	if !ok {
		// The same work for what cannot be an ID.
		filter, _ = s.cfg.idFilter(noID)
	}
	conditions := []string{filter, anybody(s.cfg.Filter)}
	if s.cfg.DisabledFilter != "" {
		conditions = append(conditions, "(!"+s.cfg.DisabledFilter+")")
	}
	e, err := s.one(ctx, both(conditions...))
	if err != nil {
		return nil, err
	}
	if id, err := s.cfg.subject(e); err != nil || id != subject {
		return nil, errors.Join(mfa.ErrNotFound, err)
	}
	return e, nil
}

// noID is the ID of no entry.
const noID = "00000000-0000-0000-0000-000000000000"

// one returns the one entry that a filter finds; mfa.ErrNotFound where there is none or
// more than one.
func (s *Source) one(ctx context.Context, filter string) (*ldap.Entry, error) {
	a := s.cfg.Attributes
	wanted := append([]string{a.ID, a.Name, a.DisplayName, a.Email}, disabling...)
	if s.cfg.GroupSearch == nil {
		wanted = append(wanted, a.Groups)
	}
	found, err := s.search(ctx, s.request(s.cfg.Base, filter, 2, wanted))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return nil, mfa.ErrNotFound
	case err != nil:
		return nil, err
	case len(found) != 1:
		return nil, mfa.ErrNotFound
	case found[0].DN == "":
		// A bind under no name would be an anonymous one.
		return nil, errors.New("the directory has found an entry without a DN")
	}
	return found[0], nil
}

func (s *Source) request(base, filter string, most int, attributes []string) *ldap.SearchRequest {
	r := ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, most, max(1, int(s.cfg.Timeout/time.Second)), false, filter, attributes, nil)
	r.EnforceSizeLimit = true
	return r
}

// search asks as the service account. References to other servers among what is found are
// left out: who may have them is who has taken over a part of the directory. What was
// found before a limit was reached comes beside the error.
func (s *Source) search(ctx context.Context, r *ldap.SearchRequest) ([]*ldap.Entry, error) {
	for c := s.pool.take(); ; c = nil {
		kept := c != nil
		if !kept {
			var err error
			if c, err = s.connect(ctx); err != nil {
				return nil, err
			}
		}
		var result *ldap.SearchResult
		err := c.do(ctx, s.cfg.Timeout, func(l *ldap.Conn) (err error) { result, err = l.Search(r); return err })
		if err == nil || answered(err) {
			s.pool.put(c)
			if err != nil {
				err = fmt.Errorf("searching: %w", err)
			}
			return result.Entries, err
		}
		c.close()
		if !kept || ctx.Err() != nil {
			return nil, fmt.Errorf("searching: %w", err)
		}
		// The server may have ended the connection since it was last used.
	}
}

// connect opens a connection and signs the service account in.
func (s *Source) connect(ctx context.Context) (*conn, error) {
	c, err := s.dialer.dial(ctx)
	if err != nil || s.cfg.BindDN == "" {
		return c, err
	}
	err = c.do(ctx, s.cfg.Timeout, func(l *ldap.Conn) error { return l.Bind(s.cfg.BindDN, string(s.cfg.BindPassword)) })
	if err != nil {
		c.close()
		return nil, fmt.Errorf("signing the service account in: %w", err)
	}
	return c, nil
}

// refusing are the answers by which a server says no to a bind. Locked, expired and unknown
// accounts and wrong passwords are all alike; a referral says that somebody else would have
// to be asked, who is not.
var refusing = []uint16{
	ldap.LDAPResultReferral, ldap.LDAPResultConstraintViolation, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax,
	ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInsufficientAccessRights,
	ldap.LDAPResultUnwillingToPerform,
}

// bind tries a password under a name, on a connection that is used for nothing else: no
// search is ever made as a person. It returns which server said yes, or mfa.ErrRejected.
func (s *Source) bind(ctx context.Context, dn, password string) (server int, err error) {
	c, err := s.dialer.dial(ctx)
	if err != nil {
		return 0, err
	}
	return c.server, s.bindOn(ctx, c, dn, password)
}

// bindOn is bind on that connection, which it ends.
func (s *Source) bindOn(ctx context.Context, c *conn, dn, password string) error {
	defer c.close()
	req := ldap.NewSimpleBindRequest(dn, password, []ldap.Control{ldap.NewControlBeheraPasswordPolicy()})
	var result *ldap.SimpleBindResult
	err := c.do(ctx, s.cfg.Timeout, func(l *ldap.Conn) (err error) { result, err = l.SimpleBind(req); return err })
	switch {
	case ldap.IsErrorAnyOf(err, refusing...):
		return fmt.Errorf("%w by the directory: result %d", mfa.ErrRejected, resultOf(err))
	case err != nil:
		return fmt.Errorf("trying a password: %w", err)
	}
	for _, control := range result.Controls {
		// Right, and not good for anything but being replaced.
		if policy, ok := control.(*ldap.ControlBeheraPasswordPolicy); ok && policy.Error >= 0 {
			return fmt.Errorf("%w by the directory: password policy %d", mfa.ErrRejected, policy.Error)
		}
	}
	return nil
}

func resultOf(err error) uint16 {
	if e, ok := errors.AsType[*ldap.Error](err); ok {
		return e.ResultCode
	}
	return 0
}

// errAnybody says that a server takes whatever it is told.
var errAnybody = errors.New("the directory says yes to an account that cannot be, so its yes to a password says nothing")

// prove makes sure once for each server that it says no to an account that cannot be. One
// that says yes to anybody would sign everybody in (AC-180).
func (s *Source) prove(ctx context.Context, server int) error {
	s.mu.Lock()
	proven := s.proven[server]
	s.mu.Unlock()
	if proven {
		return nil
	}
	c, err := s.dialer.open(ctx, server)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", s.dialer.servers[server].address, err)
	}
	switch err := s.bindOn(ctx, c, s.nobody(), rand.Text()); {
	case err == nil:
		return errAnybody
	case !errors.Is(err, mfa.ErrRejected):
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proven[server] = true
	return nil
}

// nobody returns the DN of an entry that cannot be.
func (s *Source) nobody() string { return "cn=" + strings.ToLower(rand.Text()) + "," + s.cfg.Base }

// identity returns who the entry is, and whether they are in a group that is asked for.
func (s *Source) identity(ctx context.Context, e *ldap.Entry) (_ *mfa.Identity, in bool, err error) {
	subject, err := s.cfg.subject(e)
	if err != nil {
		return nil, false, err
	}
	groups, err := s.groups(ctx, e)
	if err != nil {
		return nil, false, err
	}
	id := &mfa.Identity{
		Source: s.cfg.Name, Subject: subject, Name: text(e, s.cfg.Attributes.Name),
		DisplayName: text(e, s.cfg.Attributes.DisplayName), Email: s.cfg.email(e),
	}
	id.EmailVerified = s.cfg.EmailVerified && id.Email != ""
	in = len(s.allowed) == 0
	for _, g := range groups {
		in = in || slices.ContainsFunc(s.allowed, func(a allowed) bool { return a.is(g) })
		if !slices.Contains(id.Groups, g.name) && len(id.Groups) < maxGroups {
			id.Groups = append(id.Groups, g.name)
		}
	}
	slices.Sort(id.Groups)
	return id, in, nil
}

// groups returns the groups of an entry that count.
func (s *Source) groups(ctx context.Context, e *ldap.Entry) (list []group, err error) {
	names := e.GetEqualFoldAttributeValues(s.cfg.Attributes.Groups)
	if g := s.cfg.GroupSearch; g != nil {
		names = nil
		// "1.1" asks for no attribute (RFC 4511 §4.5.1.8): the name stands in the DN.
		found, err := s.search(ctx, s.request(g.Base, fill(g.Filter, placeDN, e.DN), maxGroups, []string{"1.1"}))
		if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
			return nil, fmt.Errorf("looking for groups: %w", err)
		}
		for _, each := range found {
			names = append(names, each.DN)
		}
	}
	for _, dn := range names {
		if g, ok := readGroup(dn, s.groupBase); ok {
			list = append(list, g)
		}
	}
	return list, nil
}

var (
	_ mfa.PasswordSource = (*Source)(nil)
	_ mfa.Resolver       = (*Source)(nil)
	_ mfa.StandingSource = (*Source)(nil)
)
