package mfa

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits of codes that are sent (behaviour.md §5, NIST SP 800-63B-4 §3.1.3.2).
const (
	SentCodeLife  = 5 * time.Minute
	SentCodeTries = 5
	// SendAgain is how long a person waits before another code is sent.
	SendAgain = time.Minute

	sendTimeout      = 15 * time.Second
	defaultSMSPerDay = 1000
)

// SentCode is a code on its way to an address. It belongs to the session that
// asked for it; a newer one of the same kind and purpose replaces it.
type SentCode struct {
	Purpose    LetterKind   `json:"purpose"`
	Kind       Kind         `json:"kind"`
	Address    string       `json:"address"`
	Credential CredentialID `json:"credential,omitempty"` // of LetterVerify
	Kept       Secret       `json:"kept"`
	At         time.Time    `json:"at"`
	Expires    time.Time    `json:"expires"`
	Tries      int          `json:"tries,omitempty"`
}

// SentTo is what a page says of a code on its way.
type SentTo struct {
	Kind       Kind
	Masked     string
	Credential CredentialID
	At         time.Time
	Expires    time.Time
	Again      time.Time // when another one may be asked for
}

func (g *Gate) sentTo(c *SentCode) *SentTo {
	return &SentTo{
		Kind: c.Kind, Masked: g.cfg.SentCodes.Mask(c.Kind, c.Address), Credential: c.Credential,
		At: c.At, Expires: c.Expires, Again: c.At.Add(SendAgain),
	}
}

// sent returns the live code of that kind and purpose, or nil.
func (s *Session) sent(k Kind, purpose LetterKind, now time.Time) *SentCode {
	for i := range s.Sent {
		c := &s.Sent[i]
		// A clock that was set back must not keep a code alive.
		if c.Kind == k && c.Purpose == purpose && now.Before(c.Expires) && !now.Before(c.At.Add(-clockLeeway)) {
			return c
		}
	}
	return nil
}

func (s *Session) dropSent(k Kind, purpose LetterKind) {
	s.Sent = slices.DeleteFunc(s.Sent, func(c SentCode) bool { return c.Kind == k && c.Purpose == purpose })
}

// nopost stands where nothing can be sent.
type nopost struct{}

func (nopost) Channels() Kinds                     { return 0 }
func (nopost) Send(context.Context, *Letter) error { return ErrNotSent }
func (nopost) Queue(*Letter) bool                  { return false }

// letter begins a letter to somebody at that place.
func (g *Gate) letter(at *Place, u *User, kind LetterKind, channel Kind, to string) *Letter {
	l := &Letter{Kind: kind, Channel: channel, To: to}
	if at != nil {
		l.Origin, l.Language = at.Origin, at.Language
	}
	if u != nil {
		l.UserName = u.Name
	}
	return l
}

// sendCounters are the budgets of one code (behaviour.md §5, AC-171). A known device
// has the user's budgets for itself: whoever has the password alone must not use up
// the owner's.
//
// An address that is not the user's yet is anybody's: who sets it up is a stranger to it.
func (g *Gate) sendCounters(at *Place, s *Session, k Kind, address string, theirs bool) []counter {
	device, by := g.knownDevice(at, holder{s.User, s.Generation}), unknownBrowser
	switch {
	case !theirs:
		by = stranger
	case device != "":
		by = knownBrowser
	}
	own := "send:" + string(s.User) + ":" + device + ":" + string(k) + ":"
	list := []counter{
		{key: own + "5m", window: 5 * time.Minute, budget: 3},
		{key: own + "10m", window: 10 * time.Minute, budget: 5},
		{key: own + "1h", window: time.Hour, budget: 15},
	}
	return append(list, g.addressCounters(k, address, by)...)
}

// budget is how many letters go to one address in an hour and in a day.
type budget struct {
	name      string
	hour, day int
}

// asker is who causes a letter, by what they have shown, with what they may cause to go
// to one address. What is sent to a number costs money and is everybody's, so that those
// who have shown less have a part of it: strangers must not keep an owner's code from
// being sent, nor a notice of what they did.
type asker struct {
	mail  budget
	texts []budget
}

var (
	everybody   = budget{"all", 5, 10}
	anyBrowser  = budget{"unknown", 4, 7}
	perStranger = budget{"stranger", 3, 4}

	// stranger has proven nothing, or nothing that has to do with the address.
	stranger = asker{budget{"stranger", 5, 20}, []budget{perStranger, anyBrowser, everybody}}
	// unknownBrowser has proven a first factor, in a browser that is not known.
	unknownBrowser = asker{budget{"unknown", 15, 50}, []budget{anyBrowser, everybody}}
	// knownBrowser has done so in one that is.
	knownBrowser = asker{budget{"known", 15, 50}, []budget{everybody}}
)

// noticing is the gate that tells something. Notices do not use up codes, nor codes
// notices; and what anybody can make happen does not keep back that a factor was set up
// or removed.
func noticing(kind NoticeKind) asker {
	text := budget{"notice", 2, 3}
	switch kind {
	case NoticeNewDevice, NoticeLocked, NoticeCodeUsed, NoticeCodesLow:
		text = budget{"hint", 1, 2}
	}
	return asker{budget{"notice " + string(kind), 5, 20}, []budget{text}}
}

// addressCounters are the budgets of one address.
func (g *Gate) addressCounters(k Kind, address string, by asker) []counter {
	sum := sha256.Sum256([]byte(address))
	key := "sendto:" + hex.EncodeToString(sum[:16]) + ":"
	budgets := []budget{by.mail}
	if k == SMS {
		budgets = by.texts
	}
	var list []counter
	for _, b := range budgets {
		list = append(list,
			counter{key: key + b.name + ":1h", window: time.Hour, budget: b.hour},
			counter{key: key + b.name + ":1d", window: 24 * time.Hour, budget: b.day})
	}
	if k != SMS {
		return list
	}
	if by.mail.name == stranger.mail.name {
		list = append(list, counter{key: smsBudget + ":strangers", window: 24 * time.Hour, budget: (g.cfg.SMSPerDay + 1) / 2})
	}
	return append(list, counter{key: smsBudget, window: 24 * time.Hour, budget: g.cfg.SMSPerDay})
}

// smsBudget counts all text messages of a day.
const smsBudget = "sendto:sms:1d"

// toNobody changes the counters of a letter that is not sent, because there is nobody
// to send it to, so that it does not count as sent. They are as many as before.
func toNobody(list []counter) []counter {
	for i := range list {
		if strings.HasPrefix(list[i].key, smsBudget) {
			list[i].key = "nobody:" + list[i].key
		}
	}
	return list
}

// send makes a code and sends it, unless one is on its way that is younger than
// SendAgain, or, without again, that still holds. Two presses of the button, and a
// reload, send one. *ThrottledError, ErrNotSent, ErrBusy.
func (g *Gate) send(ctx context.Context, at *Place, s *Session, u *User, purpose LetterKind, k Kind, address string, cred CredentialID, again bool) (*SentTo, error) {
	if !g.cfg.Post.Channels().Has(k) {
		return nil, ErrNotSent
	}
	now := g.now()
	fits := func(c *SentCode) bool {
		return c != nil && c.Address == address && c.Credential == cred && (!again || now.Before(c.At.Add(SendAgain)))
	}
	if c := s.sent(k, purpose, now); fits(c) {
		return g.sentTo(c), nil
	}
	counters := g.sendCounters(at, s, k, address, cred != "")
	if err := g.count(ctx, counters...); err != nil {
		g.record(ctx, at, s, u, Event{Name: EventSend, Reason: reasonOf(err), Factor: k, Detail: string(purpose)})
		return nil, err
	}
	code, kept, err := g.cfg.SentCodes.New(k)
	if err != nil {
		return nil, fmt.Errorf("making a code: %w", err)
	}
	fresh := SentCode{
		Purpose: purpose, Kind: k, Address: address, Credential: cred, Kept: kept, At: now, Expires: now.Add(SentCodeLife),
	}
	var theirs *SentTo
	err = g.cfg.Store.UpdateSession(ctx, s.ID, func(s *Session) error {
		if theirs = nil; fits(s.sent(k, purpose, now)) {
			theirs = g.sentTo(s.sent(k, purpose, now)) // another tab was faster
			return nil
		}
		s.dropSent(k, purpose)
		s.Sent = append(s.Sent, fresh)
		if !s.Complete {
			s.Expires = now.Add(HalfDoneLife)
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNotOwed
	}
	if err != nil {
		return nil, fmt.Errorf("keeping a code: %w", err)
	}
	if theirs != nil {
		g.uncount(ctx, counters)
		return theirs, nil
	}
	kind := purpose
	if purpose == contactCode {
		kind = LetterSetUp
	}
	l := g.letter(at, u, kind, k, address)
	l.Code, l.Life = code, SentCodeLife
	sending, cancel := context.WithTimeout(ctx, sendTimeout)
	err = g.cfg.Post.Send(sending, l)
	cancel()
	g.record(ctx, at, s, u, Event{Name: EventSend, OK: err == nil, Reason: reasonOf(err), Factor: k, Detail: string(purpose)})
	if err != nil {
		// The code is taken back, so that the next try sends another, also where what
		// ended is the request. Numbers keep their count: nobody knows what the
		// provider has done with it.
		_ = g.cfg.Store.UpdateSession(context.WithoutCancel(ctx), s.ID, func(s *Session) error {
			s.Sent = slices.DeleteFunc(s.Sent, func(c SentCode) bool { return string(c.Kept) == string(kept) })
			return nil
		})
		if errors.Is(err, ErrBusy) {
			return nil, ErrBusy
		}
		return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	g.noteBudget(ctx, at, k, true)
	return g.sentTo(&fresh), nil
}

// uncount takes back what count counted.
func (g *Gate) uncount(ctx context.Context, counters []counter) {
	keys := make([]string, len(counters))
	for i, c := range counters {
		keys[i] = c.key
	}
	_ = g.cfg.Store.UpdateAttempts(ctx, keys, func(all []Attempts) error {
		for i := range all {
			takeOne(&all[i])
		}
		return nil
	})
}

// noteBudget warns, once each, when half of the day's text messages are sent, and when
// all are. With sent false it looks as well, and tells nothing.
func (g *Gate) noteBudget(ctx context.Context, at *Place, k Kind, sent bool) {
	if k != SMS {
		return
	}
	a, err := g.cfg.Store.Attempts(ctx, smsBudget)
	if err != nil || !sent {
		return
	}
	for _, most := range []int{(g.cfg.SMSPerDay + 1) / 2, g.cfg.SMSPerDay} {
		// Counted, so that of many at once one tells.
		once := counter{key: fmt.Sprintf("told:%s:%d:%d", smsBudget, most, a.Since.Unix()), window: 24 * time.Hour, budget: 1}
		if a.Count >= most && g.count(ctx, once) == nil {
			g.record(ctx, at, nil, nil, Event{Name: EventSendBudget, Factor: SMS, Detail: fmt.Sprintf("%d of %d text messages of this day are sent", most, g.cfg.SMSPerDay)})
		}
	}
}

// takeSent compares the code that was entered with the one on its way, and spends
// it or one of its tries in the same write. It returns what was spent. ErrRejected,
// ErrExpired (none is on its way: send another), ErrNotOwed.
func (g *Gate) takeSent(ctx context.Context, s *Session, k Kind, purpose LetterKind, entered string) (SentCode, error) {
	now := g.now()
	var spent SentCode
	var verdict error
	err := g.cfg.Store.UpdateSession(ctx, s.ID, func(stored *Session) error {
		spent, verdict = SentCode{}, nil
		c := stored.sent(k, purpose, now)
		switch {
		case c == nil:
			verdict = ErrExpired
			return nil
		case !g.cfg.SentCodes.Matches(c.Kept, entered):
			verdict = ErrRejected
			if c.Tries++; c.Tries >= SentCodeTries {
				stored.dropSent(k, purpose)
			}
			return nil
		}
		spent = *c
		stored.dropSent(k, purpose)
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return SentCode{}, ErrNotOwed
	}
	if err != nil {
		return SentCode{}, fmt.Errorf("spending a code: %w", err)
	}
	// What this request goes on with must not bring the code back.
	s.dropSent(k, purpose)
	return spent, verdict
}

// reachable returns the user's credentials of a kind that codes are sent for, the
// one used last first, without the address that signed in (rule B27).
func reachable(s *Session, u *User, k Kind) []Credential {
	var list []Credential
	for _, c := range u.Credentials {
		if c.Kind == k && !s.first(k, c.Address) {
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b Credential) int { return b.LastUsed.Compare(a.LastUsed) })
	return list
}

// sentMethods is methods for a kind that codes are sent for.
func (g *Gate) sentMethods(ctx context.Context, at *Place, s *Session, u *User, k Kind) ([]Method, error) {
	wait, locked, err := g.lockedUntil(ctx, at, u, k)
	if err != nil {
		return nil, fmt.Errorf("reading attempts: %w", err)
	}
	var list []Method
	for _, c := range u.Credentials {
		if c.Kind != k {
			continue
		}
		m := Method{Kind: k, Available: true, Credential: c.ID}
		if g.cfg.SentCodes != nil {
			m.Address = g.cfg.SentCodes.Mask(k, c.Address)
		}
		switch {
		case !g.cfg.Post.Channels().Has(k):
			m.Available, m.Why = false, ReasonNoSender
		case s.first(k, c.Address):
			m.Available, m.Why = false, ReasonSameChannel
		case locked:
			m.Available, m.Why, m.Wait = false, ReasonLocked, wait
		}
		list = append(list, m)
	}
	return list, nil
}

// SendCode sends a code to one of the user's addresses, or says that one is on its
// way already (rule B22). cred empty: the address that was used last. again asks for
// another one. ErrNotAllowed, *ThrottledError, ErrNotSent, ErrBusy.
func (g *Gate) SendCode(ctx context.Context, at *Place, id SessionID, k Kind, cred CredentialID, again bool) (*SentTo, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	if err := g.mayVerify(u, k); err != nil {
		return nil, err
	}
	now := g.now()
	list := reachable(s, u, k)
	i := slices.IndexFunc(list, func(c Credential) bool { return c.ID == cred })
	if cred == "" {
		// A reload stays with the address that was picked.
		i = 0
		if c := s.sent(k, LetterVerify, now); c != nil {
			i = max(0, slices.IndexFunc(list, func(held Credential) bool { return held.ID == c.Credential }))
		}
	}
	if i < 0 || i >= len(list) {
		return nil, ErrNotAllowed
	}
	wait, locked, err := g.lockedUntil(ctx, at, u, k)
	if err != nil {
		return nil, fmt.Errorf("reading attempts: %w", err)
	}
	if locked {
		return nil, &ThrottledError{RetryAfter: wait, Locked: wait == 0}
	}
	return g.send(ctx, at, s, u, LetterVerify, k, list[i].Address, list[i].ID, again)
}

// VerifySent tries a code that was sent. ErrRejected for a wrong one, ErrExpired
// where none is on its way (send another), *ThrottledError.
func (g *Gate) VerifySent(ctx context.Context, at *Place, id SessionID, k Kind, code string) (*Outcome, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	cred, r, err := g.spendSent(ctx, at, s, u, k, code)
	g.record(ctx, at, s, u, Event{Name: EventVerify, OK: err == nil, Reason: reasonOf(err), Factor: k})
	if err != nil {
		g.noteRejection(ctx, at, u, r, k, err)
		return nil, err
	}
	return g.proven(ctx, at, s, u, r, Proof{Kind: k, Credential: cred, At: g.now()})
}

func (g *Gate) spendSent(ctx context.Context, at *Place, s *Session, u *User, k Kind, code string) (CredentialID, reservation, error) {
	if k != SMS && k != Email || g.cfg.SentCodes == nil {
		return "", nil, ErrNotAllowed
	}
	if err := g.mayVerify(u, k); err != nil {
		return "", nil, err
	}
	if s.sent(k, LetterVerify, g.now()) == nil {
		return "", nil, ErrExpired // nothing to guess at
	}
	r, err := g.reserve(ctx, at, factorCounter(u, k))
	if err != nil {
		return "", r, err
	}
	spent, err := g.takeSent(ctx, s, k, LetterVerify, code)
	if err != nil {
		return "", r, err
	}
	now := g.now()
	return spent.Credential, r, g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		c := u.Credential(spent.Credential)
		// It may have been removed, or given another address, since the code was sent.
		if c == nil || c.Kind != k || c.Address != spent.Address || s.first(k, c.Address) {
			return ErrRejected
		}
		c.LastUsed = now
		return nil
	})
}
