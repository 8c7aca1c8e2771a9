package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

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
	seat  *seat // where readers find it; nil: nobody reads
}

// asked and over are before and after the answer that says that the session has ended.
func (s *signedIn) asked() { s.ended = maybe; s.seat.asked() }
func (s *signedIn) over()  { s.ended = yes; s.seat.over() }

// errCut says that the answer did not come: the gateway is dead, or says that it could not
// tell, which of several gateways over one database means as little.
var errCut = errors.New("no answer")

// errLater says that the next code is not there yet.
var errLater = errors.New("the next code is not there yet")

// work does one thing after the other until it is over, or there was no answer.
func (p *person) work(over *atomic.Bool) error {
	for !over.Load() {
		err := p.act()
		if errors.Is(err, errLater) {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

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
	p.sessions = append(p.sessions, &signedIn{c: c.client, token: token, seat: p.s.readers.seat(p.name, c.sessionName(), token)})
	return nil
}

func (p *person) enterPassword(c *stormClient) error {
	page, err := c.load("/.mfa/sign-in")
	if err != nil {
		return err
	}
	patient := 30 * time.Second
	if p.s.shaky {
		patient = 3 * time.Second
	}
	for end := time.Now().Add(patient); ; {
		answer, err := c.send(page, "/.mfa/sign-in", "name", p.name, "password", password)
		if answer != nil && answer.Status == http.StatusServiceUnavailable && time.Now().Before(end) {
			time.Sleep(50 * time.Millisecond)
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
	session.asked()
	if err := c.done(c.send(page, "/.mfa/sign-out")); err != nil {
		return fmt.Errorf("signing out: %w", err)
	}
	session.over()
	p.s.counts[didSignOut].Add(1)
	return nil
}

func (p *person) disable() error {
	p.disabled = maybe
	for _, session := range p.live() {
		session.seat.asked()
	}
	if err := p.admin("users/disable", nil); err != nil {
		return err
	}
	p.disabled = yes
	for _, session := range p.sessions {
		session.over()
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
		if s.shaky {
			return errLater // the clocks of several, some of them asleep, are left alone
		}
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

// adminClient waits no longer than a person would.
var adminClient = &http.Client{Timeout: 20 * time.Second}

// admin has a command carried out by the running gateway.
func (p *person) admin(op string, out any) error {
	body, err := json.Marshal(map[string]string{"name": p.name})
	if err != nil {
		return err
	}
	res, err := adminClient.Post("http://"+p.s.g.adminAddress()+"/mfa/"+op, "application/json", bytes.NewReader(body))
	if err != nil {
		return errCut
	}
	defer res.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(res.Body); err != nil {
		return errCut
	}
	switch {
	case res.StatusCode == http.StatusOK:
	case p.s.shaky && res.StatusCode >= http.StatusInternalServerError:
		return errCut
	default:
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
	for end := time.Now().Add(5 * time.Second); c.s.shaky && (err != nil || answer.Status == http.StatusServiceUnavailable) && time.Now().Before(end); {
		// The page is only looked at: another gateway is asked for it.
		time.Sleep(50 * time.Millisecond)
		answer, err = c.try(c.request(http.MethodGet, path, nil))
	}
	switch {
	case err != nil, c.s.shaky && answer.Status == http.StatusServiceUnavailable:
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
	if c.s.shaky && answer.Status == http.StatusServiceUnavailable {
		return answer, errCut
	}
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
		why := sessionStands(ctx, store, u, session.token)
		stands := why == nil
		switch {
		case session.ended == yes && stands:
			fault("a session that ended has come back")
		case session.ended == no && !stands && !unsettled:
			fault("a session is lost: %v", why)
		}
		session.ended = no
		session.seat.stands()
		if !stands {
			session.over()
		}
	}
	return faults
}

// sessionStands reports with nil that the session of a token can still be used.
func sessionStands(ctx context.Context, store mfa.Store, u *mfa.User, token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("it is no token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Sid string }
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return errors.New("it is no token")
	}
	session, err := store.Session(ctx, mfa.SessionID(claims.Sid))
	switch {
	case err != nil:
		return fmt.Errorf("session %s: %w", claims.Sid, err)
	case session.Generation != u.Generation:
		return errors.New("all of the person's sessions were ended")
	case u.Disabled:
		return errors.New("the person is disabled")
	}
	return nil
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
