package e2e

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/secondgate/secondgate/internal/faultproxy"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// The keys of two gateways on one database change while both serve a hundred requests a
// second each, and whoever changes them is killed in the middle. Nobody is signed out; what
// one signs, the other believes at every moment. When the keys were stolen, everybody is out,
// on both (AC-197, AC-192; architecture.md §2).
func TestCluster_Rotation(t *testing.T) {
	c := startCluster(t, 2, strings.ReplaceAll(clustered, "30d", "2h"))
	here, there := c.nodes[0], c.nodes[1]
	c.fill(4000)
	var people []*member
	for i := range 4 {
		people = append(people, c.member(t, c.nodes[i%2], fmt.Sprintf("member-%d", i)))
	}
	readers := c.read(200)
	sit := func(p *member) {
		name := p.browser.sessionName()
		readers.seat(p.name, name, p.browser.cookie(name))
	}
	for _, p := range people {
		sit(p)
	}
	time.Sleep(time.Second)
	c.provable(readers)

	// The one that began is killed while the new key waits; the other makes it the primary one.
	first := here.rotate(t, nil)
	readers.without(here, func() {
		there.reaches(t, "sealing", "overlap")
	})
	if k := there.rotation(t).Keys[0]; k.Status != seal.Primary || k.ID == first.Keys[0].ID {
		t.Errorf("the key that waited is not the primary one: %+v", k)
	}
	there.reaches(t, "overlap")
	c.agree()
	c.provable(readers)

	// And the one that works is killed in the middle of the records.
	before := there.rotation(t).Keys[0].ID
	there.rotate(t, nil)
	c.front.advance(t, 11*time.Second) // the other one may not even have heard of it
	worker, other := here, there
	if id := c.primaryAfter(before); strings.Contains(there.log(), "seals and signs from now on\",\"key\":\""+id) {
		worker, other = there, here
	}
	readers.without(worker, func() {
		t.Logf("killed at %+v", other.rotation(t).Progress)
		other.reaches(t, "overlap")
	})
	c.agree()
	c.provable(readers)
	for i, p := range people { // who signs in now does so with the new key
		p.browser = c.nodes[(i+1)%2].client(t)
		p.browser.enter(p.account)
		sit(p)
	}
	time.Sleep(time.Second)

	// Stolen. A gateway that stands still meanwhile knows at once when it goes on: what the
	// other one has signed is good, and nobody's cookie is taken away.
	readers.end()
	var late lateness
	stop := make(chan struct{})
	defer close(stop)
	go late.watch(stop)
	c.front.advance(t, 31*time.Second) // its codes are new ones, and nobody's clock is moved while it stands
	there.pause(t)
	there.away.Store(true)
	here.rotate(t, map[string]any{"compromised": true})
	fresh := here.client(t)
	fresh.enter(people[0].account)
	token := fresh.only(fresh.sessionName())
	there.resume(t)
	there.away.Store(false)
	began := time.Now()
	good, old := there.answer(token), there.asker(people[1].victim())
	for ; ; good = there.answer(token) {
		if good.Header.Get("X-App") != "" {
			break
		}
		if good.StatusCode != http.StatusServiceUnavailable || time.Since(began) > otherNode+late.worst() {
			t.Fatalf("a session of the new key gets %s, %q after %s", good.Status, good.Header["Set-Cookie"], time.Since(began))
		}
		time.Sleep(10 * time.Millisecond)
	}
	knew := time.Since(began)
	for old(t) {
		if time.Since(began) > otherNode+late.worst() {
			t.Fatalf("a session of the stolen key goes on for %s", time.Since(began))
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Logf("stolen keys: the other node took the new key's session after %s, and none of the old one's after %s", knew, time.Since(began))
	for _, n := range c.nodes {
		for _, p := range people {
			if n.asker(p.victim())(t) {
				t.Errorf("%s lets %s through with a stolen key", n.bind, p.name)
			}
		}
	}

	// A gateway that is cut off from the database cannot hear of it. It lets whom it knows
	// through for a minute, as in each outage, and nobody else.
	victim := there.asker(token)
	if !victim(t) {
		t.Error("the session is not in memory")
	}
	there.line.Silence(faultproxy.Both)
	here.rotate(t, map[string]any{"compromised": true})
	if here.asker(token)(t) {
		t.Error("the node that was told lets it through")
	}
	c.front.advance(t, storeDown+time.Second)
	if a := there.answer(token); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("cut off for more than a minute, it answers %s", a.Status)
	}
	there.line.Heal()
	there.ready(t)

	// In the end there is one key, when nothing that the others signed can live.
	here.reaches(t, "overlap")
	c.front.advance(t, 2*time.Hour+3*time.Minute)
	here.reaches(t, "idle")
	c.agree()
	if s := there.rotation(t); len(s.Keys) != 1 || s.Progress.Damaged != 0 {
		t.Errorf("%+v", s)
	}
	fresh = there.client(t)
	fresh.enter(people[2].account)
}

// fill puts so many people into the database, for work on them to take a moment.
func (c *cluster) fill(n int) {
	c.t.Helper()
	var group sync.WaitGroup
	for part := range 4 {
		group.Go(func() {
			for i := part; i < n; i += 4 {
				name := fmt.Sprintf("filler-%05d", i)
				if err := c.kept.CreateUser(c.t.Context(), &mfa.User{
					ID: mfa.UserID(name), Handle: []byte("handle-" + name), Source: mfa.LocalSource, Subject: name, Name: name,
					Created: c.front.now(), Password: mfa.Secret("none"),
				}); err != nil {
					c.t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// primaryAfter waits until a gateway says that another key than that seals, and returns it.
func (c *cluster) primaryAfter(old string) string {
	c.t.Helper()
	for begun := time.Now(); time.Since(begun) < time.Minute; {
		for _, n := range c.nodes {
			if id := n.rotation(c.t).Keys[0].ID; id != old {
				return id
			}
		}
	}
	c.t.Fatal("the new key waits for ever")
	return ""
}

// rotate begins a rotation.
func (n *node) rotate(t testing.TB, in map[string]any) *store.RotationStatus {
	t.Helper()
	var answer struct{ Rotation *store.RotationStatus }
	n.ask(t, "keys/rotate", in, &answer)
	return answer.Rotation
}

func (n *node) rotation(t testing.TB) *store.RotationStatus {
	t.Helper()
	var answer struct{ Rotation *store.RotationStatus }
	n.ask(t, "keys/status", nil, &answer)
	return answer.Rotation
}

// reaches waits until a rotation is at one of these stages.
func (n *node) reaches(t testing.TB, stages ...string) {
	t.Helper()
	var last *store.RotationStatus
	for begun := time.Now(); time.Since(begun) < 90*time.Second; time.Sleep(5 * time.Millisecond) {
		last = n.rotation(t)
		for _, stage := range stages {
			if last.Stage == stage {
				return
			}
		}
	}
	t.Fatalf("the rotation stays at %+v, want %v\n%s", last, stages, n.output.last(2<<10))
}

// agree holds that all gateways say the same of the keys.
func (c *cluster) agree() {
	c.t.Helper()
	var all []*store.RotationStatus
	for begun := time.Now(); time.Since(begun) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
		all = nil
		for _, n := range c.nodes {
			all = append(all, n.rotation(c.t))
		}
		if reflect.DeepEqual(all[0], all[1]) {
			return
		}
	}
	c.t.Errorf("the gateways do not agree:\n%+v\n%+v", all[0], all[1])
}

// provable holds that what any gateway has told the app, each gateway's published keys prove.
func (c *cluster) provable(r *crowd) {
	c.t.Helper()
	hits := c.front.App.Hits("/read")
	checked := 0
	for _, n := range c.nodes {
		keys := n.published(c.t)
		for _, h := range hits {
			text := h.Request.Header.Get("Mfa-Assertion")
			if _, _, err := jwt.NewParser(jwt.WithoutClaimsValidation()).ParseUnverified(text, jwt.MapClaims{}); err != nil {
				c.t.Fatalf("no assertion: %q %v", text, err)
			}
			if _, err := jwt.Parse(text, func(tok *jwt.Token) (any, error) {
				if k, ok := keys[fmt.Sprint(tok.Header["kid"])]; ok {
					return k, nil
				}
				return nil, fmt.Errorf("%s does not publish %v", n.bind, tok.Header["kid"])
			}, jwt.WithoutClaimsValidation(), jwt.WithValidMethods([]string{"EdDSA"})); err != nil {
				r.fault("an assertion of one gateway by the keys of %s: %v", n.bind, err)
			}
			checked++
		}
	}
	if checked == 0 {
		c.t.Error("no assertion was there to look at")
	}
}

// published are the keys of assertions.
func (n *node) published(t testing.TB) map[string]ed25519.PublicKey {
	t.Helper()
	res, err := n.plain().Get(n.base() + "/.mfa/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var set struct{ Keys []struct{ Kid, X string } }
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]ed25519.PublicKey)
	for _, k := range set.Keys {
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			t.Fatalf("a key is %q", k.X)
		}
		keys[k.Kid] = x
	}
	return keys
}

// answer is what this gateway alone answers to that Cookie line.
func (n *node) answer(cookies string) *http.Response {
	r, _ := http.NewRequest(http.MethodGet, n.base()+"/asked", nil)
	r.Header.Set("Cookie", cookies)
	r.Header.Set("Accept", "text/html")
	res, err := n.plain().Do(r)
	if err != nil {
		return &http.Response{Status: err.Error(), StatusCode: http.StatusServiceUnavailable}
	}
	res.Body.Close()
	return res
}

// without has a gateway killed while do runs, and started again.
func (r *crowd) without(n *node, do func()) {
	r.broken.Store(true)
	n.down.Store(true)
	n.away.Store(true)
	n.kill()
	do()
	n.launch(r.t)
	n.ready(r.t)
	n.down.Store(false)
	n.away.Store(false)
	r.broken.Store(false)
}
