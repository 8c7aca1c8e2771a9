package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store/badger"
)

var (
	stormRounds = flag.Int("storm", 20, "how often TestStorm kills the gateway")
	stormSeed   = flag.Uint64("seed", 0, "what TestStorm's choices begin with; 0: a new one")
)

// Every client of the storm is a network of its own, or the limits per network
// would stop it within a second.
const stormy = `{
	mfa {
		session {
			idle 30d
			absolute 30d
		}
	}
	default_bind 127.0.0.1
	servers {
		trusted_proxies static 127.0.0.1/32
	}
}
http://localhost:{$PORT} {
	mfa
	reverse_proxy {$APP}
}
`

const stormWorkers = 6

// A power cut comes when it likes: while people set up a factor, verify, use
// codes, mistype them, sign out, and while an administrator disables them. What
// the gateway has said is done must be done after the next start, and what was
// used up must stay used up, whether or not it came to say so (AC-192, AC-107).
//
// The test keeps a model of what was acknowledged. After each kill it compares a
// copy of the store with it, starts the gateway on the store as the kill left it,
// and tries old codes and cookies again.
func TestStorm(t *testing.T) {
	t.Parallel()
	seed := *stormSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("%d rounds; the same choices again: -storm %d -seed %d", *stormRounds, *stormRounds, seed)
	s := &storm{t: t, g: start(t, stormy), chance: rand.New(rand.NewPCG(seed, 1))}
	s.ready()
	for round := 1; round <= *stormRounds && !t.Failed(); round++ {
		s.round = round
		s.rage()
		s.g.kill()
		s.g.App.Forget()
		s.compare()
		s.g.launch(t)
		s.ready()
		s.tryAgain()
	}
	t.Logf("%d people, %d answers; acknowledged: %s", len(s.people), s.answers.Load(), s.acknowledged())
}

// storm is the gateway and the model of what it has acknowledged.
type storm struct {
	t      *testing.T
	g      *gateway
	chance *rand.Rand
	round  int
	people []*person

	// clock is held for reading by whoever is in the middle of something, so that
	// the time does not run away under them.
	clock sync.RWMutex

	answers atomic.Int64 // from the gateway, so far
	counts  [len(deeds)]atomic.Int64
}

type deed int

const (
	didSetUp deed = iota
	didVerify
	didUseCode
	didMistype
	didSignOut
	didDisable
	didEnable
)

var deeds = [...]string{"set-ups", "verifications", "backup codes", "wrong codes", "sign-outs", "disabled", "enabled"}

func (s *storm) acknowledged() string {
	var parts []string
	for i, name := range deeds {
		parts = append(parts, fmt.Sprintf("%d %s", s.counts[i].Load(), name))
	}
	return strings.Join(parts, ", ")
}

// known is what the model knows of one effect.
type known int

const (
	no    known = iota
	maybe       // asked for, and never answered
	yes         // acknowledged
)

// person is one user, and one worker's at a time.
type person struct {
	s      *storm
	name   string
	chance *rand.Rand

	invited, password, app, codes known
	link                          string
	secret                        string // of the authenticator app
	step                          int64  // newest that was acknowledged
	sent                          int64  // newest that was sent

	sheet []string // backup codes, in the order in which they are used
	spent int      // acknowledged
	trial known    // of the code after those

	wrong    int // acknowledged failures with the app since it last could have succeeded
	disabled known
	enabling known // disabled is being turned back
	sessions []*signedIn

	// half is a browser whose password was taken and whose second factor is owed.
	// A password costs a fifth of a second, on purpose; they are not what is
	// tried here.
	half *stormClient
}

// signedIn is a session in a browser of its own.
type signedIn struct {
	c     *client
	token string
	ended known
}

// ready waits until the admin endpoint, which is there first, knows the gate.
func (s *storm) ready() {
	err := s.g.wait(func() error { return (&person{s: s}).admin("users/list", nil) })
	if err != nil {
		s.t.Fatalf("round %d: %v", s.round, err)
	}
}

// rage lets everybody work and returns at some moment in the middle of it.
func (s *storm) rage() {
	var group sync.WaitGroup
	crew := s.crew()
	var dead atomic.Bool
	for _, p := range crew {
		group.Go(func() {
			for !dead.Load() {
				if err := p.act(); err != nil {
					if !errors.Is(err, errCut) {
						s.t.Errorf("round %d: %s: %v", s.round, p.name, err)
					}
					return
				}
			}
		})
	}
	// So many answers from now, and a little later: how far people get must not
	// hang on how fast the machine is.
	enough := s.answers.Load() + int64(1+s.chance.IntN(60))
	for end := time.Now().Add(10 * time.Second); s.answers.Load() < enough && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(s.chance.IntN(20_000)) * time.Microsecond)
	// At once, while requests are under way: nobody is told to stop first.
	_ = s.g.cmd.Process.Kill()
	dead.Store(true)
	group.Wait()
}

// crew returns who works in this round: two who are new, and others that have
// been there.
func (s *storm) crew() []*person {
	list := slices.Clone(s.people)
	s.chance.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	list = list[:min(len(list), stormWorkers-2)]
	for len(list) < stormWorkers {
		p := &person{s: s, name: "person-" + strconv.Itoa(len(s.people)), chance: rand.New(rand.NewPCG(s.chance.Uint64(), 2))}
		s.people = append(s.people, p)
		list = append(list, p)
	}
	return list
}

// errCut says that the answer did not come: the gateway is dead.
var errCut = errors.New("no answer")

// act does the next thing.
func (p *person) act() error {
	switch {
	case p.codes != yes:
		return p.setUp()
	case p.disabled == yes:
		return p.enable()
	}
	live := p.live()
	dice := p.chance.IntN(100)
	switch {
	case len(live) > 4 || dice < 25 && len(live) > 0:
		return p.signOut(live[p.chance.IntN(len(live))])
	case p.wrong >= 3:
		return p.verify() // before the throttle stops us
	case dice < 45:
		return p.mistype()
	case dice < 65 && p.spent < 8:
		return p.useCode()
	case dice < 70:
		return p.disable()
	}
	return p.verify()
}

func (p *person) live() []*signedIn {
	return slices.DeleteFunc(slices.Clone(p.sessions), func(s *signedIn) bool { return s.ended != no })
}

// setUp goes from the invitation to the saved backup codes.
func (p *person) setUp() error {
	if err := p.s.passTime(p); err != nil {
		return err
	}
	p.s.clock.RLock()
	defer p.s.clock.RUnlock()
	c := p.browser()
	if p.password != yes {
		if p.link == "" {
			p.invited = max(p.invited, maybe)
			var out struct{ Link string }
			if err := p.admin("users/invite", &out); err != nil {
				return err
			}
			p.invited, p.link = yes, out.Link
		}
		_, token, _ := strings.Cut(p.link, "#")
		page, err := c.load("/.mfa/link")
		if err == nil {
			page, err = c.send(page, "/.mfa/link", "token", token)
		}
		if err != nil {
			return err
		}
		p.password = maybe
		p.link = "" // it is good once, and a kill may have used it
		if err := c.done(c.send(page, "/.mfa/link", "password", password)); err != nil {
			return fmt.Errorf("choosing a password: %w", err)
		}
		p.password = yes
	} else if err := p.enterPassword(c); err != nil {
		return err
	}
	if p.app != yes {
		page, err := c.load("/.mfa/set-up/totp")
		if err != nil {
			return err
		}
		m := secrets.FindStringSubmatch(page.Body)
		if m == nil {
			return fmt.Errorf("there is no secret on %q: %s", page.Title(), page.Text())
		}
		p.secret, p.app = strings.ReplaceAll(m[1], " ", ""), maybe
		p.step = 0
		p.sent = max(p.now(), p.sent+1)
		if err := c.done(c.send(page, "set-up/totp", "code", p.code(p.sent))); err != nil {
			return fmt.Errorf("setting up the app: %w", err)
		}
		p.app, p.step, p.wrong = yes, p.sent, 0
	} else if err := p.enterCode(c); err != nil {
		return err
	}
	page, err := c.load("/.mfa/set-up/backup-codes")
	if err != nil {
		return err
	}
	p.sheet, p.codes, p.spent, p.trial = page.BackupCodes(), maybe, 0, no
	if len(p.sheet) != mfa.CodesPerSet {
		return fmt.Errorf("%d codes on %q: %s", len(p.sheet), page.Title(), page.Text())
	}
	if err := c.done(c.send(page, "set-up/backup-codes", "saved", "yes")); err != nil {
		return fmt.Errorf("saving the codes: %w", err)
	}
	p.codes = yes
	p.s.counts[didSetUp].Add(1)
	return p.keep(c)
}

// keep remembers the session of that browser.
func (p *person) keep(c *stormClient) error {
	token := c.cookie(c.sessionName())
	if token == "" {
		return errors.New("a verification was acknowledged without a session")
	}
	p.sessions = append(p.sessions, &signedIn{c: c.client, token: token})
	return nil
}

func (p *person) enterPassword(c *stormClient) error {
	page, err := c.load("/.mfa/sign-in")
	if err != nil {
		return err
	}
	for {
		answer, err := c.send(page, "/.mfa/sign-in", "name", p.name, "password", password)
		if err == nil && answer.Status == http.StatusServiceUnavailable {
			continue // too many passwords at once: the page says so and the browser tries again
		}
		if err := c.done(answer, err); err != nil {
			return fmt.Errorf("signing in: %w", err)
		}
		return nil
	}
}

// halfDone returns a browser whose second factor is owed.
func (p *person) halfDone() (*stormClient, error) {
	if p.half != nil {
		answer, err := p.half.try(p.half.request(http.MethodGet, "/.mfa/verify/totp", nil))
		if err != nil {
			return nil, errCut
		}
		if answer.Status == http.StatusOK {
			return p.half, nil
		}
		p.half = nil // it has waited too long
	}
	c := p.browser()
	if err := p.enterPassword(c); err != nil {
		return nil, err
	}
	p.half = c
	return c, nil
}

// enterCode sends a code that was never sent before.
func (p *person) enterCode(c *stormClient) error {
	page, err := c.load("/.mfa/verify/totp")
	if err != nil {
		return err
	}
	// From here on the counter may be forgiven, whether or not we hear of it.
	p.wrong = 0
	p.sent = max(p.now(), p.sent+1)
	if err := c.done(c.send(page, "verify/totp", "code", p.code(p.sent))); err != nil {
		return fmt.Errorf("entering a right code: %w", err)
	}
	p.step = p.sent
	return nil
}

func (p *person) verify() error {
	if err := p.s.passTime(p); err != nil {
		return err
	}
	p.s.clock.RLock()
	defer p.s.clock.RUnlock()
	c, err := p.halfDone()
	if err != nil {
		return err
	}
	if err := p.enterCode(c); err != nil {
		return err
	}
	p.half = nil
	p.s.counts[didVerify].Add(1)
	return p.keep(c)
}

func (p *person) useCode() error {
	p.s.clock.RLock()
	defer p.s.clock.RUnlock()
	c, err := p.halfDone()
	if err != nil {
		return err
	}
	page, err := c.load("/.mfa/verify/backup-code")
	if err != nil {
		return err
	}
	p.trial = maybe
	if err := c.done(c.send(page, "verify/backup-code", "code", p.sheet[p.spent])); err != nil {
		return fmt.Errorf("entering an unused backup code: %w", err)
	}
	p.spent, p.trial, p.half = p.spent+1, no, nil
	p.s.counts[didUseCode].Add(1)
	return p.keep(c)
}

func (p *person) mistype() error {
	p.s.clock.RLock()
	defer p.s.clock.RUnlock()
	c, err := p.halfDone()
	if err != nil {
		return err
	}
	page, err := c.load("/.mfa/verify/totp")
	if err != nil {
		return err
	}
	answer, err := c.send(page, "verify/totp", "code", p.wrongCode())
	if err != nil {
		return err
	}
	if answer.Status != http.StatusUnprocessableEntity {
		return fmt.Errorf("a wrong code was answered by %d %s", answer.Status, answer.Text())
	}
	p.wrong++
	p.s.counts[didMistype].Add(1)
	return nil
}

func (p *person) signOut(session *signedIn) error {
	p.s.clock.RLock()
	defer p.s.clock.RUnlock()
	c := &stormClient{session.c, p.s}
	page, err := c.load("/.mfa/sign-out")
	if err != nil {
		return err
	}
	session.ended = maybe
	if err := c.done(c.send(page, "/.mfa/sign-out")); err != nil {
		return fmt.Errorf("signing out: %w", err)
	}
	session.ended = yes
	p.s.counts[didSignOut].Add(1)
	return nil
}

func (p *person) disable() error {
	p.disabled = maybe
	if err := p.admin("users/disable", nil); err != nil {
		return err
	}
	p.disabled = yes
	for _, session := range p.sessions {
		session.ended = yes
	}
	p.s.counts[didDisable].Add(1)
	return nil
}

func (p *person) enable() error {
	p.enabling = maybe
	if err := p.admin("users/enable", nil); err != nil {
		return err
	}
	p.disabled, p.enabling = no, no
	p.s.counts[didEnable].Add(1)
	return nil
}

// passTime moves the clock on where the person has used the codes of the present
// and the next step already.
func (s *storm) passTime(p *person) error {
	s.clock.Lock()
	defer s.clock.Unlock()
	for p.sent+1 > p.now()+1 {
		if err := s.g.setClock(time.Duration(s.g.ahead.Load()) + 30*time.Second); err != nil {
			return errCut
		}
		s.g.ahead.Add(int64(30 * time.Second))
	}
	return nil
}

// now is the present step.
func (p *person) now() int64 { return p.s.g.now().Unix() / 30 }

func (p *person) code(step int64) string {
	return (&authenticator{Secret: p.secret}).at(p.s.t, step)
}

func (p *person) wrongCode() string {
	for {
		code := fmt.Sprintf("%06d", p.chance.IntN(1_000_000))
		right := false
		for step := p.now() - 25; step <= p.now()+25; step++ {
			right = right || p.code(step) == code
		}
		if !right {
			return code
		}
	}
}

// admin has a command carried out by the running gateway.
func (p *person) admin(op string, out any) error {
	body, err := json.Marshal(map[string]string{"name": p.name})
	if err != nil {
		return err
	}
	res, err := http.Post("http://"+p.s.g.adminAddress()+"/mfa/"+op, "application/json", bytes.NewReader(body))
	if err != nil {
		return errCut
	}
	defer res.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(res.Body); err != nil {
		return errCut
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %s", op, res.Status, answer.String())
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer.Bytes(), out)
}

// stormClient is a browser whose gateway may die at any moment.
type stormClient struct {
	*client
	s *storm
}

func (p *person) browser() *stormClient {
	c := p.s.g.client(p.s.t)
	c.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.1", p.chance.IntN(256), p.chance.IntN(256)))
	return &stormClient{c, p.s}
}

// load gets a page of ours.
func (c *stormClient) load(path string) (*answered, error) {
	answer, err := c.try(c.request(http.MethodGet, path, nil))
	switch {
	case err != nil:
		return nil, errCut
	case answer.Status != http.StatusOK:
		return nil, fmt.Errorf("%s: %d to %q: %s", path, answer.Status, answer.Header.Get("Location"), answer.Text())
	}
	c.s.answers.Add(1)
	return answer, nil
}

// send sends a form of the page.
func (c *stormClient) send(page *answered, action string, pairs ...string) (*answered, error) {
	if !slices.ContainsFunc(page.Forms(), func(f form) bool { return strings.Contains(f.Action, action) }) {
		return nil, fmt.Errorf("there is no form for %s on %q: %s", action, page.Title(), page.Text())
	}
	answer, err := c.try(c.fill(page, action, pairs...))
	if err != nil {
		return nil, errCut
	}
	c.s.answers.Add(1)
	return answer, nil
}

// done reports with nil that the form did what it is for.
func (c *stormClient) done(answer *answered, err error) error {
	switch {
	case err != nil:
		return err
	case answer.Status != http.StatusSeeOther:
		return fmt.Errorf("%d %q: %s", answer.Status, answer.Title(), answer.Text())
	}
	return nil
}

// compare reads a copy of what the kill left behind, so that the gateway's own
// start meets it as it is, and learns what became of unanswered requests.
func (s *storm) compare() {
	t := s.t
	dir, err := os.MkdirTemp("", "storm")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(s.g.storeDir()))); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, filepath.Base(s.g.storeDir()))
	// The copy of a private file is readable by others on some systems.
	if err := os.Chmod(copied+".keys.json", 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := seal.OpenKeys(context.Background(), seal.FileVault(copied + ".keys.json"), nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := badger.Open(badger.Options{Dir: copied, Keys: keys, Now: s.g.now, MinFree: 1})
	if err != nil {
		t.Fatalf("round %d: the store does not open: %v", s.round, err)
	}
	defer store.Close()
	for _, p := range s.people {
		for _, fault := range p.compare(store) {
			t.Errorf("round %d: %s: %s", s.round, p.name, fault)
		}
	}
}

// compare returns what is wrong with the person's records, and settles every
// maybe.
func (p *person) compare(store mfa.Store) (faults []string) {
	ctx := context.Background()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	u, err := store.UserByKey(ctx, mfa.SubjectKey("local", p.name))
	switch {
	case errors.Is(err, mfa.ErrNotFound):
		if p.invited == yes {
			fault("the account is gone")
		}
		p.invited = no
		return faults
	case err != nil:
		fault("the record cannot be read: %v", err)
		return faults
	}
	settle := func(what string, k *known, is bool) {
		switch {
		case *k == yes && !is:
			fault("%s: acknowledged, and lost", what)
		case *k == no && is:
			fault("%s: nobody asked for it", what)
		}
		*k = no
		if is {
			*k = yes
		}
	}
	p.invited = yes
	settle("password", &p.password, len(u.Password) > 0)

	had := p.app
	var app *mfa.Credential
	for i := range u.Credentials {
		if u.Credentials[i].Kind == mfa.TOTP {
			app = &u.Credentials[i]
		}
	}
	settle("authenticator app", &p.app, app != nil)
	switch {
	case app == nil:
	case !u.EverEnrolled:
		fault("enrolled, and counted as somebody who never was")
	case app.Step < p.step:
		fault("step %d was accepted, and the record has %d: its code would work again", p.step, app.Step)
	case app.Step > p.sent:
		fault("the record has step %d, and the newest that was sent is %d", app.Step, p.sent)
	default:
		p.step = app.Step
	}
	if had == yes && app == nil {
		fault("an account that had a factor has none")
	}

	set := u.Credential(mfa.BackupCodesID)
	settle("backup codes", &p.codes, set != nil)
	if set != nil {
		used := mfa.CodesPerSet - set.Left
		switch {
		case used < p.spent:
			fault("%d codes were used, and the record has %d: one would work again", p.spent, used)
		case used > p.spent && (p.trial == no || used > p.spent+1):
			fault("%d codes were used, and the record has %d", p.spent, used)
		}
		p.spent, p.trial = used, no
	}

	failures, err := store.Attempts(ctx, "user:"+string(u.ID)+":totp")
	if err != nil {
		fault("the counter cannot be read: %v", err)
	}
	if failures.Count < p.wrong {
		fault("%d wrong codes were refused, and the counter has %d", p.wrong, failures.Count)
	}
	p.wrong = failures.Count

	switch {
	case p.disabled == yes && p.enabling == no && !u.Disabled:
		fault("disabled by an administrator, and able to sign in again")
	case p.disabled == no && u.Disabled:
		fault("disabled by nobody")
	}
	unsettled := p.disabled == maybe // its sessions may have ended or not
	p.disabled, p.enabling = no, no
	if u.Disabled {
		p.disabled = yes
	}
	for _, session := range p.sessions {
		stands := sessionStands(ctx, store, u, session.token)
		switch {
		case session.ended == yes && stands:
			fault("a session that ended has come back")
		case session.ended == no && !stands && !unsettled:
			fault("a session is lost")
		}
		session.ended = no
		if !stands {
			session.ended = yes
		}
	}
	return faults
}

// sessionStands reports whether the session of a token can still be used.
func sessionStands(ctx context.Context, store mfa.Store, u *mfa.User, token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Sid string }
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return false
	}
	session, err := store.Session(ctx, mfa.SessionID(claims.Sid))
	return err == nil && session.Generation == u.Generation && !u.Disabled
}

// tryAgain tries from outside what must not work twice, and what must still work,
// for as many people as a round has time for.
func (s *storm) tryAgain() {
	list := slices.Clone(s.people)
	// The newest people were in the middle of something, most likely.
	slices.Reverse(list)
	list = list[:min(len(list), stormWorkers)]
	var group sync.WaitGroup
	for i, p := range list {
		group.Go(func() {
			if err := p.tryAgain(i < 3); err != nil {
				s.t.Errorf("round %d: after the start: %s: %v", s.round, p.name, err)
			}
		})
	}
	group.Wait()
}

// tryAgain tries the person's sessions, and with codes also the newest codes that
// were used.
func (p *person) tryAgain(codes bool) error {
	p.s.clock.RLock()
	defer p.s.clock.RUnlock()
	for _, session := range p.sessions {
		c := session.c.another()
		c.Header = session.c.Header
		c.setCookie(c.sessionName(), session.token)
		answer, err := c.try(c.request(http.MethodGet, "/", nil))
		if err != nil {
			return err
		}
		if answer.FromApp() != (session.ended == no) {
			return fmt.Errorf("the app was open: %v, and the session had ended: %v", answer.FromApp(), session.ended != no)
		}
	}
	// Sessions that ended have been seen to be ended.
	p.sessions = p.live()
	if !codes || p.app != yes || p.disabled != no || p.wrong >= 3 {
		return nil
	}
	c, err := p.halfDone()
	if err != nil {
		return err
	}
	page, err := c.load("/.mfa/verify/totp")
	if err != nil {
		return fmt.Errorf("the second factor was not asked for: %w", err)
	}
	answer, err := c.send(page, "verify/totp", "code", p.code(p.step))
	if err != nil {
		return err
	}
	if answer.Status != http.StatusUnprocessableEntity {
		return fmt.Errorf("a code worked twice: %d %s", answer.Status, answer.Text())
	}
	p.wrong++
	if p.codes != yes || p.spent == 0 {
		return nil
	}
	if page, err = c.load("/.mfa/verify/backup-code"); err != nil {
		return err
	}
	if answer, err = c.send(page, "verify/backup-code", "code", p.sheet[p.spent-1]); err != nil {
		return err
	}
	if answer.Status != http.StatusUnprocessableEntity && answer.Status != http.StatusTooManyRequests {
		return fmt.Errorf("a backup code worked twice: %d %s", answer.Status, answer.Text())
	}
	return nil
}
