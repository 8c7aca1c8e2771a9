package forwardauth

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/secondgate/secondgate/guard"
)

// Trouble is a way in which questions get no answer, for an administrator who looks for it.
// Of the last such question it has the names and lengths of the headers.
type Trouble struct {
	At      time.Time // the last time
	Count   int
	Dialect Dialect
	Kind    TroubleKind
	Fault   *Fault // of a question that cannot be read
	Host    string // that is not protected
	Peer    string // who asks: an address; "" is a Unix socket
	Headers []guard.Shape
}

// TroubleKind says why there is no answer.
type TroubleKind string

// The kinds of trouble.
const (
	TroubleQuestion    TroubleKind = "question"    // it cannot be read
	TroublePeer        TroubleKind = "peer"        // whoever asks may not
	TroubleUnprotected TroubleKind = "unprotected" // the host is none that is protected
)

// The most that is kept: of each dialect, and of what strangers can add to.
const maxTroubles = 4

// troubles are the last ways of each dialect in which questions got no answer.
type troubles struct {
	mu   sync.Mutex
	list []Trouble // the oldest first
}

// same reports whether two are one trouble that came again. Of strangers one is kept for
// each dialect, whoever they are: they must not push out what a proxy of ours does.
func (t *Trouble) same(other *Trouble) bool {
	if t.Kind != other.Kind || t.Dialect != other.Dialect {
		return false
	}
	switch t.Kind {
	case TroubleQuestion:
		return t.Fault.Header == other.Fault.Header && t.Fault.What == other.Fault.What
	case TroubleUnprotected:
		return t.Host == other.Host
	}
	return true
}

func (t *troubles) add(one Trouble) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one.Count = 1
	t.list = slices.DeleteFunc(t.list, func(have Trouble) bool {
		if have.same(&one) {
			one.Count += have.Count
			return true
		}
		return false
	})
	t.list = append(t.list, one)
	of, oldest := 0, -1
	for i := range t.list {
		if have := &t.list[i]; have.Dialect == one.Dialect && have.Kind != TroublePeer {
			of++
			if oldest < 0 {
				oldest = i
			}
		}
	}
	if of > maxTroubles {
		t.list = slices.Delete(t.list, oldest, oldest+1)
	}
}

// Troubles returns the last ways in which questions got no answer, the newest first.
func (a *Auth) Troubles() []Trouble {
	a.troubles.mu.Lock()
	defer a.troubles.mu.Unlock()
	list := slices.Clone(a.troubles.list)
	slices.Reverse(list)
	return list
}

// trouble keeps one. Of a stranger's question nothing is kept but from where it came.
func (a *Auth) trouble(q *http.Request, one Trouble) {
	one.At = a.Now().UTC()
	one.Peer = hostOf(q.RemoteAddr)
	if strings.ContainsAny(one.Peer, "/@") {
		one.Peer = ""
	}
	if one.Kind != TroublePeer {
		one.Headers = guard.Shapes(q.Header)
	}
	a.troubles.add(one)
}
