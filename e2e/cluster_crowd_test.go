package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd asks for pages of the app with the sessions that there are, and without, at a
// steady rate, of every node in turn, and judge each answer by what had been said to anybody
// before they asked (security.md §4.3, I1 and I3).
type crowd struct {
	t     *testing.T
	c     *cluster
	every time.Duration
	late  lateness

	mu     sync.Mutex
	seats  []*seat
	faults []string
	more   int

	asked, allowed, refused, unavailable, unanswered atomic.Int64
	// calm counts what went wrong while nothing was broken.
	broken     atomic.Bool
	calm, lost atomic.Int64
	stop       chan struct{}
	group      sync.WaitGroup
}

// seat is one session, as readers know it. A nil one is nobody's business.
type seat struct {
	name, cookie, token string

	mu           sync.Mutex
	begin, ended time.Time // its end was asked for, and acknowledged
}

func (s *seat) asked() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begin.IsZero() {
		s.begin = time.Now()
	}
}

func (s *seat) over() {
	if s == nil {
		return
	}
	s.asked()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended.IsZero() {
		s.ended = time.Now()
	}
}

// stands takes back that the end was asked for: it was not carried out.
func (s *seat) stands() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended.IsZero() {
		s.begin = time.Time{}
	}
}

// times returns when the end was asked for and acknowledged; zero: not so far.
func (s *seat) times() (begin, ended time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begin, s.ended
}

// seat adds a session that was acknowledged.
func (r *crowd) seat(name, cookie, token string) *seat {
	if r == nil {
		return nil
	}
	s := &seat{name: name, cookie: cookie, token: token}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seats = append(r.seats, s)
	return s
}

// read begins to ask, so many times a second.
func (c *cluster) read(perSecond int) *crowd {
	r := &crowd{t: c.t, c: c, every: time.Second / time.Duration(perSecond), stop: make(chan struct{})}
	r.group.Go(func() { r.late.watch(r.stop) })
	r.group.Go(r.run)
	return r
}

func (r *crowd) run() {
	var clients []*http.Client
	for _, n := range r.c.nodes {
		clients = append(clients, n.plain())
	}
	defer func() {
		for _, c := range clients {
			c.CloseIdleConnections()
		}
	}()
	room := make(chan struct{}, 400) // requests under way at once
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-r.stop:
			return
		case <-tick.C:
		}
		if i%200 == 0 {
			r.c.front.App.Forget()
		}
		at := i % len(r.c.nodes)
		if r.c.nodes[at].down.Load() && i%40 > 1 {
			continue // a load balancer has noticed
		}
		select {
		case room <- struct{}{}:
			r.group.Go(func() {
				defer func() { <-room }()
				r.ask(r.c.nodes[at], clients[at], r.choose(i))
			})
		default:
			r.unanswered.Add(1)
		}
	}
}

// plain is a client of this node alone, without cookies and without redirects.
func (n *node) plain() *http.Client {
	return &http.Client{
		Timeout:       5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 64,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, n.at(n.Port))
			},
		},
	}
}

// choose returns the session for a request; nil for one without.
func (r *crowd) choose(i int) *seat {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i%10 == 0 || len(r.seats) == 0 {
		return nil
	}
	// Half of them are among the newest, which are those that change.
	if from := len(r.seats) - 10; i%2 == 0 && from > 0 {
		return r.seats[from+rand.IntN(10)]
	}
	return r.seats[rand.IntN(len(r.seats))]
}

func (r *crowd) ask(n *node, c *http.Client, s *seat) {
	req, err := http.NewRequest(http.MethodGet, n.base()+"/read", nil)
	if err != nil {
		r.fault("%v", err)
		return
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("X-Forwarded-For", "10.1.1.1")
	name := ""
	if s != nil {
		req.AddCookie(&http.Cookie{Name: s.cookie, Value: s.token})
		name = s.name
	}
	calm, begun := !r.broken.Load(), time.Now()
	r.asked.Add(1)
	if calm {
		r.calm.Add(1)
	}
	res, err := c.Do(req)
	if err != nil {
		r.unanswered.Add(1)
		if calm && !r.broken.Load() {
			r.lost.Add(1)
		}
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		r.unanswered.Add(1)
	case res.Header.Get("X-App") != "":
		r.allowed.Add(1)
		r.judgeAllowed(n, s, name, begun, string(body))
	case res.StatusCode == http.StatusServiceUnavailable:
		r.unavailable.Add(1)
		if calm && !r.broken.Load() {
			r.lost.Add(1)
		}
		if res.Header.Get("Retry-After") == "" {
			r.fault("503 without Retry-After")
		}
	case res.StatusCode == http.StatusSeeOther || res.StatusCode == http.StatusFound || res.StatusCode == http.StatusUnauthorized:
		r.refused.Add(1)
		if s == nil {
			return
		}
		if begin, _ := s.times(); begin.IsZero() {
			// Its end may be asked for by somebody else in this moment.
			r.fault("%s refused a session of %s that nobody has ended: %d to %s", n.bind, name, res.StatusCode, res.Header.Get("Location"))
		}
	default:
		r.fault("%s answers %d: %.200s", n.bind, res.StatusCode, body)
	}
}

// judgeAllowed looks at what the app has answered, which it may only to people.
func (r *crowd) judgeAllowed(n *node, s *seat, name string, begun time.Time, body string) {
	if s == nil {
		r.fault("%s let somebody without a session through", n.bind)
		return
	}
	if !strings.Contains(body, `<b id="user">`+name+`</b>`) {
		r.fault("%s takes %s for somebody else: %s", n.bind, name, body)
	}
	_, ended := s.times()
	if ended.IsZero() {
		return
	}
	latest := n.knows(ended).Add(r.late.worst())
	if begun.After(latest) {
		r.fault("%s let %s through %s after the end of the session was acknowledged, %s later than it may",
			n.bind, name, begun.Sub(ended).Round(time.Millisecond), begun.Sub(latest).Round(time.Millisecond))
	}
}

func (r *crowd) fault(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.faults) >= 10 {
		r.more++
		return
	}
	r.faults = append(r.faults, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// end ends the reading and reports.
func (r *crowd) end() {
	r.t.Helper()
	close(r.stop)
	r.group.Wait()
	r.c.front.App.Forget()
	for _, fault := range r.faults {
		r.t.Error(fault)
	}
	if r.more > 0 {
		r.t.Errorf("… and %d more", r.more)
	}
	calm, lost := r.calm.Load(), r.lost.Load()
	if r.allowed.Load() == 0 || calm == 0 || lost*20 > calm {
		r.t.Errorf("while nothing was broken, %d of %d requests were not answered", lost, calm)
	}
	r.t.Logf("%d requests: %d reached the app, %d were refused, %d were told to come again, %d had no answer; of %d while nothing was broken %d were not answered; this machine stood still for %s at most",
		r.asked.Load(), r.allowed.Load(), r.refused.Load(), r.unavailable.Load(), r.unanswered.Load(), calm, lost, r.late.worst().Round(time.Millisecond))
}

// lateness is how long this machine has kept everybody waiting: on a busy one a bound of
// seconds is measured with that much doubt.
type lateness struct{ most atomic.Int64 }

func (l *lateness) watch(stop <-chan struct{}) {
	const step = 10 * time.Millisecond
	for {
		begun := time.Now()
		select {
		case <-stop:
			return
		case <-time.After(step):
		}
		if late := int64(time.Since(begun) - step); late > l.most.Load() {
			l.most.Store(late)
		}
	}
}

func (l *lateness) worst() time.Duration { return time.Duration(l.most.Load()) }
