package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// What one gateway has said is over, another refuses within two seconds, and itself at once
// (AC-023, AC-024, AC-025, AC-027 on two gateways; architecture.md §2).
func TestCluster_Revocation(t *testing.T) {
	c := startCluster(t, 2, clustered)
	here, there := c.nodes[0], c.nodes[1]
	var late lateness
	stop := make(chan struct{})
	go late.watch(stop)
	defer close(stop)

	rounds := 3
	if *clusterLong {
		rounds = 10
	}
	ways := []struct {
		name   string
		revoke func(t *testing.T, p *member)
		undo   func(t *testing.T)
	}{
		{"signed out", func(t *testing.T, p *member) { p.browser.signOut() }, nil},
		{"password changed", func(t *testing.T, p *member) { p.changePassword(t) }, nil},
		{"factors removed", func(t *testing.T, p *member) {
			here.order(t, "users/remove-factors", map[string]any{"name": p.name})
		}, nil},
		{"user disabled", func(t *testing.T, p *member) { here.order(t, "users/disable", map[string]any{"name": p.name}) }, nil},
		{"policy tightened", func(t *testing.T, _ *member) {
			here.order(t, "policy/set", map[string]any{"field": "factors", "values": []string{"passkey", "backup_code"}, "force": true})
		}, func(t *testing.T) { here.order(t, "policy/clear", map[string]any{"field": "factors", "force": true}) }},
	}
	var all []time.Duration
	for i, way := range ways {
		var took []time.Duration
		for round := range rounds {
			p := c.member(t, here, fmt.Sprintf("member-%d-%d", i, round))
			cookie := p.victim()
			ask := there.asker(cookie)
			if !ask(t) || !here.asker(cookie)(t) {
				t.Fatalf("%s: the session does not hold on both", way.name)
			}
			way.revoke(t, p)
			said := time.Now()
			if here.asker(cookie)(t) {
				t.Errorf("%s: the gateway that said so lets the next request through", way.name)
			}
			for ask(t) {
				if time.Since(said) > 30*time.Second {
					t.Fatalf("%s: half a minute later the other gateway lets it through", way.name)
				}
				time.Sleep(2 * time.Millisecond)
			}
			took = append(took, time.Since(said))
			if way.undo == nil {
				continue
			}
			way.undo(t)
			for begun := time.Now(); !ask(t); time.Sleep(2 * time.Millisecond) {
				if time.Since(begun) > 30*time.Second {
					t.Fatalf("%s: taken back, and the other gateway does not know it", way.name)
				}
			}
		}
		t.Logf("%-17s %s", way.name, spread(took))
		all = append(all, took...)
	}
	t.Logf("%-17s %s; this machine stood still for %s at most", "all", spread(all), late.worst().Round(time.Millisecond))
	if most := slices.Max(all); most > otherNode+late.worst() {
		t.Errorf("a change was known to the other gateway after %s, want at most %s", most, otherNode)
	}
}

// spread says what is in the middle and at the end of them.
func spread(list []time.Duration) string {
	list = slices.Sorted(slices.Values(list))
	at := func(share float64) time.Duration {
		return list[min(int(share*float64(len(list))), len(list)-1)].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("%d times: median %s, p95 %s, max %s", len(list), at(0.5), at(0.95), at(1))
}

// member is somebody who has an account with an authenticator app, and is signed in.
type member struct {
	*account
	c       *cluster
	name    string
	browser *client // of one gateway
}

// member makes an account by way of that gateway.
func (c *cluster) member(t *testing.T, n *node, name string) *member {
	t.Helper()
	var invited struct{ Link string }
	n.ask(t, "users/invite", map[string]any{"name": name}, &invited)
	b := n.client(t)
	a := b.join(invited.Link, name)
	a.App.g = c.front
	return &member{account: a, c: c, name: name, browser: b}
}

// victim is the Cookie line of the session that is to end.
func (p *member) victim() string { return p.browser.only(p.browser.sessionName()) }

// changePassword changes it in one browser, which ends the others' sessions and gives this
// one another: the one that it had is over.
func (p *member) changePassword(t *testing.T) {
	t.Helper()
	page := p.browser.get("/.mfa/account/password")
	answer := p.browser.submit(page, "account/password", "old", password, "password", password+" too")
	if answer.Status != http.StatusOK {
		t.Fatalf("changing the password: %d %s", answer.Status, answer.Text())
	}
}

// order has an operation carried out by this gateway.
func (n *node) order(t testing.TB, op string, in map[string]any) {
	t.Helper()
	n.ask(t, op, in, nil)
}

// tryOrder is order about a user that may fail; it returns the status of the answer.
func (n *node) tryOrder(t testing.TB, op, name string) int {
	t.Helper()
	res, err := adminClient.Post("http://"+n.adminAddress()+"/mfa/"+op, "application/json", strings.NewReader(`{"name":"`+name+`"}`))
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

func (n *node) ask(t testing.TB, op string, in map[string]any, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	res, err := adminClient.Post("http://"+n.adminAddress()+"/mfa/"+op, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	defer res.Body.Close()
	var answer bytes.Buffer
	_, _ = answer.ReadFrom(res.Body)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", op, res.Status, answer.String())
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(answer.Bytes(), out); err != nil {
		t.Fatal(err)
	}
}

// asker asks this gateway for a page of the app with that Cookie line, and says whether the
// app answered.
func (n *node) asker(cookies string) func(t testing.TB) bool {
	c := n.plain()
	return func(t testing.TB) bool {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, n.base()+"/asked", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", cookies)
		r.Header.Set("Accept", "text/html")
		res, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode >= 500 {
			t.Fatalf("%s answers %s", n.bind, res.Status)
		}
		return res.Header.Get("X-App") != ""
	}
}
