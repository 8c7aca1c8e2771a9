package mfa

import "sync"

// maxWalks is how many may walk along all events at once. Each reads the whole log.
const maxWalks = 4

// walks bounds that: one walk for each administrator or key, so that an auditor who begins
// many, or reads one slowly, keeps neither the store busy nor the others waiting. The
// zero value is ready; it is safe for concurrent use.
type walks struct {
	mu sync.Mutex
	by map[string]bool
}

// begin reports whether the actor may walk, and then end says that it is over.
func (w *walks) begin(a *Actor) (end func(), ok bool) {
	who := string(a.User) + "\n" + a.key
	if who == "\n" {
		return func() {}, true // whoever is on the machine reads the store anyway
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by[who] || len(w.by) >= maxWalks {
		return nil, false
	}
	if w.by == nil {
		w.by = make(map[string]bool)
	}
	w.by[who] = true
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.by, who)
	}, true
}
