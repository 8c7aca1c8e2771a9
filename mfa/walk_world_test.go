package mfa_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/secondgate/secondgate/identity/local"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/otpcode"
	"github.com/secondgate/secondgate/mfa/factor/totp"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// The walk makes some ten thousand worlds, so what they are made of is light: a store
// in memory, passwords and codes without hashes, passkeys on paper. What these stand
// for has tests of its own, and some of the cells are walked on the real store as well.

// memory is a mfa.Store for one caller at a time.
type memory struct {
	mfa.Store  // nil: what nobody needs on a walk
	users      map[mfa.UserID]*mfa.User
	keys       map[string]mfa.UserID
	sessions   map[mfa.SessionID]*mfa.Session
	challenges map[string]mfa.Challenge
	attempts   map[string]mfa.Attempts
}

func newMemory() *memory {
	return &memory{
		nil, map[mfa.UserID]*mfa.User{}, map[string]mfa.UserID{}, map[mfa.SessionID]*mfa.Session{},
		map[string]mfa.Challenge{}, map[string]mfa.Attempts{},
	}
}

// Exclusively needs no lock: a walk is one step after the other.
func (m *memory) Exclusively(ctx context.Context, _ string, work func(context.Context) error) error {
	return work(ctx)
}

func copyUser(u *mfa.User) *mfa.User {
	c := *u
	c.Organizations, c.Credentials = slices.Clone(u.Organizations), slices.Clone(u.Credentials)
	c.Remembered, c.Notices = slices.Clone(u.Remembered), slices.Clone(u.Notices)
	return &c
}

func copySession(s *mfa.Session) *mfa.Session {
	c := *s
	c.Proofs, c.Verified = slices.Clone(s.Proofs), slices.Clone(s.Verified)
	c.Pending, c.Sent = slices.Clone(s.Pending), slices.Clone(s.Sent)
	return &c
}

func (m *memory) User(_ context.Context, id mfa.UserID) (*mfa.User, error) {
	if u := m.users[id]; u != nil {
		return copyUser(u), nil
	}
	return nil, mfa.ErrNotFound
}

func (m *memory) UserByKey(ctx context.Context, key string) (*mfa.User, error) {
	return m.User(ctx, m.keys[key])
}

// keep puts u in the place of old, which may have no keys.
func (m *memory) keep(old, u *mfa.User) error {
	for _, k := range u.UniqueKeys() {
		if id, held := m.keys[k]; held && id != u.ID {
			return mfa.ErrTaken
		}
	}
	for _, k := range old.UniqueKeys() {
		delete(m.keys, k)
	}
	for _, k := range u.UniqueKeys() {
		m.keys[k] = u.ID
	}
	m.users[u.ID] = u
	return nil
}

func (m *memory) CreateUser(_ context.Context, u *mfa.User) error {
	return m.keep(u, copyUser(u))
}

func (m *memory) UpdateUser(_ context.Context, id mfa.UserID, change func(*mfa.User) error) error {
	old := m.users[id]
	if old == nil {
		return mfa.ErrNotFound
	}
	u := copyUser(old)
	if err := change(u); err != nil {
		return err
	}
	return m.keep(old, u)
}

func (m *memory) CreateSession(_ context.Context, s *mfa.Session) error {
	m.sessions[s.ID] = copySession(s)
	return nil
}

func (m *memory) Session(_ context.Context, id mfa.SessionID) (*mfa.Session, error) {
	if s := m.sessions[id]; s != nil {
		return copySession(s), nil
	}
	return nil, mfa.ErrNotFound
}

func (m *memory) UpdateSession(ctx context.Context, id mfa.SessionID, change func(*mfa.Session) error) error {
	s, err := m.Session(ctx, id)
	if err == nil {
		err = change(s)
	}
	if err == nil {
		m.sessions[id] = s
	}
	return err
}

func (m *memory) ReplaceSession(_ context.Context, old mfa.SessionID, next *mfa.Session) error {
	if m.sessions[old] == nil {
		return mfa.ErrNotFound
	}
	delete(m.sessions, old)
	m.sessions[next.ID] = copySession(next)
	return nil
}

func (m *memory) EndSession(_ context.Context, id mfa.SessionID) error {
	delete(m.sessions, id)
	return nil
}

func (m *memory) EndUserSessions(_ context.Context, user mfa.UserID, keep mfa.SessionID) error {
	for id, s := range m.sessions {
		if s.User == user && id != keep {
			delete(m.sessions, id)
		}
	}
	return nil
}

func (m *memory) UserSessions(_ context.Context, user mfa.UserID) ([]*mfa.Session, error) {
	var list []*mfa.Session
	for _, s := range m.sessions {
		if s.User == user {
			list = append(list, copySession(s))
		}
	}
	return list, nil
}

func (m *memory) PutChallenge(_ context.Context, c *mfa.Challenge) error {
	m.challenges[c.ID] = *c
	return nil
}

func (m *memory) Challenge(_ context.Context, id string) (*mfa.Challenge, error) {
	if c, ok := m.challenges[id]; ok {
		return &c, nil
	}
	return nil, mfa.ErrNotFound
}

func (m *memory) TakeChallenge(ctx context.Context, id string) (*mfa.Challenge, error) {
	c, err := m.Challenge(ctx, id)
	delete(m.challenges, id)
	return c, err
}

func (m *memory) UpdateAttempts(_ context.Context, keys []string, change func([]mfa.Attempts) error) error {
	all := make([]mfa.Attempts, len(keys))
	for i, k := range keys {
		all[i] = m.attempts[k]
	}
	err := change(all)
	for i, k := range keys {
		if err == nil {
			m.attempts[k] = all[i]
		}
	}
	return err
}

func (m *memory) Attempts(_ context.Context, key string) (mfa.Attempts, error) {
	return m.attempts[key], nil
}

// paperKeys are passkeys without a signature: whoever knows a credential's name is its
// authenticator. What a ceremony asks of the core is all there.
type paperKeys struct{}

type paperOptions struct {
	RPID  string
	Allow []string
}

func (paperKeys) BeginEnrollment(at *mfa.Place, _ *mfa.User) (options, state []byte, err error) {
	options, err = json.Marshal(paperOptions{RPID: at.RPID})
	return options, []byte(at.RPID), err
}

func (paperKeys) FinishEnrollment(at *mfa.Place, _ *mfa.User, state, answer []byte) (*mfa.Credential, error) {
	if string(state) != at.RPID || len(answer) == 0 {
		return nil, mfa.ErrRejected
	}
	return &mfa.Credential{Data: mfa.Secret("paper"), Unique: string(answer), RPID: at.RPID}, nil
}

func (paperKeys) BeginVerification(at *mfa.Place, u *mfa.User) (options, state []byte, err error) {
	o := paperOptions{RPID: at.RPID}
	for _, c := range u.Credentials {
		if c.Kind == mfa.Passkey && c.RPID == at.RPID {
			o.Allow = append(o.Allow, c.Unique)
		}
	}
	options, err = json.Marshal(o)
	return options, []byte(at.RPID), err
}

func (paperKeys) FinishVerification(at *mfa.Place, u *mfa.User, state, answer []byte) (mfa.CredentialID, mfa.Secret, error) {
	for _, c := range u.Credentials {
		if c.Kind == mfa.Passkey && c.RPID == at.RPID && string(state) == at.RPID && c.Unique == string(answer) {
			return c.ID, c.Data, nil
		}
	}
	return "", nil, mfa.ErrRejected
}

func (paperKeys) BeginSignIn(at *mfa.Place) (options, state []byte, err error) {
	options, err = json.Marshal(paperOptions{RPID: at.RPID})
	return options, []byte(at.RPID), err
}

// FinishSignIn takes a handle and a name, with a line between them.
func (k paperKeys) FinishSignIn(at *mfa.Place, state, answer []byte, find func([]byte) (*mfa.User, error)) (*mfa.User, mfa.CredentialID, mfa.Secret, error) {
	handle, name, _ := bytes.Cut(answer, []byte("|"))
	u, err := find(handle)
	if err != nil {
		return nil, "", nil, mfa.ErrRejected
	}
	id, data, err := k.FinishVerification(at, u, state, name)
	return u, id, data, err
}

func (paperKeys) Advance(_, verified mfa.Secret) (mfa.Secret, error) { return verified, nil }

// nobodysEvents forgets.
type nobodysEvents struct{}

func (nobodysEvents) Record(context.Context, mfa.Event) {}

func (nobodysEvents) Keep(context.Context, mfa.Event) error { return nil }

// town is the world of one cell and one person.
type town struct {
	plan   *plan
	name   string // of the user
	gate   *mfa.Gate
	store  mfa.Store
	policy mfa.Policy
	time   *mfatest.Clock
	post   mfatest.Post
	place  mfa.Place

	user    mfa.UserID
	mailbox string // the address on file, or the one that a sign-up makes
	first   first  // what the person comes with
	devices map[mfa.CredentialID]*device

	remembered string // what the browser keeps
	provenAt   time.Time
	provenBy   mfa.CredentialID
	pass       string // an administrator's, where they have one in hand
	bypass     string
	loose      []string // codes that were made and never saved
}

// first is what a person begins a sign-in with.
type first struct {
	link     string // the secret of a link
	password string
}

// device is what somebody holds of a credential.
type device struct {
	kind  mfa.Kind
	app   *phone
	used  int64 // the step of the newest code
	paper string
	codes []string
	to    string
}

var walkLetters = must1(otpcode.New(otpcode.Config{Countries: []string{"DE"}}))

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

const (
	otherNumber  = "+4915187654321"
	strangersBox = "eve@elsewhere.example"
	graceDays    = 7 * 24 * time.Hour
	windowDays   = 14 * 24 * time.Hour
	rememberDays = 30 * 24 * time.Hour
	otherRPID    = "other.example.com"
)

// number is a phone number for everybody: budgets are by number.
func number(of string) string {
	sum := fnv.New32()
	sum.Write([]byte(of))
	return fmt.Sprintf("+49151%08d", sum.Sum32()%1e8)
}

// build makes the world of a plan. store may be shared by worlds of other names.
func (p *plan) build(ctx context.Context, store mfa.Store, name string) (*town, error) {
	w := &town{
		plan: p, name: name, store: store, time: mfatest.NewClock(),
		place: mfa.Place{
			Origin: "https://app.example.com", Host: "app.example.com", Scope: "app.example.com",
			RPID: "app.example.com", Agent: "Firefox on Linux", Network: "of " + name,
		},
		mailbox: name + "@example.com", devices: map[mfa.CredentialID]*device{}, first: first{password: goodPassword},
	}
	if p.plainHTTP {
		w.place.Origin, w.place.RPID, w.place.NoPasskey = "http://app.example.com", "", mfa.ReasonPlainHTTP
	}
	source, err := local.New(local.Config{Users: store, Hasher: sharedHasher()})
	if err != nil {
		return nil, err
	}
	plain := plainPasswords{source, store}
	w.gate, err = mfa.NewGate(mfa.Config{
		Store: store, Sources: []mfa.Source{{Password: plain}}, Passwords: plain,
		TOTP: totp.New(), Codes: plainCodes{}, Passkeys: paperKeys{}, SentCodes: walkLetters, Post: &w.post,
		Events: nobodysEvents{}, Policy: func() *mfa.Policy { return &w.policy }, Now: w.time.Now,
		SignUp: mfa.SignUp{Name: true, Channels: mfa.KindsOf(mfa.Email)}, SignInCodes: mfa.KindsOf(mfa.Email),
		SMSPerDay: 1 << 30,
	})
	if err != nil {
		return nil, err
	}
	if p.source != signUpByName && p.source != signUpByEmail {
		if err := w.settle(ctx); err != nil {
			return nil, fmt.Errorf("making the user: %w", err)
		}
	}
	w.policy = p.policy()
	return w, nil
}

// settle makes the user, and what happened before the walk begins.
func (w *town) settle(ctx context.Context) error {
	p, now := w.plan, w.time.Now()
	w.policy = mfa.DefaultPolicy()
	w.policy.Factors = everyKind
	w.policy.Optional, w.policy.Prompt, w.policy.RememberDevice = true, mfa.PromptNever, rememberDays
	u := &mfa.User{
		ID: mfa.NewUserID(), Handle: []byte("handle " + w.name), Source: mfa.LocalSource, Subject: w.name, Name: w.name,
		Password: mfa.Secret("plain " + goodPassword), Created: now, FirstSignIn: now.Add(-100 * 24 * time.Hour),
	}
	w.user = u.ID
	if p.source == invitation {
		u.Password = nil
	}
	if p.addressOnFile {
		u.Email, u.EmailVerified = w.mailbox, p.source == emailCode || p.source == forgotten || p.holdsAddressOnFile()
	}
	for _, k := range p.enrolled {
		if err := w.hold(ctx, u, k); err != nil {
			return err
		}
	}
	if p.codes != noCodes && p.codes != pendingCodes {
		if err := w.hold(ctx, u, mfa.BackupCode); err != nil {
			return err
		}
	}
	if p.registering {
		u.FirstSignIn = time.Time{}
	}
	if err := w.store.CreateUser(ctx, u); err != nil {
		return err
	}
	if p.remembered != notRemembered {
		if err := w.remember(ctx); err != nil {
			return err
		}
	}
	if p.codes == pendingCodes {
		w.loose = []string{"never-saved"}
	}
	switch p.remembered {
	case tooOld:
		w.time.Advance(rememberDays + 24*time.Hour)
	case rememberedNow:
		w.time.Advance(2 * time.Minute)
	default:
		w.time.Advance(24 * time.Hour)
	}
	now = w.time.Now()
	err := w.store.UpdateUser(ctx, u.ID, func(u *mfa.User) error {
		u.EverEnrolled = len(u.Credentials) > 0
		u.OptedOut, u.Disabled = p.optedOut, p.disabled
		u.SkippedPrompt, u.SkippedCodes = "", p.skipped
		switch {
		case p.skipped:
			u.SkippedPrompt = p.prompt.String()
		case p.skippedOther:
			u.SkippedPrompt = otherPrompt(p.prompt).String()
		}
		switch p.graceState {
		case graceBegun:
			u.GraceStarted = now.Add(-24 * time.Hour)
		case graceOver:
			u.GraceStarted = now.Add(-graceDays - 24*time.Hour)
		}
		u.EnrollmentOpened = time.Time{}
		switch p.opened {
		case openedLately:
			u.EnrollmentOpened = now.Add(-24 * time.Hour)
		case openedLongAgo:
			u.EnrollmentOpened = now.Add(-windowDays - 24*time.Hour)
		}
		for _, o := range p.organizations {
			u.Organizations = append(u.Organizations, o.ID)
		}
		u.Notices = nil
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.lock(ctx, u); err != nil {
		return err
	}
	if p.passInHand {
		w.pass, _, err = mfatest.NewDesk(w.gate).EnrollmentPass(ctx, w.name, 0)
	}
	if err == nil && p.bypassInHand {
		w.bypass, _, err = mfatest.NewDesk(w.gate).Bypass(ctx, w.name, 0, "lost phone")
	}
	if err == nil {
		err = w.invite(ctx)
	}
	return err
}

func otherPrompt(p mfa.Prompt) mfa.Prompt {
	if p == mfa.PromptAtNextSignIn {
		return mfa.PromptAtRegistration
	}
	return mfa.PromptAtNextSignIn
}

// invite makes the link that the person comes by.
func (w *town) invite(ctx context.Context) (err error) {
	switch w.plan.source {
	case invitation:
		w.first.link, err = mfatest.NewDesk(w.gate).Invite(ctx, mfa.InviteInput{Name: w.name})
	case resetLink:
		w.first.link, err = mfatest.NewDesk(w.gate).ResetPassword(ctx, w.name)
	}
	return err
}

func held(k mfa.Kind) mfa.CredentialID { return mfa.CredentialID("held " + string(k)) }

// hold gives the user a credential, and the person its device.
func (w *town) hold(ctx context.Context, u *mfa.User, k mfa.Kind) error {
	c := mfa.Credential{ID: held(k), Kind: k, Created: u.Created}
	d := &device{kind: k}
	switch k {
	case mfa.Passkey:
		c.RPID = "app.example.com"
		if w.plan.otherHost {
			c.RPID = otherRPID
		}
		d.paper = "passkey of " + w.name
		c.Unique, c.Data = d.paper, mfa.Secret("paper")
	case mfa.TOTP:
		data, text, err := totp.New().NewSecret()
		if err != nil {
			return err
		}
		c.Data = data
		d.app = phoneOf(text)
	case mfa.SMS:
		c.Address = number(w.name)
	case mfa.Email:
		c.Address = "second." + w.mailbox
	case onFile:
		c.Kind, d.kind, c.Address = mfa.Email, mfa.Email, w.mailbox
	case mfa.BackupCode:
		data, codes, err := plainCodes{}.New(ctx)
		if err != nil {
			return err
		}
		c.ID, c.Data, c.Left, c.Step = mfa.BackupCodesID, data, mfa.CodesPerSet, 1
		for c.Left > map[codesHeld]int{someCodes: 5, lastCode: 1, spentCodes: 0}[w.plan.codes] {
			if c.Data, c.Left, err = (plainCodes{}).Spend(c.Data, len(codes)-1); err != nil {
				return err
			}
			codes = codes[:len(codes)-1]
		}
		d.codes = codes
	}
	d.to = c.Address
	u.Credentials = append(u.Credentials, c)
	w.devices[c.ID] = d
	return nil
}

// remember lets the browser stand for a second factor, as its owner did it once.
func (w *town) remember(ctx context.Context) error {
	at := w.place
	if at.RPID = "app.example.com"; w.plan.otherHost {
		at.RPID = otherRPID
	}
	out, err := w.gate.SignIn(ctx, &at, mfa.LocalSource, w.name, goodPassword)
	if err != nil {
		return err
	}
	at.Remember = true
	before := out.Session.ID
	id := held(w.plan.enrolled[0])
	if out, err = w.prove(ctx, &at, before, id); err != nil {
		return err
	}
	w.provenBy, w.provenAt, w.remembered = id, w.time.Now(), out.Remember
	if w.remembered == "" {
		return errors.New("nothing to remember")
	}
	_, err = w.gate.SignOut(ctx, &at, out.Session.ID, "")
	return err
}

// lock makes every factor of the user refuse tries.
func (w *town) lock(ctx context.Context, u *mfa.User) error {
	if w.plan.locked == notLocked {
		return nil
	}
	until := w.time.Now().Add(waitingTime)
	if w.plan.locked == lockedForGood {
		until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	for _, c := range u.Credentials {
		if c.Kind == mfa.Passkey && w.plan.locked == lockedForGood {
			continue // they never are
		}
		key := mfa.FactorKey(u.ID, c.Kind)
		err := w.store.UpdateAttempts(ctx, []string{key}, func(a []mfa.Attempts) error {
			a[0] = mfa.Attempts{Count: 50, Until: until}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const waitingTime = 7 * time.Minute

// prove verifies with the device of a credential.
func (w *town) prove(ctx context.Context, at *mfa.Place, id mfa.SessionID, cred mfa.CredentialID) (*mfa.Outcome, error) {
	d := w.devices[cred]
	switch d.kind {
	case mfa.Passkey:
		c, err := w.gate.BeginVerifyPasskey(ctx, at, id)
		if err != nil {
			return nil, err
		}
		if !strings.Contains(string(c.Options), d.paper) {
			return nil, fmt.Errorf("the browser was not asked for %q: %s", d.paper, c.Options)
		}
		return w.gate.FinishVerifyPasskey(ctx, at, id, c.ID, []byte(d.paper))
	case mfa.TOTP:
		return w.gate.VerifyTOTP(ctx, at, id, w.appCode(d))
	case mfa.BackupCode:
		if len(d.codes) == 0 {
			return nil, errors.New("no code is left")
		}
		code := d.codes[0]
		d.codes = d.codes[1:]
		return w.gate.VerifyBackupCode(ctx, at, id, code)
	case mfa.SMS, mfa.Email:
		to, err := w.gate.SendCode(ctx, at, id, d.kind, cred, false)
		if err != nil {
			return nil, err
		}
		if to.Credential != cred {
			return nil, fmt.Errorf("the code went to %s", to.Masked)
		}
		return w.gate.VerifySent(ctx, at, id, d.kind, w.post.Code(d.to))
	}
	return nil, fmt.Errorf("no device of kind %q", d.kind)
}

// appCode is the next code of an app; who used one waits for it.
func (w *town) appCode(d *device) string {
	if d.used == w.time.Now().Unix()/30 {
		w.time.Advance(30 * time.Second)
	}
	d.used = w.time.Now().Unix() / 30
	return d.app.code(w.time.Now())
}

// setUpCode is the code of the newest set-up, wherever it went.
func (w *town) setUpCode() string {
	for _, l := range slices.Backward(w.post.All()) {
		if l.Kind == mfa.LetterSetUp {
			return string([]byte(l.Code))
		}
	}
	return ""
}

var (
	_ mfa.Store      = (*memory)(nil)
	_ mfa.Passkeys   = paperKeys{}
	_ mfa.KeptEvents = nobodysEvents{}
)
