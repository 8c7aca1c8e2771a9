package pgtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Explain has the server log the plan of every statement from the next connection on, and
// take the plan of a prepared statement that mode says: "auto", "force_custom_plan" or
// "force_generic_plan". Plans returns them.
func (s *Server) Explain(t testing.TB, mode string) {
	t.Helper()
	s.Set(t, map[string]string{"session_preload_libraries": "auto_explain"}) // or nobody knows what follows
	s.Set(t, map[string]string{
		"auto_explain.log_min_duration": "0", "auto_explain.log_nested_statements": "on",
		"plan_cache_mode": mode, "log_min_messages": "log", "jit": "off",
	})
}

// Set changes settings of the server and has it read them; those that hold from its start
// on alone need a Restart.
func (s *Server) Set(t testing.TB, settings map[string]string) {
	t.Helper()
	for name, value := range settings {
		s.Exec(t, "ALTER SYSTEM SET "+name+" = '"+value+"'")
	}
	s.Exec(t, "SELECT pg_reload_conf()")
}

// A Plan is a statement as the server carried it out.
type Plan struct{ Query, Text string }

// Plans returns the plans that were logged since it was called last.
func (s *Server) Plans(t testing.TB) []Plan {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw[min(s.read, len(raw)):])
	s.read = len(raw)
	var list []Plan
	for i, entry := range strings.Split(text, "  plan:\n") {
		if i == 0 {
			continue // what stands before the first
		}
		// Whatever the server says next begins a line of its own; a plan's lines are indented.
		var own []string
		for line := range strings.Lines(entry) {
			if !strings.HasPrefix(line, "\t") {
				break
			}
			own = append(own, line)
		}
		at := len(own)
		for j, line := range own {
			if strings.Contains(line, "  (cost=") {
				at = j
				break
			}
		}
		query := strings.TrimPrefix(strings.TrimSpace(strings.Join(own[:at], "")), "Query Text: ")
		list = append(list, Plan{Query: strings.Join(strings.Fields(query), " "), Text: strings.Join(own[at:], "")})
	}
	return list
}
