package scale

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// table is what docs/benchmarks.md is to show, line by line; it is printed at the end.
var table struct {
	sync.Mutex
	lines []string
}

// say adds a line to the table.
func say(t testing.TB, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	t.Log(line)
	table.Lock()
	defer table.Unlock()
	table.lines = append(table.lines, line)
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if len(table.lines) > 0 && os.Getenv(startVar) == "" && testing.Verbose() {
		fmt.Printf("\n%s\n\n", strings.Join(table.lines, "\n"))
	}
	os.Exit(code)
}
