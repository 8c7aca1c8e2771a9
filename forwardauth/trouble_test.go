package forwardauth

import (
	"fmt"
	"testing"
)

// What proxies do wrong is kept for an administrator: once for each kind, a few of each
// dialect, and strangers who ask a thousand times push nothing out.
func TestTroubles(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.serve(Nginx, question(Nginx, asked{host: "other.test", header: []string{"X-Secret", "hidden"}}))
	}
	for i := range 1000 {
		q := question(Traefik, asked{})
		q.RemoteAddr = fmt.Sprintf("203.0.113.%d:4000", i%250)
		w.serve(Traefik, q)
	}
	list := w.Troubles()
	if len(list) != 2 || list[0].Kind != TroublePeer || list[0].Count != 1000 || len(list[0].Headers) != 0 || list[1].Kind != TroubleUnprotected || list[1].Count != 3 || list[1].Host != "other.test" {
		t.Fatalf("%+v", list)
	}
	for _, s := range list[1].Headers {
		if s.Name == "X-Secret" && (s.Lines != 1 || s.Length != 6 || s.Value != "") {
			t.Errorf("%+v", s)
		}
	}
	for i := range 50 {
		w.serve(Nginx, question(Nginx, asked{host: fmt.Sprintf("h%d.test", i)}))
	}
	if list = w.Troubles(); len(list) != 1+maxTroubles || list[0].Host != "h49.test" {
		t.Errorf("%d are kept: %+v", len(list), list)
	}
}
