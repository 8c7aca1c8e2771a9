package pages

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

const (
	// The third bounce of one session for one target within this time is a loop.
	loopBounces = 3
	loopWindow  = 10 * time.Second
	// loopKeys bounds what is remembered; beyond it nothing is, which costs a browser
	// some more redirects until it stops by itself.
	loopKeys = 4096
)

// loops counts how often one of our pages has sent the same session on to the same
// address unasked. A circle has to come through here: somebody who is not let in is
// sent to us, and only a page of ours that finds nothing owed sends them back.
type loops struct {
	within time.Duration // 0: loopWindow
	mu     sync.Mutex
	seen   map[bounce]*bounced
}

// bounce is a session and the very address that it came to: a circle passes the same
// one again and again.
type bounce struct {
	session mfa.SessionID
	address [sha256.Size]byte
}

type bounced struct {
	since time.Time
	count int
}

// closes reports whether this bounce closes a circle.
func (l *loops) closes(b bounce, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = make(map[bounce]*bounced)
	}
	within := l.within
	if within == 0 {
		within = loopWindow
	}
	at := l.seen[b]
	if at == nil || now.Sub(at.since) >= within || now.Before(at.since) {
		if at == nil && len(l.seen) >= loopKeys {
			for old, o := range l.seen {
				if now.Sub(o.since) >= within {
					delete(l.seen, old)
				}
			}
			if len(l.seen) >= loopKeys {
				return false
			}
		}
		l.seen[b] = &bounced{since: now, count: 1}
		return false
	}
	at.count++
	return at.count >= loopBounces
}

// circles reports whether going there would go on with a circle, and has then told
// the person what is the matter instead.
func (v *visit) circles(s *mfa.Session, to string) bool { return v.circlesAt(s, v.req.Target, to) }

// circlesAt is circles where the request's own address differs each time round.
func (v *visit) circlesAt(s *mfa.Session, address, to string) bool {
	if s == nil || v.r.Method != http.MethodGet || !v.p.loops.closes(bounce{s.ID, sha256.Sum256([]byte(address))}, v.p.now()) {
		return false
	}
	m := messagePage{
		Heading: v.T("loop.title"), Context: true, ID: v.noted(mfa.ReasonLoop),
		Text: []string{
			v.T("loop.text", "place", v.place()), v.T("loop.how", "support", v.helper()),
			v.T("loop.admin", "command", doctorCommand(v.circling())),
		},
		Actions: []action{
			{Href: to, Label: v.T("go.on", "place", v.place())},
			{Href: v.Href("sign-out"), Label: v.T("go.signout")},
		},
	}
	if at := v.p.doctorAt(); at != "" {
		m.Actions = append(m.Actions, action{Href: at, Label: v.T("loop.doctor")})
	}
	v.message(http.StatusLoopDetected, m)
	return true
}

// circling is the origin that goes on sending the person here.
func (v *visit) circling() string {
	if v.origin != "" {
		return v.origin
	}
	return v.at.Origin
}

// doctorAt is the address of the doctor's page, which stands where a console does; "" where
// there is none.
func (p *Pages) doctorAt() string {
	if p.doctor == nil || p.consoleAt == nil {
		return ""
	}
	if at := p.consoleAt(); at != "" {
		return at + Root + pageDoctor
	}
	return ""
}
