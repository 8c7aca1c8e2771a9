package caddymodule

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/secondgate/secondgate/mfa"
)

func init() { caddy.RegisterModule(new(listener)) }

// heard is what listeners were told.
var heard struct {
	sync.Mutex
	list []caddy.Event
	wait chan struct{} // nil: listeners are quick
}

// listener is a handler of events, as "events { on NAME test }" names it.
type listener struct{}

func (*listener) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.test", New: func() caddy.Module { return new(listener) }}
}

func (*listener) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

func (*listener) Handle(_ context.Context, e caddy.Event) error {
	heard.Lock()
	wait := heard.wait
	heard.list = append(heard.list, e)
	heard.Unlock()
	if wait != nil {
		<-wait
	}
	return nil
}

var _ caddyevents.Handler = (*listener)(nil)

// A Caddyfile can act on what happens; whoever listens slowly keeps nobody waiting.
func TestEvents_ReachCaddysEventSystem(t *testing.T) {
	g := newGateway(t)
	text := g.text("require on", "mfa\n\trespond ok")
	g.mustLoad(strings.Replace(text, "\tmfa {", "\tevents {\n\t\ton mfa_sign_in test\n\t}\n\tmfa {", 1))
	heard.Lock()
	heard.list, heard.wait = nil, make(chan struct{})
	wait := heard.wait
	heard.Unlock()
	t.Cleanup(func() {
		heard.Lock()
		heard.wait = nil
		heard.Unlock()
	})
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		t.Fatal(err)
	}
	events := running.(*App).events()
	begun := time.Now()
	for range 2 * emitQueue {
		events.Record(context.Background(), mfa.Event{
			Name: mfa.EventSignIn, Reason: "rejected", User: "id-alice", UserName: "alice", Factor: mfa.Password, Network: "192.0.2.0/24", Host: g.host,
		})
		events.Record(context.Background(), mfa.Event{Name: mfa.EventVerify, OK: true})
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("a handler that never ends has held %d events up for %s", 4*emitQueue, took)
	}
	close(wait)
	var list []caddy.Event
	for end := time.Now().Add(10 * time.Second); len(list) < emitQueue && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		heard.Lock()
		list = heard.list
		heard.Unlock()
	}
	if len(list) < emitQueue || len(list) > emitQueue+2 {
		t.Fatalf("%d events were heard, want those that fit into the queue: %d", len(list), emitQueue)
	}
	e := list[0]
	got := maps.Clone(e.Data)
	delete(got, "at")
	want := map[string]any{
		"ok": false, "reason": "rejected", "user_id": "id-alice", "user": "alice", "factor": "password", "network": "192.0.2.0/24", "host": g.host,
	}
	if e.Name() != "mfa_sign_in" || !maps.Equal(got, want) || e.Origin().CaddyModule().ID != "mfa" {
		t.Errorf("%s of %v: %v", e.Name(), e.Origin().CaddyModule().ID, e.Data)
	}
}
