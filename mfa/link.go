package mfa

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// How long links are good for (NIST SP 800-63B-4 §4.2; ASVS 6.4.1).
const (
	SetupLinkLife  = time.Hour
	InvitationLife = 24 * time.Hour
)

// LocalSource is the source of the accounts that links make.
const LocalSource = "local"

// makeLink keeps a challenge and returns the token that takes it.
func (g *Gate) makeLink(ctx context.Context, purpose Purpose, u UserID, life time.Duration, data Secret) (token, id string, err error) {
	token = randomText(32)
	id = linkID(token)
	c := &Challenge{ID: id, Purpose: purpose, User: u, Data: data, Expires: g.now().Add(life)}
	if err := g.cfg.Store.PutChallenge(ctx, c); err != nil {
		return "", "", fmt.Errorf("keeping link: %w", err)
	}
	return token, id, nil
}

// link returns the live challenge of a token and the user it is for, or
// ErrExpired. It takes nothing: opening the page must not spend the link.
func (g *Gate) link(ctx context.Context, token string) (*Challenge, *User, error) {
	c, err := g.cfg.Store.Challenge(ctx, linkID(strings.TrimSpace(token)))
	if errors.Is(err, ErrNotFound) {
		return nil, nil, ErrExpired
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading link: %w", err)
	}
	if !g.now().Before(c.Expires) {
		return nil, nil, ErrExpired
	}
	switch c.Purpose {
	case ForSetupLink:
		return c, nil, nil
	case ForInvitation, ForPasswordReset, ForForgotten:
	default:
		return nil, nil, ErrExpired // a challenge of another kind is no link
	}
	u, err := g.cfg.Store.User(ctx, c.User)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, ErrExpired
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading user: %w", err)
	}
	maker, err := g.makerOf(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	if !g.redeems(c, maker, u) {
		return nil, nil, ErrExpired
	}
	return c, u, nil
}

// makerOf returns who made a link, as they may administrate now; nil: nobody did, the
// user asked for it. ErrExpired where they may do nothing any more.
func (g *Gate) makerOf(ctx context.Context, c *Challenge) (*Administration, error) {
	if c.Purpose == ForForgotten {
		return nil, nil
	}
	maker, err := g.warranted(ctx, c.Data)
	if isDenied(err) {
		return nil, ErrExpired
	}
	return maker, err
}

// redeems reports whether the link is good for the user as the record stands. A newer
// link, or the use of one, makes every older one worthless. One that was sent to a
// mailbox is good while that is the user's (AC-164), and one of an administrator while
// they could make it again (AC-224).
func (g *Gate) redeems(c *Challenge, maker *Administration, u *User) bool {
	switch {
	case u.Disabled, u.Link != c.ID:
		return false
	case c.Purpose == ForForgotten:
		return g.provenAddress(u, Email, string(c.Data))
	}
	return maker.mayLink(u) == nil
}

// OpenLink says what a link is good for, without spending it. ErrExpired for one
// that is unknown, used, replaced or too old.
func (g *Gate) OpenLink(ctx context.Context, at *Place, token string) (*Link, error) {
	if err := g.count(ctx, linkCounter(at)); err != nil {
		return nil, err
	}
	c, u, err := g.link(ctx, token)
	if err != nil {
		return nil, err
	}
	l := &Link{Purpose: c.Purpose, Expires: c.Expires}
	if u != nil {
		l.UserName, l.DisplayName, l.Email = u.Name, u.DisplayName, u.Email
	}
	return l, nil
}

// linkCounter bounds the tries at links from one network; a link holds 256 bits,
// so this is for the store's sake.
func linkCounter(at *Place) counter {
	return counter{key: "link:" + at.Network, window: time.Minute, budget: 60}
}

// AcceptLink uses a link: it makes the account or sets the password, and signs
// the person in. ErrExpired, *PasswordError, ErrName (a name, display name or
// address that cannot be), ErrNameTaken, ErrBusy. Only a link whose form is in
// order is spent.
func (g *Gate) AcceptLink(ctx context.Context, at *Place, in LinkInput) (*Outcome, error) {
	now := g.now()
	u, address, err := g.acceptLink(ctx, at, in, now)
	g.record(ctx, at, nil, u, Event{Name: EventLink, OK: err == nil, Reason: reasonOf(err)})
	if err != nil {
		return nil, err
	}
	begun := start{first: Proof{Kind: Password, At: now}, mayEnroll: true}
	if address != "" {
		// The mailbox was the proof, and is no second one in this sign-in (rule B39).
		begun = start{first: Proof{Kind: Email, Address: address, At: now}}
	}
	return g.begin(ctx, at, u, begun)
}

func (g *Gate) acceptLink(ctx context.Context, at *Place, in LinkInput, now time.Time) (u *User, mailbox string, err error) {
	if err := g.count(ctx, linkCounter(at)); err != nil {
		return nil, "", err
	}
	c, u, err := g.link(ctx, in.Token)
	if err != nil {
		return nil, "", err
	}
	if u == nil {
		if u, err = g.newLocalUser(ctx, in.Name); err != nil {
			return nil, "", err
		}
		u.Admin = true
	}
	form, err := g.checkLinkForm(ctx, at, u.Name, in)
	if err != nil {
		return nil, "", err
	}
	// Taken before the account is made: of two who use one link, one goes on.
	if _, err := g.cfg.Store.TakeChallenge(ctx, c.ID); errors.Is(err, ErrNotFound) {
		return nil, "", ErrExpired
	} else if err != nil {
		return nil, "", fmt.Errorf("taking link: %w", err)
	}
	if c.Purpose != ForSetupLink {
		if c.Purpose == ForForgotten {
			mailbox = string(c.Data)
		}
		u, err = g.redeem(ctx, at, c, u.ID, form, now)
		return u, mailbox, err
	}
	form.fill(u)
	if err := g.cfg.Store.CreateUser(ctx, u); errors.Is(err, ErrTaken) {
		return nil, "", ErrNameTaken
	} else if err != nil {
		return nil, "", fmt.Errorf("making the account: %w", err)
	}
	return u, "", nil
}

// linkForm is the form of a link, in order.
type linkForm struct {
	password       Secret // its hash
	display, email string
}

func (g *Gate) checkLinkForm(ctx context.Context, at *Place, name string, in LinkInput) (f linkForm, err error) {
	if f.display, err = cleanText(in.DisplayName); err != nil {
		return f, err
	}
	if f.email, err = cleanEmail(in.Email); err != nil {
		return f, err
	}
	if g.cfg.Passwords == nil {
		return f, ErrNotAllowed
	}
	if err := g.cfg.Passwords.Check(in.Password, name, at.Host); err != nil {
		return f, err
	}
	f.password, err = g.cfg.Passwords.Hash(ctx, in.Password)
	return f, err
}

func (f linkForm) fill(u *User) {
	u.Password, u.Link = f.password, ""
	if f.display != "" {
		u.DisplayName = f.display
	}
	if f.email != "" && f.email != u.Email {
		u.Email, u.EmailVerified = f.email, false // rule B38
	}
}

// redeem sets the password of the user whom an invitation or a reset link is for.
func (g *Gate) redeem(ctx context.Context, at *Place, c *Challenge, id UserID, form linkForm, now time.Time) (*User, error) {
	maker, err := g.makerOf(ctx, c)
	if err != nil {
		return nil, err
	}
	var accepted User
	// Of the moment at which this sign-in begins, and so for the next one.
	changed := Notice{Kind: NoticePassword, At: now, Factor: Password, Agent: at.Agent, Network: at.Network}
	err = g.cfg.Store.UpdateUser(ctx, id, func(u *User) error {
		if !g.redeems(c, maker, u) {
			return ErrExpired
		}
		if c.Purpose != ForInvitation {
			// It replaces the password and nothing else (rule B39).
			form.display, form.email = "", ""
			u.notify(changed)
		}
		form.fill(u)
		u.endAll()
		// As this link left it: a session of a later generation would be one that
		// somebody else's reset or an administrator has made room for.
		accepted = *u
		return nil
	})
	if err != nil {
		return nil, err
	}
	if c.Purpose != ForInvitation {
		g.tell(at, &accepted, changed)
	}
	// Whoever knew the old password is out; factors stay as they are (rule B39).
	if err := g.cfg.Store.EndUserSessions(ctx, id, ""); err != nil {
		return nil, fmt.Errorf("ending sessions: %w", err)
	}
	if err := g.unlock(ctx, id, Password); err != nil {
		return nil, fmt.Errorf("clearing attempts: %w", err)
	}
	return &accepted, nil
}

// newLocalUser returns a local account that is not kept yet. ErrName, ErrNameTaken.
func (g *Gate) newLocalUser(ctx context.Context, name string) (*User, error) {
	src := g.source(LocalSource)
	if src == nil || g.cfg.Passwords == nil {
		return nil, ErrNoLocal
	}
	account, err := src.Account(name)
	if err != nil {
		return nil, ErrName
	}
	_, err = g.cfg.Store.UserByKey(ctx, NameKey(account)) // of whatever source
	if err == nil {
		return nil, ErrNameTaken
	}
	if !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("reading user: %w", err)
	}
	return &User{
		ID: NewUserID(), Handle: newUserHandle(), Source: LocalSource, Subject: account,
		Name: account, Created: g.now(),
	}, nil
}

// cleanText returns a display name or group as it is kept. What apps would read
// as two values, and what could end a header line, is refused.
func cleanText(s string) (string, error) {
	s = strings.TrimSpace(s)
	if len(s) > 256 || !utf8.ValidString(s) {
		return "", ErrName
	}
	for _, r := range s {
		if r == ',' || r == ';' || r == '|' || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return "", ErrName
		}
	}
	return s, nil
}

// cleanEmail returns an address as it is kept, in lower case, or ErrName. It is
// strict on purpose: exactly one @, no comments, no quotes.
func cleanEmail(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" {
		return "", nil
	}
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || len(s) > 254 || strings.Contains(domain, "@") ||
		!strings.Contains(domain, ".") || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") {
		return "", ErrName
	}
	for _, r := range s {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`,;:<>()[]\"|`, r) {
			return "", ErrName
		}
	}
	return s, nil
}
