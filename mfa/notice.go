package mfa

import (
	"context"
	"errors"
	"slices"
	"time"
)

// NoticeKind names what a notice tells.
type NoticeKind string

// The notices. Pages have words for each.
const (
	NoticeAdded    NoticeKind = "added"     // a factor was set up
	NoticeRemoved  NoticeKind = "removed"   // a factor was removed
	NoticeNewCodes NoticeKind = "new_codes" // backup codes were made; older ones are dead
	NoticeCodeUsed NoticeKind = "code_used" // a backup code was used (rule B23)
	NoticePassword NoticeKind = "password"
	NoticeOptedOut NoticeKind = "opted_out"
	NoticeCloned   NoticeKind = "cloned" // a passkey's counter went back: a copy may exist
	NoticeLocked   NoticeKind = "locked" // too many wrong tries
	NoticeReset    NoticeKind = "reset"  // an administrator removed factors (rule B35)
	NoticeRenamed  NoticeKind = "renamed"
	NoticeEmail    NoticeKind = "email" // the account's address was changed
	// NoticeCodesLow is told when three backup codes are left, NoticeNewDevice when
	// somebody signs in with a browser that the user was not known in, and
	// NoticeStolenDevice when an old copy of what a remembered device holds was used.
	NoticeCodesLow     NoticeKind = "codes_low"
	NoticeNewDevice    NoticeKind = "new_device"
	NoticeStolenDevice NoticeKind = "stolen_device"
	// NoticeAppToken is told when an app token was made, NoticeAppTokenGone when one was
	// revoked, or with no name all of them.
	NoticeAppToken     NoticeKind = "app_token"
	NoticeAppTokenGone NoticeKind = "app_token_gone"
)

// MaxNotices is how many notices wait for a user; quiet ones go first, then the oldest.
const MaxNotices = 20

// Notice tells users of something that touched how they sign in. It waits in
// their record until they have seen it at a later sign-in: whoever did it cannot
// take it away in the same one.
type Notice struct {
	Kind    NoticeKind `json:"kind"`
	At      time.Time  `json:"at"`
	Factor  Kind       `json:"factor,omitempty"`
	Name    string     `json:"name,omitempty"`    // of the credential
	Agent   string     `json:"agent,omitempty"`   // the browser; empty: an administrator's command
	Network string     `json:"network,omitempty"` // where it came from
	// Quiet notices interrupt no sign-in: they stand on the account page.
	Quiet bool `json:"quiet,omitempty"`
}

// notify adds a notice to the record, inside the write that it is about.
func (u *User) notify(n Notice) {
	same := func(old Notice) bool { return n.Kind == NoticeNewCodes && old.Kind == NoticeNewCodes }
	if i := slices.IndexFunc(u.Notices, same); i >= 0 {
		// One set replaces another as often as somebody likes, and must not push out
		// what they did besides.
		n.Quiet = n.Quiet && u.Notices[i].Quiet
		u.Notices = slices.Delete(u.Notices, i, i+1)
	}
	u.Notices = append(u.Notices, n)
	for len(u.Notices) > MaxNotices {
		first := max(0, slices.IndexFunc(u.Notices, func(old Notice) bool { return old.Quiet }))
		u.Notices = slices.Delete(u.Notices, first, first+1)
	}
}

// noticed returns a notice of what this place does now.
func (g *Gate) noticed(at *Place, kind NoticeKind, factor Kind) Notice {
	n := Notice{Kind: kind, At: g.now(), Factor: factor}
	if at != nil {
		n.Agent, n.Network = at.Agent, at.Network
	}
	return n
}

// tell sends a notice to every verified address of the user, and to the numbers where
// there is no address. It waits for nothing: what it says waits in the record as well.
// u may be the record before the change, so that an address that was removed is told.
func (g *Gate) tell(at *Place, u *User, n Notice) {
	have := g.cfg.Post.Channels()
	var mail, phones []string
	add := func(list *[]string, address string) {
		if address != "" && !slices.Contains(*list, address) {
			*list = append(*list, address)
		}
	}
	if u.EmailVerified {
		add(&mail, u.Email)
	}
	if u.PhoneVerified {
		add(&phones, u.Phone)
	}
	for _, c := range u.Credentials {
		switch c.Kind {
		case Email:
			add(&mail, c.Address)
		case SMS:
			add(&phones, c.Address)
		}
	}
	channel, list := Email, mail
	if len(mail) == 0 || !have.Has(Email) {
		channel, list = SMS, phones
	}
	if !have.Has(channel) {
		return
	}
	for _, to := range list {
		// A stranger who makes notices happen must not fill a mailbox with them.
		if g.count(context.Background(), g.addressCounters(channel, to, noticing(n.Kind))...) != nil {
			continue
		}
		l := g.letter(at, u, LetterNotice, channel, to)
		l.Notice = &n
		g.cfg.Post.Queue(l)
	}
}

// before reports whether the notice is of a time before this sign-in.
func (n Notice) before(s *Session) bool { return n.At.Before(s.First.At) }

// earlier returns the user's notices of what happened before this sign-in.
func earlier(u *User, s *Session) []Notice {
	var list []Notice
	for _, n := range u.Notices {
		if n.before(s) {
			list = append(list, n)
		}
	}
	return list
}

// mustSee reports whether one of the notices is to be shown before the person
// goes on.
func mustSee(list []Notice) bool {
	return slices.ContainsFunc(list, func(n Notice) bool { return !n.Quiet })
}

// Notices returns what happened to the user's factors before this sign-in and
// was not seen yet. ErrNotAllowed where the session owes something first.
func (g *Gate) Notices(ctx context.Context, at *Place, id SessionID) ([]Notice, error) {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return nil, err
	}
	return earlier(u, s), nil
}

// SeenNotices forgets those notices of before this sign-in that are no newer than
// last: what came in since the page was shown stays.
func (g *Gate) SeenNotices(ctx context.Context, at *Place, id SessionID, last time.Time) error {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return err
	}
	return g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		u.Notices = slices.DeleteFunc(u.Notices, func(n Notice) bool { return n.before(s) && !n.At.After(last) })
		return nil
	})
}

// noteRejection leaves a notice where a rejected proof is more than a slip: a
// passkey whose counter went back, or the wrong try that locked a factor.
func (g *Gate) noteRejection(ctx context.Context, at *Place, u *User, r reservation, k Kind, cause error) {
	var throttled *ThrottledError
	kind := NoticeLocked
	switch {
	case errors.Is(cause, ErrCloned):
		kind = NoticeCloned
	case !errors.Is(cause, ErrRejected), errors.As(cause, &throttled), len(r) == 0:
		return
	default:
		// The same look at the counter whether there is such a user or not.
		a, err := g.cfg.Store.Attempts(ctx, r[0].key)
		if err != nil || !a.Until.Equal(forever) {
			return
		}
	}
	if u == nil {
		return
	}
	n := g.noticed(at, kind, k)
	// Best effort: the refusal itself stands, and the event is written.
	_ = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		u.notify(n)
		return nil
	})
	g.tell(at, u, n)
}
