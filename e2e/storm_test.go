package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
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
	stormRounds = flag.Int("storm", 20, "how often TestStorm kills the gateway, and its like of several gateways what it finds")
	stormTime   = flag.Duration("stormtime", 0, "how long storms go on, however many rounds that are")
	stormSeed   = flag.Uint64("seed", 0, "what TestStorm's choices begin with; 0: a new one")
)

// stormSite asks for a second factor. Every client of the storm is a network of its own, or
// the limits per network would stop it within a second.
const stormSite = `
	default_bind {$BIND}
	servers {
		trusted_proxies static 127.0.0.0/8
	}
}
http://localhost:{$PORT} {
	mfa
	reverse_proxy {$APP}
}
`

const stormy = `{
	mfa {
		session {
			idle 30d
			absolute 30d
		}
	}` + stormSite

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
	s := newStorm(t, start(t, stormy))
	s.open = s.openCopy
	s.ready()
	for s.next() {
		s.rage(func() {
			s.middle()
			// At once, while requests are under way: nobody is told to stop first.
			_ = s.g.cmd.Process.Kill()
		})
		s.g.kill()
		s.g.App.Forget()
		s.compare()
		s.g.launch(t)
		s.ready()
		s.tryAgain()
	}
	s.report()
}

// storm is the gateway and the model of what it has acknowledged.
type storm struct {
	t      *testing.T
	g      *gateway
	seed   uint64
	chance *rand.Rand
	begun  time.Time
	rounds int // at least
	round  int
	people []*person

	// open opens what is kept, to read it behind the gateway's back.
	open func() (mfa.Store, func())
	// shaky: there are several gateways. What one does not answer another may, and an
	// answer that says 503 says nothing of what was done.
	shaky   bool
	readers *crowd // nil: nobody reads

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

func newStorm(t *testing.T, g *gateway) *storm {
	t.Helper()
	seed := *stormSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("the same choices again: -seed %d", seed)
	return &storm{t: t, g: g, seed: seed, chance: rand.New(rand.NewPCG(seed, 1)), begun: time.Now(), rounds: *stormRounds}
}

// next begins another round where there is one to be.
func (s *storm) next() bool {
	if s.t.Failed() || s.round >= s.rounds && time.Since(s.begun) >= *stormTime {
		return false
	}
	s.round++
	return true
}

func (s *storm) report() {
	s.t.Helper()
	s.t.Logf("%d rounds in %s: %d people, %d answers; acknowledged: %s", s.round, time.Since(s.begun).Round(time.Second), len(s.people), s.answers.Load(), s.acknowledged())
}

func (s *storm) acknowledged() string {
	var parts []string
	for i, name := range deeds {
		parts = append(parts, fmt.Sprintf("%d %s", s.counts[i].Load(), name))
	}
	return strings.Join(parts, ", ")
}

// ready waits until the admin endpoint, which is there first, knows the gate.
func (s *storm) ready() {
	err := s.g.wait(func() error { return (&person{s: s}).admin("users/list", nil) })
	if err != nil {
		s.t.Fatalf("round %d: %v", s.round, err)
	}
}

// rage lets everybody work until strike, which does the damage, returns. Whoever gets no
// answer is left as they are: nobody knows what was done. Others take their place while
// there is somebody who answers.
func (s *storm) rage(strike func()) {
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		over  atomic.Bool
	)
	crew := s.crew()
	take := func() *person {
		mu.Lock()
		defer mu.Unlock()
		if len(crew) == 0 {
			crew = append(crew, s.invent())
		}
		p := crew[0]
		crew = crew[1:]
		return p
	}
	for range stormWorkers {
		group.Go(func() {
			for !over.Load() {
				p := take()
				err := p.work(&over)
				switch {
				case err == nil:
				case errors.Is(err, errCut):
					time.Sleep(100 * time.Millisecond)
				default:
					s.t.Errorf("round %d: %s: %v", s.round, p.name, err)
					return
				}
			}
		})
	}
	strike()
	over.Store(true)
	group.Wait()
}

// middle returns at some moment in the middle of it: so many answers from now, and a little
// later. How far people get must not hang on how fast the machine is.
func (s *storm) middle() {
	enough := s.answers.Load() + int64(1+s.chance.IntN(60))
	for end := time.Now().Add(10 * time.Second); s.answers.Load() < enough && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(s.chance.IntN(20_000)) * time.Microsecond)
}

// crew returns who works in this round: two who are new, and others that have
// been there.
func (s *storm) crew() []*person {
	list := slices.Clone(s.people)
	s.chance.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	list = list[:min(len(list), stormWorkers-2)]
	for len(list) < stormWorkers {
		list = append(list, s.invent())
	}
	return list
}

// invent adds a person. Of a round's workers one at a time does.
func (s *storm) invent() *person {
	p := &person{s: s, name: "person-" + strconv.Itoa(len(s.people)), chance: rand.New(rand.NewPCG(s.seed, uint64(2+len(s.people))))}
	s.people = append(s.people, p)
	return p
}

// compare reads what is kept, and learns what became of unanswered requests.
func (s *storm) compare() {
	store, done := s.open()
	defer done()
	for _, p := range s.people {
		for _, fault := range p.compare(store) {
			s.t.Errorf("round %d: %s: %s", s.round, p.name, fault)
		}
	}
}

// openCopy opens a copy of what the kill left behind, so that the gateway's own start meets
// it as it is.
func (s *storm) openCopy() (mfa.Store, func()) {
	t := s.t
	dir, err := os.MkdirTemp("", "storm")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(s.g.storeDir()))); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, filepath.Base(s.g.storeDir()))
	// The copy of a private file is readable by others on some systems.
	if err := os.Chmod(copied+".keys.json", 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := seal.OpenKeys(context.Background(), seal.FileVault(copied+".keys.json"), nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := badger.Open(badger.Options{Dir: copied, Keys: keys, Now: s.g.now, MinFree: 1})
	if err != nil {
		t.Fatalf("round %d: the store does not open: %v", s.round, err)
	}
	return store, func() {
		_ = store.Close()
		_ = os.RemoveAll(dir)
	}
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
