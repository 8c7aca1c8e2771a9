package caddymodule

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
)

const (
	healthPath = "/.mfa/health"
	// healthEvery is how often at most the store is asked, however often we are.
	healthEvery = time.Second
	// healthTime is how long it may take to answer.
	healthTime = time.Second
)

// health tells whoever spreads requests over gateways whether this one can serve. It
// is asked without a session, by plain http and by address, and so says nothing that
// a stranger may not know.
type health struct {
	mu      sync.Mutex
	at      time.Time
	fault   string        // what is wrong; empty: nothing
	running chan struct{} // closed when the look that is under way has ended
}

// ask returns what is wrong in one word, or "". look is called once at a time and, with
// those that come meanwhile, once a second; one that hangs is waited for no longer than
// healthTime.
func (h *health) ask(ctx context.Context, look func(context.Context) string) string {
	h.mu.Lock()
	if !h.at.IsZero() && time.Since(h.at) < healthEvery {
		defer h.mu.Unlock()
		return h.fault
	}
	if h.running == nil {
		h.running = make(chan struct{})
		go h.look(look)
	}
	done := h.running
	h.mu.Unlock()
	late := time.NewTimer(healthTime)
	defer late.Stop()
	select {
	case <-done:
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.fault
	case <-late.C:
	case <-ctx.Done():
	}
	return "store"
}

func (h *health) look(look func(context.Context) string) {
	ctx, cancel := context.WithTimeout(context.Background(), healthTime)
	defer cancel()
	fault := "store"
	defer func() {
		// Beside the requests nobody else catches a panic, and a stranger has begun
		// this one: it must not end the process.
		_ = recover()
		h.mu.Lock()
		defer h.mu.Unlock()
		h.at, h.fault = time.Now(), fault
		close(h.running)
		h.running = nil
	}()
	fault = look(ctx)
}

// fault looks whether the gate could decide about a request now. A disk that is nearly
// full is none: sessions go on, and no other gateway has this one's store.
func (a *App) fault(ctx context.Context) string {
	g := a.rt.Load()
	if g == nil {
		return "store" // it is not open yet
	}
	v, err := g.enter()
	if err != nil {
		return "store"
	}
	defer v.leave()
	if _, err := g.pooled.store.store.Attempts(ctx, "health"); err != nil {
		return "store"
	}
	if g.policies.Current() == nil {
		return "policy"
	}
	if !g.pooled.store.store.InStep() {
		// It could decide, but goes on letting in whom another node has shut out.
		return "feed"
	}
	return ""
}

// isHealth reports whether the request asks for the gateway's health, in exactly this
// spelling.
func isHealth(r *http.Request) bool { return r.URL.Path == healthPath && r.URL.RawPath == "" }

// serveHealth answers before anything is known of the client.
func (a *App) serveHealth(w http.ResponseWriter, r *http.Request) {
	w = guard.Plain(w)
	h := w.Header()
	web.APIHeaders(h, r.TLS != nil)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", "application/json")
	status, body := http.StatusOK, `{"status":"ok"}`
	if fault := a.health.ask(r.Context(), a.fault); fault != "" {
		status, body = http.StatusServiceUnavailable, `{"status":"unavailable","reason":"`+fault+`"}`
		h.Set("Retry-After", "2")
	}
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, body+"\n") // nobody is left to tell when the client went away
	}
}
