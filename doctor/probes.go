package doctor

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secondgate/secondgate/guard"
)

// ProbeLife is how long a probe is good.
const ProbeLife = time.Minute

// ProbePath is where probes stand; a secret follows.
const ProbePath = "/.mfa/doctor/"

// maxProbes is how many there are at a time.
const maxProbes = 64

// ErrProbes says that there are too many probes now.
var ErrProbes = errors.New("too many probes are open; wait a minute")

// Probes are addresses that are good once, for a minute. It is safe for concurrent use. The
// zero value has none.
type Probes struct {
	// Now is the clock; nil: time.Now. Set it before the first use.
	Now func() time.Time

	open atomic.Int32 // how many there are, so that a request without any is not looked at
	mu   sync.Mutex
	list map[[sha256.Size]byte]*probe
}

type probe struct {
	until time.Time
	facts *guard.Facts // nil: not seen yet
}

func (p *Probes) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}

// Open makes a probe and returns its secret, or ErrProbes.
func (p *Probes) Open() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	if len(p.list) >= maxProbes {
		return "", ErrProbes
	}
	if p.list == nil {
		p.list = make(map[[sha256.Size]byte]*probe)
	}
	secret := rand.Text()
	p.list[sha256.Sum256([]byte(secret))] = &probe{until: p.now().Add(ProbeLife)}
	p.open.Store(int32(len(p.list)))
	return secret, nil
}

// Maybe returns what would be the secret of a probe at the end of a path, and reports whether
// it may be one: it costs nothing while there is no probe. Whatever a proxy makes of the path
// in front of it, it is the last part.
func (p *Probes) Maybe(path string) (string, bool) {
	if p.open.Load() == 0 {
		return "", false
	}
	last := path[strings.LastIndexByte(path, '/')+1:]
	if len(last) != secretLength {
		return "", false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.list[sha256.Sum256([]byte(last))]
	return last, found != nil && found.facts == nil && p.now().Before(found.until)
}

// secretLength is that of rand.Text.
const secretLength = 26

// See keeps what a probe looked like when it came, and reports whether it did: there is such
// a probe, and it is the first time.
func (p *Probes) See(secret string, facts guard.Facts) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.list[sha256.Sum256([]byte(secret))]
	if found == nil || found.facts != nil || !p.now().Before(found.until) {
		return false
	}
	found.facts = &facts
	return true
}

// Take ends a probe and returns what was seen of it, nil where nothing was.
func (p *Probes) Take(secret string) *guard.Facts {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := sha256.Sum256([]byte(secret))
	found := p.list[key]
	delete(p.list, key)
	p.sweep()
	if found == nil || !p.now().Before(found.until) {
		return nil
	}
	return found.facts
}

// sweep forgets what is over. The caller holds mu.
func (p *Probes) sweep() {
	now := p.now()
	for key, one := range p.list {
		if !now.Before(one.until) {
			delete(p.list, key)
		}
	}
	p.open.Store(int32(len(p.list)))
}
