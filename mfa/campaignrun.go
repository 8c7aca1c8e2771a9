package mfa

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

const (
	// defaultCampaignLetters is how many letters of campaigns are sent in a minute: few
	// enough that no provider keeps a code waiting for them.
	defaultCampaignLetters = 120
	// campaignPage is how many people are looked up at once, and passPages how many pages
	// of one campaign a pass goes through: the others' deadlines come in between.
	campaignPage = 50
	passPages    = 20
	// campaignRest is how long nobody gets a second letter of one campaign, however often
	// it is ended and started again.
	campaignRest = 20 * time.Hour
	// After so many letters in a row that could not be sent, there is a pause, which grows
	// with each more: what is sent into an outage is lost.
	outageAfter  = 3
	longestPause = 32 * time.Minute
)

// outage is what is known of letters of campaigns that could not be sent.
type outage struct {
	mu    sync.Mutex
	lost  int // in a row
	until time.Time
}

// sent notes how a letter ended, and reports whether to go on.
func (o *outage) sent(ok bool, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ok {
		o.lost = 0
		return true
	}
	o.lost++
	if o.lost < outageAfter {
		return true
	}
	o.until = now.Add(min(longestPause, time.Minute<<min(o.lost-outageAfter, 10)))
	return false
}

// pausing reports whether letters wait. A clock that was set back makes no longer pause.
func (o *outage) pausing(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return now.Before(o.until) && o.until.Sub(now) <= longestPause
}

// RunCampaigns makes one pass over the campaigns: it sends reminders that are due, one
// letter after the other, and deals with deadlines. A program calls it every minute or so;
// it returns when there is nothing more to do, after so many letters of each campaign, or
// when ctx ends. It is safe for concurrent use, also by two Gates on one store: of all
// nodes one at a time works, so that CampaignLetters bounds what all of them send together,
// and the others' calls return nil.
//
// Each person gets each reminder once: a counter of their own is taken, in one write, just
// before the letter goes out. Whoever stops at that moment loses one letter; nobody gets
// two. The cursor moves behind a page when all of it was dealt with.
func (g *Gate) RunCampaigns(ctx context.Context) error {
	list, err := g.cfg.Store.ListCampaigns(ctx)
	if err != nil {
		return fmt.Errorf("reading the campaigns: %w", err)
	}
	if len(list) == 0 {
		return nil // most have none, and nobody waits for a lock for that
	}
	err = g.cfg.Store.Exclusively(ctx, "campaigns", g.runCampaigns)
	if errors.Is(err, ErrInTurn) {
		return nil // another node is at it
	}
	return err
}

func (g *Gate) runCampaigns(ctx context.Context) error {
	// Read again: whoever had the turn before may have ended one.
	list, err := g.cfg.Store.ListCampaigns(ctx)
	if err != nil {
		return fmt.Errorf("reading the campaigns: %w", err)
	}
	var errs []error
	for _, c := range list {
		if err := g.runCampaign(ctx, c); err != nil {
			errs = append(errs, fmt.Errorf("campaign%s: %w", ofWhom(c.Organization), err))
		}
	}
	return errors.Join(errs...)
}

// errOver says that a campaign was ended or changed while it was worked on.
var errOver = errors.New("the campaign is another one by now")

func (g *Gate) runCampaign(ctx context.Context, c *Campaign) error {
	for range passPages {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := g.now()
		switch {
		case c.Started.IsZero(), !c.Done.IsZero():
			return nil
		case !now.Before(c.Deadline):
			return g.finishCampaign(ctx, c)
		}
		more, err := g.remindSome(ctx, c, now)
		if err != nil || !more {
			return err
		}
		if c, err = g.cfg.Store.Campaign(ctx, c.Organization); err != nil {
			return unlessGone(err)
		}
	}
	return nil
}

// unlessGone forgives that a campaign was ended or changed: the next pass sees it as it is.
func unlessGone(err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, errOver) {
		return nil
	}
	return err
}

// nextStep returns the reminder that is due: of several, which can be after a standstill,
// the last one.
func (c *Campaign) nextStep(now time.Time) (step int, due bool) {
	step = c.Step
	for i := c.Step; i < len(c.Remind) && !now.Before(c.due(i)); i++ {
		step, due = i, true
	}
	return step, due
}

// lasts returns how long a reminder may take: until the next one is due, or the deadline.
func (c *Campaign) lasts(step int) time.Duration {
	if step+1 < len(c.Remind) {
		return c.Remind[step] - c.Remind[step+1]
	}
	return c.Remind[step]
}

// remindSome sends the letters of one page of the reminder that is due, and reports
// whether another page may follow.
func (g *Gate) remindSome(ctx context.Context, c *Campaign, now time.Time) (more bool, err error) {
	step, due := c.nextStep(now)
	p := g.cfg.Policy()
	if !due || p == nil || !g.cfg.Post.Channels().Has(Email) || g.letters.pausing(now) {
		return false, nil
	}
	q, ok := g.without(p, c)
	if !ok {
		return false, nil
	}
	from := ""
	if step == c.Step {
		from = c.Cursor
	}
	page, next, err := g.cfg.Store.ListUsers(ctx, q, from, campaignPage)
	if errors.Is(err, ErrCursor) {
		// The policy or the organization has changed: from the beginning. Whoever was
		// reminded has a counter that says so.
		page, next, err = g.cfg.Store.ListUsers(ctx, q, "", campaignPage)
	}
	if err != nil {
		return false, fmt.Errorf("listing who is to be reminded: %w", err)
	}
	sent := 0
	for _, u := range page {
		var ok bool
		if ok, err = g.remindOne(ctx, c, step, u.ID); ok {
			sent++ // also where the gateway stops right behind it
		}
		if err != nil {
			break
		}
	}
	total := 0
	// What was done is written down also where ctx ended meanwhile.
	moveErr := g.cfg.Store.UpdateCampaign(context.WithoutCancel(ctx), c.Organization, func(now *Campaign) error {
		if !now.Started.Equal(c.Started) {
			return errOver
		}
		now.Sent += sent
		total = now.Sent
		if err == nil && now.Step == c.Step && now.Cursor == c.Cursor && now.Done.IsZero() {
			now.Step, now.Cursor = step, next
			if next == "" {
				now.Step++
			}
		}
		return nil
	})
	if err != nil || moveErr != nil {
		return false, errors.Join(unlessGone(err), unlessGone(moveErr))
	}
	if next == "" {
		g.record(ctx, nil, nil, nil, Event{Name: EventCampaign, OK: true, Detail: "reminder " + strconv.Itoa(step+1) + ofWhom(c.Organization) + " went out; letters in all: " + strconv.Itoa(total)})
	}
	return true, nil
}

// without returns the query of those who have not reached the goal; not ok: there is no
// goal, or there is nobody to reach it.
func (g *Gate) without(p *Policy, c *Campaign) (q UserQuery, ok bool) {
	goal := c.goal(p)
	if goal == 0 {
		return q, false
	}
	var sets []Facet
	for k := range allKinds + 1 {
		if k&goal == 0 {
			sets = append(sets, FacetHolds(k))
		}
	}
	if c.Organization != "" {
		members, err := g.membersOf(c.Organization)
		if err != nil {
			return q, false
		}
		sets = bothOf(members, sets)
	}
	return UserQuery{Where: [][]Facet{sets}, Not: []Facet{FacetDisabled}}, true
}

// remindOne sends one person one letter, if that is still to be done: the list is some
// letters old. It reports whether one was sent; an error means that the rest of
// the page waits.
func (g *Gate) remindOne(ctx context.Context, c *Campaign, step int, id UserID) (sent bool, err error) {
	l, err := g.reminder(ctx, c, step, id)
	if err != nil || l == nil {
		return false, err
	}
	if err := g.claimReminder(ctx, c, step, id); err != nil {
		var throttled *ThrottledError
		if errors.As(err, &throttled) {
			return false, nil
		}
		return false, fmt.Errorf("counting a letter: %w", err)
	}
	err = g.sendPatiently(ctx, l)
	if ctx.Err() != nil {
		return err == nil, ctx.Err()
	}
	if !g.letters.sent(err == nil, g.now()) {
		return false, fmt.Errorf("letters wait for a while: %w", err)
	}
	return err == nil, wait(ctx, time.Minute/time.Duration(g.cfg.CampaignLetters))
}

// reminder returns the letter for a person, as campaign, policy and person stand now; nil:
// none.
func (g *Gate) reminder(ctx context.Context, c *Campaign, step int, id UserID) (*Letter, error) {
	now := g.now()
	current, err := g.cfg.Store.Campaign(ctx, c.Organization)
	if err != nil {
		return nil, err
	}
	if at, due := current.nextStep(now); !current.running(now) || !current.Started.Equal(c.Started) || !due || at != step || !current.due(step).Equal(c.due(step)) {
		return nil, errOver
	}
	u, err := g.cfg.Store.User(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading user: %w", err)
	}
	p := g.cfg.Policy()
	if p == nil {
		return nil, errors.New("no policy")
	}
	goal, asker := current.goal(p), ""
	if of := current.Organization; of != "" {
		o := p.Organizations.member(of, u.AsSubject())
		if o == nil {
			return nil, nil
		}
		asker = o.Title()
	}
	to := reminderAddress(u)
	if u.Disabled || goal == 0 || to == "" || reached(u.Enrolled(), goal) {
		return nil, nil
	}
	l := g.letter(nil, u, LetterCampaign, Email, to)
	l.Language, l.Origin, l.Link = u.Language, originOf(g.cfg.AccountPage), Secret(g.cfg.AccountPage)
	l.Campaign = &CampaignPrompt{
		Organization: asker, Factors: goal, Deadline: current.Deadline, DaysLeft: daysUntil(current.Deadline, now), Required: current.Require,
	}
	return l, nil
}

// reminderAddress is where a person is reminded: at an address that they have proven, or
// nowhere (rule B38).
func reminderAddress(u *User) string {
	if u.Email != "" && u.EmailVerified {
		return u.Email
	}
	for _, c := range u.Credentials {
		if c.Kind == Email && c.Address != "" {
			return c.Address
		}
	}
	return ""
}

// originOf returns what an address of a page begins with: scheme and host.
func originOf(page string) string {
	slashes := 0
	for i := range len(page) {
		if page[i] != '/' {
			continue
		}
		if slashes++; slashes == 3 {
			return page[:i]
		}
	}
	return page
}

// claimReminder takes the counters of one letter. *ThrottledError: the person has had it,
// or another one just before.
func (g *Gate) claimReminder(ctx context.Context, c *Campaign, step int, id UserID) error {
	key := "campaign:" + string(c.Organization) + ":" + string(id)
	return g.count(ctx,
		counter{key: key, window: campaignRest, budget: 1},
		counter{key: key + ":" + strconv.FormatInt(c.due(step).Unix(), 36), window: c.lasts(step), budget: 1})
}

// sendPatiently sends a letter by the way that reports how it ended. Where too many
// letters are under way, codes go first.
func (g *Gate) sendPatiently(ctx context.Context, l *Letter) error {
	const tries = 30
	for range tries {
		err := g.cfg.Post.Send(ctx, l)
		if !errors.Is(err, ErrBusy) {
			return err
		}
		if err := wait(ctx, time.Minute/time.Duration(g.cfg.CampaignLetters)); err != nil {
			return err
		}
	}
	return ErrBusy
}

// wait waits, or answers why it did not.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
