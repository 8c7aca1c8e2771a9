package guard

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// writer drops cookies of our names that the app sets: they would overwrite the
// session, or plant one (AC-017). It hides nothing that the writer below can do.
type writer struct {
	http.ResponseWriter
	guard *Guard
	state *state
	sent  bool
	open  open
}

// Plain returns the writer below the one that Strip made: for our own pages,
// which set our cookies.
func Plain(w http.ResponseWriter) http.ResponseWriter {
	if own, ok := w.(*writer); ok {
		return own.ResponseWriter
	}
	return w
}

func (w *writer) WriteHeader(status int) {
	w.filter()
	// Interim answers, such as 103, come before the one that counts.
	w.sent = w.sent || status >= 200 || status == http.StatusSwitchingProtocols
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.stays(); err != nil {
		return 0, err
	}
	w.begin()
	return w.ResponseWriter.Write(p)
}

// ReadFrom keeps the fast path of files and proxied bodies.
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	w.begin()
	return io.Copy(w.ResponseWriter, src)
}

// FlushError flushes as http.ResponseController expects it.
func (w *writer) FlushError() error {
	w.begin()
	if err := w.stays(); err != nil {
		return err
	}
	switch {
	case w.state.tunnel:
		w.watch(func() { closeTunnel(w.ResponseWriter) })
	case w.open.since.IsZero():
		w.open.since = w.guard.now()
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is FlushError for callers that cannot hear of one.
func (w *writer) Flush() { _ = w.FlushError() }

// Hijack hands the connection over, for WebSockets.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.begin()
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.watch(func() { _ = c.Close() })
	}
	return c, rw, err
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) begin() {
	if !w.sent {
		w.filter()
		w.sent = true
	}
}

func (w *writer) filter() {
	h := w.Header()
	lines := h["Set-Cookie"]
	if len(lines) == 0 || w.sent {
		return
	}
	kept := lines[:0]
	for _, line := range lines {
		name, _, _ := strings.Cut(strings.TrimLeft(line, "= \t"), "=")
		name, _, _ = strings.Cut(name, ";")
		if !web.Ours(name) {
			kept = append(kept, line)
		}
	}
	if len(kept) == len(lines) {
		return
	}
	clear(lines[len(kept):])
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
	} else {
		h["Set-Cookie"] = kept
	}
	if detail, ok := w.guard.quiet.speak("app "+w.state.req.Host, w.guard.now()); ok {
		w.guard.record(w.state, mfa.Event{Name: mfa.EventSessionInvalid, Reason: "app_sets_our_cookie", Host: w.state.req.Host, Detail: detail})
	}
}

var (
	_ http.Flusher  = (*writer)(nil)
	_ http.Hijacker = (*writer)(nil)
	_ io.ReaderFrom = (*writer)(nil)
)
