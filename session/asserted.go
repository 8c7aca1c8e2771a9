package session

import (
	"sync/atomic"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// maxAsserted is for how many origins one session's assertions are kept. A session of a
// domain goes to many hosts; whoever makes up more of them pays for the signatures.
const maxAsserted = 8

// stamp tells one Assertions from another, and keeps none of it: entries outlive a reload.
type stamp struct{ _ byte }

// asserted is an assertion that was made, and what it depends on besides the entry that
// keeps it: who made it (with which keys, issuer and sources), the organizations, the app. It
// never changes.
type asserted struct {
	by          *stamp
	orgs        *mfa.Directory
	to          Audience
	token       string
	from, until int64 // when it is sent, in Unix nanoseconds
}

// sent keeps the newest assertions of one entry of the cache, one for each origin. It goes
// with the entry: what changes a user or a session makes it void (AC-025). Reading takes no
// lock; the list is replaced whole.
type sent struct{ list atomic.Pointer[[]*asserted] }

// find returns the one to send, or "".
func (s *sent) find(by *stamp, orgs *mfa.Directory, to Audience, now time.Time) string {
	list := s.list.Load()
	if list == nil {
		return ""
	}
	n := now.UnixNano()
	for _, a := range *list {
		// A clock that was set back makes a new one, rather than sending one that is
		// not good yet.
		if a.to == to && a.by == by && a.orgs == orgs && a.from <= n && n < a.until {
			return a.token
		}
	}
	return ""
}

// keep puts it in place of the one before. Of two who keep at once, one may lose: the other
// one's is as good.
func (s *sent) keep(made *asserted, now time.Time) {
	old := s.list.Load()
	list := []*asserted{made}
	if old != nil {
		n := now.UnixNano()
		for _, a := range *old {
			if len(list) < maxAsserted && a.to != made.to && a.by == made.by && n < a.until {
				list = append(list, a)
			}
		}
	}
	s.list.CompareAndSwap(old, &list)
}
