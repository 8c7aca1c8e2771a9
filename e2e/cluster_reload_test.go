package e2e

import (
	"strings"
	"testing"
	"time"
)

// AC-199 on PostgreSQL: the configuration changes again and again under load, and with it the
// size of the pool, for which the store is opened anew. Nobody notices, and nothing of the old
// ones stays: no goroutine, no file, no connection to the database.
func TestCluster_Reload_AC199(t *testing.T) {
	config := func(words, option string) string {
		text := reloading("store postgres {env.DATABASE_URL} {\n\t\t\tmaster_key {env.MASTER_KEY}\n"+option+"\t\t}\n"+words, "")
		return strings.Replace(text, "default_bind 127.0.0.1", "default_bind {$BIND}", 1)
	}
	configs := []string{
		config("", ""),
		config("", ""),
		config("factors totp backup_code", ""),
		config("", "\t\t\tmax_conns 8\n"),
		config("session {\n\t\t\tidle 2h\n\t\t}", ""),
	}
	c := startCluster(t, 1, configs[0])
	n := c.nodes[0]
	load := &load{g: n.gateway, stop: make(chan struct{})}
	load.seated = load.client(t)
	load.alice = c.member(t, n, "alice").account
	load.alice.App.g = n.gateway
	load.seated.enter(load.alice)
	for _, text := range configs {
		load.reload(t, text, false)
	}
	load.reload(t, configs[0], false)
	load.settle()
	before, connections := takeCensus(t, n.gateway), n.line.Connections()

	load.begin(t)
	rounds := 8
	if *clusterLong {
		rounds = 100
	}
	for i := range rounds {
		load.reload(t, configs[i%len(configs)], false)
	}
	load.end(t)
	load.reload(t, configs[0], false)
	load.settle()
	if strings.Contains(n.log(), "panic") {
		t.Error("there is a panic in the log")
	}
	// A pool closes what is idle after a while; what an old configuration held is gone.
	after, left := census{}, 0
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		after, left = takeCensus(t, n.gateway), n.line.Connections()
		if after.goroutines <= before.goroutines+20 && left <= connections+16 {
			break
		}
	}
	if after.goroutines > before.goroutines+20 || left > connections+16 {
		t.Errorf("after %d reloads: %d goroutines and %d connections to the database, before %d and %d\n%s",
			rounds, after.goroutines, left, before.goroutines, connections, n.goroutines(t))
	}
	t.Logf("%d reloads: %d requests (%d connections repeated), %d sign-ins; goroutines %d → %d, connections to the database %d → %d",
		rounds, load.requests.Load(), load.dropped.Load(), load.signIns.Load(), before.goroutines, after.goroutines, connections, left)
}
