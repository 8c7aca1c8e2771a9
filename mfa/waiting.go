package mfa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// letterCode is what waits for a code from somebody who is nobody yet: it signs in or
// makes an account. It is the Data of a challenge, which the browser names by a cookie
// and which is taken by each try.
type letterCode struct {
	Kind     Kind      `json:"kind"`
	Address  string    `json:"address"`
	Kept     Secret    `json:"kept"`
	At       time.Time `json:"at"`
	Tries    int       `json:"tries,omitempty"`
	Password Secret    `json:"password,omitempty"` // of a new account: its hash
	Display  string    `json:"display,omitempty"`
}

// Waiting is a code on its way to somebody who is not signed in. ID is a secret of
// the browser that asked; whoever does not hold it cannot use the code.
type Waiting struct {
	SentTo
	ID      string
	Purpose Purpose // ForSignInCode or ForSignUp
}

// startCounters bound what strangers may cause to be sent, by network
// (security.md 5.4).
func startCounters(network string) []counter {
	if network == "" {
		network = unknownNetwork
	}
	var list []counter
	for i, network := range append([]string{network}, widerNetworks(network)...) {
		key := "start:" + network + ":"
		list = append(list,
			counter{key: key + "10m", window: 10 * time.Minute, budget: 10 << i},
			counter{key: key + "1h", window: time.Hour, budget: 30 << i})
	}
	return list
}

// wait keeps a code for whoever holds the ID that it returns, and sends the letter
// unless it is nil, within the budgets of who asks. It answers at the same speed
// whether there is somebody to send it to or not (AC-116). u is who has the address.
func (g *Gate) wait(ctx context.Context, at *Place, purpose Purpose, u *User, c letterCode, l *Letter, by asker) (*Waiting, error) {
	sent, about, user := false, LetterSignUp, UserID("")
	if purpose == ForSignInCode {
		if about = LetterSignIn; l != nil {
			user = u.ID
		}
	}
	defer func() {
		g.record(ctx, at, nil, u, Event{Name: EventSend, OK: sent, Factor: c.Kind, Detail: string(about)})
	}()
	code, kept, err := g.cfg.SentCodes.New(c.Kind)
	if err != nil {
		return nil, fmt.Errorf("making a code: %w", err)
	}
	c.At, c.Kept = g.now(), kept
	// The budgets of an address are asked for one that nobody has, too.
	counters := g.addressCounters(c.Kind, c.Address, by)
	if l == nil {
		counters = toNobody(counters)
	}
	budget := g.count(ctx, counters...)
	var throttled *ThrottledError
	if budget != nil && !errors.As(budget, &throttled) {
		return nil, budget
	}
	w, err := g.keepWaiting(ctx, at, purpose, user, c)
	if err != nil {
		return nil, err
	}
	if l != nil && budget == nil {
		if l.Kind != LetterHasAccount {
			l.Code = code
		}
		l.Life = SentCodeLife
		sent = g.cfg.Post.Queue(l)
	}
	g.noteBudget(ctx, at, c.Kind, sent)
	return w, nil
}

func (g *Gate) keepWaiting(ctx context.Context, at *Place, purpose Purpose, user UserID, c letterCode) (*Waiting, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("keeping a code: %w", err)
	}
	id := randomText(32)
	ch := &Challenge{ID: linkID(id), Purpose: purpose, User: user, Origin: at.Origin, Data: data, Expires: c.At.Add(SentCodeLife)}
	if err := g.cfg.Store.PutChallenge(ctx, ch); err != nil {
		return nil, fmt.Errorf("keeping a code: %w", err)
	}
	return g.waiting(id, ch, c), nil
}

// Waiting returns the code on its way that the browser's cookie names. ErrExpired.
func (g *Gate) Waiting(ctx context.Context, at *Place, id string) (*Waiting, error) {
	ch, err := g.cfg.Store.Challenge(ctx, linkID(id))
	if errors.Is(err, ErrNotFound) || id == "" {
		return nil, ErrExpired
	}
	if err != nil {
		return nil, fmt.Errorf("reading a code: %w", err)
	}
	c, err := g.letterCode(at, ch)
	if err != nil {
		return nil, err
	}
	return g.waiting(id, ch, c), nil
}

func (g *Gate) waiting(id string, ch *Challenge, c letterCode) *Waiting {
	return &Waiting{ID: id, Purpose: ch.Purpose, SentTo: SentTo{
		Kind: c.Kind, Masked: g.cfg.SentCodes.Display(c.Kind, c.Address), // as the person typed it
		At: c.At, Expires: ch.Expires, Again: c.At.Add(SendAgain),
	}}
}

func (g *Gate) letterCode(at *Place, ch *Challenge) (letterCode, error) {
	var c letterCode
	if ch.Purpose != ForSignInCode && ch.Purpose != ForSignUp || ch.Origin != at.Origin || !g.now().Before(ch.Expires) || g.cfg.SentCodes == nil {
		return c, ErrExpired
	}
	if err := json.Unmarshal(ch.Data, &c); err != nil {
		return c, fmt.Errorf("reading a code: %w", err)
	}
	// A clock that was set back must not keep a code alive.
	if g.now().Before(c.At.Add(-clockLeeway)) {
		return c, ErrExpired
	}
	return c, nil
}

// FinishWaiting tries a code that was sent to somebody who is not signed in: they are
// signed in, or their account is made. Where the code was wrong and tries are left, the
// code waits on under another ID, which is returned beside ErrRejected; where it was not
// looked at, under the same, beside *ThrottledError. ErrExpired where it is gone.
func (g *Gate) FinishWaiting(ctx context.Context, at *Place, id, code string) (*Outcome, *Waiting, error) {
	ch, err := g.cfg.Store.Challenge(ctx, linkID(id))
	if errors.Is(err, ErrNotFound) || id == "" {
		return nil, nil, ErrExpired
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading a code: %w", err)
	}
	c, err := g.letterCode(at, ch)
	if err != nil {
		return nil, nil, err
	}
	u, again, err := g.spendWaiting(ctx, at, id, ch, c, code)
	name := EventSignIn
	if ch.Purpose == ForSignUp {
		name = EventSignUp
	}
	g.record(ctx, at, nil, u, Event{Name: name, OK: err == nil, Reason: reasonOf(err), Factor: c.Kind})
	if err != nil {
		return nil, again, err
	}
	now := g.now()
	in := start{first: Proof{Kind: c.Kind, Address: c.Address, At: now}}
	if ch.Purpose == ForSignUp {
		in = start{
			first: Proof{Kind: Password, At: now}, mayEnroll: true,
			verified: []VerifiedAddress{{Kind: c.Kind, Address: c.Address, At: now}},
		}
	}
	out, err := g.begin(ctx, at, u, in)
	return out, nil, err
}

func (g *Gate) spendWaiting(ctx context.Context, at *Place, id string, ch *Challenge, c letterCode, code string) (*User, *Waiting, error) {
	u, own, err := g.waitingFor(ctx, ch, c)
	if err != nil {
		return nil, nil, err
	}
	r, err := g.reserve(ctx, at, own)
	if err != nil {
		return u, g.waiting(id, ch, c), err // the code was not looked at, and waits on
	}
	// Taken before anything is compared: of two that come with one code, one gets it.
	if _, err := g.cfg.Store.TakeChallenge(ctx, ch.ID); errors.Is(err, ErrNotFound) {
		g.refund(ctx, r)
		return u, nil, ErrExpired
	} else if err != nil {
		return u, nil, fmt.Errorf("taking a code: %w", err)
	}
	if !g.cfg.SentCodes.Matches(c.Kept, code) {
		g.noteRejection(ctx, at, u, r, c.Kind, ErrRejected)
		if c.Tries++; c.Tries >= SentCodeTries {
			return u, nil, ErrExpired
		}
		again, err := g.keepWaiting(ctx, at, ch.Purpose, ch.User, c) // c.At says until when
		return u, again, errors.Join(ErrRejected, err)
	}
	if err := g.forgive(ctx, r); err != nil {
		return u, nil, fmt.Errorf("clearing attempts: %w", err)
	}
	if ch.Purpose == ForSignUp {
		u, err = g.makeAccount(ctx, c)
		return u, nil, err
	}
	// A code to nobody is never sent, and matches nothing; what is here is a user.
	if u == nil || u.Disabled || !g.provenAddress(u, c.Kind, c.Address) || !g.recovers(u, c.Kind) {
		return u, nil, ErrRejected
	}
	return u, nil, nil
}

// waitingFor returns the user whom a code that waits would sign in, or nil, and what
// counts the tries at it. It does the same work whether there is a user or not.
func (g *Gate) waitingFor(ctx context.Context, ch *Challenge, c letterCode) (*User, counter, error) {
	own := g.unknownNameCounter(string(ch.Purpose), c.Address)
	if ch.Purpose == ForSignUp {
		// Nobody could end a lock, and the owner of an address must not be kept from an
		// account for ever: five tries at each code are what stops who guesses.
		own.lockAt = lockNever
		return nil, own, nil
	}
	own.lockAt = lockFactorAt
	u, err := g.userByKey(ctx, AddressKey(c.Kind, c.Address))
	if err != nil || u == nil || u.ID != ch.User {
		return nil, own, err
	}
	kind := "sign_in_" + c.Kind
	return u, counter{key: factorKey(u.ID, kind), lockAt: lockFactorAt, first: true, of: holderOf(u), kind: kind}, nil
}

// provenAddress reports whether the user has proven the address before (rule B38).
func (g *Gate) provenAddress(u *User, k Kind, address string) bool {
	return k == Email && u.EmailVerified && u.Email == address || k == SMS && u.PhoneVerified && u.Phone == address
}

// SendSignInCode sends a code that signs in to an address, if somebody here has proven
// it; the answer is the same if nobody has (AC-116, AC-117). ErrName or ErrCountry
// where it is no address at all, *ThrottledError of the network.
func (g *Gate) SendSignInCode(ctx context.Context, at *Place, typed string) (*Waiting, error) {
	ways := g.SignInWays()
	if ways == 0 {
		return nil, ErrNotAllowed
	}
	k, address, err := g.channelOf(typed, ways)
	if err != nil {
		return nil, err
	}
	if err := g.count(ctx, startCounters(at.Network)...); err != nil {
		return nil, err
	}
	u, err := g.userByKey(ctx, AddressKey(k, address))
	if err != nil {
		return nil, err
	}
	var l *Letter
	by := stranger
	if u != nil && !u.Disabled && g.recovers(u, k) {
		l, by = g.letter(at, u, LetterSignIn, k, address), g.askerOf(at, u)
	}
	return g.wait(ctx, at, ForSignInCode, u, letterCode{Kind: k, Address: address}, l, by)
}

// askerOf returns who asks for a letter to the user before anything was proven: a
// browser that is known has its own budgets.
func (g *Gate) askerOf(at *Place, u *User) asker {
	if g.knownDevice(at, holderOf(u)) != "" {
		return knownBrowser
	}
	return stranger
}
